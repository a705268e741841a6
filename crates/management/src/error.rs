//! The one error of all use cases.

use std::time::Duration;

use patchwright_core::accounts::AccountError;
use patchwright_core::fault::{Cause, Fault};
use patchwright_core::jira::LinkError;
use patchwright_core::jira_oauth::JiraOauthError;
use patchwright_core::store::StoreError;
use patchwright_core::tracker::ForgeError;
use patchwright_engine::{ControlError, IssueError};

/// How long a client should wait when the database or another server cannot be used.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A use case failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementError {
    /// The input cannot be used.
    #[error("{detail}")]
    Invalid {
        /// A stable code for programs.
        code: &'static str,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// The caller is not authenticated.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller is authenticated and lacks the permission.
    #[error("{0}")]
    Forbidden(String),
    /// The object does not exist, or the caller may not see it.
    #[error("{0}")]
    NotFound(String),
    /// The state of an object does not allow it.
    #[error("{detail}")]
    Conflict {
        /// A stable code for programs.
        code: &'static str,
        /// The state that prevents it.
        detail: String,
    },
    /// Too many failed logins.
    #[error("too many attempts; wait {} s", after.as_secs().max(1))]
    TooManyAttempts {
        /// How long to wait.
        after: Duration,
    },
    /// A forge, Jira or a login provider refused.
    #[error("{0}")]
    Upstream(String),
    /// The database or another server cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// An unexpected error. The cause is for the log only.
    #[error("an internal error")]
    Internal(#[source] Cause),
}

impl ManagementError {
    /// Returns the HTTP status of the error, the same for the API and for pages.
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::Invalid { .. } => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::Conflict { .. } => 409,
            Self::TooManyAttempts { .. } => 429,
            Self::Upstream(_) => 502,
            Self::Unavailable(_) => 503,
            Self::Internal(_) => 500,
        }
    }

    /// Returns how many seconds to wait before the request is sent again (`Retry-After`), if the error has a wait.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts { after } => Some(after.as_secs().max(1)),
            Self::Unavailable(_) => Some(RETRY_AFTER_SECONDS),
            _ => None,
        }
    }

    /// Creates the error for invalid input.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { code, detail: detail.into() }
    }

    /// Creates the error for a missing permission.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::Forbidden(detail.into())
    }

    /// Creates the error for an object that does not exist, by its kind.
    pub fn not_found(kind: &str) -> Self {
        Self::NotFound(format!("there is no {kind} with this id"))
    }

    /// Creates the error for a conflict with the current state.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// Creates the error for an unexpected failure.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::TooManyAttempts { after } => Fault::Retry { after: Some(*after) },
            Self::Unavailable(_) => Fault::RETRY,
            Self::NotFound(_) => Fault::Missing,
            Self::Internal(_) => Fault::Internal,
            Self::Invalid { .. }
            | Self::Unauthenticated(_)
            | Self::Forbidden(_)
            | Self::Conflict { .. }
            | Self::Upstream(_) => Fault::Denied,
        }
    }
}

impl From<StoreError> for ManagementError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Unavailable("the database cannot be used now".to_owned()),
            StoreError::Stale { .. } => {
                Self::conflict("changed_meanwhile", "it was changed in the meantime; read it again")
            }
            error => Self::internal(error),
        }
    }
}

impl From<AccountError> for ManagementError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Taken(_) => Self::conflict("login_taken", error.to_string()),
            AccountError::Linked(_) => Self::conflict("linked_already", error.to_string()),
            AccountError::AdministersSite(_) => Self::conflict("administers_site", error.to_string()),
            AccountError::LastAdmin => Self::conflict("last_admin", error.to_string()),
            AccountError::NoSuchUser => Self::not_found("user"),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<ControlError> for ManagementError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoSuchJob(_) => Self::not_found("job"),
            ControlError::NoSuchIssue(_) => Self::not_found("issue"),
            ControlError::Store(error) => error.into(),
            ControlError::NoPullRequest => Self::conflict("no_pull_request", error.to_string()),
            ControlError::NotMerged(ForgeError::Refused { .. }) => Self::conflict("not_merged", error.to_string()),
            ControlError::NotReady(ForgeError::Refused { .. }) => Self::conflict("not_ready", error.to_string()),
            ControlError::NotMerged(error) | ControlError::NotReady(error) => error.into(),
            ControlError::JobActive(_) => Self::conflict("job_active", error.to_string()),
            ControlError::Refused(_) | ControlError::Superseded(_) | ControlError::NothingRuns => {
                Self::conflict("wrong_state", error.to_string())
            }
        }
    }
}

impl From<ForgeError> for ManagementError {
    fn from(error: ForgeError) -> Self {
        match error.fault() {
            Fault::Missing => Self::NotFound(error.to_string()),
            Fault::Retry { .. } => Self::Unavailable(error.to_string()),
            Fault::Denied | Fault::Internal => Self::Upstream(error.to_string()),
        }
    }
}

impl From<IssueError> for ManagementError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NoForge(_) => Self::invalid("bad_platform", error.to_string()),
            IssueError::NoSuchIssue(_) => Self::not_found("issue"),
            IssueError::Forge(error) => error.into(),
            IssueError::Store(error) => error.into(),
        }
    }
}

impl From<JiraOauthError> for ManagementError {
    fn from(error: JiraOauthError) -> Self {
        tracing::warn!(%error, "failed to link an Atlassian account");
        match error {
            JiraOauthError::Denied(_) => Self::invalid("not_accepted", error.to_string()),
            JiraOauthError::Unavailable(_) => Self::Unavailable(error.to_string()),
            error => Self::Upstream(error.to_string()),
        }
    }
}

impl From<LinkError> for ManagementError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Store(error) => error.into(),
            LinkError::AccountTaken => Self::conflict("account_taken", error.to_string()),
            LinkError::OtherAccount => Self::conflict("other_account", error.to_string()),
        }
    }
}
