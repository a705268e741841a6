//! Live events.

use serde::{Deserialize, Serialize};

/// A job has changed: the data of a `job` event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobChanged {
    pub job_id: String,
    pub issue_id: String,
    pub repository: String,
    pub issue_number: u64,
    /// The key of an issue of Jira, such as `PROJ-12`.
    pub issue_key: Option<String>,
    pub status: String,
    /// The stage that runs or comes next, while the job has not ended.
    pub stage: Option<String>,
    /// The status of each stage, in order.
    pub stages: Vec<String>,
    pub verdict: Option<String>,
    /// The address of the pull request.
    pub pull_request: Option<String>,
    pub tokens: u64,
    pub updated_at: String,
}
