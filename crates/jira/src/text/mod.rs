//! Conversion between Jira's two kinds of text, wiki markup (REST API 2 and webhooks) and ADF (REST API 3), and Markdown,
//! through a common tree of [`Block`]s.

mod adf;
mod markdown;
mod wiki;

pub use adf::{from_adf, to_adf};
pub use markdown::{from_markdown, to_markdown};
pub use wiki::{from_wiki, to_wiki};

/// A block of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A heading of level 1 to 6.
    Heading(u8, Vec<Inline>),
    /// Lines of text.
    Paragraph(Vec<Inline>),
    /// Code without formatting.
    Code {
        /// The language; may be empty.
        language: String,
        /// The code, without a line break at its end.
        text: String,
    },
    /// A quotation.
    Quote(Vec<Block>),
    /// A list.
    List {
        /// Whether the items are numbered.
        ordered: bool,
        /// The blocks of each item; the first one is usually a paragraph.
        items: Vec<Vec<Block>>,
    },
    /// A table. Rows may be shorter than the head.
    Table {
        /// The cells of the head; empty without one.
        head: Vec<Vec<Inline>>,
        /// The cells of each row.
        rows: Vec<Vec<Vec<Inline>>>,
    },
    /// A horizontal line.
    Rule,
    /// Blocks that are collapsed at first (a panel in wiki markup).
    Details {
        /// The title.
        summary: String,
        /// The collapsed blocks.
        blocks: Vec<Block>,
    },
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Plain text.
    Text(String),
    /// Bold text.
    Strong(Vec<Inline>),
    /// Italic text.
    Emphasis(Vec<Inline>),
    /// Struck-through text.
    Strike(Vec<Inline>),
    /// Code without formatting.
    Code(String),
    /// A link.
    Link {
        /// The visible text.
        text: Vec<Inline>,
        /// The address: `http`, `https` or `mailto` only.
        url: String,
    },
    /// A mention of an account.
    Mention {
        /// The account id.
        id: String,
        /// The display name; empty if only the account is known.
        name: String,
    },
    /// A line break.
    Break,
}

/// The deepest nesting of quotations, lists and formats. Deeper levels are read as plain text.
pub(crate) const MAX_DEPTH: usize = 24;

/// Returns the text without formatting.
pub fn plain(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Code(text) => out.push_str(text),
            Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) => out.push_str(&plain(inner)),
            Inline::Link { text, .. } => out.push_str(&plain(text)),
            Inline::Mention { name, .. } => out.push_str(&format!("@{name}")),
            Inline::Break => out.push(' '),
        }
    }
    out
}

/// Returns whether an address may be the target of a link.
pub(crate) fn is_safe(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    let known = ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme));
    known && !url.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '|' | ']' | '<' | '>'))
}

/// Appends a text, merging it with a text before it.
pub(crate) fn push_text(out: &mut Vec<Inline>, text: &str) {
    if text.is_empty() {
        return;
    }
    match out.last_mut() {
        Some(Inline::Text(last)) => last.push_str(text),
        _ => out.push(Inline::Text(text.to_owned())),
    }
}

/// Appends a text and converts the bare addresses in it into links.
pub(crate) fn push_linked(out: &mut Vec<Inline>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find("http://").into_iter().chain(rest.find("https://")).min() {
        let end = |c: char| c.is_whitespace() || c.is_control() || "<>|[]{}\"'`，。）".contains(c);
        let length = rest[at..].find(end).unwrap_or(rest.len() - at);
        let url = rest[at..at + length].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '*', '_']);
        let bare = url.ends_with("//");
        push_text(out, &rest[..at]);
        if bare || !is_safe(url) {
            push_text(out, url);
        } else {
            out.push(Inline::Link { text: vec![Inline::Text(url.to_owned())], url: url.to_owned() });
        }
        rest = &rest[at + url.len()..];
    }
    push_text(out, rest);
}

#[cfg(test)]
mod tests;
