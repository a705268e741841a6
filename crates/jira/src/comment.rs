//! Comments as Jira keeps them: texts of two kinds, and a property for what nobody is to see.

use serde_json::{Value, json};

use crate::client::ApiVersion;
use crate::text::{Block, Inline, from_adf, from_markdown, from_wiki, to_adf, to_markdown, to_wiki};
use crate::wire::{Property, WriteComment};

/// The longest comment (`reference`: 32,767 characters), with some room for how it is counted.
const MAX_CHARS: usize = 32_000;
/// The property with the mark of a comment of ours. Jira shows HTML comments as text, so that the mark cannot stand there.
const PROPERTY: &str = "patchwright.mark";

/// A text in Jira's form; Markdown where it is shown as a text.
pub(crate) fn read_text(text: &Value, mention: &dyn Fn(&str, &str) -> String) -> String {
    let blocks = match text {
        Value::String(wiki) => from_wiki(wiki),
        document => from_adf(document),
    };
    to_markdown(&blocks, mention)
}

/// A comment to write, from Markdown. What it is marked with by an HTML comment at its end becomes a property.
pub(crate) fn written(markdown: &str, version: ApiVersion) -> WriteComment {
    let (text, mark) = split_mark(markdown);
    let blocks = fitting(text, version);
    let body = match version {
        ApiVersion::V2 => Value::String(to_wiki(&blocks)),
        ApiVersion::V3 => to_adf(&blocks),
    };
    let properties = mark.map(|mark| Property { key: PROPERTY.to_owned(), value: json!({ "mark": mark }) });
    WriteComment { body, properties: properties.into_iter().collect() }
}

/// The blocks of a text as far as Jira takes them, with a sign where something is gone.
fn fitting(text: &str, version: ApiVersion) -> Vec<Block> {
    let length = |block: &Block| {
        let block = std::slice::from_ref(block);
        match version {
            ApiVersion::V2 => to_wiki(block).chars().count() + 2,
            // Its limit counts the whole document and not the words.
            ApiVersion::V3 => to_adf(block).to_string().chars().count(),
        }
    };
    let mut text = text.to_owned();
    loop {
        let blocks = from_markdown(&text);
        let all = blocks.len();
        let mut room = MAX_CHARS;
        let fits = |block: &Block| {
            room = room.saturating_sub(length(block));
            room > 0
        };
        let mut kept: Vec<Block> = blocks.into_iter().take_while(fits).collect();
        if !kept.is_empty() || all == 0 {
            if kept.len() < all {
                kept.push(Block::Paragraph(vec![Inline::Text("…".to_owned())]));
            }
            return kept;
        }
        // One block that is too long by itself: the first half of it, until that fits.
        let half = text.chars().count() / 2;
        text = text.chars().take(half).chain("\n\n…".chars()).collect();
    }
}

/// The mark of a comment, as it stood at its end.
pub(crate) fn mark_of(properties: &[Property]) -> Option<&str> {
    properties.iter().find(|property| property.key == PROPERTY)?.value["mark"].as_str()
}

fn split_mark(markdown: &str) -> (&str, Option<&str>) {
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
    fn a_mark_is_kept_where_nobody_sees_it() {
        let comment = written("**Hi**\n\n<!-- patchwright:v1 progress 1 ab -->", ApiVersion::V2);
        assert_eq!(comment.body, "*Hi*");
        assert_eq!(mark_of(&comment.properties), Some("<!-- patchwright:v1 progress 1 ab -->"));
        let unmarked = written("a <!-- b --> c", ApiVersion::V3);
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
            let body = written(long, version).body;
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            let length = text.chars().count();
            assert!((MAX_CHARS / 3..=MAX_CHARS + 100).contains(&length), "{length}");
            assert!(text.contains('…'));
        }
    }
}
