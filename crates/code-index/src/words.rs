//! From text to words: identifiers are split into their parts and kept whole beside them, endings are dropped, Chinese is
//! read in pairs of characters. A word is kept as a number.

use std::collections::HashMap;

/// A word, as the hash of its letters. Two words that share a number by chance are taken for one; among the words of one
/// repository that happens about once.
pub(crate) type Word = u32;

/// Words that stand in every text or every source file and tell nothing.
const STOP_WORDS: &[&str] = &[
    "a", "about", "all", "also", "am", "an", "and", "any", "are", "as", "assert", "async", "at", "await", "be", "been",
    "being", "but", "by", "can", "class", "cls", "could", "def", "del", "did", "do", "does", "don", "elif", "else",
    "except", "false", "finally", "for", "from", "global", "had", "has", "have", "he", "here", "how", "if", "import",
    "in", "init", "into", "is", "it", "its", "just", "kwargs", "args", "lambda", "ll", "more", "most", "my", "no",
    "none", "not", "now", "of", "on", "only", "onto", "or", "other", "our", "out", "own", "pass", "print", "raise",
    "re", "return", "same", "self", "she", "should", "so", "some", "such", "than", "that", "the", "then", "there",
    "these", "they", "this", "those", "to", "too", "true", "try", "ve", "very", "was", "we", "were", "what", "when",
    "where", "which", "while", "who", "why", "will", "with", "would", "yield", "you", "your",
];

/// The longest identifier that is read; longer runs are data.
const LONGEST: usize = 80;

const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// FNV-1a: short words, many of them, and nobody to defend against: a collision costs a little of a rank.
fn hash(seed: u32, text: &str) -> Word {
    text.bytes().fold(OFFSET ^ seed, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

/// A word as it is looked up.
pub(crate) fn word(text: &str) -> Word {
    hash(0, &stem(text))
}

/// A whole identifier, told apart from a plain word that is spelt alike.
pub(crate) fn whole(identifier: &str) -> Word {
    hash(1, &identifier.replace('_', "").to_lowercase())
}

fn is_stop_word(text: &str) -> bool {
    STOP_WORDS.contains(&text)
}

/// Splits identifiers, and remembers how: the same ones come again and again.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    known: HashMap<String, Vec<Word>>,
}

impl Splitter {
    /// The words of a text, in their order.
    pub(crate) fn each(&mut self, text: &str, mut take: impl FnMut(Word)) {
        for piece in pieces(text) {
            match piece {
                Piece::Pair(first, second) => {
                    take(hash(2, [first, second].iter().collect::<String>().as_str()));
                }
                Piece::Identifier(identifier) => {
                    if let Some(words) = self.known.get(identifier) {
                        words.iter().copied().for_each(&mut take);
                        continue;
                    }
                    let words = words_of(identifier);
                    words.iter().copied().for_each(&mut take);
                    self.known.insert(identifier.to_owned(), words);
                }
            }
        }
    }
}

/// Every three words in a row, within lines, as they are written. What stands in braces or behind a percent sign is put in when
/// a message is made: it parts what is before it from what is after it.
pub(crate) fn threes(text: &str, mut take: impl FnMut(Word)) {
    let mut last: [Word; 2] = [0; 2];
    for part in text.split(['\n', '{', '}', '%']) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let words = part.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        for (place, word) in words.enumerate() {
            let word = hash(3, &word.to_lowercase());
            if place >= 2 {
                take(last[0].rotate_left(10) ^ last[1].rotate_left(5) ^ word);
            }
            last = [last[1], word];
        }
    }
}

/// A literal that is one word with marks in it: a flag, a key, a code.
pub(crate) fn literal(text: &str) -> Option<Word> {
    let is_one = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/'));
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    let is_marked = bare.contains(['-', '_', '.', ':']) || text.starts_with("--");
    (is_one && is_marked && (4..=60).contains(&text.len())).then(|| hash(4, bare))
}

/// The words of a text with how often they stand in it.
pub(crate) fn count(text: &str) -> HashMap<Word, f32> {
    let mut counts = HashMap::new();
    Splitter::default().each(text, |word| *counts.entry(word).or_default() += 1.0);
    counts
}

/// The words of an identifier, each once.
pub(crate) fn words_of(identifier: &str) -> Vec<Word> {
    let parts = split(identifier);
    let mut words: Vec<Word> =
        parts.iter().filter(|part| part.len() > 1 && !is_stop_word(part)).map(|part| word(part)).collect();
    let lower = identifier.trim_matches('_').to_lowercase();
    if (parts.len() > 1 || identifier.contains('_')) && lower.len() > 1 && !is_stop_word(&lower) {
        words.push(whole(identifier));
    }
    let mut seen = Vec::with_capacity(words.len());
    words.retain(|word| {
        !seen.contains(word) && {
            seen.push(*word);
            true
        }
    });
    words
}

/// The lower-case parts of an identifier: `parseHTTPHeader2` is parse, http, header, 2.
pub(crate) fn split(identifier: &str) -> Vec<String> {
    let chars: Vec<char> = identifier.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    let mut current = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1).copied();
        let border = match before {
            Some(b) if b.is_lowercase() && c.is_uppercase() => true,
            Some(b) if b.is_uppercase() && c.is_uppercase() => after.is_some_and(char::is_lowercase),
            Some(b) => b.is_numeric() != c.is_numeric() && b != '_',
            None => false,
        };
        if (border || c == '_') && !current.is_empty() {
            parts.push(std::mem::take(&mut current));
        }
        if c != '_' {
            current.extend(c.to_lowercase());
        }
    }
    if !current.is_empty() {
        parts.push(current);
    }
    parts
}

/// Drops the ending that most often keeps a word of prose from meeting its name in code.
fn stem(word: &str) -> String {
    if let Some(rest) = word.strip_suffix("ies").filter(|rest| rest.len() > 1) {
        return format!("{rest}y");
    }
    match word.strip_suffix('s') {
        Some(rest) if rest.len() > 2 && !rest.ends_with('s') => rest.to_owned(),
        _ => word.to_owned(),
    }
}

enum Piece<'a> {
    Identifier(&'a str),
    Pair(char, char),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text.char_indices().peekable();
    let mut before: Option<char> = None;
    std::iter::from_fn(move || {
        while let Some((at, c)) = rest.next() {
            if is_cjk(c) {
                if let Some(first) = before.replace(c) {
                    return Some(Piece::Pair(first, c));
                }
                continue;
            }
            before = None;
            if !(c.is_alphabetic() || c == '_') {
                continue;
            }
            let mut end = at + c.len_utf8();
            while let Some(&(next, c)) = rest.peek() {
                if !(c.is_alphanumeric() || c == '_') || is_cjk(c) {
                    break;
                }
                end = next + c.len_utf8();
                rest.next();
            }
            if end - at <= LONGEST {
                return Some(Piece::Identifier(&text[at..end]));
            }
        }
        None
    })
}

/// Whether a character belongs to a script that is written without spaces.
pub(crate) const fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let mut words = Vec::new();
        Splitter::default().each(text, |word| words.push(word));
        words
    }

    #[test]
    fn spellings_of_one_name_meet() {
        assert_eq!(split("parseHTTPHeader2"), ["parse", "http", "header", "2"]);
        assert_eq!(split("_parse_http_headers_"), ["parse", "http", "headers"]);
        assert_eq!(words("parse_headers(x)"), [word("parse"), word("header"), whole("parse_headers")]);
        assert_eq!(words("parseHeaders")[..2], [word("parse"), word("header")]);
        assert_ne!(word("parser"), whole("parser"));
        assert_eq!(words("queries class"), [word("query")], "endings go, and what tells nothing");
    }

    #[test]
    fn chinese_is_read_in_pairs_and_names_inside_it_are_found() {
        let found = words("调用parse_url时崩溃");
        assert!(found.contains(&whole("parse_url")) && found.contains(&word("url")));
        assert_eq!(found.len(), 6, "three pairs of characters and three words: {found:?}");
        assert_eq!(words("崩溃"), [*found.last().unwrap()]);
    }
}
