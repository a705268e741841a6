//! Ranking the files of a tree by how likely an issue is about them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::fault::{Cause, Fault};
use crate::source_tree::SourceTree;

/// The files of a tree, ranked for an issue.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The files, most likely first.
    pub files: Vec<RankedFile>,
    /// The functions of the first files in one list, most likely first; only with [`IndexQuery::with_outlines`].
    pub functions: Vec<RankedFunction>,
    /// The number of files that were ranked.
    pub files_analyzed: usize,
}

/// A function, ranked among those of all files.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedFunction {
    /// The path of its file.
    pub path: String,
    /// Its name, kind and lines.
    pub symbol: RankedSymbol,
    /// The score as a log-odds value; comparable within one ranking only.
    pub score: f64,
}

/// One ranked file.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedFile {
    /// The path relative to the tree's root, with `/`.
    pub path: String,
    /// The score as a log-odds value: higher by one is about e times as likely. Comparable within one ranking only.
    pub score: f64,
    /// The reasons for the score, for users.
    pub reasons: Vec<String>,
    /// The definitions that are meant most likely, most likely first; only for the first files (see
    /// [`IndexQuery::with_outlines`]).
    pub symbols: Vec<RankedSymbol>,
    /// The file without function bodies, one line for each definition with its line number; empty if it was not asked for.
    pub skeleton: String,
}

/// A definition in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedSymbol {
    /// The qualified name, `Class.method`.
    pub name: String,
    /// The kind of definition: `function`, `class`, …
    pub kind: String,
    /// The first and last line, from 1, inclusive.
    pub lines: (u32, u32),
}

/// A definition of a text, as a parser finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The qualified name, `Class.method`.
    pub name: String,
    /// The kind of definition: `function`, `class`, …
    pub kind: String,
    /// The first and last line, from 1, inclusive. Decorators and comments above are not part of it.
    pub lines: (u32, u32),
    /// The declaration on one line, without the body.
    pub signature: String,
    /// The number of definitions around this one.
    pub depth: usize,
}

/// A function that was executed while a sample of the text, or a test that it names, ran.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutedFunction {
    /// The path of its file, relative to the tree's root, with `/`.
    pub path: String,
    /// The line at which it begins, from 1, with its decorators.
    pub line: u32,
    /// Its name without the class.
    pub name: String,
    /// How late it was called by the statement that failed, or else by the last statement: 1 for the last call, 0 if that statement
    /// did not call it.
    pub recency: f64,
    /// If the sample failed in it: how many frames of the traceback are below, 0 for the innermost.
    pub depth: Option<u32>,
}

/// The shares of being executed at all, late, and where it failed. See `docs/locate.md#accuracy-and-speed`.
const EXECUTED_SHARE: f64 = 0.42;
const RECENCY_SHARE: f64 = 0.3;
const FAILED_SHARE: f64 = 0.28;
/// How much less each frame of a traceback counts than the one below.
const FRAME_DECAY: f64 = 0.8;

impl ExecutedFunction {
    /// Returns how much the run points to this function, between 0 and 1.
    pub fn value(&self) -> f64 {
        let failed = self.depth.map_or(0.0, |depth| FRAME_DECAY.powi(i32::try_from(depth).unwrap_or(i32::MAX)));
        EXECUTED_SHARE + RECENCY_SHARE * self.recency.clamp(0.0, 1.0) + FAILED_SHARE * failed
    }
}

/// A ranking to compute. Made by [`IndexQuery::new`] and its `with_*` methods.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IndexQuery {
    /// The tree to rank.
    pub tree: Arc<dyn SourceTree>,
    /// The key of the index cache. `None` keeps nothing.
    pub repository: Option<String>,
    /// The title.
    pub title: String,
    /// The text and comments.
    pub body: String,
    /// The labels.
    pub labels: Vec<String>,
    /// What was executed while the samples of the text ran.
    pub executed: Vec<ExecutedFunction>,
    /// The folder to which the ranking is restricted.
    pub folder: Option<String>,
    /// The number of top files that get symbols and a skeleton.
    pub outlines: usize,
    /// The largest number of files to return.
    pub limit: usize,
}

impl IndexQuery {
    /// The number of files that a query returns unless [`Self::with_limit`] changes it.
    pub const DEFAULT_LIMIT: usize = 20;

    /// Creates a query for the best [`Self::DEFAULT_LIMIT`] files of a tree, without a cache, labels and outlines.
    pub fn new(tree: Arc<dyn SourceTree>, title: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            tree,
            repository: None,
            title: title.into(),
            body: body.into(),
            labels: Vec::new(),
            executed: Vec::new(),
            folder: None,
            outlines: 0,
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Names the repository, so that what is read of one of its trees serves the next ones.
    #[must_use]
    pub fn with_repository(self, repository: impl Into<String>) -> Self {
        Self { repository: Some(repository.into()), ..self }
    }

    /// Sets the labels.
    #[must_use]
    pub fn with_labels(self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets what was executed while the samples of the text ran.
    #[must_use]
    pub fn with_executed(self, executed: Vec<ExecutedFunction>) -> Self {
        Self { executed, ..self }
    }

    /// Restricts the ranking to the files below a folder.
    #[must_use]
    pub fn with_folder(self, folder: impl Into<String>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Asks for symbols and a skeleton of the first `count` files.
    #[must_use]
    pub fn with_outlines(self, count: usize) -> Self {
        Self { outlines: count, ..self }
    }

    /// Sets the largest number of files to return.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

/// The tree could not be indexed.
#[derive(Debug, thiserror::Error)]
#[error("the files could not be indexed")]
pub struct CodeIndexError {
    /// The cause.
    #[source]
    pub source: Cause,
}

impl CodeIndexError {
    /// Returns what the caller can do about the error.
    pub const fn fault(&self) -> Fault {
        Fault::Internal
    }
}

/// Ranks files.
///
/// An implementation MUST return only files that exist, and the same ranking for the same tree and text.
#[async_trait]
pub trait CodeIndex: Send + Sync {
    /// Ranks the files of the query's tree.
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError>;

    /// Returns the definitions of a text in their order; none where the language is not known.
    fn outline(&self, path: &str, text: &str) -> Vec<Definition> {
        let _ = (path, text);
        Vec::new()
    }

    /// Returns the lines with syntax errors in a text, from 1, in their order; none where the language is not known. Grammars have
    /// faults: compare with the text before a change.
    fn syntax_errors(&self, path: &str, text: &str) -> Vec<usize> {
        let _ = (path, text);
        Vec::new()
    }
}
