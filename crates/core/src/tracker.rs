//! Issue trackers: what forges and Jira have in common.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{InboundIssue, IssueRef, Milestone, PlatformId};

use crate::fault::{Cause, Fault};
use crate::outgoing_text::OutgoingText;

/// A call to a forge or tracker failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// The object does not exist, or the account may not see it: platforms do not distinguish the two.
    #[error("{what} was not found on {platform}; check the name, and that the token may read it")]
    NotFound {
        /// The platform.
        platform: PlatformId,
        /// The object, as a noun phrase.
        what: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error("{platform} refused the credentials ({detail}); set a valid token")]
    Unauthorized {
        /// The platform.
        platform: PlatformId,
        /// The platform's message.
        detail: String,
    },
    /// The credentials are valid and lack the permission.
    #[error("{platform} does not allow this token to {action} ({detail}); grant the permission or use another token")]
    Forbidden {
        /// The platform.
        platform: PlatformId,
        /// The attempted operation, as a verb phrase.
        action: String,
        /// The platform's message.
        detail: String,
    },
    /// The platform understood the request and refused it: a rule of the platform, a conflict, an invalid value.
    #[error("{platform} refused to {action}: {detail}")]
    Refused {
        /// The platform.
        platform: PlatformId,
        /// The attempted operation, as a verb phrase.
        action: String,
        /// The platform's message.
        detail: String,
    },
    /// The platform limits the rate of calls. No call is sent to it for this time.
    #[error("{platform} limits the rate of requests")]
    RateLimited {
        /// The platform.
        platform: PlatformId,
        /// The wait that the platform asked for.
        after: Option<std::time::Duration>,
    },
    /// The platform cannot be reached or fails. It is unknown whether the call had its effect.
    #[error("{platform} cannot be reached or fails ({detail})")]
    Unavailable {
        /// The platform.
        platform: PlatformId,
        /// The failure.
        detail: String,
    },
    /// The response does not follow the platform's API.
    #[error("{platform} sent an invalid response to `{action}`")]
    InvalidResponse {
        /// The platform.
        platform: PlatformId,
        /// The attempted operation, as a verb phrase.
        action: String,
        /// What is wrong with the response.
        #[source]
        source: Cause,
    },
}

impl ForgeError {
    /// Returns what the caller can do about the error.
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

/// An issue as its tracker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteIssue {
    /// One line.
    pub title: String,
    /// Markdown; empty if the reporter wrote none.
    pub body: String,
    /// The reporter's login.
    pub author: String,
    /// Whether it is open.
    pub open: bool,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The address of its page.
    pub url: String,
    /// When it was opened, if the tracker reports it.
    pub opened_at: Option<Timestamp>,
}

impl RemoteIssue {
    /// Returns it as an event would report it, for jobs that no event started.
    pub fn into_inbound(self, source: IssueRef) -> InboundIssue {
        let Self { title, body, author, labels, opened_at, .. } = self;
        InboundIssue { source, title, body, author, labels, is_pull_request: false, default_branch: None, opened_at }
    }
}

/// A comment as its tracker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The tracker's id of the comment.
    pub id: String,
    /// The author's login or account id.
    pub author: String,
    /// Markdown.
    pub body: String,
}

/// Reads issues and writes comments.
///
/// An implementation
/// * MUST answer [`ForgeError::NotFound`] for an issue or comment that does not exist;
/// * MUST retry idempotent calls by itself, within a bounded time, and obey the platform's wait hints;
/// * MUST NOT repeat `post_comment` after an unknown outcome: the caller looks the comment up by its marker first;
/// * MUST NOT shorten a text: the caller keeps texts under [`Tracker::max_comment_chars`].
#[async_trait]
pub trait Tracker: Send + Sync {
    /// Returns the platform.
    fn platform(&self) -> PlatformId;

    /// Returns the longest comment or pull request text that the platform accepts, in characters.
    fn max_comment_chars(&self) -> usize;

    /// Returns the current state of an issue.
    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError>;

    /// Returns all comments on the issue or pull request with this number, oldest first.
    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError>;

    /// Writes a comment and returns its id.
    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError>;

    /// Replaces a comment's text. Writing the same text again changes nothing.
    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError>;

    /// Moves the issue to the status that is configured for a milestone. Does nothing if it is in that state, if none
    /// is configured, and on forges. [`ForgeError::Refused`] if the tracker's workflow does not allow the transition.
    async fn transition(&self, issue: &IssueRef, to: Milestone) -> Result<(), ForgeError> {
        let _ = (issue, to);
        Ok(())
    }

    /// Links the issue to a pull request; the same link is made once. Forges do nothing: they link by themselves.
    async fn link_pull_request(
        &self,
        issue: &IssueRef,
        pull_request: &PullRequestRef,
        title: &OutgoingText,
    ) -> Result<(), ForgeError> {
        let _ = (issue, pull_request, title);
        Ok(())
    }
}
