//! The fixes of a repository that can be repeated.

use std::path::Path;
use std::sync::LazyLock;

use patchwright_core::source_tree::SourceTree as _;
use patchwright_domain::RepoPath;
use patchwright_gitops_gix::Snapshot;
use regex::Regex;

/// How much of the history is looked at.
const MAX_HISTORY: usize = 5_000;
/// A commit with more files is no small fix.
const MAX_FILES: usize = 12;
/// Endings of files that are no code.
const NO_CODE: [&str; 12] = ["md", "rst", "txt", "json", "yml", "yaml", "toml", "lock", "cfg", "ini", "csv", "svg"];

/// A commit that fixed something and brought a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    /// The commit's id.
    pub(super) commit: String,
    /// Its message.
    pub(super) message: String,
    /// The changed files that are no tests.
    pub(super) files: Vec<RepoPath>,
    /// The changed tests, with what they read.
    pub(super) tests: Vec<RepoPath>,
}

impl Instance {
    pub(super) fn short(&self) -> &str {
        &self.commit[..self.commit.len().min(10)]
    }

    pub(super) fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Returns the message as the text of an issue: without what tools and reviews add.
    pub(super) fn text(&self) -> (String, String) {
        static NUMBER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\s*\(#\d+\)\s*$").expect("the expression is valid"));
        let body: Vec<&str> = self.message.lines().skip(1).filter(|line| !is_trailer(line)).collect();
        (NUMBER.replace(self.subject(), "").into_owned(), body.join("\n").trim().to_owned())
    }

    /// Returns the numbers of the issues that the message names, those first that it closes.
    pub(super) fn issue_numbers(&self) -> Vec<u64> {
        static CLOSED: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?i)(?:fix|close|resolve)[a-z]*:?\s+(?:[\w./-]*/issues/|#)(\d+)")
                .expect("the expression is valid")
        });
        static NAMED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"#(\d+)").expect("the expression is valid"));
        let mut numbers: Vec<u64> = Vec::new();
        for expression in [&*CLOSED, &*NAMED] {
            for found in expression.captures_iter(&self.message) {
                if let Ok(number) = found[1].parse()
                    && !numbers.contains(&number)
                {
                    numbers.push(number);
                }
            }
        }
        numbers
    }
}

fn is_trailer(line: &str) -> bool {
    static TRAILER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^(?:signed-off-by|co-authored-by|reviewed-by|change-id|pr-url|backport|cherry).*|^(?:fix|close|resolve)[a-z]*:?\s+\S*#\d+\.?\s*$")
            .expect("the expression is valid")
    });
    TRAILER.is_match(line.trim())
}

/// Finds the newest fixes with a test before a revision.
///
/// # Errors
/// If the repository or the revision cannot be read.
pub(super) fn find(repo: &Path, rev: &str, count: usize) -> Result<Vec<Instance>, String> {
    let head = Snapshot::open(repo, rev).map_err(|error| {
        let cause = patchwright_core::fault::error_chain(&error);
        format!("the revision `{rev}` of {} cannot be read: {cause}", repo.display())
    })?;
    let instance = |entry: patchwright_core::source_tree::HistoryEntry| {
        if !is_fix(&entry.message) {
            return None;
        }
        let paths = head.list_changed_paths(&entry.id);
        let paths: Vec<RepoPath> = paths.iter().filter_map(|path| RepoPath::parse(path).ok()).collect();
        let (tests, files): (Vec<RepoPath>, Vec<RepoPath>) = paths.into_iter().partition(RepoPath::is_test);
        let has_code = |paths: &[RepoPath]| paths.iter().any(is_code);
        let is_small = tests.len() + files.len() <= MAX_FILES;
        (is_small && has_code(&files) && has_code(&tests)).then_some(Instance {
            commit: entry.id,
            message: entry.message,
            files,
            tests,
        })
    };
    let mut found: Vec<Instance> = Vec::new();
    for instance in head.history(MAX_HISTORY).into_iter().filter_map(instance) {
        // A merge changes what the commits of its branch change.
        if found.iter().all(|known| (&known.files, &known.tests) != (&instance.files, &instance.tests)) {
            found.push(instance);
        }
        if found.len() == count {
            break;
        }
    }
    Ok(found)
}

fn is_code(path: &RepoPath) -> bool {
    path.extension().is_some_and(|extension| !NO_CODE.contains(&extension.to_lowercase().as_str()))
}

/// Returns whether a message tells of a fix.
fn is_fix(message: &str) -> bool {
    static FIX: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(?:fix(?:es|ed)?|bug|regression|crash(?:es)?|panics?|incorrect|wrong(?:ly)?|broken|leaks?|raises?|should not)\b")
            .expect("the expression is valid")
    });
    static NO_FIX: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^(?:merge|revert|bump|release)\b|\btypos?\b|\bdocs?:").expect("the expression is valid")
    });
    let subject = message.lines().next().unwrap_or_default();
    FIX.is_match(message) && !NO_FIX.is_match(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(message: &str) -> Instance {
        Instance { commit: "0123456789abcdef".into(), message: message.into(), files: vec![], tests: vec![] }
    }

    #[test]
    fn a_message_is_an_issue_without_what_tools_add() {
        let fixed = instance("Fix `f` for 0 (#12)\n\nIt divided.\n\nFixes #7\nSigned-off-by: A <a@b>\n");
        assert_eq!(fixed.text(), ("Fix `f` for 0".to_owned(), "It divided.".to_owned()));
        assert_eq!(fixed.issue_numbers(), [7, 12]);
        assert_eq!((fixed.short(), fixed.subject()), ("0123456789", "Fix `f` for 0 (#12)"));
    }

    #[test]
    fn fixes_differ_from_other_commits() {
        for fix in ["fix: no panic on empty input", "Correct rounding\n\nIt was wrong for 0.", "Crash with two flags"] {
            assert!(is_fix(fix), "{fix}");
        }
        for other in ["Merge branch 'fix'", "Fix typo", "docs: fix a link", "Add a flag", "Bump version, fixed"] {
            assert!(!is_fix(other), "{other}");
        }
    }
}
