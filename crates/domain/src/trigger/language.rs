//! The language of a comment, which decides the language of the reply.

use serde::{Deserialize, Serialize};

/// The languages of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English
    #[default]
    English,
    /// Chinese
    Chinese,
}

/// Returns the language of a text: Chinese if it has at least as many Chinese characters as Latin words.
///
/// A Chinese sentence with the names of a few types and files is Chinese, an English one that quotes a Chinese label is
/// English. Japanese has Chinese characters too and is answered in English.
pub fn language_of(text: &str) -> Language {
    let (mut han, mut latin, mut in_word) = (0_usize, 0_usize, false);
    for c in text.chars() {
        if is_kana(c) {
            return Language::English;
        }
        if is_han(c) {
            han += 1;
        }
        latin += usize::from(c.is_ascii_alphabetic() && !in_word);
        in_word = c.is_ascii_alphanumeric() || (in_word && matches!(c, '_' | '\'' | '’'));
    }
    if han > 0 && han >= latin { Language::Chinese } else { Language::English }
}

/// Returns whether a character is a Chinese one.
pub(super) const fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '々' | '〇')
}

const fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_of_most_words() {
        for text in ["修复登录页的报错", "修复 NullPointerException", "请修复 `parse()`", "看一下 UserService"]
        {
            assert_eq!(language_of(text), Language::Chinese, "{text}");
        }
        for text in ["", "fix", "the title 修复 is shown twice", "12 !", "修正してください"] {
            assert_eq!(language_of(text), Language::English, "{text}");
        }
    }
}
