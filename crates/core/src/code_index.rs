//! Finds the files that a text is about.

use std::sync::Arc;

use async_trait::async_trait;

use crate::fault::{Cause, Fault};
use crate::source_tree::SourceTree;

/// The files of a tree, ranked for an issue.
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
    /// What of the file is likeliest meant, likeliest first; told of the first files only.
    pub symbols: Vec<RankedSymbol>,
    /// The file without its bodies, a line for each definition with the number of its line; empty where it was not made.
    pub skeleton: String,
}

/// A definition in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedSymbol {
    /// Its name with those around it, `Class.method`.
    pub name: String,
    /// `function`, `class` and the like.
    pub kind: String,
    /// The lines that it stands in, from 1, both inclusive.
    pub lines: (u32, u32),
}

/// What to look for.
#[derive(Debug, Clone)]
pub struct IndexQuery {
    /// Where.
    pub tree: Arc<dyn SourceTree>,
    /// Whose tree it is: what was read of one tree of a repository serves the next ones. `None` keeps nothing.
    pub repository: Option<String>,
    /// The title.
    pub title: String,
    /// The text and what else was said.
    pub body: String,
    /// The labels.
    pub labels: Vec<String>,
    /// Rank only what lies in this folder.
    pub folder: Option<String>,
    /// Of how many of the first files to tell symbols and a skeleton.
    pub outlined: usize,
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
        Fault::Internal
    }
}

/// Ranks files. MUST return only files that exist, and the same ranking for the same tree and text.
#[async_trait]
pub trait CodeIndex: Send + Sync {
    /// Ranks.
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError>;
}
