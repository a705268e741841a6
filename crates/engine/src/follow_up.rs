//! Follow-ups: the job whose branch and pull request they continue, and those that the server starts by itself.

use patchwright_core::store::{JobWrite, Step, StoreError, Versioned};
use patchwright_domain::job::{JobTrigger, PublishMode, TriggerKind};
use patchwright_domain::{Job, JobId, JobStatus, Task};

use crate::Engine;
use crate::start::{IssueSnapshot, StartRefused, StartRequest, inbound_of};

impl Engine {
    /// Returns the job, or, while it is a follow-up that has not taken over anything, the nearest one before it that has a
    /// state of its own; `None` if that one was deleted.
    pub(crate) async fn with_own_state(&self, mut job: Versioned<Job>) -> Result<Option<Versioned<Job>>, StoreError> {
        while job.value.awaits_inheritance()
            && let Some(follows) = &job.value.follows
        {
            let Some(before) = self.ports.store.job(follows.job_id).await? else { return Ok(None) };
            job = before;
        }
        Ok(Some(job))
    }

    /// Returns the job that a follow-up continues.
    pub(crate) async fn continued_job(&self, job: &Job) -> Result<Option<Job>, StoreError> {
        let Some(follows) = &job.follows else { return Ok(None) };
        let Some(before) = self.ports.store.job(follows.job_id).await? else { return Ok(None) };
        Ok(self.with_own_state(before).await?.map(|before| before.value))
    }

    /// Starts a follow-up of a job that has succeeded, if that is still the latest of its issue, so that a repetition starts
    /// nothing. Returns the new job.
    pub(crate) async fn start_follow_up<'a>(
        &'a self,
        job: &'a Job,
        kind: TriggerKind,
        actor: &'a str,
        instructions: Option<String>,
        shape: impl Fn(StartRequest<'_>) -> StartRequest<'_>,
    ) -> Result<Option<JobId>, StoreError> {
        let started = self
            .write(async || {
                let issue = self.ports.store.issue(job.issue_id).await?;
                let latest = self.ports.store.latest_job(job.issue_id).await?;
                let is_latest = latest
                    .as_ref()
                    .is_some_and(|latest| latest.value.id == job.id && latest.value.status() == JobStatus::Succeeded);
                let Some(issue) = issue.filter(|_| is_latest) else { return Ok((Step::default(), None)) };
                let inbound = inbound_of(&issue.value);
                let trigger = JobTrigger {
                    kind,
                    event_type: kind.as_str().to_owned(),
                    actor: actor.to_owned(),
                    instructions: instructions.clone(),
                    comment_id: None,
                    at: self.ports.clock.now(),
                    language: job.trigger.language,
                };
                let request = shape(StartRequest::new(&inbound, trigger, PublishMode::PullRequest));
                match self.plan_start(request, IssueSnapshot { issue: Some(issue), latest }) {
                    Ok((step, follow_up)) => {
                        let is_new = matches!(step.job, Some(JobWrite::Insert(_)));
                        let task = is_new.then(|| Task::first(&follow_up, "", self.ports.clock.now()));
                        Ok((Step { task, ..step }, Some(follow_up.id)))
                    }
                    // The issue was closed or merged meanwhile.
                    Err(StartRefused::Active(_) | StartRefused::Refused(_)) => Ok((Step::default(), None)),
                }
            })
            .await?;
        if started.is_some() {
            self.wake();
        }
        Ok(started)
    }
}
