//! The status of a job: its six states, their transitions, and the lease of the worker that runs it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Refused, TaskId};

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for a worker.
    Queued,
    /// A worker has its lease.
    Running,
    /// Its stages are done, and the forge does not show the result yet.
    Publishing,
    /// It succeeded, and its result is published.
    Succeeded,
    /// It failed and can be restarted.
    Failed,
    /// A user cancelled it.
    Cancelled,
}

/// The kinds of events that change a job's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobTransition {
    /// A worker claims it.
    Lease,
    /// The worker makes progress.
    Progress,
    /// The worker releases it to the queue.
    Release,
    /// Its stages are done.
    Complete,
    /// Its result is published.
    Publish,
    /// It fails.
    Fail,
    /// A user cancels it.
    Cancel,
    /// A user restarts it.
    Restart,
    /// Its result cannot be published.
    Unpublish,
}

impl JobStatus {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Publishing, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Returns the next state.
    ///
    /// # Errors
    /// [`Refused`] for every pair that `docs/pipeline.md#the-state-machines` does not name.
    pub const fn on(self, transition: JobTransition) -> Result<Self, Refused> {
        use JobTransition as T;
        match (self, transition) {
            (Self::Queued, T::Lease) | (Self::Running, T::Progress) => Ok(Self::Running),
            (Self::Running, T::Release) | (Self::Failed | Self::Cancelled, T::Restart) => Ok(Self::Queued),
            (Self::Running, T::Complete) => Ok(Self::Publishing),
            (Self::Publishing, T::Publish) => Ok(Self::Succeeded),
            (Self::Queued | Self::Running, T::Fail) | (Self::Publishing, T::Unpublish) => Ok(Self::Failed),
            (Self::Queued | Self::Running, T::Cancel) => Ok(Self::Cancelled),
            (from, event) => Err(Refused::State { subject: "a job", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Publishing => "publishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Returns whether a user can cancel the job.
    pub const fn is_cancellable(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// Returns whether the status is final unless a user restarts the job.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl JobTransition {
    /// All transitions.
    pub const ALL: [Self; 9] = [
        Self::Lease,
        Self::Progress,
        Self::Release,
        Self::Complete,
        Self::Publish,
        Self::Fail,
        Self::Cancel,
        Self::Restart,
        Self::Unpublish,
    ];

    /// Returns the transition as a verb phrase, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "be leased",
            Self::Progress => "make progress",
            Self::Release => "be released",
            Self::Complete => "complete",
            Self::Publish => "be published",
            Self::Fail => "fail",
            Self::Cancel => "be cancelled",
            Self::Restart => "be restarted",
            Self::Unpublish => "fail to be published",
        }
    }
}

/// The status with the data that is specific to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Queued; a postponed job is not claimed before a time.
    Queued {
        /// The earliest time of a claim.
        not_before: Timestamp,
    },
    /// Leased to a worker.
    Running {
        /// The worker and the expiry.
        lease: Lease,
    },
    /// Complete, and being published.
    Publishing,
    /// Complete.
    Succeeded,
    /// Failed; the job has the error.
    Failed,
    /// Cancelled by a user.
    Cancelled,
}

impl JobState {
    /// Returns the status without its data.
    pub const fn status(&self) -> JobStatus {
        match self {
            Self::Queued { .. } => JobStatus::Queued,
            Self::Running { .. } => JobStatus::Running,
            Self::Publishing => JobStatus::Publishing,
            Self::Succeeded => JobStatus::Succeeded,
            Self::Failed => JobStatus::Failed,
            Self::Cancelled => JobStatus::Cancelled,
        }
    }
}

/// A worker's exclusive right to run a job. A worker whose epoch is older than the job's has lost it and cannot change
/// the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker.
    pub holder: String,
    /// The task that runs under this lease.
    pub task_id: TaskId,
    /// When the lease expires. The store renews it without a change of the job.
    pub until: Timestamp,
}
