//! Comments in Jira's form: a text of one of two kinds, and a property for the hidden marker.

use serde_json::{Value, json};

use crate::client::ApiVersion;
use crate::text::{Block, Inline, from_markdown, to_adf, to_wiki};
use crate::wire::{Property, WriteComment};

/// The longest comment. Jira's limit is 32,767 characters; the difference covers how Jira counts.
const MAX_CHARS: usize = 32_000;
/// The comment property with the marker. Jira shows HTML comments as text, so the marker cannot be part of the text.
const MARKER_PROPERTY: &str = "patchwright.mark";

/// Encodes a comment from Markdown. An HTML comment at its end, the marker, becomes a property.
pub(crate) fn encode_comment(markdown: &str, version: ApiVersion) -> WriteComment {
    let (text, marker) = split_marker(markdown);
    let blocks = fit_blocks(text, version);
    let body = match version {
        ApiVersion::V2 => Value::String(to_wiki(&blocks)),
        ApiVersion::V3 => to_adf(&blocks),
    };
    let properties =
        marker.map(|marker| Property { key: MARKER_PROPERTY.to_owned(), value: json!({ "mark": marker }) });
    WriteComment { body, properties: properties.into_iter().collect() }
}

/// Returns the first blocks of a text that fit into a comment, with `…` at the end if some are left out.
fn fit_blocks(text: &str, version: ApiVersion) -> Vec<Block> {
    let length = |block: &Block| {
        let block = std::slice::from_ref(block);
        match version {
            ApiVersion::V2 => to_wiki(block).chars().count() + 2,
            // The limit counts the whole JSON document.
            ApiVersion::V3 => to_adf(block).to_string().chars().count(),
        }
    };
    let mut text = text.to_owned();
    loop {
        let blocks = from_markdown(&text);
        let all = blocks.len();
        let mut remaining = MAX_CHARS;
        let fits = |block: &Block| {
            remaining = remaining.saturating_sub(length(block));
            remaining > 0
        };
        let mut kept: Vec<Block> = blocks.into_iter().take_while(fits).collect();
        if !kept.is_empty() || all == 0 {
            if kept.len() < all {
                kept.push(Block::Paragraph(vec![Inline::Text("…".to_owned())]));
            }
            return kept;
        }
        // The first block alone is too long: it is halved until it fits.
        let half = text.chars().count() / 2;
        text = text.chars().take(half).chain("\n\n…".chars()).collect();
    }
}

/// Returns the marker from a comment's properties.
pub(crate) fn find_marker(properties: &[Property]) -> Option<&str> {
    properties.iter().find(|property| property.key == MARKER_PROPERTY)?.value["mark"].as_str()
}

fn split_marker(markdown: &str) -> (&str, Option<&str>) {
    let text = markdown.trim_end();
    match text.rfind("<!--").filter(|_| text.ends_with("-->")) {
        Some(at) => (text[..at].trim_end(), Some(&text[at..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_becomes_a_property_of_the_comment() {
        let comment = encode_comment("**Hi**\n\n<!-- patchwright:v1 progress 1 ab -->", ApiVersion::V2);
        assert_eq!(comment.body, "*Hi*");
        assert_eq!(find_marker(&comment.properties), Some("<!-- patchwright:v1 progress 1 ab -->"));
        let unmarked = encode_comment("a <!-- b --> c", ApiVersion::V3);
        assert!(unmarked.properties.is_empty());
    }

    #[test]
    fn a_long_comment_is_cut_between_its_blocks() {
        let paragraphs = "some words_with_signs\n\n".repeat(3_000);
        let one = "_a-b*".repeat(20_000);
        for (version, long) in [
            (ApiVersion::V2, &paragraphs),
            (ApiVersion::V3, &paragraphs),
            (ApiVersion::V2, &one),
            (ApiVersion::V3, &one),
        ] {
            let body = encode_comment(long, version).body;
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            let length = text.chars().count();
            assert!((MAX_CHARS / 3..=MAX_CHARS + 100).contains(&length), "{length}");
            assert!(text.contains('…'));
        }
    }
}
