//! Unified diffs, parsed for display by file, hunk and line, side by side or unified.

use crate::highlight::{Painter, Span};

/// The most lines that one page shows.
pub const MAX_LINES: usize = 3_000;

/// The kind of a line of a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// The line is unchanged.
    Same,
    /// The line was added.
    Added,
    /// The line was removed.
    Removed,
}

impl LineKind {
    /// Returns the name of its color.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }

    /// Returns the sign before it.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Added => "+",
            Self::Removed => "-",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The kind.
    pub kind: LineKind,
    /// The line number before the change.
    pub old: Option<u32>,
    /// The line number after the change.
    pub new: Option<u32>,
    /// The highlighted text.
    pub spans: Vec<Span>,
}

/// A hunk of consecutive lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The header: `@@ -1,3 +1,4 @@`.
    pub heading: String,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Hunk {
    /// Returns the lines side by side: removed lines next to the ones that replace them.
    pub fn rows(&self) -> Vec<(Option<&Line>, Option<&Line>)> {
        let mut rows = Vec::with_capacity(self.lines.len());
        let mut rest = self.lines.as_slice();
        while let Some(first) = rest.first() {
            if first.kind == LineKind::Same {
                rows.push((Some(first), Some(first)));
                rest = &rest[1..];
                continue;
            }
            let (gone, after) = run(rest, LineKind::Removed);
            let (come, after) = run(after, LineKind::Added);
            rows.extend((0..gone.len().max(come.len())).map(|at| (gone.get(at), come.get(at))));
            rest = after;
        }
        rows
    }
}

/// Splits off the leading lines of one kind.
fn run(lines: &[Line], kind: LineKind) -> (&[Line], &[Line]) {
    let end = lines.iter().position(|line| line.kind != kind).unwrap_or(lines.len());
    lines.split_at(end)
}

/// The changes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// The path of the file, or its previous path if it was removed.
    pub path: String,
    /// Whether the file is new.
    pub is_new: bool,
    /// The hunks.
    pub hunks: Vec<Hunk>,
    /// The number of added lines.
    pub added: usize,
    /// The number of removed lines.
    pub removed: usize,
}

impl FileDiff {
    /// Whether it is short enough to be shown expanded.
    pub const fn is_short(&self) -> bool {
        self.added + self.removed <= 600
    }
}

/// A parsed diff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The files.
    pub files: Vec<FileDiff>,
    /// The number of omitted lines.
    pub left_out: usize,
}

impl Diff {
    /// Parses a unified diff. Invalid parts are skipped, because the result is for display only.
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader { diff: Self::default(), shown: 0, painters: None };
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let (Some(old), Some(next)) = (line.strip_prefix("--- "), lines.peek())
                && let Some(new) = next.strip_prefix("+++ ")
            {
                reader.begin_file(old, new);
                lines.next();
            } else if let Some(place) = Place::parse(line) {
                reader.hunk(line, &place, &mut lines);
            }
        }
        reader.diff
    }
}

/// Parses the start and length of a hunk, before and after.
struct Place {
    old: (u32, u32),
    new: (u32, u32),
}

impl Place {
    fn parse(line: &str) -> Option<Self> {
        let (ranges, _) = line.strip_prefix("@@ -")?.split_once(" @@")?;
        let (old, new) = ranges.split_once(" +")?;
        let range = |text: &str| {
            let (start, length) = text.split_once(',').unwrap_or((text, "1"));
            Some((start.parse().ok()?, length.parse().ok()?))
        };
        Some(Self { old: range(old)?, new: range(new)? })
    }
}

struct Reader {
    diff: Diff,
    shown: usize,
    /// The remaining lines of the file before and after the change.
    painters: Option<(Painter, Painter)>,
}

impl Reader {
    fn begin_file(&mut self, old: &str, new: &str) {
        let name = |side: &str, prefix| side.strip_prefix(prefix).unwrap_or(side).trim_end().to_owned();
        let path = if new.starts_with("/dev/null") { name(old, "a/") } else { name(new, "b/") };
        self.painters = Some((Painter::for_path(&path), Painter::for_path(&path)));
        let is_new = old.starts_with("/dev/null");
        self.diff.files.push(FileDiff { path, is_new, hunks: Vec::new(), added: 0, removed: 0 });
    }

    /// The lines of a hunk are counted, because a removed line may look like a file header.
    fn hunk<'a>(&mut self, heading: &str, place: &Place, lines: &mut impl Iterator<Item = &'a str>) {
        let (Some(file), Some((before, now))) = (self.diff.files.last_mut(), &mut self.painters) else { return };
        let ((mut old, mut left_old), (mut new, mut left_new)) = (place.old, place.new);
        let mut hunk = Hunk { heading: heading.to_owned(), lines: Vec::new() };
        while left_old + left_new > 0 {
            let Some(line) = lines.next() else { break };
            let (kind, text) = match line.split_at_checked(1) {
                Some(("+", text)) => (LineKind::Added, text),
                Some(("-", text)) => (LineKind::Removed, text),
                Some(("\\", _)) => continue,
                Some((_, text)) => (LineKind::Same, text),
                None => (LineKind::Same, ""),
            };
            let mut shown = Line { kind, old: None, new: None, spans: Vec::new() };
            if kind != LineKind::Added {
                shown.old = Some(old);
                (old, left_old) = (old + 1, left_old.saturating_sub(1));
                shown.spans = before.paint(text);
            }
            if kind != LineKind::Removed {
                shown.new = Some(new);
                (new, left_new) = (new + 1, left_new.saturating_sub(1));
                shown.spans = now.paint(text);
            }
            file.added += usize::from(kind == LineKind::Added);
            file.removed += usize::from(kind == LineKind::Removed);
            if self.shown < MAX_LINES {
                self.shown += 1;
                hunk.lines.push(shown);
            } else {
                self.diff.left_out += 1;
            }
        }
        if !hunk.lines.is_empty() {
            file.hunks.push(hunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/src/calc.py\n+++ b/src/calc.py\n@@ -1,4 +1,3 @@ class X\n def add(a, b):\n-    return a - b\n--- gone\n+    return a + b\n \n@@ -9,1 +9,2 @@\n x\n+y\n\\ No newline at end of file\n--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,1 @@\n+<b>\n";

    fn text(line: &Line) -> String {
        line.spans.iter().map(|span| span.text.as_str()).collect()
    }

    #[test]
    fn a_diff_is_read_by_file_hunk_and_line() {
        let diff = Diff::parse(DIFF);
        let counts: Vec<_> = diff.files.iter().map(|file| (file.path.as_str(), file.added, file.removed)).collect();
        assert_eq!(counts, [("src/calc.py", 2, 2), ("new.txt", 1, 0)]);
        assert!(diff.files[1].is_new && !diff.files[0].is_new);
        let first = &diff.files[0].hunks[0];
        let numbers: Vec<_> = first.lines.iter().map(|line| (line.kind.sign(), line.old, line.new)).collect();
        let expected = [
            (" ", Some(1), Some(1)),
            ("-", Some(2), None),
            ("-", Some(3), None),
            ("+", None, Some(2)),
            (" ", Some(4), Some(3)),
        ];
        assert_eq!(numbers, expected);
        assert_eq!(text(&first.lines[2]), "-- gone", "a line that looks like the head of a file");
        assert_eq!(diff.files[1].hunks[0].lines[0].new, Some(1));
    }

    #[test]
    fn what_came_stands_beside_what_it_took_the_place_of() {
        let diff = Diff::parse(DIFF);
        let rows = diff.files[0].hunks[0].rows();
        let rows: Vec<_> = rows.iter().map(|(old, new)| (old.and_then(|l| l.old), new.and_then(|l| l.new))).collect();
        assert_eq!(rows, [(Some(1), Some(1)), (Some(2), Some(2)), (Some(3), None), (Some(4), Some(3))]);
    }

    #[test]
    fn a_long_diff_says_how_much_is_left_out() {
        let lines = "+x\n".repeat(MAX_LINES + 7);
        let diff = Diff::parse(&format!("--- /dev/null\n+++ b/a\n@@ -0,0 +1,{} @@\n{lines}", MAX_LINES + 7));
        assert_eq!((diff.left_out, diff.files[0].added), (7, MAX_LINES + 7));
        assert_eq!(Diff::parse("nonsense\n@@ -1 +1 @@\n@@ x"), Diff::default());
    }
}
