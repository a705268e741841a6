//! Parses and applies a model's edits: search/replace blocks, or a whole file.

use crate::prompt::extract::fenced;

/// One search/replace block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    search: String,
    replace: String,
}

const SEARCH: &str = "<<<<<<< SEARCH";
const MIDDLE: &str = "=======";
const REPLACE: &str = ">>>>>>> REPLACE";

/// Returns the new text of a file, from the model's answer and the old text.
///
/// # Errors
/// A message for the model: the edit that could not be applied, and the part of the file that it resembles most.
pub fn apply(answer: &str, old: Option<&str>) -> Result<String, String> {
    let new = if answer.contains(SEARCH) { apply_blocks(answer, old)? } else { whole_file(answer)? };
    if old == Some(new.as_str()) {
        return Err("it changes nothing".to_owned());
    }
    Ok(new)
}

/// Returns the content of the longest fenced block; other text is ignored.
fn whole_file(answer: &str) -> Result<String, String> {
    let longest = fenced(answer).into_iter().max_by_key(|block| block.len());
    let text = longest.ok_or("it holds no ``` block with the file")?;
    if text.trim().is_empty() {
        return Err("the ``` block is empty".to_owned());
    }
    let mut text = text.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn apply_blocks(answer: &str, old: Option<&str>) -> Result<String, String> {
    let blocks = parse_blocks(answer)?;
    let mut text = old.unwrap_or_default().to_owned();
    let count = blocks.len();
    for (index, block) in blocks.iter().enumerate() {
        text = apply_one(&text, block).map_err(|problem| format!("block {} of {count}: {problem}", index + 1))?;
    }
    Ok(text)
}

fn parse_blocks(answer: &str) -> Result<Vec<Block>, String> {
    enum At {
        Outside,
        Search(String),
        Replace(String, String),
    }
    let mut blocks = Vec::new();
    let mut at = At::Outside;
    for line in answer.lines() {
        let mark = line.trim();
        at = match at {
            At::Outside if mark == SEARCH => At::Search(String::new()),
            At::Outside => At::Outside,
            At::Search(search) if mark == MIDDLE => At::Replace(search, String::new()),
            At::Search(mut search) => {
                search.push_str(line);
                search.push('\n');
                At::Search(search)
            }
            At::Replace(search, replace) if mark == REPLACE => {
                blocks.push(Block { search, replace });
                At::Outside
            }
            At::Replace(search, mut replace) => {
                replace.push_str(line);
                replace.push('\n');
                At::Replace(search, replace)
            }
        };
    }
    match at {
        At::Outside => Ok(blocks),
        At::Search(_) => Err(format!("a block has no `{MIDDLE}` line")),
        At::Replace(..) => Err(format!("a block has no `{REPLACE}` line")),
    }
}

/// Applies a block if its lines occur exactly once: compared exactly, else without trailing whitespace, else without
/// the common indentation.
fn apply_one(text: &str, block: &Block) -> Result<String, String> {
    if block.search.trim().is_empty() {
        if text.trim().is_empty() {
            return Ok(block.replace.clone());
        }
        return Err("the search part is empty; name lines that stand in the file".to_owned());
    }
    // The file's last line may have no line break.
    let padded = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let file: Vec<&str> = padded.split_inclusive('\n').collect();
    let wanted: Vec<&str> = block.search.split_inclusive('\n').collect();
    for same in [exact as fn(&str, &str) -> bool, same_but_trailing_space, same_but_indent] {
        let found = find(&file, &wanted, same);
        match found.as_slice() {
            [] => {}
            [start] => {
                return Ok(splice(&file, *start, wanted.len(), &reindented(&file, *start, &wanted, &block.replace)));
            }
            several => {
                return Err(format!(
                    "its search lines stand {} times in the file; take more lines along",
                    several.len()
                ));
            }
        }
    }
    Err(format!("its search lines do not stand in the file.{}", nearest(&file, &wanted)))
}

fn exact(a: &str, b: &str) -> bool {
    a == b
}

fn same_but_trailing_space(a: &str, b: &str) -> bool {
    a.trim_end() == b.trim_end()
}

fn same_but_indent(a: &str, b: &str) -> bool {
    a.trim() == b.trim()
}

fn find(file: &[&str], wanted: &[&str], same: fn(&str, &str) -> bool) -> Vec<usize> {
    if wanted.len() > file.len() {
        return Vec::new();
    }
    (0..=file.len() - wanted.len())
        .filter(|start| file[*start..].iter().zip(wanted).all(|(line, want)| same(line, want)))
        .collect()
}

/// Returns the replacement, indented by as much as the file's lines are indented more than the searched ones.
fn reindented(file: &[&str], start: usize, wanted: &[&str], replace: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let Some(at) = wanted.iter().position(|line| !line.trim().is_empty()) else { return replace.to_owned() };
    let (have, want) = (file[start + at], wanted[at]);
    let missing = have[..indent(have)].strip_suffix(&want[..indent(want)]).unwrap_or_default();
    if missing.is_empty() {
        return replace.to_owned();
    }
    let moved = |line: &str| if line.trim().is_empty() { line.to_owned() } else { format!("{missing}{line}") };
    replace.split_inclusive('\n').map(moved).collect()
}

fn splice(file: &[&str], start: usize, count: usize, replace: &str) -> String {
    let before: String = file[..start].concat();
    let after: String = file[start + count..].concat();
    format!("{before}{replace}{after}")
}

/// Returns the part of the file that is most similar to the searched lines, for the next attempt.
fn nearest(file: &[&str], wanted: &[&str]) -> String {
    let alike = |start: usize| {
        file[start..]
            .iter()
            .zip(wanted)
            .filter(|(line, want)| !want.trim().is_empty() && line.trim() == want.trim())
            .count()
    };
    let best = (0..file.len()).max_by_key(|start| (alike(*start), std::cmp::Reverse(*start)));
    match best.filter(|start| alike(*start) > 0) {
        Some(start) => {
            let end = (start + wanted.len() + 1).min(file.len());
            format!(" The nearest lines are:\n{}", file[start..end].concat())
        }
        None => " Nothing in the file looks like them.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "def a():\n    x = 1\n    return x\n\ndef b():\n    x = 1\n    return x + 1\n";

    fn block(search: &str, replace: &str) -> String {
        format!("Here it is:\n{SEARCH}\n{search}\n{MIDDLE}\n{replace}\n{REPLACE}\n")
    }

    #[test]
    fn a_block_replaces_lines_that_stand_once() {
        let new = apply(&block("    return x + 1", "    return x + 2"), Some(OLD)).unwrap();
        assert_eq!(new, OLD.replace("x + 1", "x + 2"));
    }

    #[test]
    fn lines_that_stand_twice_are_refused_and_said() {
        let error = apply(&block("    x = 1", "    x = 2"), Some(OLD)).unwrap_err();
        assert_eq!(error, "block 1 of 1: its search lines stand 2 times in the file; take more lines along");
    }

    #[test]
    fn a_wrong_indent_is_put_right() {
        let new = apply(&block("return x + 1", "if x:\n    return x + 2"), Some(OLD)).unwrap();
        assert!(new.ends_with("    x = 1\n    if x:\n        return x + 2\n"), "{new}");
    }

    #[test]
    fn lines_that_do_not_stand_there_are_answered_with_the_nearest() {
        let error = apply(&block("def b():\n    y = 1", "pass"), Some(OLD)).unwrap_err();
        assert!(error.contains("The nearest lines are:\ndef b():\n    x = 1\n"), "{error}");
    }

    #[test]
    fn whole_files_come_from_the_longest_fence() {
        assert_eq!(apply("```\na\n```\nor\n```python\nb\nc\n```", Some("x")), Ok("b\nc\n".to_owned()));
        assert_eq!(apply("no code", Some("x")), Err("it holds no ``` block with the file".to_owned()));
        assert_eq!(apply("```\nsame\n```", Some("same\n")), Err("it changes nothing".to_owned()));
        assert_eq!(apply("```\n\n```", None), Err("the ``` block is empty".to_owned()));
    }

    #[test]
    fn several_blocks_apply_in_order_and_a_file_without_end_of_line_works() {
        let answer = format!("{}{}", block("a", "b"), block("b", "c"));
        assert_eq!(apply(&answer, Some("a")), Ok("c\n".to_owned()));
        let cut = format!("{SEARCH}\na\n{MIDDLE}\nb\n");
        assert!(apply(&cut, Some("a")).unwrap_err().contains("REPLACE"));
    }
}
