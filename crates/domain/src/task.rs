//! One dispatch of a job to one node (`docs/requirements.md#r106`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BranchName, IssueId, Job, JobId, Refused, TaskId};

/// The status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Assigned to a node that has not started it.
    Pending,
    /// The node is running it.
    Running,
    /// The node reported a branch.
    Success,
    /// The node reported a failure, or was lost.
    Failed,
}

/// The events of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// The node started it.
    Started,
    /// The node completed it.
    Succeeded,
    /// The node failed it.
    Failed,
    /// The node stopped answering; the job is dispatched again.
    NodeLost,
}

impl TaskStatus {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Running, Self::Success, Self::Failed];

    /// Returns the next state.
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

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl TaskEvent {
    /// All events.
    pub const ALL: [Self; 4] = [Self::Started, Self::Succeeded, Self::Failed, Self::NodeLost];

    /// Returns the event as a verb phrase, for messages.
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

/// A task as this server stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The task's id.
    pub id: TaskId,
    /// The job that it runs.
    pub job_id: JobId,
    /// The issue that the job is for.
    pub issue_id: IssueId,
    /// The name of its node; [`EMBEDDED_NODE`] for the server itself.
    pub node: String,
    /// The status.
    pub status: TaskStatus,
    /// The number of this dispatch of the job, from 1.
    pub attempt: u32,
    /// The sequence number of the last event that its node reported, for deduplication of repeated reports.
    #[serde(default)]
    pub last_report: u64,
    /// The model that the worker uses; empty before the start, and if none is used.
    #[serde(default)]
    pub model: String,
    /// The resulting branch.
    pub result_branch: Option<BranchName>,
    /// The error, if it failed.
    pub error_message: Option<String>,
    /// When it was dispatched.
    pub created_at: Timestamp,
    /// When the node started it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Task {
    /// Creates the first task of a job. It has the job's own UUID, so that its id is known before a node has it.
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

    /// Returns the task after `event`.
    ///
    /// # Errors
    /// [`Refused`], as [`TaskStatus::on`] describes.
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
