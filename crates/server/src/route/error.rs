//! What goes wrong under `/api/v1`, as RFC 9457 problems.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError};
use patchwright_core::accounts::AccountError;
use patchwright_core::fault::Fault;
use patchwright_core::store::StoreError;
use patchwright_core::task_session::Refusal;
use patchwright_core::tracker::ForgeError;
use patchwright_engine::{ControlError, IssueError};

use super::answer::{problem, refused};

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    BadRequest {
        code: &'static str,
        detail: String,
    },
    Unauthorized(&'static str),
    Forbidden(String),
    NotFound(&'static str),
    /// The forge does not have it, or does not show it to us.
    NotOnForge(String),
    Conflict {
        code: &'static str,
        detail: String,
    },
    TooMany {
        after: Duration,
    },
    /// The body is of another kind than JSON.
    MediaType,
    TooLarge,
    /// A node may not or cannot do it, with what it is to tell.
    Refused(Box<Refusal>),
    /// The other side (a forge) did not do what was asked of it.
    Upstream(String),
    Unavailable(String),
    /// The log has the details under this id.
    Internal {
        request_id: String,
    },
}

impl ApiError {
    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::BadRequest { code, detail: detail.into() }
    }

    pub(crate) fn forbidden(detail: &str) -> Self {
        Self::Forbidden(detail.to_owned())
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    pub(crate) fn internal(cause: impl std::error::Error) -> Self {
        let request_id = uuid::Uuid::now_v7().to_string();
        tracing::error!(request_id, error = %cause, causes = ?cause.source(), "a request failed");
        Self::Internal { request_id }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest { detail, .. }
            | Self::Conflict { detail, .. }
            | Self::Forbidden(detail)
            | Self::NotOnForge(detail)
            | Self::Upstream(detail)
            | Self::Unavailable(detail) => f.write_str(detail),
            Self::Unauthorized(detail) => f.write_str(detail),
            Self::Refused(refusal) => f.write_str(&refusal.reason),
            Self::NotFound(what) => write!(f, "there is no {what} with this id"),
            Self::MediaType => f.write_str("the body must be JSON (content-type application/json)"),
            Self::TooLarge => f.write_str("the body is too large"),
            Self::TooMany { after } => write!(f, "too many tries; wait {} s", after.as_secs().max(1)),
            Self::Internal { request_id } => {
                write!(f, "something went wrong here; the log has the details under {request_id}")
            }
        }
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::NotOnForge(_) => StatusCode::NOT_FOUND,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let code = match self {
            Self::BadRequest { code, .. } | Self::Conflict { code, .. } => code,
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) | Self::NotOnForge(_) => "not_found",
            Self::TooMany { .. } => "too_many_tries",
            Self::MediaType => "media_type",
            Self::TooLarge => "too_large",
            Self::Refused(refusal) => return refused(refusal),
            Self::Upstream(_) => "upstream",
            Self::Unavailable(_) => "unavailable",
            Self::Internal { .. } => "internal",
        };
        let mut answer = problem(self.status_code(), code, &self.to_string());
        let mut header = |name, value: &str| {
            let value = HeaderValue::from_str(value).expect("it is plain text");
            answer.headers_mut().insert(actix_web::http::header::HeaderName::from_static(name), value);
        };
        match self {
            Self::Unauthorized(_) => header("www-authenticate", "Bearer"),
            Self::TooMany { after } => header("retry-after", &after.as_secs().max(1).to_string()),
            Self::Unavailable(_) => header("retry-after", "5"),
            _ => {}
        }
        answer
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Unavailable("the database cannot be used now".to_owned()),
            StoreError::Stale { .. } => Self::conflict("changed_meanwhile", "somebody else changed it; read it again"),
            error => Self::internal(error),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Taken(_) => Self::conflict("login_taken", error.to_string()),
            AccountError::LastAdmin => Self::conflict("last_admin", error.to_string()),
            AccountError::NoSuchUser => Self::NotFound("user"),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoSuchJob(_) => Self::NotFound("job"),
            ControlError::NoSuchIssue(_) => Self::NotFound("issue"),
            ControlError::Store(error) => error.into(),
            ControlError::NoPullRequest => Self::conflict("no_pull_request", error.to_string()),
            ControlError::NotMerged(ForgeError::Refused { .. }) => Self::conflict("not_merged", error.to_string()),
            ControlError::NotMerged(error) => error.into(),
            ControlError::JobActive(_) => Self::conflict("job_active", error.to_string()),
            ControlError::Refused(_) | ControlError::Superseded(_) | ControlError::NothingRuns => {
                Self::conflict("wrong_state", error.to_string())
            }
        }
    }
}

impl From<ForgeError> for ApiError {
    fn from(error: ForgeError) -> Self {
        match error.fault() {
            Fault::Missing => Self::NotOnForge(error.to_string()),
            Fault::Retry { .. } => Self::Unavailable(error.to_string()),
            Fault::Denied | Fault::Internal => Self::Upstream(error.to_string()),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NoForge(_) => Self::bad("bad_platform", error.to_string()),
            IssueError::NoSuchIssue(_) => Self::NotFound("issue"),
            IssueError::Forge(error) => error.into(),
            IssueError::Store(error) => error.into(),
        }
    }
}
