//! Notification channels.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_domain::notification::{Channel, ChannelKind, NotificationEvent};
use patchwright_management::{ChannelUpdate as Update, NewChannel as New};
use patchwright_protocol::Page;
use patchwright_protocol::channels::{ChannelUpdate, ChannelView, CreatedChannel, FailedNotification, NewChannel};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id, parse_word};
use crate::page;

/// How many undelivered notices are listed.
const MAX_FAILED: u16 = 100;

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

fn events(words: &[String]) -> Result<BTreeSet<NotificationEvent>, ApiError> {
    let all = NotificationEvent::ALL.len();
    if words.len() > all {
        return Err(ApiError::invalid("too_many_events", format!("there are only {all} events")));
    }
    let parse =
        |word: &String| parse_word(word, NotificationEvent::parse, "bad_event", &format!("`{word}` is not an event"));
    words.iter().map(parse).collect()
}

#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications",
    responses((status = 200, body = Page<ChannelView>, description = "The caller's channels; all for an administrator")))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let channels = state.management.channels().list(&principal).await?;
    Ok(HttpResponse::Ok().json(Page::all(channels.iter().map(view))))
}

#[utoipa::path(post, path = "/api/v1/notifications", tag = "notifications", request_body = NewChannel,
    responses((status = 201, body = CreatedChannel), (status = 400, description = "Invalid name, kind, target, event or repository"),
        (status = 403, description = "The caller's token may only read, or `everyone` requires the administrator role"),
        (status = 409, description = "The user has too many channels")))]
pub(crate) async fn create(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewChannel>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    let new = New {
        name: body.name,
        kind: parse_word(&body.kind, ChannelKind::parse, "bad_kind", "there is no such kind")?,
        target: body.target,
        events: events(&body.events)?,
        repository: page::parse(body.repository.as_ref(), "bad_repository")?,
        everyone: body.everyone,
        secret: body.secret.map(Secret::new),
    };
    let created = state.management.channels().create(&principal, new).await?;
    let secret = created.secret.map(|secret| secret.expose().to_owned());
    let view = CreatedChannel { channel: view(&created.channel), secret };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(view))
}

#[utoipa::path(get, path = "/api/v1/notifications/{id}", tag = "notifications",
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 200, body = ChannelView), (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let channel = state.management.channels().get(&principal, parse_id(&id, "channel")?).await?;
    Ok(HttpResponse::Ok().json(view(&channel)))
}

#[utoipa::path(patch, path = "/api/v1/notifications/{id}", tag = "notifications", request_body = ChannelUpdate,
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 200, body = ChannelView), (status = 400, description = "Invalid name, event or secret"),
        (status = 403, description = "The caller's token may only read"), (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn update(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, ChannelUpdate>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    let id = parse_id(&id, "channel")?;
    let update = Update {
        name: body.name,
        events: body.events.as_deref().map(events).transpose()?,
        secret: body.secret.map(Secret::new),
    };
    let channel = state.management.channels().update(&principal, id, update).await?;
    Ok(HttpResponse::Ok().json(view(&channel)))
}

#[utoipa::path(delete, path = "/api/v1/notifications/{id}", tag = "notifications",
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 204, description = "Deleted, with the notices that were due there"),
        (status = 403, description = "The caller's token may only read"), (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn delete(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    state.management.channels().delete(&principal, parse_id(&id, "channel")?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/notifications/{id}/test", tag = "notifications",
    params(("id" = uuid::Uuid, Path, description = "The channel")),
    responses((status = 202, description = "A test notice is due"), (status = 403, description = "The caller's token may only read"),
        (status = 404, description = "The caller has no such channel")))]
pub(crate) async fn send_test(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    state.management.channels().send_test(&principal, parse_id(&id, "channel")?).await?;
    Ok(HttpResponse::Accepted().json(serde_json::json!({"status": "accepted"})))
}

#[utoipa::path(get, path = "/api/v1/notifications/failed", tag = "notifications",
    responses((status = 200, body = Page<FailedNotification>, description = "The last hundred that were given up"),
        (status = 403, description = "Administrator role required")))]
pub(crate) async fn failed(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let failed = state.management.channels().failed(&principal, MAX_FAILED).await?;
    let views = failed.into_iter().map(|(id, channel, error)| FailedNotification {
        id: id.to_string(),
        channel_id: channel.to_string(),
        error,
    });
    Ok(HttpResponse::Ok().json(Page::all(views)))
}
