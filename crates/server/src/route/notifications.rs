//! Where people are told of what happens.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patchwright_core::Secret;
use patchwright_core::notifications::Channels as _;
use patchwright_domain::notification::{Channel, ChannelKind, Notice, NotificationEvent};
use patchwright_domain::{ChannelId, IssueId, JobId};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::By;
use super::draft;
use super::error::ApiError;
use super::page::{Page, parsed};
use super::words;
use crate::audit::note;
use crate::auth::Caller;

/// The most channels that one person has.
const MOST: usize = 50;

/// A channel without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelView {
    id: String,
    name: String,
    kind: String,
    target: String,
    events: Vec<String>,
    /// Of this repository only.
    repository: Option<String>,
    /// Told of all issues, and not only of those that its person added.
    everyone: bool,
    created_at: String,
}

/// A channel to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelDraft {
    name: String,
    kind: String,
    target: String,
    events: Vec<String>,
    repository: Option<String>,
    #[serde(default)]
    everyone: bool,
    secret: Option<String>,
}

/// What to change of a channel. One that goes elsewhere is another one: make it anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelEdit {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(schema_with = words::notification_events_or_null)]
    events: Option<Vec<String>>,
    /// Another secret.
    #[schema(min_length = 1, max_length = 500, pattern = "^[!-~]+$")]
    secret: Option<String>,
}

/// A channel with the secret that was made for it, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeChannel {
    #[serde(flatten)]
    channel: ChannelView,
    /// What the receiver of a `webhook` checks its signature with (Standard Webhooks).
    secret: Option<String>,
}

/// Something that could not be told.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadNotice {
    id: String,
    channel_id: String,
    error: String,
}

fn view(channel: &Channel) -> ChannelView {
    ChannelView {
        id: channel.id.to_string(),
        name: channel.name.clone(),
        kind: channel.kind.as_str().to_owned(),
        target: channel.target.clone(),
        events: channel.events.iter().map(|event| event.as_str().to_owned()).collect(),
        repository: channel.repository.as_ref().map(ToString::to_string),
        everyone: channel.owner.is_none(),
        created_at: channel.created_at.to_string(),
    }
}

fn target(kind: ChannelKind, target: String) -> Result<String, ApiError> {
    let fits = match kind {
        ChannelKind::Email => draft::is_mailbox(&target) && target.parse::<lettre::Address>().is_ok(),
        _ => draft::is_page(&target) && url::Url::parse(&target).is_ok(),
    };
    if fits {
        return Ok(target);
    }
    let expected = if kind == ChannelKind::Email {
        "a mailbox (name@example.com)"
    } else {
        "an address (https://, a host's name, a path)"
    };
    Err(ApiError::bad("bad_target", format!("the target is not {expected}")))
}

fn name(text: &str) -> Result<String, ApiError> {
    let name = text.replace('\0', "\u{fffd}");
    if name.is_empty() || name.chars().count() > 100 {
        return Err(ApiError::bad("bad_name", "a name has 1 to 100 characters"));
    }
    Ok(name)
}

/// What a channel is signed with, masked wherever it may be told from now on.
fn secret(text: String, state: &State) -> Result<Secret, ApiError> {
    if text.is_empty() || text.len() > 500 || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(ApiError::bad("bad_secret", "a secret has 1 to 500 printable characters and no spaces"));
    }
    let secret = Secret::new(text);
    state.app.redactor.add(&secret);
    Ok(secret)
}

fn events(words: &[String]) -> Result<BTreeSet<NotificationEvent>, ApiError> {
    let most = NotificationEvent::ALL.len();
    if words.len() > most {
        return Err(ApiError::bad("too_many_events", format!("there are {most} events only")));
    }
    let parse = |word: &String| {
        NotificationEvent::parse(word).ok_or_else(|| ApiError::bad("bad_event", format!("`{word}` is no event")))
    };
    words.iter().map(parse).collect()
}

/// The channel of a path, when the caller may see it.
async fn find(caller: &Caller, id: &str, state: &State) -> Result<Channel, ApiError> {
    let id: ChannelId = id.parse().map_err(|_| ApiError::NotFound("channel"))?;
    let channel = state.app.vault.channel(id).await?;
    let theirs = |channel: &Channel| caller.is_admin() || (channel.owner.is_some() && channel.owner == caller.id);
    channel.filter(theirs).ok_or(ApiError::NotFound("channel"))
}

#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications",
    responses((status = 200, body = Page<ChannelView>, description = "The caller's channels; all for an administrator"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let of = if caller.is_admin() { None } else { caller.id };
    if of.is_none() && !caller.is_admin() {
        return Ok(HttpResponse::Ok().json(Page::<ChannelView>::all([])));
    }
    let channels = state.app.vault.channels(of).await?;
    Ok(HttpResponse::Ok().json(Page::all(channels.iter().map(view))))
}

#[utoipa::path(post, path = "/api/v1/notifications", tag = "notifications", request_body = ChannelDraft,
    responses((status = 201, body = MadeChannel), (status = 400, description = "Name, kind, target, event or repository cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "The token may only read, or all issues were asked for"),
        (status = 409, description = "The caller has too many")))]
pub(crate) async fn add(
    By(caller, body): By<Caller, ChannelDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    if body.everyone {
        caller.need_admin()?;
    }
    let owner = if body.everyone { None } else { caller.id };
    if owner.is_none() && !body.everyone {
        return Err(ApiError::forbidden("the operator has no issues of its own; ask with `everyone`"));
    }
    let kind = ChannelKind::parse(&body.kind).ok_or_else(|| ApiError::bad("bad_kind", "there is no such kind"))?;
    let channel = Channel {
        id: ChannelId::from_uuid(uuid::Uuid::now_v7()),
        name: name(&body.name)?,
        kind,
        target: target(kind, body.target)?,
        events: events(&body.events)?,
        repository: parsed(body.repository.as_ref(), "bad_repository")?,
        owner,
        created_at: state.app.engine.now(),
    };
    if state.app.vault.channels(owner).await?.len() >= MOST && owner.is_some() {
        return Err(ApiError::conflict("too_many", format!("a person has at most {MOST} channels")));
    }
    let made = (kind == ChannelKind::Webhook && body.secret.is_none()).then(fresh_webhook_secret);
    let secret = body.secret.or_else(|| made.clone()).map(|text| secret(text, &state)).transpose()?;
    state.app.vault.add_channel(&channel, secret.as_ref()).await?;
    note(&state, &caller.login, "notification.added", &channel.id.to_string(), kind.as_str()).await?;
    let made = MadeChannel { channel: view(&channel), secret: made };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(made))
}

fn fresh_webhook_secret() -> String {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    format!("whsec_{}", STANDARD.encode(bytes))
}

#[utoipa::path(get, path = "/api/v1/notifications/{id}", tag = "notifications",
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 200, body = ChannelView), (status = 401, description = "Nobody asks"),
        (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn show(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(view(&find(&caller, &id, &state).await?)))
}

#[utoipa::path(patch, path = "/api/v1/notifications/{id}", tag = "notifications", request_body = ChannelEdit,
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 200, body = ChannelView), (status = 400, description = "Name, event or secret cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "The token may only read"),
        (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn change(
    id: web::Path<String>,
    By(caller, body): By<Caller, ChannelEdit>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    let mut channel = find(&caller, &id, &state).await?;
    if let Some(text) = &body.name {
        channel.name = name(text)?;
    }
    if let Some(words) = &body.events {
        channel.events = events(words)?;
    }
    let secret = body.secret.map(|text| secret(text, &state)).transpose()?;
    if !state.app.vault.change_channel(&channel, secret.as_ref()).await? {
        return Err(ApiError::NotFound("channel"));
    }
    let what = if secret.is_some() { "another secret" } else { "" };
    note(&state, &caller.login, "notification.changed", &channel.id.to_string(), what).await?;
    Ok(HttpResponse::Ok().json(view(&channel)))
}

#[utoipa::path(delete, path = "/api/v1/notifications/{id}", tag = "notifications",
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 204, description = "It is gone, with what was on its way there"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "The token may only read"), (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn remove(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    let channel = find(&caller, &id, &state).await?;
    state.app.vault.remove_channel(channel.id).await?;
    note(&state, &caller.login, "notification.removed", &channel.id.to_string(), "").await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/notifications/{id}/test", tag = "notifications",
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 202, description = "A trial is on its way"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "The token may only read"), (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn trial(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    let channel = find(&caller, &id, &state).await?;
    let notice = Notice {
        event: NotificationEvent::JobSucceeded,
        at: state.app.engine.now(),
        repository: "acme/trial".to_owned(),
        issue_id: IssueId::from_uuid(uuid::Uuid::nil()),
        issue_number: 0,
        issue_title: "A trial of this channel".to_owned(),
        issue_url: String::new(),
        owner: caller.id,
        job_id: JobId::from_uuid(uuid::Uuid::nil()),
        verdict: None,
        reason: None,
        pull_request_url: None,
    };
    state.app.vault.try_channel(channel.id, &notice).await?;
    state.app.engine.notice();
    Ok(HttpResponse::Accepted().json(serde_json::json!({"status": "accepted"})))
}

#[utoipa::path(get, path = "/api/v1/notifications/failed", tag = "notifications",
    responses((status = 200, body = Page<DeadNotice>, description = "The last hundred that were given up"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks")))]
pub(crate) async fn failed(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let dead = state.app.vault.dead_notices(100).await?;
    let view = |(id, channel, error): (patchwright_domain::NoticeId, ChannelId, String)| DeadNotice {
        id: id.to_string(),
        channel_id: channel.to_string(),
        error,
    };
    Ok(HttpResponse::Ok().json(Page::all(dead.into_iter().map(view))))
}
