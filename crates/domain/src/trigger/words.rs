//! The words after a mention: separators, polite words, the verb and the instructions, in English and Chinese.

use super::Command;
use super::commands::{COMMANDS, CommandSpec, Verb};
use super::instructions::{has_instructions, trim_instructions};
use super::language::is_han;

/// Words before the verb that do not change the request.
const POLITE_WORDS: &[&str] = &[
    "please",
    "pls",
    "plz",
    "kindly",
    "just",
    "now",
    "then",
    "also",
    "hi",
    "hey",
    "hello",
    "dear",
    "ok",
    "okay",
    "can you",
    "can u",
    "could you",
    "would you",
    "will you",
    "can we",
    "could we",
    "let us",
    "lets",
    "let's",
    "try to",
    "go ahead and",
    "i want you to",
    "i need you to",
    "i would like you to",
    "请",
    "請",
    "麻烦",
    "麻煩",
    "劳烦",
    "烦请",
    "拜托",
    "拜託",
    "帮忙",
    "幫忙",
    "帮我",
    "幫我",
    "帮我们",
    "帮",
    "幫",
    "给我",
    "替我",
    "能否",
    "能不能",
    "可否",
    "可不可以",
    "可以",
    "能",
    "你",
    "您",
    "来",
    "去",
    "一下",
    "尽快",
    "马上",
    "立即",
    "现在",
    "直接",
    "自动",
    "开始",
    "尝试",
    "试着",
    "嗨",
    "你好",
    "您好",
];

/// The verb of the help, unless another verb follows: `help me fix this` requests a fix.
const HELP_PREFIXES: &[&str] = &["help me", "help us", "帮助我", "帮助我们", "幫助我", "幫助我們"];

/// Words after which an English verb was a noun: `the fix is wrong`, `plan looks good`.
const ENGLISH_PREDICATES: &[&str] = &[
    "is", "isn", "was", "wasn", "has", "hasn", "does", "doesn", "did", "didn", "works", "worked", "looks", "seems",
    "sounds",
];

/// Words after which a Chinese verb reports a result or was a noun, unless the sentence goes on: `修复成功`, `方案可以`.
const CHINESE_PREDICATES: &[&str] =
    &["过了", "過了", "完成", "成功", "失败", "失敗", "可以", "不错", "没问题", "很好", "好", "好的", "通过", "同意"];

/// A verb that was found in a text.
#[derive(Debug, Clone, Copy)]
pub struct FoundVerb {
    /// Its row of the table.
    pub spec: &'static CommandSpec,
    /// The offset of its first byte.
    pub start: usize,
    /// The offset after its last byte.
    pub end: usize,
}

/// Returns the command in the words after a mention.
pub fn parse_command(words: &str) -> Command {
    match find_verb(words) {
        Some(found) => {
            let rest = &words[found.end..];
            let instructions = has_instructions(rest).then(|| trim_instructions(rest));
            Command::new(found.spec.verb, instructions)
        }
        None => Command::Unknown { word: first_word(words).to_owned() },
    }
}

/// Returns the verb at the start of the words after a mention, after separators and polite words.
pub fn find_verb(words: &str) -> Option<FoundVerb> {
    let (mut at, mut help) = (0, None);
    loop {
        at += separators(&words[at..]);
        let rest = &words[at..];
        let found = verb_at(rest).map(|(spec, length)| FoundVerb { spec, start: at, end: at + length });
        if let Some(length) = longest(HELP_PREFIXES, rest) {
            help = help.or(found);
            at += length;
        } else if let Some(found) = found {
            return Some(found);
        } else if let Some(length) = longest(POLITE_WORDS, rest) {
            at += length;
        } else {
            return help;
        }
    }
}

/// Returns the first word after separators and polite words, at most 40 characters of it.
pub fn first_word(words: &str) -> &str {
    let rest = without_polite_words(words);
    let end = rest.char_indices().take(40).find(|(_, c)| !is_word(*c)).map(|(at, _)| at);
    let end = end.or_else(|| rest.char_indices().nth(40).map(|(at, _)| at));
    &rest[..end.unwrap_or(rest.len())]
}

/// Returns whether a text has only separators and polite words.
pub fn is_greeting(words: &str) -> bool {
    without_polite_words(words).is_empty()
}

fn without_polite_words(words: &str) -> &str {
    let mut rest = words;
    loop {
        rest = &rest[separators(rest)..];
        match longest(POLITE_WORDS, rest) {
            Some(length) => rest = &rest[length..],
            None => return rest,
        }
    }
}

/// Returns the length of the white space and punctuation at the start. An `@` names somebody else.
fn separators(text: &str) -> usize {
    text.find(|c: char| c.is_alphanumeric() || matches!(c, '@' | '＠')).unwrap_or(text.len())
}

/// Returns the command at the start of the text, and the length of its verb.
fn verb_at(text: &str) -> Option<(&'static CommandSpec, usize)> {
    let (spec, length) = COMMANDS
        .iter()
        .filter_map(|spec| spec.words().filter_map(|word| prefix(text, word)).max().map(|length| (spec, length)))
        .max_by_key(|(_, length)| *length)?;
    let rest = &text[length..];
    if text.starts_with(is_han) {
        let length = length + if rest.starts_with("一下") { "一下".len() } else { 0 };
        return (!reports_a_result(rest)).then_some((spec, length));
    }
    let next = rest.trim_start_matches([' ', '\t']);
    let is_noun = next.len() < rest.len() && longest(ENGLISH_PREDICATES, next).is_some();
    (!is_noun || spec.verb == Verb::Help).then_some((spec, length))
}

fn reports_a_result(rest: &str) -> bool {
    let ends = |rest: &str| rest.chars().next().is_none_or(|c| !is_han(c) || c == '了');
    (rest.starts_with('了') && !rest.starts_with("了解"))
        || CHINESE_PREDICATES.iter().any(|word| rest.strip_prefix(word).is_some_and(ends))
}

fn longest(phrases: &[&str], text: &str) -> Option<usize> {
    phrases.iter().filter_map(|phrase| prefix(text, phrase)).max()
}

/// Returns the length of the phrase at the start of the text: an English one in any case as whole words, a Chinese one
/// as it is, because Chinese has no spaces.
fn prefix(text: &str, phrase: &str) -> Option<usize> {
    if !phrase.is_ascii() {
        return text.starts_with(phrase).then_some(phrase.len());
    }
    let mut rest = text;
    for (n, word) in phrase.split(' ').enumerate() {
        let trimmed = if n == 0 { rest } else { rest.trim_start() };
        if (n > 0 && trimmed.len() == rest.len()) || !trimmed.get(..word.len())?.eq_ignore_ascii_case(word) {
            return None;
        }
        rest = &trimmed[word.len()..];
    }
    ends_word(rest).then_some(text.len() - rest.len())
}

/// Returns whether an English word ends here: not in `fix-it`, `fix_it`, `fix.py` and `fixé`.
fn ends_word(rest: &str) -> bool {
    let mut chars = rest.chars();
    match (chars.next(), chars.next()) {
        (Some('-' | '.' | '\'' | '’'), Some(next)) => !next.is_alphanumeric() || is_han(next),
        (Some(c), _) => !is_word(c) || is_han(c),
        (None, _) => true,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(words: &str) -> Option<Verb> {
        find_verb(words).map(|found| found.spec.verb)
    }

    #[test]
    fn every_word_of_the_table_is_found() {
        for spec in &COMMANDS {
            for word in spec.words() {
                assert_eq!(verb(word), Some(spec.verb), "{word}");
                assert_eq!(verb(&format!(", please {}!", word.to_uppercase())), Some(spec.verb), "{word}");
            }
        }
    }

    #[test]
    fn a_verb_that_is_a_noun_or_a_report_is_no_command() {
        for words in [
            "fix is wrong",
            "Plan looks good",
            "修复了，谢谢",
            "解决了",
            "修复成功",
            "修复失败。",
            "方案可以",
            "fixed it",
            "fix-up",
            "fix.py",
        ] {
            assert_eq!(verb(words), None, "{words}");
        }
        for words in ["fix isolated tests", "修复了解更多页面", "修复失败的测试", "修复过滤器", "修复成功页面"]
        {
            assert_eq!(verb(words), Some(Verb::Fix), "{words}");
        }
    }

    #[test]
    fn an_unknown_command_names_its_first_word() {
        assert_eq!(parse_command(", please deploy now"), Command::Unknown { word: "deploy".to_owned() });
        assert_eq!(parse_command(" @alice fix"), Command::Unknown { word: String::new() });
        assert_eq!(first_word(&"é".repeat(50)).chars().count(), 40);
    }
}
