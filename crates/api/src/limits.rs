//! Middleware for every route: a deadline, and `HEAD`.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError};

use crate::response::gateway_error;

/// The same for requests that call a forge many times, such as the import of a repository's issues.
const LONG_REQUEST_TIMEOUT: Duration = Duration::from_secs(900);
/// The ends of the paths of such requests.
const LONG_REQUESTS: [&str; 3] = ["/sync", "/merge", "/start-batch"];
/// The ends of paths that `HEAD` must not act as `GET` on: streams have no end, and a callback spends its code.
const NOT_FOR_HEAD: [&str; 4] = ["/events", "/stream", "/ws", "/callback"];
/// How long a request may take from its headers to the beginning of its response, its body included. actix has no limit for
/// bodies of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Ends a request whose body trickles in.
///
/// # Errors
/// Those of the handler.
pub async fn limit_time(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_long = ends_with_any(&request, &LONG_REQUESTS);
    let timeout = if is_long { LONG_REQUEST_TIMEOUT } else { REQUEST_TIMEOUT };
    if let Ok(response) = tokio::time::timeout(timeout, next.call(request)).await {
        return response.map(ServiceResponse::map_into_boxed_body);
    }
    Err(TimedOut(timeout).into())
}

/// A request took too long.
#[derive(Debug, thiserror::Error)]
#[error("the request did not arrive, or could not be answered, within {} seconds", .0.as_secs())]
struct TimedOut(Duration);

impl ResponseError for TimedOut {
    fn error_response(&self) -> HttpResponse {
        gateway_error(StatusCode::REQUEST_TIMEOUT, &self.to_string())
    }
}

fn ends_with_any(request: &ServiceRequest, ends: &[&str]) -> bool {
    let path = request.path().trim_end_matches('/');
    ends.iter().any(|end| path.ends_with(end))
}

/// Answers `HEAD` as `GET`; the HTTP layer leaves the body out. Streams have no end and are not answered.
///
/// # Errors
/// Those of the handler.
pub async fn answer_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.method() == Method::HEAD && !ends_with_any(&request, &NOT_FOR_HEAD) {
        request.head_mut().method = Method::GET;
    }
    next.call(request).await
}
