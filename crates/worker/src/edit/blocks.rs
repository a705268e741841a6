//! Search/replace blocks.

use std::sync::LazyLock;

use regex::Regex;

/// One block: its lines between the first and the last mark, of which one is the mark in the middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    lines: Vec<String>,
}

/// A way to read a block.
struct Reading<'a> {
    search: &'a [String],
    replace: &'a [String],
}

/// How the marks are written, in a message.
const SEARCH: &str = "<<<<<<< SEARCH";
const MIDDLE: &str = "=======";
const REPLACE: &str = ">>>>>>> REPLACE";

/// Returns whether an answer has blocks.
pub(crate) fn are_in(answer: &str) -> bool {
    answer.lines().any(is_start)
}

/// Returns whether a line is a mark of a block, or of a conflict.
pub(super) fn is_mark(line: &str) -> bool {
    static MARK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(<{7}( .*)?|={7}|>{7}( .*)?)$").expect("the expression is valid"));
    MARK.is_match(line.trim_end())
}

/// Returns whether a line is the first or the last mark of a block.
pub(super) fn is_outer_mark(line: &str) -> bool {
    is_mark(line) && !is_middle(line)
}

pub(crate) fn is_start(line: &str) -> bool {
    static START: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)^\s*<{5,9}\s?(SEARCH|ORIGINAL)\s*>?\s*$").expect("the expression is valid"));
    START.is_match(line)
}

fn is_middle(line: &str) -> bool {
    let line = line.trim();
    (5..=9).contains(&line.len()) && line.bytes().all(|byte| byte == b'=')
}

pub(crate) fn is_end(line: &str) -> bool {
    static END: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^\s*>{5,9}\s?(REPLACE|UPDATED|UPDATE)\s*$").expect("the expression is valid")
    });
    END.is_match(line)
}

/// Returns the blocks of an answer.
///
/// # Errors
/// A message for the model, if a mark is missing.
pub(super) fn parse(answer: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<Vec<String>> = None;
    for line in answer.lines() {
        match &mut open {
            None if is_start(line) => open = Some(Vec::new()),
            None => {}
            Some(_) if is_start(line) => return Err(format!("a block has no `{REPLACE}` line before the next one")),
            Some(_) if is_end(line) => blocks.extend(open.take().map(|lines| Block { lines })),
            Some(lines) => lines.push(line.to_owned()),
        }
    }
    if open.is_some() {
        return Err(format!("a block has no `{REPLACE}` line"));
    }
    if blocks.iter().all(|block: &Block| block.lines.iter().any(|line| is_middle(line))) {
        return Ok(blocks);
    }
    Err(format!("a block has no `{MIDDLE}` line between `{SEARCH}` and `{REPLACE}`"))
}

impl Block {
    /// Returns the ways to read the block, the last mark first: a heading may be underlined like the mark.
    fn readings(&self) -> impl Iterator<Item = Reading<'_>> {
        let middles = self.lines.iter().enumerate().rev().filter(|(_, line)| is_middle(line));
        middles.map(|(at, _)| Reading { search: &self.lines[..at], replace: &self.lines[at + 1..] })
    }

    /// Applies the block if its lines occur exactly once: compared exactly, else without trailing white space, else without the
    /// indentation.
    ///
    /// # Errors
    /// A message for the model: what was not found, and the lines that are nearest.
    pub(super) fn apply(&self, text: &str) -> Result<String, String> {
        let file: Vec<&str> = text.lines().collect();
        let same: [fn(&str, &str) -> bool; 3] =
            [|a, b| a == b, |a, b| a.trim_end() == b.trim_end(), |a, b| a.trim() == b.trim()];
        for same in same {
            for reading in self.readings().filter(|reading| !reading.is_blank()) {
                match find(&file, reading.search, same)[..] {
                    [] => {}
                    [start] => return Ok(reading.splice(&file, start)),
                    ref several => {
                        return Err(format!(
                            "its search lines stand {} times in the file; take more lines along",
                            several.len()
                        ));
                    }
                }
            }
        }
        let reading = self.readings().last().expect("a block has a mark in the middle");
        if !reading.is_blank() {
            return Err(format!("its search lines do not stand in the file.{}", nearest(&file, reading.search)));
        }
        if text.trim().is_empty() {
            return Ok(join(reading.replace));
        }
        Err("the search part is empty; name lines that stand in the file".to_owned())
    }
}

impl Reading<'_> {
    fn is_blank(&self) -> bool {
        self.search.iter().all(|line| line.trim().is_empty())
    }

    /// Returns the file with the replacement, indented by as much as the file's lines are indented more than the searched ones.
    fn splice(&self, file: &[&str], start: usize) -> String {
        let mut replace: &[String] = self.replace;
        // A second mark by mistake, which the file does not have.
        if !file.iter().any(|line| is_middle(line)) {
            while let [first, rest @ ..] = replace {
                if !is_middle(first) {
                    break;
                }
                replace = rest;
            }
        }
        let indent = self.missing_indent(file, start);
        let moved = |line: &String| if line.trim().is_empty() { line.clone() } else { format!("{indent}{line}") };
        let before = file[..start].iter().map(|line| (*line).to_owned());
        let after = file[start + self.search.len()..].iter().map(|line| (*line).to_owned());
        join(&before.chain(replace.iter().map(moved)).chain(after).collect::<Vec<_>>())
    }

    fn missing_indent<'a>(&self, file: &[&'a str], start: usize) -> &'a str {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let Some(at) = self.search.iter().position(|line| !line.trim().is_empty()) else { return "" };
        let (have, want) = (file[start + at], &self.search[at]);
        have[..indent(have)].strip_suffix(&want[..indent(want)]).unwrap_or_default()
    }
}

fn join(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn find(file: &[&str], wanted: &[String], same: fn(&str, &str) -> bool) -> Vec<usize> {
    if wanted.len() > file.len() {
        return Vec::new();
    }
    (0..=file.len() - wanted.len())
        .filter(|start| file[*start..].iter().zip(wanted).all(|(line, want)| same(line, want)))
        .collect()
}

/// Returns the part of the file that is most similar to the searched lines, for the next attempt.
fn nearest(file: &[&str], wanted: &[String]) -> String {
    let alike = |start: usize| {
        let pairs = file[start..].iter().zip(wanted);
        pairs.filter(|(line, want)| !want.trim().is_empty() && line.trim() == want.trim()).count()
    };
    let best = (0..file.len()).max_by_key(|start| (alike(*start), std::cmp::Reverse(*start)));
    match best.filter(|start| alike(*start) > 0) {
        Some(start) => {
            let end = (start + wanted.len() + 1).min(file.len());
            format!(" The nearest lines are:\n{}\n", file[start..end].join("\n"))
        }
        None => " Nothing in the file looks like them.".to_owned(),
    }
}
