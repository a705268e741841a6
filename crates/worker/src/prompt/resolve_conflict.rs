//! The question how lines are to read that the branch and its base both changed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use patchwright_core::git::{ConflictedFile, MergedPart, RebaseConflict};
use patchwright_core::llm::Message;
use patchwright_core::outgoing_text::shorten;
use patchwright_domain::{Issue, Job, RepoPath};
use regex::Regex;

use super::{issue_text, rules};

/// How many lines before and after a conflict are shown.
const LINES_AROUND: usize = 30;
/// The longest question and the longest message of a commit, in characters.
const MAX_QUESTION: usize = 60_000;
const MAX_MESSAGE: usize = 1_000;

/// Returns the question; `None` if a file cannot be merged as text, or there is too much of it.
pub(crate) fn question(issue: &Issue, job: &Job, base: &str, conflict: &RebaseConflict) -> Option<Vec<Message>> {
    let mut shown = String::new();
    let mut number = 0;
    for file in &conflict.files {
        if file.parts.is_empty() {
            return None;
        }
        for (at, part) in file.parts.iter().enumerate() {
            let MergedPart::Conflict { before, base, branch } = part else { continue };
            number += 1;
            let above = at.checked_sub(1).and_then(|at| file.parts.get(at)).map(last_lines).unwrap_or_default();
            let below = file.parts.get(at + 1).map(first_lines).unwrap_or_default();
            shown.push_str(&format!(
                "<conflict number=\"{number}\" file=\"{}\">\n<above>\n{}</above>\n<before_both>\n{}</before_both>\n\
                 <base_branch>\n{}</base_branch>\n<our_commit>\n{}</our_commit>\n<below>\n{}</below>\n</conflict>\n",
                file.path,
                data(&above),
                data(before),
                data(base),
                data(branch),
                data(&below)
            ));
        }
    }
    if shown.chars().count() > MAX_QUESTION {
        return None;
    }
    // Longer than any fence in the lines.
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let message = shorten(conflict.message.trim(), MAX_MESSAGE).replace("</message>", "<\\/message>");
    let question = format!(
        "{}\n\nA branch that works on this issue is moved onto the newest commit of `{base}`. This commit of the branch changes \
         lines that `{base}` has changed as well since:\n<message>\n{message}\n</message>\n\n{shown}\n\
         Write for each conflict the lines that do what both changes are for: keep what `{base}` has become, with the change of the \
         commit on top of it. Answer for every conflict with its number as a heading and the lines in one block, without the lines above \
         and below; an empty block leaves them out:\n### 1\n{fence}\nthe lines\n{fence}",
        issue_text(issue, job)
    );
    Some(vec![rules(), Message::user(question)])
}

/// Puts the lines of an answer in place of the conflicts.
///
/// # Errors
/// What is wrong with it, for the model.
pub(crate) fn read(answer: &str, files: &[ConflictedFile]) -> Result<BTreeMap<RepoPath, String>, String> {
    let lines = read_blocks(answer)?;
    let mut number = 0;
    let mut texts = BTreeMap::new();
    for file in files {
        let mut text = String::new();
        for part in &file.parts {
            match part {
                MergedPart::Merged(merged) => text.push_str(merged),
                MergedPart::Conflict { base, branch, .. } => {
                    number += 1;
                    let answer = lines.get(&number).ok_or_else(|| {
                        format!("conflict {number} has no block; write `### {number}` and the lines in one ``` block below it")
                    })?;
                    text.push_str(&with_ends_of(answer, base, branch)?);
                }
            }
        }
        texts.insert(file.path.clone(), text);
    }
    Ok(texts)
}

/// Returns the lines of each numbered block of an answer. Headings within a block are lines of the file.
fn read_blocks(answer: &str) -> Result<BTreeMap<usize, String>, String> {
    static HEADING: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)^#{1,6}[ \t]*(?:conflict[ \t]*)?(\d+)\b").expect("the expression is valid"));
    let mut blocks = BTreeMap::new();
    let mut number = None;
    // The length of the open fence, and the lines below it.
    let mut open: Option<(usize, String)> = None;
    for line in answer.split_inclusive('\n') {
        let mark = line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
        match &mut open {
            Some((length, _)) if mark >= *length && line.trim().len() == mark => {
                let (_, lines) = open.take().expect("it is open");
                if let Some(number) = number.take()
                    && blocks.insert(number, lines).is_some()
                {
                    return Err(format!("conflict {number} has two blocks"));
                }
            }
            Some((_, lines)) => lines.push_str(line),
            None if mark >= 3 => open = Some((mark, String::new())),
            None => {
                if let Some(found) = HEADING.captures(line) {
                    number = found[1].parse().ok();
                }
            }
        }
    }
    match open {
        Some(_) => Err("the last ``` block is not closed".to_owned()),
        None => Ok(blocks),
    }
}

/// Returns the lines of an answer with the line ends of the file.
fn with_ends_of(answer: &str, base: &str, branch: &str) -> Result<String, String> {
    let is_mark = |line: &str| ["<<<<<<<", "|||||||", ">>>>>>>"].iter().any(|mark| line.starts_with(mark));
    if answer.lines().any(is_mark) {
        return Err("a block holds marks of a conflict; write the lines as they are to be".to_owned());
    }
    let mut text = answer.replace("\r\n", "\n");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if base.contains("\r\n") || (base.is_empty() && branch.contains("\r\n")) {
        text = text.replace('\n', "\r\n");
    }
    Ok(text)
}

fn last_lines(part: &MergedPart) -> String {
    let MergedPart::Merged(text) = part else { return String::new() };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines[lines.len().saturating_sub(LINES_AROUND)..].concat()
}

fn first_lines(part: &MergedPart) -> String {
    let MergedPart::Merged(text) = part else { return String::new() };
    text.split_inclusive('\n').take(LINES_AROUND).collect()
}

/// Lines of a file as data that cannot end its place in the question.
fn data(text: &str) -> String {
    const TAGS: [&str; 6] = ["conflict", "above", "before_both", "base_branch", "our_commit", "below"];
    let mut out = text.to_owned();
    for tag in TAGS {
        out = out.replace(&format!("</{tag}>"), &format!("<\\/{tag}>"));
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(parts: Vec<MergedPart>) -> ConflictedFile {
        ConflictedFile { path: RepoPath::parse("src/a.py").unwrap(), parts }
    }

    fn conflict(base: &str, branch: &str) -> MergedPart {
        MergedPart::Conflict { before: "b = 0\n".into(), base: base.into(), branch: branch.into() }
    }

    #[test]
    fn the_lines_of_an_answer_take_the_place_of_the_conflicts() {
        let parts = vec![
            MergedPart::Merged("a\n".into()),
            conflict("b = 1\n", "b = 2\n"),
            MergedPart::Merged("c\n".into()),
            conflict("d\n", ""),
        ];
        let answer = "I keep both.\n\n### 1\n```python\nb = 3\n```\n## Conflict 2: nothing is left\n```\n```\n";
        let texts = read(answer, &[file(parts.clone())]).unwrap();
        assert_eq!(texts.values().collect::<Vec<_>>(), ["a\nb = 3\nc\n"]);
        let missing = read("### 1\n```\nb\n```\n", &[file(parts)]).unwrap_err();
        assert!(missing.contains("conflict 2 has no block"), "{missing}");
        let windows = read("### 1\n```\nx\ny\n```", &[file(vec![conflict("b = 1\r\n", "b = 2\r\n")])]).unwrap();
        assert_eq!(windows.values().collect::<Vec<_>>(), ["x\r\ny\r\n"]);
        let marks = read("### 1\n```\n<<<<<<< ours\n```", &[file(vec![conflict("b\n", "c\n")])]).unwrap_err();
        assert!(marks.contains("marks of a conflict"), "{marks}");
        let changelog = "### 1\n````md\n## 1.2.0\n# 2 retries\n```\n### 3\n````\n";
        let texts = read(changelog, &[file(vec![conflict("a\n", "b\n")])]).unwrap();
        assert_eq!(
            texts.values().collect::<Vec<_>>(),
            ["## 1.2.0\n# 2 retries\n```\n### 3\n"],
            "headings are lines too"
        );
        for bad in ["### 1\n```\na\n", "### 1\n```\na\n```\n### 1\n```\nb\n```\n"] {
            assert!(read(bad, &[file(vec![conflict("a\n", "b\n")])]).is_err(), "{bad}");
        }
        assert_eq!(data("<b>x</b></below>"), "<b>x</b><\\/below>\n", "code stays as it is");
    }
}
