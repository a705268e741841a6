//! Long, deep and arbitrary comments.

use std::time::{Duration, Instant};

use patchwright_domain::trigger::MAX_INSTRUCTIONS;
use proptest::prelude::*;

use super::*;

#[test]
fn only_the_start_of_a_long_comment_is_searched() {
    let long = "x ".repeat(MAX_PARSED_BYTES / 2);
    assert_eq!(command(&format!("{long}@patchwright fix")), None);
    let Some(Command::Fix { instructions: Some(words) }) = command(&format!("@patchwright fix {long}{long}")) else {
        panic!("a long comment is a request");
    };
    assert_eq!(words.chars().count(), MAX_INSTRUCTIONS);
    let wide = format!("{}@patchwright fix", "修".repeat(MAX_PARSED_BYTES));
    assert_eq!(command(&wide), None, "the bound is not inside a character");
}

#[test]
fn hostile_comments_take_linear_time() {
    let pieces = [
        "[",
        "*",
        "_",
        "`",
        "<",
        ">",
        "![",
        "(",
        "](",
        "[a](",
        "<!--",
        "<div><!--\n\n",
        "<a \"",
        "</a>",
        "<pre>",
        "<pre>\n\n",
        "> ",
        "- ",
        "* a\n",
        "~",
        "|",
        "|a",
        "a|\n-|\n",
        "@patchwright ",
        "@patchwright",
        "@patchwright\n\n",
        "hi @patchwright ",
        "://",
        "www.",
        "\\",
        "&",
        "\n",
        "\r",
        "`a``",
        "**a",
        "*a_",
        "[^a]: ",
        "[a]: b\n",
        "<b>",
        "<br>",
        "</b>",
        "<code>",
        "请",
        "请@patchwright",
        "**@patchwright** ",
        "> @patchwright\n",
        "http://a,@patchwright ",
        "<b><i>",
        "~~a~",
        "1. ",
        "#\n",
        "hi ",
        "[@patchwright](",
        "\u{3000}",
        "<?",
        "<![CDATA[",
        "<!A",
        "x\n=\n",
    ];
    for piece in pieces {
        for around in [("", ""), ("@patchwright ", ""), ("", " @patchwright fix"), ("@patchwright fix ", "")] {
            let comment = format!("{}{}{}", around.0, piece.repeat(100_000 / piece.len()), around.1);
            let start = Instant::now();
            let _ = command(&comment);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(2), "{piece:?} takes {took:?}");
        }
    }
}

/// Pieces from which comments are put together.
fn markdown() -> impl Strategy<Value = String> {
    let pieces = vec![
        "@patchwright",
        "＠patchwright",
        "fix",
        "修复",
        "请",
        " ",
        "\n",
        "\r\n",
        "\u{3000}",
        "`",
        "```",
        "**",
        "_",
        "~~",
        "[",
        "]",
        "(",
        ")",
        "](x)",
        "<!--",
        "-->",
        "<pre>",
        "</pre>",
        "<b>",
        "</b>",
        "> ",
        "- ",
        "    ",
        "\t",
        "|",
        "\n|-|-|\n",
        "#",
        "!",
        "。",
        "，",
        "x",
        "é",
        "🙏",
        "https://a.b/",
        "\\",
        "&amp;",
        "\u{feff}",
        "\0",
        "\r",
        "\n\n",
        "<div>",
        "</div>",
        "@",
        "1. ",
        "---",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = find_command(&text, &NAMES);
        let _ = find_request(&format!("@patchwright {text}"), &NAMES);
    }

    #[test]
    fn the_live_text_keeps_the_offsets_of_the_source(text in markdown()) {
        let live = LiveText::parse(&text);
        prop_assert_eq!(live.text.len(), text.len());
        for (at, (shown, written)) in live.text.bytes().zip(text.bytes()).enumerate() {
            prop_assert!(shown == written || shown == b' ', "at {}", at);
        }
        let _ = find_command(&text, &NAMES);
        let _ = find_request(&text, &NAMES);
    }

    #[test]
    fn instructions_are_a_part_of_the_comment(text in markdown()) {
        let comment = format!("@patchwright fix {text}");
        if let Some(Command::Fix { instructions: Some(words) }) = command(&comment) {
            prop_assert!(comment.replace("\r\n", "\n").contains(&words), "{:?}", words);
            prop_assert!(words.contains(char::is_alphanumeric));
        }
    }

    #[test]
    fn code_around_a_request_hides_it(text in "[a-z @.,!]{0,30}") {
        let request = "@patchwright fix";
        let fenced = format!("~~~\n{text} {request} {text}\n~~~");
        let commented = format!("<!-- {text} {request} {text} -->");
        for comment in [format!("``{text} {request} {text}``"), fenced, commented] {
            prop_assert_eq!(command(&comment), None);
        }
    }

    #[test]
    fn separators_of_all_kinds_stand_between_name_and_verb(between in "[\\s,.:!?、。，：！？…—\u{3000}\u{a0}]{1,8}") {
        // `@patchwright.fix` is an address, and the next paragraph may be code.
        prop_assume!(between != "." && between.matches(['\n', '\r']).count() < 2);
        prop_assert_eq!(command(&format!("@patchwright{between}fix")), FIX);
    }
}
