//! From text to words: identifiers are split, Chinese is read in pairs.

/// Words that stand in every issue or every source file and tell nothing.
const STOP_WORDS: &[&str] = &[
    "the",
    "and",
    "for",
    "that",
    "this",
    "with",
    "from",
    "not",
    "are",
    "was",
    "but",
    "have",
    "has",
    "when",
    "should",
    "would",
    "could",
    "can",
    "cannot",
    "you",
    "your",
    "its",
    "use",
    "using",
    "used",
    "get",
    "set",
    "new",
    "self",
    "def",
    "return",
    "import",
    "class",
    "function",
    "const",
    "let",
    "var",
    "pub",
    "fn",
    "if",
    "else",
    "true",
    "false",
    "none",
    "null",
    "issue",
    "bug",
    "please",
    "expected",
    "actual",
    "version",
    "example",
    "following",
    "there",
    "here",
    "what",
    "which",
    "does",
    "doesn",
    "don",
    "isn",
    "will",
    "into",
    "some",
    "any",
    "all",
    "one",
    "two",
    "also",
    "just",
    "like",
    "it",
    "is",
    "in",
    "of",
    "to",
    "on",
    "or",
    "as",
    "at",
    "be",
    "by",
    "an",
    "we",
    "so",
    "do",
    "no",
    "my",
    "me",
];

/// The longest word that is kept; longer runs are data, not names.
const LONGEST: usize = 64;

/// Calls `take` with every word of the text, lower case: whole identifiers, their parts, and pairs of CJK characters.
pub(crate) fn for_each_word(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::new();
    let mut pair: Option<char> = None;
    for c in text.chars() {
        if is_cjk(c) {
            flush(&mut word, &mut take);
            if let Some(before) = pair {
                take(&[before, c].iter().collect::<String>());
            }
            pair = Some(c);
        } else {
            pair = None;
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
            } else {
                flush(&mut word, &mut take);
            }
        }
    }
    flush(&mut word, &mut take);
}

fn flush(word: &mut String, take: &mut impl FnMut(&str)) {
    if (2..=LONGEST).contains(&word.len()) {
        let whole = word.trim_matches('_').to_lowercase();
        let parts = split_identifier(word);
        for part in parts.iter().filter(|part| part.len() > 1 && keep(part)) {
            take(part);
        }
        if parts.len() > 1 && keep(&whole) {
            take(&whole);
        }
    }
    word.clear();
}

fn keep(word: &str) -> bool {
    !word.is_empty() && !word.bytes().all(|b| b.is_ascii_digit()) && !STOP_WORDS.contains(&word)
}

/// The lower-case parts of an identifier: `parseHTTPHeader2` is parse, http, header.
pub(crate) fn split_identifier(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut parts = Vec::new();
    let mut current = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1).copied();
        let border = match before {
            Some(b) if b.is_lowercase() && c.is_uppercase() => true,
            Some(b) if b.is_uppercase() && c.is_uppercase() => after.is_some_and(char::is_lowercase),
            Some(b) => b.is_ascii_digit() != c.is_ascii_digit() && b != '_',
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
    parts.iter().map(|part| stem(part)).collect()
}

/// Drops the ending that most often keeps a word of prose from meeting its name in code.
fn stem(word: &str) -> String {
    let cut = |ending: &str, least: usize| word.strip_suffix(ending).filter(|rest| rest.len() >= least);
    let stem = if word.ends_with("ss") || !word.is_ascii() {
        None
    } else {
        cut("ies", 3).map(|rest| format!("{rest}y")).or_else(|| cut("s", 3).map(str::to_owned))
    };
    stem.unwrap_or_else(|| word.to_owned())
}

pub(crate) const fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn spellings_of_one_name_meet() {
        assert_eq!(split_identifier("parseHTTPHeader2"), ["parse", "http", "header", "2"]);
        assert_eq!(split_identifier("_parse_http_headers_"), ["parse", "http", "header"]);
        assert_eq!(words("parse_header(x)"), ["parse", "header", "parse_header"]);
        assert_eq!(words("parseHeader"), ["parse", "header", "parseheader"]);
    }

    #[test]
    fn chinese_is_read_in_pairs_and_names_inside_it_are_found() {
        assert_eq!(words("调用parse_url时崩溃"), ["调用", "parse", "url", "parse_url", "时崩", "崩溃"]);
    }
}
