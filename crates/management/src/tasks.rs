//! Tasks, their logs, and the model calls that they made.

use std::collections::HashMap;

use patchwright_core::model_calls::{StoredCall, Transcript};
use patchwright_core::query::TaskFilter;
use patchwright_domain::{JobId, Task, TaskId};

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;

/// Tasks.
#[derive(Debug, Clone, Copy)]
pub struct Tasks<'a>(pub(crate) &'a Inner);

impl Tasks<'_> {
    /// Lists the tasks that the caller sees, newest first.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self, principal: &Principal, filter: TaskFilter) -> Result<Vec<Task>, ManagementError> {
        let visible = self.0.visibility(principal).await?;
        Ok(self.0.ports.queries.tasks(TaskFilter { visible, ..filter }).await?)
    }

    /// Returns a task. Its log may be read, too.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Unavailable`].
    pub async fn get(&self, principal: &Principal, id: TaskId) -> Result<Task, ManagementError> {
        let task = self.find(id).await?;
        let job = self.0.engine.job(task.job_id).await?.ok_or_else(|| ManagementError::not_found("task"))?;
        self.0.require_visible_job(principal, &job, "task").await?;
        Ok(task)
    }

    /// Returns a task for its node, or for a reader who was shown it before.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Unavailable`].
    pub async fn find(&self, id: TaskId) -> Result<Task, ManagementError> {
        self.0.ports.queries.task(id).await?.ok_or_else(|| ManagementError::not_found("task"))
    }

    /// Returns the command of these jobs, or else their additional instructions. Jobs with neither are left out.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn requested_work(&self, jobs: &[JobId]) -> Result<HashMap<JobId, String>, ManagementError> {
        Ok(self.0.ports.queries.requested_work(jobs).await?)
    }

    /// Returns a model call of a task, with the prompt and the answer.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Unavailable`].
    pub async fn model_call(
        &self,
        principal: &Principal,
        id: TaskId,
        number: u32,
    ) -> Result<(Task, StoredCall, Transcript), ManagementError> {
        let task = self.get(principal, id).await?;
        let found = self.0.ports.model_calls.call(task.id, number).await?;
        let (call, transcript) = found.ok_or_else(|| ManagementError::not_found("call"))?;
        Ok((task, call, transcript))
    }
}
