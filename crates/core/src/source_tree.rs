//! The files of one commit, and the changes before it.

use std::fmt::Debug;

use crate::fault::Cause;

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// The path relative to the tree's root, with `/`.
    pub path: String,
    /// The id of the content: equal contents have equal ids, in every commit. `None` if the tree keeps no ids.
    pub blob: Option<String>,
}

/// A commit of a tree's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The commit's id.
    pub id: String,
    /// The commit's time in seconds since 1970.
    pub time: i64,
    /// The commit's message.
    pub message: String,
}

/// The tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the files of the tree cannot be listed")]
pub struct SourceTreeError {
    /// The cause.
    #[source]
    pub source: Cause,
}

/// Reads a tree. Calls block, and several threads may call at once.
///
/// An implementation MUST show one state: later writes to a working copy change neither the list of files nor the content of
/// a file that has an id.
pub trait SourceTree: Debug + Send + Sync {
    /// Returns the id of the commit; the same id means the same tree and the same history. `None` without a commit.
    fn id(&self) -> Option<String>;

    /// Returns the plain files (no links, no submodules), sorted by path.
    ///
    /// # Errors
    /// [`SourceTreeError`] if the tree cannot be read.
    fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError>;

    /// Returns the contents of these files, in their order; `None` for a file that is missing or larger than `max_bytes`.
    fn read(&self, files: &[TreeFile], max_bytes: u64) -> Vec<Option<Vec<u8>>>;

    /// Returns at most `limit` commits that lead to the tree, newest first; fewer in a shallow clone, none without history.
    fn history(&self, limit: usize) -> Vec<HistoryEntry>;

    /// Returns the paths that a commit changed, compared with its first parent; none if that is not available.
    fn list_changed_paths(&self, commit: &str) -> Vec<String>;

    /// Returns a plain file as it was at a commit, which is given by its whole id; `None` if commit or file are not available, or the
    /// file is larger than `max_bytes`.
    fn read_at(&self, commit: &str, path: &str, max_bytes: u64) -> Option<Vec<u8>>;

    /// Returns the id of a commit's first parent; `None` if the commit is not available or has none.
    fn first_parent(&self, commit: &str) -> Option<String>;
}
