//! The door for deliveries. The order of the checks is that of `spec/http-api`: size, signature, kind of body, content.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use patchwright_core::store::StoreError;
use patchwright_core::webhook::Headers;
use patchwright_domain::{JobId, PlatformId};
use patchwright_engine::{Answer, IntakeError, Verified};
use patchwright_gitcode::GITCODE;
use patchwright_github::GITHUB;
use patchwright_local::LOCAL;
use serde::Serialize;

use super::State;
use crate::door::Inside;

use super::answer::{error, internal, unavailable};

/// What only Jira's deliveries carry.
const JIRA_HEADER: &str = "x-atlassian-webhook-identifier";
/// How long a body may take to come. actix has no such limit of its own.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn any(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let found: Vec<PlatformId> = state
        .app
        .engine
        .webhooks()
        .filter(|door| request.headers().contains_key(door.event_header()))
        .map(|door| door.platform())
        .collect();
    // Jira names no event in a header, and has no other sign of its own.
    if found.is_empty() && request.headers().contains_key(JIRA_HEADER) {
        return super::jira::webhook::receive(request, payload, state).await;
    }
    let platform = match found.as_slice() {
        [] => PlatformId::new(state.config.platform.clone()),
        [one] => one.clone(),
        _ => return error(StatusCode::BAD_REQUEST, "the delivery carries the event headers of several platforms"),
    };
    receive(&request, payload, &state, platform).await
}

pub(super) async fn github(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    receive(&request, payload, &state, GITHUB).await
}

pub(super) async fn gitcode(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    receive(&request, payload, &state, GITCODE).await
}

pub(super) async fn local(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    receive(&request, payload, &state, LOCAL).await
}

/// Lets a delivery in when there is room, and reads its body. The room is taken as long as the second one is kept.
pub(super) async fn come_in(
    request: &HttpRequest,
    payload: web::Payload,
    state: &State,
) -> Result<(Vec<u8>, Inside), HttpResponse> {
    let Some(mut inside) = state.door.enter() else {
        return Err(unavailable("too many deliveries come in at once; send it again"));
    };
    let length = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let reading = read_body(payload, length.unwrap_or(0), state.config.door.max_body_bytes, &mut inside);
    match tokio::time::timeout(BODY_DEADLINE, reading).await {
        Ok(Ok(body)) => Ok((body, inside)),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

async fn receive(request: &HttpRequest, payload: web::Payload, state: &State, platform: PlatformId) -> HttpResponse {
    let (body, _inside) = match come_in(request, payload, state).await {
        Ok(come) => come,
        Err(refusal) => return refusal,
    };
    let headers = RequestHeaders(request.headers());
    let (engine, known) = (&state.app.engine, platform.clone());
    let verified = if state.config.test_mode {
        Verified::trust_unsigned(platform, &headers, &body)
    } else {
        match engine.verify(&platform, &headers, &body) {
            Ok(verified) => verified,
            Err(refusal) => return refuse(&refusal),
        }
    };
    if let Some(refusal) = wrong_kind(request.headers(), &body) {
        return refusal;
    }
    let event = state.app.engine.webhook(&known).and_then(|door| request.headers().get(door.event_header()));
    state.seen.note_delivery(known.as_str(), event.and_then(|value| value.to_str().ok()).unwrap_or_default());
    match engine.receive(verified).await {
        Ok(answer) => told(answer),
        Err(refusal) => refuse(&refusal),
    }
}

/// What a body may say about its length before it has come: more is taken as it comes.
const TRUSTED_LENGTH: usize = 64 * 1024;

async fn read_body(
    mut payload: web::Payload,
    length: usize,
    limit: usize,
    inside: &mut Inside,
) -> Result<Vec<u8>, HttpResponse> {
    let mut body = Vec::with_capacity(length.min(TRUSTED_LENGTH));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| error(StatusCode::BAD_REQUEST, "the body was cut off"))?;
        if body.len() + chunk.len() > limit {
            return Err(error(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {limit} bytes")));
        }
        if !inside.hold(chunk.len()) {
            return Err(unavailable("too much comes in at once; send it again"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(super) fn wrong_kind(headers: &HeaderMap, body: &[u8]) -> Option<HttpResponse> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_lowercase();
    let content_type = text("content-type");
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next() == Some("application/json");
    let is_utf8 = parts.all(|part| part.strip_prefix("charset=").is_none_or(|set| set.trim_matches('"') == "utf-8"));
    let encoding = text("content-encoding");
    let plain = encoding.is_empty() || encoding == "identity";
    let reason = if !is_json {
        "the content type must be application/json; choose it in the platform's webhook settings"
    } else if !is_utf8 || std::str::from_utf8(body).is_err() {
        "the body must be UTF-8"
    } else if !plain {
        "the body must not be compressed"
    } else {
        return None;
    };
    Some(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))
}

#[derive(Serialize)]
struct Told<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

fn told(answer: Answer) -> HttpResponse {
    let plain = Told { status: "accepted", job_id: None, command: None, reason: None, duplicate: false };
    match answer {
        Answer::Accepted { job_id, duplicate } => {
            let status = if duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
            HttpResponse::build(status).json(Told { job_id: Some(job_id), duplicate, ..plain })
        }
        Answer::Answered { command, job_id } => {
            HttpResponse::Accepted().json(Told { job_id, command: Some(command), ..plain })
        }
        Answer::Ignored { reason, job_id } => {
            HttpResponse::Ok().json(Told { status: "ignored", job_id, reason: Some(&reason), ..plain })
        }
        Answer::Forbidden { reason } => {
            HttpResponse::Forbidden().json(Told { status: "forbidden", reason: Some(&reason), ..plain })
        }
    }
}

pub(super) fn refuse(refusal: &IntakeError) -> HttpResponse {
    match refusal {
        IntakeError::Signature(reason) => error(StatusCode::UNAUTHORIZED, &reason.to_string()),
        IntakeError::Decode(reason) => error(StatusCode::BAD_REQUEST, &reason.to_string()),
        IntakeError::UnknownPlatform(_) => error(StatusCode::NOT_FOUND, &refusal.to_string()),
        IntakeError::Store(StoreError::Unavailable { .. } | StoreError::Stale { .. }) => {
            tracing::error!(error = %refusal, "a delivery could not be written");
            unavailable("the delivery cannot be written now; send it again")
        }
        IntakeError::Store(error) => internal(error),
    }
}

/// The request's headers, as the engine asks for them.
pub(super) struct RequestHeaders<'a>(pub(super) &'a HeaderMap);

impl Headers for RequestHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.0.get_all(name).count() > 1
    }
}
