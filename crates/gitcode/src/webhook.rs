//! The door: GitCode's deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use patchwright_core::Secret;
use patchwright_core::webhook::{
    Actor, DecodeError, Delivery, Headers, InboundComment, InboundEvent, InboundIssue, SignatureError, SigningKeys,
    Text, WebhookDecoder, delivery_id, shortened,
};
use patchwright_domain::{IssueRef, PlatformId};

use crate::convert::{default_branch, number, repository};
use crate::{GITCODE, event};

const EVENT: &str = "X-GitCode-Event";
const DELIVERY: &str = "X-GitCode-Delivery";
/// The hook's password in clear, or an HMAC (`seeds/002 §3.1`).
const TOKEN: &str = "X-GitCode-Token";
/// Headers that carry an HMAC and nothing else, the documented one first. The others are the candidates of
/// `seeds/002 §3.1`.
const SIGNATURES: [&str; 5] =
    ["X-GitCode-Signature-256", "X-GitCode-Signature", "X-GitCode-Sign", "X-Signature", "X-GitCode-Webhook-Signature"];

/// The secrets of GitCode's hooks.
#[derive(Debug, Clone)]
pub struct GitcodeSecrets {
    secrets: Vec<Secret>,
    keys: SigningKeys,
    passwords: bool,
}

impl GitcodeSecrets {
    /// Several secrets at once, so that one can be replaced without a gap. `passwords` says whether the secret itself is
    /// taken in `X-GitCode-Token`, as hooks send it whose encryption type is "password": it then travels with every
    /// delivery, so a signature key is better.
    pub fn new(secrets: &[Secret], passwords: bool) -> Self {
        let secrets: Vec<Secret> = secrets.iter().filter(|secret| !secret.is_empty()).cloned().collect();
        Self { keys: SigningKeys::new(&secrets), secrets, passwords }
    }

    fn is_password(&self, value: &str) -> bool {
        // Every one is compared, so that the time does not tell which one was near.
        self.secrets.iter().fold(false, |found, secret| secret.matches(value) | found)
    }
}

/// Our own account on GitCode. Issue hooks name assignees by a number that the API does not know, so it is configured,
/// or learnt from the first hook about something that we did ourselves.
#[derive(Debug, Clone)]
pub struct GitcodeBot {
    login: String,
    id: Arc<AtomicI64>,
}

const UNKNOWN: i64 = i64::MIN;

impl GitcodeBot {
    /// The account's login, and its number in hooks if that is known.
    pub fn new(login: impl Into<String>, id: Option<i64>) -> Self {
        Self { login: login.into(), id: Arc::new(AtomicI64::new(id.unwrap_or(UNKNOWN))) }
    }

    fn learn(&self, user: Option<&event::User<'_>>) {
        let Some(user) = user else { return };
        let is_us = user.username.as_ref().is_some_and(|name| name.as_str().eq_ignore_ascii_case(&self.login));
        if let Some(id) = user.id.filter(|_| is_us && !self.login.is_empty()) {
            self.id.store(id, Ordering::Relaxed);
        }
    }

    fn is(&self, id: i64) -> bool {
        id != UNKNOWN && self.id.load(Ordering::Relaxed) == id
    }
}

/// Verifies and decodes GitCode's deliveries.
#[derive(Debug, Clone)]
pub struct GitcodeWebhook {
    secrets: GitcodeSecrets,
    bot: GitcodeBot,
}

impl GitcodeWebhook {
    /// A door with these secrets.
    pub const fn new(secrets: GitcodeSecrets, bot: GitcodeBot) -> Self {
        Self { secrets, bot }
    }
}

impl WebhookDecoder for GitcodeWebhook {
    fn platform(&self) -> PlatformId {
        GITCODE
    }

    fn event_header(&self) -> &'static str {
        EVENT
    }

    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError> {
        let header = SIGNATURES.into_iter().chain([TOKEN]).find(|name| headers.get(name).is_some());
        let header = header.ok_or(SignatureError::Missing)?;
        if headers.is_repeated(header) {
            return Err(SignatureError::Wrong);
        }
        let value = headers.get(header).ok_or(SignatureError::Missing)?;
        let digits = value.strip_prefix("sha256=").unwrap_or(value);
        let mode = if self.secrets.keys.made(digits, body) {
            "signature"
        } else if header == TOKEN && self.secrets.passwords && self.secrets.is_password(value) {
            "password"
        } else {
            return Err(SignatureError::Wrong);
        };
        // A password is the weaker way: who runs the server should see that it is in use.
        if mode == "password" {
            tracing::info!(platform = %GITCODE, header, mode, "a delivery was authenticated");
        } else {
            tracing::debug!(platform = %GITCODE, header, mode, "a delivery was authenticated");
        }
        Ok(())
    }

    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError> {
        let event_type = headers.get(EVENT).ok_or(DecodeError::Header { name: EVENT })?;
        let known = ["Issue Hook", "Note Hook", "Merge Request Hook", "Push Hook", "Tag Push Hook"];
        if !known.contains(&event_type) {
            return Err(DecodeError::UnknownEvent { event: shortened(event_type), platform: GITCODE });
        }
        let id = delivery_id(headers, DELIVERY, event_type, body)?;
        // Pushes have another shape, and none of it is needed.
        let event = if event_type.contains("Push") {
            serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| unreadable(&error))?;
            other(format!("the event {event_type} starts nothing"))
        } else {
            self.event(event_type, serde_json::from_slice(body).map_err(|error| unreadable(&error))?)?
        };
        Ok(Delivery { id, event_type: event_type.to_owned(), event })
    }
}

impl GitcodeWebhook {
    fn event(&self, event_type: &str, hook: event::Hook<'_>) -> Result<InboundEvent, DecodeError> {
        self.bot.learn(hook.user.as_ref());
        tracing::debug!(uuid = hook.uuid.as_ref().map(Text::as_str), "a hook was read");
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
        // The platform has spelt its actions in two ways (GitLab's and GitHub's).
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
                    None => Ok(other("an issue was edited, which starts nothing".to_owned())),
                }
            }
            _ => Ok(other(format!("the event Issue Hook with action {} starts nothing", shortened(&action)))),
        }
    }

    /// Logins where the hook tells them; our own where it tells our number.
    fn assignees(&self, hook: &event::Hook<'_>, ids: &[i64]) -> Vec<String> {
        let mut logins: Vec<String> = hook.assignees.iter().filter_map(|user| login(Some(user))).collect();
        let told = hook.assignees.iter().filter_map(|user| user.id);
        if ids.iter().copied().chain(told).any(|id| self.bot.is(id)) {
            logins.push(self.bot.login.clone());
        }
        logins
    }
}

fn note(hook: event::Hook<'_>) -> Result<InboundEvent, DecodeError> {
    let attributes = hook.object_attributes.ok_or_else(|| DecodeError::missing("object_attributes"))?;
    if attributes.system == Some(true) {
        return Ok(other("the note is the platform's own".to_owned()));
    }
    let body = attributes.note.ok_or_else(|| DecodeError::missing("object_attributes.note"))?.into_string();
    match attributes.noteable_type.as_ref().map(Text::as_str) {
        Some("MergeRequest") => return Ok(other("comments on pull requests start nothing".to_owned())),
        Some("Issue") | None => {}
        Some(kind) => return Ok(other(format!("a note on a {} starts nothing", shortened(kind)))),
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
        return Ok(other(format!("the event Merge Request Hook with action {} starts nothing", shortened(&action))));
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
    // GitCode does not say which accounts are programs.
    login(user).map(|login| Actor { is_bot: login.ends_with("[bot]"), login })
}

fn unreadable(error: &serde_json::Error) -> DecodeError {
    DecodeError::Body { detail: error.to_string() }
}

const fn other(reason: String) -> InboundEvent {
    InboundEvent::Other { reason }
}

#[cfg(test)]
mod tests;
