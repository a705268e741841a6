use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A comment with all elements that Patchwright writes.
const COMMENT: &str = "\
**patchwright**: Fixed, and tests show it: 3 of 3 pass.

Pull request #7 is ready for review: https://github.com/acme/demo/pull/7

| stage | state | time | tokens |
| --- | --- | --- | --- |
| locate | ✅ done | 1.2 s |  |
| fix | ❌ failed: a \\| b | 3 min 02 s | 12 |

### Tests

`cargo test -- --nocapture` (isolation: strict)

- `src/a_b.rs`: *why* it is so; see [the page](https://example.com/a?b=1)
- ~~gone~~ and **bold**

1. one
2. two

> said by *somebody*
> on two lines

```rust
fn main() { let x = [1, 2]; } // {code}
```

---

<details><summary>The end of the tests' output</summary>

```text
a | b *c* _d_
```

</details>

<sub>job `0190`</sub>";

fn nobody(_: &str, name: &str) -> String {
    format!("@{name}")
}

#[test]
fn a_comment_is_the_same_after_conversion_to_each_format_and_back() {
    let blocks = from_markdown(COMMENT);
    assert_eq!(blocks.len(), 12, "{blocks:#?}");
    assert_eq!(from_adf(&to_adf(&blocks)), blocks);
    let wiki = to_wiki(&blocks);
    assert_eq!(from_wiki(&wiki), blocks, "{wiki}");
    assert_eq!(from_markdown(&to_markdown(&blocks, &nobody)), blocks);
}

#[test]
fn markdown_is_converted_to_wiki_markup() {
    let wiki = to_wiki(&from_markdown(COMMENT));
    for line in [
        "*patchwright*: Fixed, and tests show it: 3 of 3 pass.",
        "Pull request #7 is ready for review: [https://github.com/acme/demo/pull/7]",
        "||stage||state||time||tokens||",
        "|fix|❌ failed: a \\| b|3 min 02 s|12|",
        "h3. Tests",
        "{{cargo test \\-\\- \\-\\-nocapture}} (isolation: strict)",
        "* {{src/a\\_b.rs}}: _why_ it is so; see [the page|https://example.com/a?b=1]",
        "# one",
        "{quote}",
        "{code:rust}",
        "----",
        "{panel:title=The end of the tests' output}",
    ] {
        assert!(wiki.lines().any(|found| found == line), "{line:?} is not in\n{wiki}");
    }
}

#[test]
fn special_characters_in_a_text_are_escaped_in_wiki_markup() {
    let hostile =
        "[~accountid:1] {html}<b>x</b>{html} !http://evil/x.png! h1. big *b* {code} | \\\\ a_b &#92; \\- C:\\x";
    let blocks = vec![Block::Paragraph(vec![Inline::Text(hostile.replace("http://", "http:/"))])];
    let wiki = to_wiki(&blocks);
    assert_eq!(from_wiki(&wiki), blocks, "{wiki}");
}

#[test]
fn wiki_markup_is_converted_to_markdown() {
    let wiki = "h2. Steps\n\n# open [the page|https://x.io/a]\n# click *Save*\n#* twice\n\n{quote}\n[~accountid:557058:ab-1] \
                said _no_\n{quote}\n{noformat}\n@patchwright fix\n{noformat}\nbq. old\n{color:red}red{color} {{a_b}} \
                C:\\temp -gone-";
    let markdown = to_markdown(&from_wiki(wiki), &|id, _| format!("@<{id}>"));
    assert_eq!(
        markdown,
        "## Steps\n\n1. open [the page](https://x.io/a)\n2. click **Save**\n   - twice\n\n> @<557058:ab-1> said \
         *no*\n\n```\n@patchwright fix\n```\n\n> old\n\nred `a_b` C:\\\\temp ~~gone~~"
    );
}

#[test]
fn unknown_nodes_of_a_document_are_replaced_by_their_content() {
    let document = json!({"type": "doc", "version": 1, "content": [
        {"type": "paragraph", "content": [
            {"type": "mention", "attrs": {"id": "557058:1", "text": "@Bot"}}, {"type": "text", "text": " please "},
            {"type": "text", "text": "fix", "marks": [{"type": "strong"}, {"type": "textColor", "attrs": {"color": "#f00"}}]},
            {"type": "hardBreak"}, {"type": "inlineCard", "attrs": {"url": "https://github.com/acme/demo"}},
            {"type": "text", "text": "x", "marks": [{"type": "link", "attrs": {"href": "javascript:alert(1)"}}]},
        ]},
        {"type": "panel", "attrs": {"panelType": "info"}, "content": [{"type": "paragraph", "content": [{"type": "text", "text": "in a panel"}]}]},
        {"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "1"}}]},
        {"type": "table", "content": [{"type": "tableRow", "content": [{"type": "tableCell", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "cell"}]}]}]}]},
    ]});
    let markdown = to_markdown(&from_adf(&document), &|id, name| format!("@{name}({id})"));
    assert_eq!(
        markdown,
        "@Bot(557058:1) please **fix**\nhttps://github.com/acme/demox\n\nin a panel\n\n|  |\n| --- |\n| cell |"
    );
}

#[test]
fn oversized_and_deeply_nested_texts_are_cut_off() {
    let mut deep = json!({"type": "text", "text": "x"});
    for _ in 0..100 {
        deep = json!({"type": "blockquote", "content": [deep]});
    }
    let blocks = from_adf(&json!({"type": "doc", "content": [deep]}));
    assert!(format!("{blocks:?}").matches("Quote").count() <= MAX_DEPTH + 1);
    let wide: Vec<_> =
        (0..100_000).map(|_| json!({"type": "paragraph", "content": [{"type": "text", "text": "x"}]})).collect();
    assert!(from_adf(&json!({"type": "doc", "content": wide})).len() <= 20_000);
    for text in [
        "{quote}\n".repeat(5_000),
        "*".repeat(32_000),
        "[".repeat(32_000),
        "> ".repeat(20_000),
        "{{".repeat(16_000),
        "*a ".repeat(10_000),
        "!a".repeat(16_000),
        "{".repeat(32_000),
        "{*}".repeat(10_000),
    ] {
        let _ = (from_wiki(&text), from_markdown(&text));
    }
    assert_eq!(to_adf(&[]), json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": []}]}));
}

proptest! {
    #[test]
    fn any_text_is_accepted_and_plain_text_is_the_same_after_a_round_trip(text in "[ -~äé✅中文]{0,60}") {
        let _ = (from_wiki(&text), from_markdown(&text), from_adf(&json!(text)));
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("://", ":/");
        prop_assume!(!plain.is_empty());
        let blocks = vec![Block::Paragraph(vec![Inline::Text(plain)])];
        prop_assert_eq!(&from_wiki(&to_wiki(&blocks)), &blocks);
        prop_assert_eq!(&from_adf(&to_adf(&blocks)), &blocks);
    }
}
