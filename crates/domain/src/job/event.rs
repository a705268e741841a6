//! What can happen to a job.

use jiff::Timestamp;

use super::report::{StageReport, Verdict};
use super::stage::StageKind;
use super::status::Lease;
use super::{Failure, Inheritance, PullRequestEnd, PullRequestRef};
use crate::{BranchName, CommitSha, Usage};

/// What a worker reports of the task that it executes. The lease under which it does so is the session's business.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// A follow-up has looked at the job before it.
    BranchInherited {
        /// What it takes over.
        inheritance: Inheritance,
    },
    /// The branch that a follow-up builds on stands elsewhere on the forge than we left it: people have pushed.
    BranchMoved {
        /// Where it stands.
        commit: CommitSha,
    },
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: StageKind,
    },
    /// A stage ended with a report.
    StageSucceeded {
        /// What came out.
        report: StageReport,
        /// What people should read.
        comment: String,
        /// What the model cost.
        usage: Usage,
    },
    /// A stage is passed over.
    StageSkipped {
        /// Which.
        stage: StageKind,
        /// Why.
        reason: String,
    },
    /// The branch stands on the forge.
    BranchPushed {
        /// At this commit.
        commit: CommitSha,
    },
    /// Verify found the fix wanting; the fix is made again.
    SentBack {
        /// What was wrong.
        feedback: String,
        /// What the verification itself cost.
        usage: Usage,
    },
    /// The base branch has moved since the fix was made, and the job starts from the newer commit: the fix, which holds
    /// whole files, could undo what others did in between. It is made again.
    BaseMoved,
}

/// Something that happened to a job. Events of a worker carry the epoch of its lease.
#[derive(Debug, Clone, PartialEq)]
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
    /// The job's worker reports progress.
    Progress {
        /// Of the worker's lease.
        epoch: u64,
        /// What happened.
        event: WorkerEvent,
    },
    /// The forge told which branch to aim at.
    BaseBranchKnown {
        /// Of the worker's lease.
        epoch: u64,
        /// The branch.
        branch: BranchName,
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
    /// Returns the event of a job whose worker, under the lease of `epoch`, reports `event`.
    pub const fn progress(epoch: u64, event: WorkerEvent) -> Self {
        Self::Progress { epoch, event }
    }

    /// The epoch that the event's sender holds; `None` for events that no worker sends.
    pub const fn epoch(&self) -> Option<u64> {
        match self {
            Self::Released { epoch }
            | Self::Postponed { epoch, .. }
            | Self::BaseBranchKnown { epoch, .. }
            | Self::Progress { epoch, .. }
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
