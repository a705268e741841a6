//! A repository's template for pull requests, filled in.

use patchwright_core::outgoing_text::{OutgoingText, neutralise};

/// What a heading of a template asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Description,
    Issue,
    Tests,
    Other,
}

/// What the sections of a template are filled with.
pub(super) struct Answers {
    pub(super) description: OutgoingText,
    pub(super) issue: OutgoingText,
    pub(super) tests: OutgoingText,
}

/// Words in headings. The first kind that has one of them is asked for.
const WORDS: [(Asked, &[&str]); 3] = [
    (Asked::Issue, &["issue", "ticket", "fixes", "closes", "resolves", "关联", "问题"]),
    (Asked::Tests, &["test", "verif", "测试", "验证"]),
    (
        Asked::Description,
        &[
            "descri",
            "summary",
            "what",
            "change",
            "motivation",
            "why",
            "purpose",
            "overview",
            "描述",
            "说明",
            "改动",
            "变更",
            "摘要",
        ],
    ),
];

/// Fills a template in: each answer below the first heading that asks for it. Check boxes stay empty, since nobody has checked
/// anything.
pub(super) fn fill(template: &str, answers: &Answers) -> OutgoingText {
    let mut out = OutgoingText::default();
    let mut given = Vec::new();
    for line in without_comments(template).lines() {
        if is_placeholder(line) {
            continue;
        }
        out.push(&neutralise(line));
        out.push_own("\n");
        let asked = find_question(line);
        if asked == Asked::Other || given.contains(&asked) {
            continue;
        }
        given.push(asked);
        let answer = match asked {
            Asked::Description => &answers.description,
            Asked::Issue => &answers.issue,
            _ => &answers.tests,
        };
        if !answer.is_empty() {
            out.push_own("\n");
            out.push(answer);
            out.push_own("\n");
        }
    }
    out
}

/// Returns what a heading asks for.
fn find_question(line: &str) -> Asked {
    let line = line.trim();
    let is_bold = line.starts_with("**") && line.trim_end_matches(':').ends_with("**");
    if !(line.starts_with('#') || is_bold) {
        return Asked::Other;
    }
    let heading = line.to_lowercase();
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| heading.contains(word)));
    found.map_or(Asked::Other, |(asked, _)| *asked)
}

/// Returns whether a line is there to be completed: `Fixes #`, `Closes #(issue)`.
fn is_placeholder(line: &str) -> bool {
    let lower = line.trim().trim_start_matches(['-', '*', ' ']).to_lowercase();
    let rest = ["fixes", "closes", "resolves", "fix", "close"].iter().find_map(|word| lower.strip_prefix(word));
    rest.is_some_and(|rest| rest.trim_start_matches([':', ' ']).starts_with(['#', '<', '(']) || rest.trim() == ":")
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> String {
        let answers = Answers {
            description: OutgoingText::own("what it does"),
            issue: OutgoingText::own("the issue"),
            tests: OutgoingText::own("the tests"),
        };
        fill(template, &answers).to_string()
    }

    #[test]
    fn each_section_gets_its_answer_and_boxes_stay_empty() {
        let template = "<!-- Thank you,\n@maintainer -->\n## Description of the change\n\n## Related issue\nFixes #\n\n## How was it tested?\n\
                        ## Checklist\n- [ ] I have added tests\n";
        let found = filled(template);
        assert!(!found.contains("Thank you") && !found.contains("Fixes"), "{found}");
        assert!(found.contains("## Description of the change\n\nwhat it does\n"), "{found}");
        assert!(found.contains("## Related issue\n\nthe issue\n"), "{found}");
        assert!(found.contains("## How was it tested?\n\nthe tests\n"), "{found}");
        assert!(found.ends_with("- [ ] I have added tests\n"), "{found}");
    }

    #[test]
    fn a_template_closes_nothing_and_calls_nobody() {
        let found = filled("## 描述\n\ncc @org/team, closes #7\n");
        assert!(found.contains("what it does") && !found.contains("@org/team") && !found.contains("#7"), "{found}");
    }
}
