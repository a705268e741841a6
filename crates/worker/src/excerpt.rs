//! Parts of a file, with notes about the lines between them.

use std::collections::BTreeSet;
use std::ops::Range;

/// The lines of a file that are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excerpt {
    /// The number of lines of the file.
    count: usize,
    shown: BTreeSet<usize>,
}

/// A gap of up to this many lines is shown: the note about it would be as long.
const MIN_GAP: usize = 3;

impl Excerpt {
    pub(crate) const fn new(count: usize) -> Self {
        Self { count, shown: BTreeSet::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Returns whether every line is shown.
    pub(crate) fn is_whole(&self) -> bool {
        self.shown.len() == self.count
    }

    /// Returns whether a line, from 0, is shown.
    pub(crate) fn shows(&self, line: usize) -> bool {
        self.shown.contains(&line)
    }

    /// Returns the lines of a range that are not shown yet.
    pub(crate) fn missing(&self, range: &Range<usize>) -> impl Iterator<Item = usize> {
        range.clone().take_while(|line| *line < self.count).filter(|line| !self.shown.contains(line))
    }

    /// Shows the lines of a range, from 0.
    pub(crate) fn show(&mut self, range: Range<usize>) {
        self.shown.extend(range.start..range.end.min(self.count));
    }

    /// Renders the lines of the file.
    pub(crate) fn render(&self, text: &str) -> String {
        let mut out = String::new();
        let mut gap: Vec<(usize, &str)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if !self.shown.contains(&number) {
                gap.push((number, line));
                continue;
            }
            close_gap(&mut out, &mut gap);
            out.push_str(line);
            out.push('\n');
        }
        close_gap(&mut out, &mut gap);
        out
    }
}

fn close_gap(out: &mut String, gap: &mut Vec<(usize, &str)>) {
    let (Some((first, _)), Some((last, _))) = (gap.first(), gap.last()) else { return };
    if gap.len() < MIN_GAP {
        for (_, line) in gap.iter() {
            out.push_str(line);
            out.push('\n');
        }
    } else {
        out.push_str(&format!("[lines {} to {} are not shown]\n", first + 1, last + 1));
    }
    gap.clear();
}

/// The most lines above a definition that may belong to it.
const MAX_ABOVE: usize = 60;

/// Returns the first line of what belongs to a definition: its decorators, attributes and comments directly above.
pub(crate) fn extend_upwards(lines: &[&str], start: usize) -> usize {
    let mut first = start;
    // The last line that is known to belong to it: the lines of another statement may look like those of a decorator.
    let mut known = start;
    let mut depth = 0_i32;
    while first > 0 && start - first < MAX_ABOVE {
        let line = lines[first - 1].trim();
        let count = |wanted: [char; 2]| i32::try_from(line.matches(wanted).count()).unwrap_or(i32::MAX);
        let closed = count([')', ']']) - count(['(', '[']);
        let is_part = ["@", "#", "//", "/*", "*", "--", "template"].iter().any(|start| line.starts_with(start));
        // A decorator may have several lines, the last of which begins with a bracket.
        let is_inside = depth > 0 || (line.starts_with([')', ']']) && closed > 0);
        if line.is_empty() || !(is_part || is_inside) {
            break;
        }
        depth = (depth + closed).max(0);
        first -= 1;
        if depth == 0 && is_part {
            known = first;
        } else if depth == 0 {
            break;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_shown_with_notes_about_what_is_between_them() {
        let text: String = (1..=20).map(|line| format!("line {line}\n")).collect();
        let mut excerpt = Excerpt::new(20);
        excerpt.show(0..2);
        excerpt.show(9..11);
        excerpt.show(12..30);
        let shown = excerpt.render(&text);
        assert!(
            shown.starts_with("line 1\nline 2\n[lines 3 to 9 are not shown]\nline 10\nline 11\nline 12\nline 13\n"),
            "{shown}"
        );
        assert!(shown.ends_with("line 20\n") && !shown.contains("line 9\n"));
    }

    #[test]
    fn fault_j_what_is_above_a_definition_belongs_to_it() {
        let text = "x = 1\n\n@app.route(\n    '/a',\n)\n# Adds.\n@cached\ndef add(a, b):\n    return a\n";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(extend_upwards(&lines, 7), 2);
        let rust = "fn a() {}\n\n/// Adds.\n#[inline]\nfn add() {}\n";
        let lines: Vec<&str> = rust.lines().collect();
        assert_eq!(extend_upwards(&lines, 4), 2);
        let plain = "x = f(\n  1)\ndef g(): pass\n";
        let lines: Vec<&str> = plain.lines().collect();
        let statement = "x = f(\n  1\n)\ndef g(): pass\n";
        let others: Vec<&str> = statement.lines().collect();
        assert_eq!(extend_upwards(&others, 3), 3);
        assert_eq!(extend_upwards(&lines, 2), 2, "another statement is no part of it");
    }
}
