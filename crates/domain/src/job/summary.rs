//! The summary of a job for lists, the board and the live feed, without the reports of its stages.

use jiff::Timestamp;

use super::report::Verdict;
use super::stage::{StageKind, StageRecord, StageStatus};
use super::{Failure, FollowUp, Job, JobState, JobStatus, JobTrigger, PlanReview, Priority, PublishMode, Published};
use crate::node::{Needs, WorkCommand};
use crate::{BranchName, IssueId, IssueRef, JobId, Usage};

/// A job without the reports, comments and reasons of its stages, which are most of its size. The fields have the
/// meaning that they have in [`Job`].
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each field is documented at `Job`")]
pub struct JobSummary {
    pub id: JobId,
    pub issue_id: IssueId,
    pub source: IssueRef,
    pub title: String,
    pub trigger: JobTrigger,
    pub follows: Option<FollowUp>,
    pub branch: BranchName,
    pub base_branch: BranchName,
    pub publish: PublishMode,
    pub needs: Needs,
    pub command: Option<WorkCommand>,
    pub priority: Priority,
    pub review: PlanReview,
    pub state: JobState,
    pub attempts: u32,
    pub stages: [StageSummary; 4],
    pub published: Published,
    pub verdict: Option<Verdict>,
    pub failure: Option<Failure>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// A stage without its report. The fields have the meaning that they have in [`StageRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is documented at `StageRecord`")]
pub struct StageSummary {
    pub kind: StageKind,
    pub status: StageStatus,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub usage: Usage,
}

impl StageSummary {
    /// Returns the summary of a stage that has not started.
    pub const fn pending(kind: StageKind) -> Self {
        let usage = Usage { calls: 0, prompt_tokens: 0, completion_tokens: 0, cost_micros: 0 };
        Self { kind, status: StageStatus::Pending, started_at: None, ended_at: None, usage }
    }
}

impl JobSummary {
    /// Returns the status.
    pub const fn status(&self) -> JobStatus {
        self.state.status()
    }

    /// Returns the summary of one stage.
    pub const fn stage(&self, kind: StageKind) -> &StageSummary {
        &self.stages[kind as usize]
    }

    /// Returns the first stage that is not done; `None` if all are.
    pub fn next_stage(&self) -> Option<StageKind> {
        self.stages.iter().find(|stage| !stage.status.is_done()).map(|stage| stage.kind)
    }

    /// Returns the model usage so far.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for stage in &self.stages {
            sum += stage.usage;
        }
        sum
    }

    /// Returns whether the job's plan waits for approval.
    pub fn awaits_approval(&self) -> bool {
        // The plan is the report of `propose`; a plan that is made again has none until it is there.
        let has_plan = self.stage(StageKind::Propose).status == StageStatus::Succeeded;
        self.review.is_required() && has_plan && !self.status().is_terminal()
    }
}

impl From<&StageRecord> for StageSummary {
    fn from(record: &StageRecord) -> Self {
        let StageRecord { kind, status, started_at, ended_at, usage, .. } = *record;
        Self { kind, status, started_at, ended_at, usage }
    }
}

impl From<&Job> for JobSummary {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id,
            issue_id: job.issue_id,
            source: job.source.clone(),
            title: job.title.clone(),
            trigger: job.trigger.clone(),
            follows: job.follows.clone(),
            branch: job.branch.clone(),
            base_branch: job.base_branch.clone(),
            publish: job.publish,
            needs: job.needs.clone(),
            command: job.command.clone(),
            priority: job.priority,
            review: job.review.clone(),
            state: job.state.clone(),
            attempts: job.attempts,
            stages: job.stages.each_ref().map(StageSummary::from),
            published: job.published.clone(),
            verdict: job.verdict,
            failure: job.failure.clone(),
            created_at: job.created_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
            updated_at: job.updated_at,
        }
    }
}
