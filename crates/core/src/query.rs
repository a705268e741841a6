//! Read-only queries for users: lists, pages and counts.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::job::JobSummary;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{Issue, IssueId, IssueStatus, JobId, JobStatus, Task, TaskId, TaskStatus};

use crate::access::Visibility;
use crate::store::{DeliveryRecord, StoreError};

/// Which jobs to list. What is `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Jobs of this status.
    pub status: Option<JobStatus>,
    /// Jobs of this repository, `owner/name`.
    pub repository: Option<String>,
    /// Jobs of this issue.
    pub issue: Option<IssueId>,
    /// Jobs with this verdict.
    pub verdict: Option<Verdict>,
    /// Jobs that this person asked for, by login.
    pub actor: Option<String>,
    /// Jobs that the reader may see.
    pub visible: Visibility,
    /// Jobs older than this one: the next page.
    pub before: Option<JobId>,
    /// The most jobs to return.
    pub limit: u16,
}

/// Which issues to list. What is `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssueFilter {
    /// Issues of this status.
    pub status: Option<IssueStatus>,
    /// Issues of this repository, `owner/name`.
    pub repository: Option<String>,
    /// Issues of this number, as users see it.
    pub number: Option<u64>,
    /// Issues with this text in the title or body, without regard to case.
    pub text: Option<String>,
    /// Issues that the reader may see.
    pub visible: Visibility,
    /// The order of the issues, in which `after` and `limit` count.
    pub order: IssueOrder,
    /// Issues after this one in the order: the next page.
    pub after: Option<IssueId>,
    /// The most issues to return.
    pub limit: u16,
}

/// Which tasks to list. What is `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Tasks of this status.
    pub status: Option<TaskStatus>,
    /// Tasks of this job.
    pub job: Option<JobId>,
    /// Tasks of this issue.
    pub issue: Option<IssueId>,
    /// Tasks that the reader may see.
    pub visible: Visibility,
    /// Tasks older than this one: the next page.
    pub before: Option<TaskId>,
    /// The most tasks to return.
    pub limit: u16,
}

/// The lengths of the queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Jobs that wait for a worker.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// Effects that wait for delivery. The reading of checks that have not ended is not counted.
    pub effects: u64,
    /// Requests that are not decided.
    pub requests: u64,
    /// Events of Jira that were acknowledged and wait to be processed.
    pub events: u64,
}

/// Since when the queues have been waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueLag {
    /// When the oldest effect was created that is due, or that failed and is tried again. The reading of checks that have not ended is
    /// not counted.
    pub oldest_effect: Option<Timestamp>,
    /// The repositories with the most waiting jobs, those with more first.
    pub repositories: Vec<WaitingJobs>,
}

/// The waiting jobs of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingJobs {
    /// The repository, `owner/name`.
    pub repository: String,
    /// How many wait.
    pub jobs: u64,
    /// When the oldest of them was created.
    pub oldest: Timestamp,
}

/// The queries. Jobs come as summaries: the reports of their stages are not read.
#[async_trait]
pub trait Queries: Send + Sync {
    /// Returns jobs, newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>, StoreError>;

    /// Returns the jobs, whoever may see them, that changed at this microsecond or later, in the order of their changes.
    async fn jobs_changed(&self, since: i64, limit: u16) -> Result<Vec<JobSummary>, StoreError>;

    /// Returns the newest job of each of these issues. Issues without jobs are left out.
    async fn latest_jobs(&self, issues: &[IssueId]) -> Result<HashMap<IssueId, JobSummary>, StoreError>;

    /// Returns issues, in the order of the filter.
    async fn issues(&self, filter: IssueFilter) -> Result<Vec<Issue>, StoreError>;

    /// Returns tasks, newest first.
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>, StoreError>;

    /// Returns the command of these jobs, or else their additional instructions. Jobs with neither are left out.
    async fn requested_work(&self, jobs: &[JobId]) -> Result<HashMap<JobId, String>, StoreError>;

    /// Returns a task by id.
    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Returns the delivery that created a job.
    async fn delivery(&self, job: JobId) -> Result<Option<DeliveryRecord>, StoreError>;

    /// Returns the position of a waiting job in the queue of its repository, from 1; `None` when it does not wait.
    /// Repositories take turns, so there is no position among all jobs.
    async fn queue_position(&self, job: JobId) -> Result<Option<u64>, StoreError>;

    /// Returns the waiting jobs with their positions in the queues of their repositories, in the order in which each
    /// repository runs them. Of those that the reader may not see, only the place in the queue counts.
    async fn waiting(&self, limit: u16, visible: Visibility) -> Result<Vec<(JobSummary, u64)>, StoreError>;

    /// Returns how many issues that the reader may see have each status.
    async fn issue_counts(&self, visible: Visibility) -> Result<HashMap<IssueStatus, u64>, StoreError>;

    /// Returns the newest delivery: platform, event and time.
    async fn last_delivery(&self) -> Result<Option<(String, String, Timestamp)>, StoreError>;

    /// Returns the lengths of the queues.
    async fn queue_depth(&self) -> Result<QueueDepth, StoreError>;

    /// Returns since when the queues have been waiting, and the repositories (at most so many) with the most waiting jobs.
    async fn queue_lag(&self, now: Timestamp, repositories: u16) -> Result<QueueLag, StoreError>;
}
