//! Transitions of a job, with their side effects.

use jiff::Timestamp;
use patchwright_core::audit::AuditEntry;
use patchwright_core::meter::MeterEvent;
use patchwright_core::store::{EffectRecord, JobWrite, Step, StoreError, Versioned, Write};
use patchwright_domain::job::{PullRequestEnd, PullRequestRef};
use patchwright_domain::notification::NotificationEvent;
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{
    Effect, EffectId, Issue, IssueEvent, IssueStatus, Job, JobEvent, JobId, JobStatus, Refused, Task, TaskEvent,
};

use crate::Engine;

/// The error of a transition of a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The job's state does not allow the transition. For a worker: the lease is lost, or a user cancelled the job.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the job {0} is not in the store")]
    NotFound(JobId),
}

impl Engine {
    /// Applies an event to the current state of a job and writes the result together with its effects, notices and
    /// statistics.
    pub(crate) async fn change_job(&self, id: JobId, event: JobEvent) -> Result<Job, ChangeError> {
        self.change_job_with(id, event, None, None, None).await
    }

    /// Does the same and also writes a task, completes an effect, and writes the audit entry of the action.
    pub(crate) async fn change_job_with(
        &self,
        id: JobId,
        event: JobEvent,
        task: Option<Task>,
        settled: Option<EffectId>,
        audit: Option<AuditEntry>,
    ) -> Result<Job, ChangeError> {
        self.write(async || {
            let known = self.ports.store.job(id).await?.ok_or(ChangeError::NotFound(id))?;
            let before = known.value.status();
            let (step, job) = Box::pin(self.plan_change(known, event.clone(), task.clone(), settled)).await?;
            Ok((Step { audit: audit.clone(), ..step }, (job, before)))
        })
        .await
        .map(|(job, before)| self.count_end(job, before))
    }

    /// Does the same for an event that a task reports under a sequence number: a report that was applied already
    /// changes nothing.
    pub(crate) async fn change_job_once(&self, own: &Task, number: u64, event: JobEvent) -> Result<Job, ChangeError> {
        self.write(async || {
            let known = self.ports.store.job(own.job_id).await?.ok_or(ChangeError::NotFound(own.job_id))?;
            let open = self.ports.store.open_tasks(own.job_id).await?;
            let task = open.into_iter().find(|task| task.id == own.id).ok_or(ChangeError::NotFound(own.job_id))?;
            if task.last_report >= number {
                let before = known.value.status();
                return Ok((Step::default(), (known.value, before)));
            }
            let task = Task { last_report: number, ..task };
            let before = known.value.status();
            let (step, job) = Box::pin(self.plan_change(known, event.clone(), Some(task), None)).await?;
            Ok((step, (job, before)))
        })
        .await
        .map(|(job, before)| self.count_end(job, before))
    }

    /// Counts the job and its stages if it has ended with this transition.
    fn count_end(&self, job: Job, before: JobStatus) -> Job {
        let status = job.status();
        if !status.is_terminal() || before.is_terminal() {
            return job;
        }
        let count = |event| self.ports.meter.count(&event);
        count(MeterEvent::JobEnded { status, verdict: job.verdict });
        for record in &job.stages {
            if let Some(seconds) = record.seconds() {
                count(MeterEvent::StageEnded { stage: record.kind, status: record.status, seconds });
            }
        }
        if let Some(failure) = job.failure.as_ref().filter(|_| status == JobStatus::Failed) {
            count(MeterEvent::JobFailed { class: failure.origin.class() });
        }
        job
    }

    /// Returns the write of a transition with everything that follows from it, and the job after it.
    pub(crate) async fn plan_change(
        &self,
        known: Versioned<Job>,
        event: JobEvent,
        task: Option<Task>,
        settled: Option<EffectId>,
    ) -> Result<(Step, Job), ChangeError> {
        let now = self.ports.clock.now();
        let (before, awaited) = (known.value.status(), known.value.awaits_approval());
        let notification = news(&event);
        let (job, mut effects) = known.value.clone().advance(event, now)?;
        effects.extend(
            notification
                .or_else(|| ending(&job, before))
                .or_else(|| ready(&job, awaited))
                .map(|event| Effect::Notify { event }),
        );
        let task = match task {
            Some(task) => Some(task),
            None => self.left_task(&job, before).await?,
        };
        let step = Step {
            issue: self.follow_issue(&job, before, now).await?,
            effects: self.records(&job, effects, now),
            job: Some(JobWrite::update(&known, job.clone())),
            ended: self.run_record(&job, before, task.as_ref()).await?,
            task,
            settled,
            ..Step::default()
        };
        Ok((step, job))
    }

    /// Returns the task that is still open when its job ends from outside: a user cancelled the job, whether or not a
    /// node had it.
    async fn left_task(&self, job: &Job, before: JobStatus) -> Result<Option<Task>, StoreError> {
        if before.is_terminal() || !job.status().is_terminal() {
            return Ok(None);
        }
        let open = self.ports.store.open_tasks(job.id).await?.pop();
        Ok(open.and_then(|task| self.lost(task, "the job was cancelled")))
    }

    /// Returns a task as ended because no worker has it any more.
    pub(crate) fn lost(&self, task: Task, why: &str) -> Option<Task> {
        let task = Task { error_message: Some(why.to_owned()), ..task };
        task.advance(TaskEvent::NodeLost, self.ports.clock.now()).ok()
    }

    /// Returns the statistics to add when a job ends.
    async fn run_record(
        &self,
        job: &Job,
        before: JobStatus,
        task: Option<&Task>,
    ) -> Result<Option<RunRecord>, StoreError> {
        if before.is_terminal() || !job.status().is_terminal() {
            return Ok(None);
        }
        // A job that was published has no open task any more.
        let task = match task {
            Some(task) => Some(task.clone()),
            None => self.ports.store.latest_task(job.id).await?,
        };
        let (node, model) = task.as_ref().map_or(("", ""), |task| (task.node.as_str(), task.model.as_str()));
        Ok(RunRecord::of(job, node, model))
    }

    /// Converts effects into rows to write.
    pub(crate) fn records(&self, job: &Job, effects: Vec<Effect>, now: Timestamp) -> Vec<EffectRecord> {
        let record = |effect| EffectRecord {
            id: self.ports.ids.effect(),
            issue_id: job.issue_id,
            job_id: Some(job.id),
            effect,
            created_at: now,
        };
        effects.into_iter().map(record).collect()
    }

    /// Returns the issue's new state when its job ends or restarts.
    async fn follow_issue(
        &self,
        job: &Job,
        before: JobStatus,
        now: Timestamp,
    ) -> Result<Option<Write<Issue>>, ChangeError> {
        let after = job.status();
        let begins_again = after == JobStatus::Queued && before.is_terminal();
        if after == before || !(after.is_terminal() || begins_again) {
            return Ok(None);
        }
        let Some(known) = self.ports.store.issue(job.issue_id).await? else { return Ok(None) };
        if after.is_terminal() && self.has_follow_up(job).await? {
            // The issue stays with the next job. It is written anyway, so that this write conflicts with a job that is
            // being queued concurrently.
            return Ok(Some(Write::Update(known)));
        }
        let issue = known.value.clone();
        if begins_again && issue.status == IssueStatus::Merged {
            return Err(Refused::Guard("a job of an issue that is merged cannot be restarted").into());
        }
        let moved = if begins_again {
            let event =
                if issue.status == IssueStatus::PendingMerge { IssueEvent::FollowUp } else { IssueEvent::Restart };
            issue.advance(event, now)
        } else {
            let standing = self.standing_pull_request(job).await?;
            end_issue(issue, job, standing.as_ref(), now)
        };
        match moved {
            Ok(value) => Ok(Some(Write::Update(Versioned { value, revision: known.revision }))),
            Err(refused) => {
                // Users merge and close pull requests themselves; the job's end must not undo that.
                tracing::debug!(job_id = %job.id, %refused, "the issue's status is unchanged");
                Ok(None)
            }
        }
    }

    /// Returns the pull request that a follow-up which ends without a result leaves behind: its own, or that of the job
    /// before it.
    async fn standing_pull_request(&self, job: &Job) -> Result<Option<PullRequestRef>, StoreError> {
        let Some(follows) = &job.follows else { return Ok(None) };
        if follows.inherited {
            return Ok(job.published.pull_request.clone().filter(|_| follows.base.is_some()));
        }
        Ok(self.continued_job(job).await?.and_then(|before| before.published.pull_request))
    }

    async fn has_follow_up(&self, job: &Job) -> Result<bool, StoreError> {
        Ok(self.ports.store.open_jobs(job.issue_id).await?.iter().any(|other| other.value.id > job.id))
    }
}

/// Returns the notice about an event itself.
const fn news(event: &JobEvent) -> Option<NotificationEvent> {
    match event {
        JobEvent::PullRequestOpened(_) => Some(NotificationEvent::PullRequestOpened),
        JobEvent::PullRequestEnded { end: PullRequestEnd::Merged } => Some(NotificationEvent::PullRequestMerged),
        _ => None,
    }
}

/// Returns the notice about a job that has ended with this transition.
const fn ending(job: &Job, before: JobStatus) -> Option<NotificationEvent> {
    match job.status() {
        _ if before.is_terminal() => None,
        JobStatus::Succeeded => Some(NotificationEvent::JobSucceeded),
        JobStatus::Failed => Some(NotificationEvent::JobFailed),
        JobStatus::Cancelled => Some(NotificationEvent::JobCancelled),
        JobStatus::Queued | JobStatus::Running | JobStatus::Publishing => None,
    }
}

/// Returns the notice about a job that now waits for approval.
fn ready(job: &Job, awaited: bool) -> Option<NotificationEvent> {
    (job.awaits_approval() && !awaited).then_some(NotificationEvent::PlanReady)
}

/// Returns the issue after the end of its job. `standing` is the pull request that a follow-up leaves behind.
fn end_issue(issue: Issue, job: &Job, standing: Option<&PullRequestRef>, now: Timestamp) -> Result<Issue, Refused> {
    let issue = match job.status() {
        JobStatus::Succeeded => issue.advance(IssueEvent::TaskSucceeded, now),
        _ if standing.is_some() => issue.advance(IssueEvent::FollowUpEnded, now),
        JobStatus::Cancelled => issue.advance(IssueEvent::Cancel, now),
        _ => issue.advance(IssueEvent::TaskFailed, now),
    }?;
    // The pull request may have been merged or closed while the job was running.
    let pull_request = job.published.pull_request.as_ref().or(standing);
    match pull_request.and_then(|pull_request| pull_request.end) {
        Some(PullRequestEnd::Merged) => issue.advance(IssueEvent::Merge, now),
        Some(PullRequestEnd::Closed) if issue.status == IssueStatus::PendingMerge => {
            issue.advance(IssueEvent::CloseUnmerged, now)
        }
        _ => Ok(issue),
    }
}
