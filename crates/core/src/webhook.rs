//! Webhook deliveries: verified bytes in, typed events out.
//!
//! Nothing behind a [`WebhookDecoder`] sees a platform's JSON.

pub use patchwright_domain::InboundIssue;
use patchwright_domain::{DeliveryId, PlatformId, RepoName};

use crate::fault::Cause;
pub use crate::signature::SigningKeys;

/// The headers of a delivery, as far as a decoder needs them.
///
/// Implemented for [`http::HeaderMap`], for slices and vectors of name–value pairs (tests, other web frameworks), and for
/// references to all of these.
pub trait Headers {
    /// Returns the value of the first header with this name (compared without case) if it is visible ASCII or UTF-8.
    fn get(&self, name: &str) -> Option<&str>;

    /// Returns whether more than one header has this name. A repeated signature header is refused.
    fn is_repeated(&self, name: &str) -> bool;
}

impl<H: Headers + ?Sized> Headers for &H {
    fn get(&self, name: &str) -> Option<&str> {
        (**self).get(name)
    }

    fn is_repeated(&self, name: &str) -> bool {
        (**self).is_repeated(name)
    }
}

impl Headers for http::HeaderMap {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name).and_then(|value| value.to_str().ok())
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.get_all(name).iter().nth(1).is_some()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> Headers for [(N, V)] {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.iter().find(|(known, _)| known.as_ref().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.iter().filter(|(known, _)| known.as_ref().eq_ignore_ascii_case(name)).nth(1).is_some()
    }
}

impl<N: AsRef<str>, V: AsRef<str>, const LEN: usize> Headers for [(N, V); LEN] {
    fn get(&self, name: &str) -> Option<&str> {
        Headers::get(self.as_slice(), name)
    }

    fn is_repeated(&self, name: &str) -> bool {
        Headers::is_repeated(self.as_slice(), name)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> Headers for Vec<(N, V)> {
    fn get(&self, name: &str) -> Option<&str> {
        Headers::get(self.as_slice(), name)
    }

    fn is_repeated(&self, name: &str) -> bool {
        Headers::is_repeated(self.as_slice(), name)
    }
}

/// A delivery is not authenticated. The texts do not say which part of a signature differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature header.
    #[error("the delivery carries no signature; set the webhook's secret on the platform")]
    Missing,
    /// The signature is malformed, repeated, or was not made with a configured secret over these bytes.
    #[error("the delivery's signature is wrong; check that both sides have the same webhook secret")]
    Wrong,
}

/// A delivery is authenticated and cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A header that the platform always sends is missing or malformed.
    #[error("the header {name} is missing or malformed")]
    Header {
        /// The header's name.
        name: &'static str,
    },
    /// The platform has no event of this name.
    #[error("{event:?} is not an event of {platform}")]
    UnknownEvent {
        /// The value of the event header, shortened.
        event: String,
        /// The platform that the decoder is for.
        platform: PlatformId,
    },
    /// The body is not JSON, or a field is missing or has the wrong type.
    #[error("the body cannot be read: {detail}")]
    Body {
        /// The field or the position, and what is wrong there.
        detail: String,
    },
    /// A field has the right type and not an allowed value (such as a branch name that git refuses).
    #[error("the field {field} cannot be used")]
    Field {
        /// The field's path in the body.
        field: &'static str,
        /// The rule that the value breaks.
        #[source]
        source: Cause,
    },
}

impl DecodeError {
    /// Creates the error for a required field that is absent.
    pub fn missing(field: &str) -> Self {
        Self::Body { detail: format!("missing field `{field}`") }
    }
}

/// A string of a delivery's body, copied only when it contains escapes. (serde copies a bare `Option<Cow<str>>` always.)
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

impl Text<'_> {
    /// Returns the string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts into an owned string.
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

/// The longest event or action name that a message repeats, in characters.
const MAX_SHOWN_NAME_CHARS: usize = 60;

/// Returns the first 60 characters of a name that a platform sent, for messages.
pub fn shorten_name(name: &str) -> String {
    name.chars().take(MAX_SHOWN_NAME_CHARS).collect()
}

/// One decoded delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The platform's id of the delivery, or a hash of event and body if it sends none (see [`resolve_delivery_id`]).
    pub id: DeliveryId,
    /// The platform's name of the event.
    pub event_type: String,
    /// The event.
    pub event: InboundEvent,
}

/// An event of a platform in platform-neutral form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboundEvent {
    /// The platform tests the connection.
    Ping,
    /// A comment was added to an issue.
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
        /// The logins of the new assignees; some platforms report several in one event.
        assignees: Vec<String>,
        /// The account that assigned them.
        actor: Actor,
        /// The event's time as the platform writes it. Tells apart two events from one event that two webhooks report.
        at: Option<String>,
    },
    /// Labels were added to an issue.
    Labeled {
        /// The issue.
        issue: InboundIssue,
        /// The added labels.
        labels: Vec<String>,
        /// The account that added them.
        actor: Actor,
        /// The event's time as the platform writes it. Tells apart two events from one event that two webhooks report.
        at: Option<String>,
    },
    /// An issue was opened.
    Opened {
        /// The issue.
        issue: InboundIssue,
        /// The account that opened it.
        actor: Actor,
    },
    /// A pull request was merged or closed.
    PullRequestClosed {
        /// The repository.
        repo: RepoName,
        /// The pull request's number.
        number: u64,
        /// The pull request's branch.
        head: String,
        /// Whether it was merged.
        merged: bool,
    },
    /// A comment on a pull request: in its conversation, on a line of its diff, or the text of a review.
    PullRequestCommented {
        /// The repository.
        repo: RepoName,
        /// The pull request's number.
        number: u64,
        /// The comment. Its id is unique among all comments on pull requests of the platform.
        comment: InboundComment,
        /// The part of the diff that the comment is on, if it is on one.
        place: Option<DiffPlace>,
        /// The review that the text belongs to, if the comment is the text of one.
        review: Option<Review>,
    },
    /// An issue that was closed was opened again.
    Reopened {
        /// The issue.
        issue: InboundIssue,
    },
    /// The platform's checks of a commit are complete.
    ChecksCompleted {
        /// The repository.
        repo: RepoName,
        /// The commit.
        commit: String,
        /// The name of the application or of the check.
        name: String,
        /// The result as the platform writes it, such as `success` or `failure`.
        conclusion: String,
    },
    /// The platform's application was installed, suspended or removed.
    InstallationChanged {
        /// The account that owns the installation.
        account: String,
        /// The change as the platform writes it: `created`, `deleted`, `suspend`.
        action: String,
    },
    /// An event that never starts a job.
    Other {
        /// The reason, for the response and the log.
        reason: String,
    },
}

/// A comment as an event reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundComment {
    /// The platform's id of the comment; empty if the event has none.
    pub id: String,
    /// Markdown.
    pub body: String,
    /// The comment's author.
    pub author: Actor,
}

/// A part of a pull request's diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffPlace {
    /// The file.
    pub path: String,
    /// The first and the last line, counted from 1, if the platform reports them.
    pub lines: Option<(u64, u64)>,
    /// The lines of the diff that lead to the place; empty if the platform does not report them.
    pub hunk: String,
}

/// A review of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The platform's id of the review.
    pub id: u64,
    /// Whether the reviewer requests changes.
    pub requests_changes: bool,
}

/// An account that acts on a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The login.
    pub login: String,
    /// Whether the platform marks the account as a program.
    pub is_bot: bool,
}

/// Returns the delivery's id: the value of the platform's header, or a SHA-256 of event and body without that header,
/// so that a repeated delivery is recognized (`docs/requirements.md#r190`).
///
/// # Errors
/// [`DecodeError::Header`] if the header is present and its value is not a valid id.
pub fn resolve_delivery_id(
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
    // Event names contain no line break, so `ab` + `c` and `a` + `bc` hash differently.
    hash.update(b"\n");
    hash.update(body);
    let digits: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(DeliveryId::parse(&format!("sha256:{digits}")).expect("hexadecimal digits are printable"))
}

/// The deepest nesting of a body. (serde's own limit does not apply to values that a decoder skips.)
const MAX_DEPTH: usize = 128;

/// Checks that a body is nested at most 128 levels deep, before a parser recurses into it.
///
/// # Errors
/// [`DecodeError::Body`] if it is nested deeper.
pub fn check_depth(body: &[u8]) -> Result<(), DecodeError> {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    // Nearly every body has fewer brackets than that in total, and counting them is much faster than tracking the depth.
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

/// Verifies and decodes the deliveries of one platform. Synchronous, without side effects.
///
/// An implementation MUST compare signatures in constant time over the raw bytes, and MUST NOT parse the body before.
pub trait WebhookDecoder: Send + Sync {
    /// Returns the platform.
    fn platform(&self) -> PlatformId;

    /// Returns the header that names the event. A delivery is assigned to a platform by its presence.
    fn event_header(&self) -> &'static str;

    /// Checks that the sender knows a configured secret.
    ///
    /// # Errors
    /// [`SignatureError`]; it does not reveal what a valid signature would be.
    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError>;

    /// Decodes a verified delivery.
    ///
    /// # Errors
    /// [`DecodeError`] with the header or field that is wrong.
    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_maps_and_pairs_are_read_without_case_and_repetitions_are_found() {
        let mut map = http::HeaderMap::new();
        map.append("X-One", http::HeaderValue::from_static("1"));
        map.append("x-two", http::HeaderValue::from_static("a"));
        map.append("x-two", http::HeaderValue::from_static("b"));
        map.insert("x-bytes", http::HeaderValue::from_bytes(b"\xff").unwrap());
        let pairs = [("x-one", "1"), ("X-TWO", "a"), ("x-two", "b")];
        let owned: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let all: [&dyn Headers; 4] = [&map, &pairs, &owned, &pairs.as_slice()];
        for headers in all {
            assert_eq!((headers.get("X-ONE"), headers.is_repeated("x-one")), (Some("1"), false));
            assert_eq!((headers.get("x-Two"), headers.is_repeated("x-Two")), (Some("a"), true));
            assert_eq!((headers.get("x-three"), headers.is_repeated("x-three")), (None, false));
        }
        assert_eq!(Headers::get(&map, "x-bytes"), None, "a value that is not text is no value");
    }

    #[test]
    fn nesting_is_counted_outside_of_strings_only() {
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
