//! Errors under `/api/v1` as RFC 9457 problems.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use patchwright_core::fault::Cause;
use patchwright_core::store::StoreError;
use patchwright_core::task_session::Refusal;
use patchwright_management::ManagementError;
use patchwright_protocol::problem::Problem;

use crate::node_convert;
use crate::response::{log_internal, problem, problem_with};

/// The error of a request.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The use case failed.
    Management(ManagementError),
    /// An unexpected error; the log has the details under this id.
    Internal { request_id: String },
    /// The body is not JSON.
    MediaType,
    /// The body is too large.
    TooLarge,
    /// A worker's request was refused, with what the worker reports.
    Refused(Box<Refusal>),
}

impl ApiError {
    pub(crate) fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Management(ManagementError::invalid(code, detail))
    }

    pub(crate) fn not_found(kind: &str) -> Self {
        Self::Management(ManagementError::not_found(kind))
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Management(ManagementError::conflict(code, detail))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Management(error) => error.fmt(f),
            Self::Internal { request_id } => {
                write!(f, "an internal error; the log has the details under the request id {request_id}")
            }
            Self::MediaType => f.write_str("the body must be JSON (content-type application/json)"),
            Self::TooLarge => f.write_str("the body is too large"),
            Self::Refused(refusal) => f.write_str(&refusal.reason),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<ManagementError> for ApiError {
    fn from(error: ManagementError) -> Self {
        match error {
            ManagementError::Internal(cause) => internal(&cause),
            error => Self::Management(error),
        }
    }
}

fn internal(cause: &Cause) -> ApiError {
    ApiError::Internal { request_id: log_internal(cause.as_ref()) }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        ManagementError::from(error).into()
    }
}

impl ApiError {
    /// Returns the status and the stable code for programs.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Management(error) => {
                let code = match error {
                    ManagementError::Invalid { code, .. } | ManagementError::Conflict { code, .. } => code,
                    ManagementError::Unauthenticated(_) => "unauthorized",
                    ManagementError::Forbidden(_) => "forbidden",
                    ManagementError::NotFound(_) => "not_found",
                    ManagementError::TooManyAttempts { .. } => "too_many_tries",
                    ManagementError::Upstream(_) => "upstream",
                    ManagementError::Unavailable(_) => "unavailable",
                    _ => "internal",
                };
                (StatusCode::from_u16(error.http_status()).expect("it is a status"), code)
            }
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status_and_code().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code) = self.status_and_code();
        let mut response = match self {
            Self::Refused(refusal) => {
                let refusal = node_convert::refusal_to_wire(refusal.as_ref().clone());
                let detail = refusal.reason.clone();
                problem_with(
                    status,
                    Problem { code: code.to_owned(), detail, refusal: Some(refusal), ..Problem::default() },
                )
            }
            _ => problem(status, code, &self.to_string()),
        };
        let mut set_header = |name, value: &str| {
            let value = HeaderValue::from_str(value).expect("the value is plain text");
            response.headers_mut().insert(HeaderName::from_static(name), value);
        };
        if let Self::Management(error) = self {
            if let ManagementError::Unauthenticated(_) = error {
                set_header("www-authenticate", "Bearer");
            }
            if let Some(seconds) = error.retry_after_seconds() {
                set_header("retry-after", &seconds.to_string());
            }
        }
        response
    }
}
