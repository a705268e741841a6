//! Applying a model's edits to a file: search/replace blocks, or the whole file.
//!
//! An edit is taken only if it says without doubt what the file is to be; otherwise the error is a message for the model that shows
//! what was not found. Lines outside of a block stay byte for byte, with their ends and their encoding.

mod blocks;
mod encoding;
mod escapes;
mod line_ends;
mod whole_file;

use patchwright_domain::RepoPath;

pub(crate) use blocks::{are_in as has_blocks, is_end as is_block_end, is_start as is_block_start};
pub use encoding::{Decoded, decode, encode};
pub use line_ends::plain;

/// What an answer does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The file gets this text.
    Text(String),
    /// The file is deleted.
    Delete,
    /// The file stays as it is.
    Nothing,
}

/// The answer that deletes a file.
pub const DELETE: &str = "DELETE FILE";
/// The answer that leaves a file as it is.
pub const NOTHING: &str = "NO CHANGE";

/// Files that are empty on purpose.
const EMPTY_NAMES: [&str; 4] = ["__init__.py", ".gitkeep", ".keep", "py.typed"];

/// Returns what an answer does to a file, from its old text; `None` for a file that does not exist yet.
///
/// # Errors
/// A message for the model: the edit that could not be applied, and the part of the file that it resembles most.
pub fn apply(path: &RepoPath, answer: &str, old: Option<&str>) -> Result<Edit, String> {
    match (answer.trim().trim_matches('`').trim(), old) {
        (DELETE, Some(_)) => return Ok(Edit::Delete),
        (NOTHING, Some(_)) => return Ok(Edit::Nothing),
        _ => {}
    }
    let before = plain(old.unwrap_or_default());
    let answer = escapes::undo(path, &answer.replace("\r\n", "\n"), &before);
    let new =
        if blocks::are_in(&answer) { apply_blocks(&answer, &before)? } else { whole_file::find(&answer, &before)? };
    let is_emptied = new.trim().is_empty() && !before.trim().is_empty();
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    if is_emptied && !EMPTY_NAMES.contains(&name) {
        // Nobody asks for an empty file: what is left of it is in the way.
        return Ok(Edit::Delete);
    }
    let text = line_ends::restore(old.unwrap_or_default(), &new);
    Ok(if old == Some(text.as_str()) { Edit::Nothing } else { Edit::Text(text) })
}

fn apply_blocks(answer: &str, old: &str) -> Result<String, String> {
    let blocks = blocks::parse(answer)?;
    let mut text = old.to_owned();
    for (index, block) in blocks.iter().enumerate() {
        let numbered = |problem| format!("block {} of {}: {problem}", index + 1, blocks.len());
        text = block.apply(&text).map_err(numbered)?;
    }
    check_added_lines(&text, old)?;
    Ok(text)
}

/// Returns how many lines of a file a fence in an answer keeps, in percent: the most of any fence.
pub(crate) fn likeness(answer: &str, text: &str) -> usize {
    whole_file::likeness(answer, text)
}

/// Checks the lines that an edit adds: none is a mark of a block, or stands for others.
fn check_added_lines(new: &str, old: &str) -> Result<(), String> {
    let known: std::collections::HashSet<&str> = old.lines().map(str::trim_end).collect();
    let lines: Vec<&str> = new.lines().map(str::trim_end).collect();
    let has_outer_mark = lines.iter().any(|line| !known.contains(line) && blocks::is_outer_mark(line));
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !known.contains(*line)) {
        if !has_outer_mark && underlines_heading(&lines, index) {
            continue;
        }
        if blocks::is_mark(line) {
            return Err(format!(
                "the line `{line}` would stand in the file; write each mark of a block once, on a line of its own"
            ));
        }
        if whole_file::is_placeholder(line) {
            return Err(format!(
                "the line `{}` stands for lines that must be written out, or be left to search/replace blocks",
                line.trim()
            ));
        }
    }
    Ok(())
}

/// Returns whether a line that looks like the mark in the middle of a block underlines a heading of its length.
fn underlines_heading(lines: &[&str], index: usize) -> bool {
    let above = index.checked_sub(1).map_or("", |above| lines[above]);
    let is_heading = above.starts_with(char::is_alphanumeric) && above.chars().count() <= lines[index].len();
    is_heading && lines.get(index + 1).is_none_or(|below| below.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_may_be_underlined_like_the_mark_in_the_middle() {
        let text = "Install\n=======\n\nRun it.\n";
        let path = RepoPath::parse("README.rst").unwrap();
        assert!(matches!(apply(&path, &format!("```\n{text}```"), None), Ok(Edit::Text(new)) if new == text));
        for wrong in ["x = 1\n=======\ny = 2\n", "Install\n=======\n>>>>>>> REPLACE\n", "=======\n\nx\n"] {
            assert!(apply(&path, &format!("```\n{wrong}```"), None).is_err(), "{wrong}");
        }
    }

    const OLD: &str = "def a():\n    x = 1\n    return x\n\ndef b():\n    x = 1\n    return x + 1\n";

    fn block(search: &str, replace: &str) -> String {
        format!("Here it is:\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n")
    }

    fn apply_to(answer: &str, old: Option<&str>) -> Result<String, String> {
        match apply(&RepoPath::parse("src/a.py").unwrap(), answer, old)? {
            Edit::Text(text) => Ok(text),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_block_replaces_lines_that_stand_once() {
        let new = apply_to(&block("    return x + 1", "    return x + 2"), Some(OLD)).unwrap();
        assert_eq!(new, OLD.replace("x + 1", "x + 2"));
    }

    #[test]
    fn lines_that_stand_twice_are_refused_and_said() {
        let error = apply_to(&block("    x = 1", "    x = 2"), Some(OLD)).unwrap_err();
        assert_eq!(error, "block 1 of 1: its search lines stand 2 times in the file; take more lines along");
    }

    #[test]
    fn a_wrong_indent_is_put_right() {
        let new = apply_to(&block("return x + 1", "if x:\n    return x + 2"), Some(OLD)).unwrap();
        assert!(new.ends_with("    x = 1\n    if x:\n        return x + 2\n"), "{new}");
    }

    #[test]
    fn lines_that_do_not_stand_there_are_answered_with_the_nearest() {
        let error = apply_to(&block("def b():\n    y = 1", "pass"), Some(OLD)).unwrap_err();
        assert!(error.contains("The nearest lines are:\ndef b():\n    x = 1\n"), "{error}");
    }

    #[test]
    fn several_blocks_apply_in_order_and_a_file_without_end_of_line_works() {
        let answer = format!("{}{}", block("a", "b"), block("b", "c"));
        assert_eq!(apply_to(&answer, Some("a")), Ok("c".to_owned()));
        let cut = "<<<<<<< SEARCH\na\n=======\nb\n";
        assert!(apply_to(cut, Some("a")).unwrap_err().contains("REPLACE"));
        let no_middle = "<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n";
        assert!(apply_to(no_middle, Some("a")).unwrap_err().contains("======="));
    }

    #[test]
    fn fault_g_a_heading_that_looks_like_a_mark_is_part_of_the_text() {
        let old = "Demo\n====\n\nInstall\n=======\n\npip install demo\n\nUsage\n=====\n";
        let search = "Install\n=======\n\npip install demo";
        let answer = block(search, &search.replace("demo", "demo-tool"));
        assert_eq!(apply_to(&answer, Some(old)), Ok(old.replace("install demo", "install demo-tool")));
    }

    #[test]
    fn fault_g_a_mark_by_mistake_is_not_written() {
        let stray = "<<<<<<< SEARCH\n    return x + 1\n=======\n=======\n    return x + 2\n>>>>>>> REPLACE\n";
        assert_eq!(apply_to(stray, Some(OLD)), Ok(OLD.replace("x + 1", "x + 2")));
        let inside = "<<<<<<< SEARCH\n    return x + 1\n=======\n    y = 2\n=======\n    return y\n>>>>>>> REPLACE\n";
        assert!(apply_to(inside, Some(OLD)).unwrap_err().contains("would stand in the file"));
        let conflict = format!("```\n{OLD}<<<<<<< HEAD\n```\n");
        assert!(apply_to(&conflict, Some(OLD)).is_err());
    }

    #[test]
    fn fault_g_marks_of_another_spelling_are_marks() {
        for (start, end) in [
            ("<<<<<<< search", ">>>>>>> replace"),
            ("<<<<<< SEARCH", ">>>>>> REPLACE"),
            ("<<<<<<<SEARCH", ">>>>>>>UPDATED"),
            ("<<<<<<< ORIGINAL", ">>>>>>> UPDATED"),
        ] {
            let answer = format!("{start}\n    return x + 1\n=======\n    return x + 2\n{end}\n");
            assert_eq!(apply_to(&answer, Some(OLD)), Ok(OLD.replace("x + 1", "x + 2")), "{start}");
        }
    }

    #[test]
    fn fault_g_line_ends_of_windows_stay() {
        let old = OLD.replace('\n', "\r\n");
        let wanted = old.replace("x + 1", "x + 2");
        assert_eq!(apply_to(&block("    return x + 1", "    return x + 2"), Some(&old)), Ok(wanted.clone()));
        assert_eq!(apply_to(&format!("```python\n{}```", wanted.replace("\r\n", "\n")), Some(&old)), Ok(wanted));
    }

    #[test]
    fn fault_g_a_file_is_deleted_or_left_as_it_is() {
        let path = RepoPath::parse("src/a.py").unwrap();
        let whole = block(OLD.trim_end_matches('\n'), "").replace("=======\n\n", "=======\n");
        for answer in ["DELETE FILE", "```\nDELETE FILE\n```", whole.as_str(), "```python\n```"] {
            assert_eq!(apply(&path, answer, Some(OLD)), Ok(Edit::Delete), "{answer}");
        }
        for answer in ["NO CHANGE", &format!("```\n{OLD}```"), &block("    return x + 1", "    return x + 1")] {
            assert_eq!(apply(&path, answer, Some(OLD)), Ok(Edit::Nothing), "{answer}");
        }
        assert!(apply(&path, "DELETE FILE", None).is_err(), "there is none");
        assert_eq!(apply_to("```\nnew\n```", None), Ok("new\n".to_owned()));
        assert!(apply_to("no code", Some("x")).unwrap_err().contains("no ``` block"));
        let package = RepoPath::parse("a/__init__.py").unwrap();
        assert_eq!(apply(&package, "```\n```", Some("x = 1\n")), Ok(Edit::Text(String::new())));
    }

    #[test]
    fn whatever_comes_nothing_panics_and_lines_outside_of_a_block_stay() {
        let mut random = fastrand::Rng::with_seed(7);
        let pieces = [
            "<<<<<<< SEARCH\n",
            "=======\n",
            ">>>>>>> REPLACE\n",
            "```\n",
            "```py\n",
            "    return x\n",
            "def a():\n",
            "\n",
            "é\u{feff}\r\n",
            "x",
            "&lt;",
            "<\\/file>\n",
            "@@ -1 +1 @@\n",
            "# ...\n",
        ];
        for _ in 0..20_000 {
            let answer: String = (0..random.usize(..12)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let old: String = (0..random.usize(..8)).map(|_| pieces[random.usize(5..pieces.len())]).collect();
            let _ = apply_to(&answer, Some(&old));
            let _ = apply_to(&answer, None);
        }
        for _ in 0..2_000 {
            let ends = ["\n", "\r\n"];
            let lines: Vec<String> =
                (0..random.usize(3..30)).map(|n| format!("line {n}{}", ends[random.usize(..2)])).collect();
            let at = random.usize(..lines.len());
            let old = lines.concat();
            let new = apply_to(&block(&format!("line {at}"), "replaced\nby two"), Some(&old)).unwrap();
            let kept: Vec<&str> = new.split_inclusive('\n').collect();
            assert_eq!(kept[..at].concat(), lines[..at].concat());
            assert_eq!(kept[at + 2..].concat(), lines[at + 1..].concat());
        }
    }
}
