//! Middleware for every route: a deadline for bodies, and `HEAD`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::response::gateway_error;

/// How long a body may take to arrive. actix has no such limit of its own.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The ends of paths that `HEAD` must not act as `GET` on: streams have no end, and a callback spends its code.
const NOT_FOR_HEAD: [&str; 4] = ["/events", "/stream", "/ws", "/callback"];

/// Ends a request whose body does not arrive in time. What a handler does with a body that has arrived takes as long as it
/// takes.
///
/// # Errors
/// Those of the handler; 408 for a late body.
pub async fn limit_body_time(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let headers = request.headers();
    let has_body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    // After an upgrade the payload is a conversation, and no body.
    if !has_body || headers.contains_key(UPGRADE) {
        return next.call(request).await;
    }
    let is_late = Rc::new(Cell::new(false));
    let payload = with_deadline(request.take_payload(), Instant::now() + BODY_TIMEOUT, Rc::clone(&is_late));
    request.set_payload(payload);
    let response = next.call(request).await;
    if is_late.get() { Err(LateBody.into()) } else { response }
}

/// Returns the payload, which fails at the deadline and notes that it did.
fn with_deadline(payload: Payload, deadline: Instant, is_late: Rc<Cell<bool>>) -> Payload {
    let chunks = futures_util::stream::unfold(Some(payload), move |payload| {
        let is_late = Rc::clone(&is_late);
        async move {
            let mut payload = payload?;
            if let Ok(chunk) = timeout_at(deadline, payload.next()).await {
                return Some((chunk?, Some(payload)));
            }
            is_late.set(true);
            Some((Err(PayloadError::Io(std::io::ErrorKind::TimedOut.into())), None))
        }
    });
    Payload::Stream { payload: Box::pin(chunks) }
}

/// A body did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs())]
pub(crate) struct LateBody;

impl ResponseError for LateBody {
    fn error_response(&self) -> HttpResponse {
        gateway_error(StatusCode::REQUEST_TIMEOUT, &self.to_string())
    }
}

/// Answers `HEAD` as `GET`; the HTTP layer leaves the body out.
///
/// # Errors
/// Those of the handler.
pub async fn answer_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let path = request.path().trim_end_matches('/');
    if request.method() == Method::HEAD && !NOT_FOR_HEAD.iter().any(|end| path.ends_with(end)) {
        request.head_mut().method = Method::GET;
    }
    next.call(request).await
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service, read_body, try_call_service};
    use actix_web::web::{self, Bytes};
    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;

    /// Posts a body whose second half arrives after `pause`, to a handler that takes `work` over it.
    async fn post(pause: Duration, work: Duration) -> (StatusCode, Bytes) {
        let handler = move |body: Bytes| async move {
            sleep(work).await;
            HttpResponse::Ok().body(body)
        };
        let app = init_service(App::new().wrap(from_fn(limit_body_time)).route("/", web::post().to(handler))).await;
        let halves = stream::iter([Duration::ZERO, pause]).then(|pause| async move {
            sleep(pause).await;
            Ok::<_, PayloadError>(Bytes::from_static(b"half"))
        });
        let request = TestRequest::post().uri("/").insert_header((CONTENT_LENGTH, 8)).to_request();
        let payload: Payload = Payload::Stream { payload: Box::pin(halves) };
        let (request, _) = request.replace_payload(payload);
        match try_call_service(&app, request).await {
            Ok(response) => (response.status(), read_body(response).await),
            Err(error) => (error.error_response().status(), Bytes::new()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_ends_with_408() {
        let late = post(BODY_TIMEOUT + Duration::from_secs(1), Duration::ZERO).await;
        assert_eq!(late.0, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn work_over_a_body_that_has_arrived_has_no_deadline() {
        let answered = post(BODY_TIMEOUT / 2, 20 * BODY_TIMEOUT).await;
        assert_eq!(answered, (StatusCode::OK, Bytes::from_static(b"halfhalf")));
    }
}
