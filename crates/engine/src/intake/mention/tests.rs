mod hostile;

use super::*;

const NAMES: [&str; 2] = ["patchwright", "patchwright-bot"];

fn command(comment: &str) -> Option<Command> {
    find_command(comment, &NAMES).map(|mention| mention.command)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an option everywhere")]
fn fix(instructions: &str) -> Option<Command> {
    Some(Command::Fix { instructions: Some(instructions.to_owned()) })
}

const FIX: Option<Command> = Some(Command::Fix { instructions: None });

/// Asserts that each comment is a command; `@bot` stands for the mention.
fn check(cases: &[(&str, Option<Command>)]) {
    for (comment, expected) in cases {
        let written = comment.replace("@bot", "@patchwright").replace("＠bot", "＠patchwright");
        assert_eq!(command(&written), *expected, "{written:?}");
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an option everywhere")]
fn unknown(word: &str) -> Option<Command> {
    Some(Command::Unknown { word: word.to_owned() })
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, in groups")]
fn requests_as_people_write_them() {
    // Spaces and line ends of all kinds.
    check(&[
        ("@bot fix", FIX),
        ("  @bot   fix  ", FIX),
        ("@bot\tfix", FIX),
        ("@bot\u{a0}fix", FIX),
        ("@bot\u{3000}fix", FIX),
        ("@bot\u{2009}fix", FIX),
        ("@bot\u{200b}fix", FIX),
        ("@bot\nfix", FIX),
        ("@bot\r\nfix\r\n", FIX),
        ("\u{feff}@bot fix", FIX),
        ("@bot\n\nfix the parser", fix("the parser")),
        ("Hi @bot,\n\nplease fix the parser.\n\nBest, Ann", fix("the parser.\n\nBest, Ann")),
        ("cc @alice @bot\n\n## Help wanted", unknown("")),
        ("@BOT FIX".replace("BOT", "PatchWright").as_str(), FIX),
        ("@patchwright-bot fix", FIX),
    ]);
    // Punctuation of both scripts.
    check(&[
        ("@bot, fix: only the parser", fix("only the parser")),
        ("@bot: fix!", FIX),
        ("@bot — fix — the parser", fix("the parser")),
        ("@bot - fix", FIX),
        ("@bot fix - not the tests", fix("not the tests")),
        ("@bot fix...", FIX),
        ("@bot fix?", FIX),
        ("@bot fix .gitignore", fix(".gitignore")),
        ("@bot fix --force handling", fix("--force handling")),
        ("@bot fix(the parser)", fix("(the parser)")),
        ("@bot /fix", FIX),
        ("(@bot fix)", FIX),
        ("\"@bot fix\"", FIX),
        ("Hello!@bot fix", FIX),
        ("@bot，请修复", FIX),
        ("@bot。修复", FIX),
        ("@bot！修复！", FIX),
        ("@bot、修复", FIX),
        ("@bot：修复：解析器", fix("解析器")),
        ("@bot fix。", FIX),
        ("（@bot 修复）", FIX),
        ("“@bot 修复”", FIX),
        ("@bot 修复……谢谢", FIX),
    ]);
    // Polite words and fillers.
    check(&[
        ("@bot please fix this", FIX),
        ("@bot pls fix this issue, thanks!", FIX),
        ("@bot could you kindly fix the bug? Thank you very much", FIX),
        ("@bot can you please fix the parser?", fix("the parser?")),
        ("@bot help me fix this", FIX),
        ("@bot help me", Some(Command::Help)),
        ("@bot fix it again", fix("it again")),
        ("@bot 请帮忙修复一下", FIX),
        ("@bot 麻烦你修一下这个问题吧，谢谢", FIX),
        ("@bot 能否帮我解决这个问题？", FIX),
        ("@bot 请 fix 一下", FIX),
        ("@bot please 修复 this issue", FIX),
        ("@bot 修复一下登录页的报错", fix("登录页的报错")),
        ("@bot 修复这个问题，不要改测试", fix("这个问题，不要改测试")),
        ("@bot 能修复吗？", FIX),
        ("@bot 修復這個問題", FIX),
    ]);
    // Chinese without spaces, and full-width signs.
    check(&[
        ("请@bot修复", FIX),
        ("@bot修复这个问题", FIX),
        ("@bot修复parser里的错误", fix("parser里的错误")),
        ("＠bot fix", FIX),
        ("＠bot　修复", FIX),
        ("麻烦＠bot，修复一下 `add()`", fix("`add()`")),
        ("@bot 状态如何？", Some(Command::Status)),
        ("@bot 取消", Some(Command::Cancel)),
        ("@bot 重试一下", Some(Command::Retry)),
        ("@bot 重新开始，改用 `+`", Some(Command::Restart { instructions: Some("改用 `+`".to_owned()) })),
        ("@bot 重来", Some(Command::Restart { instructions: None })),
        ("@bot 帮助", Some(Command::Help)),
        ("@bot 同意", Some(Command::Approve)),
        ("@bot 批准这个方案", Some(Command::Approve)),
        ("@bot 方案：先不动接口", Some(Command::Plan { instructions: Some("先不动接口".to_owned()) })),
        ("@bot 修复了，谢谢", unknown("修复了")),
        ("@bot 部署一下", unknown("部署一下")),
    ]);
    // The other verbs.
    check(&[
        ("@bot\tCANCEL!", Some(Command::Cancel)),
        ("@bot stop", Some(Command::Cancel)),
        ("@bot retry please", Some(Command::Retry)),
        ("@bot try again", Some(Command::Retry)),
        ("@bot restart, but with +", Some(Command::Restart { instructions: Some("but with +".to_owned()) })),
        ("@bot status?", Some(Command::Status)),
        ("@bot approve", Some(Command::Approve)),
        ("@bot plan", Some(Command::Plan { instructions: None })),
        ("@bot what can you do?", unknown("what")),
        ("@bot please deploy now", unknown("deploy")),
        ("@bot", unknown("")),
        ("@bot fixes", unknown("fixes")),
        ("@bot fix-it", unknown("fix-it")),
        ("@bot fix.py is broken", unknown("fix")),
        ("@bot don't fix this", unknown("don")),
        ("@bot 👍", unknown("")),
    ]);
    // Markdown around the mention.
    check(&[
        ("**@bot** fix", FIX),
        ("_@bot_ fix the parser", fix("the parser")),
        ("@bot **fix**", FIX),
        ("@bot **fix** the parser", fix("the parser")),
        ("**@bot fix the parser**", fix("the parser")),
        ("***@bot fix*** only *this* file", fix("only *this* file")),
        ("@bot fix **only** the parser", fix("**only** the parser")),
        ("[@bot](https://example.com/patchwright) fix", FIX),
        ("[@bot fix](https://example.com/x) the parser", fix("the parser")),
        ("# @bot fix", FIX),
        ("- @bot fix\n- and the lexer", fix("- and the lexer")),
        ("1. @bot fix", FIX),
        ("- [ ] @bot fix", FIX),
        ("| a | b |\n| - | - |\n| x | @bot fix |", FIX),
        ("<b>@bot fix</b>", FIX),
        ("<p align=center>@bot fix</p>", FIX),
        ("<b>@bot</b> fix <i>only</i> x", fix("<i>only</i> x")),
        ("<details><summary>Log</summary>\n\n```\nx\n```\n\n</details>\n@bot fix", FIX),
        ("<img width=\"9\" src=\"https://example.com/x.png\">\n@bot fix", FIX),
        ("@bot fix\n\n<!-- sent from a phone -->", FIX),
        ("@bot fix https://example.com/log", fix("https://example.com/log")),
    ]);
    // Code and quotations beside the mention, and in the instructions.
    check(&[
        ("`x` and @bot fix", FIX),
        ("an unclosed ` and @bot fix", FIX),
        ("> quoted\n\n@bot fix", FIX),
        ("> quoted\n@bot fix `f()`", fix("`f()`")),
        ("```\ncode\n```\n@bot fix", FIX),
        ("@bot fix, do not touch `x`", fix("do not touch `x`")),
        ("@bot fix `a` and ``b ` c``", fix("`a` and ``b ` c``")),
        ("@bot fix:\n```py\nx = 1\n```\n", fix("```py\nx = 1\n```")),
        ("@bot fix\n\n    indented\n", fix("    indented")),
        ("@bot fix as in\n\n> the quotation\n", fix("as in\n\n> the quotation")),
        ("@bot fix line 1\r\nand line 2", fix("line 1\nand line 2")),
    ]);
    // Several mentions: the first known command counts.
    check(&[
        ("thanks @bot! Next: @bot fix", FIX),
        ("@bot 你好！@bot 修复", FIX),
        ("@bot fix\n@bot status", fix("@patchwright status")),
        ("@bot hm. `@bot cancel` or @bot status", Some(Command::Status)),
        ("@bot a @bot b", unknown("a")),
        ("@bot @alice fix", unknown("")),
    ]);
}

#[test]
fn text_that_does_not_mention_the_app_is_no_request() {
    check(&[
        ("please fix this", None),
        ("", None),
        ("@bot-dev fix", None),
        ("@bot_x fix", None),
        ("@bot[bot] fix", None),
        ("mail me@bot fix", None),
        ("mail a@bot.io fix", None),
        ("@bot.io fix", None),
        ("see x/@bot/fix", None),
        ("@bot/team fix", None),
        ("https://example.com/?a=b,@bot fix", None),
        ("https://example.com/@bot fix", None),
        ("<https://example.com/,@bot>", None),
        ("[x](https://example.com/,@bot \"@bot fix\")", None),
        ("![@bot fix](x.png)", None),
        ("[x]: https://example.com/,@bot", None),
        ("> @bot fix", None),
        ("  > quoted @bot fix", None),
        ("> a\n> > @bot fix", None),
        ("- > @bot fix", None),
        ("<blockquote>@bot fix</blockquote>", None),
        ("`@bot fix`", None),
        ("``a ` @bot fix``", None),
        ("`a\n@bot fix\nb`", None),
        ("```\n@bot fix\n```", None),
        ("~~~~md\n~~~\n@bot fix\n~~~~", None),
        ("```\nnever closed @bot fix", None),
        ("text\n\n    @bot fix\n", None),
        ("\t@bot fix", None),
        ("- a\n\n      @bot fix\n", None),
        ("<pre>\n@bot fix\n\n@bot fix</pre>", None),
        ("<pre>@bot fix</pre>", None),
        ("a <code>@bot fix</code>", None),
        ("<div><code>@bot fix</code></div>", None),
        ("<!-- @bot fix -->", None),
        ("<!-- @bot fix", None),
        ("<div><!--\n\n@bot fix --></div>", None),
        ("a <!-- @bot fix --> b", None),
        ("<a title='@bot fix'>x</a>", None),
        ("~~@bot fix~~", None),
        ("\\@bot fix", None),
        ("&#64;bot fix", None),
        ("@pаtchwright fix", None), // a Cyrillic а
        ("@patchwrighté fix", None),
        ("@ fix", None),
    ]);
    assert_eq!(find_command("@ fix", &[""]), None, "an empty name is no mention");
}

#[test]
fn several_names_are_mentions_and_the_longest_counts() {
    let names = ["bot", "bot.app", "acme-bot[bot]", "机器人"];
    for comment in ["@bot fix", "@bot.app fix", "@Acme-Bot[bot] fix", "@机器人 修复"] {
        assert_eq!(find_command(comment, &names).map(|mention| mention.command), FIX, "{comment}");
    }
    assert_eq!(find_command("@bot[bot] fix", &names), None);
}

#[test]
fn fault_b1_the_words_after_a_verb_are_the_original_text() {
    let words = "do not touch `x`, nor\n\n```py\ny = 1\n```\n\n> as he wrote";
    assert_eq!(command(&format!("@patchwright fix: {words}")), fix(words));
}

#[test]
fn fault_b2_chinese_is_understood_as_people_write_it() {
    check(&[
        ("@bot 修复这个问题", FIX),
        ("@bot 请修复", FIX),
        ("@bot。修复", FIX),
        ("@bot！修复", FIX),
        ("@bot、修复", FIX),
        ("@bot\u{3000}修复", FIX),
        ("@bot\u{a0}修复", FIX),
        ("@bot\n修复", FIX),
        ("＠bot 修复", FIX),
    ]);
    let language = |comment: &str| find_command(comment, &NAMES).unwrap().language;
    for comment in [
        "@patchwright 修复 the parser",
        "@patchwright fix 登录页的报错",
        "@patchwright 请 fix",
        "@patchwright 部署一下",
        "这个怎么用？ @patchwright help",
        "@patchwright 麻烦看一下 `parse_everything_in_the_file()`",
    ] {
        assert_eq!(language(comment), Language::Chinese, "{comment}");
    }
    for comment in [
        "@patchwright fix",
        "@patchwright",
        "> 这个怎么用？\n\n@patchwright help",
        "@patchwright fix the title 修复 which is shown twice",
        "What is `修复这个问题`? @patchwright help",
    ] {
        assert_eq!(language(comment), Language::English, "{comment}");
    }
}

#[test]
fn fault_b3_punctuation_and_tags_are_no_instructions() {
    check(&[
        ("@bot fix。", FIX),
        ("(@bot fix)", FIX),
        ("**@bot fix**", FIX),
        ("@bot fix?", FIX),
        ("<b>@bot fix</b>", FIX),
        ("<details>@bot fix</details>", FIX),
        ("<p>@bot fix<br></p>", FIX),
        ("@bot fix 🙏", FIX),
        ("@bot fix :", FIX),
    ]);
}

#[test]
fn fault_b4_the_best_live_mention_decides() {
    check(&[
        ("thanks @bot! Next: @bot fix", FIX),
        ("text\n\n    @bot fix", None),
        ("<pre>@bot fix</pre>", None),
        ("`@bot\nfix`", None),
        ("**@bot** fix", FIX),
        ("_@bot_ fix", FIX),
    ]);
}

#[test]
fn in_jira_a_mention_without_a_command_requests_a_fix() {
    let request = |comment| find_request(comment, &NAMES).map(|mention| mention.command);
    assert_eq!(
        request("@patchwright please look at the parser\nand the lexer"),
        fix("please look at the parser\nand the lexer")
    );
    assert_eq!(request("**@patchwright** look at `x`"), fix("look at `x`"));
    assert_eq!(request("@patchwright"), FIX);
    assert_eq!(request("@patchwright fix it"), FIX);
    assert_eq!(request("@patchwright status"), Some(Command::Status));
    assert_eq!(request("please fix"), None);
    assert_eq!(request("`@patchwright fix`"), None);
}
