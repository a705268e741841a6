//! The context of a stage, and the reasons for which a run stops.

use std::sync::Arc;

use patchwright_core::CancellationToken;
use patchwright_core::code_index::CodeIndexError;
use patchwright_core::fault::{Fault, error_chain};
use patchwright_core::git::GitError;
use patchwright_core::llm::LlmError;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::SandboxError;
use patchwright_core::task_session::{Refusal, TaskPolicy, TaskSessionError};
use patchwright_core::tracker::ForgeError;
use patchwright_domain::job::FailureOrigin;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::{CommitSha, Issue, Job};

use crate::budgeted_llm::BudgetedLlm;
use crate::dialogue::Dialogue;
use crate::repository::Repository;
use crate::worker::Tools;

/// The input and the tools of a stage. A stage never writes to the store.
pub(crate) struct StageContext<'a> {
    pub(crate) job: &'a Job,
    pub(crate) issue: &'a Issue,
    pub(crate) workspace: &'a dyn patchwright_core::git::Workspace,
    /// A folder beside the working copy, for exports and caches.
    pub(crate) scratch: &'a std::path::Path,
    pub(crate) llm: Option<&'a BudgetedLlm<'a>>,
    pub(crate) dialogue: &'a Dialogue<'a>,
    pub(crate) repository: &'a Arc<Repository>,
    pub(crate) tools: &'a Tools,
    pub(crate) policy: &'a TaskPolicy,
    /// The commit that this run tested last and sent back.
    pub(crate) sent_back: Option<&'a CommitSha>,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) progress: &'a Progress,
}

/// Why a run stops before the job's end.
#[derive(Debug)]
pub(crate) enum StopReason {
    /// A stage failed; its `fault` says whether a later attempt may succeed.
    Failed(StageError),
    /// The lease is lost, or a user cancelled the job: nothing may be written any more.
    LeaseLost,
    /// The server shuts down: the job goes back into the queue.
    Release,
    /// The plan is finished and waits for approval.
    Paused,
    /// The session cannot be reached. The lease expires and another worker continues the job.
    Unreachable(String),
}

/// A stage, or a step between two stages, failed.
#[derive(Debug)]
pub(crate) struct StageError {
    pub(crate) stage: Option<StageKind>,
    /// The error, with its subject.
    pub(crate) reason: String,
    /// What the user can do about it.
    pub(crate) remedy: String,
    pub(crate) fault: Fault,
    /// Whether the model budget is used up; results without a model stay valid.
    pub(crate) out_of_budget: bool,
    /// Which part failed.
    pub(crate) origin: FailureOrigin,
}

impl StageError {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<String>, fault: Fault) -> Self {
        let origin = FailureOrigin::Request;
        Self { stage: None, reason: reason.into(), remedy: remedy.into(), fault, out_of_budget: false, origin }
    }

    pub(crate) fn out_of_budget(reason: String, remedy: &str) -> Self {
        Self { out_of_budget: true, ..Self::new(reason, remedy, Fault::Denied) }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal {
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
            fault: self.fault,
            out_of_budget: self.out_of_budget,
            origin: self.origin,
        }
    }
}

impl From<Refusal> for StageError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, remedy, fault, out_of_budget, origin } = refusal;
        Self { stage: None, reason, remedy, fault, out_of_budget, origin }
    }
}

impl From<GitError> for StageError {
    fn from(error: GitError) -> Self {
        Refusal::from(error).into()
    }
}

impl From<ForgeError> for StageError {
    fn from(error: ForgeError) -> Self {
        Refusal::from(error).into()
    }
}

impl From<LlmError> for StageError {
    fn from(error: LlmError) -> Self {
        Refusal::from_error(&error, error.fault(), FailureOrigin::Model).into()
    }
}

impl From<CodeIndexError> for StageError {
    fn from(error: CodeIndexError) -> Self {
        Refusal::from_error(&error, error.fault(), FailureOrigin::Internal).into()
    }
}

impl From<SandboxError> for StageError {
    fn from(error: SandboxError) -> Self {
        let origin = match error {
            SandboxError::Internal { .. } => FailureOrigin::Machine,
            _ => FailureOrigin::Request,
        };
        Refusal::from_error(&error, error.fault(), origin).into()
    }
}

impl From<StageError> for StopReason {
    fn from(error: StageError) -> Self {
        Self::Failed(error)
    }
}

impl From<TaskSessionError> for StopReason {
    fn from(error: TaskSessionError) -> Self {
        match error {
            TaskSessionError::LeaseLost => Self::LeaseLost,
            TaskSessionError::Refused(refusal) => Self::Failed(refusal.into()),
            error @ TaskSessionError::Unavailable { .. } => Self::Unreachable(error_chain(&error)),
        }
    }
}
