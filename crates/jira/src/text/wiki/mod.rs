//! Wiki markup (API 2, and what webhooks carry).

mod blocks;
mod inlines;
mod write;

pub use blocks::from_wiki;
pub use write::to_wiki;

/// Between a sign and what would give it its meaning.
const JOINER: char = '\u{200b}';
