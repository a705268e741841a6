//! What people do by hand: start, retry, cancel.

use patchwright_core::store::{Step, StoreError, Write};
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::job::{JobTrigger, PublishMode, TriggerKind};
use patchwright_domain::{Job, JobEvent, JobId, Refused};

use crate::Engine;
use crate::change::ChangeError;

/// A job to start without a delivery.
#[derive(Debug, Clone)]
pub struct ManualStart {
    /// The issue, as its tracker tells it.
    pub issue: InboundIssue,
    /// Who starts it.
    pub actor: String,
    /// What else they ask for.
    pub instructions: Option<String>,
    /// How far the result goes out.
    pub publish: PublishMode,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A job is at work for the issue.
    #[error("the job {0} works on this issue already; wait for it or cancel it")]
    JobActive(JobId),
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// Nothing can be read or written now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError> for ControlError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refused) => Self::Refused(refused),
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::Gone(id) => Self::NoSuchJob(id),
        }
    }
}

impl Engine {
    /// Starts a job for an issue.
    ///
    /// # Errors
    /// [`ControlError::JobActive`] when one is at work, [`ControlError::Refused`] when the issue is past it.
    pub async fn start(&self, start: ManualStart) -> Result<Job, ControlError> {
        let known = self.ports.store.issue_by_source(&start.issue.source).await?;
        let latest = match &known {
            Some(issue) => self.ports.store.latest_job(issue.value.id).await?.map(|job| job.value),
            None => None,
        };
        if let Some(active) = latest.as_ref().filter(|job| !job.status().is_terminal()) {
            return Err(ControlError::JobActive(active.id));
        }
        let (issue, issue_id) = self.started_issue(&start.issue, known)?;
        let now = self.ports.clock.now();
        let trigger = JobTrigger {
            kind: TriggerKind::Manual,
            event_type: "manual".to_owned(),
            actor: start.actor,
            instructions: start.instructions,
            comment_id: None,
            at: now,
        };
        let job = self.new_job(&start.issue, issue_id, trigger, start.publish, latest.as_ref());
        let effects = self.records(&job, job.accepted_effects(), now);
        let step = Step { issue: Some(issue), job: Some(Write::Insert(job.clone())), effects, ..Step::default() };
        self.ports.store.commit(step).await?;
        self.wake();
        Ok(job)
    }

    /// Stops a job, wherever it stands.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it has ended, [`ControlError::NoSuchJob`] when there is none.
    pub async fn cancel(&self, id: JobId) -> Result<Job, ControlError> {
        let job = self.change_job(id, JobEvent::CancelRequested).await?;
        self.interrupt(id);
        Ok(job)
    }

    /// Starts a job again at the first stage that did not succeed.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it has not failed, [`ControlError::NoSuchJob`] when there is none.
    pub async fn retry(&self, id: JobId) -> Result<Job, ControlError> {
        Ok(self.change_job(id, JobEvent::RestartRequested).await?)
    }
}
