//! What a repository tells whoever changes it.

use crate::repository::Repository;

/// Files in which a repository instructs whoever changes it.
const INSTRUCTIONS: [&str; 4] = ["AGENTS.md", "CONTRIBUTING.md", "CONTRIBUTING.rst", ".github/CONTRIBUTING.md"];

/// Renders what the repository tells whoever changes it.
pub(super) fn describe_instructions(repository: &Repository) -> String {
    let Some((path, text)) = INSTRUCTIONS.iter().find_map(|path| Some((path, repository.read(path)?))) else {
        return String::new();
    };
    let text = if *path == "AGENTS.md" { text } else { relevant_sentences(&text) };
    if text.trim().is_empty() {
        return String::new();
    }
    let text = text.replace("</instructions>", "<\\/instructions>");
    format!("<instructions path=\"{path}\">\n{}\n</instructions>\n", text.trim())
}

/// How many sentences of a long text for contributors are shown, and the longest one in characters.
const MAX_SENTENCES: usize = 6;

const MAX_SENTENCE: usize = 300;

/// Returns the sentences about tests, style and change logs: the rest is for people.
fn relevant_sentences(text: &str) -> String {
    let subjects = ["test", "changelog", "news fragment", "release note", "commit message", "formatted", "docstring"];
    let demands = ["add", "must", "should", "run", "include", "write", "create", "require"];
    let mut in_code = false;
    let mut found: Vec<String> = Vec::new();
    let prose: String = text
        .lines()
        .filter(|line| {
            let is_mark = line.trim_start().starts_with("```");
            in_code ^= is_mark;
            !in_code && !is_mark && !line.starts_with("    ") && !line.starts_with('#')
        })
        .map(|line| format!("{} ", line.trim()))
        .collect();
    for sentence in prose.split_inclusive(". ") {
        let lower = sentence.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if sentence.len() < MAX_SENTENCE && has(&subjects) && has(&demands) {
            found.push(format!("- {}", sentence.trim()));
        }
    }
    found.truncate(MAX_SENTENCES);
    found.join("\n")
}
