//! The fake and both databases agree: whatever workers do in whatever order, each operation ends the same way on all
//! three, and so does the whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use patchwright_core::store::{
    ConcurrencyLimits, EffectOutcome, EffectRecord, Step, Store, StoreError, Versioned, Write,
};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{Failure, FollowUp, JobState, Lease};
use patchwright_domain::{Effect, EffectId, Job, JobEvent, JobId, JobStatus};
use patchwright_testkit::build::{effect_id, issue, issue_id, start_of_time, task_id};
use patchwright_testkit::fake::FakeStore;
use patchwright_testkit::postgres;
use proptest::prelude::*;

/// The job of this number: some in another repository.
fn job(n: u32) -> Job {
    let mut job = patchwright_testkit::build::job(n);
    if n.is_multiple_of(3) {
        job.source.repo = "acme/other".parse().unwrap();
    }
    job
}

/// The job of this number, which follows others on an issue.
fn follow_up(n: u32, issue: u32) -> Job {
    let before = job(issue);
    let follows = Some(FollowUp { job_id: before.id, inherited: false, base: None, earlier: None });
    Job { issue_id: before.issue_id, source: before.source, branch: before.branch, follows, ..job(n) }
}

/// What may happen next. Numbers choose among what is there.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// A job is accepted, with an effect.
    Submit,
    /// A follow-up of the youngest job is accepted.
    Follow,
    /// A worker takes the next job for some seconds.
    Claim { worker: usize, seconds: i64 },
    /// A worker tells something about the job as it knows it, which may be long ago.
    Tell { worker: usize, what: u8 },
    /// A worker reads its job again.
    Look { worker: usize },
    /// A person cancels or restarts a job.
    Steer { which: usize, cancel: bool },
    /// Time passes.
    Wait { seconds: i64 },
    /// The next effect is taken, and ends somehow.
    Deliver { how: u8 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => Just(Op::Submit),
        1 => Just(Op::Follow),
        4 => (0..3_usize, 1..40_i64).prop_map(|(worker, seconds)| Op::Claim { worker, seconds }),
        8 => (0..3_usize, any::<u8>()).prop_map(|(worker, what)| Op::Tell { worker, what }),
        2 => (0..3_usize).prop_map(|worker| Op::Look { worker }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, cancel)| Op::Steer { which, cancel }),
        3 => (0..30_i64).prop_map(|seconds| Op::Wait { seconds }),
        3 => any::<u8>().prop_map(|how| Op::Deliver { how }),
    ];
    prop::collection::vec(op, 1..60)
}

/// One store with what its workers remember.
struct Side {
    store: Arc<dyn Store>,
    held: [Option<Versioned<Job>>; 3],
    seconds: i64,
    submitted: u32,
    /// The youngest issue.
    issue: u32,
    /// Who was given which epoch of a job: nobody may be given one twice.
    given: BTreeMap<(JobId, u64), usize>,
}

/// How an operation ended, to compare.
type Ended = String;

impl Side {
    fn new(store: Arc<dyn Store>) -> Self {
        Self { store, held: [None, None, None], seconds: 1, submitted: 0, issue: 0, given: BTreeMap::new() }
    }

    fn now(&self) -> jiff::Timestamp {
        start_of_time() + SignedDuration::from_secs(self.seconds)
    }

    fn after(&self, seconds: i64) -> jiff::Timestamp {
        self.now() + SignedDuration::from_secs(seconds)
    }

    async fn apply(&mut self, op: Op) -> Ended {
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
                let (issue, job) = (Some(Write::Insert(issue(n))), Some(Write::Insert(job(n))));
                told(self.store.commit(Step { issue, job, effects: vec![record], ..Step::default() }).await)
            }
            Op::Follow if self.submitted == 0 => "no job".into(),
            Op::Follow => {
                self.submitted += 1;
                let job = Some(Write::Insert(follow_up(self.submitted, self.issue)));
                told(self.store.commit(Step { job, ..Step::default() }).await)
            }
            Op::Claim { worker, seconds } => self.claim(worker, seconds).await,
            Op::Tell { worker, what } => {
                let Some(known) = self.held[worker].clone() else { return "holds nothing".into() };
                let event = self.event(&known.value, what);
                self.write(worker, known, event).await
            }
            Op::Look { worker } => {
                let Some(known) = self.held[worker].take() else { return "holds nothing".into() };
                self.held[worker] = self.store.job(known.value.id).await.unwrap();
                format!("{:?}", self.held[worker])
            }
            Op::Steer { which, cancel } => self.steer(which, cancel).await,
            Op::Wait { seconds } => {
                self.seconds += seconds;
                "later".into()
            }
            Op::Deliver { how } => self.deliver(how).await,
        }
    }

    async fn claim(&mut self, worker: usize, seconds: i64) -> Ended {
        let lease = Lease { holder: format!("w{worker}"), task_id: task_id(1), until: self.after(seconds) };
        let claimed = self.store.claim_job(self.now(), Arc::new(lease), ConcurrencyLimits::default()).await.unwrap();
        if let Some(claimed) = &claimed {
            let key = (claimed.value.id, claimed.value.epoch);
            assert!(self.given.insert(key, worker).is_none(), "{key:?} was given twice");
            self.held[worker] = Some(claimed.clone());
        }
        format!("{claimed:?}")
    }

    fn event(&self, job: &Job, what: u8) -> JobEvent {
        let epoch = job.epoch;
        let stage = job.next_stage().unwrap_or(StageKind::Verify);
        match what % 8 {
            0 | 1 => JobEvent::LeaseRenewed { epoch, until: self.after(i64::from(what)) },
            2 => JobEvent::StageStarted { epoch, stage },
            3 => JobEvent::StageSkipped { epoch, stage, reason: "not needed".into() },
            4 => JobEvent::Postponed { epoch, until: self.after(i64::from(what / 8)), spent: None, asked: false },
            5 => JobEvent::Released { epoch },
            6 => JobEvent::Completed { epoch, verdict: patchwright_domain::job::report::Verdict::NoTests },
            _ => JobEvent::Failed {
                epoch,
                failure: Failure { stage: None, reason: "broken".into(), remedy: "mend it".into() },
                usage: patchwright_domain::Usage::default(),
            },
        }
    }

    /// Writes what a worker says about a job of the revision that it knows.
    async fn write(&mut self, worker: usize, known: Versioned<Job>, event: JobEvent) -> Ended {
        let Ok((value, _)) = known.value.advance(event, self.now()) else { return "refused".into() };
        let job = Some(Write::Update(Versioned { value: value.clone(), revision: known.revision }));
        let result = self.store.commit(Step { job, ..Step::default() }).await;
        if result.is_ok() {
            self.held[worker] = Some(Versioned { value, revision: known.revision + 1 });
        }
        told(result)
    }

    async fn steer(&mut self, which: usize, cancel: bool) -> Ended {
        if self.submitted == 0 {
            return "no job".into();
        }
        let n = u32::try_from(which % self.submitted as usize).unwrap() + 1;
        let known = self.store.job(job(n).id).await.unwrap().unwrap();
        let event = if cancel { JobEvent::CancelRequested } else { JobEvent::RestartRequested };
        let Ok((value, _)) = known.value.advance(event, self.now()) else { return "refused".into() };
        let job = Some(Write::Update(Versioned { value, revision: known.revision }));
        told(self.store.commit(Step { job, ..Step::default() }).await)
    }

    async fn deliver(&mut self, how: u8) -> Ended {
        let claimed = self.store.claim_effect(self.now(), self.after(20)).await.unwrap();
        let Some(claimed) = claimed else { return "nothing due".into() };
        let id: EffectId = claimed.record.id;
        let outcome = match how % 5 {
            0 => EffectOutcome::Done,
            4 => EffectOutcome::Postponed { at: self.after(i64::from(how / 8)), error: "slow down".into() },
            1 => EffectOutcome::Retry { at: self.after(i64::from(how / 8)), error: "busy".into() },
            2 => EffectOutcome::Dead { error: "gone".into() },
            // Its worker is killed.
            _ => return format!("{claimed:?} held"),
        };
        format!("{claimed:?} {}", told(self.store.settle_effect(id, outcome).await))
    }

    /// Everything that can be seen.
    async fn state(&self) -> String {
        let mut out = format!("due {:?}", self.store.next_due(self.now()).await.unwrap());
        for n in 1..=self.submitted {
            let found = self.store.job(job(n).id).await.unwrap().unwrap();
            // A lease is there exactly while the job runs.
            assert_eq!(
                matches!(found.value.state, JobState::Running { .. }),
                found.value.status() == JobStatus::Running
            );
            out.push_str(&format!("\n{found:?}"));
        }
        out
    }
}

fn told(result: Result<(), StoreError>) -> Ended {
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
            let ended = side.apply(*op).await;
            let first = first.get_or_insert_with(|| ended.clone());
            let apart = ended.bytes().zip(first.bytes()).take_while(|(here, there)| here == there).count();
            let from = apart.saturating_sub(80);
            let (here, there) = (ended.get(from..).unwrap_or_default(), first.get(from..).unwrap_or_default());
            assert!(ended == *first, "operation {number}, {op:?}: …{here:.200}\nand not …{there:.200}");
        }
    }
    let mut first = None;
    for side in &*sides {
        let state = side.state().await;
        assert_eq!(&state, first.get_or_insert_with(|| state.clone()));
    }
}

#[test]
fn the_fake_and_both_databases_agree_whatever_workers_do() {
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
