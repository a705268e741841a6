//! IdempotencyKeys that are sent again: a POST with an `Idempotency-Key` is done once, and a GET of one thing that has not
//! changed is answered without its body.

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use jiff::SignedDuration;
use patchwright_core::idempotency::{IdempotencyKeys as _, IdempotencyState, StoredResponse};

use super::State;
use super::answer::problem;
use super::error::ApiError;
use crate::auth::{COOKIE, Caller, secret};

/// The header that names a request.
const KEY: &str = "idempotency-key";
/// The longest such name.
const MAX_KEY: usize = 255;
/// The largest body of a request with a name, and of an answer that is kept.
const MAX_BODY: usize = 1 << 20;
/// When a request that is being answered is given up on.
const STALE: SignedDuration = SignedDuration::from_mins(5);

/// Goes around everything under `/api/v1`.
pub(crate) async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match *request.method() {
        Method::POST if request.headers().contains_key(KEY) => once(request, next).await,
        Method::GET => unless_unchanged(request, next).await,
        _ => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
    }
}

/// Does a request once, and answers the same one again with what was answered.
async fn once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<State>>().expect("every route has the state").clone();
    // Nobody who may not come in leaves anything here.
    if request.extract::<Caller>().await.is_err() {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let Some(key) = name_of(&request) else {
        let detail = format!("an Idempotency-Key has 1 to {MAX_KEY} printable characters");
        return Ok(request.into_response(problem(StatusCode::BAD_REQUEST, "bad_idempotency_key", &detail)));
    };
    let payload = request.extract::<web::Payload>().await?;
    let body = payload.to_bytes_limited(MAX_BODY).await.map_err(|_| ApiError::TooLarge)??;
    let asked = secret::hash(&format!("{} {}", request.uri(), String::from_utf8_lossy(&body)));
    let now = state.app.engine.now();
    let given_up = now.saturating_sub(STALE).unwrap_or(now);
    let known = state.app.store.begin_request(&key, &asked, now, given_up).await.map_err(ApiError::from)?;
    let refused = |status, code, detail: &str| problem(status, code, detail);
    let answer = match known {
        IdempotencyState::New => {
            request.set_payload(again(body));
            let answer = next.call(request).await?;
            return keep(&state, &key, answer).await;
        }
        IdempotencyState::Answered(kept) => {
            HttpResponse::build(StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK))
                .content_type(kept.kind)
                .insert_header(("idempotent-replayed", "true"))
                .body(kept.body)
        }
        IdempotencyState::Pending => {
            let detail = "the request with this Idempotency-Key is being answered; ask again in a moment";
            refused(StatusCode::CONFLICT, "still_pending", detail)
        }
        IdempotencyState::Different => {
            let detail = "this Idempotency-Key was used for another request";
            refused(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", detail)
        }
    };
    Ok(request.into_response(answer))
}

/// The name of a request, for whoever asks and this place only.
fn name_of(request: &ServiceRequest) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let key = header(KEY).filter(|key| !key.is_empty() && key.len() <= MAX_KEY)?;
    let who = header("authorization").map(str::to_owned);
    let who = who.or_else(|| request.cookie(COOKIE).map(|cookie| cookie.value().to_owned())).unwrap_or_default();
    Some(secret::hash(&format!("{who}\n{}\n{key}", request.path())))
}

fn again(body: Bytes) -> actix_web::dev::Payload {
    actix_web::dev::Payload::Stream { payload: Box::pin(futures_util::stream::once(async move { Ok(body) })) }
}

/// Keeps an answer that may be given again. One with a secret in it, and one that later may be another, is not kept.
async fn keep(
    state: &State,
    key: &str,
    answer: ServiceResponse<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let lasting = matches!(answer.status().as_u16(), 200..=299 | 400..=428);
    if !lasting || header("cache-control").is_some_and(|value| value.contains("no-store")) {
        state.app.store.end_request(key, None).await.map_err(ApiError::from)?;
        return Ok(answer.map_into_boxed_body());
    }
    let (status, kind) = (answer.status().as_u16(), header("content-type").unwrap_or_default().to_owned());
    let (request, answer) = answer.into_parts();
    let (answer, body) = answer.into_parts();
    let whole = to_bytes_limited(body, MAX_BODY).await;
    let Ok(Ok(body)) = whole else {
        state.app.store.end_request(key, None).await.map_err(ApiError::from)?;
        return Err(ApiError::TooLarge.into());
    };
    let kept = StoredResponse { status, kind, body: body.to_vec() };
    state.app.store.end_request(key, Some(kept)).await.map_err(ApiError::from)?;
    Ok(ServiceResponse::new(request, answer.set_body(BoxBody::new(body))))
}

/// Gives one thing a tag, and answers whoever has the same one with 304.
async fn unless_unchanged(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let known = request.headers().get("if-none-match").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // Of one thing: its id ends the path. Lists change with whatever happens anywhere.
    let last = request.path().rsplit('/').next().unwrap_or_default();
    if last.parse::<uuid::Uuid>().is_err() {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let answer = next.call(request).await?;
    if answer.status() != StatusCode::OK {
        return Ok(answer.map_into_boxed_body());
    }
    let (request, answer) = answer.into_parts();
    let (mut answer, body) = answer.into_parts();
    let body = to_bytes_limited(body, usize::MAX).await;
    let body = body.ok().and_then(Result::ok).ok_or(ApiError::TooLarge)?;
    let tag = format!("\"{}\"", &secret::hash(&String::from_utf8_lossy(&body))[..32]);
    let value = actix_web::http::header::HeaderValue::from_str(&tag).expect("it is hexadecimal digits");
    answer.headers_mut().insert(actix_web::http::header::ETAG, value);
    let same = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    if same {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer.headers_mut().remove("content-type");
        return Ok(ServiceResponse::new(request, answer.set_body(BoxBody::new(()))));
    }
    Ok(ServiceResponse::new(request, answer.set_body(BoxBody::new(body))))
}
