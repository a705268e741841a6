//! The door: bytes in, our own event out.

use patchwright_domain::{BranchName, DeliveryId, IssueRef, PlatformId, RepoName};

use crate::fault::Cause;

/// The headers of a delivery, as far as a decoder asks for them.
pub trait Headers {
    /// The first header of this name (compared without case), when it is text.
    fn get(&self, name: &str) -> Option<&str>;

    /// Whether more than one header has this name: two signatures are none.
    fn is_repeated(&self, name: &str) -> bool;
}

/// The signature is missing or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature header.
    #[error("the delivery carries no signature; set the webhook's secret on the platform")]
    Missing,
    /// Not of the form that the platform sends, or not made with our secret over these bytes.
    #[error("the delivery's signature is wrong; check that both sides have the same webhook secret")]
    Wrong,
}

/// The delivery is signed and makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A header that the platform always sends lacks or is malformed.
    #[error("the header {name} is missing or malformed")]
    Header {
        /// Its name.
        name: &'static str,
    },
    /// The platform has no such event.
    #[error("{event:?} is no event of {platform}")]
    UnknownEvent {
        /// What the header says.
        event: String,
        /// The platform.
        platform: PlatformId,
    },
    /// The body is not JSON, or a field lacks or has the wrong type.
    #[error("the body cannot be read: {detail}")]
    Body {
        /// Where and what, naming the field.
        detail: String,
    },
    /// A name in the body cannot be one.
    #[error("the field {field} cannot be used")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
}

/// One delivery, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The platform's name of it; without one, a hash of event and body.
    pub id: DeliveryId,
    /// The platform's name of the event.
    pub event_type: String,
    /// What it tells us.
    pub event: InboundEvent,
}

/// What happened on a platform, in our own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundEvent {
    /// The platform tries the connection.
    Ping,
    /// Somebody commented on an issue.
    Commented {
        /// The issue.
        issue: InboundIssue,
        /// The comment.
        comment: InboundComment,
    },
    /// An issue was assigned.
    Assigned {
        /// The issue.
        issue: InboundIssue,
        /// To whom.
        assignee: String,
        /// By whom.
        actor: Actor,
    },
    /// A label was added.
    Labeled {
        /// The issue.
        issue: InboundIssue,
        /// Which.
        label: String,
        /// By whom.
        actor: Actor,
    },
    /// An issue was opened.
    Opened {
        /// The issue.
        issue: InboundIssue,
        /// By whom.
        actor: Actor,
    },
    /// A pull request was closed.
    PullRequestClosed {
        /// In which repository.
        repo: RepoName,
        /// Its number.
        number: u64,
        /// Its branch.
        head: String,
        /// Whether it was merged.
        merged: bool,
    },
    /// Something that starts nothing.
    Other {
        /// Why, for the answer and the log.
        reason: String,
    },
}

/// An issue as an event tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundIssue {
    /// The issue.
    pub source: IssueRef,
    /// One line.
    pub title: String,
    /// Markdown; empty when there is none.
    pub body: String,
    /// The reporter's login.
    pub author: String,
    /// Whether it is really a pull request: those share the numbers on some platforms.
    pub is_pull_request: bool,
    /// The repository's default branch, when the event says.
    pub default_branch: Option<BranchName>,
}

/// A comment as an event tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundComment {
    /// The platform's id of it.
    pub id: String,
    /// Markdown.
    pub body: String,
    /// Who wrote it.
    pub author: Actor,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The login.
    pub login: String,
    /// Whether the platform says that it is no person.
    pub is_bot: bool,
}

/// Verifies and decodes deliveries of one platform. Synchronous and pure.
///
/// An implementation MUST compare signatures in constant time over the raw bytes, and MUST NOT parse anything before.
pub trait WebhookDecoder: Send + Sync {
    /// Which platform.
    fn platform(&self) -> PlatformId;

    /// The header that names the event and by which the platform is recognised.
    fn event_header(&self) -> &'static str;

    /// Checks that the delivery was made by somebody who has the secret.
    ///
    /// # Errors
    /// [`SignatureError`], which says nothing about what the right one would be.
    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError>;

    /// Reads a verified delivery.
    ///
    /// # Errors
    /// [`DecodeError`], naming the header or field.
    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError>;
}
