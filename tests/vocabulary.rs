//! The vocabulary of the code: standard terms of the field, one meaning for a name (`CONTRIBUTING.md`). Words that have
//! a standard term are denied in identifiers, file names and texts.

use std::path::{Path, PathBuf};

/// Words that no identifier and no file name has as a part.
const DENIED_WORDS: &[&str] = &[
    "asker",
    "desk",
    "diary",
    "door",
    "heard",
    "keeper",
    "keyring",
    "nonsense",
    "office",
    "patience",
    "rarity",
    "redo",
    "said",
    "shelf",
    "steerable",
    "tester",
    "threes",
    "told",
    "unheard",
    "upkeep",
    "wish",
    "wishes",
];

/// Whole identifiers that have a standard term.
const DENIED_IDENTIFIERS: &[&str] = &[
    "Capped",
    "HandedBack",
    "KeyedForge",
    "LARGE",
    "LOOK",
    "MOST",
    "NotNoted",
    "NotShown",
    "NotStarted",
    "OPERATOR",
    "Pages",
    "REST",
    "RunEnd",
    "Visit",
    "Wanted",
    "ask_for_tasks",
    "bring_in_reports",
    "carry_out",
    "error_words",
    "hear_jira",
    "let_go",
    "need_admin",
    "need_owner",
    "need_write",
    "put_off",
    "say_that_it_is_there",
    "says_more",
];

/// Phrases that no log, API text or help text has.
const DENIED_TEXTS: &[&str] = &["Nobody asks", "No administrator asks", "of another make", "knocks", "at the door"];

/// Columns and stored names, which older databases have.
const STORED_NAMES: &[(&str, &str)] = &[
    ("store-diesel/src/schema.rs", "heard"),
    ("store-diesel/src/schema.rs", "said"),
    ("store-diesel/src/row/task.rs", "heard"),
    ("store-diesel/src/model_calls.rs", "said"),
];

/// An identifier of this many words is a sentence: the name of a test.
const SENTENCE_WORDS: usize = 5;

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests/vocabulary.rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The lower-case words of an identifier in any case style.
fn words(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut starts_new = true;
    for c in identifier.chars() {
        if c == '_' {
            starts_new = true;
            continue;
        }
        let follows_lower = !starts_new && c.is_uppercase() && words.last().is_some_and(|word| !word.is_empty());
        let is_acronym = identifier.chars().all(|c| !c.is_lowercase());
        if starts_new || (follows_lower && !is_acronym) {
            words.push(String::new());
        }
        starts_new = false;
        words.last_mut().unwrap().extend(c.to_lowercase());
    }
    words
}

/// Splits a source into its code without comments and texts, and its texts.
fn split(source: &str) -> (String, String) {
    let (mut code, mut texts) = (String::new(), String::new());
    let bytes: Vec<char> = source.chars().collect();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            '/' if bytes.get(at + 1) == Some(&'/') => {
                while at < bytes.len() && bytes[at] != '\n' {
                    at += 1;
                }
            }
            '"' => {
                // A raw string ends at a quote with as many `#` behind it as it has before it.
                let hashes = bytes[..at].iter().rev().take_while(|c| **c == '#').count();
                let is_raw = at > hashes && bytes[at - hashes - 1] == 'r';
                at += 1;
                while at < bytes.len() {
                    let closes = bytes[at] == '"'
                        && (!is_raw || bytes[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes);
                    if closes {
                        break;
                    }
                    if bytes[at] == '\\' && !is_raw {
                        at += 1;
                    }
                    texts.extend(bytes.get(at));
                    at += 1;
                }
                texts.push('\n');
                code.push_str("\"\"");
                at += 1;
            }
            // The character of a quote is no text.
            '\'' if bytes.get(at + 1) == Some(&'"') => at += 3,
            c => {
                code.push(c);
                at += 1;
            }
        }
    }
    (code, texts)
}

#[test]
fn names_and_texts_use_the_standard_terms() {
    let mut found = Vec::new();
    for path in sources() {
        let shown = path.display().to_string();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if words(&stem).iter().any(|word| DENIED_WORDS.contains(&word.as_str())) {
            found.push(format!("{shown}: file name"));
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let (code, texts) = split(&source);
        for identifier in code.split(|c: char| !c.is_alphanumeric() && c != '_') {
            let parts = words(identifier);
            let is_stored = STORED_NAMES.iter().any(|(file, name)| shown.ends_with(file) && identifier == *name);
            if is_stored || parts.len() >= SENTENCE_WORDS {
                continue;
            }
            if DENIED_IDENTIFIERS.contains(&identifier)
                || parts.iter().any(|word| DENIED_WORDS.contains(&word.as_str()))
            {
                found.push(format!("{shown}: {identifier}"));
            }
        }
        found.extend(
            DENIED_TEXTS.iter().filter(|text| texts.contains(**text)).map(|text| format!("{shown}: \"{text}\"")),
        );
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn identifiers_are_split_into_words() {
    assert_eq!(words("JobSummary"), ["job", "summary"]);
    assert_eq!(words("MAX_BODY_BYTES"), ["max", "body", "bytes"]);
    assert_eq!(words("renew_lease"), ["renew", "lease"]);
}
