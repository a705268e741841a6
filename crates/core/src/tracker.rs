//! Where issues live: what a forge and Jira can both do.

use async_trait::async_trait;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{IssueRef, Milestone, PlatformId};

use crate::fault::{Cause, Fault};

/// A call to a forge or tracker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// The thing is not there, or we may not see it: forges answer the same for both.
    #[error("{what} was not found on {platform}; check the name, and that the token may read it")]
    NotFound {
        /// The platform.
        platform: PlatformId,
        /// The thing, in words.
        what: String,
    },
    /// The credentials are wrong or expired.
    #[error("{platform} refused the credentials ({detail}); set a valid token")]
    Unauthorized {
        /// The platform.
        platform: PlatformId,
        /// What it said.
        detail: String,
    },
    /// The credentials are right and the permission lacks.
    #[error("{platform} does not allow this token to {action} ({detail}); grant the permission or use another token")]
    Forbidden {
        /// The platform.
        platform: PlatformId,
        /// What we wanted, as a verb phrase.
        action: String,
        /// What it said.
        detail: String,
    },
    /// The request was understood and refused.
    #[error("{platform} refused to {action}: {detail}")]
    Refused {
        /// The platform.
        platform: PlatformId,
        /// What we wanted, as a verb phrase.
        action: String,
        /// What it said.
        detail: String,
    },
    /// Too many calls.
    #[error("{platform} asks to slow down")]
    RateLimited {
        /// The platform.
        platform: PlatformId,
        /// How long to wait, when it said so.
        after: Option<std::time::Duration>,
    },
    /// It cannot be reached, or it fails: the call may or may not have had its effect.
    #[error("{platform} cannot be reached or fails ({detail})")]
    Unavailable {
        /// The platform.
        platform: PlatformId,
        /// What was seen.
        detail: String,
    },
    /// It answered what it never should.
    #[error("{platform} answered something that makes no sense to `{action}`")]
    InvalidResponse {
        /// The platform.
        platform: PlatformId,
        /// What we wanted, as a verb phrase.
        action: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
}

impl ForgeError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NotFound { .. } => Fault::Missing,
            Self::Unauthorized { .. } | Self::Forbidden { .. } => Fault::Denied,
            Self::Refused { .. } | Self::InvalidResponse { .. } => Fault::Internal,
            Self::RateLimited { after, .. } => Fault::Retry { after: *after },
            Self::Unavailable { .. } => Fault::RETRY,
        }
    }
}

/// An issue as its tracker tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteIssue {
    /// One line.
    pub title: String,
    /// Markdown; empty when the reporter wrote none.
    pub body: String,
    /// The reporter's login.
    pub author: String,
    /// Whether it is open.
    pub open: bool,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Its page.
    pub url: String,
}

/// A comment as its tracker tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The tracker's id of it.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// Markdown.
    pub body: String,
}

/// Where issues live and people talk about them.
///
/// An implementation
/// * MUST answer [`ForgeError::NotFound`] for an issue or comment that does not exist;
/// * MUST retry what is safe to repeat by itself, within a bounded time, and obey the platform's wait hints;
/// * MUST NOT repeat `post_comment` after an unknown outcome: the caller looks the comment up by its marker first;
/// * MUST cut or refuse nothing: the caller keeps texts under [`Tracker::max_comment_chars`].
#[async_trait]
pub trait Tracker: Send + Sync {
    /// Which platform this is.
    fn platform(&self) -> PlatformId;

    /// The longest comment or pull request text that the platform takes, in characters.
    fn max_comment_chars(&self) -> usize;

    /// The issue as it is now.
    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError>;

    /// All comments on the issue (or pull request) with this number, oldest first.
    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError>;

    /// Writes a comment and returns its id.
    async fn post_comment(&self, issue: &IssueRef, body: &str) -> Result<String, ForgeError>;

    /// Replaces a comment's text. Writing the same text again changes nothing.
    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &str) -> Result<(), ForgeError>;

    /// Moves the issue to the state that is configured for a milestone; an issue that is there already stays. Without
    /// such a state, and on a forge, nothing is done. [`ForgeError::Refused`] when the tracker's rules do not allow it.
    async fn transition(&self, issue: &IssueRef, to: Milestone) -> Result<(), ForgeError> {
        let _ = (issue, to);
        Ok(())
    }

    /// Links the issue to a pull request, once for each. A forge does so by itself.
    async fn link_pull_request(
        &self,
        issue: &IssueRef,
        pull_request: &PullRequestRef,
        title: &str,
    ) -> Result<(), ForgeError> {
        let _ = (issue, pull_request, title);
        Ok(())
    }
}
