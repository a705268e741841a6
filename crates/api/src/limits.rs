//! Middleware for every route: a deadline, and `HEAD`.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError};

use crate::response::gateway_error;

/// How long a request may take from its headers to the beginning of its response, its body included. actix has no limit for
/// bodies of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Ends a request whose body trickles in. What a handler has written by then is whole, because it writes in transactions.
///
/// # Errors
/// Those of the handler.
pub async fn limit_time(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Ok(response) = tokio::time::timeout(REQUEST_TIMEOUT, next.call(request)).await {
        return response.map(ServiceResponse::map_into_boxed_body);
    }
    Err(TimedOut.into())
}

/// A request took too long.
#[derive(Debug, thiserror::Error)]
#[error("the request did not arrive, or could not be answered, within {} seconds", REQUEST_TIMEOUT.as_secs())]
struct TimedOut;

impl ResponseError for TimedOut {
    fn error_response(&self) -> HttpResponse {
        gateway_error(StatusCode::REQUEST_TIMEOUT, &self.to_string())
    }
}

/// Answers `HEAD` as `GET`; the HTTP layer leaves the body out. Streams have no end and are not answered.
///
/// # Errors
/// Those of the handler.
pub async fn answer_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let is_stream = ["/events", "/stream", "/ws"].iter().any(|end| request.path().ends_with(end));
    if request.method() == Method::HEAD && !is_stream {
        request.head_mut().method = Method::GET;
    }
    next.call(request).await
}
