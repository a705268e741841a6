//! What people do by hand: start, retry, cancel.

use patchwright_core::store::StoreError;
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::job::{JobTrigger, PublishMode, TriggerKind};
use patchwright_domain::{Job, JobEvent, JobId, Refused};

use crate::Engine;
use crate::change::ChangeError;
use crate::start::{NotStarted, Wanted};

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
    /// A newer job has taken its place.
    #[error("the job {0} of the same issue is newer; retry that one")]
    Superseded(JobId),
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// Nothing can be read or written now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotStarted> for ControlError {
    fn from(not_started: NotStarted) -> Self {
        match not_started {
            NotStarted::Active(id) => Self::JobActive(id),
            NotStarted::Refused(refused) => Self::Refused(refused),
        }
    }
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
    /// Starts a job for an issue. While one is at work, instructions make a follow-up that waits for it.
    ///
    /// # Errors
    /// [`ControlError::JobActive`] when one is at work and there are no instructions, [`ControlError::Refused`] when the
    /// issue is past it.
    pub async fn start(&self, start: ManualStart) -> Result<Job, ControlError> {
        let known = self.known(&start.issue).await?;
        let trigger = JobTrigger {
            kind: TriggerKind::Manual,
            event_type: "manual".to_owned(),
            actor: start.actor,
            instructions: start.instructions,
            comment_id: None,
            at: self.ports.clock.now(),
        };
        let more = trigger.instructions.is_some();
        let wanted = Wanted { issue: &start.issue, trigger, publish: start.publish, more };
        let (step, job) = self.plan_start(wanted, known)?;
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
    /// [`ControlError::Refused`] when it has not failed, [`ControlError::Superseded`] when the issue has a newer job,
    /// [`ControlError::NoSuchJob`] when there is none.
    pub async fn retry(&self, id: JobId) -> Result<Job, ControlError> {
        let job = self.job(id).await?.ok_or(ControlError::NoSuchJob(id))?;
        if let Some(latest) = self.ports.store.latest_job(job.issue_id).await?.filter(|latest| latest.value.id != id) {
            return Err(ControlError::Superseded(latest.value.id));
        }
        Ok(self.change_job(id, JobEvent::RestartRequested).await?)
    }
}
