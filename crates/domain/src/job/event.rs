//! What can happen to a job.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::{StageReport, Verdict};
use super::stage::StageKind;
use super::status::Lease;
use super::{Failure, Inheritance, PullRequestEnd, PullRequestRef};
use crate::{BranchName, CommitSha, Usage};

/// Something that happened to a job. Events of a worker carry the epoch of its lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    /// A worker takes it.
    Leased {
        /// The lease that it is given.
        lease: Lease,
    },
    /// The worker did not renew in time.
    LeaseExpired,
    /// The worker gives the job back unfinished, because the server stops.
    Released {
        /// Of the worker's lease.
        epoch: u64,
    },
    /// The job cannot go on now, but may later.
    Postponed {
        /// Of the worker's lease.
        epoch: u64,
        /// When.
        until: Timestamp,
        /// The stage that was at work, and what it cost so far.
        spent: Option<(StageKind, Usage)>,
        /// Whether the other side asked for the wait: then it does not count as a try.
        asked: bool,
    },
    /// The forge told which branch to aim at.
    BaseBranchKnown {
        /// Of the worker's lease.
        epoch: u64,
        /// The branch.
        branch: BranchName,
    },
    /// A follow-up has looked at the job before it.
    BranchInherited {
        /// Of the worker's lease.
        epoch: u64,
        /// What it takes over.
        inheritance: Inheritance,
    },
    /// The branch that a follow-up builds on stands elsewhere on the forge than we left it: people have pushed.
    BranchMoved {
        /// Of the worker's lease.
        epoch: u64,
        /// Where it stands.
        commit: CommitSha,
    },
    /// A stage begins.
    StageStarted {
        /// Of the worker's lease.
        epoch: u64,
        /// Which.
        stage: StageKind,
    },
    /// A stage ended with a report.
    StageSucceeded {
        /// Of the worker's lease.
        epoch: u64,
        /// What came out.
        report: StageReport,
        /// What people should read.
        comment: String,
        /// What the model cost.
        usage: Usage,
    },
    /// A stage is passed over.
    StageSkipped {
        /// Of the worker's lease.
        epoch: u64,
        /// Which.
        stage: StageKind,
        /// Why.
        reason: String,
    },
    /// The branch stands on the forge.
    BranchPushed {
        /// Of the worker's lease.
        epoch: u64,
        /// At this commit.
        commit: CommitSha,
    },
    /// Verify found the fix wanting; the fix is made again.
    SentBack {
        /// Of the worker's lease.
        epoch: u64,
        /// What was wrong.
        feedback: String,
        /// What the verification itself cost.
        usage: Usage,
    },
    /// The base branch has moved since the fix was made, and the job starts from the newer commit: the fix, which holds
    /// whole files, could undo what others did in between. It is made again.
    BaseMoved {
        /// Of the worker's lease.
        epoch: u64,
    },
    /// Everything that could be done is done.
    Completed {
        /// Of the worker's lease.
        epoch: u64,
        /// What may be said of it.
        verdict: Verdict,
    },
    /// The job gives up.
    Failed {
        /// Of the worker's lease.
        epoch: u64,
        /// Why.
        failure: Failure,
        /// What the failed stage cost.
        usage: Usage,
    },
    /// Who asked for it asks for more before it begins.
    MoreAsked {
        /// What.
        instructions: String,
    },
    /// A person has read the plan and wants it carried out.
    PlanApproved {
        /// Who, by login.
        by: String,
    },
    /// A person stops it.
    CancelRequested,
    /// A person restarts it at the first stage that did not succeed.
    RestartRequested,
    /// The progress comment exists.
    CommentPosted {
        /// Its id on the platform.
        id: String,
    },
    /// The result comment exists.
    ResultPosted {
        /// Its id on the platform.
        id: String,
    },
    /// The pull request exists.
    PullRequestOpened(PullRequestRef),
    /// The pull request is ready for review.
    PullRequestReady,
    /// People merged or closed the pull request.
    PullRequestEnded {
        /// Which of the two.
        end: PullRequestEnd,
    },
    /// Something outside could not be made, for good.
    DeliveryFailed {
        /// What and why.
        problem: String,
    },
}

impl JobEvent {
    /// Whether a worker tells it of its work. How a task goes on and ends is told otherwise.
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

    /// The epoch that the event's sender holds; `None` for events that no worker sends.
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
