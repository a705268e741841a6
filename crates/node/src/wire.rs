//! What server and node send each other (`docs/nodes.md`). Unknown fields are passed over: the other side may be a minor
//! version ahead.

use jiff::civil::Date;
use patchwright_core::model_calls::{ModelCall, Transcript};
use patchwright_core::task_session::{Refusal, TaskLease, TaskOutcome};
use patchwright_domain::job::JobEvent;
use patchwright_domain::node::Health;
use patchwright_domain::{IssueId, JobId, TaskId, Usage};
use serde::{Deserialize, Serialize};

/// `POST /api/v1/nodes/register`
#[derive(Clone, Serialize, Deserialize)]
pub struct Register {
    /// The one-time join token.
    pub join_token: String,
    /// The node's version of the protocol.
    pub protocol: String,
    /// The node's version.
    pub version: String,
    /// How many tasks it runs at the same time.
    #[serde(deserialize_with = "whole")]
    pub capacity: u32,
    /// What it has.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// The answer to [`Register`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Registered {
    /// The node's id.
    pub node_id: String,
    /// Its name.
    pub name: String,
    /// What it comes in with from now on.
    pub token: String,
    /// What the server signs pushed tasks with, as hexadecimal digits.
    pub dispatch_key: String,
    /// The server's version of the protocol.
    pub protocol: String,
}

/// `POST /api/v1/nodes/{id}/heartbeat`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// How it is.
    pub health: Health,
    /// The node's version of the protocol.
    pub protocol: String,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatResponse {
    /// Whether it is given nothing more.
    pub draining: bool,
}

/// `POST /api/v1/nodes/{id}/lease`: answered when there is something to say, or after a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// The process that asks: another word after each start. What the one before had begun and this one does not name
    /// among the running is lost.
    #[serde(default)]
    pub instance: String,
    /// The tasks that the node has.
    pub running: Vec<TaskId>,
    /// How long the answer may take, in seconds.
    #[serde(default)]
    pub wait_seconds: u64,
}

/// The answer to [`LeaseRequest`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LeaseResponse {
    /// Tasks to begin.
    #[serde(default)]
    pub offers: Vec<TaskOffer>,
    /// Tasks that are not the node's any more.
    #[serde(default)]
    pub stop: Vec<TaskId>,
}

/// A task to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOffer {
    /// The lease that the node holds.
    pub lease: TaskLease,
    /// The issue that it is for.
    pub issue_id: IssueId,
}

/// `POST /api/v1/tasks/{id}/begin`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StartTask {
    /// The model that the node asks, for the statistics.
    #[serde(default)]
    pub model: String,
}

/// `POST /api/v1/tasks/{id}/progress`: something happened, or, without an event, the node is still at it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskProgress {
    /// Counts the events of the task from 1; one that was told twice counts once.
    #[serde(default)]
    pub number: u64,
    /// What happened.
    #[serde(default)]
    pub event: Option<JobEvent>,
}

/// `POST /api/v1/tasks/{id}/reserve`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Reserve {
    /// The most that the call can cost.
    pub most: Usage,
}

/// The answer to [`Reserve`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Reserved {
    /// The day that it is booked on.
    pub day: Date,
}

/// `POST /api/v1/tasks/{id}/settle`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Settle {
    /// The day that it was booked on.
    pub day: Date,
    /// What was reserved.
    pub reserved: Usage,
    /// What it cost.
    pub spent: Usage,
}

/// The answer of `POST /api/v1/tasks/{id}/credential`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credential {
    /// The user name that the platform wants beside a token.
    pub username: String,
    /// The token.
    pub password: String,
}

/// `POST /api/v1/tasks/{id}/logs`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogChunk {
    /// Counts from 0; a piece that was sent twice is kept once.
    pub piece: u64,
    /// Whole lines.
    pub text: String,
}

/// `POST /api/v1/tasks/{id}/calls`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The call; one that was sent twice is kept once.
    pub call: ModelCall,
    /// What was said in it.
    pub said: Transcript,
}

/// `POST /api/v1/issues/{id}/report-branch` (`seeds/001`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The task.
    pub task_id: TaskId,
    /// The branch that came out; nothing when there is none.
    #[serde(default)]
    pub branch_name: Option<String>,
    /// `success` or `failed`.
    pub status: ReportStatus,
    /// Why it failed.
    #[serde(default)]
    pub error_message: Option<String>,
    /// How it ended, in our own words; a node of another make leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<TaskOutcome>,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportStatus {
    /// With a branch.
    Success,
    /// Without.
    Failed,
}

/// A problem (RFC 9457), as far as a node reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// What kind: `task_gone`, `refused` and others.
    #[serde(default)]
    pub code: String,
    /// In words.
    #[serde(default)]
    pub detail: String,
    /// Why something was refused, with what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// `POST /process-issue` at a node that is pushed to (`seeds/001`, "Node端要求"), with what is ours.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProcessIssue {
    /// The issue here.
    pub issue_id: IssueId,
    /// The task.
    pub task_id: TaskId,
    /// Where git finds the repository.
    pub repository_url: String,
    /// The issue's number on the forge.
    pub issue_number: u64,
    /// Its title.
    pub issue_title: String,
    /// Its text.
    pub issue_description: String,
    /// What git may read and write the repository with; short-lived where the forge can make such ones.
    pub credential_token: String,
    /// What is to be done.
    pub command: String,
    /// Where the branch is reported.
    pub callback_url: String,
    /// The job.
    pub job_id: JobId,
    /// The branch to make.
    pub branch: String,
    /// The branch that it starts from.
    pub base_branch: String,
    /// The lease that the node holds; third-party nodes ignore it.
    pub lease: TaskLease,
}

/// The answer of a node that was sent a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// `accepted`, `running`, or why not.
    pub status: String,
}

/// Reads a whole number that may be written with a fraction of zero: to JSON Schema `13.0` is an integer.
fn whole<'de, D: serde::Deserializer<'de>>(given: D) -> Result<u32, D::Error> {
    let number = f64::deserialize(given)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what does not fit is refused")]
    let whole = number as u32;
    if (f64::from(whole) - number).abs() < f64::EPSILON {
        Ok(whole)
    } else {
        Err(serde::de::Error::custom(format!("{number} is no whole number")))
    }
}

macro_rules! without_secrets {
    ($($name:ident: $shown:ident),*) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($shown), &self.$shown).finish_non_exhaustive()
            }
        })*
    };
}
without_secrets!(Register: version, Registered: node_id, Credential: username, ProcessIssue: task_id);
