//! The events of a job.

#![allow(missing_docs, reason = "a field or variant whose name says it all has no comment")]

use jiff::Timestamp;

use super::ci::CiReport;
use super::report::{StageReport, Verdict, VerifyReport};
use super::stage::StageKind;
use super::status::Lease;
use super::{Failure, Inheritance, OtherPullRequest, PullRequestEnd, PullRequestRef};
use crate::{BranchName, CommitSha, RepoName, Usage};

/// An event that a worker reports while it executes a task. Its session knows the lease.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// A follow-up inherits the state of the job before it.
    BranchInherited {
        inheritance: Inheritance,
    },
    /// The branch that a follow-up builds on has another head than after our last push: users have pushed to it.
    BranchMoved {
        /// The head of the branch.
        commit: CommitSha,
    },
    StageStarted {
        stage: StageKind,
    },
    StageSucceeded {
        report: StageReport,
        /// A summary for people, Markdown.
        comment: String,
        /// The model usage of the stage.
        usage: Usage,
    },
    StageSkipped {
        stage: StageKind,
        reason: String,
    },
    /// The branch was pushed to the forge.
    BranchPushed {
        /// The pushed commit.
        commit: CommitSha,
    },
    /// Verify rejected the fix, which is revised.
    SentBack {
        /// Why it was rejected.
        feedback: String,
        /// The model usage of the verification.
        usage: Usage,
        /// What the verification showed about the commit that is on the branch until the next one is pushed.
        report: Option<Box<VerifyReport>>,
    },
    /// The base branch has advanced since the fix was made. The fix holds whole files and could revert the newer commits,
    /// so it is made again.
    BaseMoved,
}

/// An event of a job. Events from a worker have the epoch of its lease.
#[derive(Debug, Clone, PartialEq)]
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
    /// The branch that a third-party node pushed is to be tested by one of our own.
    VerificationRequested {
        /// The epoch of the node's lease.
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
    /// The worker reports progress.
    Progress {
        /// The epoch of the worker's lease.
        epoch: u64,
        event: Box<WorkerEvent>,
    },
    /// The forge named the default branch, which is the base of the job.
    BaseBranchKnown {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The base branch.
        branch: BranchName,
    },
    /// The branch will be pushed to a fork.
    ForkChosen {
        /// The epoch of the worker's lease.
        epoch: u64,
        /// The repository that the branch is pushed to.
        fork: RepoName,
    },
    /// Everything that could be done is done.
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
    /// Somebody wants another plan than the one that waits.
    PlanRevised {
        /// Who, by login.
        by: String,
        /// What they want.
        words: String,
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
        /// The open pull requests of others that it names.
        others: Vec<OtherPullRequest>,
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
    /// The forge's CI was read.
    CiRead(Box<CiReport>),
    /// An effect failed permanently.
    DeliveryFailed {
        /// The effect and the reason.
        problem: String,
    },
}

impl JobEvent {
    /// Returns the event of a job whose worker, under the lease of `epoch`, reports `event`.
    pub fn progress(epoch: u64, event: WorkerEvent) -> Self {
        Self::Progress { epoch, event: Box::new(event) }
    }

    /// Returns the epoch of the sender's lease; `None` for events that no worker sends.
    pub const fn epoch(&self) -> Option<u64> {
        match self {
            Self::Released { epoch }
            | Self::VerificationRequested { epoch }
            | Self::Postponed { epoch, .. }
            | Self::BaseBranchKnown { epoch, .. }
            | Self::ForkChosen { epoch, .. }
            | Self::Progress { epoch, .. }
            | Self::Completed { epoch, .. }
            | Self::Failed { epoch, .. } => Some(*epoch),
            Self::Leased { .. }
            | Self::LeaseExpired
            | Self::MoreAsked { .. }
            | Self::PlanApproved { .. }
            | Self::PlanRevised { .. }
            | Self::CancelRequested
            | Self::RestartRequested
            | Self::CommentPosted { .. }
            | Self::ResultPosted { .. }
            | Self::PullRequestOpened(_)
            | Self::PullRequestReady
            | Self::PullRequestEnded { .. }
            | Self::CiRead(_)
            | Self::DeliveryFailed { .. } => None,
        }
    }
}
