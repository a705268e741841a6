//! One dispatch of a job to one node (`docs/requirements.md#r106`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BranchName, IssueId, Job, JobId, Refused, TaskId};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Given to a node that has not begun.
    Pending,
    /// The node works on it.
    Running,
    /// The node reported a branch.
    Success,
    /// The node reported a failure, or was lost.
    Failed,
}

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// The node began.
    Started,
    /// The node ended well.
    Succeeded,
    /// The node ended badly.
    Failed,
    /// The node stopped answering; the job is dispatched again.
    NodeLost,
}

impl TaskStatus {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Running, Self::Success, Self::Failed];

    /// The next state.
    ///
    /// # Errors
    /// [`Refused`] for every pair that `docs/pipeline.md#the-state-machines` does not name.
    pub const fn on(self, event: TaskEvent) -> Result<Self, Refused> {
        match (self, event) {
            (Self::Pending, TaskEvent::Started) => Ok(Self::Running),
            (Self::Running, TaskEvent::Succeeded) => Ok(Self::Success),
            (Self::Running, TaskEvent::Failed) | (Self::Pending | Self::Running, TaskEvent::NodeLost) => {
                Ok(Self::Failed)
            }
            (from, event) => Err(Refused::State { subject: "a task", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// The status as it stands in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl TaskEvent {
    /// All events.
    pub const ALL: [Self; 4] = [Self::Started, Self::Succeeded, Self::Failed, Self::NodeLost];

    /// The event as a verb phrase, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "start",
            Self::Succeeded => "succeed",
            Self::Failed => "fail",
            Self::NodeLost => "lose its node",
        }
    }
}

/// The name of the node that is part of the server process.
pub const EMBEDDED_NODE: &str = "embedded";

/// A task as we keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Ours.
    pub id: TaskId,
    /// The job that it carries out.
    pub job_id: JobId,
    /// The issue that the job is for.
    pub issue_id: IssueId,
    /// The node that has it; [`EMBEDDED_NODE`] for the server itself.
    pub node: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Which dispatch of the job this is, from 1.
    pub attempt: u32,
    /// The number of the last event that its node told, so that one that is told twice counts once.
    #[serde(default)]
    pub last_report: u64,
    /// The model that whoever works on it asks; empty before it has begun, and where none is asked.
    #[serde(default)]
    pub model: String,
    /// The branch that came out.
    pub result_branch: Option<BranchName>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it was dispatched.
    pub created_at: Timestamp,
    /// When the node began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Task {
    /// The first task of a job. It has the job's own UUID, so that it can be named before a node has it.
    pub fn first(job: &Job, node: &str, now: Timestamp) -> Self {
        Self {
            id: TaskId::first_of(job.id),
            job_id: job.id,
            issue_id: job.issue_id,
            node: node.to_owned(),
            status: TaskStatus::Pending,
            attempt: 1,
            last_report: 0,
            model: String::new(),
            result_branch: None,
            error_message: None,
            created_at: now,
            started_at: None,
            completed_at: None,
            updated_at: now,
        }
    }

    /// The task after `event`.
    ///
    /// # Errors
    /// [`Refused`] as [`TaskStatus::on`] says.
    pub fn advance(mut self, event: TaskEvent, now: Timestamp) -> Result<Self, Refused> {
        self.status = self.status.on(event)?;
        self.updated_at = now;
        match event {
            TaskEvent::Started => self.started_at = Some(now),
            TaskEvent::Succeeded | TaskEvent::Failed | TaskEvent::NodeLost => self.completed_at = Some(now),
        }
        Ok(self)
    }
}
