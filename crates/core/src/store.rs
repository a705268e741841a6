//! The store of record: issues, jobs, tasks, webhook deliveries and the outbox of effects.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchwright_domain::job::Lease;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::node::Needs;
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{
    DeliveryId, Effect, EffectId, Issue, IssueId, IssueRef, Job, JobId, PlatformId, Request, Task,
};

use crate::audit::AuditEntry;
use crate::fault::{Cause, Fault};

/// The longest lease. A lease that ends later was granted before the clock was set back, and its job may be claimed.
pub const MAX_LEASE: SignedDuration = SignedDuration::from_mins(10);

/// A value with the revision that it was read at.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Incremented with every update. Renewing a lease is not an update.
    pub revision: i64,
}

/// Everything that a use case writes, in one transaction: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The delivery that caused the step. If it is known already, the whole step is refused as repeated.
    pub delivery: Option<DeliveryRecord>,
    /// The issue, new or changed.
    pub issue: Option<Write<Issue>>,
    /// The job, new or changed.
    pub job: Option<JobWrite>,
    /// A request, new or decided.
    pub request: Option<RequestWrite>,
    /// A task, new or changed. Only the holder of the job's lease writes tasks, so they carry no revision.
    pub task: Option<Task>,
    /// Effects that become due, in the order of their delivery.
    pub effects: Vec<EffectRecord>,
    /// The effect that this step completes.
    pub settled: Option<EffectId>,
    /// The statistics to add if the job ends with this step.
    pub ended: Option<RunRecord>,
    /// The audit entry of the action. If it cannot be written, nothing is.
    pub audit: Option<AuditEntry>,
}

/// A value to insert or update.
#[derive(Debug, Clone)]
pub enum Write<T> {
    /// The value is new.
    Insert(T),
    /// The value replaces the one of this revision; any other revision is refused as stale.
    Update(Versioned<T>),
}

/// A job to insert or update. An update names the stages that differ, because their reports are most of a job's size.
#[derive(Debug, Clone)]
pub enum JobWrite {
    /// The job is new; all its stages are written.
    Insert(Job),
    /// The job replaces the one of this revision; any other revision is refused as stale.
    Update {
        /// The new value of the job.
        job: Job,
        /// The revision that it was read at.
        revision: i64,
        /// The stages that are written. All others MUST be as they were read.
        stages: Vec<StageKind>,
    },
}

impl JobWrite {
    /// Creates the update of a job that was read, with those of its stages that differ.
    pub fn update(known: &Versioned<Job>, job: Job) -> Self {
        let records = known.value.stages.iter().zip(&job.stages);
        let stages = records.filter(|(before, now)| before != now).map(|(_, now)| now.kind).collect();
        Self::Update { job, revision: known.revision, stages }
    }

    /// The new value of the job.
    pub const fn job(&self) -> &Job {
        match self {
            Self::Insert(job) | Self::Update { job, .. } => job,
        }
    }
}

/// A request to insert or to decide.
#[derive(Debug, Clone)]
pub enum RequestWrite {
    /// The request is new.
    Insert(Request),
    /// The request is decided. If it was decided already, the whole step is refused as stale.
    Decide(Request),
}

impl RequestWrite {
    /// The new value of the request.
    pub const fn request(&self) -> &Request {
        match self {
            Self::Insert(request) | Self::Decide(request) => request,
        }
    }
}

/// A request that an admission has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRequest {
    /// The request.
    pub request: Request,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// A webhook delivery, remembered so that it is processed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The platform that sent it.
    pub platform: PlatformId,
    /// The platform's id of the delivery.
    pub id: DeliveryId,
    /// What the delivery is about, beyond its id (`comment:77`). Two deliveries of one identity are the same event; it is
    /// unique within the platform.
    pub identity: Option<String>,
    /// The platform's name of the event.
    pub event_type: String,
    /// The job that it created or that it is about.
    pub job_id: Option<JobId>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The event as it was received, JSON. Shared, because a step that lost against another writer is built again.
    pub payload: Arc<str>,
}

/// An effect in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectRecord {
    /// Effects are delivered in the order of their ids.
    pub id: EffectId,
    /// The issue that the effect shows on. Effects of one issue are delivered one after the other.
    pub issue_id: IssueId,
    /// The job that the effect is about; a reply may have none.
    pub job_id: Option<JobId>,
    /// What to deliver.
    pub effect: Effect,
    /// When it became due.
    pub created_at: Timestamp,
}

/// An effect that a worker has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEffect {
    /// The effect.
    pub record: EffectRecord,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// How long completed records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this are deleted.
    pub before: Timestamp,
    /// The most bytes that the payloads of deliveries take together; 0 stands for no limit.
    pub payload_bytes: u64,
    /// Jobs that ended before this time are deleted with their tasks, logs and prompts; of each issue the newest stays.
    pub jobs_before: Option<Timestamp>,
    /// Entries of the audit log from before this time are deleted.
    pub audit_before: Option<Timestamp>,
}

impl Retention {
    /// Keeps everything but deliveries and effects from before a time.
    pub const fn of_deliveries(before: Timestamp, payload_bytes: u64) -> Self {
        Self { before, payload_bytes, jobs_before: None, audit_before: None }
    }
}

/// The most jobs that run at once; 0 stands for no limit. Repositories of one name on several platforms count together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConcurrencyLimits {
    /// In one repository.
    pub per_repository: u32,
    /// For one user.
    pub per_actor: u32,
}

/// How an attempt to deliver an effect ended, when it changed nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectOutcome {
    /// Delivered, or no longer needed.
    Done,
    /// Failed, to be attempted again.
    Retry {
        /// The earliest time of the next attempt.
        at: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// Not attempted, because the remote side requested a wait. This attempt is not counted.
    Postponed {
        /// The earliest time of the next attempt.
        at: Timestamp,
        /// The remote side's reason.
        error: String,
    },
    /// Given up; kept for users to see.
    Dead {
        /// What went wrong.
        error: String,
    },
}

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer was faster. Nothing was written; read again.
    #[error("the {what} was changed meanwhile")]
    Stale {
        /// `job`, `issue` or another table.
        what: &'static str,
    },
    /// The delivery is known. Nothing was written.
    #[error("the delivery is known already")]
    Repeated {
        /// The job of the delivery that was first.
        job_id: Option<JobId>,
        /// Whether the delivery's id was known, and not only its identity.
        same_delivery: bool,
        /// Whether the known delivery has another payload: platforms never use an id twice.
        altered: bool,
    },
    /// The database cannot be used now. Nothing was written.
    #[error("the database cannot be used now")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
    /// A newer version of this program has changed the database. Nothing was read or written.
    #[error(
        "the database has the schema {found}, and this version knows up to {known}; use the newer version again, or restore \
         a backup from before the upgrade"
    )]
    NewerSchema {
        /// The newest version of the database's schema.
        found: String,
        /// The newest version that this program knows.
        known: String,
    },
    /// A row cannot be read, or a statement is wrong.
    #[error("the database has invalid data or sent an invalid response: {detail}")]
    Corrupt {
        /// The row and what is wrong with it.
        detail: String,
    },
}

impl StoreError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Stale { .. } | Self::Unavailable { .. } => Fault::RETRY,
            Self::Repeated { .. } | Self::NewerSchema { .. } | Self::Corrupt { .. } => Fault::Internal,
        }
    }
}

/// A worker, or a dispatcher for many workers, that claims jobs.
pub trait Claimant: Send + Sync {
    /// Returns whether it runs only jobs without requirements on the node. Claims of such workers can be batched.
    fn is_plain(&self) -> bool;

    /// Returns whether it can run a job with these requirements.
    fn can(&self, needs: &Needs) -> bool;

    /// Returns its lease on a job; `None` if it does not take this one.
    fn lease(&self, job: &Job) -> Option<Lease>;
}

/// A worker that runs any job without requirements.
impl Claimant for Lease {
    fn is_plain(&self) -> bool {
        true
    }

    fn can(&self, needs: &Needs) -> bool {
        needs.is_none()
    }

    fn lease(&self, _: &Job) -> Option<Lease> {
        Some(self.clone())
    }
}

/// The store of record.
///
/// An implementation
/// * MUST write a [`Step`] whole or not at all, and return only when it is safe on disk;
/// * MUST refuse an update of any other revision than the current one with [`StoreError::Stale`];
/// * MUST refuse a known delivery (same platform and id, or same platform and identity) with [`StoreError::Repeated`],
///   also when two arrive concurrently;
/// * MUST let one worker at a time claim a job or an effect;
/// * MUST NOT let an update that was computed before a renewal shorten the renewed lease.
#[async_trait]
pub trait Store: Send + Sync {
    /// Checks that the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Returns a job by its id.
    async fn job(&self, id: JobId) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Returns an issue by its id.
    async fn issue(&self, id: IssueId) -> Result<Option<Versioned<Issue>>, StoreError>;

    /// Returns the issue of this platform, repository and number.
    async fn issue_by_source(&self, source: &IssueRef) -> Result<Option<Versioned<Issue>>, StoreError>;

    /// Returns the newest job of an issue.
    async fn latest_job(&self, issue: IssueId) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Returns the jobs of an issue that have not ended, oldest first. Only the first of them may run.
    async fn open_jobs(&self, issue: IssueId) -> Result<Vec<Versioned<Job>>, StoreError>;

    /// Returns the tasks of a job that have not ended, oldest first.
    async fn open_tasks(&self, job: JobId) -> Result<Vec<Task>, StoreError>;

    /// Returns the newest task of a job, ended or not.
    async fn latest_task(&self, job: JobId) -> Result<Option<Task>, StoreError>;

    /// Returns the newest job that works on a branch.
    async fn job_by_branch(
        &self,
        source: &PlatformId,
        repo: &str,
        branch: &str,
    ) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Returns the newest job with this pull request.
    async fn job_by_pull_request(
        &self,
        source: &PlatformId,
        repo: &str,
        number: u64,
    ) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Returns a request by its id, which is that of the job that it asks for.
    async fn request(&self, id: JobId) -> Result<Option<Request>, StoreError>;

    /// Claims the oldest due request that is not decided, until `until`. A request waits until all older requests of the
    /// same person on the same issue are decided, and never for those of others.
    async fn claim_request(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedRequest>, StoreError>;

    /// Ends the claim on a request without a decision: it is tried again. Other outcomes than [`EffectOutcome::Retry`] and
    /// [`EffectOutcome::Postponed`] change nothing.
    async fn retry_request(&self, id: JobId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// Returns whether a reply to a refused request was queued on the issue: one to this person at any time, or one to
    /// anybody after `since`.
    async fn is_refusal_answered(&self, issue: &IssueRef, actor: &str, since: Timestamp) -> Result<bool, StoreError>;

    /// Writes a step in one transaction.
    async fn commit(&self, step: Step) -> Result<(), StoreError>;

    /// Claims a job that the claimant can run, and gives it the claimant's lease: first a job whose lease has expired;
    /// otherwise, of the repository with the fewest running jobs, the job that has waited longest and may run at `now`.
    /// A job waits until all earlier jobs of its issue have ended. If `limits` is reached, nothing is claimed. Stages
    /// are not written.
    async fn claim_job(
        &self,
        now: Timestamp,
        claimant: Arc<dyn Claimant>,
        limits: ConcurrencyLimits,
    ) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Sets the end of a job's lease; `false` when the job does not run under this epoch. This is no change of the job:
    /// revision, `updated_at` and stages stay, and no event is sent.
    async fn renew_lease(&self, job: JobId, epoch: u64, until: Timestamp) -> Result<bool, StoreError>;

    /// Claims the oldest due effect until `until`. An effect waits until all older effects of its issue are settled.
    async fn claim_effect(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedEffect>, StoreError>;

    /// Ends the claim on an effect.
    async fn settle_effect(&self, id: EffectId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// Deletes effects that were delivered before the time, requests that were decided and made before it, payloads of
    /// deliveries that were received before it, and those deliveries that have no identity. The others are kept, so that a
    /// comment that is delivered again much later is still recognized. Of the remaining payloads, the newest are kept up to
    /// the limit, in stored bytes. Deletes jobs and audit entries as [`Retention`] says. Returns how many rows
    /// changed.
    async fn forget(&self, retention: Retention) -> Result<u64, StoreError>;

    /// Returns the first time after `after` at which a job, a request, an effect or, where the store has these, a tracker's event or a
    /// notification becomes due; `None` if there is none.
    async fn next_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}
