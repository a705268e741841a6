//! The webhook endpoints. The checks come in the order of `docs/api.md`: size, signature, media type, content.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use futures_util::StreamExt as _;
use patchwright_core::meter::MeterEvent;
use patchwright_core::store::StoreError;
use patchwright_core::webhook::Headers;
use patchwright_domain::{JobId, PlatformId};
use patchwright_engine::{IntakeError, IntakeOutcome, Verified};
use serde::Serialize;

use crate::State;
use crate::admission::AdmissionPermit;
use crate::limits::{BODY_TIMEOUT, LateBody};
use crate::response::{gateway_error, internal, unavailable};

/// A header that only Jira's deliveries carry.
const JIRA_HEADER: &str = "x-atlassian-webhook-identifier";
/// The largest buffer that is allocated because of a `content-length` alone, in bytes.
const MAX_INITIAL_CAPACITY: usize = 64 * 1024;

/// `/api/webhook`: the platform is recognized by its event header.
pub(crate) async fn receive_any(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let found: Vec<PlatformId> = state
        .management
        .engine()
        .webhooks()
        .filter(|decoder| request.headers().contains_key(decoder.event_header()))
        .map(|decoder| decoder.platform())
        .collect();
    // Jira names no event in a header, and has no other header of its own.
    if found.is_empty() && request.headers().contains_key(JIRA_HEADER) {
        return crate::jira_webhook::receive(request, payload, state).await;
    }
    let platform = match found.as_slice() {
        [] => state.options.default_platform.clone(),
        [one] => one.clone(),
        _ => {
            let detail = "the delivery carries the event headers of several platforms";
            return gateway_error(StatusCode::BAD_REQUEST, detail);
        }
    };
    receive(&request, payload, &state, platform).await
}

/// Admits a delivery and reads its body. The permit holds the body's bytes as long as it lives.
pub(crate) async fn admit(
    request: &HttpRequest,
    payload: web::Payload,
    state: &State,
) -> Result<(Vec<u8>, AdmissionPermit), HttpResponse> {
    let Some(mut permit) = state.admission.try_acquire() else {
        return Err(unavailable("too many deliveries at once; send it again"));
    };
    let length = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let reading = read_body(payload, length.unwrap_or(0), state.options.max_body_bytes, &mut permit);
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok((body, permit)),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(LateBody.error_response()),
    }
}

/// Receives a delivery of a platform, and reports one that is refused.
pub(crate) async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    state: &State,
    platform: PlatformId,
) -> HttpResponse {
    let response = receive_unreported(request, payload, state, platform.clone()).await;
    state.report_refusal(&platform, &response, request);
    response
}

async fn receive_unreported(
    request: &HttpRequest,
    payload: web::Payload,
    state: &State,
    platform: PlatformId,
) -> HttpResponse {
    let (body, _permit) = match admit(request, payload, state).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    let headers = RequestHeaders(request.headers());
    let engine = state.management.engine();
    let verified = if state.options.accept_unsigned {
        Verified::trust_unsigned(platform.clone(), &headers, &body)
    } else {
        match engine.verify(&platform, &headers, &body) {
            Ok(verified) => verified,
            Err(error) => return refusal(&error),
        }
    };
    if let Some(refusal) = check_media_type(request.headers(), &body) {
        return refusal;
    }
    if let Some(observe) = &state.options.on_delivery {
        let event = engine.webhook(&platform).and_then(|decoder| headers.get(decoder.event_header()));
        observe(&platform, event.unwrap_or_default());
    }
    match engine.receive(verified).await {
        Ok(outcome) => {
            engine.meter().count(&MeterEvent::DeliveryAnswered { platform, outcome: name_of(&outcome) });
            response(outcome)
        }
        Err(error) => refusal(&error),
    }
}

async fn read_body(
    mut payload: web::Payload,
    length: usize,
    limit: usize,
    permit: &mut AdmissionPermit,
) -> Result<Vec<u8>, HttpResponse> {
    let mut body = Vec::with_capacity(length.min(MAX_INITIAL_CAPACITY));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| gateway_error(StatusCode::BAD_REQUEST, "the body was cut off"))?;
        if body.len() + chunk.len() > limit {
            let detail = format!("the body is larger than {limit} bytes");
            return Err(gateway_error(StatusCode::PAYLOAD_TOO_LARGE, &detail));
        }
        if !permit.try_reserve_bytes(chunk.len()) {
            return Err(unavailable("too many bytes of deliveries at once; send it again"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(crate) fn check_media_type(headers: &HeaderMap, body: &[u8]) -> Option<HttpResponse> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_lowercase();
    let content_type = text("content-type");
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next() == Some("application/json");
    let is_utf8 = parts.all(|part| part.strip_prefix("charset=").is_none_or(|set| set.trim_matches('"') == "utf-8"));
    let encoding = text("content-encoding");
    let is_plain = encoding.is_empty() || encoding == "identity";
    let reason = if !is_json {
        "the content type must be application/json; choose it in the platform's webhook settings"
    } else if !is_utf8 || std::str::from_utf8(body).is_err() {
        "the body must be UTF-8"
    } else if !is_plain {
        "the body must not be compressed"
    } else {
        return None;
    };
    Some(gateway_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))
}

/// The response to a delivery (`docs/api.md`).
#[derive(Serialize)]
struct WebhookResponse<'a> {
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

/// Returns the name of an outcome in metrics.
const fn name_of(outcome: &IntakeOutcome) -> &'static str {
    match outcome {
        IntakeOutcome::Accepted { duplicate: false, .. } => "accepted",
        IntakeOutcome::Accepted { duplicate: true, .. } => "duplicate",
        IntakeOutcome::Answered { .. } => "answered",
        IntakeOutcome::Ignored { .. } => "ignored",
        IntakeOutcome::Forbidden { .. } => "forbidden",
    }
}

fn response(outcome: IntakeOutcome) -> HttpResponse {
    let plain = WebhookResponse { status: "accepted", job_id: None, command: None, reason: None, duplicate: false };
    match outcome {
        IntakeOutcome::Accepted { job_id, duplicate } => {
            let status = if duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
            HttpResponse::build(status).json(WebhookResponse { job_id: Some(job_id), duplicate, ..plain })
        }
        IntakeOutcome::Answered { command, job_id } => {
            HttpResponse::Accepted().json(WebhookResponse { job_id, command: Some(command), ..plain })
        }
        IntakeOutcome::Ignored { reason, job_id } => {
            HttpResponse::Ok().json(WebhookResponse { status: "ignored", job_id, reason: Some(&reason), ..plain })
        }
        IntakeOutcome::Forbidden { reason } => {
            HttpResponse::Forbidden().json(WebhookResponse { status: "forbidden", reason: Some(&reason), ..plain })
        }
    }
}

/// The response to a rejected delivery.
pub(crate) fn refusal(error: &IntakeError) -> HttpResponse {
    match error {
        IntakeError::Signature(reason) => gateway_error(StatusCode::UNAUTHORIZED, &reason.to_string()),
        IntakeError::Decode(reason) => gateway_error(StatusCode::BAD_REQUEST, &reason.to_string()),
        IntakeError::UnknownPlatform(_) => gateway_error(StatusCode::NOT_FOUND, &error.to_string()),
        IntakeError::Store(StoreError::Unavailable { .. } | StoreError::Stale { .. }) => {
            tracing::error!(error = %error, "failed to write a delivery");
            unavailable("the delivery cannot be stored now; send it again")
        }
        IntakeError::Store(error) => internal(error),
    }
}

/// The headers of a request, as decoders read them.
pub(crate) struct RequestHeaders<'a>(pub(crate) &'a HeaderMap);

impl Headers for RequestHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.0.get_all(name).count() > 1
    }
}
