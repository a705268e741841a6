//! Answers that several routes give.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use patchwright_core::task_session::Refusal;
use serde::Serialize;

/// An error of the gateway (`seeds/002 §11`).
#[derive(Debug, Serialize)]
struct GatewayError<'a> {
    status: &'static str,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

pub(crate) fn error(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(GatewayError { status: "error", error: message, request_id: None })
}

/// Something unexpected: the details go to the log under an id, and only the id goes out.
pub(crate) fn internal(cause: &dyn std::error::Error) -> HttpResponse {
    let request_id = uuid::Uuid::now_v7().to_string();
    tracing::error!(request_id, error = %cause, causes = ?cause.source(), "a request failed");
    HttpResponse::InternalServerError().json(GatewayError {
        status: "error",
        error: "something went wrong here; the log has the details under this id",
        request_id: Some(request_id),
    })
}

/// The database cannot be used now; nothing was written.
pub(crate) fn unavailable(what: &str) -> HttpResponse {
    HttpResponse::ServiceUnavailable().insert_header(("retry-after", "5")).json(GatewayError {
        status: "error",
        error: what,
        request_id: None,
    })
}

/// A problem of the management plane (RFC 9457).
#[derive(Debug, Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
}

pub(crate) fn problem(status: StatusCode, code: &str, detail: &str) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or("error");
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail, code };
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .body(serde_json::to_string(&problem).expect("a problem is only text and a number"))
}

/// A refusal that a node passes on: a problem with what it is to tell.
pub(crate) fn refused(refusal: &Refusal) -> HttpResponse {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": refusal.reason,
        "code": "refused",
        "refusal": refusal,
    });
    HttpResponse::UnprocessableEntity().content_type("application/problem+json").body(body.to_string())
}

pub(crate) async fn not_found() -> HttpResponse {
    error(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// The same under `/api/v1`.
pub(crate) async fn no_such_route() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// Whether a browser that is sent there stays here: `//host` and `/\host` are other hosts to browsers.
pub(crate) fn is_path_of_ours(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}
