//! Changing a job: read, advance, write, and once more when somebody else wrote first.

use jiff::Timestamp;
use patchwright_core::store::{EffectRecord, Step, StoreError, Versioned, Write};
use patchwright_domain::{Effect, EffectId, Issue, IssueEvent, Job, JobEvent, JobId, JobStatus, Refused, Task};

use crate::Engine;

/// A job could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// Its state does not allow it. For a worker: the lease is lost, or a person stopped the job.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the job {0} is not in the store")]
    Gone(JobId),
}

/// How often a write is tried when others write the same job. Each loser knows that somebody else got on.
const TRIES: u32 = 20;

impl Engine {
    /// Applies an event to a job as it stands now and writes the result with everything that follows from it.
    pub(crate) async fn change_job(&self, id: JobId, event: JobEvent) -> Result<Job, ChangeError> {
        self.change_job_with(id, event, None, None).await
    }

    /// The same, with a task to write and an effect that is done with it.
    pub(crate) async fn change_job_with(
        &self,
        id: JobId,
        event: JobEvent,
        task: Option<Task>,
        settled: Option<EffectId>,
    ) -> Result<Job, ChangeError> {
        let mut attempt = 1;
        loop {
            let known = self.ports.store.job(id).await?.ok_or(ChangeError::Gone(id))?;
            let now = self.ports.clock.now();
            let before = known.value.status();
            let (job, effects) = known.value.advance(event.clone(), now)?;
            let step = Step {
                issue: self.follow_issue(&job, before, now).await?,
                effects: self.records(&job, effects, now),
                job: Some(Write::Update(Versioned { value: job.clone(), revision: known.revision })),
                task: task.clone(),
                settled,
                ..Step::default()
            };
            match self.ports.store.commit(step).await {
                Ok(()) => {
                    self.wake();
                    return Ok(job);
                }
                Err(StoreError::Stale { .. }) if attempt < TRIES => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Effects as rows to write.
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

    /// The issue moves when its job ends or begins again.
    async fn follow_issue(
        &self,
        job: &Job,
        before: JobStatus,
        now: Timestamp,
    ) -> Result<Option<Write<Issue>>, StoreError> {
        let event = match job.status() {
            after if after == before => return Ok(None),
            JobStatus::Succeeded => IssueEvent::TaskSucceeded,
            JobStatus::Failed => IssueEvent::TaskFailed,
            JobStatus::Cancelled => IssueEvent::Cancel,
            JobStatus::Queued if before.is_terminal() => IssueEvent::Restart,
            JobStatus::Queued | JobStatus::Running => return Ok(None),
        };
        let Some(known) = self.ports.store.issue(job.issue_id).await? else { return Ok(None) };
        match known.value.advance(event, now) {
            Ok(issue) => Ok(Some(Write::Update(Versioned { value: issue, revision: known.revision }))),
            Err(refused) => {
                // People merge and close on their own; the job's end must not undo that.
                tracing::debug!(job_id = %job.id, %refused, "the issue stays as it is");
                Ok(None)
            }
        }
    }
}
