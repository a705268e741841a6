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

/// The secrets that deliveries may be signed with: several at once, so that one can be replaced without a gap.
#[derive(Clone)]
pub struct SigningKeys(Vec<ring::hmac::Key>);

impl SigningKeys {
    /// Takes the secrets; empty ones are no secrets and are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a crate::Secret>) -> Self {
        let key = |secret: &crate::Secret| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self(secrets.into_iter().filter(|secret| !secret.is_empty()).map(key).collect())
    }

    /// Checks a header of the form `sha256=<64 hexadecimal digits>` over the raw bytes, in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Missing`] without the header, [`SignatureError::Wrong`] when it stands twice, has another
    /// form, or none of the secrets made it.
    pub fn verify(&self, headers: &dyn Headers, header: &str, body: &[u8]) -> Result<(), SignatureError> {
        if headers.is_repeated(header) {
            return Err(SignatureError::Wrong);
        }
        let value = headers.get(header).ok_or(SignatureError::Missing)?;
        let digits = value.strip_prefix("sha256=").ok_or(SignatureError::Wrong)?;
        let tag = decode_hex(digits).ok_or(SignatureError::Wrong)?;
        let matches = |key: &ring::hmac::Key| ring::hmac::verify(key, body, &tag).is_ok();
        if self.0.iter().any(matches) { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    /// The header's value for a body, made with the first secret. For tests and for our own deliveries.
    pub fn sign(&self, body: &[u8]) -> Option<String> {
        let tag = ring::hmac::sign(self.0.first()?, body);
        let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("sha256={digits}"))
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKeys({})", self.0.len())
    }
}

fn decode_hex(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    struct One(Option<&'static str>, bool);

    impl Headers for One {
        fn get(&self, _: &str) -> Option<&str> {
            self.0
        }
        fn is_repeated(&self, _: &str) -> bool {
            self.1
        }
    }

    const SECRET: &str = "It's a Secret to Everybody";
    const RIGHT: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verify(header: Option<&'static str>) -> Result<(), SignatureError> {
        let keys = SigningKeys::new([&Secret::new("an older one"), &Secret::new(SECRET)]);
        keys.verify(&One(header, false), "x", b"Hello, World!")
    }

    #[test]
    fn the_vendors_test_vector_is_accepted_with_any_of_the_secrets() {
        assert_eq!(verify(Some(RIGHT)), Ok(()));
        let upper = "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17";
        assert_eq!(verify(Some(upper)), Ok(()));
        let keys = SigningKeys::new([&Secret::new(SECRET)]);
        assert_eq!(keys.sign(b"Hello, World!").as_deref(), Some(RIGHT));
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(verify(None), Err(SignatureError::Missing));
        for bad in [
            "",
            "sha256=",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e177",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18",
            "sha256=zz7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ] {
            assert_eq!(verify(Some(bad)), Err(SignatureError::Wrong), "{bad:?}");
        }
        let keys = SigningKeys::new([&Secret::new(SECRET)]);
        assert_eq!(keys.verify(&One(Some(RIGHT), true), "x", b"Hello, World!"), Err(SignatureError::Wrong));
        let none = SigningKeys::new([&Secret::new("")]);
        assert_eq!(none.verify(&One(Some(RIGHT), false), "x", b"Hello, World!"), Err(SignatureError::Wrong));
    }
}
