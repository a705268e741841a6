//! The job: one automated run for one issue, with its checkpoints.
//!
//! [`Job::advance`] is the only thing that changes a job. It is pure: the engine hands it an event and the time, and
//! gets the changed job and the effects that are due outside, to be written in one commit.

mod advance;
pub mod contract;
mod event;
pub mod report;
pub mod stage;
mod status;
mod summary;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::{Needs, WorkCommand};
use crate::{BranchName, CommitSha, IssueId, IssueRef, JobId, Usage};
pub use contract::JobObject;
pub use event::{JobEvent, WorkerEvent};
use report::{FixReport, LocateReport, ProposeReport, StageReport, Verdict, VerifyReport};
use stage::{StageKind, StageRecord};
pub use status::{JobState, JobStatus, JobTransition, Lease};
pub use summary::{JobSummary, StageSummary};

/// What began a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTrigger {
    /// The kind.
    pub kind: TriggerKind,
    /// The platform's name of the event; `manual` without one.
    pub event_type: String,
    /// Who did it, by login.
    pub actor: String,
    /// What they asked for beyond "fix", as they wrote it.
    pub instructions: Option<String>,
    /// The comment that asked, when a comment did.
    pub comment_id: Option<String>,
    /// The time of the webhook or click.
    pub at: Timestamp,
}

/// The kinds of triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// A comment mentions us.
    Mention,
    /// The issue was assigned to us.
    Assignment,
    /// Our label was added.
    Label,
    /// The issue was opened with the trigger phrase in its text.
    Opened,
    /// The command line, which names the branch to start from.
    Manual,
    /// The Start button or the API.
    Started,
}

impl TriggerKind {
    /// The name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::Assignment => "assignment",
            Self::Label => "label",
            Self::Opened => "opened",
            Self::Manual => "manual",
            Self::Started => "started",
        }
    }

    /// Whether a person of this server began it: whether they may was asked where they did.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Manual | Self::Started)
    }
}

/// Which of the waiting jobs of a repository is taken first. Between repositories turns are taken all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    High,
    /// In its turn.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// All of them, the first one first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == text)
    }

    /// Its place among them, from 0.
    pub const fn rank(self) -> i64 {
        self as i64
    }

    /// Reads [`Self::rank`] back.
    pub fn of_rank(rank: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.rank() == rank)
    }
}

/// Whether people read the plan before anything is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanReview {
    /// No review was requested: the job continues by itself.
    #[default]
    NotAsked,
    /// The plan must be approved.
    #[serde(rename = "wanted")]
    Requested,
    /// Somebody did.
    Approved {
        /// Who, by login.
        by: String,
    },
}

impl PlanReview {
    /// What a new job begins with.
    pub const fn asked(wanted: bool) -> Self {
        if wanted { Self::Requested } else { Self::NotAsked }
    }

    /// Whether nobody asked for it.
    pub const fn is_not_asked(&self) -> bool {
        matches!(self, Self::NotAsked)
    }
}

/// The time before which a job that waits for people is not taken up: none that comes.
pub const UNTIL_APPROVED: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// How far a job's result goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishMode {
    /// A branch, a pull request, comments.
    PullRequest,
    /// A branch only.
    Branch,
    /// Nothing leaves; the patch stays in the report.
    Patch,
}

/// What exists outside because of this job, so that a repeated delivery finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The progress comment on the issue.
    pub comment_id: Option<String>,
    /// The comment that says how it ended.
    pub result_comment_id: Option<String>,
    /// The commit that the pushed branch stands at.
    pub pushed: Option<CommitSha>,
    /// The pull request.
    pub pull_request: Option<PullRequestRef>,
    /// Whether it was marked ready.
    pub ready: bool,
    /// What could not be made, and why; the result comment says it.
    pub problem: Option<String>,
}

/// A pull request as we remember it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestRef {
    /// Its number.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// The platform's other id of it, where calls need one (GitHub's GraphQL).
    pub node_id: Option<String>,
    /// Whether the platform opened it as a draft.
    pub draft: bool,
    /// How it ended, once somebody has merged or closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<PullRequestEnd>,
}

/// How a pull request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestEnd {
    /// Its commits are in the branch that it aimed at.
    Merged,
    /// It was closed without that.
    Closed,
}

impl Published {
    /// The pull request that people can still review.
    pub fn open_pull_request(&self) -> Option<&PullRequestRef> {
        self.pull_request.as_ref().filter(|pull_request| pull_request.end.is_none())
    }
}

/// What a follow-up has of the job before it: it works on the same branch and pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// The job before it on the same issue.
    pub job_id: JobId,
    /// Whether it has taken over what that one left.
    pub inherited: bool,
    /// The commit of the branch that it builds on; `None` while that is not known, and where the branch is made anew
    /// from the base branch, because what stood on it did not hold.
    pub base: Option<CommitSha>,
    /// What was done on the branch before, for the model.
    pub earlier: Option<String>,
}

/// What a follow-up takes over when it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inheritance {
    /// As in [`FollowUp`].
    pub base: Option<CommitSha>,
    /// As in [`FollowUp`].
    pub earlier: Option<String>,
    /// The commit that the branch stands at on the forge.
    pub pushed: Option<CommitSha>,
    /// The pull request.
    pub pull_request: Option<PullRequestRef>,
    /// Whether it is ready for review.
    pub ready: bool,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which stage; `None` before the first or between two.
    pub stage: Option<StageKind>,
    /// What happened, to which thing.
    pub reason: String,
    /// What to do next.
    pub remedy: String,
}

/// One automated run for one issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Ours.
    pub id: JobId,
    /// The issue that it is for.
    pub issue_id: IssueId,
    /// The same, as the outside knows it.
    pub source: IssueRef,
    /// The issue's title at the time of the trigger.
    pub title: String,
    /// What began it.
    pub trigger: JobTrigger,
    /// The job before it, when this one goes on with its branch.
    #[serde(default)]
    pub follows: Option<FollowUp>,
    /// The job's branch; a follow-up has that of the job before it.
    pub branch: BranchName,
    /// The branch that the pull request aims at; learned from the forge when the job begins.
    pub base_branch: BranchName,
    /// How far its result goes out.
    pub publish: PublishMode,
    /// What it asks of the node that runs it.
    #[serde(default, skip_serializing_if = "Needs::is_none")]
    pub needs: Needs,
    /// What makes the change in place of the built-in stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<WorkCommand>,
    /// Whether it goes before others of its repository.
    #[serde(default)]
    pub priority: Priority,
    /// Whether people read its plan first.
    #[serde(default, skip_serializing_if = "PlanReview::is_not_asked")]
    pub review: PlanReview,
    /// Where it stands.
    pub state: JobState,
    /// Rises by one with every lease: the fencing token.
    pub epoch: u64,
    /// How many leases ended without an end of the job.
    pub attempts: u32,
    /// How often verify sent the fix back.
    pub rounds: u32,
    /// What verify said when it sent the fix back, for the next try.
    pub feedback: Option<String>,
    /// The four stages, in order.
    pub stages: [StageRecord; 4],
    /// What exists outside.
    pub published: Published,
    /// What may be said of the result.
    pub verdict: Option<Verdict>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a worker first took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Everything that a new job needs to be told.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Its issue.
    pub issue_id: IssueId,
    /// The same, as the outside knows it.
    pub source: IssueRef,
    /// The issue's title.
    pub title: String,
    /// What began it.
    pub trigger: JobTrigger,
    /// The job before it, when it goes on with that one's branch.
    pub follows: Option<JobId>,
    /// Its branch.
    pub branch: BranchName,
    /// The best guess at the branch to aim at.
    pub base_branch: BranchName,
    /// How far its result goes out.
    pub publish: PublishMode,
    /// What it asks of the node that runs it.
    pub needs: Needs,
    /// What makes the change in place of the built-in stages.
    pub command: Option<WorkCommand>,
    /// Whether it goes before others of its repository.
    pub priority: Priority,
    /// Whether people read its plan first.
    pub review_plan: bool,
}

impl Job {
    /// A new job, queued from the time of its trigger.
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

    /// Where it stands.
    pub const fn status(&self) -> JobStatus {
        self.state.status()
    }

    /// A stage's record.
    pub const fn stage(&self, kind: StageKind) -> &StageRecord {
        &self.stages[kind as usize]
    }

    /// The first stage that is not done; `None` when all are.
    pub fn next_stage(&self) -> Option<StageKind> {
        self.stages.iter().find(|stage| !stage.status.is_done()).map(|stage| stage.kind)
    }

    /// What a follow-up of this job takes over. On a success it builds; what failed or was cancelled is made anew from
    /// where this job itself began.
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
            pull_request: self.published.open_pull_request().cloned(),
            ready: self.published.ready,
        }
    }

    /// Whether there is a branch of ours, not closed by people, that the next job of the issue goes on with.
    pub fn has_open_branch(&self) -> bool {
        let published = &self.published;
        let pushed_only = published.pushed.is_some() && published.pull_request.is_none();
        pushed_only || published.open_pull_request().is_some() || self.awaits_inheritance()
    }

    /// Whether it is a follow-up that has not taken over anything yet.
    pub fn awaits_inheritance(&self) -> bool {
        self.follows.as_ref().is_some_and(|follows| !follows.inherited)
    }

    /// Whether no worker has taken it up yet, so that more can be asked of it.
    pub const fn is_untouched(&self) -> bool {
        matches!(self.state, JobState::Queued { .. }) && self.started_at.is_none()
    }

    /// Whether its plan is there and waits for somebody to approve it.
    pub fn awaits_approval(&self) -> bool {
        self.review == PlanReview::Requested && self.proposed().is_some() && !self.status().is_terminal()
    }

    /// What the model cost so far.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for stage in &self.stages {
            sum += stage.usage;
        }
        sum
    }

    /// The report of `locate`, once it succeeded.
    pub const fn located(&self) -> Option<&LocateReport> {
        match &self.stage(StageKind::Locate).report {
            Some(StageReport::Locate(report)) => Some(report),
            _ => None,
        }
    }

    /// The report of `propose`, once it succeeded.
    pub const fn proposed(&self) -> Option<&ProposeReport> {
        match &self.stage(StageKind::Propose).report {
            Some(StageReport::Propose(report)) => Some(report),
            _ => None,
        }
    }

    /// The report of `fix`, once it succeeded.
    pub const fn fixed(&self) -> Option<&FixReport> {
        match &self.stage(StageKind::Fix).report {
            Some(StageReport::Fix(report)) => Some(report),
            _ => None,
        }
    }

    /// The report of `verify`, once it succeeded.
    pub const fn verified(&self) -> Option<&VerifyReport> {
        match &self.stage(StageKind::Verify).report {
            Some(StageReport::Verify(report)) => Some(report),
            _ => None,
        }
    }
}
