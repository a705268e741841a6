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
        let (pattern, path) = self.split_folder(pattern, path);
        let expression = RegexBuilder::new(pattern).size_limit(1 << 20).build();
        // A pattern that is no expression is meant as it stands.
        let expression = expression.or_else(|_| Regex::new(&regex::escape(pattern)));
        let Ok(expression) = expression else { return "the pattern is too long".to_owned() };
        let found = self.find(&expression, path, |_| true);
        if found.is_empty() {
            let place = if path.is_empty() { "the repository".to_owned() } else { format!("`{path}`") };
            return format!("nothing matches `{pattern}` in {place}");
        }
        found
    }

    /// Takes the last word of a pattern for the place to search in, if there is such a file or folder.
    fn split_folder<'b>(&self, pattern: &'b str, path: &'b str) -> (&'b str, &'b str) {
        match pattern.rsplit_once(char::is_whitespace) {
            Some((words, place)) if path.is_empty() && self.is_place(place) => (words.trim_end(), place),
            _ => (pattern, path),
        }
    }

    fn is_place(&self, place: &str) -> bool {
        self.repository.contains(place) || !self.repository.entries(place).is_empty()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::repository::tests::tree_of;

    /// Finds functions by their first line.
    struct LineIndex;

    #[async_trait::async_trait]
    impl CodeIndex for LineIndex {
        async fn rank(
            &self,
            _: patchwright_core::code_index::IndexQuery,
        ) -> Result<patchwright_core::code_index::Ranking, patchwright_core::code_index::CodeIndexError> {
            unreachable!("nothing is ranked here")
        }

        fn outline(&self, _: &str, text: &str) -> Vec<Definition> {
            let starts = text.lines().zip(1..).filter_map(|(line, number)| Some((line.strip_prefix("def ")?, number)));
            let definition = |(name, number): (&str, u32)| Definition {
                name: name.split('(').next().unwrap().to_owned(),
                kind: "function".to_owned(),
                lines: (number, number + 1),
                signature: format!("def {}", name.trim_end_matches(':')),
                depth: 0,
            };
            starts.map(definition).collect()
        }
    }

    fn answer(action: &Action) -> String {
        let long: String = (1..=400).map(|line| format!("line {line}\n")).collect();
        let repository = Repository::open(Arc::new(tree_of(&[
            ("src/calc.py", "import os\n\n@cached\ndef add(a, b):\n    return a - b\n"),
            ("src/use.py", "def run():\n    return add(1, 2)\n"),
            ("long.py", &long),
            (".env", "KEY=add\n"),
        ])));
        Source { repository: &repository, draft: &Draft::default(), index: &LineIndex }.answer(action)
    }

    fn read(path: &str, part: &str) -> String {
        answer(&Action::Read { path: path.into(), part: part.into() })
    }

    #[test]
    fn lines_and_definitions_are_read_with_what_belongs_to_them() {
        assert_eq!(read("src/calc.py", "add"), "lines 3 to 5 of 5:\n@cached\ndef add(a, b):\n    return a - b\n");
        assert_eq!(read("src/calc.py", "1-2"), "lines 1 to 2 of 5:\nimport os\n\n");
        assert!(read("src/calc.py", "").starts_with("lines 1 to 5 of 5:"));
        assert!(read("long.py", "").starts_with("long.py has 400 lines; name lines or a definition"));
        assert!(read("long.py", "390-500").ends_with("line 400\n"));
        assert!(read("long.py", "900-950").starts_with("there are 400 lines"));
        assert!(read("src/calc.py", "sub").starts_with("src/calc.py defines no `sub`\n4: def add(a, b)"));
        assert_eq!(read("calc.py", ""), "there is no file calc.py; there is src/calc.py");
        assert_eq!(read(".env", ""), ".env may hold secrets and cannot be read");
    }

    #[test]
    fn a_search_names_the_definition_around_a_line_and_never_finds_a_secret() {
        let found = answer(&Action::Search { pattern: r"add\(".into(), path: String::new() });
        assert_eq!(found, "src/calc.py\n4 (add): def add(a, b):\nsrc/use.py\n2 (run):     return add(1, 2)\n");
        let below = answer(&Action::Search { pattern: "add".into(), path: "src/use.py".into() });
        assert_eq!(below, "src/use.py\n2 (run):     return add(1, 2)\n");
        let plain = answer(&Action::Search { pattern: "add(1".into(), path: "src/".into() });
        assert!(plain.contains("2 (run)"), "what is no expression is meant as it stands: {plain}");
        let many = answer(&Action::Search { pattern: "line".into(), path: String::new() });
        assert!(many.contains("8 of 400 matching lines are shown"), "{many}");
        assert_eq!(
            answer(&Action::Search { pattern: "KEY".into(), path: String::new() }),
            "nothing matches `KEY` in the repository"
        );
        let folder = answer(&Action::Search { pattern: "add src".into(), path: String::new() });
        assert!(folder.starts_with("src/calc.py\n"), "a folder without a slash is one too: {folder}");
        let missing = answer(&Action::Search { pattern: "sub src".into(), path: String::new() });
        assert_eq!(missing, "nothing matches `sub` in `src`");
        assert!(answer(&Action::References { symbol: "calc.add".into() }).contains("src/use.py"));
    }

    #[test]
    fn an_answer_is_bounded() {
        let text = "é".repeat(20_000);
        let short = shorten_middle(&text, 9_000);
        assert!(
            short.chars().count() < 9_100 && short.contains("[… 11000 characters are left out …]"),
            "{}",
            short.len()
        );
        assert_eq!(shorten_middle("short", 9_000), "short");
    }

    #[test]
    fn a_folder_lists_its_entries() {
        assert_eq!(answer(&Action::Outline { path: "src".into() }), "calc.py\nuse.py");
        assert_eq!(answer(&Action::Outline { path: "src/use.py".into() }), "1: def run()\n");
        assert!(answer(&Action::Outline { path: "nowhere".into() }).starts_with("there is no file"));
    }
}
