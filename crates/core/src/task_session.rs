//! A task session: the port through which a worker executes one task. The embedded worker uses the engine's own
//! implementation; a worker on another machine uses the same port over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_domain::job::FailureOrigin;
use patchwright_domain::job::WorkerEvent;
use patchwright_domain::job::report::{ReadyWhen, Verdict};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::money::Budget;
use patchwright_domain::protected::EditablePaths;
use patchwright_domain::{Issue, Job, JobId, SandboxGrants, TaskId, Usage};
use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::fault::{Cause, Fault, error_chain};
use crate::forge::GitCredential;
use crate::model_calls::{ModelCall, Transcript};
use crate::store::StoreError;

/// The lease of one task: everything that a worker needs to start it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLease {
    /// The task.
    pub task: TaskId,
    /// The job that it runs.
    pub job: JobId,
    /// The fencing token.
    pub epoch: u64,
    /// How long the lease lasts without a renewal.
    pub duration: Duration,
}

/// Whether the `agent/*` report files are committed (`docs/requirements.md#r293`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFiles {
    /// On the branch if the job is an analysis only; otherwise they are in the pull request's text.
    WhenAnalysisOnly,
    /// Always on the branch (`docs/requirements.md#r293`).
    Branch,
    /// Never.
    None,
}

/// The limits and options under which a task is executed, on every node alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPolicy {
    /// The model budget of the job.
    pub budget: Budget,
    /// How long one worker may spend on one job.
    pub job_timeout: Duration,
    /// The largest answer of the model, in tokens.
    pub max_answer_tokens: Option<u32>,
    /// How many attempts a fix may take that the tests do not prove.
    pub fix_attempts: u32,
    /// How often the model may answer in one attempt.
    #[serde(default = "default_fix_steps")]
    pub fix_steps: u32,
    /// How long the conversation about a fix may grow before what was looked at first is left out, in tokens.
    #[serde(default = "default_fix_window")]
    pub fix_window: u32,
    /// The model that reads the change before it is tested; none if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_model: Option<String>,
    /// Whether the `agent/*` files are committed.
    pub report_files: ReportFiles,
    /// Whether prompts and answers of the model are stored.
    #[serde(default)]
    pub keep_model_calls: bool,
    /// The name of the author of commits.
    pub author_name: String,
    /// The e-mail address of the author of commits.
    pub author_email: String,
    /// The requester as the co-author of commits (`login <address>`), if the forge has an address for them.
    #[serde(default)]
    pub co_author: Option<String>,
    /// Whether commits are signed off by their author.
    #[serde(default)]
    pub sign_off: bool,
    /// The protected files that jobs may change.
    #[serde(default)]
    pub editable_paths: EditablePaths,
    /// What makes a pull request ready for review.
    #[serde(default)]
    pub ready_when: ReadyWhen,
    /// A command that runs all tests, in place of the suites that are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_command: Option<String>,
    /// What an administrator lets the repository's code do in the sandbox.
    #[serde(default, skip_serializing_if = "SandboxGrants::is_empty")]
    pub grants: SandboxGrants,
}

/// The steps of an attempt unless the policy says otherwise.
pub const DEFAULT_FIX_STEPS: u32 = 24;
/// The window of a conversation unless the policy says otherwise, in tokens.
pub const DEFAULT_FIX_WINDOW: u32 = 24_000;

const fn default_fix_steps() -> u32 {
    DEFAULT_FIX_STEPS
}

const fn default_fix_window() -> u32 {
    DEFAULT_FIX_WINDOW
}

/// Returned when a task is started: the job, its issue, and how to execute it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The job, leased by the task.
    pub job: Job,
    /// The issue that it is for.
    pub issue: Issue,
    /// The clone address of the repository, without credentials.
    pub clone_url: String,
    /// The address of the fork that branches are pushed to, without credentials; none if it is the repository.
    #[serde(default)]
    pub push_url: Option<String>,
    /// The limits and options.
    pub policy: TaskPolicy,
    /// The conversation with the model that an earlier worker of this job stored.
    #[serde(default)]
    pub conversation: Option<Conversation>,
}

/// The reason why a request is refused or failed, for users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The error, with its subject.
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
    /// What the worker can do about it.
    pub fault: Fault,
    /// Whether the model budget is used up; results without a model stay valid.
    #[serde(default)]
    pub out_of_budget: bool,
    /// Which part failed.
    #[serde(default)]
    pub origin: FailureOrigin,
}

impl Refusal {
    /// Creates a refusal with its reason and remedy.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>, fault: Fault) -> Self {
        let origin = FailureOrigin::Request;
        Self { reason: reason.into(), remedy: remedy.into(), fault, out_of_budget: false, origin }
    }

    /// Creates a refusal for a model budget that is used up.
    pub fn out_of_budget(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { out_of_budget: true, ..Self::new(reason, remedy, Fault::Denied) }
    }

    /// Creates a refusal for an error of a port, whose message already names the subject and the setting.
    pub fn from_error(error: &dyn std::error::Error, fault: Fault, origin: FailureOrigin) -> Self {
        let remedy = match fault {
            Fault::Retry { .. } => "Retry the job when the service is available again.",
            Fault::Denied => "Change the setting or permission that the message names, then retry the job.",
            Fault::Missing => "Correct the problem that the message names, then retry the job.",
            Fault::Internal => "Search the server's log for this job id, then retry the job.",
        };
        let reason = error_chain(error);
        let origin = origin.refine(&reason);
        Self { origin, ..Self::new(reason, remedy, fault) }
    }

    /// Returns it as a failure of another part.
    #[must_use]
    pub fn of(self, origin: FailureOrigin) -> Self {
        Self { origin, ..self }
    }
}

impl From<crate::tracker::ForgeError> for Refusal {
    fn from(error: crate::tracker::ForgeError) -> Self {
        Self::from_error(&error, error.fault(), FailureOrigin::Forge)
    }
}

impl From<crate::git::GitError> for Refusal {
    fn from(error: crate::git::GitError) -> Self {
        Self::from_error(&error, error.fault(), error.failure_origin())
    }
}

/// How a task ended, as reported by its worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOutcome {
    /// The job is complete.
    Completed {
        /// The verdict on the result.
        verdict: Verdict,
    },
    /// The job failed, temporarily or permanently.
    Failed {
        /// Why.
        refusal: Refusal,
        /// The stage; `None` before the first or between two.
        stage: Option<StageKind>,
        /// The model usage of that stage.
        usage: Usage,
    },
    /// The worker shuts down and returns the job to the queue.
    Released,
    /// The plan is complete, and the job continues in another task after its approval.
    Paused,
}

/// A call on a task session failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskSessionError {
    /// The worker lost the lease: a user cancelled the job, or another worker holds it. Nothing that this worker
    /// reports from here on is accepted.
    #[error("the lease of this task is lost")]
    LeaseLost,
    /// The request was refused, with the reason and the remedy.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server or its database cannot be reached. The job is re-queued when the lease expires.
    #[error("the server cannot be reached or cannot write now")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
}

impl From<StoreError> for TaskSessionError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable { source: Box::new(error) }
    }
}

impl TaskSessionError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::LeaseLost => Fault::Missing,
            Self::Refused(refusal) => refusal.fault,
            Self::Unavailable { .. } => Fault::RETRY,
        }
    }
}

/// The session of one task. The outcome of the task is reported outside of it, because that report must outlive the
/// worker.
///
/// An implementation MUST return [`TaskSessionError::LeaseLost`] from every method once the lease is lost, and MUST apply
/// a report that is repeated (because its response was lost) once.
#[async_trait]
pub trait TaskSession: Send + Sync {
    /// Starts the task. Permission and the state of the repository are checked now. `model` names the model that the
    /// worker uses, for the statistics; empty when it uses none.
    async fn start(&self, model: &str) -> Result<Assignment, TaskSessionError>;

    /// Renews the lease.
    async fn renew_lease(&self) -> Result<(), TaskSessionError>;

    /// Reports an event of the job and returns the job after it.
    async fn report(&self, event: WorkerEvent) -> Result<Job, TaskSessionError>;

    /// Returns a git credential for the repository, for the next call only; `None` when none is needed.
    async fn credential(&self) -> Result<Option<GitCredential>, TaskSessionError>;

    /// Returns another one after the git server refused the last: a token may be revoked at any time. Where the forge has
    /// only one, it is the same.
    async fn renew_credential(&self) -> Result<Option<GitCredential>, TaskSessionError> {
        self.credential().await
    }

    /// Reserves the most that a model call may cost, and returns the day that it is charged to.
    async fn reserve(&self, most: Usage) -> Result<Date, TaskSessionError>;

    /// Replaces a reservation with the actual cost.
    async fn settle(&self, day: Date, reserved: Usage, spent: Usage) -> Result<(), TaskSessionError>;

    /// Records a model call for users to read. Secrets MUST be masked before.
    async fn record_call(&self, call: ModelCall, transcript: Transcript) -> Result<(), TaskSessionError>;

    /// Stores the conversation with the model, for whoever continues the job. Secrets MUST be masked before.
    async fn save_conversation(&self, conversation: Conversation) -> Result<(), TaskSessionError>;

    /// Appends a chunk to the task's log; chunks are numbered from 0. Secrets MUST be masked before.
    async fn append_log(&self, chunk: u64, text: String) -> Result<(), TaskSessionError>;
}
