//! Errors: RFC 9457 problems under `/api/v1`, and the gateway's own form elsewhere.

use serde::{Deserialize, Serialize};

/// A problem (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// A stable code for programs, such as `not_found` or `login_taken`.
    pub code: String,
    /// Present when a worker's request was refused: what the worker reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<crate::node::Refusal>,
}

/// An error of the gateway (`docs/requirements.md#gateway`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GatewayError {
    /// Always `error`.
    pub status: String,
    pub error: String,
    /// The id under which the log has the details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
