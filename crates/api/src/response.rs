//! Responses that several handlers give.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use patchwright_protocol::problem::{GatewayError, Problem};

use crate::refusals::RefusalReason;

/// How long a client should wait for the database, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// An error of the gateway (`docs/requirements.md#gateway`).
pub(crate) fn gateway_error(status: StatusCode, message: &str) -> HttpResponse {
    let mut response = HttpResponse::build(status).json(error_body(message, None));
    response.extensions_mut().insert(RefusalReason(message.to_owned()));
    response
}

fn error_body(message: &str, request_id: Option<String>) -> GatewayError {
    GatewayError { status: "error".to_owned(), error: message.to_owned(), request_id }
}

/// An unexpected error: the details go to the log under an id, and only the id is returned.
pub(crate) fn internal(cause: &dyn std::error::Error) -> HttpResponse {
    let id = log_internal(cause);
    HttpResponse::InternalServerError()
        .json(error_body("an internal error; the log has the details under this id", Some(id)))
}

/// Logs an unexpected error and returns the id of the log entry.
pub(crate) fn log_internal(cause: &dyn std::error::Error) -> String {
    let request_id = uuid::Uuid::now_v7().to_string();
    tracing::error!(request_id, error = %patchwright_core::fault::error_chain(cause), "a request failed");
    request_id
}

/// The database cannot be used now, and nothing was written.
pub(crate) fn unavailable(message: &str) -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header(("retry-after", RETRY_AFTER_SECONDS))
        .json(error_body(message, None))
}

/// A problem (RFC 9457).
pub(crate) fn problem(status: StatusCode, code: &str, detail: &str) -> HttpResponse {
    problem_with(status, Problem { code: code.to_owned(), detail: detail.to_owned(), ..Problem::default() })
}

/// A problem with further fields; title and status are filled in.
pub(crate) fn problem_with(status: StatusCode, problem: Problem) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or("error").to_owned();
    let problem = Problem { kind: "about:blank".to_owned(), title, status: status.as_u16(), ..problem };
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .body(serde_json::to_string(&problem).expect("a problem is only text and a number"))
}

/// The response to an unknown address outside of `/api/v1`.
pub async fn not_found() -> HttpResponse {
    gateway_error(StatusCode::NOT_FOUND, "nothing was found at this address")
}

/// The response to an unknown address under `/api/v1`.
pub(crate) async fn no_such_route() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "not_found", "nothing was found at this address")
}
