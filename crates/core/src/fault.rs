//! What an error means for the caller, whichever port it came from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The decision that an error leaves to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The remote side cannot answer now: the same call may succeed later.
    Retry {
        /// The wait that the remote side requested; `None` without one.
        after: Option<Duration>,
    },
    /// The remote side refuses: credentials, permission, policy. A user must change something.
    Denied,
    /// The requested object does not exist.
    Missing,
    /// A retry does not help: a bug, corrupt data, an invalid response.
    #[serde(alias = "broken")]
    Internal,
}

impl Fault {
    /// A transient fault, without a requested wait.
    pub const RETRY: Self = Self::Retry { after: None };

    /// Returns whether the same call may succeed later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}

/// A cause that callers do not distinguish, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Returns an error and all its causes in one line, separated by `: `.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
