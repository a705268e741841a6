#![doc = include_str!("../README.md")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of files and words become scores, where the last digits mean nothing"
)]

mod adapter;
mod bm25;
mod corpus;
mod definitions;
mod rank;
mod signals;
mod tokens;

pub use adapter::LexicalIndex;
pub use corpus::Document;
pub use rank::{Index, Ranked};
pub use signals::IssueText;
