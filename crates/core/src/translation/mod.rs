//! The sentences that the server says, in Chinese. They are stored and passed on in English: a job outlives the language of who
//! reads it. Whoever shows one asks here for it in the language of the page or comment.

mod diagnostics;
mod jobs;
mod requests;
mod services;
mod words;

/// An English sentence and the Chinese one. The English one has a place for each part that differs: `{}` for anything, `{#}` for a
/// number, `{w}` for one of [`words::WORDS`], `{s}` for another sentence of the tables. In the Chinese one `{}` stands for each of them in turn, or `{0}`, `{1}` where the order
/// differs. What stands in backticks or quotation marks there is never translated.
type Sentence = (&'static str, &'static str);

const TABLES: [&[Sentence]; 4] = [requests::SENTENCES, jobs::SENTENCES, services::SENTENCES, diagnostics::SENTENCES];

/// How deep sentences are in one another: a job says what the forge said about what was asked of it.
const MAX_DEPTH: usize = 4;
/// The longest text that is looked up, in bytes. What is longer is the output of a program.
const MAX_BYTES: usize = 4_000;

/// Returns a sentence in Chinese; `None` if it is not known, such as a message of another program. What a sentence quotes stays as
/// it is, unless that is a known sentence itself.
///
/// ```
/// use patchwright_core::translation::to_chinese;
///
/// assert_eq!(to_chinese("there is no user `mia`").as_deref(), Some("没有用户 `mia`"));
/// assert_eq!(to_chinese("the compiler is tired"), None);
/// ```
pub fn to_chinese(english: &str) -> Option<String> {
    translate(english, MAX_DEPTH)
}

fn translate(english: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1).filter(|_| english.len() <= MAX_BYTES)?;
    let matching = TABLES.into_iter().flatten().filter_map(|(pattern, chinese)| {
        let found = parts_of(pattern, english)?;
        Some((literal_len(pattern), chinese, found))
    });
    // The one that says most of the sentence.
    match matching.max_by_key(|(length, ..)| *length) {
        Some((_, chinese, found)) => Some(fill(chinese, &found, depth)),
        None => translate_parts(english, depth),
    }
}

/// Translates a sentence of several, and one that names its subject first.
fn translate_parts(english: &str, depth: usize) -> Option<String> {
    if english.contains("; ") {
        let parts: Option<Vec<String>> = english.split("; ").map(|part| translate(part, depth)).collect();
        return parts.map(|parts| parts.join("；"));
    }
    let (subject, rest) = english.split_once(": ")?;
    Some(format!("{subject}：{}", translate(rest, depth)?))
}

/// What may stand in a place of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Anything,
    Number,
    Word,
    Sentence,
}

const PLACES: [(&str, Place); 4] =
    [("{}", Place::Anything), ("{#}", Place::Number), ("{w}", Place::Word), ("{s}", Place::Sentence)];

/// Returns the text before the first place of a pattern, the place, and the rest.
fn next_place(pattern: &str) -> Option<(&str, Place, &str)> {
    let found = PLACES.into_iter().filter_map(|(mark, place)| pattern.find(mark).map(|at| (at, mark.len(), place)));
    let (at, length, place) = found.min_by_key(|(at, ..)| *at)?;
    Some((&pattern[..at], place, &pattern[at + length..]))
}

fn literal_len(pattern: &str) -> usize {
    match next_place(pattern) {
        Some((before, _, rest)) => before.len() + literal_len(rest),
        None => pattern.len(),
    }
}

/// Returns what stands in the places of a pattern if a sentence is one of it.
fn parts_of<'a>(pattern: &str, sentence: &'a str) -> Option<Vec<(Place, &'a str)>> {
    let Some((before, mut place, mut pattern)) = next_place(pattern) else {
        return (pattern == sentence).then(Vec::new);
    };
    let mut rest = sentence.strip_prefix(before)?;
    let mut found = Vec::new();
    loop {
        let next = next_place(pattern);
        let length = match next {
            Some((literal, ..)) => rest.find(literal)?,
            // The last text ends the sentence.
            None => rest.strip_suffix(pattern)?.len(),
        };
        let part = &rest[..length];
        let is_one = match place {
            Place::Anything => true,
            Place::Number => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
            Place::Word => words::WORDS.iter().any(|(word, _)| *word == part),
            // What is in it is not one of a kind that has others in it.
            Place::Sentence => translate(part, 1).is_some(),
        };
        if !is_one {
            return None;
        }
        found.push((place, part));
        let Some((literal, after, others)) = next else { return Some(found) };
        rest = &rest[length + literal.len()..];
        (place, pattern) = (after, others);
    }
}

/// Puts what a sentence quotes into the Chinese one.
fn fill(chinese: &str, found: &[(Place, &str)], depth: usize) -> String {
    let mut out = String::with_capacity(chinese.len());
    let mut rest = chinese;
    let mut next = 0;
    while let Some((before, (index, after))) =
        rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
    {
        out.push_str(before);
        let (place, part) = found.get(index.parse().unwrap_or(next)).copied().unwrap_or((Place::Number, ""));
        next += 1;
        let is_quoted = before.ends_with(['`', '“']);
        let translated = match place {
            Place::Anything if !is_quoted => translate(part, depth),
            Place::Sentence => translate(part, depth),
            Place::Word => words::WORDS.iter().find(|(word, _)| *word == part).map(|(_, word)| (*word).to_owned()),
            Place::Anything | Place::Number => None,
        };
        out.push_str(translated.as_deref().unwrap_or(part));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_sentence_is_there_once_with_the_same_places_in_both_languages() {
        let mut known = HashSet::new();
        for (english, chinese) in TABLES.into_iter().flatten() {
            assert!(known.insert(english), "{english} is there twice");
            let places = PLACES.iter().map(|(mark, _)| english.matches(mark).count()).sum();
            let in_order = chinese.matches("{}").count();
            let numbered = (0..places).filter(|index| chinese.contains(&format!("{{{index}}}"))).count();
            assert!(in_order == places || numbered == places, "{english} | {chinese}");
            assert!(chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{chinese} is not Chinese");
        }
    }

    #[test]
    fn what_a_sentence_quotes_stays_unless_it_is_a_sentence_itself() {
        for (english, chinese) in [
            ("3 tests failed after the change and not before it", "3 个测试在修改后失败，而修改前没有失败"),
            (
                "the job 7 works on this issue already; wait for it or cancel it",
                "作业 7 正在处理此问题；请等待或取消它",
            ),
            (
                "the forge did not merge it: GitHub refused to merge the pull request: no checks",
                "平台没有合入：GitHub 拒绝“merge the pull request”：no checks",
            ),
            ("there is no user `the test suite is empty`", "没有用户 `the test suite is empty`"),
            ("a job that is running cannot be restarted", "作业处于运行中状态，不能重新启动"),
            ("pytest: nothing broke, but no test shows the fault", "pytest：没有测试被破坏，但也没有测试能表明该问题"),
            ("the test suite is empty; the tests ran out of time", "测试套件为空；测试超时"),
        ] {
            assert_eq!(to_chinese(english).as_deref(), Some(chinese));
        }
        for unknown in [
            "a sentence that nobody knows",
            "a module that is missing cannot be imported",
            "`cc` is not a program",
            "AssertionError: it is not equal",
            &"the test suite is empty; ".repeat(1_000),
        ] {
            assert_eq!(to_chinese(unknown), None);
        }
    }
}
