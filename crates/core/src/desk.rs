//! The desk: where whoever works on a task gets what it needs, and tells what happened. The server itself works at its
//! own desk; a node on another machine works at the same one over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_domain::job::JobEvent;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::money::Budget;
use patchwright_domain::{Issue, Job, JobId, TaskId, Usage};
use serde::{Deserialize, Serialize};

use crate::fault::{Cause, Fault};
use crate::forge::GitCredential;
use crate::model_calls::{ModelCall, Said};
use crate::store::StoreError;

/// A task that somebody holds: enough to begin with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The task.
    pub task: TaskId,
    /// The job that it carries out.
    pub job: JobId,
    /// The fencing token.
    pub epoch: u64,
    /// How long the hold lasts without a sign of life.
    pub lease: Duration,
}

/// Whether the `agent/*` report files are committed (`spec/pipeline`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFiles {
    /// On the branch when the job is an analysis only; otherwise they stay in the pull request's text.
    WhenAnalysisOnly,
    /// Always on the branch (`seeds/002 §10`).
    Branch,
    /// Never.
    None,
}

/// The rules that a task is worked on by, wherever that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The most that the job may spend on the model.
    pub budget: Budget,
    /// How long one worker may be at one job without a break.
    pub job_timeout: Duration,
    /// The longest answer of the model, in tokens.
    pub max_answer_tokens: Option<u32>,
    /// How often verify may send a fix back.
    pub max_rounds: u32,
    /// Whether the `agent/*` files are committed.
    pub report_files: ReportFiles,
    /// Whether what the model is asked and says is kept.
    #[serde(default)]
    pub keep_model_calls: bool,
    /// The author of commits.
    pub author_name: String,
    /// Their address.
    pub author_email: String,
    /// Whoever asked, as commits name them beside the author (`login <address>`), where the forge has an address for it.
    #[serde(default)]
    pub co_author: Option<String>,
}

/// What whoever begins a task is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The job, held by the task.
    pub job: Job,
    /// The issue that it is for.
    pub issue: Issue,
    /// Where git finds the repository; never with credentials in it.
    pub clone_url: String,
    /// The rules.
    pub terms: Terms,
}

/// Why something cannot be done, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What happened, to which thing.
    pub reason: String,
    /// What to do next.
    pub remedy: String,
    /// What the worker can do about it.
    pub fault: Fault,
    /// Whether the model may not be asked any more; what is there without it stands.
    #[serde(default)]
    pub out_of_budget: bool,
}

/// How a task ended, as its worker tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// Everything that could be done is done.
    Completed {
        /// What may be said of it.
        verdict: Verdict,
    },
    /// It cannot be done, for now or for good.
    Failed {
        /// Why.
        refusal: Refusal,
        /// In which stage; `None` before the first or between two.
        stage: Option<StageKind>,
        /// What that stage has cost.
        usage: Usage,
    },
    /// The worker stops; the job is for another one.
    HandedBack,
    /// The plan is there, and the job goes on in another task when somebody has approved it.
    Paused,
}

/// The desk did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The task is not this worker's any more: a person stopped the job, or another worker has it. Whatever this one
    /// does from here on is worth nothing.
    #[error("the task is not this worker's any more")]
    Gone,
    /// What was asked for cannot be had.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The desk cannot be reached, or cannot read or write now. The job goes on when the lease has run out.
    #[error("the desk cannot be reached or cannot write now")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
}

impl From<StoreError> for DeskError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable { source: Box::new(error) }
    }
}

impl DeskError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Gone => Fault::Missing,
            Self::Refused(refusal) => refusal.fault,
            Self::Unavailable { .. } => Fault::RETRY,
        }
    }
}

/// The desk of one task. How the task ended is told elsewhere: that must outlive the worker.
///
/// An implementation MUST answer [`DeskError::Gone`] to whoever has lost the hold, whatever is asked, and MUST apply
/// what was told twice, because an answer was lost, once.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Takes the task up: whether it may be done is asked now. `model` is the one that the worker asks, for the
    /// statistics; empty where it asks none.
    async fn begin(&self, model: &str) -> Result<Assignment, DeskError>;

    /// Says that the worker is still there.
    async fn renew(&self) -> Result<(), DeskError>;

    /// Tells what happened, and says how the job stands then.
    async fn tell(&self, event: JobEvent) -> Result<Job, DeskError>;

    /// What git needs to read and write the repository, for the next call only.
    async fn credential(&self) -> Result<Option<GitCredential>, DeskError>;

    /// Books what a call of the model may cost at the most, and says the day that it is booked on.
    async fn reserve(&self, most: Usage) -> Result<Date, DeskError>;

    /// Books what it did cost in place of what was reserved.
    async fn settle(&self, day: Date, reserved: Usage, spent: Usage) -> Result<(), DeskError>;

    /// Keeps a call of the model for people to read. Secrets are masked before.
    async fn note_call(&self, call: ModelCall, said: Said) -> Result<(), DeskError>;

    /// Adds a piece to the task's log; pieces are numbered from 0. Secrets are masked before.
    async fn log(&self, piece: u64, text: String) -> Result<(), DeskError>;
}
