//! What the finding of files is tried on: a benchmark, or a repository's own past.

use std::path::{Path, PathBuf};

use patchwright_code_index::{is_source, is_test};
use patchwright_core::git::GitError;
use patchwright_core::source_tree::SourceTree;
use patchwright_gitops_gix::Snapshot;
use regex::Regex;
use serde::Deserialize;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A text, and the files that were changed for it.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) repo: String,
    pub(super) gold_files: Vec<String>,
    pub(super) text: String,
    path: PathBuf,
    /// Where its tree may be, best first.
    revisions: Vec<String>,
}

impl Instance {
    /// The tree as it was before the change.
    pub(super) fn open(&self) -> Result<Snapshot, GitError> {
        let mut opened = self.revisions.iter().map(|revision| Snapshot::open(&self.path, revision));
        let first = opened.next().expect("each instance names a revision");
        first.or_else(|error| opened.next().unwrap_or(Err(error)))
    }
}

/// An instance as the benchmark writes it.
#[derive(Debug, Deserialize)]
struct Line {
    instance_id: String,
    repo: String,
    #[serde(default)]
    tag: String,
    base_commit: String,
    gold_files: Vec<String>,
    problem_statement: String,
}

/// The instances of a benchmark, one JSON a line.
pub(super) fn of_benchmark(index: &Path, repos: &Path) -> Result<Vec<Instance>, Failure> {
    let text = std::fs::read_to_string(index)?;
    let instance = |line: &str| {
        let line: Line = serde_json::from_str(line)?;
        Ok(Instance {
            path: repos.join(line.repo.replace('/', "__")),
            revisions: [line.tag, line.base_commit].into_iter().filter(|revision| !revision.is_empty()).collect(),
            id: line.instance_id,
            repo: line.repo,
            gold_files: line.gold_files,
            text: line.problem_statement,
        })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(instance).collect()
}

/// How many commits are looked through for those that close an issue.
const LOOKED_THROUGH: usize = 20_000;
/// A commit of more source files than this was no fix.
const MOST_FILES: usize = 8;
/// What the message of a commit says that closes an issue, of a forge or of Jira.
const CLOSES: &str = r"(?i)\b(?:fix(?:es|ed)?|close[sd]?|resolve[sd]?)\b:?\s*(?:bug|issue|ticket)?\s*(?:[\w./-]+)?#\d+|\bfixe?[sd]?\s+[A-Z][A-Z0-9]+-\d+\b|(?:修复|解决|关闭)\s*#\d+";

/// The newest commits of a repository that close an issue, each with the source files that it changed.
pub(super) fn of_history(path: &Path, most: usize) -> Result<Vec<Instance>, Failure> {
    let closes = Regex::new(CLOSES).expect("the pattern is right");
    let head = Snapshot::open(path, "HEAD")?;
    let mut instances = Vec::new();
    for change in head.history(LOOKED_THROUGH) {
        if instances.len() >= most {
            break;
        }
        if !closes.is_match(&change.message) {
            continue;
        }
        let revision = format!("{}^", change.id);
        let Ok(before) = Snapshot::open(path, &revision) else { continue };
        let known: std::collections::HashSet<String> = before.files()?.into_iter().map(|file| file.path).collect();
        let mended = |path: &String| is_source(path) && !is_test(path) && known.contains(path);
        let gold_files: Vec<String> = head.changed_paths(&change.id).into_iter().filter(mended).collect();
        if gold_files.is_empty() || gold_files.len() > MOST_FILES {
            continue;
        }
        instances.push(Instance {
            id: change.id.chars().take(10).collect(),
            repo: path.display().to_string(),
            gold_files,
            text: change.message,
            path: path.to_owned(),
            revisions: vec![revision],
        });
    }
    Ok(instances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_that_close_an_issue_are_told_by_their_messages() {
        let closes = Regex::new(CLOSES).unwrap();
        for message in [
            "Fixed #1234 -- Colons.",
            "parse: keep colons\n\nCloses: #7",
            "resolves acme/shop#3",
            "修复 #12",
            "Fix SHOP-12",
        ] {
            assert!(closes.is_match(message), "{message}");
        }
        for message in ["Refs #1234", "Prefixed the name", "Merge pull request #12"] {
            assert!(!closes.is_match(message), "{message}");
        }
    }
}
