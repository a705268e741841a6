//! Tasks.

use serde::{Deserialize, Serialize};

/// One dispatch of a job to a node (`docs/requirements.md#management`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskPublic {
    pub id: String,
    pub issue_id: String,
    pub job_id: String,
    /// `embedded` for the server itself; absent until the task is assigned.
    pub node_id: Option<String>,
    /// `pending`, `running`, `success` or `failed`.
    pub status: String,
    /// The command that makes the change, or the instructions of the start.
    pub command: Option<String>,
    pub result_branch: Option<String>,
    pub error_message: Option<String>,
    pub attempt: u32,
    pub created_at: String,
    pub updated_at: String,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct TaskQuery {
    #[cfg_attr(feature = "openapi", param(schema_with = crate::schemas::task_status))]
    pub status: Option<String>,
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub job: Option<String>,
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub issue: Option<String>,
    /// `next_cursor` of the page before.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub cursor: Option<String>,
    /// 1 to 200.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 200))]
    pub limit: Option<u16>,
}
