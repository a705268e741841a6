//! Texts of Jira as Markdown.

use serde_json::Value;

use crate::text::{from_adf, from_wiki, to_markdown};

/// Decodes a text: a string is wiki markup, an object a document. `mention` formats the mention of an account (id, name).
pub(crate) fn decode_text(text: &Value, mention: &dyn Fn(&str, &str) -> String) -> String {
    let blocks = match text {
        Value::String(wiki) => from_wiki(wiki),
        document => from_adf(document),
    };
    to_markdown(&blocks, mention)
}

/// Formats a mention that notifies nobody: a zero-width space follows the `@`.
pub(crate) fn inert_mention(_: &str, name: &str) -> String {
    format!("@\u{200b}{}", if name.is_empty() { "somebody" } else { name })
}
