//! Writing the files of a commit: into an empty folder, or over the files of another commit.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::index::entry::{Flags, Mode, Stage, Stat};
use gix::progress::Discard;
use patchwright_core::git::GitError;

use crate::error::{GixCause, internal, io_error};
use crate::objects::tree_of;

const ACTION: &str = "writing the files of a commit";

/// Writes the files of a commit into a folder that is empty except for `.git`, and returns the index of the files.
///
/// gix refuses entries that would leave the folder or write into `.git`. Filter drivers do not run, because they are defined
/// in configuration that is not read.
pub(crate) fn write_files(
    repo: &gix::Repository,
    commit: gix::ObjectId,
    root: &Path,
    interrupt: &AtomicBool,
) -> Result<gix::index::File, GitError> {
    let mut index = index_of(repo, commit)?;
    write_index_files(repo, &mut index, root, interrupt)?;
    Ok(index)
}

/// Returns the index of a commit's files, without their state on a disk.
pub(crate) fn index_of(repo: &gix::Repository, commit: gix::ObjectId) -> Result<gix::index::File, GitError> {
    repo.index_from_tree(&tree_of(repo, commit)?).map_err(internal("reading the files of a commit"))
}

/// Returns whether gix refuses to write a path that a repository holds, and not a disk. gix tells it in its text only.
pub(crate) fn is_refused_path(text: &str) -> bool {
    ["it is there twice", "Could not create index from tree", "Expected object of kind"]
        .iter()
        .any(|part| text.contains(part))
}

fn write_index_files(
    repo: &gix::Repository,
    index: &mut gix::index::File,
    root: &Path,
    interrupt: &AtomicBool,
) -> Result<(), GitError> {
    let failed = internal(ACTION);
    let mut options =
        repo.checkout_options(gix::worktree::stack::state::attributes::Source::IdMapping).map_err(&failed)?;
    options.destination_is_initially_empty = true;
    let objects = repo.objects.clone().into_arc().map_err(|error| failed(gix::Error::from_error(error)))?;
    let outcome = gix::worktree::state::checkout(index, root, objects, &Discard, &Discard, interrupt, options)
        .map_err(&failed)?;
    let collision = outcome.collisions.first().map(|collision| format!("{}: it is there twice", collision.path));
    let error = outcome.errors.first().map(|error| format!("{}: {}", error.path, error.error));
    match error.or(collision) {
        Some(what) => Err(GitError::Internal { action: ACTION.to_owned(), source: Box::new(GixCause(what)) }),
        None => Ok(()),
    }
}

/// Turns a folder with the files of `old` into one with the files of `to`, and returns their index. What was changed, added
/// or removed by hand is undone, ignored files included. The state in `old` tells what was not touched.
pub(crate) fn reset_files(
    repo: &gix::Repository,
    root: &Path,
    old: &gix::index::File,
    to: gix::ObjectId,
    interrupt: &AtomicBool,
) -> Result<gix::index::File, GitError> {
    let untouched = find_untouched(root, old)?;
    change_files(repo, root, old, index_of(repo, to)?, |path| untouched.contains(path), interrupt)
}

/// Makes the files of a folder those of `new`, where it has those of `old`, and returns their index. Files of `old` that are
/// not `is_untouched` are written again.
pub(crate) fn change_files(
    repo: &gix::Repository,
    root: &Path,
    old: &gix::index::File,
    mut new: gix::index::File,
    is_untouched: impl Fn(&BStr) -> bool,
    interrupt: &AtomicBool,
) -> Result<gix::index::File, GitError> {
    // Other attributes mean other bytes for the same object. gix takes them from what it writes, so they are always written.
    let has_same_attributes = attributes_of(old) == attributes_of(&new);
    let find_same = |path: &BStr, entry: &gix::index::Entry, other: &gix::index::File| {
        if !has_same_attributes || is_attributes(path) {
            return None;
        }
        let same = other.entry_by_path(path).filter(|other| other.id == entry.id && other.mode == entry.mode);
        same.filter(|_| is_untouched(path)).map(|other| other.stat)
    };
    // What changes is removed first, so that no entry is written through what was there: a link, for example.
    for entry in old.entries() {
        let path = entry.path(old);
        if find_same(path, entry, &new).is_none() {
            remove_file(root, path)?;
        }
    }
    let mut changed = gix::index::State::new(repo.object_hash());
    for entry in new.entries() {
        let path = entry.path(&new);
        if find_same(path, entry, old).is_none() {
            remove_file(root, path)?;
            changed.dangerously_push_entry(Stat::default(), entry.id, Flags::empty(), entry.mode, path);
        }
    }
    changed.sort_entries();
    let mut changed = gix::index::File::from_state(changed, new.path());
    write_index_files(repo, &mut changed, root, interrupt)?;
    let stats: Vec<Option<Stat>> = new
        .entries()
        .iter()
        .map(|entry| {
            let path = entry.path(&new);
            let written = changed.entry_by_path_and_stage(path, Stage::Unconflicted).map(|entry| entry.stat);
            written.or_else(|| old.entry_by_path(path).map(|entry| entry.stat))
        })
        .collect();
    for (entry, stat) in new.entries_mut().iter_mut().zip(stats) {
        entry.stat = stat.unwrap_or_default();
    }
    Ok(new)
}

fn is_attributes(path: &BStr) -> bool {
    path == ".gitattributes" || path.ends_with(b"/.gitattributes")
}

/// Returns path and object of every file that defines attributes.
fn attributes_of(index: &gix::index::File) -> Vec<(&BStr, gix::ObjectId)> {
    let entries = index.entries().iter().map(|entry| (entry.path(index), entry.id));
    entries.filter(|(path, _)| is_attributes(path)).collect()
}

/// Returns the paths of the files that are as the index describes them, and deletes everything that it does not describe.
fn find_untouched(root: &Path, index: &gix::index::File) -> Result<HashSet<BString>, GitError> {
    let mut cleaner = Cleaner { index, untouched: HashSet::with_capacity(index.entries().len()) };
    cleaner.folder(root, &BString::default())?;
    Ok(cleaner.untouched)
}

struct Cleaner<'a> {
    index: &'a gix::index::File,
    untouched: HashSet<BString>,
}

impl Cleaner<'_> {
    fn folder(&mut self, folder: &Path, prefix: &BString) -> Result<(), GitError> {
        let failed = || io_error(format!("reading {}", folder.display()));
        for entry in std::fs::read_dir(folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            if prefix.is_empty() && name == OsStr::new(".git") {
                continue;
            }
            let mut path = prefix.clone();
            path.extend_from_slice(name.as_bytes());
            let at = entry.path();
            if entry.file_type().map_err(failed())?.is_dir() {
                path.push(b'/');
                if self.index.prefixed_entries(path.as_bstr()).is_some() {
                    self.folder(&at, &path)?;
                } else {
                    patchwright_core::untrusted_tree::delete_folder(&at).map_err(failed())?;
                }
            } else if let Some(known) = self.index.entry_by_path(path.as_bstr()) {
                if self.is_untouched(&at, known)? {
                    self.untouched.insert(path);
                }
            } else {
                std::fs::remove_file(&at).map_err(failed())?;
            }
        }
        Ok(())
    }

    fn is_untouched(&self, file: &Path, known: &gix::index::Entry) -> Result<bool, GitError> {
        let failed = || io_error(format!("inspecting {}", file.display()));
        let metadata = gix::index::fs::Metadata::from_path_no_follow(file).map_err(failed())?;
        let is_kind = match known.mode {
            Mode::FILE => metadata.is_file() && !metadata.is_executable(),
            Mode::FILE_EXECUTABLE => metadata.is_file() && metadata.is_executable(),
            Mode::SYMLINK => metadata.is_symlink(),
            _ => false,
        };
        let options = gix::index::entry::stat::Options { use_nsec: true, ..Default::default() };
        let Ok(stat) = Stat::from_fs(&metadata) else { return Ok(false) };
        if !is_kind || !known.stat.matches(&stat, options) {
            return Ok(false);
        }
        // A file that changed in the moment in which the index was written could look as before.
        let is_racy = known.stat.is_racy(self.index.timestamp(), options);
        Ok(!is_racy || has_content(file, &metadata, known.id))
    }
}

/// Returns whether the bytes of a small plain file are those of an object. A file that is converted never is, and is written again.
fn has_content(file: &Path, metadata: &gix::index::fs::Metadata, id: gix::ObjectId) -> bool {
    const MAX_BYTES: u64 = 1 << 20;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return false;
    }
    let hash = |bytes: Vec<u8>| gix::objs::compute_hash(id.kind(), gix::objs::Kind::Blob, &bytes).ok();
    std::fs::read(file).ok().and_then(hash).is_some_and(|found| found == id)
}

/// Removes a file, and the folders that are empty then: a folder may become a file.
fn remove_file(root: &Path, path: &BStr) -> Result<(), GitError> {
    let Ok(name) = gix::path::from_bstr(path) else { return Ok(()) };
    let file = root.join(name);
    let mut folders = file.ancestors().skip(1).take_while(|folder| *folder != root);
    if folders.any(Path::is_symlink) {
        // Nothing of the tree is behind a link, and what is there is not ours.
        return Ok(());
    }
    match std::fs::remove_file(&file) {
        Ok(()) => {}
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory) =>
        {
            return Ok(());
        }
        Err(error) => return Err(io_error(format!("removing `{path}`"))(error)),
    }
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != root) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}
