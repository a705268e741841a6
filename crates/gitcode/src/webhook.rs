//! Verification and decoding of GitCode's deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use patchwright_core::Secret;
use patchwright_core::webhook::{
    Actor, DecodeError, Delivery, Headers, InboundComment, InboundEvent, InboundIssue, SignatureError, SigningKeys,
    Text, WebhookDecoder, resolve_delivery_id, shorten_name,
};
use patchwright_domain::{IssueRef, PlatformId};

use crate::inbound::{default_branch, number, repository};
use crate::{GITCODE, event};

const EVENT_HEADER: &str = "X-GitCode-Event";
const DELIVERY_HEADER: &str = "X-GitCode-Delivery";
/// Carries the webhook's password in clear text, or an HMAC (`docs/requirements.md#r192`).
const TOKEN_HEADER: &str = "X-GitCode-Token";
/// Headers that carry an HMAC only: the documented one, and the other candidates of `docs/requirements.md#r192`.
const SIGNATURE_HEADERS: [&str; 5] =
    ["X-GitCode-Signature-256", "X-GitCode-Signature", "X-GitCode-Sign", "X-Signature", "X-GitCode-Webhook-Signature"];

/// The secrets that authenticate GitCode's deliveries.
#[derive(Debug, Clone)]
pub struct GitcodeSecrets {
    secrets: Vec<Secret>,
    keys: SigningKeys,
    passwords: bool,
}

impl GitcodeSecrets {
    /// Creates a set of secrets. Several are accepted at once, so that a secret can be rotated without losing deliveries.
    ///
    /// `passwords` allows the secret itself in `X-GitCode-Token`, which webhooks with the encryption type "password" send.
    /// The secret then travels with every delivery; the type "signature key" is safer.
    pub fn new(secrets: &[Secret], passwords: bool) -> Self {
        let secrets: Vec<Secret> = secrets.iter().filter(|secret| !secret.is_empty()).cloned().collect();
        Self { keys: SigningKeys::new(&secrets), secrets, passwords }
    }

    fn is_password(&self, value: &str) -> bool {
        // All are compared, so that the time does not reveal which one matched.
        self.secrets.iter().fold(false, |found, secret| secret.matches(value) | found)
    }
}

/// The server's own account on GitCode.
///
/// Issue events name assignees by a number that the API does not report. The number is configured, or taken from the first
/// event that the own account caused.
#[derive(Debug, Clone)]
pub struct GitcodeBot {
    login: String,
    id: Arc<AtomicI64>,
}

const UNKNOWN_ID: i64 = i64::MIN;

impl GitcodeBot {
    /// Creates the account from its login, and its number in webhooks if that is known.
    pub fn new(login: impl Into<String>, id: Option<i64>) -> Self {
        Self { login: login.into(), id: Arc::new(AtomicI64::new(id.unwrap_or(UNKNOWN_ID))) }
    }

    fn record_id(&self, user: Option<&event::User<'_>>) {
        let Some(user) = user else { return };
        let is_own = user.username.as_ref().is_some_and(|name| name.as_str().eq_ignore_ascii_case(&self.login));
        if let Some(id) = user.id.filter(|_| is_own && !self.login.is_empty()) {
            self.id.store(id, Ordering::Relaxed);
        }
    }

    fn has_id(&self, id: i64) -> bool {
        id != UNKNOWN_ID && self.id.load(Ordering::Relaxed) == id
    }
}

/// Verifies and decodes GitCode's deliveries.
#[derive(Debug, Clone)]
pub struct GitcodeWebhook {
    secrets: GitcodeSecrets,
    bot: GitcodeBot,
}

impl GitcodeWebhook {
    /// Creates a decoder with these secrets and this account.
    pub const fn new(secrets: GitcodeSecrets, bot: GitcodeBot) -> Self {
        Self { secrets, bot }
    }
}

impl WebhookDecoder for GitcodeWebhook {
    fn platform(&self) -> PlatformId {
        GITCODE
    }

    fn event_header(&self) -> &'static str {
        EVENT_HEADER
    }

    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError> {
        let header = SIGNATURE_HEADERS.into_iter().chain([TOKEN_HEADER]).find(|name| headers.get(name).is_some());
        let header = header.ok_or(SignatureError::Missing)?;
        if headers.is_repeated(header) {
            return Err(SignatureError::Wrong);
        }
        let value = headers.get(header).ok_or(SignatureError::Missing)?;
        let digits = value.strip_prefix("sha256=").unwrap_or(value);
        if self.secrets.keys.matches(digits, body) {
            tracing::debug!(platform = %GITCODE, header, mode = "signature", "authenticated a delivery");
            return Ok(());
        }
        if header == TOKEN_HEADER && self.secrets.passwords && self.secrets.is_password(value) {
            // At info, because operators should notice the weaker mode.
            tracing::info!(platform = %GITCODE, header, mode = "password", "authenticated a delivery");
            return Ok(());
        }
        Err(SignatureError::Wrong)
    }

    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError> {
        let event_type = headers.get(EVENT_HEADER).ok_or(DecodeError::Header { name: EVENT_HEADER })?;
        let known = ["Issue Hook", "Note Hook", "Merge Request Hook", "Push Hook", "Tag Push Hook"];
        if !known.contains(&event_type) {
            return Err(DecodeError::UnknownEvent { event: shorten_name(event_type), platform: GITCODE });
        }
        let id = resolve_delivery_id(headers, DELIVERY_HEADER, event_type, body)?;
        // Push events have another structure, and none of their fields are needed.
        let event = if event_type.contains("Push") {
            serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| invalid_body(&error))?;
            ignored(format!("the event {event_type} starts no job"))
        } else {
            self.event(event_type, serde_json::from_slice(body).map_err(|error| invalid_body(&error))?)?
        };
        Ok(Delivery { id, event_type: event_type.to_owned(), event })
    }
}

impl GitcodeWebhook {
    fn event(&self, event_type: &str, hook: event::Hook<'_>) -> Result<InboundEvent, DecodeError> {
        self.bot.record_id(hook.user.as_ref());
        tracing::debug!(uuid = hook.uuid.as_ref().map(Text::as_str), event_type, "decoded a delivery");
        match event_type {
            "Note Hook" => note(hook),
            "Merge Request Hook" => merge_request(hook),
            _ => self.issue(hook),
        }
    }

    fn issue(&self, mut hook: event::Hook<'_>) -> Result<InboundEvent, DecodeError> {
        let attributes = hook.object_attributes.take().ok_or_else(|| DecodeError::missing("object_attributes"))?;
        let action = attributes.action.as_ref().map_or("", Text::as_str).to_owned();
        let project = hook.project.as_ref().ok_or_else(|| DecodeError::missing("project"))?;
        let ids: Vec<i64> = attributes.assignee_ids.iter().copied().chain(attributes.assignee_id).collect();
        let author = hook.user.as_ref().or(attributes.author.as_ref());
        let at = attributes.updated_at.map(Text::into_string);
        let actor = actor(author).ok_or_else(|| DecodeError::missing("user.username"))?;
        let issue = InboundIssue {
            source: IssueRef::on_forge(
                GITCODE,
                repository(project)?,
                number(attributes.iid.as_ref(), "object_attributes.iid")?,
            ),
            default_branch: default_branch(project)?,
            title: attributes
                .title
                .map(Text::into_string)
                .ok_or_else(|| DecodeError::missing("object_attributes.title"))?,
            body: attributes.description.map(Text::into_string).unwrap_or_default(),
            author: login(attributes.author.as_ref()).unwrap_or_default(),
            labels: hook.labels.iter().map(|label| label.title.as_str().to_owned()).collect(),
            is_pull_request: false,
        };
        // Installations spell the actions like GitLab or like GitHub.
        match action.as_str() {
            "open" | "opened" | "create" | "created" => Ok(InboundEvent::Opened { issue, actor }),
            "assign" | "assigned" => {
                Ok(InboundEvent::Assigned { issue, assignees: self.assignees(&hook, &ids), actor, at })
            }
            "label" | "labeled" => Ok(InboundEvent::Labeled { issue, labels: labels(hook.labels), actor, at }),
            "update" | "updated" => {
                let changes = &hook.changes;
                let reassigned =
                    changes.assignee_ids.is_some() || changes.assignee_id.is_some() || changes.assignees.is_some();
                if reassigned {
                    return Ok(InboundEvent::Assigned { issue, assignees: self.assignees(&hook, &ids), actor, at });
                }
                match hook.changes.labels {
                    Some(change) => {
                        let before = labels(change.previous.unwrap_or_default());
                        let mut added = labels(change.current.unwrap_or_default());
                        added.retain(|label| !before.contains(label));
                        Ok(InboundEvent::Labeled { issue, labels: added, actor, at })
                    }
                    None => Ok(ignored("an edited issue starts no job".to_owned())),
                }
            }
            _ => Ok(ignored(format!("the event Issue Hook with action {} starts no job", shorten_name(&action)))),
        }
    }

    /// Returns the logins in the event, and the own login if the event contains the own number.
    fn assignees(&self, hook: &event::Hook<'_>, ids: &[i64]) -> Vec<String> {
        let mut logins: Vec<String> = hook.assignees.iter().filter_map(|user| login(Some(user))).collect();
        let user_ids = hook.assignees.iter().filter_map(|user| user.id);
        if ids.iter().copied().chain(user_ids).any(|id| self.bot.has_id(id)) {
            logins.push(self.bot.login.clone());
        }
        logins
    }
}

fn note(hook: event::Hook<'_>) -> Result<InboundEvent, DecodeError> {
    let attributes = hook.object_attributes.ok_or_else(|| DecodeError::missing("object_attributes"))?;
    if attributes.system == Some(true) {
        return Ok(ignored("the note is by the platform itself".to_owned()));
    }
    let body = attributes.note.ok_or_else(|| DecodeError::missing("object_attributes.note"))?.into_string();
    match attributes.noteable_type.as_ref().map(Text::as_str) {
        Some("MergeRequest") => return Ok(ignored("comments on pull requests start no job".to_owned())),
        Some("Issue") | None => {}
        Some(kind) => return Ok(ignored(format!("a note on a {} starts no job", shorten_name(kind)))),
    }
    let author = actor(hook.user.as_ref()).ok_or_else(|| DecodeError::missing("user.username"))?;
    let project = hook.project.as_ref().ok_or_else(|| DecodeError::missing("project"))?;
    let issue = hook.issue.ok_or_else(|| DecodeError::missing("issue"))?;
    Ok(InboundEvent::Commented {
        issue: InboundIssue {
            source: IssueRef::on_forge(GITCODE, repository(project)?, number(Some(&issue.iid), "issue.iid")?),
            default_branch: default_branch(project)?,
            title: issue.title.ok_or_else(|| DecodeError::missing("issue.title"))?.into_string(),
            body: issue.description.map(Text::into_string).unwrap_or_default(),
            author: login(issue.author.as_ref()).unwrap_or_default(),
            labels: Vec::new(),
            is_pull_request: false,
        },
        comment: InboundComment { id: attributes.id.map(|id| id.to_string()).unwrap_or_default(), body, author },
    })
}

fn merge_request(hook: event::Hook<'_>) -> Result<InboundEvent, DecodeError> {
    let attributes = hook.object_attributes.ok_or_else(|| DecodeError::missing("object_attributes"))?;
    let text = |text: &Option<Text<'_>>| text.as_ref().map_or("", Text::as_str).to_owned();
    let (action, state) = (text(&attributes.action), text(&attributes.state));
    if !matches!(action.as_str(), "merge" | "merged" | "close" | "closed") {
        return Ok(ignored(format!(
            "the event Merge Request Hook with action {} starts no job",
            shorten_name(&action)
        )));
    }
    let project = hook.project.as_ref().ok_or_else(|| DecodeError::missing("project"))?;
    Ok(InboundEvent::PullRequestClosed {
        repo: repository(project)?,
        number: number(attributes.iid.as_ref(), "object_attributes.iid")?.api,
        head: attributes
            .source_branch
            .ok_or_else(|| DecodeError::missing("object_attributes.source_branch"))?
            .into_string(),
        merged: action.starts_with("merge") || state == "merged",
    })
}

fn labels(labels: Vec<event::Label<'_>>) -> Vec<String> {
    labels.into_iter().map(|label| label.title.into_string()).collect()
}

fn login(user: Option<&event::User<'_>>) -> Option<String> {
    user?.username.as_ref().map(|name| name.as_str().to_owned())
}

fn actor(user: Option<&event::User<'_>>) -> Option<Actor> {
    // GitCode does not mark the accounts of programs.
    login(user).map(|login| Actor { is_bot: login.ends_with("[bot]"), login })
}

fn invalid_body(error: &serde_json::Error) -> DecodeError {
    DecodeError::Body { detail: error.to_string() }
}

const fn ignored(reason: String) -> InboundEvent {
    InboundEvent::Other { reason }
}

#[cfg(test)]
mod tests;
