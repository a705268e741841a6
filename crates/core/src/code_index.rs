//! Finds the files that a text is about.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::fault::{Cause, Fault};

/// The files of a folder, ranked for an issue.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Likeliest first.
    pub files: Vec<RankedFile>,
    /// How many files were looked at.
    pub files_analyzed: usize,
}

/// One file with its rank.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedFile {
    /// Relative, with `/`.
    pub path: String,
    /// Higher is likelier; comparable within one ranking only. One more is about e times likelier.
    pub score: f64,
    /// Why, in words for people.
    pub reasons: Vec<String>,
}

/// What to look for.
#[derive(Debug, Clone)]
pub struct IndexQuery {
    /// The folder.
    pub root: PathBuf,
    /// The files to look at, relative; `None` walks the folder.
    pub files: Option<Vec<String>>,
    /// The title.
    pub title: String,
    /// The text and what else was said.
    pub body: String,
    /// The most files to return.
    pub limit: usize,
}

/// The index could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the files could not be indexed")]
pub struct CodeIndexError {
    /// Why.
    #[source]
    pub source: Cause,
}

impl CodeIndexError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        Fault::Broken
    }
}

/// Ranks files. MUST return only files that exist, and the same ranking for the same tree and text.
#[async_trait]
pub trait CodeIndex: Send + Sync {
    /// Ranks.
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError>;
}
