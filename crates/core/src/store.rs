//! The truth: issues, jobs, tasks, deliveries and effects that wait.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchwright_domain::job::Lease;
use patchwright_domain::node::Needs;
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{DeliveryId, Effect, EffectId, Issue, IssueId, IssueRef, Job, JobId, PlatformId, Task};

use crate::fault::{Cause, Fault};

/// No lease is longer. One that seems to be was given before the clock was set back, and others may take the job.
pub const MAX_LEASE: SignedDuration = SignedDuration::from_mins(10);

/// A thing with the revision that it was read at.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// The thing.
    pub value: T,
    /// Rises with every write.
    pub revision: i64,
}

/// What a use case wants written: whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The delivery that caused it. With a known one the whole step is refused as repeated.
    pub delivery: Option<DeliveryRecord>,
    /// The issue, new or changed.
    pub issue: Option<Write<Issue>>,
    /// The job, new or changed.
    pub job: Option<Write<Job>>,
    /// A task, new or changed. Tasks are written by whoever holds the job's lease, so they need no revision.
    pub task: Option<Task>,
    /// Effects that become due. They are delivered in this order.
    pub effects: Vec<EffectRecord>,
    /// An effect that is done with this step.
    pub settled: Option<EffectId>,
    /// What is counted because the job ends with this step.
    pub ended: Option<RunRecord>,
}

/// A thing to write.
#[derive(Debug, Clone)]
pub enum Write<T> {
    /// It is new.
    Insert(T),
    /// It was read at this revision and must still be there.
    Update(Versioned<T>),
}

/// A delivery to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The platform.
    pub platform: PlatformId,
    /// Its name of the delivery.
    pub id: DeliveryId,
    /// What the delivery is about, beyond its id (`comment:77`): the same thing told twice is one thing. Unique too.
    pub identity: Option<String>,
    /// The platform's name of the event.
    pub event_type: String,
    /// The job that it made, or that it was about.
    pub job_id: Option<JobId>,
    /// When it came.
    pub received_at: Timestamp,
    /// The event as it came, JSON.
    pub payload: String,
}

/// An effect to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectRecord {
    /// Ours; ids in order are delivered in order.
    pub id: EffectId,
    /// The issue that it shows on: effects of one issue go out one after the other.
    pub issue_id: IssueId,
    /// The job that it speaks of; a reply may have none.
    pub job_id: Option<JobId>,
    /// What.
    pub effect: Effect,
    /// When it became due.
    pub created_at: Timestamp,
}

/// An effect that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEffect {
    /// The effect.
    pub record: EffectRecord,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// What is kept of things that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What came before is forgotten.
    pub before: Timestamp,
    /// How much room the payloads of deliveries may take together; 0 stands for no limit.
    pub payload_bytes: u64,
}

/// How many jobs may run at once; 0 stands for no limit. Repositories of one name on several platforms count together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConcurrencyLimits {
    /// In one repository.
    pub per_repository: u32,
    /// For one person.
    pub per_actor: u32,
}

/// How the delivery of an effect ended, when it changed nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectOutcome {
    /// Done, or no longer needed.
    Done,
    /// To be tried again.
    Retry {
        /// Not before.
        at: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// The other side asked for patience, so that nothing was tried: to be tried then, and not counted.
    Postponed {
        /// Not before.
        at: Timestamp,
        /// What it said.
        error: String,
    },
    /// Given up; kept for people to see.
    Dead {
        /// What went wrong.
        error: String,
    },
}

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first. Nothing was written; read again.
    #[error("the {what} was changed meanwhile")]
    Stale {
        /// `job` or `issue`.
        what: &'static str,
    },
    /// The delivery is known. Nothing was written.
    #[error("the delivery is known already")]
    Repeated {
        /// The job that the first one made.
        job_id: Option<JobId>,
        /// Whether it was the delivery's id that was known, and not only what it is about.
        same_delivery: bool,
        /// Whether the known one had another payload: platforms never use an id twice.
        altered: bool,
    },
    /// The database cannot be used now. Nothing was written.
    #[error("the database cannot be used now")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
    /// A row makes no sense, or a statement is wrong.
    #[error("the database holds or answers something that makes no sense: {detail}")]
    Corrupt {
        /// What.
        detail: String,
    },
}

impl StoreError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Stale { .. } | Self::Unavailable { .. } => Fault::RETRY,
            Self::Repeated { .. } | Self::Corrupt { .. } => Fault::Internal,
        }
    }
}

/// Who takes jobs: what it can do, and what its hold on one is.
pub trait Claimant: Send + Sync {
    /// Whether it takes only jobs that ask for nothing of the node that runs them.
    fn is_plain(&self) -> bool;

    /// Whether it can do a job that asks for this.
    fn can(&self, needs: &Needs) -> bool;

    /// Its hold on a job; `None` when it does not take this one.
    fn hold(&self, job: &Job) -> Option<Lease>;
}

/// A worker that takes any job that asks for nothing.
impl Claimant for Lease {
    fn is_plain(&self) -> bool {
        true
    }

    fn can(&self, needs: &Needs) -> bool {
        needs.is_none()
    }

    fn hold(&self, _: &Job) -> Option<Lease> {
        Some(self.clone())
    }
}

/// Keeps the truth.
///
/// An implementation
/// * MUST write a [`Step`] whole or not at all, and return only when it is safe on disk;
/// * MUST refuse an update whose revision is not the present one with [`StoreError::Stale`];
/// * MUST refuse a known delivery (same platform and id, or same platform and identity) with
///   [`StoreError::Repeated`], also when two come at once;
/// * MUST hand a job or an effect to one worker at a time.
#[async_trait]
pub trait Store: Send + Sync {
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// A job.
    async fn job(&self, id: JobId) -> Result<Option<Versioned<Job>>, StoreError>;

    /// An issue.
    async fn issue(&self, id: IssueId) -> Result<Option<Versioned<Issue>>, StoreError>;

    /// An issue by its outside name.
    async fn issue_by_source(&self, source: &IssueRef) -> Result<Option<Versioned<Issue>>, StoreError>;

    /// The job of an issue that was accepted last.
    async fn latest_job(&self, issue: IssueId) -> Result<Option<Versioned<Job>>, StoreError>;

    /// The jobs of an issue that have not ended, oldest first. Only the first of them may run.
    async fn open_jobs(&self, issue: IssueId) -> Result<Vec<Versioned<Job>>, StoreError>;

    /// The tasks of a job that have not ended, oldest first.
    async fn open_tasks(&self, job: JobId) -> Result<Vec<Task>, StoreError>;

    /// The newest job that works on this branch.
    async fn job_by_branch(
        &self,
        source: &PlatformId,
        repo: &str,
        branch: &str,
    ) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Writes.
    async fn commit(&self, step: Step) -> Result<(), StoreError>;

    /// Takes a job that the claimant can do and gives it the lease: one whose lease ran out, else, of the repository
    /// where the fewest run, the one that waits longest and may run at `now`. A job waits until all earlier ones of its
    /// issue have ended. Where or for whom as many run as `share` admits, nothing is taken. Writes nothing else.
    async fn claim_job(
        &self,
        now: Timestamp,
        claimant: Arc<dyn Claimant>,
        share: ConcurrencyLimits,
    ) -> Result<Option<Versioned<Job>>, StoreError>;

    /// Takes the oldest due effect such that no older effect of its issue waits, and holds it until `until`.
    async fn claim_effect(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedEffect>, StoreError>;

    /// Ends the hold on an effect.
    async fn settle_effect(&self, id: EffectId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// Forgets the payloads of deliveries that came before a time, and those deliveries altogether whose id is all that
    /// is known of them. What a delivery was about (its identity) stays known: the same comment told again much later
    /// is still the same comment. Effects that were done before that time go. Of the payloads that are left, the youngest
    /// are kept that have at most so many bytes together, as they are stored. Returns how many rows it changed.
    async fn forget(&self, retention: Retention) -> Result<u64, StoreError>;

    /// The first time after `after` at which a job or an effect may become due by itself; `None` when nothing waits for
    /// a time.
    async fn next_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}
