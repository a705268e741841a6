//! A commit, read without a working copy: its files, and the changes that led to it.

use std::path::Path;

use gix::traverse::commit::simple::CommitTimeOrder;
use patchwright_core::git::GitError;

use crate::error::broken;

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Relative, with `/`.
    pub path: String,
    /// The id of its content: the same content has the same one.
    pub blob: String,
}

/// A change of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommit {
    /// Its id.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Its message.
    pub message: String,
}

/// A commit of a repository on this machine. Cheap to clone; each thread reads with a handle of its own.
#[derive(Debug, Clone)]
pub struct Snapshot {
    repo: gix::ThreadSafeRepository,
    commit: gix::ObjectId,
}

impl Snapshot {
    /// Opens a repository (bare or with a working copy) at a branch, tag or commit.
    ///
    /// # Errors
    /// [`GitError::Broken`] when there is no repository, or nothing of that name in it.
    pub fn open(path: &Path, rev: &str) -> Result<Self, GitError> {
        let failed = broken("opening the repository");
        let repo = gix::open_opts(path, gix::open::Options::isolated())
            .map_err(|error| failed(gix::Error::from_error(error)))?;
        let commit =
            repo.rev_parse_single(rev).and_then(|id| Ok(id.object()?.peel_to_commit()?.id)).map_err(&failed)?;
        Ok(Self { repo: repo.into_sync(), commit })
    }

    /// Its files, links and modules left out, in the order of their paths.
    ///
    /// # Errors
    /// [`GitError::Broken`] when an object is missing.
    pub fn files(&self) -> Result<Vec<SnapshotFile>, GitError> {
        let failed = broken("reading the tree");
        let repo = self.repo.to_thread_local();
        let tree = repo.find_commit(self.commit).map_err(&failed)?.tree().map_err(&failed)?;
        let entries = tree.traverse().breadthfirst.files().map_err(&failed)?;
        let mut files: Vec<SnapshotFile> = entries
            .into_iter()
            .filter(|entry| entry.mode.is_blob())
            .map(|entry| SnapshotFile { path: entry.filepath.to_string(), blob: entry.oid.to_string() })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The content of some files, in their order; what is larger than `most` bytes, or missing, is `None`.
    pub fn read(&self, files: &[SnapshotFile], most: u64) -> Vec<Option<Vec<u8>>> {
        let repo = self.repo.to_thread_local();
        let content = |file: &SnapshotFile| {
            let id = gix::ObjectId::from_hex(file.blob.as_bytes()).ok()?;
            if repo.find_header(id).ok()?.size() > most {
                return None;
            }
            Some(std::mem::take(&mut repo.find_object(id).ok()?.data))
        };
        files.iter().map(content).collect()
    }

    /// The newest commits up to this one.
    ///
    /// # Errors
    /// [`GitError::Broken`] when an object is missing.
    pub fn past(&self, most: usize) -> Result<Vec<PastCommit>, GitError> {
        let failed = broken("reading the history");
        let repo = self.repo.to_thread_local();
        let newest = gix::revision::walk::Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
        let walk = repo.rev_walk([self.commit]).sorting(newest).all().map_err(&failed)?;
        let mut past = Vec::new();
        for info in walk.take(most) {
            // A shallow clone ends somewhere: what is known is what counts.
            let Ok(commit) = info.and_then(|info| info.object()) else { break };
            let Ok(decoded) = commit.decode() else { continue };
            let time = decoded.time().map(|time| time.seconds).unwrap_or_default();
            past.push(PastCommit { id: commit.id.to_string(), time, message: decoded.message.to_string() });
        }
        Ok(past)
    }

    /// The files that a commit touched, compared with its first parent; nothing for one that cannot be read, and for a merge
    /// what it brought in.
    pub fn touched(&self, commit: &str) -> Vec<String> {
        let repo = self.repo.to_thread_local();
        let touched = || -> Option<Vec<String>> {
            let id = gix::ObjectId::from_hex(commit.as_bytes()).ok()?;
            let commit = repo.find_commit(id).ok()?;
            let parent = commit.parent_ids().next()?;
            let before = repo.find_commit(parent).ok()?.tree().ok()?;
            let options = gix::diff::Options::default();
            let changes = repo.diff_tree_to_tree(Some(&before), Some(&commit.tree().ok()?), Some(options)).ok()?;
            let path = |change: gix::object::tree::diff::ChangeDetached| change.location().to_string();
            Some(changes.into_iter().filter(|change| change.entry_mode().is_blob()).map(path).collect())
        };
        touched().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use patchwright_domain::BranchName;

    use super::*;
    use crate::seed_repository;

    #[test]
    fn a_commit_is_read_without_a_working_copy() {
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
        assert_eq!(snapshot.read(&found, 5), short, "what is larger is not read");
        let past = snapshot.past(10).unwrap();
        assert_eq!((past.len(), past[0].time), (1, 0));
        assert!(snapshot.touched(&past[0].id).is_empty(), "the first commit has nothing to be compared with");
        assert!(Snapshot::open(folder.path(), "no-such-branch").is_err());
    }
}
