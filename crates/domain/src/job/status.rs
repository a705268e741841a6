//! Where a job stands: its five states, their transitions, and the lease of the worker that runs it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Refused, TaskId};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for a worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// It ended and did what it could.
    Succeeded,
    /// It ended and could not; it is kept and can be restarted.
    Failed,
    /// A person stopped it.
    Cancelled,
}

/// The kinds of events that change a job's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobTransition {
    /// A worker takes it.
    Lease,
    /// The worker makes progress.
    Progress,
    /// The worker gives it back, to be taken up later.
    Release,
    /// It ends well.
    Complete,
    /// It ends badly.
    Fail,
    /// A person stops it.
    Cancel,
    /// A person restarts it.
    Restart,
}

impl JobStatus {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The next state.
    ///
    /// # Errors
    /// [`Refused`] for every pair that `docs/pipeline.md#the-state-machines` does not name.
    pub const fn on(self, transition: JobTransition) -> Result<Self, Refused> {
        use JobTransition as T;
        match (self, transition) {
            (Self::Queued, T::Lease) | (Self::Running, T::Progress) => Ok(Self::Running),
            (Self::Running, T::Release) | (Self::Failed | Self::Cancelled, T::Restart) => Ok(Self::Queued),
            (Self::Running, T::Complete) => Ok(Self::Succeeded),
            (Self::Queued | Self::Running, T::Fail) => Ok(Self::Failed),
            (Self::Queued | Self::Running, T::Cancel) => Ok(Self::Cancelled),
            (from, event) => Err(Refused::State { subject: "a job", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// The status as it stands in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing happens to it any more unless a person restarts it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl JobTransition {
    /// All transitions.
    pub const ALL: [Self; 7] =
        [Self::Lease, Self::Progress, Self::Release, Self::Complete, Self::Fail, Self::Cancel, Self::Restart];

    /// The transition as a verb phrase, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "be leased",
            Self::Progress => "make progress",
            Self::Release => "be released",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Cancel => "be cancelled",
            Self::Restart => "be restarted",
        }
    }
}

/// A status with what only it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Waits, not before a time when it is backing off.
    Queued {
        /// The earliest time that a worker may take it.
        not_before: Timestamp,
    },
    /// Held by a worker.
    Running {
        /// By whom, and until when.
        lease: Lease,
    },
    /// Done.
    Succeeded,
    /// Given up; the failure says why.
    Failed,
    /// Stopped by a person.
    Cancelled,
}

impl JobState {
    /// The status without its data.
    pub const fn status(&self) -> JobStatus {
        match self {
            Self::Queued { .. } => JobStatus::Queued,
            Self::Running { .. } => JobStatus::Running,
            Self::Succeeded => JobStatus::Succeeded,
            Self::Failed => JobStatus::Failed,
            Self::Cancelled => JobStatus::Cancelled,
        }
    }
}

/// A worker's exclusive right to run a job. A worker whose epoch is older than the job's has lost it and can change
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker.
    pub holder: String,
    /// The task that runs under this lease.
    pub task_id: TaskId,
    /// When others may take the job over. The store extends it on its own: a renewal is no change of the job.
    pub until: Timestamp,
}
