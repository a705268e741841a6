//! Verification and decoding of the built-in forge's deliveries.

use patchwright_core::webhook::{
    Actor, DecodeError, Delivery, Headers, InboundComment, InboundEvent, InboundIssue, SignatureError, SigningKeys,
    WebhookDecoder, resolve_delivery_id, shorten_name,
};
use patchwright_domain::{IssueNumber, IssueRef, PlatformId};

use crate::{LOCAL, wire};

/// The header with the event: `issue` or `ping`.
pub const EVENT_HEADER: &str = "X-Patchwright-Event";
/// The header with the delivery's id.
pub const DELIVERY_HEADER: &str = "X-Patchwright-Delivery";
/// The header with `sha256=` and the HMAC of the raw body in hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "X-Patchwright-Signature-256";

/// Verifies and decodes the built-in forge's deliveries.
#[derive(Debug, Clone)]
pub struct LocalWebhook {
    keys: SigningKeys,
}

impl LocalWebhook {
    /// Creates a decoder with these secrets.
    pub const fn new(keys: SigningKeys) -> Self {
        Self { keys }
    }
}

impl WebhookDecoder for LocalWebhook {
    fn platform(&self) -> PlatformId {
        LOCAL
    }

    fn event_header(&self) -> &'static str {
        EVENT_HEADER
    }

    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError> {
        self.keys.verify(headers, SIGNATURE_HEADER, body)
    }

    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError> {
        let event_type = headers.get(EVENT_HEADER).ok_or(DecodeError::Header { name: EVENT_HEADER })?;
        let id = resolve_delivery_id(headers, DELIVERY_HEADER, event_type, body)?;
        let event = match event_type {
            "ping" => InboundEvent::Ping,
            "issue" => {
                let event =
                    serde_json::from_slice(body).map_err(|error| DecodeError::Body { detail: error.to_string() })?;
                issue_event(event)?
            }
            other => {
                return Err(DecodeError::UnknownEvent { event: shorten_name(other), platform: LOCAL });
            }
        };
        Ok(Delivery { id, event_type: event_type.to_owned(), event })
    }
}

fn issue_event(event: wire::Event) -> Result<InboundEvent, DecodeError> {
    let repo = event
        .repository
        .parse()
        .map_err(|source| DecodeError::Field { field: "repository", source: Box::new(source) })?;
    let actor = Actor { login: event.actor, is_bot: false };
    let issue = InboundIssue {
        opened_at: None,
        source: IssueRef::on_forge(
            LOCAL,
            repo,
            IssueNumber::parse(event.issue.number)
                .map_err(|source| DecodeError::Field { field: "issue.number", source: Box::new(source) })?,
        ),
        title: event.issue.title,
        body: event.issue.body,
        author: event.issue.author,
        labels: Vec::new(),
        is_pull_request: false,
        default_branch: None,
    };
    Ok(match event.action.as_str() {
        "commented" => {
            let comment = event.comment.ok_or_else(|| DecodeError::missing("comment"))?;
            InboundEvent::Commented {
                issue,
                comment: InboundComment { id: comment.id, body: comment.body, author: actor },
            }
        }
        "labeled" => InboundEvent::Labeled {
            issue,
            labels: vec![event.label.ok_or_else(|| DecodeError::missing("label"))?],
            actor,
            at: None,
        },
        "assigned" => InboundEvent::Assigned {
            issue,
            assignees: vec![event.assignee.ok_or_else(|| DecodeError::missing("assignee"))?],
            actor,
            at: None,
        },
        "opened" => InboundEvent::Opened { issue, actor },
        "reopened" => InboundEvent::Reopened { issue },
        other => InboundEvent::Other { reason: format!("the action {} starts no job", shorten_name(other)) },
    })
}
