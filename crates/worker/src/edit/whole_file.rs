//! A whole file in a fenced block. Only what is the whole file is taken for it: never a part, a diff, or a text with a gap.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::prompt::extract::fenced;

/// Shorter files may be written anew.
const SMALL: usize = 10;
/// The least share of the old lines that a whole file keeps, in percent.
const MIN_KEPT: usize = 50;

/// Returns the file that an answer holds.
///
/// # Errors
/// A message for the model: what is missing, or why this is not the whole file.
pub(super) fn find(answer: &str, old: &str) -> Result<String, String> {
    let text = choose(answer, old)?;
    if text.trim().is_empty() {
        return if old.trim().is_empty() { Err("the ``` block is empty".to_owned()) } else { Ok(String::new()) };
    }
    let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    check(&text, old)?;
    Ok(text)
}

/// Chooses among the blocks of an answer. A file may hold fences itself, and an answer may hold drafts and examples beside the file.
fn choose<'a>(answer: &'a str, old: &str) -> Result<&'a str, String> {
    let mut blocks = fenced(answer);
    if blocks.is_empty() {
        return Err("it holds no ``` block with the file".to_owned());
    }
    if blocks.len() == 1 && !is_fence_in(old) {
        return Ok(blocks[0]);
    }
    blocks.extend(outermost(answer));
    if old.trim().is_empty() {
        return match blocks[..] {
            [only] => Ok(only),
            [only, outer] if only == outer => Ok(only),
            _ => Err(
                "it holds several ``` blocks; answer with the whole file in one, with a fence of more ` than it holds"
                    .to_owned(),
            ),
        };
    }
    // The one that is most like the file. Of two that keep as much, the shorter one has less around it.
    let best = blocks.iter().max_by_key(|block| (kept(block, old), std::cmp::Reverse(block.len())));
    let best = best.expect("there is a block");
    let is_alone = blocks.iter().all(|block| block == best || block.trim().is_empty());
    if kept(best, old) == 0 && !is_alone {
        return Err(
            "it holds several ``` blocks, none of which is like the file; answer with the whole file in one".to_owned()
        );
    }
    Ok(best)
}

fn is_fence_in(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("```"))
}

/// Returns what is between the first line of a fence and the last one.
fn outermost(answer: &str) -> Option<&str> {
    let mut lines = answer.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    let (start, first) = lines.find(|(_, line)| line.trim_start().starts_with("```"))?;
    let (end, _) = lines.filter(|(_, line)| line.trim() == "```").last()?;
    Some(&answer[start + first.len()..end])
}

/// Returns how many lines of a file a fence in an answer keeps, in percent: the most of any fence.
pub(super) fn likeness(answer: &str, text: &str) -> usize {
    fenced(answer).iter().map(|block| kept(block, text)).max().unwrap_or(0)
}

/// Returns how many lines of the old text the new one keeps, in percent. Blank lines do not count.
fn kept(new: &str, old: &str) -> usize {
    let lines = |text: &str| {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let (old, new) = (lines(old), lines(new));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for line in &new {
        *left.entry(line).or_default() += 1;
    }
    let mut count: usize = 0;
    for line in &old {
        if let Some(known) = left.get_mut(line.as_str()).filter(|known| **known > 0) {
            *known -= 1;
            count += 1;
        }
    }
    (count * 100).checked_div(old.len()).unwrap_or(100)
}

/// Returns what is wrong with a text as a whole file.
fn check(new: &str, old: &str) -> Result<(), String> {
    super::check_added_lines(new, old)?;
    let is_diff = |text: &str| text.lines().any(|line| line.starts_with("@@ -") && line[3..].contains(" @@"));
    if is_diff(new) && !is_diff(old) {
        return Err("it is a diff; answer with the whole file, or with search/replace blocks".to_owned());
    }
    let count = old.lines().filter(|line| !line.trim().is_empty()).count();
    if count >= SMALL && kept(new, old) < MIN_KEPT {
        return Err(format!(
            "it leaves out most of the file's {count} lines; answer with the whole file, or with search/replace blocks for what changes"
        ));
    }
    Ok(())
}

/// Returns whether a line stands for lines that were left out: `# ... rest of the code unchanged ...`.
pub(super) fn is_placeholder(line: &str) -> bool {
    static WORDS: LazyLock<Regex> = LazyLock::new(|| {
        let what = "(?:code|file|functions?|methods?|class(?:es)?|implementation|imports?|lines?|content|logic|tests?|module|body|definitions?)";
        let gap = r"(?:\.\.\.|…)";
        let left = r"(?:rest|remaining|existing|unchanged|same\ as|omitted|previous|other|keep|as\ before|original)";
        let rest = format!(r"(?:the\ )? (?:rest|remainder)\ of\ (?:the\ |this\ |your\ )? {what}");
        let stays = r"(?:(?:remains?|stays?|is|are|goes|go)\ )? (?:unchanged|the\ same|as\ before|omitted|here|remains?|stays?)";
        // A mark of a comment, or nothing but spaces and brackets: a spread such as `...rest` and a text are code.
        let expression = format!(
            r"(?ix) ^ (?: \s* (?:\#+|//+|/\*+|\*|--|;+|%+|<!--|\{{/\*) [\s(\[]* (?: {gap} [\s\S]* \b{left}\b [\s\S]* | {gap} )
              | [\s(\[]* {gap} \s+ [(]? (?:the\ )? {left}\b [\w\ ,.…)]*
              | (?: \s* (?:\#+|//+|/\*+|\*|--|;+|%+|<!--|\{{/\*) )? [\s(\[]*
                (?: {rest} \s* (?:\W{{0,3}} {stays} | {gap})?
                  | (?:existing|remaining|previous|original|other|unchanged) \s+ {what} \s* (?:{stays} | {gap})
                  | (?:the\ )? {what} \s+ (?:remains?|stays?|is|are) \s+ (?:unchanged|the\ same) ) [\s.…]* )
            [\s*/\->)\]}}]* $"
        );
        Regex::new(&expression).expect("the expression is valid")
    });
    let line = line.trim();
    // `...` alone is a statement in Python and a rest parameter elsewhere.
    let is_bare = matches!(line, "..." | "…" | "...," | "(...)" | "[...]" | "{...}");
    !is_bare && line.len() < 200 && WORDS.is_match(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_g_a_line_that_stands_for_others_is_known() {
        for line in [
            "# ... rest of the code remains unchanged ...",
            "// ... existing code ...",
            "/* rest of the file stays the same */",
            "    # … (other methods unchanged)",
            "<!-- rest of the file unchanged -->",
            "-- remaining functions unchanged",
            "// rest of the code",
            "# existing imports here",
            "// The rest of the class remains the same",
            "# code remains unchanged",
            "// ...",
            "# ...",
            "{/* ... existing markup ... */}",
            "... rest of the code ...",
            "rest of the code unchanged",
        ] {
            assert!(is_placeholder(line), "{line}");
        }
        for line in [
            "...",
            "def f(): ...",
            "    ...",
            "function f(...rest) {",
            "const {a, ...other} = x;",
            "print('the rest of the code')",
            "# Keep the existing order of the files.",
            "return rest",
            "...rest,",
            "    ...existing,",
            "...previous",
            "{...rest}",
            "\"...\"",
            "[...other],",
            "raise ParseError(\"cannot parse the rest of the line: \" + where)",
            "# Skip the rest of the line: nothing here matters.",
            "# The rest of the code here is generated by hand.",
            "'rest of the file unchanged',",
            "// Other tests are in tests/b.rs.",
            "existing = code.find(x)",
            "for line in remaining: print(line)",
        ] {
            assert!(!is_placeholder(line), "{line}");
        }
    }

    #[test]
    fn fault_g_a_file_with_fences_is_taken_whole() {
        let old = "# Demo\n\n```bash\npip install demo\n```\n\nUse:\n\n```python\nimport demo\n```\n\nMIT\n";
        let new = old.replace("install demo", "install demo-tool");
        assert_eq!(find(&format!("Here:\n```markdown\n{new}```\nDone.\n"), old), Ok(new.clone()));
        assert_eq!(find(&format!("````\n{new}````\n"), old), Ok(new));
        let doc = "def area(w, h):\n    \"\"\"\n    ```\n    area(2, 3)\n    ```\n    \"\"\"\n    return w + h\n";
        let fixed = doc.replace("w + h", "w * h");
        assert_eq!(find(&format!("```python\n{fixed}```\n"), doc), Ok(fixed));
    }

    #[test]
    fn fault_g_a_draft_or_an_example_beside_the_file_is_not_taken() {
        let old = "def f(x):\n    return x\n\n\ndef g(x):\n    return f(x)\n";
        let new = old.replace("return x\n", "return x + 1\n");
        let draft = "```python\ndef f(x):\n    return x + 2\n```";
        let answer = format!(
            "First I thought:\n{draft}\nBut:\n```python\n{new}```\nRun it:\n```bash\npython -m unittest discover --verbose --failfast tests\n```\n"
        );
        assert_eq!(find(&answer, old), Ok(new));
        let several = find("```\na\n```\nor\n```\nb\n```\n", "").unwrap_err();
        assert!(several.contains("several"), "{several}");
        assert!(
            find("```\nx = 1\n```\n```\ny = 2\n```\n", old).unwrap_err().contains("none of which is like the file")
        );
    }

    #[test]
    fn fault_g_a_part_or_a_diff_is_not_the_file() {
        let old: String = (0..60).map(|n| format!("def f{n}(x):\n    return x + {n}\n\n\n")).collect();
        let part = find("```python\ndef f7(x):\n    return x + 8\n```\n", &old).unwrap_err();
        assert!(part.contains("leaves out most of the file's 120 lines"), "{part}");
        let diff = "```diff\n--- a/big.py\n+++ b/big.py\n@@ -15,2 +15,2 @@\n def f7(x):\n-    return x + 7\n+    return x + 8\n```\n";
        assert!(find(diff, &old).unwrap_err().contains("it is a diff"));
        let gap =
            format!("```python\n{}\n# ... rest of the code remains unchanged ...\n```\n", &old[..old.len() - 200]);
        assert!(find(&gap, &old).unwrap_err().contains("stands for lines"));
        assert!(find("```\na = 1\n```\n", "x = 1\n").is_ok(), "a small file may be written anew");
    }
}
