//! Finds the command of a comment: the mention of the app in its live text, and the words after it.
//!
//! The live text decides where a mention is; the instructions are the comment's own text from there on, with the code
//! and the quotations in it.

mod html;
mod live_text;
#[cfg(test)]
mod tests;

use patchwright_domain::trigger::{
    Command, FoundVerb, Language, find_verb, first_word, has_instructions, is_greeting, language_of, trim_instructions,
};

use live_text::LiveText;

/// The part of a comment that is searched for mentions.
const MAX_PARSED_BYTES: usize = 64 * 1024;

/// A comment that mentions the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The command after the mention.
    pub(crate) command: Command,
    /// The language of the request, and of the reply.
    pub(crate) language: Language,
}

/// Returns the command of a comment: the first known one after a mention of one of the names, or
/// [`Command::Unknown`]. `None` without a mention.
pub(crate) fn find_command(comment: &str, names: &[impl AsRef<str>]) -> Option<Mention> {
    find(comment, names, |_, live, place| Command::Unknown { word: first_word(live.words_after(place)).to_owned() })
}

/// Does the same, except that a mention without a known command requests a fix, as in Jira
/// (`docs/requirements.md#jira`): the text after it is the instructions.
pub(crate) fn find_request(comment: &str, names: &[impl AsRef<str>]) -> Option<Mention> {
    find(comment, names, |comment, live, place| Command::Fix { instructions: instructions(comment, live, place.end) })
}

/// The bytes of a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: usize,
    end: usize,
}

fn find(
    comment: &str,
    names: &[impl AsRef<str>],
    without_verb: impl Fn(&str, &LiveText, Place) -> Command,
) -> Option<Mention> {
    let comment = comment.strip_prefix('\u{feff}').unwrap_or(comment);
    let parsed = &comment[..comment.floor_char_boundary(MAX_PARSED_BYTES)];
    // Most comments mention nobody, and need no parser.
    if !names_app(parsed, names) {
        return None;
    }
    let live = LiveText::parse(parsed);
    let mut first = None;
    for place in places(parsed, &live.text, names) {
        let found = live.find_verb_after(place);
        if let Some(verb) = found {
            let instructions = if verb.spec.takes_words { instructions(comment, &live, verb.end) } else { None };
            let command = Command::new(verb.spec.verb, instructions);
            return Some(Mention { command, language: language(&live, place, Some(verb)) });
        }
        first = first.or(Some(place));
    }
    let place = first?;
    Some(Mention { command: without_verb(comment, &live, place), language: language(&live, place, None) })
}

/// Returns whether a name follows an `@` anywhere, in live text or not.
fn names_app(text: &str, names: &[impl AsRef<str>]) -> bool {
    text.match_indices(['@', '＠']).any(|(at, sign)| {
        let after = &text[at + sign.len()..];
        names
            .iter()
            .map(AsRef::as_ref)
            .any(|name| after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)))
    })
}

/// Returns the mentions in a text, which has the same offsets as the source.
fn places<'a>(source: &'a str, text: &'a str, names: &'a [impl AsRef<str>]) -> impl Iterator<Item = Place> + 'a {
    text.match_indices(['@', '＠']).filter_map(move |(start, sign)| {
        // A writer who escapes the sign does not mean the app.
        if !begins_word(&text[..start]) || source[..start].ends_with('\\') {
            return None;
        }
        let after = &text[start + sign.len()..];
        let matches = names.iter().map(AsRef::as_ref).filter(|name| !name.is_empty() && is_name(after, name));
        let longest = matches.map(str::len).max()?;
        Some(Place { start, end: start + sign.len() + longest })
    })
}

fn is_name(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) && ends_name(&text[name.len()..])
}

fn begins_word(before: &str) -> bool {
    before.chars().next_back().is_none_or(|c| {
        is_cjk(c) || (!c.is_alphanumeric() && !matches!(c, '_' | '-' | '@' | '＠' | '.' | '/' | '+' | '='))
    })
}

fn ends_name(after: &str) -> bool {
    let mut chars = after.chars();
    match (chars.next(), chars.next()) {
        (None, _) => true,
        // Chinese is written without spaces: `@patchwright修复` is a mention.
        (Some(c), _) if is_cjk(c) => true,
        (Some('.' | '@' | '/'), next) => !next.is_some_and(|next| next.is_alphanumeric() && !is_cjk(next)),
        // `@patchwright[bot]` names another account.
        (Some('['), _) => false,
        (Some(c), _) => !c.is_alphanumeric() && !matches!(c, '-' | '_'),
    }
}

/// Returns whether a character belongs to a script without spaces, or to its punctuation.
const fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff01}'..='\u{ff0f}')
        || matches!(c, '\u{ff1a}'..='\u{ff1f}' | '\u{ff3b}'..='\u{ff65}' | '\u{20000}'..='\u{3ffff}')
}

impl LiveText {
    /// Returns the verb after a mention: in the same block, or in the next one if the mention stands alone.
    fn find_verb_after(&self, place: Place) -> Option<FoundVerb> {
        let at = place.end;
        let block = self.block_at(at);
        let moved =
            |from: usize| move |verb: FoundVerb| FoundVerb { start: verb.start + from, end: verb.end + from, ..verb };
        let found = find_verb(&self.text[at..block.end]).map(moved(at));
        let stands_alone =
            || is_greeting(&self.text[at..block.end]) && is_greeting(&self.text[block.start..place.start]);
        if found.is_some() || !stands_alone() {
            return found;
        }
        let next = self.block_after(block.end)?;
        find_verb(&self.text[next.clone()]).map(moved(next.start))
    }

    /// Returns the live words after a mention, in the same block.
    fn words_after(&self, place: Place) -> &str {
        &self.text[place.end..self.block_at(place.end).end]
    }
}

/// Returns the comment's text after a verb or a mention, if it says more than that.
fn instructions(comment: &str, live: &LiveText, from: usize) -> Option<String> {
    if !has_instructions(&live.without_markup(comment, from)) {
        return None;
    }
    Some(trim_instructions(&live.without_closers(comment, from))).filter(|text| !text.is_empty())
}

/// Returns the language of a request: that of its verb, of the words after it, or else of the words before it.
fn language(live: &LiveText, place: Place, verb: Option<FoundVerb>) -> Language {
    let chinese_verb = verb.filter(|verb| !live.text[verb.start..verb.end].is_ascii());
    if chinese_verb.is_some() {
        return Language::Chinese;
    }
    let after = &live.text[verb.map_or(place.end, |verb| verb.end)..];
    let polite = verb.map_or("", |verb| &live.text[place.end..verb.start]);
    let decisive =
        [after, polite, &live.text[..place.start]].into_iter().find(|text| text.contains(char::is_alphabetic));
    decisive.map_or(Language::English, language_of)
}
