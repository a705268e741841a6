//! Leaves out what the template of an issue brings: headings that every issue has, and tables of versions.

use crate::pattern::pattern;

pattern!(HEADING, r"^\s*(?:#{1,6}\s+(.+?)|\*\*([^*]{3,60})\*\*:?|([A-Z][\w /']{2,40}):)\s*$");
pattern!(
    VERSION,
    r"^\s*(?:[-*+>]\s*)?[A-Za-z][\w .()/-]{0,40}?\s*(?:[:=]{1,2}|\s)\s*(?:v?\d+(?:\.\w+)+\S*|None|not installed|N/A)\s*$"
);
pattern!(WORD, r"[a-z']+");

/// With fewer lines, a table may be part of what is wrong.
const MIN_TABLE_LINES: usize = 3;
/// The words of which the headings of templates are made.
const HEADING_WORDS: &[&str] = &[
    "a",
    "actual",
    "additional",
    "an",
    "and",
    "anything",
    "behavior",
    "behaviour",
    "bug",
    "can",
    "code",
    "complete",
    "context",
    "copy",
    "current",
    "describe",
    "description",
    "did",
    "do",
    "else",
    "example",
    "expect",
    "expected",
    "for",
    "happen",
    "happened",
    "how",
    "i",
    "info",
    "information",
    "is",
    "issue",
    "it",
    "know",
    "like",
    "log",
    "logs",
    "minimal",
    "need",
    "of",
    "or",
    "outcome",
    "output",
    "pastable",
    "possible",
    "problem",
    "proposed",
    "relevant",
    "report",
    "reproduce",
    "reproducible",
    "reproduction",
    "result",
    "results",
    "sample",
    "screenshot",
    "screenshots",
    "see",
    "should",
    "solution",
    "step",
    "steps",
    "summary",
    "the",
    "this",
    "to",
    "us",
    "verifiable",
    "was",
    "we",
    "what",
    "why",
    "you",
    "you'd",
    "your",
    "if",
];
const CHINESE_HEADINGS: &[&str] =
    &["问题描述", "重现步骤", "复现步骤", "期望结果", "预期结果", "实际结果", "补充信息", "截图"];

/// Returns a text without the headings of templates and tables of versions. The number of lines stays the same.
pub(super) fn without_template(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let is_version: Vec<bool> = lines.iter().map(|line| VERSION.is_match(line)).collect();
    let mut out = Vec::with_capacity(lines.len());
    let mut at = 0;
    while at < lines.len() {
        let table = is_version[at..].iter().take_while(|is_version| **is_version).count();
        if table >= MIN_TABLE_LINES {
            out.resize(out.len() + table, "");
            at += table;
        } else {
            out.push(if is_template_heading(lines[at]) { "" } else { lines[at] });
            at += 1;
        }
    }
    out.join("\n")
}

fn is_template_heading(line: &str) -> bool {
    let Some(found) = HEADING.captures(line) else { return false };
    let text = found.iter().skip(1).flatten().next().map_or("", |text| text.as_str()).to_lowercase();
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let mut words = WORD.find_iter(text).map(|word| word.as_str()).peekable();
    CHINESE_HEADINGS.contains(&text)
        || (text.is_ascii() && words.peek().is_some() && words.all(|word| HEADING_WORDS.contains(&word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_templates_and_tables_of_versions_are_left_out() {
        let text = "### What did you expect to happen?\nA header.\n**Code for reproduction**\nExpected behavior:\n## 重现步骤\n\npandas: 1.0.2\nnumpy==1.18\n- scipy 1.4.1\nOS: None\n";
        assert_eq!(without_template(text), "\nA header.\n\n\n\n\n\n\n\n\n");
    }

    #[test]
    fn headings_with_a_subject_and_single_versions_stay() {
        let text = "## Describe the cache\nInput:\nIt fails with numpy 1.18\nnumpy: 1.18\ntotal: 3\n";
        assert_eq!(without_template(text), text);
    }
}
