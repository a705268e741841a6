//! Follow-ups: the job whose branch and pull request they continue.

use patchwright_core::store::{StoreError, Versioned};
use patchwright_domain::Job;

use crate::Engine;

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
}
