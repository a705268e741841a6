//! Wiki markup (REST API 2 and webhooks).

mod blocks;
mod inlines;
mod write;

pub use blocks::from_wiki;
pub use write::to_wiki;

/// A zero-width space. It is inserted where a text would otherwise start a block or end a code block.
const JOINER: char = '\u{200b}';
