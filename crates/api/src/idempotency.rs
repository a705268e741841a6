//! Repeated requests: a POST with an `Idempotency-Key` is executed once, and a GET of one unchanged resource is
//! answered without its body.

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ETAG, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use jiff::SignedDuration;
use patchwright_core::idempotency::{IdempotencyState, StoredResponse};
use patchwright_management::hash_secret;

use crate::State;
use crate::error::ApiError;
use crate::extract::Caller;
use crate::response::problem;
use patchwright_management::SESSION_COOKIE;

/// The header with the key.
const KEY_HEADER: &str = "idempotency-key";
/// The longest key.
const MAX_KEY_LENGTH: usize = 255;
/// The largest body of a request with a key, and of a response that is kept, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// After this time a request that was never answered may be sent again: the process that had it is gone.
const PENDING_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

/// Wraps everything under `/api/v1`.
pub(crate) async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match *request.method() {
        Method::POST if request.headers().contains_key(KEY_HEADER) => run_once(request, next).await,
        Method::GET => unless_unchanged(request, next).await,
        _ => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
    }
}

/// Executes a request once, and answers its repetitions with the first response.
async fn run_once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<State>>().expect("every route has the state").clone();
    // A request that is not authenticated stores nothing.
    if request.extract::<Caller>().await.is_err() {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let Some(key) = scoped_key(&request) else {
        let detail = format!("an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable characters");
        return Ok(request.into_response(problem(StatusCode::BAD_REQUEST, "bad_idempotency_key", &detail)));
    };
    let payload = request.extract::<web::Payload>().await?;
    let body = payload.to_bytes_limited(MAX_BODY_BYTES).await.map_err(|_| ApiError::TooLarge)??;
    let fingerprint = hash_secret(&format!("{} {}", request.uri(), String::from_utf8_lossy(&body)));
    let now = state.management.now();
    let given_up = now.saturating_sub(PENDING_TIMEOUT).unwrap_or(now);
    let keys = state.management.idempotency();
    let replayed = match keys.begin_request(&key, &fingerprint, now, given_up).await.map_err(ApiError::from)? {
        IdempotencyState::New => {
            request.set_payload(payload_of(body));
            let response = next.call(request).await?;
            return store(&state, &key, response).await;
        }
        IdempotencyState::Answered(stored) => {
            HttpResponse::build(StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK))
                .content_type(stored.kind)
                .insert_header(("idempotent-replayed", "true"))
                .body(stored.body)
        }
        IdempotencyState::Pending => {
            let detail = "the request with this Idempotency-Key is in progress; send it again in a moment";
            problem(StatusCode::CONFLICT, "still_pending", detail)
        }
        IdempotencyState::Different => {
            let detail = "this Idempotency-Key was used for another request";
            problem(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", detail)
        }
    };
    Ok(request.into_response(replayed))
}

/// Returns the key, made unique for the caller and the path.
fn scoped_key(request: &ServiceRequest) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let key = header(KEY_HEADER).filter(|key| !key.is_empty() && key.len() <= MAX_KEY_LENGTH)?;
    let caller = header("authorization").map(str::to_owned);
    let caller =
        caller.or_else(|| request.cookie(SESSION_COOKIE).map(|cookie| cookie.value().to_owned())).unwrap_or_default();
    Some(hash_secret(&format!("{caller}\n{}\n{key}", request.path())))
}

fn payload_of(body: Bytes) -> Payload {
    Payload::Stream { payload: Box::pin(futures_util::stream::once(async move { Ok(body) })) }
}

/// Stores a response for repetitions. A response with a secret, and one that may differ later, is not stored.
async fn store(
    state: &State,
    key: &str,
    response: ServiceResponse<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let keys = state.management.idempotency();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let is_final = matches!(response.status().as_u16(), 200..=299 | 400..=428);
    if !is_final || header("cache-control").is_some_and(|value| value.contains("no-store")) {
        keys.end_request(key, None).await.map_err(ApiError::from)?;
        return Ok(response.map_into_boxed_body());
    }
    let (status, kind) = (response.status().as_u16(), header("content-type").unwrap_or_default().to_owned());
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let Ok(Ok(body)) = to_bytes_limited(body, MAX_BODY_BYTES).await else {
        keys.end_request(key, None).await.map_err(ApiError::from)?;
        return Err(ApiError::TooLarge.into());
    };
    let stored = StoredResponse { status, kind, body: body.to_vec() };
    keys.end_request(key, Some(stored)).await.map_err(ApiError::from)?;
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
}

/// Gives one resource an `ETag`, and answers 304 to a client that has it.
async fn unless_unchanged(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let known = request.headers().get("if-none-match").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // Only of one resource, whose path ends in its id: a list changes with everything.
    let last = request.path().rsplit('/').next().unwrap_or_default();
    if last.parse::<uuid::Uuid>().is_err() {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let response = next.call(request).await?;
    if response.status() != StatusCode::OK {
        return Ok(response.map_into_boxed_body());
    }
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let body = to_bytes_limited(body, usize::MAX).await;
    let body = body.ok().and_then(Result::ok).ok_or(ApiError::TooLarge)?;
    let tag = format!("\"{}\"", &hash_secret(&String::from_utf8_lossy(&body))[..32]);
    let value = HeaderValue::from_str(&tag).expect("hexadecimal digits are a header");
    response.headers_mut().insert(ETAG, value);
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove("content-type");
        return Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(()))));
    }
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
}
