//! The instances to rank: of a benchmark, or of a repository's own history.

use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};

use patchwright_code_index::{is_source, is_test};
use patchwright_core::code_index::ExecutedFunction;
use patchwright_core::git::GitError;
use patchwright_core::source_tree::SourceTree;
use patchwright_gitops_gix::Snapshot;
use regex::Regex;
use serde::Deserialize;

/// An issue, and the files that were changed for it.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) repo: String,
    pub(crate) gold_files: Vec<String>,
    /// Path and name of the functions that the fix changes; empty if they are not known.
    pub(crate) gold_functions: Vec<(String, String)>,
    /// What the samples of the text execute; empty if it is not known.
    pub(crate) executed: Vec<ExecutedFunction>,
    pub(crate) text: String,
    path: PathBuf,
    /// The revisions to try in this order.
    revisions: Vec<String>,
}

impl Instance {
    /// Opens the tree before the change.
    pub(crate) fn open(&self) -> Result<Snapshot, GitError> {
        let mut attempts = self.revisions.iter().map(|revision| Snapshot::open(&self.path, revision));
        let first = attempts.next().expect("each instance has a revision");
        first.or_else(|error| attempts.next().unwrap_or(Err(error)))
    }
}

/// A line of a benchmark's file.
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

/// Reads the instances of a benchmark: a JSON object on each line. The repository `owner/name` is the folder `owner__name` of
/// `repos`.
pub(crate) fn read_benchmark(index: &Path, repos: &Path) -> Result<Vec<Instance>, Box<dyn Error>> {
    let text = std::fs::read_to_string(index)?;
    let parse = |line: &str| {
        let line: Line = serde_json::from_str(line)?;
        let revisions: Vec<String> =
            [line.tag, line.base_commit].into_iter().filter(|revision| !revision.is_empty()).collect();
        if revisions.is_empty() {
            return Err(format!("the instance {} has no base_commit", line.instance_id).into());
        }
        Ok(Instance {
            path: repos.join(line.repo.replace('/', "__")),
            revisions,
            id: line.instance_id,
            repo: line.repo,
            gold_files: line.gold_files,
            gold_functions: Vec::new(),
            executed: Vec::new(),
            text: line.problem_statement,
        })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

/// A line of a file with the functions of fixes.
#[derive(Debug, Deserialize)]
struct FunctionLine {
    instance_id: String,
    gold: Vec<GoldFunctions>,
}

#[derive(Debug, Deserialize)]
struct GoldFunctions {
    file: String,
    functions: Vec<String>,
}

/// Adds the functions that the fixes change.
pub(crate) fn add_functions(instances: &mut [Instance], file: &Path) -> Result<(), Box<dyn Error>> {
    for line in std::fs::read_to_string(file)?.lines().filter(|line| !line.trim().is_empty()) {
        let line: FunctionLine = serde_json::from_str(line)?;
        let Some(instance) = instances.iter_mut().find(|instance| instance.id == line.instance_id) else { continue };
        for gold in line.gold {
            instance.gold_functions.extend(gold.functions.into_iter().map(|name| (gold.file.clone(), name)));
        }
    }
    Ok(())
}

/// A line of a file with executed functions.
#[derive(Debug, Deserialize)]
struct ExecutionLine {
    instance_id: String,
    executed: Vec<ExecutionRow>,
}

/// The fields of an [`ExecutedFunction`].
#[derive(Debug, Deserialize)]
struct ExecutionRow {
    path: String,
    line: u32,
    name: String,
    recency: f64,
    depth: Option<u32>,
}

/// Adds what the samples of the texts execute.
pub(crate) fn add_executed(instances: &mut [Instance], file: &Path) -> Result<(), Box<dyn Error>> {
    for line in std::fs::read_to_string(file)?.lines().filter(|line| !line.trim().is_empty()) {
        let line: ExecutionLine = serde_json::from_str(line)?;
        let Some(instance) = instances.iter_mut().find(|instance| instance.id == line.instance_id) else { continue };
        instance.executed.extend(line.executed.into_iter().map(|row| {
            let ExecutionRow { path, line, name, recency, depth } = row;
            ExecutedFunction { path, line, name, recency, depth }
        }));
    }
    Ok(())
}

/// The number of commits that are searched for those that close an issue.
const MAX_COMMITS: usize = 20_000;
/// Commits with more source files than this are not fixes.
const MAX_FIXED_FILES: usize = 8;
/// The phrases with which a commit's message closes an issue of a forge or of Jira.
const CLOSES_ISSUE: &str = r"(?i)\b(?:fix(?:es|ed)?|close[sd]?|resolve[sd]?)\b:?\s*(?:bug|issue|ticket)?\s*(?:[\w./-]+)?#\d+|\bfixe?[sd]?\s+[A-Z][A-Z0-9]+-\d+\b|(?:修复|解决|关闭)\s*#\d+";

/// Reads the newest commits of a repository that close an issue. The gold files of each are the source files that it changed.
pub(crate) fn read_history(path: &Path, max: usize) -> Result<Vec<Instance>, Box<dyn Error>> {
    let closes_issue = Regex::new(CLOSES_ISSUE)?;
    let head = Snapshot::open(path, "HEAD")?;
    let mut instances = Vec::new();
    for change in head.history(MAX_COMMITS) {
        if instances.len() >= max {
            break;
        }
        if !closes_issue.is_match(&change.message) {
            continue;
        }
        let revision = format!("{}^", change.id);
        let Ok(before) = Snapshot::open(path, &revision) else { continue };
        let existing: HashSet<String> = before.files()?.into_iter().map(|file| file.path).collect();
        let is_gold = |path: &String| is_source(path) && !is_test(path) && existing.contains(path);
        let gold_files: Vec<String> = head.list_changed_paths(&change.id).into_iter().filter(is_gold).collect();
        if gold_files.is_empty() || gold_files.len() > MAX_FIXED_FILES {
            continue;
        }
        instances.push(Instance {
            id: change.id.chars().take(10).collect(),
            repo: path.display().to_string(),
            gold_files,
            gold_functions: Vec::new(),
            executed: Vec::new(),
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
    fn messages_that_close_an_issue_are_recognized() {
        let closes_issue = Regex::new(CLOSES_ISSUE).unwrap();
        for message in [
            "Fixed #1234 -- Colons.",
            "parse: keep colons\n\nCloses: #7",
            "resolves acme/shop#3",
            "修复 #12",
            "Fix SHOP-12",
        ] {
            assert!(closes_issue.is_match(message), "{message}");
        }
        for message in ["Refs #1234", "Prefixed the name", "Merge pull request #12"] {
            assert!(!closes_issue.is_match(message), "{message}");
        }
    }
}
