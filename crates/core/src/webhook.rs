//! The door: bytes in, our own event out.

use patchwright_domain::{BranchName, DeliveryId, IssueRef, PlatformId, RepoName};

use crate::fault::Cause;
pub use crate::signature::SigningKeys;
use crate::tracker::RemoteIssue;

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

impl DecodeError {
    /// A field that must be there is not.
    pub fn missing(field: &str) -> Self {
        Self::Body { detail: format!("missing field `{field}`") }
    }
}

/// Text out of a delivery's body, copied only when it was escaped. (A bare `Option<Cow<str>>` would always copy.)
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, to keep.
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

/// The beginning of a word that a platform sent, for messages.
pub fn shortened(word: &str) -> String {
    word.chars().take(60).collect()
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
        /// To whom; some platforms tell several at once.
        assignees: Vec<String>,
        /// By whom.
        actor: Actor,
        /// When, in the platform's words, if it says: two hooks tell the same.
        at: Option<String>,
    },
    /// Labels were added.
    Labeled {
        /// The issue.
        issue: InboundIssue,
        /// Which ones.
        labels: Vec<String>,
        /// By whom.
        actor: Actor,
        /// When, in the platform's words, if it says: two hooks tell the same.
        at: Option<String>,
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
    /// Somebody commented on a line of a pull request.
    ReviewCommented {
        /// In which repository.
        repo: RepoName,
        /// The pull request's number.
        number: u64,
        /// Its branch.
        head: String,
        /// The comment.
        comment: InboundComment,
    },
    /// The platform's own checks of a commit ended.
    ChecksCompleted {
        /// In which repository.
        repo: RepoName,
        /// The commit.
        commit: String,
        /// Who checked: the name of the application or of the check.
        name: String,
        /// How it ended, in the platform's word: `success`, `failure`.
        conclusion: String,
    },
    /// Our application was installed somewhere, or is no more.
    InstallationChanged {
        /// Whose account.
        account: String,
        /// What happened, in the platform's word: `created`, `deleted`, `suspend`.
        action: String,
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
    /// The names of its labels; none also where the event does not tell them.
    pub labels: Vec<String>,
    /// Whether it is really a pull request: those share the numbers on some platforms.
    pub is_pull_request: bool,
    /// The repository's default branch, when the event says.
    pub default_branch: Option<BranchName>,
}

impl InboundIssue {
    /// An issue that was read from its tracker, and not told by an event.
    pub fn read(source: IssueRef, remote: RemoteIssue) -> Self {
        let RemoteIssue { title, body, author, labels, .. } = remote;
        Self { source, title, body, author, labels, is_pull_request: false, default_branch: None }
    }
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

/// The delivery's id: the platform's header when it is there, else a hash of event and body, so that the same thing sent
/// twice is known again (`spec/http-api`).
///
/// # Errors
/// [`DecodeError::Header`] when the header is there and cannot be an id.
pub fn delivery_id(
    headers: &dyn Headers,
    header: &'static str,
    event_type: &str,
    body: &[u8],
) -> Result<DeliveryId, DecodeError> {
    if let Some(text) = headers.get(header) {
        return DeliveryId::parse(text).map_err(|_| DecodeError::Header { name: header });
    }
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    hash.update(event_type.as_bytes());
    // No event has a line break in its name: `ab` + `c` is not `a` + `bc`.
    hash.update(b"\n");
    hash.update(body);
    let digits: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(DeliveryId::parse(&format!("sha256:{digits}")).expect("hexadecimal digits are printable"))
}

/// How deep a body may be nested. (serde's own bound does not hold for what a decoder skips.)
const MAX_DEPTH: usize = 128;

/// Refuses a body that is nested deeper than anything a platform sends.
///
/// # Errors
/// [`DecodeError::Body`].
pub fn check_depth(body: &[u8]) -> Result<(), DecodeError> {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    // Nearly every body has fewer brackets altogether, and counting is much faster than following.
    if body.iter().filter(|byte| opens(byte)).count() <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            byte if opens(byte) => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(DecodeError::Body { detail: format!("it is nested deeper than {MAX_DEPTH} levels") });
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts_only() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check_depth(nested(128).as_bytes()).is_ok());
        assert!(check_depth(nested(129).as_bytes()).is_err());
        assert!(check_depth("[".repeat(100_000).as_bytes()).is_err());
        let wide = format!("[{}1]", "[1],".repeat(5_000));
        assert!(check_depth(wide.as_bytes()).is_ok());
        let text = format!(r#"{{"a":"\"{}\\","b":1}}"#, "[".repeat(500));
        assert!(check_depth(text.as_bytes()).is_ok());
    }
}
