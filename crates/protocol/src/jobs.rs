//! Jobs.

use patchwright_domain::CommitSha;
use patchwright_domain::Usage;
use patchwright_domain::job::ci::{CiCheck, CiState};
use patchwright_domain::job::report::{StageReport, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Failure, JobObject, PullRequestRef};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Which jobs to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct JobQuery {
    #[cfg_attr(feature = "openapi", param(schema_with = crate::schemas::job_status))]
    pub status: Option<String>,
    /// `owner/name`
    pub repository: Option<String>,
    /// Only jobs with this verdict.
    #[cfg_attr(feature = "openapi", param(schema_with = crate::schemas::verdict))]
    pub verdict: Option<String>,
    /// Only jobs that this person asked for, by login.
    pub actor: Option<String>,
    /// Only jobs of this issue.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub issue: Option<String>,
    /// `next_cursor` of the page before.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub cursor: Option<String>,
    /// 1 to 200.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 200))]
    pub limit: Option<u16>,
}

/// A job in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    pub job_id: String,
    pub status: String,
    pub platform: String,
    pub repository: String,
    pub issue_number: u64,
    /// The key of an issue of Jira: `PROJ-12`.
    pub issue_key: Option<String>,
    pub issue_title: String,
    pub actor: String,
    pub branch: String,
    pub verdict: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub pull_request: Option<PullRequestRef>,
    pub created_at: String,
    pub ended_at: Option<String>,
}

/// One stage of a job.
#[derive(Debug, Serialize)]
pub struct StageView<'a> {
    pub name: StageKind,
    pub status: StageStatus,
    pub started_at: Option<jiff::Timestamp>,
    pub ended_at: Option<jiff::Timestamp>,
    pub seconds: Option<f64>,
    pub success: bool,
    pub comment: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub usage: Usage,
    #[serde(flatten)]
    pub report: Option<&'a StageReport>,
}

/// The Job object (`docs/requirements.md#gateway-5`) with its state and results.
#[derive(Debug, Serialize)]
pub struct JobView<'a> {
    #[serde(flatten)]
    pub object: JobObject<'a, Option<&'a RawValue>>,
    /// The status of the job, or `requested` or `refused` while there is none.
    pub status: &'static str,
    /// Its position among the queued jobs of its repository, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    /// The estimated time until it starts, in seconds; absent while no job has ended lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_wait_seconds: Option<u64>,
    /// Whether its plan waits for approval.
    pub awaits_approval: bool,
    pub attempts: u32,
    pub verdict: Option<Verdict>,
    pub failure: Option<&'a Failure>,
    pub pull_request: Option<PullRequestRef>,
    pub pull_request_ready: bool,
    /// What the forge's own CI says about the pushed commit, once it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci: Option<CiView<'a>>,
    pub stages: Vec<StageView<'a>>,
    pub usage: Usage,
    pub started_at: Option<jiff::Timestamp>,
    pub ended_at: Option<jiff::Timestamp>,
}

/// What the forge's own CI says about a commit.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CiView<'a> {
    /// `absent`, `running`, `unfinished`, `passed` or `failed`. What failed before the change too does not count.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state: CiState,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub commit: &'a CommitSha,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub checks: &'a [CiCheck],
}

/// A job as a client reads it: the fields that a list of results needs, and all others as they were sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobDetails {
    pub job_id: String,
    pub status: String,
    pub owner: String,
    pub repo: String,
    pub issue_number: u64,
    pub issue_title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_wait_seconds: Option<u64>,
    #[serde(default)]
    pub awaits_approval: bool,
    #[serde(default)]
    pub stages: Vec<StageDetails>,
    pub failure: Option<FailureDetails>,
    pub pull_request: Option<PullRequestDetails>,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// A stage of [`JobDetails`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageDetails {
    pub name: String,
    pub status: String,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// Why a job failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailureDetails {
    pub reason: String,
    pub remedy: String,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// The pull request of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRequestDetails {
    pub url: String,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// What another plan should be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RevisePlan {
    /// In words, for the model.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 8000, pattern = r"\S"))]
    pub words: String,
}
