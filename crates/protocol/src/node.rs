//! The protocol between server and nodes (`docs/nodes.md`). Unknown fields are ignored: the peer may be a minor version
//! ahead.

use jiff::civil::Date;
use patchwright_domain::SandboxGrants;
use patchwright_domain::job::FailureOrigin;
use patchwright_domain::job::report::{
    FixReport, LocateReport, ProposeReport, ReadyWhen, StageReport, Verdict, VerifyReport,
};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{Inheritance, WorkerEvent};
use patchwright_domain::money::Budget;
use patchwright_domain::node::Health;
use patchwright_domain::protected::EditablePaths;
use patchwright_domain::{CommitSha, Issue, IssueId, Job, JobId, TaskId, Usage};
use serde::{Deserialize, Serialize};

use crate::calls::MessageView;

/// `POST /api/v1/nodes/register`
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Register {
    /// The one-time join token.
    pub join_token: String,
    /// The node's version of the protocol.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9]{1,3}\\.[0-9]{1,3}$", example = "1.0"))]
    pub protocol: String,
    /// The node's version.
    pub version: String,
    /// How many tasks it runs at the same time.
    #[serde(deserialize_with = "crate::whole")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub capacity: u32,
    /// Detected labels.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::labels))]
    pub labels: Vec<String>,
}

/// The response to [`Register`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Registered {
    pub node_id: String,
    pub name: String,
    /// The node's token from now on.
    pub token: String,
    /// The key that the server signs pushed tasks with, as hexadecimal digits.
    pub dispatch_key: String,
    /// The server's version of the protocol.
    pub protocol: String,
}

/// `POST /api/v1/nodes/{id}/heartbeat`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    pub health: Health,
    /// The node's version of the protocol.
    pub protocol: String,
}

/// The response to [`Heartbeat`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatResponse {
    /// Whether the node gets no new tasks.
    pub draining: bool,
}

/// `POST /api/v1/nodes/{id}/lease`: the response is sent when there are tasks, or after `wait_seconds`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// The node's process: a new value after each start. Tasks that an earlier process had started, and that this one
    /// does not run, are lost.
    #[serde(default)]
    pub instance: String,
    /// The tasks that the node runs.
    pub running: Vec<TaskId>,
    #[serde(default)]
    pub wait_seconds: u64,
}

/// The response to [`LeaseRequest`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LeaseResponse {
    /// Tasks to start.
    #[serde(default)]
    pub offers: Vec<TaskOffer>,
    /// Tasks that the node does not hold any more.
    #[serde(default)]
    pub stop: Vec<TaskId>,
}

/// A task to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOffer {
    pub lease: TaskLease,
    pub issue_id: IssueId,
}

/// The lease of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLease {
    pub task: TaskId,
    pub job: JobId,
    /// The fencing token.
    pub epoch: u64,
    /// How long the lease lasts without a renewal.
    pub duration_ms: u64,
}

/// `POST /api/v1/tasks/{id}/begin`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StartTask {
    /// The model that the node uses, for the statistics.
    #[serde(default)]
    pub model: String,
}

/// The response to [`StartTask`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    pub job: Job,
    pub issue: Issue,
    /// The clone address, without credentials.
    pub clone_url: String,
    /// The address that branches are pushed to, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_url: Option<String>,
    pub policy: TaskPolicy,
    /// The conversation with the model that an earlier task of the job stored, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<serde_json::Value>,
}

/// The limits and options under which a task is executed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskPolicy {
    pub budget: Budget,
    pub job_timeout_ms: u64,
    /// The longest answer of the model, in tokens.
    pub max_answer_tokens: Option<u32>,
    /// How many attempts follow a first one that the tests do not prove.
    pub max_rounds: u32,
    /// How often the model may answer in one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_steps: Option<u32>,
    /// How long the conversation about a fix may grow, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_window: Option<u32>,
    /// The model that reads the change before it is tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_model: Option<String>,
    pub report_files: ReportFiles,
    #[serde(default)]
    pub keep_model_calls: bool,
    pub author_name: String,
    pub author_email: String,
    #[serde(default)]
    pub co_author: Option<String>,
    /// Whether commits are signed off by their author.
    #[serde(default)]
    pub sign_off: bool,
    /// The patterns of the protected files that jobs may change.
    #[serde(default)]
    pub editable_paths: EditablePaths,
    /// What makes a pull request ready for review.
    #[serde(default)]
    pub ready_when: ReadyWhen,
    /// A command that runs all tests, in place of the suites that are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_command: Option<String>,
    /// What the repository's code may do in the sandbox.
    #[serde(default, skip_serializing_if = "SandboxGrants::is_empty")]
    pub grants: SandboxGrants,
}

/// Whether the `agent/*` report files are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFiles {
    WhenAnalysisOnly,
    Branch,
    None,
}

/// `POST /api/v1/tasks/{id}/progress`: an event, or, without one, a renewal of the lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskProgress {
    /// Counts the events of the task from 1; an event that is sent twice counts once.
    #[serde(default)]
    pub number: u64,
    #[serde(default)]
    pub event: Option<TaskEvent>,
}

/// What a worker reports of its task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TaskEvent {
    /// A follow-up has no branch to build on any more, or takes over what the job before it left.
    BranchInherited {
        inheritance: Inheritance,
    },
    /// People pushed to the branch that a follow-up builds on.
    BranchMoved {
        commit: CommitSha,
    },
    StageStarted {
        stage: StageKind,
    },
    StageSucceeded {
        #[serde(flatten)]
        report: TaskStageReport,
        /// Markdown for people.
        comment: String,
        usage: Usage,
    },
    StageSkipped {
        stage: StageKind,
        reason: String,
    },
    BranchPushed {
        commit: CommitSha,
    },
    /// Verify rejected the fix.
    SentBack {
        feedback: String,
        usage: Usage,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Box<VerifyReport>>,
    },
    /// The base branch moved since the fix was made, which therefore starts again.
    BaseMoved,
}

/// The report of a stage, beside the name of the stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "stage", content = "report", rename_all = "snake_case")]
pub enum TaskStageReport {
    Locate(LocateReport),
    Propose(ProposeReport),
    Fix(FixReport),
    Verify(Box<VerifyReport>),
}

impl From<StageReport> for TaskStageReport {
    fn from(report: StageReport) -> Self {
        match report {
            StageReport::Locate(report) => Self::Locate(report),
            StageReport::Propose(report) => Self::Propose(report),
            StageReport::Fix(report) => Self::Fix(report),
            StageReport::Verify(report) => Self::Verify(report),
        }
    }
}

impl From<TaskStageReport> for StageReport {
    fn from(report: TaskStageReport) -> Self {
        match report {
            TaskStageReport::Locate(report) => Self::Locate(report),
            TaskStageReport::Propose(report) => Self::Propose(report),
            TaskStageReport::Fix(report) => Self::Fix(report),
            TaskStageReport::Verify(report) => Self::Verify(report),
        }
    }
}

impl From<WorkerEvent> for TaskEvent {
    fn from(event: WorkerEvent) -> Self {
        match event {
            WorkerEvent::BranchInherited { inheritance } => Self::BranchInherited { inheritance },
            WorkerEvent::BranchMoved { commit } => Self::BranchMoved { commit },
            WorkerEvent::StageStarted { stage } => Self::StageStarted { stage },
            WorkerEvent::StageSucceeded { report, comment, usage } => {
                Self::StageSucceeded { report: report.into(), comment, usage }
            }
            WorkerEvent::StageSkipped { stage, reason } => Self::StageSkipped { stage, reason },
            WorkerEvent::BranchPushed { commit } => Self::BranchPushed { commit },
            WorkerEvent::SentBack { feedback, usage, report } => Self::SentBack { feedback, usage, report },
            WorkerEvent::BaseMoved => Self::BaseMoved,
        }
    }
}

impl From<TaskEvent> for WorkerEvent {
    fn from(event: TaskEvent) -> Self {
        match event {
            TaskEvent::BranchInherited { inheritance } => Self::BranchInherited { inheritance },
            TaskEvent::BranchMoved { commit } => Self::BranchMoved { commit },
            TaskEvent::StageStarted { stage } => Self::StageStarted { stage },
            TaskEvent::StageSucceeded { report, comment, usage } => {
                Self::StageSucceeded { report: report.into(), comment, usage }
            }
            TaskEvent::StageSkipped { stage, reason } => Self::StageSkipped { stage, reason },
            TaskEvent::BranchPushed { commit } => Self::BranchPushed { commit },
            TaskEvent::SentBack { feedback, usage, report } => Self::SentBack { feedback, usage, report },
            TaskEvent::BaseMoved => Self::BaseMoved,
        }
    }
}

/// The response to [`TaskProgress`]: the job after an event, nothing after a renewal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskProgressResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// `POST /api/v1/tasks/{id}/reserve`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Reserve {
    /// The most that the call can cost.
    pub most: Usage,
}

/// The response to [`Reserve`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Reserved {
    /// The day that the call is charged to.
    pub day: Date,
}

/// `POST /api/v1/tasks/{id}/settle`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Settle {
    pub day: Date,
    pub reserved: Usage,
    pub spent: Usage,
}

/// The query of `POST /api/v1/tasks/{id}/credential`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct CredentialQuery {
    /// Whether the git server refused the last one.
    #[serde(default)]
    pub renew: bool,
}

/// The response to `POST /api/v1/tasks/{id}/credential`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credential {
    /// The user name that the platform expects beside a token.
    pub username: String,
    /// The token.
    pub password: String,
}

/// `POST /api/v1/tasks/{id}/logs`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogChunk {
    /// Counts from 0; a chunk that is sent twice is stored once.
    #[serde(alias = "piece")]
    pub chunk: u64,
    /// Whole lines.
    pub text: String,
}

/// `POST /api/v1/tasks/{id}/calls`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedCall {
    pub call: ModelCall,
    #[serde(alias = "said")]
    pub transcript: Transcript,
}

/// `POST /api/v1/tasks/{id}/conversation`: what the node needs to continue the task after a crash, for itself or another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaveConversation {
    /// Kept as it is, with secrets masked.
    pub conversation: serde_json::Value,
}

/// A model call without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Its position in its task, from 0; a call that is sent twice is stored once.
    pub number: u32,
    pub purpose: String,
    pub model: String,
    pub usage: Usage,
    pub millis: u64,
    pub error: Option<String>,
}

/// The texts of a model call, with secrets masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    #[serde(default)]
    pub question: Vec<MessageView>,
    #[serde(default)]
    pub answer: Option<String>,
}

/// `POST /api/v1/issues/{id}/report-branch` (`docs/requirements.md#management`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub task_id: TaskId,
    /// The pushed branch; absent when there is none.
    #[serde(default)]
    pub branch_name: Option<String>,
    pub status: ReportStatus,
    #[serde(default)]
    pub error_message: Option<String>,
    /// The outcome of a worker of this project; third-party nodes omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<TaskOutcome>,
}

/// A report as a third-party node writes it, for the description of the API.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes the fields that third-party nodes send")]
pub struct ReportBody {
    task_id: uuid::Uuid,
    branch_name: Option<String>,
    #[schema(schema_with = crate::schemas::report_status)]
    status: String,
    error_message: Option<String>,
}

/// The outcome of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportStatus {
    /// With a branch.
    Success,
    /// Without a branch.
    Failed,
}

/// The outcome of a task, as a worker of this project reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOutcome {
    Completed { verdict: Verdict },
    Failed { refusal: Refusal, stage: Option<StageKind>, usage: Usage },
    Released,
    Paused,
}

/// The reason why a request is refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The error, with its subject.
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
    pub fault: Fault,
    /// Whether the model budget is used up.
    #[serde(default)]
    pub out_of_budget: bool,
    #[serde(default)]
    pub origin: FailureOrigin,
}

/// What a caller can do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Retry { after_ms: Option<u64> },
    Denied,
    Missing,
    Internal,
}

/// `POST /process-issue` at a node in push mode (`docs/requirements.md#r144`). Fields after `command` are optional for
/// third-party nodes.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProcessIssue {
    pub issue_id: IssueId,
    pub task_id: TaskId,
    /// The clone address.
    pub repository_url: String,
    /// The issue's number on the forge.
    pub issue_number: u64,
    pub issue_title: String,
    pub issue_description: String,
    /// The git password; short-lived where the forge can issue such ones.
    pub credential_token: String,
    /// The command.
    pub command: String,
    /// The address that the branch is reported to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The branch to push. A node that pushes another one has its commit moved to this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The branch that it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<String>,
    /// The lease that the node holds; third-party nodes ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<TaskLease>,
}

/// The response of a node to [`ProcessIssue`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// `accepted`, `running`, or the reason for a rejection.
    pub status: String,
}

crate::debug_without_secrets!(Register: version, Registered: node_id, Credential: username, ProcessIssue: task_id);
