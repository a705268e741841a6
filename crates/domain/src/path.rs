//! Validated paths inside a repository.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The error for a text that is not a valid path inside a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be a path in the repository: {reason}")]
pub struct InvalidPath {
    /// The text, cut to a length that fits an error message.
    pub path: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// A relative path with `/` separators that cannot leave the repository or enter `.git`.
///
/// Every path from an issue, a plan, a model or a repository is validated by this type before a file is accessed.
/// Symbolic links are not covered: the workspace checks those when it opens the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

impl RepoPath {
    /// The longest accepted path, in bytes (Linux's `PATH_MAX`).
    pub const MAX_LEN: usize = 4096;

    /// Parses a path from outside. A leading `./` is removed.
    ///
    /// # Errors
    /// [`InvalidPath`] when it is empty, absolute or too long, contains `..`, `.git` (in any spelling that a file
    /// system treats as equal), NUL, a control character or a backslash, or names a Windows device.
    pub fn parse(path: &str) -> Result<Self, InvalidPath> {
        let trimmed = path.strip_prefix("./").unwrap_or(path);
        match Self::fault(trimmed) {
            None => Ok(Self(trimmed.to_owned())),
            Some(reason) => Err(InvalidPath { path: path.chars().take(120).collect(), reason }),
        }
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the extension of the last component, without its dot and in its original case.
    pub fn extension(&self) -> Option<&str> {
        self.file_name().rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending)
    }

    /// Returns the reason why a job must not change this file; `None` if it may.
    ///
    /// Such files run with secrets (CI), control other agents, pin dependencies, or contain secrets.
    pub fn protection(&self) -> Option<&'static str> {
        crate::protected::protection(&self.0)
    }

    /// Returns whether the file may hold passwords or keys, by its name: nobody but its owner has a reason to read it.
    pub fn may_hold_secrets(&self) -> bool {
        crate::protected::may_hold_secrets(&self.0)
    }

    /// Returns whether this is a test or what tests read, by its name or folder.
    ///
    /// A folder `test` in a package may be a part of the product, such as Django's test client, so that languages with names
    /// for tests are judged by those.
    pub fn is_test(&self) -> bool {
        let path = self.0.to_lowercase();
        let mut folders: Vec<&str> = path.split('/').collect();
        let name = folders.pop().unwrap_or_default();
        let has_folder = |names: &[&str]| folders.iter().any(|folder| names.contains(folder));
        let stem = name.split('.').next().unwrap_or_default();
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("py") => {
                let is_named =
                    stem.starts_with("test_") || stem.ends_with("_test") || matches!(stem, "tests" | "conftest");
                let is_top = matches!(folders.first(), Some(&("test" | "testing")));
                is_named || is_top || has_folder(&["tests"])
            }
            Some("go") => stem.ends_with("_test") || has_folder(&["testdata"]),
            Some("rs") => matches!(stem, "tests" | "test") || stem.ends_with("_test") || has_folder(&["tests"]),
            _ => {
                let is_named = stem.starts_with("test_")
                    || [".test.", ".spec.", "_test.", "-test.", "_spec."].iter().any(|part| name.contains(part));
                is_named || has_folder(&["test", "tests", "testing", "testdata", "__tests__", "spec", "specs"])
            }
        }
    }

    fn fault(path: &str) -> Option<&'static str> {
        if path.is_empty() {
            return Some("it is empty");
        }
        if path.len() > Self::MAX_LEN {
            return Some("it is too long");
        }
        if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
            return Some("it is absolute");
        }
        if path.chars().any(|c| c.is_control() || c == '\\') {
            return Some("it holds a control character or a backslash");
        }
        path.split('/').find_map(Self::part_fault)
    }

    fn part_fault(part: &str) -> Option<&'static str> {
        // Some file systems ignore zero-width characters, which would turn `.g\u{200c}it` into `.git`.
        let folded: String =
            part.chars().filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')).collect();
        let folded = folded.trim_end_matches(['.', ' ']).to_ascii_lowercase();
        match part {
            "" => return Some("a part is empty"),
            "." | ".." => return Some("it holds `.` or `..`"),
            _ => {}
        }
        if folded == ".git" || folded.starts_with("git~") || folded.starts_with(".git:") {
            return Some("it reaches into `.git`");
        }
        let stem = folded.split('.').next().unwrap_or_default();
        let numbered = |name: &str| {
            stem.strip_prefix(name).is_some_and(|digit| digit.len() == 1 && digit.as_bytes()[0].is_ascii_digit())
        };
        if matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt") {
            return Some("it names a Windows device");
        }
        None
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RepoPath {
    type Error = InvalidPath;

    fn try_from(path: String) -> Result<Self, InvalidPath> {
        Self::parse(&path)
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_leaves_the_repository_or_reaches_git() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            ".git/config",
            "A/.GIT/hooks",
            "git~1/x",
            ".git./x",
            ".g\u{200c}it/config",
            "C:/x",
            "a\\b",
            "a\0b",
            "nul",
            "x/COM1.txt",
            ".",
            "a/./b",
        ] {
            assert!(RepoPath::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_test_is_known_by_its_name_or_folder() {
        assert!(RepoPath::parse("tests/unit/helper.py").unwrap().is_test());
        assert!(RepoPath::parse("src/parser_test.go").unwrap().is_test());
        assert!(!RepoPath::parse("src/contest.py").unwrap().is_test());
    }

    #[test]
    fn ordinary_paths_keep_their_spelling() {
        for good in ["src/main.rs", ".github/workflows/ci.yml", ".gitignore", "文档/说明.md", "console.py", "a b.txt"]
        {
            assert_eq!(RepoPath::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(RepoPath::parse("./src/lib.rs").unwrap().as_str(), "src/lib.rs");
        assert_eq!(RepoPath::parse("src/a.tar.gz").unwrap().extension(), Some("gz"));
        assert_eq!(RepoPath::parse(".bashrc").unwrap().extension(), None);
    }
}
