//! The fake and both databases agree: for any sequence of operations, each one has the same outcome on all three, and so
//! has the sequence.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use patchwright_core::store::{
    ConcurrencyLimits, EffectOutcome, EffectRecord, JobWrite, Step, Store, StoreError, Versioned, Write,
};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{Failure, FailureOrigin, FollowUp, JobState, Lease};
use patchwright_domain::{Effect, EffectId, Job, JobEvent, JobId, JobStatus, WorkerEvent};
use patchwright_testkit::build::{effect_id, issue, issue_id, start_of_time, task_id};
use patchwright_testkit::fake::FakeStore;
use patchwright_testkit::postgres;
use proptest::prelude::*;

/// The job of this number; some are of another repository.
fn job(n: u32) -> Job {
    let mut job = patchwright_testkit::build::job(n);
    if n.is_multiple_of(3) {
        job.source.repo = "acme/other".parse().unwrap();
    }
    job
}

/// The job of this number, as a follow-up on an issue.
fn follow_up(n: u32, issue: u32) -> Job {
    let before = job(issue);
    let follows = Some(FollowUp { job_id: before.id, inherited: false, base: None, earlier: None });
    Job { issue_id: before.issue_id, source: before.source, branch: before.branch, follows, ..job(n) }
}

/// An operation. Numbers choose among what exists.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// A job is accepted, with an effect.
    Submit,
    /// A follow-up of the youngest job is accepted.
    Follow,
    /// A worker claims the next job for some seconds.
    Claim { worker: usize, seconds: i64 },
    /// A worker renews its lease, which it may have lost.
    Renew { worker: usize, seconds: i64 },
    /// A worker reports an event of the job as it read it, which may be long ago.
    Report { worker: usize, what: u8 },
    /// A worker reads its job again.
    Read { worker: usize },
    /// A user cancels or restarts a job.
    Control { which: usize, cancel: bool },
    /// Time passes.
    Wait { seconds: i64 },
    /// The next effect is claimed and settled in some way.
    Deliver { how: u8 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => Just(Op::Submit),
        1 => Just(Op::Follow),
        4 => (0..3_usize, 1..40_i64).prop_map(|(worker, seconds)| Op::Claim { worker, seconds }),
        2 => (0..3_usize, 1..90_i64).prop_map(|(worker, seconds)| Op::Renew { worker, seconds }),
        8 => (0..3_usize, any::<u8>()).prop_map(|(worker, what)| Op::Report { worker, what }),
        2 => (0..3_usize).prop_map(|worker| Op::Read { worker }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, cancel)| Op::Control { which, cancel }),
        3 => (0..30_i64).prop_map(|seconds| Op::Wait { seconds }),
        3 => any::<u8>().prop_map(|how| Op::Deliver { how }),
    ];
    prop::collection::vec(op, 1..60)
}

/// One store with the jobs that its workers read last.
struct Side {
    store: Arc<dyn Store>,
    known: [Option<Versioned<Job>>; 3],
    seconds: i64,
    submitted: u32,
    /// The newest issue.
    issue: u32,
    /// Which worker claimed which epoch of a job; none may be claimed twice.
    claims: BTreeMap<(JobId, u64), usize>,
}

/// The outcome of an operation, to compare.
type Outcome = String;

impl Side {
    fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: [None, None, None], seconds: 1, submitted: 0, issue: 0, claims: BTreeMap::new() }
    }

    fn now(&self) -> jiff::Timestamp {
        start_of_time() + SignedDuration::from_secs(self.seconds)
    }

    fn after(&self, seconds: i64) -> jiff::Timestamp {
        self.now() + SignedDuration::from_secs(seconds)
    }

    async fn apply(&mut self, op: Op) -> Outcome {
        match op {
            Op::Submit => {
                self.submitted += 1;
                let n = self.submitted;
                self.issue = n;
                let record = EffectRecord {
                    id: effect_id(n),
                    issue_id: issue_id(n),
                    job_id: Some(job(n).id),
                    effect: Effect::Acknowledge,
                    created_at: self.now(),
                };
                let (issue, job) = (Some(Write::Insert(issue(n))), Some(JobWrite::Insert(job(n))));
                written(self.store.commit(Step { issue, job, effects: vec![record], ..Step::default() }).await)
            }
            Op::Follow if self.submitted == 0 => "no job".into(),
            Op::Follow => {
                self.submitted += 1;
                let job = Some(JobWrite::Insert(follow_up(self.submitted, self.issue)));
                written(self.store.commit(Step { job, ..Step::default() }).await)
            }
            Op::Claim { worker, seconds } => self.claim(worker, seconds).await,
            Op::Renew { worker, seconds } => {
                let Some(known) = &self.known[worker] else { return "knows no job".into() };
                let (job, until) = (&known.value, self.after(seconds));
                format!("{:?}", self.store.renew_lease(job.id, job.epoch, until).await.unwrap())
            }
            Op::Report { worker, what } => {
                let Some(known) = self.known[worker].clone() else { return "knows no job".into() };
                let event = self.event(&known.value, what);
                self.write(worker, known, event).await
            }
            Op::Read { worker } => {
                let Some(known) = self.known[worker].take() else { return "knows no job".into() };
                self.known[worker] = self.store.job(known.value.id).await.unwrap();
                format!("{:?}", self.known[worker])
            }
            Op::Control { which, cancel } => self.control(which, cancel).await,
            Op::Wait { seconds } => {
                self.seconds += seconds;
                "later".into()
            }
            Op::Deliver { how } => self.deliver(how).await,
        }
    }

    async fn claim(&mut self, worker: usize, seconds: i64) -> Outcome {
        let lease = Lease { holder: format!("w{worker}"), task_id: task_id(1), until: self.after(seconds) };
        let claimed = self.store.claim_job(self.now(), Arc::new(lease), ConcurrencyLimits::default()).await.unwrap();
        if let Some(claimed) = &claimed {
            let key = (claimed.value.id, claimed.value.epoch);
            assert!(self.claims.insert(key, worker).is_none(), "{key:?} was claimed twice");
            self.known[worker] = Some(claimed.clone());
        }
        format!("{claimed:?}")
    }

    fn event(&self, job: &Job, what: u8) -> JobEvent {
        let epoch = job.epoch;
        let stage = job.next_stage().unwrap_or(StageKind::Verify);
        match what % 6 {
            0 => JobEvent::progress(epoch, WorkerEvent::StageStarted { stage }),
            1 => JobEvent::progress(epoch, WorkerEvent::StageSkipped { stage, reason: "not needed".into() }),
            2 => JobEvent::Postponed { epoch, until: self.after(i64::from(what / 8)), spent: None, asked: false },
            3 => JobEvent::Released { epoch },
            4 => JobEvent::Completed { epoch, verdict: patchwright_domain::job::report::Verdict::NoTests },
            _ => JobEvent::Failed {
                epoch,
                failure: Failure {
                    stage: None,
                    reason: "broken".into(),
                    remedy: "mend it".into(),
                    origin: FailureOrigin::Internal,
                },
                usage: patchwright_domain::Usage::default(),
            },
        }
    }

    /// Writes the job that a worker read, as it is after an event.
    async fn write(&mut self, worker: usize, known: Versioned<Job>, event: JobEvent) -> Outcome {
        let Ok((value, _)) = known.value.clone().advance(event, self.now()) else { return "refused".into() };
        let job = Some(JobWrite::update(&known, value.clone()));
        let result = self.store.commit(Step { job, ..Step::default() }).await;
        if result.is_ok() {
            self.known[worker] = Some(Versioned { value, revision: known.revision + 1 });
        }
        written(result)
    }

    async fn control(&mut self, which: usize, cancel: bool) -> Outcome {
        if self.submitted == 0 {
            return "no job".into();
        }
        let n = u32::try_from(which % self.submitted as usize).unwrap() + 1;
        let known = self.store.job(job(n).id).await.unwrap().unwrap();
        let event = if cancel { JobEvent::CancelRequested } else { JobEvent::RestartRequested };
        let Ok((value, _)) = known.value.clone().advance(event, self.now()) else { return "refused".into() };
        let job = Some(JobWrite::update(&known, value));
        written(self.store.commit(Step { job, ..Step::default() }).await)
    }

    async fn deliver(&mut self, how: u8) -> Outcome {
        let claimed = self.store.claim_effect(self.now(), self.after(20)).await.unwrap();
        let Some(claimed) = claimed else { return "nothing due".into() };
        let id: EffectId = claimed.record.id;
        let outcome = match how % 5 {
            0 => EffectOutcome::Done,
            4 => EffectOutcome::Postponed { at: self.after(i64::from(how / 8)), error: "slow down".into() },
            1 => EffectOutcome::Retry { at: self.after(i64::from(how / 8)), error: "busy".into() },
            2 => EffectOutcome::Dead { error: "gone".into() },
            // Its worker is killed.
            _ => return format!("{claimed:?} not settled"),
        };
        format!("{claimed:?} {}", written(self.store.settle_effect(id, outcome).await))
    }

    /// Everything that can be read.
    async fn state(&self) -> String {
        let mut out = format!("due {:?}", self.store.next_due(self.now()).await.unwrap());
        for n in 1..=self.submitted {
            let found = self.store.job(job(n).id).await.unwrap().unwrap();
            // A job has a lease exactly while it runs.
            assert_eq!(
                matches!(found.value.state, JobState::Running { .. }),
                found.value.status() == JobStatus::Running
            );
            out.push_str(&format!("\n{found:?}"));
        }
        out
    }
}

fn written(result: Result<(), StoreError>) -> Outcome {
    match result {
        Ok(()) => "written".into(),
        Err(StoreError::Stale { .. }) => "stale".into(),
        Err(error) => panic!("{error:?}"),
    }
}

async fn agree(ops: &[Op], sides: &mut [Side]) {
    for (number, op) in ops.iter().enumerate() {
        let mut first = None;
        for side in &mut *sides {
            let outcome = side.apply(*op).await;
            let first = first.get_or_insert_with(|| outcome.clone());
            let same = outcome.bytes().zip(first.bytes()).take_while(|(here, there)| here == there).count();
            let from = same.saturating_sub(80);
            let (here, there) = (outcome.get(from..).unwrap_or_default(), first.get(from..).unwrap_or_default());
            assert!(outcome == *first, "operation {number}, {op:?}: …{here:.200}\nand not …{there:.200}");
        }
    }
    let mut first = None;
    for side in &*sides {
        let state = side.state().await;
        assert_eq!(&state, first.get_or_insert_with(|| state.clone()));
    }
}

#[test]
fn the_fake_and_both_databases_agree_for_any_sequence_of_operations() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(postgres::cluster());
    let folder = tempfile::tempdir().unwrap();
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&ops(), |ops| {
        runtime.block_on(async {
            let mut sides = vec![
                Side::new(Arc::new(FakeStore::default())),
                Side::new(Arc::new(super::fresh_sqlite(&folder).await)),
            ];
            if let Some(cluster) = &cluster {
                sides.push(Side::new(Arc::new(super::fresh_postgres(cluster).await)));
            }
            agree(&ops, &mut sides).await;
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
