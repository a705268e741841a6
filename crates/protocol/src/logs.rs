//! Task logs.

use serde::{Deserialize, Serialize};

/// Which part of a log to read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct LogRange {
    /// The offset to start from, in bytes.
    #[cfg_attr(feature = "openapi", param(minimum = 0, maximum = 1_000_000_000))]
    pub from: Option<u64>,
}

/// A part of a task's log. Its text is the body of the response; the offsets are in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    pub text: String,
    /// The offset of the next part, in bytes.
    pub next: u64,
    /// The length of the log, in bytes.
    pub end: u64,
}
