//! A tree of files as it stands at one commit, and the changes that led to it.

use std::fmt::Debug;

use crate::fault::Cause;

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Relative, with `/`.
    pub path: String,
    /// The id of its content: the same content has the same id, in every commit. `None` where the tree keeps no ids.
    pub blob: Option<String>,
}

/// A change of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastChange {
    /// Its id.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Its message.
    pub message: String,
}

/// The tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the files of the tree cannot be listed")]
pub struct SourceTreeError {
    /// Why.
    #[source]
    pub source: Cause,
}

/// Reads a tree. Calls block, and many threads may call at once. MUST show one moment: what is written meanwhile into a
/// working copy changes neither the list nor a file of it that has an id.
pub trait SourceTree: Debug + Send + Sync {
    /// The id of the commit that it is; the same id means the same tree and the same past. `None` where there is no commit.
    fn id(&self) -> Option<String>;

    /// Its plain files (no links, no modules), in the order of their paths.
    ///
    /// # Errors
    /// [`SourceTreeError`] when the tree is not there.
    fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError>;

    /// The content of some of its files, in their order; what is larger than `most` bytes, or missing, is `None`.
    fn read(&self, files: &[TreeFile], most: u64) -> Vec<Option<Vec<u8>>>;

    /// The changes that led to it, newest first; as many as are there where that is fewer, and none where no history is.
    fn past(&self, most: usize) -> Vec<PastChange>;

    /// The files that a change touched, compared with the one before it; nothing where that cannot be told.
    fn touched(&self, change: &str) -> Vec<String>;
}
