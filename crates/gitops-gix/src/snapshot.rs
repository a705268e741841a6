//! Reading the files and the history of a commit without a working copy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::objs::tree::EntryKind;
use gix::traverse::commit::simple::CommitTimeOrder;
use patchwright_core::git::GitError;
use patchwright_core::source_tree::{HistoryEntry, SourceTree, SourceTreeError, TreeFile};

use patchwright_domain::BranchName;

use crate::error::{internal, io_error};
use crate::objects::{set_branch, tree_of};
use crate::repository::{MAX_OBJECT_BYTES, create_git_dir, open, share_objects};
use crate::tree_limits::{MAX_DEPTH, MAX_FOLDER_BYTES};
use crate::work_tree::write_files;

/// The tree of a commit in a repository on this machine. Cheap to clone, and safe to read from several threads.
#[derive(Debug, Clone)]
pub struct Snapshot {
    repo: gix::ThreadSafeRepository,
    commit: gix::ObjectId,
}

impl Snapshot {
    /// Opens a repository (bare or with a working copy) at a branch, tag or commit.
    ///
    /// # Errors
    /// [`GitError::Internal`] if there is no repository, or no such revision in it.
    pub fn open(path: &Path, rev: &str) -> Result<Self, GitError> {
        let failed = internal("opening the repository");
        let repo = open(path, MAX_OBJECT_BYTES)?;
        let commit =
            repo.rev_parse_single(rev).and_then(|id| Ok(id.object()?.peel_to_commit()?.id)).map_err(&failed)?;
        Ok(Self { repo: repo.into_sync(), commit })
    }

    /// Returns whether the working copy of the repository differs from its index, or its index from the commit that is checked out.
    /// Files that git does not know do not count. A bare repository has no working copy.
    ///
    /// # Errors
    /// [`GitError::Internal`] if the files cannot be compared.
    pub fn has_uncommitted_work(path: &Path) -> Result<bool, GitError> {
        let failed = internal("comparing the working copy");
        let repo = open(path, MAX_OBJECT_BYTES)?;
        repo.is_dirty().map_err(&failed)
    }

    /// Writes the files of the commit to a folder that does not exist yet, without `.git`.
    ///
    /// # Errors
    /// [`GitError::Internal`] if an object is missing or the folder cannot be written.
    pub fn export(&self, folder: &Path) -> Result<(), GitError> {
        let action = format!("writing {}", folder.display());
        std::fs::create_dir_all(folder).map_err(|source| GitError::Internal { action, source: Box::new(source) })?;
        write_files(&self.repo.to_thread_local(), self.commit, folder, &AtomicBool::new(false)).map(|_| ())
    }

    /// Creates a bare repository whose only branch ends at the commit. It borrows the objects of this one (git's alternates), and
    /// no reference of it leads to later commits.
    ///
    /// # Errors
    /// [`GitError::Internal`] if the folder is not empty or cannot be written.
    pub fn share(&self, folder: &Path, branch: &BranchName) -> Result<(), GitError> {
        let is_free = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !is_free {
            let action = format!("creating a repository in {}", folder.display());
            return Err(GitError::Internal { action, source: "the folder is not empty".into() });
        }
        create_git_dir(folder, true)?;
        share_objects(folder, &self.repo.to_thread_local())?;
        let repo = open(folder, MAX_OBJECT_BYTES)?;
        set_branch(&repo, branch, self.commit, gix::refs::transaction::PreviousValue::MustNotExist)?;
        std::fs::write(folder.join("HEAD"), format!("ref: {}\n", branch.full_ref())).map_err(io_error("writing HEAD"))
    }

    /// Returns the paths of the files that differ from another commit of the same repository.
    ///
    /// # Errors
    /// [`GitError::Internal`] if an object is missing, or more folders differ than are compared.
    pub fn list_differences(&self, other: &Self) -> Result<Vec<String>, GitError> {
        let repo = self.repo.to_thread_local();
        let mut diff = TreeDiff { repo: &repo, trees: 0, paths: Vec::new() };
        let complete = diff.compare(Some(tree_of(&repo, self.commit)?), Some(tree_of(&repo, other.commit)?), "");
        complete.ok_or_else(|| GitError::Internal {
            action: "comparing two commits".to_owned(),
            source: "an object is missing, or too many folders differ".into(),
        })?;
        Ok(diff.paths)
    }

    pub(crate) const fn new(repo: gix::ThreadSafeRepository, commit: gix::ObjectId) -> Self {
        Self { repo, commit }
    }

    fn list(&self) -> Result<Vec<TreeFile>, GitError> {
        let failed = internal("reading the tree");
        let repo = self.repo.to_thread_local();
        let tree = repo.find_commit(self.commit).map_err(&failed)?.tree().map_err(&failed)?;
        let entries = tree.traverse().breadthfirst.files().map_err(&failed)?;
        let mut files: Vec<TreeFile> = entries
            .into_iter()
            .filter(|entry| entry.mode.is_blob())
            .map(|entry| TreeFile { path: entry.filepath.to_string(), blob: Some(entry.oid.to_string()) })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

impl SourceTree for Snapshot {
    fn id(&self) -> Option<String> {
        Some(self.commit.to_string())
    }

    fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
        self.list().map_err(|error| SourceTreeError { source: Box::new(error) })
    }

    fn read(&self, files: &[TreeFile], max_bytes: u64) -> Vec<Option<Vec<u8>>> {
        let repo = self.repo.to_thread_local();
        let content = |file: &TreeFile| {
            let id = gix::ObjectId::from_hex(file.blob.as_ref()?.as_bytes()).ok()?;
            if repo.find_header(id).ok()?.size() > max_bytes {
                return None;
            }
            Some(std::mem::take(&mut repo.find_object(id).ok()?.data))
        };
        files.iter().map(content).collect()
    }

    fn history(&self, limit: usize) -> Vec<HistoryEntry> {
        let repo = self.repo.to_thread_local();
        let newest = gix::revision::walk::Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
        let Ok(walk) = repo.rev_walk([self.commit]).sorting(newest).all() else { return Vec::new() };
        let mut history = Vec::new();
        for info in walk.take(limit) {
            // The walk fails at the boundary of a shallow clone.
            let Ok(commit) = info.and_then(|info| info.object()) else { break };
            let Ok(decoded) = commit.decode() else { continue };
            let time = decoded.time().map(|time| time.seconds).unwrap_or_default();
            history.push(HistoryEntry { id: commit.id.to_string(), time, message: decoded.message.to_string() });
        }
        history
    }

    fn list_changed_paths(&self, commit: &str) -> Vec<String> {
        let repo = self.repo.to_thread_local();
        let compare = || -> Option<Vec<String>> {
            let id = gix::ObjectId::from_hex(commit.as_bytes()).ok()?;
            let commit = repo.find_commit(id).ok()?;
            let parent = commit.parent_ids().next()?;
            let before = repo.find_commit(parent).ok()?.tree_id().ok()?;
            let mut diff = TreeDiff { repo: &repo, trees: 0, paths: Vec::new() };
            diff.compare(Some(before.detach()), Some(commit.tree_id().ok()?.detach()), "")?;
            Some(diff.paths)
        };
        compare().unwrap_or_default()
    }

    fn read_at(&self, commit: &str, path: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let repo = self.repo.to_thread_local();
        let commit = repo.find_commit(gix::ObjectId::from_hex(commit.as_bytes()).ok()?).ok()?;
        let entry = commit.tree().ok()?.lookup_entry_by_path(path).ok()??;
        if !entry.mode().is_blob() || repo.find_header(entry.object_id()).ok()?.size() > max_bytes {
            return None;
        }
        Some(std::mem::take(&mut repo.find_object(entry.object_id()).ok()?.data))
    }

    fn first_parent(&self, commit: &str) -> Option<String> {
        let repo = self.repo.to_thread_local();
        let commit = repo.find_commit(gix::ObjectId::from_hex(commit.as_bytes()).ok()?).ok()?;
        Some(commit.parent_ids().next()?.to_string())
    }
}

/// The largest number of folders that a comparison reads. A few objects can describe an enormous tree.
const MAX_TREES: usize = 20_000;

type Entries = BTreeMap<String, (EntryKind, gix::ObjectId)>;

/// Collects the paths of files, links and submodules that differ between two trees.
///
/// Only folders that differ are read. gix's own comparison first reads the whole tree for attributes and renames, which are
/// not needed here and take ten times as long.
struct TreeDiff<'a> {
    repo: &'a gix::Repository,
    trees: usize,
    paths: Vec<String>,
}

impl TreeDiff<'_> {
    /// Compares two trees. Returns `None` if an object is missing or a limit is exceeded.
    fn compare(&mut self, before: Option<gix::ObjectId>, after: Option<gix::ObjectId>, folder: &str) -> Option<()> {
        self.trees += 1;
        if self.trees > MAX_TREES || folder.matches('/').count() > MAX_DEPTH {
            return None;
        }
        let entries = |tree: Option<gix::ObjectId>| -> Option<Entries> {
            let Some(tree) = tree else { return Some(Entries::new()) };
            if self.repo.find_header(tree).ok()?.size() > MAX_FOLDER_BYTES {
                return None;
            }
            let tree = self.repo.find_tree(tree).ok()?;
            let entry = |entry: Result<gix::object::tree::EntryRef<'_, '_>, _>| {
                let entry = entry.ok()?;
                Some((entry.filename().to_string(), (entry.mode().kind(), entry.object_id())))
            };
            tree.iter().map(entry).collect()
        };
        let (before, after) = (entries(before)?, entries(after)?);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            if old == new {
                continue;
            }
            let path = format!("{folder}{name}");
            let tree = |entry: Option<&(EntryKind, gix::ObjectId)>| {
                entry.filter(|entry| entry.0 == EntryKind::Tree).map(|e| e.1)
            };
            // Plain files, links and submodules.
            let is_leaf = |entry: Option<&(EntryKind, gix::ObjectId)>| entry.is_some_and(|e| e.0 != EntryKind::Tree);
            if tree(old).is_some() || tree(new).is_some() {
                self.compare(tree(old), tree(new), &format!("{path}/"))?;
            }
            if is_leaf(old) || is_leaf(new) {
                self.paths.push(path);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use patchwright_domain::BranchName;

    use super::*;
    use crate::seed_repository;

    #[test]
    fn the_files_of_a_commit_are_read_without_a_working_copy() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("src/a.py", "x = 1\n"), ("b.bin", "\0\0"), ("README.md", "# hi\n")];
        let main = BranchName::parse("main").unwrap();
        seed_repository(folder.path(), &main, &files, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let snapshot = Snapshot::open(folder.path(), "main").unwrap();
        let found = snapshot.files().unwrap();
        let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["README.md", "b.bin", "src/a.py"]);
        let texts = snapshot.read(&found, 1_000);
        assert_eq!(texts, [Some(b"# hi\n".to_vec()), Some(b"\0\0".to_vec()), Some(b"x = 1\n".to_vec())]);
        let short = [Some(b"# hi\n".to_vec()), Some(b"\0\0".to_vec()), None];
        assert_eq!(snapshot.read(&found, 5), short, "larger files are not read");
        let history = snapshot.history(10);
        assert_eq!((history.len(), history[0].time), (1, 0));
        assert!(snapshot.list_changed_paths(&history[0].id).is_empty(), "the first commit has no parent");
        assert!(Snapshot::open(folder.path(), "no-such-branch").is_err());
        let copy = folder.path().join("copy");
        snapshot.export(&copy).unwrap();
        assert_eq!(std::fs::read_to_string(copy.join("src/a.py")).unwrap(), "x = 1\n");
        assert!(snapshot.list_differences(&snapshot).unwrap().is_empty() && !copy.join(".git").exists());
    }
}
