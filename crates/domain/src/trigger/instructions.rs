//! The instructions after a verb: what counts as some, and how they are trimmed.

use super::MAX_INSTRUCTIONS;
use super::language::is_han;

/// English words that add nothing to a request.
const FILLER_WORDS: &[&str] = &[
    "this", "it", "that", "these", "the", "a", "one", "issue", "bug", "problem", "please", "pls", "plz", "kindly",
    "thanks", "thank", "thx", "ty", "cheers", "you", "u", "lot", "very", "much", "so", "many", "now", "asap", "for",
    "me", "us", "up", "here", "can", "could", "would", "will",
];

/// Chinese words that add nothing to a request; the longest comes first.
const CHINESE_FILLERS: &[&str] = &[
    "这个问题",
    "這個問題",
    "这个缺陷",
    "此问题",
    "该问题",
    "本问题",
    "可以吗",
    "辛苦了",
    "这个",
    "這個",
    "问题",
    "問題",
    "一下",
    "谢谢",
    "謝謝",
    "多谢",
    "感谢",
    "辛苦",
    "谢了",
    "好吗",
    "行吗",
    "麻烦",
    "帮忙",
    "它",
    "下",
    "吧",
    "吗",
    "嗎",
    "呢",
    "啊",
    "呀",
    "哦",
    "哈",
    "请",
    "你",
    "您",
    "把",
];

/// Returns whether a text after a verb says more than the verb: it has a word that is no filler.
pub fn has_instructions(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        rest = &rest[start..];
        let is_chinese = rest.starts_with(is_han);
        let end = rest.find(|c: char| !c.is_alphanumeric() || is_han(c) != is_chinese).unwrap_or(rest.len());
        let word = &rest[..end];
        let is_filler = if is_chinese {
            is_chinese_filler(word)
        } else {
            FILLER_WORDS.iter().any(|filler| filler.eq_ignore_ascii_case(word))
        };
        if !is_filler {
            return true;
        }
        rest = &rest[end..];
    }
    false
}

fn is_chinese_filler(run: &str) -> bool {
    let mut rest = run;
    while let Some(filler) = CHINESE_FILLERS.iter().find(|filler| rest.starts_with(**filler)) {
        rest = &rest[filler.len()..];
    }
    rest.is_empty()
}

/// Returns a text after a verb as instructions: without the punctuation between them, and not longer than
/// [`MAX_INSTRUCTIONS`]. All else stays as written, but for the line ends, which are `\n`.
pub fn trim_instructions(text: &str) -> String {
    let text = without_separators(text);
    let text = text.trim_end();
    // The indentation of a first line on its own makes it code.
    let trimmed = text.trim_start();
    let indent = &text[..text.len() - trimmed.len()];
    let line_start = indent.rfind('\n').map_or(indent.len(), |at| at + 1);
    let is_code = indent[line_start..].contains('\t') || indent.len() - line_start >= 4;
    let text = if is_code { &text[line_start..] } else { trimmed };
    let short: String = text.chars().take(MAX_INSTRUCTIONS).collect();
    if short.contains('\r') { short.replace("\r\n", "\n") } else { short }
}

/// Removes the separators between a verb and its instructions, on the line of the verb. A sign that begins a word, such
/// as in `.gitignore`, `--force` and `` `x` ``, belongs to the instructions.
fn without_separators(text: &str) -> &str {
    let mut is_adjacent = true;
    let mut rest = text;
    loop {
        let mut chars = rest.chars();
        let (Some(c), next) = (chars.next(), chars.next()) else { return rest };
        let starts_word = next.is_some_and(|next| !next.is_whitespace());
        let is_separator = match c {
            '\n' | '\r' => return rest,
            ',' | ':' | ';' | '.' | '!' | '?' | '|' | ')' | ']' | '}' => is_adjacent || !starts_word,
            '\'' | '"' | '-' | '~' => !starts_word,
            _ if c.is_whitespace() => {
                is_adjacent = false;
                true
            }
            _ => is_wide_separator(c),
        };
        if !is_separator {
            return rest;
        }
        rest = &rest[c.len_utf8()..];
    }
}

/// Returns whether a character is punctuation between words and is not ASCII; opening brackets and quotes are none.
const fn is_wide_separator(c: char) -> bool {
    matches!(c, '、' | '。' | '，' | '：' | '；' | '！' | '？' | '．' | '…' | '⋯' | '·' | '～' | '—' | '–' | '―')
        || matches!(c, '）' | '】' | '」' | '』' | '》' | '〉' | '”' | '’' | '»')
        // Zero-width characters and the byte order mark.
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe0e}' | '\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::parse_command;

    #[test]
    fn the_words_after_a_verb_are_instructions_if_they_say_more() {
        let fix = |words: &str| parse_command(words).instructions().map(str::to_owned);
        for words in
            ["fix", "fix?", "fix this issue, thanks", "修复这个问题吧", "fix **it**", "修复一下", "fix\r\n\r\n🙏"]
        {
            assert_eq!(fix(words), None, "{words}");
        }
        assert_eq!(fix("fix: `a` only"), Some("`a` only".to_owned()));
        assert_eq!(fix("fix .gitignore"), Some(".gitignore".to_owned()));
        assert_eq!(fix("fix --force"), Some("--force".to_owned()));
        assert_eq!(fix("fix - not the tests\r\nbut y"), Some("not the tests\nbut y".to_owned()));
        assert_eq!(fix("fix:\n\n    code\n"), Some("    code".to_owned()));
        assert_eq!(fix(&format!("fix {}", "x".repeat(9_000))).unwrap().len(), MAX_INSTRUCTIONS);
    }
}
