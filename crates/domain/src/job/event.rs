//! The events of a job.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::{StageReport, Verdict};
use super::stage::StageKind;
use super::status::Lease;
use super::{Failure, Inheritance, PullRequestEnd, PullRequestRef};
use crate::{BranchName, CommitSha, Usage};

/// An event of a job. Events from a worker have the epoch of its lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    /// A worker claims the job.
    Leased {
        /// The worker's lease.
        lease: Lease,
    },
    /// The worker did not renew its lease in time.
    LeaseExpired,
    /// The worker releases the job unfinished, because the server stops.
    Released {
        /// The epoch of the worker's lease.
        epoch: u64,
    },
    /// The job cannot continue now and is retried later.
    Postponed {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The time of the retry.
        until: Timestamp,
        /// The running stage, and its model usage so far.
        spent: Option<(StageKind, Usage)>,
        /// Whether the remote side requested the wait; then it does not count as an attempt.
        asked: bool,
    },
    /// The forge returned the base branch.
    BaseBranchKnown {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The base branch.
        branch: BranchName,
    },
    /// A follow-up has read the state of the previous job.
    BranchInherited {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The state that it continues from.
        inheritance: Inheritance,
    },
    /// The branch of a follow-up has moved on the forge: someone else has pushed.
    BranchMoved {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The branch's current commit.
        commit: CommitSha,
    },
    /// A stage starts.
    StageStarted {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The stage.
        stage: StageKind,
    },
    /// A stage ended with a report.
    StageSucceeded {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The stage's report.
        report: StageReport,
        /// The text for users, Markdown.
        comment: String,
        /// The model usage.
        usage: Usage,
    },
    /// A stage is skipped.
    StageSkipped {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The stage.
        stage: StageKind,
        /// The reason.
        reason: String,
    },
    /// The branch was pushed to the forge.
    BranchPushed {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The pushed commit.
        commit: CommitSha,
    },
    /// The verification failed; the fix is revised.
    SentBack {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The failure, for the next attempt.
        feedback: String,
        /// The model usage of the verification.
        usage: Usage,
    },
    /// The base branch has moved since the fix, and the job starts from the newer commit. The fix is repeated: it
    /// contains whole files and could undo the commits in between.
    BaseMoved {
        /// The epoch of the worker's lease.
        epoch: u64,
    },
    /// The job is complete.
    Completed {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The verdict on the result.
        verdict: Verdict,
    },
    /// The job failed.
    Failed {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The reason.
        failure: Failure,
        /// The model usage of the failed stage.
        usage: Usage,
    },
    /// The requester adds instructions before the job starts.
    MoreAsked {
        /// The additional instructions.
        instructions: String,
    },
    /// A user approves the plan.
    PlanApproved {
        /// The login of the user.
        by: String,
    },
    /// A user cancels the job.
    CancelRequested,
    /// A user restarts the job at the first stage that did not succeed.
    RestartRequested,
    /// The progress comment was posted.
    CommentPosted {
        /// The comment's id on the platform.
        id: String,
    },
    /// The result comment was posted.
    ResultPosted {
        /// The comment's id on the platform.
        id: String,
    },
    /// The pull request was opened.
    PullRequestOpened(PullRequestRef),
    /// The pull request was marked ready for review.
    PullRequestReady,
    /// The pull request was merged or closed.
    PullRequestEnded {
        /// Whether it was merged or closed.
        end: PullRequestEnd,
    },
    /// An effect failed permanently.
    DeliveryFailed {
        /// The effect and the reason.
        problem: String,
    },
}

impl JobEvent {
    /// Returns whether a worker reports this event about its work. The start and end of a task are reported separately.
    pub const fn is_of_work(&self) -> bool {
        matches!(
            self,
            Self::BranchInherited { .. }
                | Self::BranchMoved { .. }
                | Self::StageStarted { .. }
                | Self::StageSucceeded { .. }
                | Self::StageSkipped { .. }
                | Self::BranchPushed { .. }
                | Self::SentBack { .. }
                | Self::BaseMoved { .. }
        )
    }

    /// Returns the epoch of the sender's lease; `None` for events that no worker sends.
    pub const fn epoch(&self) -> Option<u64> {
        match self {
            Self::Released { epoch }
            | Self::Postponed { epoch, .. }
            | Self::BaseBranchKnown { epoch, .. }
            | Self::BranchInherited { epoch, .. }
            | Self::BranchMoved { epoch, .. }
            | Self::StageStarted { epoch, .. }
            | Self::StageSucceeded { epoch, .. }
            | Self::StageSkipped { epoch, .. }
            | Self::BranchPushed { epoch, .. }
            | Self::SentBack { epoch, .. }
            | Self::BaseMoved { epoch }
            | Self::Completed { epoch, .. }
            | Self::Failed { epoch, .. } => Some(*epoch),
            Self::Leased { .. }
            | Self::LeaseExpired
            | Self::MoreAsked { .. }
            | Self::PlanApproved { .. }
            | Self::CancelRequested
            | Self::RestartRequested
            | Self::CommentPosted { .. }
            | Self::ResultPosted { .. }
            | Self::PullRequestOpened(_)
            | Self::PullRequestReady
            | Self::PullRequestEnded { .. }
            | Self::DeliveryFailed { .. } => None,
        }
    }
}
