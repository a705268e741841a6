//! The store port in memory, stricter than a database: it checks references and revisions at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::audit::{Audit, AuditEntry};
use patchwright_core::conversation::Conversation;
use patchwright_core::ledger::{BudgetAccount, BudgetExceeded, DayBudgets, DaySpending, Ledger};
use patchwright_core::model_calls::{StoredCall, Transcript};
use patchwright_core::store::{
    Claimant, ClaimedEffect, ClaimedRequest, ConcurrencyLimits, DeliveryRecord, EffectOutcome, EffectRecord, JobWrite,
    MAX_LEASE, RequestWrite, Retention, Step, Store, StoreError, Versioned, Write,
};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{JobEvent, JobState};
use patchwright_domain::notification::Notice;
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{
    AuditId, EffectId, Issue, IssueId, IssueRef, Job, JobId, JobStatus, NodeId, PlatformId, Request, RequestState,
    RequestStatus, Task, TaskId, TaskStatus, Usage,
};

use super::audit::AuditLog;
use super::nodes::StoredNode;

/// A store in memory.
#[derive(Debug, Default)]
pub struct FakeStore(Mutex<Tables>);

#[derive(Debug, Default, Clone)]
pub(super) struct Tables {
    issues: BTreeMap<IssueId, Versioned<Issue>>,
    jobs: BTreeMap<JobId, Versioned<Job>>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    deliveries: Vec<DeliveryRecord>,
    requests: BTreeMap<JobId, StoredRequest>,
    effects: BTreeMap<EffectId, Effect>,
    ends: Vec<RunRecord>,
    pub(super) audit: AuditLog,
    pub(super) logs: BTreeMap<(TaskId, u64), (String, Timestamp)>,
    pub(super) conversations: BTreeMap<JobId, Conversation>,
    pub(super) calls: BTreeMap<(TaskId, u32), (JobId, StoredCall, Transcript)>,
    pub(super) nodes: BTreeMap<NodeId, StoredNode>,
    pub(super) notices: BTreeMap<EffectId, Notice>,
    pub(super) successes: HashMap<(NodeId, String), Timestamp>,
    /// The reserved or spent amounts, and the returned ones.
    ledger: Vec<(BudgetAccount, Usage, Usage)>,
}

#[derive(Debug, Clone)]
struct Effect {
    record: EffectRecord,
    attempts: u32,
    not_before: Timestamp,
    outcome: Option<EffectOutcome>,
}

#[derive(Debug, Clone)]
struct StoredRequest {
    request: Request,
    attempts: u32,
    not_before: Timestamp,
}

impl StoredRequest {
    fn is_open(&self) -> bool {
        self.request.state.status() == RequestStatus::Requested
    }

    fn is_by(&self, issue: &IssueRef, actor: &str) -> bool {
        self.request.trigger.issue.source == *issue && self.request.trigger.actor.eq_ignore_ascii_case(actor)
    }
}

impl FakeStore {
    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }

    /// Returns the effects that wait, oldest first.
    pub fn waiting(&self) -> Vec<EffectRecord> {
        let tables = self.tables();
        tables.effects.values().filter(|effect| effect.outcome.is_none()).map(|effect| effect.record.clone()).collect()
    }

    /// Returns the effects that were given up, with their errors.
    pub fn dead(&self) -> Vec<(EffectRecord, String)> {
        let tables = self.tables();
        let dead = tables.effects.values().filter_map(|effect| match &effect.outcome {
            Some(EffectOutcome::Dead { error }) => Some((effect.record.clone(), error.clone())),
            _ => None,
        });
        dead.collect()
    }

    /// Returns the records of all runs that ended.
    pub fn ends(&self) -> Vec<RunRecord> {
        self.tables().ends.clone()
    }

    /// Returns the posted notices, oldest first.
    pub fn notices(&self) -> Vec<Notice> {
        self.tables().notices.values().cloned().collect()
    }

    /// Returns all tasks, oldest first.
    pub fn tasks(&self) -> Vec<Task> {
        self.tables().tasks.values().cloned().collect()
    }

    /// Returns all jobs, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        self.tables().jobs.values().map(|job| job.value.clone()).collect()
    }
}

impl Tables {
    fn spending(&self, account: &BudgetAccount) -> DaySpending {
        let sum = |admit: &dyn Fn(&BudgetAccount) -> bool| {
            let (mut more, mut less) = (Usage::default(), Usage::default());
            for (_, added, taken) in self.ledger.iter().filter(|(other, ..)| admit(other)) {
                more += *added;
                less += *taken;
            }
            more.without(&less)
        };
        DaySpending { repository: sum(&|other| other == account), all: sum(&|other| other.day == account.day) }
    }

    fn apply(&mut self, step: Step) -> Result<(), StoreError> {
        if let Some(record) = step.delivery {
            let same = |other: &&DeliveryRecord| {
                other.platform == record.platform
                    && (other.id == record.id || (record.identity.is_some() && other.identity == record.identity))
            };
            if let Some(known) = self.deliveries.iter().find(same) {
                let same_delivery = known.id == record.id;
                let altered = same_delivery && !known.payload.is_empty() && known.payload != record.payload;
                return Err(StoreError::Repeated { job_id: known.job_id, same_delivery, altered });
            }
            self.deliveries.push(record);
        }
        if let Some(write) = step.issue {
            let (id, source) = match &write {
                Write::Insert(issue) => (issue.id, issue.source.clone()),
                Write::Update(known) => (known.value.id, known.value.source.clone()),
            };
            if matches!(write, Write::Insert(_)) && self.issues.values().any(|other| other.value.source == source) {
                return Err(StoreError::Stale { what: "row" });
            }
            put(&mut self.issues, id, write, "issue")?;
        }
        if let Some(write) = step.job {
            self.write_job(write)?;
        }
        if let Some(write) = step.request {
            self.write_request(write)?;
        }
        if let Some(task) = step.task {
            if !self.jobs.contains_key(&task.job_id) {
                return Err(corrupt("the task's job does not exist"));
            }
            self.tasks.insert(task.id, task);
        }
        for record in step.effects {
            if !self.issues.contains_key(&record.issue_id) {
                return Err(corrupt("the effect's issue does not exist"));
            }
            let not_before = record.created_at;
            let effect = Effect { attempts: 0, not_before, outcome: None, record };
            if self.effects.insert(effect.record.id, effect).is_some() {
                return Err(corrupt("two effects have one id"));
            }
        }
        self.ends.extend(step.ended);
        if let Some(id) = step.settled {
            self.effects.get_mut(&id).ok_or_else(|| corrupt("the effect does not exist"))?.outcome =
                Some(EffectOutcome::Done);
        }
        step.audit.map_or(Ok(()), |entry| self.audit.record(entry))
    }

    fn write_request(&mut self, write: RequestWrite) -> Result<(), StoreError> {
        let id = write.request().id;
        match write {
            RequestWrite::Insert(request) => {
                if self.requests.contains_key(&id) || request.state != RequestState::Requested {
                    return Err(corrupt("a new request is known or decided already"));
                }
                let stored = StoredRequest { not_before: request.requested_at, attempts: 0, request };
                self.requests.insert(id, stored);
            }
            RequestWrite::Decide(request) => {
                let open = self.requests.get_mut(&id).filter(|stored| stored.is_open());
                open.ok_or(StoreError::Stale { what: "request" })?.request = request;
            }
        }
        Ok(())
    }

    fn write_job(&mut self, write: JobWrite) -> Result<(), StoreError> {
        let job = write.job();
        if !self.issues.contains_key(&job.issue_id) {
            return Err(corrupt("the job's issue does not exist"));
        }
        let (id, branch) = (job.id, job.branch.clone());
        let first = |job: &Job| job.follows.is_none();
        let taken = |other: &Job| other.branch == branch && other.id != id && first(other);
        if first(job) && self.jobs.values().any(|other| taken(&other.value)) {
            return Err(StoreError::Stale { what: "row" });
        }
        match write {
            JobWrite::Insert(job) => put(&mut self.jobs, id, Write::Insert(job), "job"),
            JobWrite::Update { job, revision, stages } => {
                let known = self.jobs.get(&id).filter(|known| known.revision == revision);
                let known = known.ok_or(StoreError::Stale { what: "job" })?;
                let is_unnamed =
                    |kind: &StageKind| !stages.contains(kind) && job.stage(*kind) != known.value.stage(*kind);
                if let Some(kind) = StageKind::ALL.iter().find(|kind| is_unnamed(kind)) {
                    return Err(corrupt(&format!("the stage {kind} differs and is not named")));
                }
                let value = with_renewed_lease(job, &known.value);
                put(&mut self.jobs, id, Write::Update(Versioned { value, revision }), "job")
            }
        }
    }
}

fn corrupt(detail: &str) -> StoreError {
    StoreError::Corrupt { detail: detail.to_owned() }
}

/// Returns the job with the later end of the two, when both have the same lease.
fn with_renewed_lease(mut job: Job, known: &Job) -> Job {
    if let (JobState::Running { lease }, JobState::Running { lease: stored }) = (&mut job.state, &known.state)
        && job.epoch == known.epoch
    {
        lease.until = lease.until.max(stored.until);
    }
    job
}

fn put<K: Ord, T>(
    table: &mut BTreeMap<K, Versioned<T>>,
    key: K,
    write: Write<T>,
    what: &'static str,
) -> Result<(), StoreError> {
    match write {
        Write::Insert(value) => {
            if let std::collections::btree_map::Entry::Vacant(e) = table.entry(key) {
                e.insert(Versioned { value, revision: 1 });
                Ok(())
            } else {
                Err(StoreError::Stale { what: "row" })
            }
        }
        Write::Update(known) => match table.get_mut(&key) {
            Some(row) if row.revision == known.revision => {
                *row = Versioned { value: known.value, revision: known.revision + 1 };
                Ok(())
            }
            _ => Err(StoreError::Stale { what }),
        },
    }
}

#[async_trait]
impl Ledger for FakeStore {
    async fn reserve(
        &self,
        account: &BudgetAccount,
        call: Usage,
        budgets: DayBudgets,
    ) -> Result<Result<(), BudgetExceeded>, StoreError> {
        let mut tables = self.tables();
        let checked = budgets.check(&tables.spending(account), &call);
        if checked.is_ok() {
            tables.ledger.push((account.clone(), call, Usage::default()));
        }
        Ok(checked)
    }

    async fn settle(&self, account: &BudgetAccount, reserved: Usage, spent: Usage) -> Result<(), StoreError> {
        self.tables().ledger.push((account.clone(), spent, reserved));
        Ok(())
    }

    async fn spending(&self, account: &BudgetAccount) -> Result<DaySpending, StoreError> {
        Ok(self.tables().spending(account))
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn job(&self, id: JobId) -> Result<Option<Versioned<Job>>, StoreError> {
        Ok(self.tables().jobs.get(&id).cloned())
    }

    async fn issue(&self, id: IssueId) -> Result<Option<Versioned<Issue>>, StoreError> {
        Ok(self.tables().issues.get(&id).cloned())
    }

    async fn issue_by_source(&self, source: &IssueRef) -> Result<Option<Versioned<Issue>>, StoreError> {
        Ok(self.tables().issues.values().find(|issue| issue.value.source == *source).cloned())
    }

    async fn latest_job(&self, issue: IssueId) -> Result<Option<Versioned<Job>>, StoreError> {
        Ok(self.tables().jobs.values().rfind(|job| job.value.issue_id == issue).cloned())
    }

    async fn open_tasks(&self, job: JobId) -> Result<Vec<Task>, StoreError> {
        let open =
            |task: &&Task| task.job_id == job && matches!(task.status, TaskStatus::Pending | TaskStatus::Running);
        Ok(self.tables().tasks.values().filter(open).cloned().collect())
    }

    async fn latest_task(&self, job: JobId) -> Result<Option<Task>, StoreError> {
        Ok(self.tables().tasks.values().rfind(|task| task.job_id == job).cloned())
    }

    async fn job_by_branch(
        &self,
        source: &PlatformId,
        repo: &str,
        branch: &str,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let matches = |job: &&Versioned<Job>| {
            job.value.source.platform == *source
                && job.value.source.repo.to_string() == repo
                && job.value.branch.as_str() == branch
        };
        Ok(self.tables().jobs.values().rfind(matches).cloned())
    }

    async fn open_jobs(&self, issue: IssueId) -> Result<Vec<Versioned<Job>>, StoreError> {
        let open = |job: &&Versioned<Job>| job.value.issue_id == issue && !job.value.status().is_terminal();
        Ok(self.tables().jobs.values().filter(open).cloned().collect())
    }

    async fn job_by_pull_request(
        &self,
        source: &PlatformId,
        repo: &str,
        number: u64,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let matches = |job: &&Versioned<Job>| {
            job.value.source.platform == *source
                && job.value.source.repo.to_string() == repo
                && job.value.published.pull_request.as_ref().is_some_and(|found| found.number == number)
        };
        Ok(self.tables().jobs.values().rfind(matches).cloned())
    }

    async fn request(&self, id: JobId) -> Result<Option<Request>, StoreError> {
        Ok(self.tables().requests.get(&id).map(|stored| stored.request.clone()))
    }

    async fn claim_request(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedRequest>, StoreError> {
        let mut tables = self.tables();
        let open: Vec<StoredRequest> = tables.requests.values().filter(|stored| stored.is_open()).cloned().collect();
        let is_first = |stored: &StoredRequest| {
            let trigger = &stored.request.trigger;
            open.iter()
                .find(|other| other.is_by(&trigger.issue.source, &trigger.actor))
                .is_some_and(|first| first.request.id == stored.request.id)
        };
        let due = open.iter().filter(|stored| stored.not_before <= now && is_first(stored));
        let Some(id) = due.min_by_key(|stored| (stored.not_before, stored.request.id)).map(|due| due.request.id) else {
            return Ok(None);
        };
        let stored = tables.requests.get_mut(&id).expect("it was found");
        stored.attempts += 1;
        stored.not_before = until;
        Ok(Some(ClaimedRequest { request: stored.request.clone(), attempt: stored.attempts }))
    }

    async fn retry_request(&self, id: JobId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let stored = tables.requests.get_mut(&id).ok_or(StoreError::Stale { what: "request" })?;
        match outcome {
            EffectOutcome::Retry { at, .. } => stored.not_before = at,
            EffectOutcome::Postponed { at, .. } => {
                stored.not_before = at;
                stored.attempts -= 1;
            }
            EffectOutcome::Done | EffectOutcome::Dead { .. } => {}
        }
        Ok(())
    }

    async fn is_refusal_answered(&self, issue: &IssueRef, actor: &str, since: Timestamp) -> Result<bool, StoreError> {
        let tables = self.tables();
        let is_answer = |stored: &StoredRequest| match &stored.request.state {
            RequestState::Refused { answered: true, at, .. } => {
                stored.is_by(issue, actor) || (stored.request.trigger.issue.source == *issue && *at > since)
            }
            _ => false,
        };
        Ok(tables.requests.values().any(is_answer))
    }

    async fn commit(&self, step: Step) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let mut changed = tables.clone();
        changed.apply(step)?;
        *tables = changed;
        Ok(())
    }

    async fn claim_job(
        &self,
        now: Timestamp,
        claimant: Arc<dyn Claimant>,
        limits: ConcurrencyLimits,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let mut tables = self.tables();
        let jobs = || tables.jobs.values().map(|job| &job.value);
        // A lease that ends later than any that is granted now was granted before the clock was set back.
        let latest = now + MAX_LEASE;
        let expired = jobs().filter_map(|job| match &job.state {
            JobState::Running { lease: theirs } if theirs.until <= now || theirs.until > latest => {
                claimant.can(&job.needs).then_some((theirs.until, job.id))
            }
            _ => None,
        });
        let running = |same: &dyn Fn(&Job) -> bool| {
            u32::try_from(jobs().filter(|job| job.status() == JobStatus::Running && same(job)).count()).unwrap()
        };
        let room = |limit: u32, running: u32| limit == 0 || running < limit;
        let waiting = jobs().filter_map(|job| match job.state {
            JobState::Queued { not_before } if not_before <= now => {
                let here = running(&|other| other.source.repo == job.source.repo);
                let theirs = running(&|other| other.trigger.actor.eq_ignore_ascii_case(&job.trigger.actor));
                let admitted = room(limits.per_repository, here) && room(limits.per_actor, theirs);
                let earlier =
                    |other: &Job| other.issue_id == job.issue_id && other.id < job.id && !other.status().is_terminal();
                (admitted && claimant.can(&job.needs) && !jobs().any(earlier)).then_some((
                    here,
                    job.priority,
                    not_before,
                    job.id,
                ))
            }
            _ => None,
        });
        let next = expired.min().map(|(_, id)| id).or_else(|| waiting.min().map(|(_, _, _, id)| id));
        let Some(id) = next else { return Ok(None) };
        let row = tables.jobs.get_mut(&id).unwrap();
        let job = row.value.clone();
        let Some(lease) = claimant.lease(&job) else { return Ok(None) };
        let free =
            if job.status() == JobStatus::Running { job.advance(JobEvent::LeaseExpired, now).unwrap().0 } else { job };
        row.value = free.advance(JobEvent::Leased { lease }, now).unwrap().0;
        row.revision += 1;
        Ok(Some(row.clone()))
    }

    async fn renew_lease(&self, job: JobId, epoch: u64, until: Timestamp) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(job) = tables.jobs.get_mut(&job).map(|row| &mut row.value).filter(|job| job.epoch == epoch) else {
            return Ok(false);
        };
        let JobState::Running { lease } = &mut job.state else { return Ok(false) };
        lease.until = until;
        Ok(true)
    }

    async fn claim_effect(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedEffect>, StoreError> {
        let mut tables = self.tables();
        let waiting: Vec<Effect> = tables.effects.values().filter(|effect| effect.outcome.is_none()).cloned().collect();
        let is_ordered = |effect: &Effect| effect.record.effect.kind().is_ordered();
        let first_of_its_issue = |effect: &Effect| {
            waiting.iter().find(|other| is_ordered(other) && other.record.issue_id == effect.record.issue_id)
        };
        let next = waiting.iter().find(|effect| {
            let is_first = || first_of_its_issue(effect).is_some_and(|first| first.record.id == effect.record.id);
            effect.not_before <= now && (!is_ordered(effect) || is_first())
        });
        let Some(id) = next.map(|effect| effect.record.id) else { return Ok(None) };
        let effect = tables.effects.get_mut(&id).unwrap();
        effect.attempts += 1;
        effect.not_before = until;
        Ok(Some(ClaimedEffect { record: effect.record.clone(), attempt: effect.attempts }))
    }

    async fn settle_effect(&self, id: EffectId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let effect = tables.effects.get_mut(&id).ok_or(StoreError::Stale { what: "effect" })?;
        match outcome {
            EffectOutcome::Retry { at, .. } => effect.not_before = at,
            EffectOutcome::Postponed { at, .. } => {
                effect.not_before = at;
                effect.attempts -= 1;
            }
            ended => effect.outcome = Some(ended),
        }
        Ok(())
    }

    async fn forget(&self, retention: Retention) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let before = retention.before;
        let count = tables.effects.len();
        tables.effects.retain(|_, effect| {
            effect.record.created_at >= before || !matches!(effect.outcome, Some(EffectOutcome::Done))
        });
        let mut changed = count - tables.effects.len();
        let count = tables.requests.len();
        tables.requests.retain(|_, stored| stored.is_open() || stored.request.requested_at >= before);
        changed += count - tables.requests.len();
        let deliveries = &mut tables.deliveries;
        let count = deliveries.len();
        deliveries.retain(|record| record.received_at >= before || record.identity.is_some());
        changed += count - deliveries.len();
        deliveries.sort_by_key(|record| record.received_at);
        let mut bytes = 0;
        for record in deliveries.iter_mut().rev() {
            bytes += record.payload.len() as u64;
            let beyond = retention.payload_bytes > 0 && bytes > retention.payload_bytes;
            if (record.received_at < before || beyond) && !record.payload.is_empty() {
                record.payload = "".into();
                changed += 1;
            }
        }
        Ok(changed as u64)
    }

    async fn next_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let tables = self.tables();
        let jobs = tables.jobs.values().filter_map(|job| match &job.value.state {
            JobState::Queued { not_before } => Some(*not_before),
            JobState::Running { lease } => Some(lease.until),
            _ => None,
        });
        let effects = tables.effects.values().filter(|effect| effect.outcome.is_none()).map(|effect| effect.not_before);
        let requests = tables.requests.values().filter(|stored| stored.is_open()).map(|stored| stored.not_before);
        Ok(jobs.chain(effects).chain(requests).filter(|at| *at > after).min())
    }
}

#[async_trait]
impl Audit for FakeStore {
    async fn record(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.tables().audit.record(entry.clone())
    }

    async fn entries(&self, before: Option<AuditId>, limit: u16) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(self.tables().audit.entries(before, limit))
    }
}
