//! Splitting text into words. Identifiers are split into their parts and also kept as a whole, plural endings are removed, and
//! text in scripts without spaces is split into pairs of characters. Words are stored as hashes.

use std::collections::HashMap;

/// The hash of a word. Words with the same hash are treated as one; among the words of one repository there is about one such
/// pair.
pub(crate) type Word = u32;

/// Words of every text or source file, which do not distinguish files.
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

/// The longest identifier. Longer sequences of letters are data.
const MAX_IDENTIFIER_BYTES: usize = 80;

const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// FNV-1a, which is fast for short words. It needs no protection against collisions: they only make a rank less precise.
fn hash(seed: u32, text: &str) -> Word {
    text.bytes().fold(OFFSET ^ seed, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

/// Returns the hash of a word's stem.
pub(crate) fn hash_word(text: &str) -> Word {
    hash(0, &stem(text))
}

/// Returns the hash of an unsplit identifier, which differs from that of a word with the same letters.
pub(crate) fn hash_identifier(identifier: &str) -> Word {
    hash(1, &identifier.replace('_', "").to_lowercase())
}

/// Returns the hash of a name or a line exactly as it is written.
pub(crate) fn hash_name(text: &str) -> Word {
    hash(5, text)
}

fn is_stop_word(text: &str) -> bool {
    STOP_WORDS.contains(&text)
}

/// Splits text and caches the words of identifiers, which repeat often.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    cache: HashMap<String, Vec<Word>>,
}

impl Splitter {
    /// Calls `consume` with each word of a text, in order.
    pub(crate) fn for_each_word(&mut self, text: &str, mut consume: impl FnMut(Word)) {
        for token in tokens(text) {
            match token {
                Token::Pair(first, second) => {
                    consume(hash(2, [first, second].iter().collect::<String>().as_str()));
                }
                Token::Identifier(identifier) => {
                    if let Some(words) = self.cache.get(identifier) {
                        words.iter().copied().for_each(&mut consume);
                        continue;
                    }
                    let words = words_of(identifier);
                    words.iter().copied().for_each(&mut consume);
                    self.cache.insert(identifier.to_owned(), words);
                }
            }
        }
    }
}

/// Calls `consume` with the hash of every three consecutive words of a line. Placeholders of a message (`{…}`, `%s`) separate the
/// words before and after them.
pub(crate) fn trigrams(text: &str, mut consume: impl FnMut(Word)) {
    let mut last: [Word; 2] = [0; 2];
    for part in text.split(['\n', '{', '}', '%']) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let words = part.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        for (position, word) in words.enumerate() {
            let word = hash(3, &word.to_lowercase());
            if position >= 2 {
                consume(last[0].rotate_left(10) ^ last[1].rotate_left(5) ^ word);
            }
            last = [last[1], word];
        }
    }
}

/// Returns the hash of a literal that looks like a flag, a key or a code: one word with punctuation in it.
pub(crate) fn hash_literal(text: &str) -> Option<Word> {
    let is_one_word = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/'));
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    let has_punctuation = bare.contains(['-', '_', '.', ':']) || text.starts_with("--");
    (is_one_word && has_punctuation && (4..=60).contains(&text.len())).then(|| hash(4, bare))
}

/// Counts the words of a text.
pub(crate) fn count_words(text: &str) -> HashMap<Word, f32> {
    let mut counts = HashMap::new();
    Splitter::default().for_each_word(text, |word| *counts.entry(word).or_default() += 1.0);
    counts
}

/// Returns the distinct words of an identifier.
pub(crate) fn words_of(identifier: &str) -> Vec<Word> {
    let parts = split(identifier);
    let mut words: Vec<Word> =
        parts.iter().filter(|part| part.len() > 1 && !is_stop_word(part)).map(|part| hash_word(part)).collect();
    let lower = identifier.trim_matches('_').to_lowercase();
    if (parts.len() > 1 || identifier.contains('_')) && lower.len() > 1 && !is_stop_word(&lower) {
        words.push(hash_identifier(identifier));
    }
    let mut known = Vec::with_capacity(words.len());
    words.retain(|word| {
        !known.contains(word) && {
            known.push(*word);
            true
        }
    });
    words
}

/// Splits an identifier into its parts in lower case: `parseHTTPHeader2` into parse, http, header, 2.
pub(crate) fn split(identifier: &str) -> Vec<String> {
    let chars: Vec<char> = identifier.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    let mut current = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1).copied();
        let is_boundary = match before {
            Some(b) if b.is_lowercase() && c.is_uppercase() => true,
            Some(b) if b.is_uppercase() && c.is_uppercase() => after.is_some_and(char::is_lowercase),
            Some(b) => b.is_numeric() != c.is_numeric() && b != '_',
            None => false,
        };
        if (is_boundary || c == '_') && !current.is_empty() {
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

/// Removes a plural ending, the most frequent difference between words of a report and names in code.
fn stem(word: &str) -> String {
    if let Some(rest) = word.strip_suffix("ies").filter(|rest| rest.len() > 1) {
        return format!("{rest}y");
    }
    match word.strip_suffix('s') {
        Some(rest) if rest.len() > 2 && !rest.ends_with('s') => rest.to_owned(),
        _ => word.to_owned(),
    }
}

enum Token<'a> {
    Identifier(&'a str),
    /// Two adjacent characters of a script without spaces.
    Pair(char, char),
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text.char_indices().peekable();
    let mut before: Option<char> = None;
    std::iter::from_fn(move || {
        while let Some((at, c)) = rest.next() {
            if is_cjk(c) {
                if let Some(first) = before.replace(c) {
                    return Some(Token::Pair(first, c));
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
            if end - at <= MAX_IDENTIFIER_BYTES {
                return Some(Token::Identifier(&text[at..end]));
            }
        }
        None
    })
}

/// Returns whether a character is Chinese, Japanese or Korean, whose texts are split into pairs of characters.
pub(crate) const fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let mut words = Vec::new();
        Splitter::default().for_each_word(text, |word| words.push(word));
        words
    }

    #[test]
    fn different_spellings_of_a_name_have_the_same_words() {
        assert_eq!(split("parseHTTPHeader2"), ["parse", "http", "header", "2"]);
        assert_eq!(split("_parse_http_headers_"), ["parse", "http", "headers"]);
        let expected = [hash_word("parse"), hash_word("header"), hash_identifier("parse_headers")];
        assert_eq!(words("parse_headers(x)"), expected);
        assert_eq!(words("parseHeaders")[..2], [hash_word("parse"), hash_word("header")]);
        assert_ne!(hash_word("parser"), hash_identifier("parser"));
        assert_eq!(words("queries class"), [hash_word("query")], "plural endings and stop words are removed");
    }

    #[test]
    fn chinese_is_split_into_pairs_and_names_within_it_are_found() {
        let found = words("调用parse_url时崩溃");
        assert!(found.contains(&hash_identifier("parse_url")) && found.contains(&hash_word("url")));
        assert_eq!(found.len(), 6, "three pairs of characters and three words: {found:?}");
        assert_eq!(words("崩溃"), [*found.last().unwrap()]);
    }
}
