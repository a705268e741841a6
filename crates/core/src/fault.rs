//! What an error means for the caller, whichever port it came from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The decision that an error leaves to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The other side cannot now: the same call may succeed later.
    Retry {
        /// How long the other side asked us to wait; `None` when it did not say.
        after: Option<Duration>,
    },
    /// The other side will not: credentials, permission, policy. A person must change something.
    Denied,
    /// What was asked for is not there.
    Missing,
    /// Something is wrong that waiting does not mend: a bug, corrupt data, an answer that makes no sense.
    #[serde(alias = "broken")]
    Internal,
}

impl Fault {
    /// A fault that may pass, without a hint how soon.
    pub const RETRY: Self = Self::Retry { after: None };

    /// Whether the same call may succeed later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}

/// A cause that the caller does not tell apart, kept for the log.
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
