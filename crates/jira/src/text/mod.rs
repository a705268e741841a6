//! The two kinds of text that Jira knows, wiki markup (API 2, and bodies of webhooks) and ADF (API 3), and Markdown, which
//! is what the rest of the world writes. Each is read into the same blocks and written from them.

mod adf;
mod markdown;
mod wiki;

pub use adf::{from_adf, to_adf};
pub use markdown::{from_markdown, to_markdown};
pub use wiki::{from_wiki, to_wiki};

/// A piece of text that stands by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A heading of level 1 to 6.
    Heading(u8, Vec<Inline>),
    /// Lines of text.
    Paragraph(Vec<Inline>),
    /// Code, as it is.
    Code {
        /// Its language; may be empty.
        language: String,
        /// Without a line break at its end.
        text: String,
    },
    /// What somebody else said.
    Quote(Vec<Block>),
    /// A list.
    List {
        /// Whether its items are numbered.
        ordered: bool,
        /// Each item with its blocks; the first one is a paragraph mostly.
        items: Vec<Vec<Block>>,
    },
    /// A table. Rows may be shorter than the head.
    Table {
        /// The head.
        head: Vec<Vec<Inline>>,
        /// The rows below.
        rows: Vec<Vec<Vec<Inline>>>,
    },
    /// A line across.
    Rule,
    /// What is shown on demand.
    Details {
        /// What stands there before.
        summary: String,
        /// What is shown.
        blocks: Vec<Block>,
    },
}

/// A piece of text within a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Plain.
    Text(String),
    /// Bold.
    Strong(Vec<Inline>),
    /// Italic.
    Emphasis(Vec<Inline>),
    /// Struck through.
    Strike(Vec<Inline>),
    /// Code, as it is.
    Code(String),
    /// A link.
    Link {
        /// What is shown.
        text: Vec<Inline>,
        /// Where it leads: `http`, `https` or `mailto` only.
        url: String,
    },
    /// A person.
    Mention {
        /// The account.
        id: String,
        /// The name that is shown; empty when only the account is known.
        name: String,
    },
    /// A new line.
    Break,
}

/// How deep quotes, lists and formats may be nested; what is deeper is read as plain text.
pub(crate) const MAX_DEPTH: usize = 24;

/// The words alone.
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

/// Whether a link may lead there.
pub(crate) fn is_safe(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    let known = ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme));
    known && !url.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '|' | ']' | '<' | '>'))
}

/// Adds a text, to the one before it where there is one.
pub(crate) fn push_text(out: &mut Vec<Inline>, text: &str) {
    if text.is_empty() {
        return;
    }
    match out.last_mut() {
        Some(Inline::Text(last)) => last.push_str(text),
        _ => out.push(Inline::Text(text.to_owned())),
    }
}

/// Adds a text whose bare addresses become links.
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
