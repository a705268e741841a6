//! What is kept of repositories between jobs: their objects, and working copies without changes.
//!
//! Each repository has a folder that is named by its whole address, so that repositories of different owners never share
//! anything:
//!
//! * `1.git`, `2.git`, … bare repositories, of which the last one is used. A damaged one, and one that lacks history, is not
//!   mended but replaced by the next, while working copies still read from it.
//! * `fetch.lock`, `history.lock`: held by the one process that changes the last repository, or makes the next one.
//! * `use.lock`: shared by everybody who reads; held alone by whoever deletes.
//! * `trees/`: working copies of earlier jobs.
//! * `address`, `used`: for people, and the time of the last use.

mod lock;
mod trim;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use patchwright_core::git::GitError;
use patchwright_core::trash::Trash;

use crate::error::io_error;
use crate::options::StoreOptions;
use crate::repository::{create_git_dir, open};

pub(crate) use self::lock::Lock;
pub(crate) use self::trim::trim;

/// How the folders of repositories begin that are being fetched.
const NEW: &str = "new-";
/// A repository of more packs than this is made anew: each fetch adds one, and each is searched.
const MAX_PACKS: usize = 50;
/// How long a history that could not be fetched is not tried again.
const HISTORY_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The folder of one repository.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryStore {
    folder: PathBuf,
    trash: Trash,
}

/// A bare repository with fetched objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) path: PathBuf,
    number: u32,
}

impl RepositoryStore {
    /// Creates the folder of a repository.
    pub(crate) fn open(options: &StoreOptions, address: &str, shown: &str) -> Result<Self, GitError> {
        let folder = options.folder.join(folder_name(address));
        // Private repositories are in it.
        let create = || {
            std::fs::create_dir_all(options.folder.parent().unwrap_or(&options.folder))?;
            let mut private = std::fs::DirBuilder::new();
            private.recursive(true).mode(0o700).create(folder.join("trees"))
        };
        create().map_err(io_error(format!("creating {}", folder.display())))?;
        let label = folder.join("address");
        if !label.exists() {
            std::fs::write(&label, format!("{shown}\n")).map_err(io_error(format!("writing {}", label.display())))?;
        }
        let trash = Trash::new(options.folder.join("trash"));
        Ok(Self { folder, trash })
    }

    /// Returns the last repository, if there is one.
    pub(crate) fn current(&self) -> Option<Mirror> {
        self.mirrors().into_iter().max_by_key(|mirror| mirror.number)
    }

    fn mirrors(&self) -> Vec<Mirror> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mirror = |entry: std::fs::DirEntry| {
            let number = entry.file_name().to_str()?.strip_suffix(".git")?.parse().ok()?;
            Some(Mirror { path: entry.path(), number })
        };
        entries.filter_map(mirror).collect()
    }

    /// Returns the last repository, or a new one without objects. The caller holds the lock for fetching.
    pub(crate) fn current_or_new(&self) -> Result<Mirror, GitError> {
        if let Some(current) = self.current() {
            remove_leftovers(&current.path);
            return Ok(current);
        }
        let new = self.start_next()?;
        self.finish_next(&new)
    }

    /// Creates the next repository, which nobody sees before [`Self::finish_next`].
    pub(crate) fn start_next(&self) -> Result<PathBuf, GitError> {
        let new = self.folder.join(format!("{NEW}{}", uuid::Uuid::now_v7().simple()));
        create_git_dir(&new, true)?;
        Ok(new)
    }

    /// Takes a repository out of use that cannot be read, unless another process did that already. Who reads from it goes on.
    pub(crate) fn replace(&self, damaged: &Mirror, interrupt: &AtomicBool) -> Result<(), GitError> {
        let _lock = self.lock_for_fetch(interrupt)?;
        if self.current().as_ref() == Some(damaged) {
            let new = self.start_next()?;
            self.finish_next(&new)?;
        }
        Ok(())
    }

    /// Makes a new repository the one that is used.
    pub(crate) fn finish_next(&self, new: &Path) -> Result<Mirror, GitError> {
        let number = self.mirrors().iter().map(|mirror| mirror.number).max().unwrap_or_default() + 1;
        let path = self.folder.join(format!("{number}.git"));
        std::fs::rename(new, &path).map_err(io_error(format!("creating {}", path.display())))?;
        Ok(Mirror { path, number })
    }

    /// Returns whether the repository is to be fetched anew: its history is missing, or it has become slow.
    pub(crate) fn needs_history(&self, mirror: &Mirror) -> bool {
        let age = |path: PathBuf| path.metadata().and_then(|found| found.modified()).ok()?.elapsed().ok();
        let is_complete = mirror.path.join("history").exists() && count_packs(&mirror.path) <= MAX_PACKS;
        !is_complete && age(self.folder.join("history-failed")).is_none_or(|age| age > HISTORY_PAUSE)
    }

    /// Notes that the history cannot be fetched: it is too large, for example.
    pub(crate) fn note_failed_history(&self) {
        let _ = std::fs::write(self.folder.join("history-failed"), "");
    }

    /// Deletes the repositories before the last one if nobody reads from them, and those that nobody makes any more.
    pub(crate) fn delete_unused(&self) {
        let (Some(_history), Some(_fetch)) = (self.lock_for_history(), self.try_lock("fetch.lock")) else { return };
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(NEW) {
                self.discard(&entry.path());
            }
        }
        let Some(_use) = self.try_lock("use.lock") else { return };
        let mirrors = self.mirrors();
        let last = mirrors.iter().map(|mirror| mirror.number).max();
        for mirror in mirrors.iter().filter(|mirror| Some(mirror.number) != last) {
            self.discard(&mirror.path);
        }
    }

    /// Moves a kept working copy to `destination`. Returns whether there was one.
    pub(crate) fn take_tree(&self, destination: &Path) -> bool {
        let mut trees = self.kept_trees();
        while let Some((_, tree)) = trees.pop() {
            // Another process may be faster.
            if std::fs::rename(&tree, destination).is_ok() {
                return true;
            }
        }
        false
    }

    /// Keeps a working copy for the next job. Without success it stays where it is.
    pub(crate) fn keep_tree(&self, tree: &Path, most: usize) {
        if most == 0 {
            return;
        }
        let name = uuid::Uuid::now_v7().simple().to_string();
        if std::fs::rename(tree, self.folder.join("trees").join(name)).is_err() {
            return;
        }
        let trees = self.kept_trees();
        for (_, tree) in trees.iter().take(trees.len().saturating_sub(most)) {
            self.discard(tree);
        }
    }

    /// Returns the kept working copies, the last one last.
    fn kept_trees(&self) -> Vec<(SystemTime, PathBuf)> {
        let entries = std::fs::read_dir(self.folder.join("trees")).into_iter().flatten().flatten();
        let tree = |entry: std::fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
        let mut trees: Vec<_> = entries.filter_map(tree).collect();
        trees.sort();
        trees
    }

    /// Moves a folder to where it is deleted later.
    pub(crate) fn discard(&self, folder: &Path) {
        discard(&self.trash, folder);
    }
}

impl Mirror {
    /// Opens the repository.
    pub(crate) fn open(&self, max_object_bytes: u64) -> Result<gix::Repository, GitError> {
        open(&self.path, max_object_bytes)
    }

    /// Returns whether anything was fetched into it.
    pub(crate) fn has_objects(&self) -> bool {
        count_packs(&self.path) > 0
    }

    /// Returns how many commits of history it was fetched with.
    pub(crate) fn history(&self) -> Option<u32> {
        std::fs::read_to_string(self.path.join("history")).ok()?.trim().parse().ok()
    }
}

fn discard(trash: &Trash, folder: &Path) {
    if let Err(error) = trash.discard(folder) {
        tracing::warn!(%error, folder = %folder.display(), "failed to delete a folder");
    }
}

/// Returns the name of a repository's folder: what people recognise, and a hash that is its own.
fn folder_name(address: &str) -> String {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(address.as_bytes());
    let hash = hasher.try_finalize().expect("an address is no attack on the hash");
    let readable: String = address
        .split_once("://")
        .map_or(address, |(_, rest)| rest)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(80)
        .collect();
    format!("{readable}-{hash}").trim_start_matches(['.', '-']).to_owned()
}

/// Removes what a process left behind that was killed while it fetched: locks, and packs without their index.
fn remove_leftovers(git_dir: &Path) {
    let mut folders = vec![git_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && name != "objects" {
                folders.push(path);
            } else if !is_folder && name.ends_with(".lock") {
                let _ = std::fs::remove_file(path);
            }
        }
    }
    for entry in std::fs::read_dir(git_dir.join("objects/pack")).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_pack = |extension: &str| path.extension().is_some_and(|found| found == extension);
        let is_whole = (is_pack("pack") && path.with_extension("idx").exists())
            || (is_pack("idx") && path.with_extension("pack").exists());
        if !is_whole {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn count_packs(git_dir: &Path) -> usize {
    let entries = std::fs::read_dir(git_dir.join("objects/pack")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack")).count()
}
