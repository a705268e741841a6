//! The text that leaves the server: comments, titles, descriptions and commit messages.
//!
//! [`OutgoingText`] is made here only, of our own literals and of outside text (an issue's title, a model's answer, a file's
//! name) that was neutralized. The functions are idempotent, and each removes invisible characters before it looks for
//! active ones, so that nothing becomes active by removing what was between its characters. Nothing may be removed from their
//! result.

use std::fmt;

use patchwright_domain::{CommitSha, IssueRef, JobId};

use crate::redactor::Redactor;

/// The longest piece of outside text in one comment, in characters.
pub const MAX_PIECE: usize = 4_000;

/// Separates a sigil from what it would act on, without changing what a reader sees.
const BREAK: char = '\u{200b}';

/// Text that may be published: it mentions, closes, links and loads only what our own literals do.
///
/// ```
/// use patchwright_core::outgoing_text::{OutgoingText, neutralise};
///
/// let title = neutralise("fixes #8, cc @org/team");
/// let text = OutgoingText::fill("**{title}** needs a review.", &[("title", &title)]);
/// assert!(!text.as_str().contains("@org"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingText(String);

impl OutgoingText {
    /// Returns a literal of the program.
    pub fn own(literal: &'static str) -> Self {
        Self(literal.to_owned())
    }

    /// Returns a literal of the program with its placeholders, such as `{title}`, replaced. Braces in the parts are not
    /// read again, and a placeholder without a part stays.
    pub fn fill(template: &'static str, parts: &[(&str, &Self)]) -> Self {
        let mut out = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let name = rest.find('}').map(|end| &rest[1..end]);
            let part = name.and_then(|name| parts.iter().find(|(known, _)| *known == name));
            out.push_str(part.map_or("{", |(_, part)| &part.0));
            rest = &rest[part.map_or(1, |(name, _)| name.len() + 2)..];
        }
        out.push_str(rest);
        Self(out)
    }

    /// Returns an address as a link; one that could contain markup is neutralized.
    pub fn url(address: &str) -> Self {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&*+,;=%".contains(c);
        let is_address = address.starts_with("https://") || address.starts_with("http://");
        if is_address && address.chars().all(is_plain) {
            Self(address.to_owned())
        } else {
            neutralise_line(address, 300)
        }
    }

    /// Returns the name of an issue, `#12` or `PROJ-12`, which forges and trackers link.
    pub fn issue_name(issue: &IssueRef) -> Self {
        Self(issue.name())
    }

    /// Returns a trailer of a commit's message that names a person as `login <address>`; empty if it does not have this form.
    pub fn person_trailer(name: &'static str, person: &str) -> Self {
        let Some((login, address)) = person.strip_suffix('>').and_then(|rest| rest.split_once(" <")) else {
            return Self::default();
        };
        let is_plain = |text: &str, more: &str| text.chars().all(|c| c.is_alphanumeric() || more.contains(c));
        let is_person = address.contains('@') && is_plain(login, " ._-[]") && is_plain(address, "@.+_-[]");
        if is_person { Self(format!("{name}: {person}\n")) } else { Self::default() }
    }

    /// Returns a comment of HTML, which readers do not see. Characters that could end it are left out.
    pub fn hidden(note: &str) -> Self {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | ':' | '_' | '.' | '-');
        let note: String = note.chars().filter(is_plain).collect();
        Self(format!("<!-- {} -->", note.replace("--", "-").trim()))
    }

    /// Returns the texts with a separator between them.
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Self>, separator: &'static str) -> Self {
        let parts: Vec<&str> = parts.into_iter().map(Self::as_str).collect();
        Self(parts.join(separator))
    }

    /// Adds a text at the end.
    pub fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    /// Adds a literal of the program at the end.
    pub fn push_own(&mut self, literal: &'static str) {
        self.0.push_str(literal);
    }

    /// Returns the text without the known secrets and token shapes.
    #[must_use]
    pub fn redact(&self, redactor: &Redactor) -> Self {
        let mut text = redactor.redact(&self.0);
        // The mask has brackets, which must not become a link with what is behind it.
        for opening in ['(', '[', ':'] {
            text = text.replace(&format!("]{opening}"), &format!("]{BREAK}{opening}"));
        }
        Self(text)
    }

    /// Returns the text in at most so many characters, with an ellipsis if it was longer.
    #[must_use]
    pub fn shorten(&self, max_chars: usize) -> Self {
        Self(shorten(&self.0, max_chars))
    }

    /// Returns the characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for OutgoingText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<OutgoingText> for String {
    fn from(text: OutgoingText) -> Self {
        text.0
    }
}

impl From<u64> for OutgoingText {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<JobId> for OutgoingText {
    fn from(id: JobId) -> Self {
        Self(id.to_string())
    }
}

impl From<&CommitSha> for OutgoingText {
    fn from(commit: &CommitSha) -> Self {
        Self(commit.short().to_owned())
    }
}

/// Escapes outside text for Markdown: it cannot mention users, refer to or close issues, give commands to bots, load images,
/// link or contain HTML, and it stays readable.
pub fn neutralise(text: &str) -> OutgoingText {
    let mut out = String::with_capacity(text.len() + 16);
    let shown: Vec<char> = text.chars().filter(|c| is_visible(*c)).take(MAX_PIECE).collect();
    for (at, c) in shown.iter().enumerate() {
        out.push(*c);
        if is_sigil(&shown, at) {
            out.push(BREAK);
        }
    }
    OutgoingText(out)
}

/// Escapes outside text for one line of Markdown, such as a table cell.
pub fn neutralise_line(text: &str, max_chars: usize) -> OutgoingText {
    let line = one_line(text);
    // An escaped character is not escaped again.
    let line = line.replace("\\|", "|").replace('`', "'");
    OutgoingText(neutralise(&shorten(&line, max_chars)).0.replace('|', "\\|"))
}

/// Escapes outside text for one line of plain text: a pull request's title, or the subject of a commit, from which a forge
/// closes issues too. A space separates what would be active, because an invisible character would be copied with it.
pub fn neutralise_plain(text: &str, max_chars: usize) -> OutgoingText {
    let shown: Vec<char> = one_line(text).chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in shown.iter().enumerate() {
        // HTML and images are text in plain text.
        let is_markup = matches!(c, '<' | '&' | '!' | ']');
        out.push(*c);
        if is_sigil(&shown, at) && !is_markup {
            out.push(' ');
        }
    }
    OutgoingText(shorten(&out, max_chars).trim_end().to_owned())
}

/// Renders a text, such as a file's name, as a code span that the text cannot close.
pub fn code_span(text: &str) -> OutgoingText {
    let text = one_line(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    OutgoingText(format!("{fence}{pad}{text}{pad}{fence}"))
}

/// Returns a line as code in a cell of a table: forges find the cells before they find code, also in code.
pub fn table_code_span(text: &str) -> OutgoingText {
    code_span(&text.replace('|', "\\|"))
}

/// Returns whether the character at this place acts on what follows, on any of the forges.
fn is_sigil(text: &[char], at: usize) -> bool {
    let next = text.get(at + 1).copied().unwrap_or(' ');
    let before = |distance: usize| at.checked_sub(distance).map_or('\n', |at| text[at]);
    match text[at] {
        '@' | '\u{ff20}' => next.is_alphanumeric() || next == '_',
        // Issues and, on some forges, merge requests; an image.
        '#' | '\u{ff03}' => next.is_ascii_digit(),
        '!' => next == '[' || next.is_ascii_digit(),
        // `GH-12` is an issue.
        '-' => next.is_ascii_digit() && before(1).eq_ignore_ascii_case(&'h') && before(2).eq_ignore_ascii_case(&'g'),
        '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
        // An entity stands for any of the others.
        '&' => next.is_ascii_alphanumeric() || next == '#',
        ':' => next == '/' && text.get(at + 2) == Some(&'/'),
        // A link or a definition of one, whatever its address looks like.
        ']' => matches!(next, '(' | '[' | ':'),
        // A command at the start of a line.
        '/' => next.is_ascii_alphabetic() && starts_line(text, at),
        // `www.` becomes a link without a scheme.
        'w' | 'W' => {
            let is_w = |distance| before(distance).eq_ignore_ascii_case(&'w');
            next == '.' && is_w(1) && is_w(2)
        }
        _ => false,
    }
}

/// Returns whether only white space, list and quote marks are before this place in its line.
fn starts_line(text: &[char], at: usize) -> bool {
    let before = text[..at].iter().rev().take_while(|c| **c != '\n');
    before.clone().all(|c| c.is_whitespace() || matches!(c, '>' | '*' | '-' | '+'))
}

/// Returns whether a reader sees the character, or needs it as white space. Direction marks, tags and variation selectors
/// can hide text, and control characters steer terminals.
pub const fn is_visible(c: char) -> bool {
    !matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        && (!is_control(c) || matches!(c, '\n' | '\t'))
}

const fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

/// Returns the visible text with its white space made single spaces.
fn one_line(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| is_visible(*c)).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Renders a text as a code block that the text cannot close.
pub fn code_block(text: &str, language: &'static str) -> OutgoingText {
    // A carriage return ends a line of Markdown too.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text: String = text.chars().filter(|c| is_visible(*c)).collect();
    let longest = text.lines().map(|line| line.trim_start().bytes().take_while(|b| *b == b'`').count()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    OutgoingText(format!("{fence}{language}\n{}\n{fence}", text.trim_end()))
}

/// Cuts a text to at most so many characters, with an ellipsis.
pub fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a forge, a mail program or a bot would act on.
    fn active(text: &str) -> Option<&'static str> {
        let chars: Vec<char> = text.chars().collect();
        let next = |at: usize| chars.get(at + 1).copied().unwrap_or(' ');
        for (at, c) in chars.iter().enumerate() {
            let found = match c {
                '@' if next(at).is_alphanumeric() => "a mention",
                '#' if next(at).is_ascii_digit() => "a reference",
                '!' if next(at) == '[' => "an image",
                '<' if next(at).is_ascii_alphabetic() || matches!(next(at), '/' | '!' | '?') => "HTML",
                '&' if next(at).is_ascii_alphanumeric() || next(at) == '#' => "an entity",
                ']' if matches!(next(at), '(' | '[' | ':') => "a link",
                c if c.is_control() && !matches!(c, '\n' | '\t') => "a control character",
                '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{e0000}'..='\u{e0fff}' => "hidden text",
                _ => continue,
            };
            return Some(found);
        }
        let lower = text.to_lowercase();
        if lower.contains("://") || lower.contains("www.") {
            return Some("a link");
        }
        let is_command = |line: &str| {
            let rest = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '>' | '*' | '-' | '+'));
            rest.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        };
        if text.split('\n').any(is_command) {
            return Some("a command");
        }
        let bytes = lower.as_bytes();
        bytes.windows(4).any(|four| &four[..3] == b"gh-" && four[3].is_ascii_digit()).then_some("a reference")
    }

    /// Active text, with characters in between that are removed.
    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("@".to_owned()),
            Just("org/team".to_owned()),
            Just("fixes #8".to_owned()),
            Just("#".to_owned()),
            Just("8".to_owned()),
            Just("!".to_owned()),
            Just("[x](http://e/".to_owned()),
            Just("<".to_owned()),
            Just("img src=x>".to_owned()),
            Just("&".to_owned()),
            Just("#64;".to_owned()),
            Just("GH-".to_owned()),
            Just("www".to_owned()),
            Just(".e.org".to_owned()),
            Just(":".to_owned()),
            Just("//".to_owned()),
            Just("\n/close".to_owned()),
            Just("`".to_owned()),
            Just("|".to_owned()),
            Just("\\".to_owned()),
            Just("\u{200b}".to_owned()),
            Just("\u{202e}".to_owned()),
            Just("\0".to_owned()),
            Just("\u{1b}[0m".to_owned()),
            Just("\u{e0041}".to_owned()),
            Just("\r\n".to_owned()),
            Just("修复 ＠某人".to_owned()),
            "\\PC{0,3}",
        ];
        prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn fault_a3_nothing_is_active_in_what_leaves_and_cleaning_twice_changes_nothing(text in hostile()) {
            let clean = neutralise(&text).0;
            prop_assert_eq!(active(&clean), None, "{:?}", clean);
            prop_assert_eq!(neutralise(&clean).0, clean);
            let line = neutralise_line(&text, 60).0;
            prop_assert_eq!(active(&line), None, "{:?}", line);
            prop_assert!(!line.contains('\n') && !line.contains('`'));
            let plain = neutralise_plain(&text, 200).0;
            for c in ['\n', '\u{200b}', '\u{202e}', '\u{1b}'] {
                prop_assert!(!plain.contains(c), "{:?}", plain);
            }
            let acts = matches!(active(&plain), Some("a mention" | "a reference" | "a command" | "a control character"));
            prop_assert!(!acts, "{:?}: {:?}", plain, active(&plain));
            prop_assert_eq!(neutralise_plain(&plain, 200).0, plain);
        }

        #[test]
        fn fault_a3_a_code_span_ends_where_it_should(text in hostile()) {
            let span = code_span(&text).0;
            let fence: String = span.chars().take_while(|c| *c == '`').collect();
            let inner = &span[fence.len()..span.len() - fence.len()];
            prop_assert!(span.ends_with(&fence) && longest_run(inner) < fence.len(), "{:?}", span);
            prop_assert!(!span.contains('\n'));
        }
    }

    #[test]
    fn nobody_is_called_and_nothing_is_closed_or_loaded() {
        let text =
            neutralise("closes #12, a/b#3 @org/team ![x](http://evil/?q) <b>x</b> \u{202e}abc a@b &#64;org GH-7").0;
        assert_eq!(active(&text), None, "{text}");
        assert!(text.contains("#\u{200b}12") && text.contains("@\u{200b}org/team"));
        assert_eq!(
            neutralise("C# and a # heading, 50 % @ 3, a < b & c").as_str(),
            "C# and a # heading, 50 % @ 3, a < b & c"
        );
        assert_eq!(neutralise("fixes #\u{200d}8 @\u{200b}org").as_str(), "fixes #\u{200b}8 @\u{200b}org");
    }

    #[test]
    fn fault_a3_a_title_and_a_commit_close_and_mention_nothing() {
        assert_eq!(neutralise_plain("add() closes #7, cc @org/team", 80).as_str(), "add() closes # 7, cc @ org/team");
        assert_eq!(
            neutralise_plain("fixes https://e.org/a/b/issues/8\n\nCloses #1", 80).as_str(),
            "fixes https: //e.org/a/b/issues/8 Closes # 1"
        );
        assert_eq!(neutralise_plain("Vec<T> & co: C# costs 5 $", 80).as_str(), "Vec<T> & co: C# costs 5 $");
    }

    #[test]
    fn a_line_stays_in_its_cell() {
        assert_eq!(neutralise_line("a | b\n`c`", 40).as_str(), "a \\| b 'c'");
        assert_eq!(neutralise_line("abcdef", 4).as_str(), "abc…");
    }

    #[test]
    fn a_code_block_cannot_be_left() {
        assert_eq!(code_block("a\n```\nb", "").as_str(), "````\na\n```\nb\n````");
        assert_eq!(code_block("x", "diff").as_str(), "```diff\nx\n```");
        assert_eq!(code_span("src/a.py").as_str(), "`src/a.py`");
        assert_eq!(code_span("a`b").as_str(), "``a`b``");
        assert_eq!(table_code_span("lint | passed").as_str(), r"`lint \| passed`");
        let cut = code_block("x\r```\r@org/team\u{202e}", "text");
        assert_eq!(cut.as_str(), "````text\nx\n```\n@org/team\n````", "a carriage return ends a line too");
    }

    #[test]
    fn the_mask_of_a_secret_becomes_no_link() {
        let secret = crate::Secret::new("a-secret-of-twenty-chars");
        let redactor = crate::Redactor::new([&secret]);
        let text = neutralise("!a-secret-of-twenty-chars(//evil.example/p.png)").redact(&redactor);
        assert!(!text.as_str().contains("](") && text.as_str().contains("redacted"), "{text}");
    }

    #[test]
    fn only_our_own_literals_are_live_in_a_filled_template() {
        let outside = neutralise("{app} closes #7 {{x}} @org");
        let text =
            OutgoingText::fill("`@{app} fix` {what}{ {what {gone}", &[("app", &neutralise("bot")), ("what", &outside)]);
        assert_eq!(text.as_str(), format!("`@bot fix` {outside}{{ {{what {{gone}}"));
        assert_eq!(OutgoingText::url("https://e.org/a/b/pull/7?x=1#y").as_str(), "https://e.org/a/b/pull/7?x=1#y");
        for address in ["https://e.org/)[x](", "javascript://x", "https://e.org/ @org", "https://e.org/<b>"] {
            assert_eq!(active(OutgoingText::url(address).as_str()), None, "{address}");
        }
        assert_eq!(OutgoingText::hidden("a:v1 progress 1 --> <b>").as_str(), "<!-- a:v1 progress 1 - b -->");
        let trailer = |person: &str| OutgoingText::person_trailer("Co-authored-by", person).0;
        assert_eq!(trailer("ann <1+ann@users.example>"), "Co-authored-by: ann <1+ann@users.example>\n");
        for person in ["ann", "ann <x>", "ann\nCloses: #1 <a@b>", "ann #1 <a@b>"] {
            assert_eq!(trailer(person), "", "{person}");
        }
    }
}
