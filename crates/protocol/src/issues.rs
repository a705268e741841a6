//! Issues.

use serde::{Deserialize, Serialize};

/// An issue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssueView {
    pub id: String,
    pub platform: String,
    pub repository: String,
    pub number: u64,
    /// The key of an issue of Jira: `PROJ-12`.
    pub key: Option<String>,
    pub title: String,
    pub body: String,
    pub author: String,
    /// The user who added it.
    pub owner_id: Option<String>,
    /// `pending`, `processing`, `pending_merge`, `merged` or `terminated`.
    pub status: String,
    /// Its page on the forge or in Jira.
    pub url: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// Which issues to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct IssueQuery {
    #[cfg_attr(feature = "openapi", param(schema_with = crate::schemas::issue_status))]
    pub status: Option<String>,
    /// `owner/name`
    pub repository: Option<String>,
    /// The number of the issue in its repository.
    #[cfg_attr(feature = "openapi", param(minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub number: Option<u64>,
    /// Text that occurs in the title or body.
    pub q: Option<String>,
    /// `newest`, `oldest` (both by when they came to this server) or `updated`.
    #[cfg_attr(feature = "openapi", param(schema_with = crate::schemas::issue_order))]
    pub order: Option<String>,
    /// `next_cursor` of the page before.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub cursor: Option<String>,
    /// 1 to 200.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 200))]
    pub limit: Option<u16>,
}

/// The largest number that a query may ask for: what a double can hold, which is what many clients have for numbers.
pub const MAX_ISSUE_NUMBER: u64 = 9_007_199_254_740_991;

/// An issue to open on the forge of a registered repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewIssue {
    #[cfg_attr(feature = "openapi", schema(value_type = uuid::Uuid))]
    pub repository_id: String,
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 500))]
    pub title: String,
    #[cfg_attr(feature = "openapi", schema(max_length = 65536))]
    pub body: Option<String>,
}

/// Fields to change here; the text on the forge stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct IssueUpdate {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 500))]
    pub title: Option<String>,
    #[cfg_attr(feature = "openapi", schema(max_length = 65536))]
    pub body: Option<String>,
}

/// Options of a start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartIssue {
    /// The program that makes the change instead of the built-in stages: the name of a preset (`docs/nodes.md`), or a
    /// command line where free commands are allowed and the caller is an administrator.
    #[cfg_attr(feature = "openapi", schema(max_length = 8000))]
    pub command: Option<String>,
    /// Further instructions for the model.
    #[cfg_attr(feature = "openapi", schema(max_length = 8000))]
    pub instructions: Option<String>,
    /// The node to run on.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<uuid::Uuid>))]
    pub node_id: Option<String>,
    /// Labels that the node must have.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::labels_or_null))]
    pub labels: Option<Vec<String>>,
    /// `false`: answer 503 when no node is free now.
    pub queue: Option<bool>,
    /// Its priority among the queued jobs of its repository.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::priority_or_null))]
    pub priority: Option<String>,
    /// Whether the plan must be approved before anything is changed.
    pub review_plan: Option<bool>,
}

/// Issues to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartBatch {
    #[cfg_attr(feature = "openapi", schema(max_items = 10000))]
    pub ids: Vec<String>,
}

/// The result for each issue of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResult {
    pub items: Vec<BatchItem>,
}

/// One issue of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchItem {
    pub id: String,
    pub started: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Why it was not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Options of a merge.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MergeIssue {
    /// `true` merges the pull request on its forge; `false` only records that it was merged.
    #[serde(default)]
    pub pull_request: bool,
}
