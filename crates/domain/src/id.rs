//! Ids and names, each a type of its own so that they cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The error for a text that is not a valid id or name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct InvalidId {
    /// The text, cut to a length that fits an error message.
    pub value: String,
    /// What was expected, with its article.
    pub expected: &'static str,
}

impl InvalidId {
    pub(crate) fn new(value: &str, expected: &'static str) -> Self {
        Self { value: value.chars().take(120).collect(), expected }
    }
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $expected:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id of an id source. Version 7 keeps ids in the order of their creation.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the id as a UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId::new(text, $expected))
            }
        }
    };
}

id!(
    /// The id of an issue, of any forge or tracker.
    IssueId,
    "an issue id (a UUID)"
);
id!(
    /// The id of a task: one dispatch of a job to a node.
    TaskId,
    "a task id (a UUID)"
);
id!(
    /// The id of a job: one automated run for one issue.
    JobId,
    "a job id (a UUID)"
);
id!(
    /// The id of an effect that waits for its delivery.
    EffectId,
    "an effect id (a UUID)"
);

id!(
    /// The id of a user.
    UserId,
    "a user id (a UUID)"
);
id!(
    /// The id of a notification channel.
    ChannelId,
    "a channel id (a UUID)"
);
id!(
    /// The id of a queued notice to a channel.
    NoticeId,
    "a notice id (a UUID)"
);
id!(
    /// The id of a credential of a forge.
    CredentialId,
    "a credential id (a UUID)"
);
id!(
    /// The id of a node: a machine that executes tasks.
    NodeId,
    "a node id (a UUID)"
);
id!(
    /// The id of an API token.
    TokenId,
    "a token id (a UUID)"
);
id!(
    /// The id of a repository that users added.
    RepositoryId,
    "a repository id (a UUID)"
);
id!(
    /// The id of an entry of the audit log.
    AuditId,
    "an audit id (a UUID)"
);

id!(
    /// The id of a Jira site.
    WorkspaceId,
    "a workspace id (a UUID)"
);
id!(
    /// The id of the link between a user and an account of a Jira site.
    JiraUserId,
    "a link id (a UUID)"
);
id!(
    /// The id of a conversation between a user and the server on a Jira issue.
    ConversationId,
    "a conversation id (a UUID)"
);
id!(
    /// The id of a stored event of a Jira site.
    JiraEventId,
    "an event id (a UUID)"
);

impl TaskId {
    /// Returns the id of a job's first task: the job's own UUID.
    pub const fn first_of(job: JobId) -> Self {
        Self(job.0)
    }
}

/// The platform's id of a webhook delivery; a redelivery has the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// The longest accepted id, in characters; platforms send UUIDs, and a generated hash has 71 characters.
    pub const MAX_LEN: usize = 128;

    /// Parses an id from a header.
    ///
    /// # Errors
    /// [`InvalidId`] when it is empty, longer than [`Self::MAX_LEN`] or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_LEN;
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(text, "a delivery id (1 to 128 printable characters)"))
        }
    }

    /// Returns the id as the platform sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository's full name on its forge, `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    /// The longest accepted owner or name, in characters.
    pub const MAX_PART: usize = 100;

    /// Joins an owner and a name.
    ///
    /// # Errors
    /// [`InvalidId`] when a part is empty, too long, `.` or `..`, begins with `-`, or contains anything except ASCII
    /// letters, digits, `-`, `_` and `.`: such a name could not be a path on any forge and must not become one here.
    pub fn new(owner: &str, name: &str) -> Result<Self, InvalidId> {
        for part in [owner, name] {
            let fits = !part.is_empty() && part.len() <= Self::MAX_PART && !part.starts_with('-');
            let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if !fits || !plain || part.bytes().all(|b| b == b'.') {
                return Err(InvalidId::new(&format!("{owner}/{name}"), "a repository name (owner/name)"));
            }
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }

    /// Returns the owner.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the name without the owner.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for RepoName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (owner, name) =
            text.split_once('/').ok_or_else(|| InvalidId::new(text, "a repository name (owner/name)"))?;
        Self::new(owner, name)
    }
}

impl TryFrom<String> for RepoName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<RepoName> for String {
    fn from(repo: RepoName) -> Self {
        repo.to_string()
    }
}

/// A full commit id: 40 (or 64) lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitSha(String);

impl CommitSha {
    /// Parses a full commit id; upper case is converted to lower case.
    ///
    /// # Errors
    /// [`InvalidId`] when it is not 40 or 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let right_length = text.len() == 40 || text.len() == 64;
        if right_length && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidId::new(text, "a full commit id (40 hexadecimal digits)"))
        }
    }

    /// Returns all digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first seven digits, for display.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl fmt::Display for CommitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CommitSha {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<CommitSha> for String {
    fn from(sha: CommitSha) -> Self {
        sha.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_name_never_becomes_a_path_out_of_its_folder() {
        for bad in ["../../etc", "acme/..", "acme/.", "-u/x", "acme/a b", "acme/a/b", "acme/%2f", "acme", "/x", "x/"] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad} was accepted");
        }
        assert_eq!("acme/demo.rs".parse::<RepoName>().unwrap().to_string(), "acme/demo.rs");
    }

    #[test]
    fn a_commit_id_is_full_or_refused() {
        assert!(CommitSha::parse("abc123").is_err());
        let sha = CommitSha::parse("ABCDEF0123456789ABCDEF0123456789ABCDEF01").unwrap();
        assert_eq!(sha.short(), "abcdef0");
    }

    #[test]
    fn a_delivery_id_is_short_and_printable() {
        assert!(DeliveryId::parse("").is_err());
        assert!(DeliveryId::parse("a b").is_err());
        assert!(DeliveryId::parse(&"x".repeat(129)).is_err());
        assert!(DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").is_ok());
    }
}
