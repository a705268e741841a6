#![doc = include_str!("../README.md")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of files and words become scores, where the last digits mean nothing"
)]

mod call_graph;
mod corpus;
mod explain;
mod features;
mod functions;
#[cfg(feature = "tree-sitter")]
mod grammar;
mod history;
mod index;
mod index_cache;
mod language;
mod lexical;
mod locator;
mod model;
mod modules;
mod outline;
mod pattern;
mod query;
mod scan;
mod structure;
mod symbols;
mod words;

pub use corpus::{Document, FolderTree};
pub use features::Feature;
pub use functions::{FunctionFeature, FunctionRow};
pub use index::{Index, RankedDocument};
pub use language::{is_source, is_test};
pub use locator::Locator;
pub use outline::{Symbol, SymbolKind, outline};
pub use query::IssueText;
