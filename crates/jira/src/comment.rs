//! Comments as Jira keeps them: texts of two kinds, and a property for what nobody is to see.

use serde_json::{Value, json};

use crate::client::ApiVersion;
use crate::text::{Block, Inline, from_adf, from_markdown, from_wiki, plain, to_adf, to_markdown, to_wiki};
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
    let mut blocks = from_markdown(text);
    let length = |blocks: &[Block]| match version {
        ApiVersion::V2 => to_wiki(blocks).chars().count(),
        // Its limit counts the whole document and not the words.
        ApiVersion::V3 => to_adf(blocks).to_string().chars().count(),
    };
    while blocks.len() > 1 && length(&blocks) > MAX_CHARS {
        blocks.pop();
        if !matches!(blocks.last(), Some(Block::Paragraph(last)) if plain(last) == "…") {
            blocks.pop();
            blocks.push(Block::Paragraph(vec![Inline::Text("…".to_owned())]));
        }
    }
    let body = match version {
        ApiVersion::V2 => Value::String(to_wiki(&blocks)),
        ApiVersion::V3 => to_adf(&blocks),
    };
    let properties = mark.map(|mark| Property { key: PROPERTY.to_owned(), value: json!({ "mark": mark }) });
    WriteComment { body, properties: properties.into_iter().collect() }
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
        let long = "some words_with_signs\n\n".repeat(3_000);
        for version in [ApiVersion::V2, ApiVersion::V3] {
            let body = written(&long, version).body;
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            let length = text.chars().count();
            assert!((MAX_CHARS / 2..=MAX_CHARS).contains(&length), "{length}");
            assert!(text.contains('…'));
        }
    }
}
