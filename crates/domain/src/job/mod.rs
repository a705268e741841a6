//! The job: one automated run for one issue, with its checkpoints.
//!
//! Only [`Job::advance`] changes a job. It is pure: it takes an event and the time, and returns the changed job and the
//! effects to deliver, which the engine writes in one transaction.

mod advance;
pub mod ci;
pub mod contract;
mod event;
mod failure;
mod publication;
pub mod report;
pub mod stage;
mod status;
mod summary;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::{Needs, WorkCommand};
use crate::trigger::Language;
use crate::{BranchName, CommitSha, IssueId, IssueRef, JobId, RepoName, Usage};
pub use contract::JobObject;
pub use event::{JobEvent, WorkerEvent};
pub use failure::{Failure, FailureClass, FailureOrigin};
pub use publication::{OtherPullRequest, PublishMode, Published, PullRequestEnd, PullRequestRef};
use report::{FixReport, LocateReport, ProposeReport, StageReport, Verdict, VerifyReport};
use stage::{StageKind, StageRecord};
pub use status::{JobState, JobStatus, JobTransition, Lease};
pub use summary::{JobSummary, StageSummary};

/// The trigger of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTrigger {
    /// The kind.
    pub kind: TriggerKind,
    /// The platform's name of the event; `manual` without one.
    pub event_type: String,
    /// The login of the actor.
    pub actor: String,
    /// The actor's instructions in addition to "fix", as written.
    pub instructions: Option<String>,
    /// The comment with the request, if there is one.
    pub comment_id: Option<String>,
    /// The time of the webhook or click.
    pub at: Timestamp,
    /// The language of the request, in which the job's comments are written.
    #[serde(default)]
    pub language: Language,
}

/// The kinds of triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// A comment mentions the app.
    Mention,
    /// The issue was assigned to the server's account.
    Assignment,
    /// The trigger label was added.
    Label,
    /// The issue was opened with the trigger phrase in its text.
    Opened,
    /// The command line, which names the base branch.
    Manual,
    /// The Start button or the API.
    Started,
    /// Checks of the forge's CI fail after the previous job, in a repository for which an administrator asked for that.
    Ci,
    /// The base branch has moved under the pull request, and the server is set up to follow it.
    BaseMoved,
}

impl TriggerKind {
    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::Assignment => "assignment",
            Self::Label => "label",
            Self::Opened => "opened",
            Self::Manual => "manual",
            Self::Started => "started",
            Self::Ci => "ci",
            Self::BaseMoved => "base_moved",
        }
    }

    /// Returns whether a user of this server started it, or an administrator of it asked for such jobs: the permission was
    /// checked then.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Manual | Self::Started | Self::Ci | Self::BaseMoved)
    }
}

/// The priority among the queued jobs of a repository. Repositories are served in turn regardless of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    High,
    /// In the order of arrival.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// All priorities, the highest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Returns the name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == text)
    }

    /// Returns its rank, from 0 for the highest.
    pub const fn rank(self) -> i64 {
        self as i64
    }

    /// Parses the result of [`Self::rank`].
    pub fn of_rank(rank: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.rank() == rank)
    }
}

/// Whether the plan needs approval before anything is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanReview {
    /// No review was requested: the job continues by itself.
    #[default]
    NotAsked,
    /// The plan must be approved.
    #[serde(rename = "wanted")]
    Requested,
    /// Somebody wants another plan, which must be approved.
    Revised {
        /// Who, by login.
        by: String,
        /// What they want.
        words: String,
    },
    /// The plan was approved.
    Approved {
        /// Who, by login.
        by: String,
    },
}

impl PlanReview {
    /// Returns the initial state of a new job.
    pub const fn asked(wanted: bool) -> Self {
        if wanted { Self::Requested } else { Self::NotAsked }
    }

    /// Returns whether a plan must be approved.
    pub const fn is_required(&self) -> bool {
        matches!(self, Self::Requested | Self::Revised { .. })
    }

    /// Returns whether no review was requested.
    pub const fn is_not_asked(&self) -> bool {
        matches!(self, Self::NotAsked)
    }
}

/// Returns the earliest claim of a job that waits for approval: a time that is never reached.
pub const UNTIL_APPROVED: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// The relation of a follow-up to the previous job, whose branch and pull request it continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// The previous job of the same issue.
    pub job_id: JobId,
    /// Whether it has taken over the state of the previous job.
    pub inherited: bool,
    /// The commit of the branch that it continues from; `None` while that is not known, and if the branch is created
    /// anew from the base branch because the previous change was not usable.
    pub base: Option<CommitSha>,
    /// A summary of the previous changes on the branch, for the model.
    pub earlier: Option<String>,
}

/// The state that a follow-up takes over when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inheritance {
    /// As in [`FollowUp`].
    pub base: Option<CommitSha>,
    /// As in [`FollowUp`].
    pub earlier: Option<String>,
    /// The commit of the branch on the forge.
    pub pushed: Option<CommitSha>,
    /// The fork that holds the branch, if it is not the repository itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<RepoName>,
    /// The pull request.
    pub pull_request: Option<PullRequestRef>,
    /// Whether it is ready for review.
    pub ready: bool,
    /// The branch that the pull request is for, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<BranchName>,
}

/// One automated run for one issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The job's id.
    pub id: JobId,
    /// The id of its issue.
    pub issue_id: IssueId,
    /// The reference to the issue on its forge or tracker.
    pub source: IssueRef,
    /// The issue's title at the time of the trigger.
    pub title: String,
    /// What triggered it.
    pub trigger: JobTrigger,
    /// The relation to the previous job, if this is a follow-up.
    #[serde(default)]
    pub follows: Option<FollowUp>,
    /// The job's branch; a follow-up has the branch of the previous job.
    pub branch: BranchName,
    /// The base branch of the pull request; read from the forge when the job starts.
    pub base_branch: BranchName,
    /// Which result is published.
    pub publish: PublishMode,
    /// The requirements on the node that runs it.
    #[serde(default, skip_serializing_if = "Needs::is_none")]
    pub needs: Needs,
    /// The program that makes the change instead of the built-in stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<WorkCommand>,
    /// The priority among the jobs of its repository.
    #[serde(default)]
    pub priority: Priority,
    /// Whether its plan needs approval.
    #[serde(default, skip_serializing_if = "PlanReview::is_not_asked")]
    pub review: PlanReview,
    /// The status.
    pub state: JobState,
    /// The fencing token, which is incremented with every lease.
    pub epoch: u64,
    /// How many attempts were used: leases that ended without completing the job.
    pub attempts: u32,
    /// How often the verification failed and the fix was revised.
    pub rounds: u32,
    /// The failures of the last verification, for the next attempt.
    pub feedback: Option<String>,
    /// The four stages, in order.
    pub stages: [StageRecord; 4],
    /// The external objects that it created.
    pub published: Published,
    /// The verdict on the result.
    pub verdict: Option<Verdict>,
    /// The error, if it failed.
    pub failure: Option<Failure>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a worker first claimed it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The input for a new job.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job's id.
    pub id: JobId,
    /// The id of its issue.
    pub issue_id: IssueId,
    /// The reference to the issue on its forge or tracker.
    pub source: IssueRef,
    /// The issue's title.
    pub title: String,
    /// What triggered it.
    pub trigger: JobTrigger,
    /// The previous job, if this one continues its branch.
    pub follows: Option<JobId>,
    /// The job's branch.
    pub branch: BranchName,
    /// The expected base branch, until the forge returns it.
    pub base_branch: BranchName,
    /// Which result is published.
    pub publish: PublishMode,
    /// The requirements on the node that runs it.
    pub needs: Needs,
    /// The program that makes the change instead of the built-in stages.
    pub command: Option<WorkCommand>,
    /// The priority among the jobs of its repository.
    pub priority: Priority,
    /// Whether its plan needs approval.
    pub review_plan: bool,
}

impl Job {
    /// Creates a job that is queued from the time of its trigger.
    pub fn new(new: NewJob) -> Self {
        let at = new.trigger.at;
        Self {
            id: new.id,
            issue_id: new.issue_id,
            source: new.source,
            title: new.title,
            trigger: new.trigger,
            follows: new.follows.map(|job_id| FollowUp { job_id, inherited: false, base: None, earlier: None }),
            branch: new.branch,
            base_branch: new.base_branch,
            publish: new.publish,
            needs: new.needs,
            command: new.command,
            priority: new.priority,
            review: PlanReview::asked(new.review_plan),
            state: JobState::Queued { not_before: at },
            epoch: 0,
            attempts: 0,
            rounds: 0,
            feedback: None,
            stages: StageKind::ALL.map(StageRecord::pending),
            published: Published::default(),
            verdict: None,
            failure: None,
            created_at: at,
            started_at: None,
            ended_at: None,
            updated_at: at,
        }
    }

    /// The status.
    pub const fn status(&self) -> JobStatus {
        self.state.status()
    }

    /// Returns the record of a stage.
    pub const fn stage(&self, kind: StageKind) -> &StageRecord {
        &self.stages[kind as usize]
    }

    /// Returns whether a third-party node has made the change, so that it is only tested.
    pub fn has_fetched_fix(&self) -> bool {
        self.stage(StageKind::Fix).status.is_done() && self.fixed().is_some_and(FixReport::is_fetched)
    }

    /// Returns whether the job moves a branch onto its base and changes nothing else.
    pub fn is_rebase(&self) -> bool {
        self.command == Some(WorkCommand::Rebase)
    }

    /// Returns the first stage that is not done; `None` if all are.
    pub fn next_stage(&self) -> Option<StageKind> {
        self.stages.iter().find(|stage| !stage.status.is_done()).map(|stage| stage.kind)
    }

    /// Returns the state that a follow-up of this job takes over. It continues from the result of a successful job;
    /// after a failed or cancelled one it starts from where that job started.
    pub fn inheritance(&self) -> Inheritance {
        let held = self.status() == JobStatus::Succeeded;
        let before = || self.follows.as_ref();
        let base = if held { self.published.pushed.clone() } else { before().and_then(|before| before.base.clone()) };
        let done = self.proposed().filter(|_| held).map(|proposed| {
            let files: Vec<&str> = proposed.target_files.iter().map(crate::RepoPath::as_str).collect();
            format!("{} ({})", proposed.plan.fix_strategy, files.join(", "))
        });
        let earlier = before().and_then(|before| before.earlier.clone()).into_iter().chain(done);
        Inheritance {
            base,
            earlier: earlier.reduce(|all, one| format!("{all}\n{one}")),
            pushed: self.published.pushed.clone(),
            fork: self.published.fork.clone(),
            pull_request: self.published.open_pull_request().cloned(),
            ready: self.published.ready,
            base_branch: self.published.open_pull_request().map(|_| self.base_branch.clone()),
        }
    }

    /// Returns whether the next job of the issue continues this job's branch: it was pushed and its pull request was
    /// not closed.
    pub fn has_open_branch(&self) -> bool {
        let published = &self.published;
        let pushed_only = published.pushed.is_some() && published.pull_request.is_none();
        pushed_only || published.open_pull_request().is_some() || self.awaits_inheritance()
    }

    /// Returns whether it is a follow-up that has not taken over the previous job's state yet.
    pub fn awaits_inheritance(&self) -> bool {
        self.follows.as_ref().is_some_and(|follows| !follows.inherited)
    }

    /// Returns whether no worker has claimed it yet, so that instructions can be added.
    pub const fn is_untouched(&self) -> bool {
        matches!(self.state, JobState::Queued { .. }) && self.started_at.is_none()
    }

    /// Returns whether its plan waits for approval.
    pub fn awaits_approval(&self) -> bool {
        self.review.is_required() && self.proposed().is_some() && !self.status().is_terminal()
    }

    /// Returns the model usage so far.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for stage in &self.stages {
            sum += stage.usage;
        }
        sum
    }

    /// Returns the report of `locate`, once it succeeded.
    pub const fn located(&self) -> Option<&LocateReport> {
        match &self.stage(StageKind::Locate).report {
            Some(StageReport::Locate(report)) => Some(report),
            _ => None,
        }
    }

    /// Returns the report of `propose`, once it succeeded.
    pub const fn proposed(&self) -> Option<&ProposeReport> {
        match &self.stage(StageKind::Propose).report {
            Some(StageReport::Propose(report)) => Some(report),
            _ => None,
        }
    }

    /// Returns the report of `fix`, once it succeeded.
    pub const fn fixed(&self) -> Option<&FixReport> {
        match &self.stage(StageKind::Fix).report {
            Some(StageReport::Fix(report)) => Some(report),
            _ => None,
        }
    }

    /// Returns the last report about the commit that is on the branch: a fix that was rejected, and not yet replaced by
    /// another, is still there.
    pub fn report_on_branch(&self) -> Option<&VerifyReport> {
        let pushed = self.published.pushed.as_ref();
        self.verified().filter(|report| pushed.is_none() || report.commit.is_none() || report.commit.as_ref() == pushed)
    }

    /// Returns the last report of `verify`, whichever commit it is about.
    pub const fn verified(&self) -> Option<&VerifyReport> {
        match &self.stage(StageKind::Verify).report {
            Some(StageReport::Verify(report)) => Some(report),
            _ => None,
        }
    }
}
