//! What people want to see: lists and single things, read only.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{Issue, IssueId, IssueStatus, Job, JobId, JobStatus, Task, TaskId, TaskStatus};

use crate::store::{DeliveryRecord, StoreError};

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only of this status.
    pub status: Option<JobStatus>,
    /// Only of this repository, `owner/name`.
    pub repository: Option<String>,
    /// Only of this issue.
    pub issue: Option<IssueId>,
    /// Only jobs that are older than this one: the next page.
    pub before: Option<JobId>,
    /// At most this many.
    pub limit: u16,
}

/// Which issues to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssueFilter {
    /// Only of this status.
    pub status: Option<IssueStatus>,
    /// Only of this repository, `owner/name`.
    pub repository: Option<String>,
    /// Only with this text in the title or body, in any case.
    pub text: Option<String>,
    /// Only issues that are older than this one: the next page.
    pub before: Option<IssueId>,
    /// At most this many.
    pub limit: u16,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only of this status.
    pub status: Option<TaskStatus>,
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only of this issue.
    pub issue: Option<IssueId>,
    /// Only tasks that are older than this one: the next page.
    pub before: Option<TaskId>,
    /// At most this many.
    pub limit: u16,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// Effects that wait.
    pub effects: u64,
    /// Events of Jira that were acknowledged and wait to be seen to.
    pub events: u64,
}

/// Reads for people.
#[async_trait]
pub trait Queries: Send + Sync {
    /// Jobs, newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<Job>, StoreError>;

    /// Jobs that changed at this microsecond or later, in the order of their changes.
    async fn jobs_changed(&self, since: i64, limit: u16) -> Result<Vec<Job>, StoreError>;

    /// Issues, newest first.
    async fn issues(&self, filter: IssueFilter) -> Result<Vec<Issue>, StoreError>;

    /// Tasks, newest first.
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>, StoreError>;

    /// What makes the change of these jobs in place of the built-in stages, or else what was asked for beyond the issue.
    async fn wishes(&self, jobs: &[JobId]) -> Result<HashMap<JobId, String>, StoreError>;

    /// A task.
    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// The delivery that made a job.
    async fn delivery(&self, job: JobId) -> Result<Option<DeliveryRecord>, StoreError>;

    /// Which turn a waiting job has among those of its repository, from 1; `None` when it does not wait. (Repositories
    /// take turns, so there is no one order of all.)
    async fn queue_position(&self, job: JobId) -> Result<Option<u64>, StoreError>;

    /// The jobs that wait, with their turns in their repositories; those come first that go first there.
    async fn waiting(&self, limit: u16) -> Result<Vec<(Job, u64)>, StoreError>;

    /// How many issues there are of each status.
    async fn issue_counts(&self) -> Result<HashMap<IssueStatus, u64>, StoreError>;

    /// The newest delivery that was kept: of which platform, what, and when.
    async fn last_delivery(&self) -> Result<Option<(String, String, Timestamp)>, StoreError>;

    /// How much waits.
    async fn queue_depth(&self) -> Result<QueueDepth, StoreError>;
}
