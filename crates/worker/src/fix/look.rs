//! What the model may look at: lines, definitions, uses. Bounded, and with the changes of its draft.

use patchwright_core::code_index::{CodeIndex, Definition};
use regex::{Regex, RegexBuilder};

use super::actions::Action;
use super::draft::Draft;
use crate::excerpt::extend_upwards;
use crate::repository::{Repository, is_code};

/// The most characters of an answer; a longer one loses its middle.
pub(crate) const MAX_ANSWER_CHARS: usize = 10_000;
/// The most lines that a search shows, and the most of one file.
const MAX_MATCHES: usize = 40;
const MAX_MATCHES_OF_FILE: usize = 8;
/// The longest line that is shown of a match, in characters.
const MAX_LINE_CHARS: usize = 160;
/// A file up to this many lines is read whole; of a longer one, lines or a definition must be named.
const MAX_WHOLE_LINES: usize = 220;
/// The most lines of an outline.
const MAX_OUTLINE_LINES: usize = 150;

/// What is looked at.
pub(crate) struct Source<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) draft: &'a Draft,
    pub(crate) index: &'a dyn CodeIndex,
}

impl Source<'_> {
    /// Answers a reading action; other actions have no answer here. Blocks.
    pub(crate) fn answer(&self, action: &Action) -> String {
        let answer = match action {
            Action::Search { pattern, path } => self.search(pattern, path),
            Action::Read { path, part } => self.read(path, part),
            Action::Outline { path } => self.outline(path),
            Action::References { symbol } => self.references(symbol),
            _ => String::new(),
        };
        shorten_middle(&answer, MAX_ANSWER_CHARS)
    }

    fn text(&self, path: &str) -> Option<String> {
        self.draft.read(path, self.repository)
    }

    /// Returns why a file cannot be read.
    fn missing(&self, path: &str) -> String {
        if self.repository.contains(path) {
            return format!("{path} is deleted in this change, too large, or no text");
        }
        if patchwright_domain::RepoPath::parse(path).is_ok_and(|path| path.may_hold_secrets()) {
            return format!("{path} may hold secrets and cannot be read");
        }
        let similar = self.repository.similar_paths(path);
        let hint = if similar.is_empty() { String::new() } else { format!("; there is {}", similar.join(", ")) };
        format!("there is no file {path}{hint}")
    }

    fn search(&self, pattern: &str, path: &str) -> String {
        let expression = RegexBuilder::new(pattern).size_limit(1 << 20).build();
        // A pattern that is no expression is meant as it stands.
        let expression = expression.or_else(|_| Regex::new(&regex::escape(pattern)));
        let Ok(expression) = expression else { return "the pattern is too long".to_owned() };
        let found = self.find(&expression, path, |_| true);
        if found.is_empty() {
            let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
            return format!("nothing matches `{pattern}`{place}");
        }
        found
    }

    fn references(&self, symbol: &str) -> String {
        let own = symbol.trim_end_matches("()").rsplit(['.', ':']).next().unwrap_or(symbol);
        let Ok(expression) = Regex::new(&format!(r"\b{}\b", regex::escape(own))) else {
            return format!("`{symbol}` is no name");
        };
        let found = self.find(&expression, "", is_code);
        if found.is_empty() { format!("nothing uses `{own}`") } else { found }
    }

    /// Renders the matching lines by file, with the definition around each.
    fn find(&self, expression: &Regex, below: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let below = below.trim_end_matches(['*', '/']);
        let is_below = |path: &str| {
            below.is_empty()
                || path == below
                || path.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'))
                || path.ends_with(below)
        };
        let (mut out, mut shown, mut all) = (String::new(), 0, 0);
        for source in self.repository.searched() {
            if !is_below(&source.path) || !is_wanted(&source.path) || !self.may_match(source, expression) {
                continue;
            }
            let Some(text) = self.text(&source.path) else { continue };
            let matches: Vec<(usize, &str)> =
                text.lines().enumerate().filter(|(_, line)| expression.is_match(line)).collect();
            all += matches.len();
            if shown >= MAX_MATCHES || matches.is_empty() {
                continue;
            }
            let definitions = if is_code(&source.path) { self.index.outline(&source.path, &text) } else { Vec::new() };
            out.push_str(&format!("{}\n", source.path));
            for (number, line) in matches.iter().take(MAX_MATCHES_OF_FILE.min(MAX_MATCHES - shown)) {
                let around = around(&definitions, number + 1).map_or_else(String::new, |name| format!(" ({name})"));
                let line: String = line.trim_end().chars().take(MAX_LINE_CHARS).collect();
                out.push_str(&format!("{}{around}: {line}\n", number + 1));
                shown += 1;
            }
        }
        if all > shown {
            out.push_str(&format!("{shown} of {all} matching lines are shown; search for less\n"));
        }
        out
    }

    /// Returns whether the file as it was or as it is in the draft may match, without making a copy of each text.
    fn may_match(&self, source: &crate::repository::SourceText, expression: &Regex) -> bool {
        expression.is_match(&source.text) || self.draft.paths().iter().any(|path| path.as_str() == source.path)
    }

    fn read(&self, path: &str, part: &str) -> String {
        let Some(text) = self.text(path) else { return self.missing(path) };
        let lines: Vec<&str> = text.lines().collect();
        if let Some((from, to)) = line_range(part) {
            return render(&lines, from.saturating_sub(1), to.min(lines.len()));
        }
        let definitions = self.index.outline(path, &text);
        if part.is_empty() {
            if lines.len() <= MAX_WHOLE_LINES {
                return render(&lines, 0, lines.len());
            }
            return format!(
                "{path} has {} lines; name lines or a definition\n{}",
                lines.len(),
                outline_of(&definitions)
            );
        }
        let wanted = part.trim_end_matches("()");
        let is_wanted = |known: &&Definition| {
            known.name == wanted
                || known.name.rsplit('.').next() == Some(wanted)
                || wanted.replace("::", ".") == known.name
        };
        let found: Vec<&Definition> = definitions.iter().filter(is_wanted).take(3).collect();
        if found.is_empty() {
            return format!("{path} defines no `{wanted}`\n{}", outline_of(&definitions));
        }
        let part = |known: &&Definition| {
            let from = extend_upwards(&lines, known.lines.0 as usize - 1);
            render(&lines, from, (known.lines.1 as usize).min(lines.len()))
        };
        found.iter().map(part).collect::<Vec<_>>().join("\n")
    }

    fn outline(&self, path: &str) -> String {
        if let Some(text) = self.text(path) {
            let outline = outline_of(&self.index.outline(path, &text));
            return if outline.is_empty() {
                format!("{path} has {} lines and no definitions", text.lines().count())
            } else {
                outline
            };
        }
        let entries = self.repository.entries(path.trim_matches('.').trim_matches('/'));
        if entries.is_empty() { self.missing(path) } else { entries.into_iter().collect::<Vec<_>>().join("\n") }
    }
}

fn outline_of(definitions: &[Definition]) -> String {
    let line = |known: &Definition| format!("{}{}: {}\n", "  ".repeat(known.depth), known.lines.0, known.signature);
    definitions.iter().filter(|known| known.kind != "constant").take(MAX_OUTLINE_LINES).map(line).collect()
}

/// Returns the innermost definition around a line.
fn around(definitions: &[Definition], line: usize) -> Option<&str> {
    let holds = |known: &&Definition| known.lines.0 as usize <= line && line <= known.lines.1 as usize;
    definitions.iter().filter(holds).max_by_key(|known| known.lines.0).map(|known| known.name.as_str())
}

/// Reads `10-20`, `10:20`, `10..20`, `L10-L20` and `10`, which stands for the lines around it.
fn line_range(part: &str) -> Option<(usize, usize)> {
    let part = part.trim().trim_start_matches("lines").trim().replace('L', "");
    let (from, to) = part.split_once(['-', ':', ',', '–']).or_else(|| part.split_once("..")).unwrap_or((&part, ""));
    let from: usize = from.trim().parse().ok()?;
    if to.trim().is_empty() {
        return Some((from.saturating_sub(10).max(1), from + 30));
    }
    let to: usize = to.trim().trim_start_matches('.').parse().ok()?;
    (to >= from).then_some((from.max(1), to))
}

fn render(lines: &[&str], from: usize, to: usize) -> String {
    if from >= lines.len() {
        return format!("there are {} lines", lines.len());
    }
    format!("lines {} to {to} of {}:\n{}\n", from + 1, lines.len(), lines[from..to].join("\n"))
}

/// Shortens a text from its middle, and says how much is left out.
pub(crate) fn shorten_middle(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most * 2 / 3).collect();
    let tail: String = text.chars().skip(count - most / 3).collect();
    format!("{head}\n[… {} characters are left out …]\n{tail}", count - most * 2 / 3 - most / 3)
}
