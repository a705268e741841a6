//! Operations on jobs.

use patchwright_core::audit::AuditEntry;
use patchwright_core::model_calls::StoredCall;
use patchwright_core::query::JobFilter;
use patchwright_core::store::DeliveryRecord;
use patchwright_domain::trigger::MAX_INSTRUCTIONS;
use patchwright_domain::{IssueId, Job, JobId, JobStatus, JobSummary, Request, RequestState, UserId};

use crate::error::ManagementError;
use crate::issues::check_text;
use crate::principal::Principal;
use crate::{Inner, queue_estimate};

/// The position of a queued job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEstimate {
    /// Its position among the queued jobs of its repository, from 1.
    pub position: u64,
    /// The estimated time until it starts, in seconds; `None` while no job has ended lately.
    pub wait_seconds: Option<u64>,
}

/// What the id of a job stands for.
#[derive(Debug, Clone)]
pub enum JobOrRequest {
    /// A job.
    Job(Box<Job>),
    /// A request that is no job: it is not decided, was refused, or was a command for other jobs.
    Request(Box<Request>),
}

/// Jobs.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'a>(pub(crate) &'a Inner);

impl Jobs<'_> {
    /// Lists the jobs that the caller sees, newest first.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self, principal: &Principal, filter: JobFilter) -> Result<Vec<JobSummary>, ManagementError> {
        let visible = self.0.visibility(principal).await?;
        Ok(self.0.ports.queries.jobs(JobFilter { visible, ..filter }).await?)
    }

    /// Returns the waiting jobs that the caller sees, with their positions in the queues of their repositories.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn waiting(&self, principal: &Principal, limit: u16) -> Result<Vec<(JobSummary, u64)>, ManagementError> {
        let visible = self.0.visibility(principal).await?;
        Ok(self.0.ports.queries.waiting(limit, visible).await?)
    }

    /// Returns the jobs that changed at this microsecond or later and that the caller sees, in the order of their changes, and
    /// whether there may be more.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list_changed(
        &self,
        principal: &Principal,
        since: i64,
        limit: u16,
    ) -> Result<(Vec<JobSummary>, bool), ManagementError> {
        let changed = self.0.ports.queries.jobs_changed(since, limit).await?;
        let is_full = changed.len() == usize::from(limit);
        let mut visible = Vec::with_capacity(changed.len());
        for job in changed {
            if self.sees(principal, &job).await? {
                visible.push(job);
            }
        }
        Ok((visible, is_full))
    }

    /// Returns whether the caller sees a job.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn sees(&self, principal: &Principal, job: &JobSummary) -> Result<bool, ManagementError> {
        let visibility = self.0.visibility(principal).await?;
        if visibility.includes(&job.source.platform, &job.source.repo) {
            return Ok(true);
        }
        let owner = self.0.engine.issue(job.issue_id).await?.and_then(|issue| issue.owner);
        Ok(visibility.includes_issue(&job.source.platform, &job.source.repo, owner))
    }

    /// Returns the delivery that created a job or a request.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn delivery(&self, id: JobId) -> Result<Option<DeliveryRecord>, ManagementError> {
        Ok(self.0.ports.queries.delivery(id).await?)
    }

    /// Returns the model calls of a job that the caller was shown.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn model_calls(&self, job: &Job) -> Result<Vec<StoredCall>, ManagementError> {
        Ok(self.0.ports.model_calls.calls(job.id).await?)
    }

    /// Returns a job by its id, or by the id of a request that was added to it.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn get(&self, principal: &Principal, id: JobId) -> Result<Job, ManagementError> {
        match self.find(principal, id).await? {
            JobOrRequest::Job(job) => Ok(*job),
            JobOrRequest::Request(_) => Err(ManagementError::not_found("job")),
        }
    }

    /// Returns what an id stands for that a delivery was answered with: the job, or the request while there is none.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn find(&self, principal: &Principal, id: JobId) -> Result<JobOrRequest, ManagementError> {
        let found = self.find_any(id).await?;
        match &found {
            JobOrRequest::Job(job) => self.0.require_visible_job(principal, job, "job").await?,
            JobOrRequest::Request(request) => {
                let source = &request.trigger.issue.source;
                if !self.0.visibility(principal).await?.includes(&source.platform, &source.repo) {
                    return Err(ManagementError::not_found("job"));
                }
            }
        }
        Ok(found)
    }

    async fn find_any(&self, id: JobId) -> Result<JobOrRequest, ManagementError> {
        if let Some(job) = self.0.engine.job(id).await? {
            return Ok(JobOrRequest::Job(Box::new(job)));
        }
        let request = self.0.engine.request(id).await?.ok_or_else(|| ManagementError::not_found("job"))?;
        let job = match request.state {
            RequestState::Admitted { job: Some(job), .. } => self.0.engine.job(job).await?,
            _ => None,
        };
        Ok(job.map_or_else(|| JobOrRequest::Request(Box::new(request)), |job| JobOrRequest::Job(Box::new(job))))
    }

    /// Returns the newest job of an issue.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn latest(&self, principal: &Principal, issue: IssueId) -> Result<Option<JobSummary>, ManagementError> {
        let filter = JobFilter { issue: Some(issue), limit: 1, ..JobFilter::default() };
        Ok(self.list(principal, filter).await?.pop())
    }

    /// Returns the owner of a job's issue.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn owner(&self, job: &Job) -> Result<Option<UserId>, ManagementError> {
        Ok(self.0.engine.issue(job.issue_id).await?.and_then(|issue| issue.owner))
    }

    /// Restarts a failed job at the first stage that did not succeed.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Conflict`] when it has not failed
    /// or is not the newest of its issue.
    pub async fn retry(&self, principal: &Principal, id: JobId) -> Result<Job, ManagementError> {
        self.authorize(principal, id).await?;
        let audit = self.audit_entry(principal, "job.retried", id);
        Ok(self.0.engine.retry(id, Some(audit)).await?)
    }

    /// Approves the plan of a job, which continues then.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Conflict`] when no plan waits
    /// for approval.
    pub async fn approve(&self, principal: &Principal, id: JobId) -> Result<Job, ManagementError> {
        self.authorize(principal, id).await?;
        let audit = self.audit_entry(principal, "job.plan_approved", id);
        Ok(self.0.engine.approve_plan(id, principal.login(), Some(audit)).await?)
    }

    /// Has the plan of a job made again, as the caller wants it. The new plan waits for approval too.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Invalid`] without words or with too
    /// many, [`ManagementError::Conflict`] when no plan waits for approval.
    pub async fn revise_plan(&self, principal: &Principal, id: JobId, words: &str) -> Result<Job, ManagementError> {
        self.authorize(principal, id).await?;
        let words = check_text(words.trim(), MAX_INSTRUCTIONS, "wish")?;
        if words.is_empty() {
            return Err(ManagementError::invalid("no_words", "say what the plan should be"));
        }
        let audit = self.audit_entry(principal, "job.plan_revised", id);
        Ok(self.0.engine.revise_plan(id, principal.login(), &words, Some(audit)).await?)
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Conflict`] when it has ended.
    pub async fn cancel(&self, principal: &Principal, id: JobId) -> Result<Job, ManagementError> {
        self.authorize(principal, id).await?;
        let audit = self.audit_entry(principal, "job.cancelled", id);
        Ok(self.0.engine.cancel(id, Some(audit)).await?)
    }

    /// Returns the position of a job in the queue; `None` if it is not queued.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn queue_estimate(&self, job: &Job) -> Result<Option<QueueEstimate>, ManagementError> {
        if job.status() != JobStatus::Queued {
            return Ok(None);
        }
        let Some(position) = self.0.ports.queries.queue_position(job.id).await? else { return Ok(None) };
        let wait_seconds = queue_estimate::wait_seconds(position, self.0).await?;
        Ok(Some(QueueEstimate { position, wait_seconds }))
    }

    async fn authorize(&self, principal: &Principal, id: JobId) -> Result<(), ManagementError> {
        let job = self.get(principal, id).await?;
        principal.authorize_owner(self.owner(&job).await?)
    }

    fn audit_entry(&self, principal: &Principal, action: &str, job: JobId) -> AuditEntry {
        self.0.audit_entry(principal.login(), action, &job.to_string(), "")
    }
}
