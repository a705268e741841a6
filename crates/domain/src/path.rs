//! Paths inside a repository, safe by construction.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text cannot be a path inside a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be a path in the repository: {reason}")]
pub struct InvalidPath {
    /// The text, cut to a length that fits an error message.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A relative path with `/` between its parts that cannot leave the repository or touch git's own folder.
///
/// Every path from an issue, a plan, a model or a repository becomes one of these before a file is touched. It says
/// nothing about symbolic links: the workspace checks those when it opens the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

impl RepoPath {
    /// The longest path that is accepted, in bytes (Linux's `PATH_MAX`).
    pub const MAX_LEN: usize = 4096;

    /// Reads a path that came from outside. A leading `./` is dropped.
    ///
    /// # Errors
    /// [`InvalidPath`] when it is empty, absolute or too long, holds `..`, `.git` (in any spelling that a file system
    /// folds to it), NUL, a control character or a backslash, or names a Windows device.
    pub fn parse(path: &str) -> Result<Self, InvalidPath> {
        let trimmed = path.strip_prefix("./").unwrap_or(path);
        match Self::fault(trimmed) {
            None => Ok(Self(trimmed.to_owned())),
            Some(reason) => Err(InvalidPath { path: path.chars().take(120).collect(), reason }),
        }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The last part's ending without its dot, as written.
    pub fn extension(&self) -> Option<&str> {
        self.file_name().rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending)
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
        // Zero-width characters are dropped by some file systems, which would turn `.g\u{200c}it` into `.git`.
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
