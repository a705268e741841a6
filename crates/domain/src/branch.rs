//! Branch names: those of jobs, and validated ones from outside.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::IssueRef;

/// The error for a text that is not a valid branch name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be a branch name: {reason}")]
pub struct InvalidBranchName {
    /// The text, cut to a length that fits an error message.
    pub name: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// A branch's short name, such as `main` or `agent/fix-42-0822-103000`; never `refs/heads/…`.
///
/// It satisfies git's rules for reference names and does not begin with `-`, so no program can take it for an option.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// The longest accepted name, in bytes.
    pub const MAX_LEN: usize = 200;

    /// Parses a branch name from outside.
    ///
    /// # Errors
    /// [`InvalidBranchName`] when git would refuse the name or a program could take it for an option.
    pub fn parse(name: &str) -> Result<Self, InvalidBranchName> {
        match Self::fault(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(InvalidBranchName { name: name.chars().take(120).collect(), reason }),
        }
    }

    /// Returns the branch of a job (`docs/requirements.md#r228`): `agent/fix-<issue>-<MMDD-HHMMSS>` at the given time,
    /// UTC, with the issue's API number, or its key in a tracker.
    pub fn for_issue(issue: &IssueRef, at: Timestamp) -> Self {
        let stamp = at.to_zoned(TimeZone::UTC).strftime("%m%d-%H%M%S").to_string();
        let name = match &issue.tracker {
            Some(tracker) => tracker.key.clone(),
            None => issue.number.api.to_string(),
        };
        Self(format!("agent/fix-{name}-{stamp}"))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the full reference, `refs/heads/…`.
    pub fn full_ref(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    fn fault(name: &str) -> Option<&'static str> {
        let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        if name.is_empty() {
            Some("it is empty")
        } else if name.len() > Self::MAX_LEN {
            Some("it is longer than 200 bytes")
        } else if name.starts_with('-') {
            Some("it begins with `-`")
        } else if name.contains(forbidden) {
            Some("it holds a space, a control character or one of ~ ^ : ? * [ \\")
        } else if name.contains("..") || name.contains("@{") || name == "@" {
            Some("it holds `..` or `@{`")
        } else if name.ends_with('.') || name.starts_with('/') || name.ends_with('/') || name.contains("//") {
            Some("it ends with `.`, or a `/` stands at an end or twice")
        } else if name.split('/').any(|part| part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock")) {
            Some("a part begins with `.` or ends with `.lock`")
        } else if name == "HEAD" || name.starts_with("refs/") {
            Some("it is a full reference or HEAD, not a branch")
        } else {
            None
        }
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BranchName {
    type Error = InvalidBranchName;

    fn try_from(name: String) -> Result<Self, InvalidBranchName> {
        Self::parse(&name)
    }
}

impl From<BranchName> for String {
    fn from(branch: BranchName) -> Self {
        branch.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issue::TrackerRef;
    use crate::{IssueNumber, PlatformId, RepoName};

    #[test]
    fn the_branch_of_a_job_has_the_shape_of_the_contract() {
        let at: Timestamp = "2025-08-22T10:30:00Z".parse().unwrap();
        let (platform, repo) = (PlatformId::from_static("github"), "acme/demo".parse::<RepoName>().unwrap());
        let issue = IssueRef::on_forge(platform.clone(), repo.clone(), IssueNumber::same(42));
        let branch = BranchName::for_issue(&issue, at);
        assert_eq!(branch.as_str(), "agent/fix-42-0822-103000");
        let tracker =
            TrackerRef::new(PlatformId::from_static("jira"), "acme.atlassian.net", "10042", "PROJ-12").unwrap();
        let other = BranchName::for_issue(&IssueRef::tracked(platform, repo, tracker), at);
        assert_eq!(other.as_str(), "agent/fix-PROJ-12-0822-103000");
        assert_eq!(BranchName::parse(branch.as_str()), Ok(branch));
    }

    #[test]
    fn names_that_git_or_a_shell_could_misread_are_refused() {
        for bad in [
            "",
            "-x",
            "--upload-pack=touch /tmp/pwn",
            "a b",
            "a..b",
            "a~1",
            "a:b",
            "refs/heads/x",
            "HEAD",
            "a/.b",
            "a.lock",
            "a/",
            "/a",
            "a//b",
            "x@{1}",
            "@",
            "a\nb",
            "a.",
        ] {
            assert!(BranchName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["main", "feature/x_1", "v1.2", "修复"] {
            assert!(BranchName::parse(good).is_ok(), "{good:?} was refused");
        }
    }
}
