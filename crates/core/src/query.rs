//! What people want to see: lists and single things, read only.

use async_trait::async_trait;
use patchwright_domain::{Job, JobId, JobStatus, Task};

use crate::store::{DeliveryRecord, StoreError};

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only of this status.
    pub status: Option<JobStatus>,
    /// Only of this repository, `owner/name`.
    pub repository: Option<String>,
    /// Only jobs that are older than this one: the next page.
    pub before: Option<JobId>,
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
}

/// Reads for people.
#[async_trait]
pub trait Queries: Send + Sync {
    /// Jobs, newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<Job>, StoreError>;

    /// The tasks of a job, oldest first.
    async fn tasks(&self, job: JobId) -> Result<Vec<Task>, StoreError>;

    /// The delivery that made a job.
    async fn delivery(&self, job: JobId) -> Result<Option<DeliveryRecord>, StoreError>;

    /// Which turn a waiting job has among those of its repository, from 1; `None` when it does not wait. (Repositories
    /// take turns, so there is no one order of all.)
    async fn queue_position(&self, job: JobId) -> Result<Option<u64>, StoreError>;

    /// How much waits.
    async fn queue_depth(&self) -> Result<QueueDepth, StoreError>;
}
