#![doc = include_str!("../README.md")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of files and words become scores, where the last digits mean nothing"
)]

mod adapter;
mod corpus;
mod explain;
mod features;
mod history;
mod index;
mod language;
mod model;
mod modules;
mod query;
mod scan;
mod words;

pub use adapter::LexicalIndex;
pub use corpus::{Document, MAX_BYTES};
pub use features::Sign;
pub use history::{Commit, History};
pub use index::{Index, Ranked};
pub use language::is_source;
pub use query::IssueText;
