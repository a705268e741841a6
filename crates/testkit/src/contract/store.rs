//! The contract of the store of record and of the ledger.

use std::sync::Arc;

use patchwright_core::ledger::{BudgetAccount, DayBudgets, DaySpending, Ledger};
use patchwright_core::store::{
    ConcurrencyLimits, DeliveryRecord, EffectOutcome, EffectRecord, JobWrite, RequestWrite, Retention, Step, Store,
    StoreError, Versioned, Write,
};
use patchwright_domain::job::report::{AnalysisMethod, Level, LocateData, LocateReport, StageReport, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{
    Failure, FailureOrigin, FollowUp, JobEvent, JobState, Lease, PlanReview, PullRequestRef, TriggerKind, WorkerEvent,
};
use patchwright_domain::money::Budget;
use patchwright_domain::trigger::{Command, Language};
use patchwright_domain::{
    CommitSha, DeliveryId, Effect, InboundIssue, Issue, IssueEvent, IssueRef, Job, JobId, JobStatus, PlatformId,
    RepoPath, Request, RequestState, Task, TaskEvent, TrackerRef, TriggerRequest, Usage,
};

use crate::build::{after, effect_id, issue, issue_id, job, job_for, job_id, repo, source, start_of_time, task_id};

/// Runs the whole suite. `fresh` creates an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    a_step_is_written_whole(fresh().await.as_ref()).await;
    a_step_that_fails_writes_nothing(fresh().await.as_ref()).await;
    a_stale_revision_is_refused(fresh().await.as_ref()).await;
    a_known_delivery_is_refused_with_its_job(fresh().await.as_ref()).await;
    one_of_many_equal_deliveries_wins(fresh().await).await;
    a_job_is_claimed_by_one_worker(fresh().await).await;
    a_postponed_job_is_claimed_when_it_is_due(fresh().await.as_ref()).await;
    an_expired_lease_is_taken_over(fresh().await.as_ref()).await;
    a_renewal_changes_nothing_but_the_lease(fresh().await.as_ref()).await;
    a_lost_lease_is_not_renewed(fresh().await.as_ref()).await;
    a_concurrent_update_keeps_a_renewed_lease(fresh().await.as_ref()).await;
    repositories_and_people_have_limits(fresh().await.as_ref()).await;
    jobs_of_one_issue_run_one_after_the_other(fresh().await.as_ref()).await;
    a_lease_from_before_the_clock_was_set_back_has_expired(fresh().await.as_ref()).await;
    a_job_is_read_as_it_was_written(fresh().await.as_ref()).await;
    a_failed_job_of_a_tracker_is_read_as_it_was_written(fresh().await.as_ref()).await;
    an_update_writes_only_the_named_stages(fresh().await.as_ref()).await;
    tasks_are_open_until_they_end(fresh().await.as_ref()).await;
    effects_of_one_issue_are_delivered_in_order(fresh().await.as_ref()).await;
    nothing_waits_for_the_ci_and_reading_it_waits_for_nothing(fresh().await.as_ref()).await;
    a_claimed_effect_becomes_due_when_the_claim_expires(fresh().await.as_ref()).await;
    the_identities_of_old_deliveries_stay_known(fresh().await.as_ref()).await;
    a_request_is_claimed_and_decided_once(fresh().await.as_ref()).await;
    requests_of_one_person_are_decided_in_order_and_those_of_others_do_not_wait(fresh().await.as_ref()).await;
    an_answered_refusal_is_found(fresh().await.as_ref()).await;
    the_newest_job_of_a_pull_request_is_found(fresh().await.as_ref()).await;
}

async fn the_newest_job_of_a_pull_request_is_found(store: &dyn Store) {
    let with_pull = |n: u32, number: u64| {
        let mut job = job_for(n, 1, start_of_time());
        let url = format!("https://forge.example/pull/{number}");
        job.published.pull_request = Some(PullRequestRef { number, url, node_id: None, draft: true, end: None });
        job
    };
    store.commit(Step { job: Some(JobWrite::Insert(with_pull(1, 71))), ..new_job(1) }).await.unwrap();
    for (n, number) in [(2, 7), (3, 7)] {
        store.commit(Step { job: Some(JobWrite::Insert(with_pull(n, number))), ..Step::default() }).await.unwrap();
    }
    let github = PlatformId::from_static("github");
    let find = async |repo: &str, number| {
        let found = store.job_by_pull_request(&github, repo, number).await.unwrap();
        found.map(|job| job.value.id)
    };
    assert_eq!(find("acme/demo", 7).await, Some(job_id(3)));
    assert_eq!(find("acme/demo", 71).await, Some(job_id(1)));
    assert_eq!((find("acme/demo", 1).await, find("acme/other", 7).await), (None, None));
}

fn request(n: u32, issue: u32, actor: &str) -> Request {
    Request {
        id: job_id(n),
        trigger: TriggerRequest {
            issue: InboundIssue {
                opened_at: None,
                source: source(issue),
                title: "修复 é".to_owned(),
                body: "It breaks.".to_owned(),
                author: "alice".to_owned(),
                labels: vec!["bug".to_owned()],
                is_pull_request: false,
                default_branch: None,
            },
            actor: actor.to_owned(),
            owner: None,
            kind: TriggerKind::Mention,
            command: Command::Fix { instructions: Some("with 'quotes' and \"more\"".to_owned()) },
            language: Language::Chinese,
            has_instructions: true,
            comment_id: Some(n.to_string()),
            pull_request: Some(u64::from(n)),
            review: None,
        },
        event_type: "issue_comment".to_owned(),
        requested_at: after(i64::from(n)),
        state: RequestState::Requested,
    }
}

fn new_request(n: u32, issue: u32, actor: &str) -> Step {
    Step { request: Some(RequestWrite::Insert(request(n, issue, actor))), ..Step::default() }
}

fn decision(request: Request, state: RequestState) -> Step {
    Step { request: Some(RequestWrite::Decide(request.decide(state).unwrap())), ..Step::default() }
}

async fn a_request_is_claimed_and_decided_once(store: &dyn Store) {
    let first =
        Step { delivery: Some(delivery("d-1", Some("comment:71"), Some(job_id(1)))), ..new_request(1, 1, "alice") };
    store.commit(first.clone()).await.unwrap();
    let twin = Step { request: new_request(2, 1, "alice").request, ..first };
    let Err(StoreError::Repeated { job_id: known, .. }) = store.commit(twin).await else { panic!("it is known") };
    assert_eq!(known, Some(job_id(1)), "a delivery names its request, which is no job");
    assert!(
        store.job(job_id(1)).await.unwrap().is_none() && store.issue_by_source(&source(1)).await.unwrap().is_none()
    );
    assert_eq!(store.next_due(after(0)).await.unwrap(), Some(after(1)));
    assert!(store.claim_request(after(0), after(60)).await.unwrap().is_none(), "it is not due yet");
    let claimed = store.claim_request(after(1), after(60)).await.unwrap().unwrap();
    assert_eq!((&claimed.request, claimed.attempt), (&request(1, 1, "alice"), 1));
    assert!(store.claim_request(after(59), after(90)).await.unwrap().is_none(), "it is claimed");
    let again = store.claim_request(after(60), after(90)).await.unwrap().unwrap();
    assert_eq!(again.attempt, 2, "the claim expired");
    let later = EffectOutcome::Postponed { at: after(70), error: "wait".to_owned() };
    store.retry_request(job_id(1), later).await.unwrap();
    assert_eq!(store.claim_request(after(70), after(90)).await.unwrap().unwrap().attempt, 2, "it was not counted");
    let failed = EffectOutcome::Retry { at: after(80), error: "502".to_owned() };
    store.retry_request(job_id(1), failed).await.unwrap();
    let claimed = store.claim_request(after(80), after(90)).await.unwrap().unwrap();
    assert_eq!(claimed.attempt, 3);
    let state = RequestState::Admitted { job: Some(job_id(1)), at: after(81) };
    let admitted = Step { request: decision(claimed.request.clone(), state.clone()).request, ..new_job(1) };
    store.commit(admitted).await.unwrap();
    assert_eq!(store.request(job_id(1)).await.unwrap().unwrap().state, state);
    assert!(store.job(job_id(1)).await.unwrap().is_some());
    let refused = RequestState::Refused { reason: String::new(), remedy: String::new(), answered: true, at: after(82) };
    let late = Step { effects: vec![effect(5, 1)], ..decision(claimed.request, refused) };
    assert!(matches!(store.commit(late).await, Err(StoreError::Stale { what: "request" })));
    assert!(store.claim_effect(after(99), after(100)).await.unwrap().is_none(), "nothing of the late step is written");
    assert!(store.claim_request(after(500), after(600)).await.unwrap().is_none());
    let retention = Retention::of_deliveries(after(500), 0);
    store.commit(new_request(3, 3, "bob")).await.unwrap();
    store.forget(retention).await.unwrap();
    assert!(store.request(job_id(1)).await.unwrap().is_none(), "decided requests are deleted when they are old");
    assert!(store.request(job_id(3)).await.unwrap().is_some(), "one that is not decided is kept");
}

async fn requests_of_one_person_are_decided_in_order_and_those_of_others_do_not_wait(store: &dyn Store) {
    for (n, issue, actor) in [(1, 1, "mallory"), (2, 1, "Mallory"), (3, 1, "alice"), (4, 2, "mallory")] {
        store.commit(new_request(n, issue, actor)).await.unwrap();
    }
    let mut claimed = Vec::new();
    while let Some(next) = store.claim_request(after(10), after(60)).await.unwrap() {
        claimed.push(next.request.id);
    }
    assert_eq!(claimed, [job_id(1), job_id(3), job_id(4)]);
    let state = RequestState::Admitted { job: None, at: after(11) };
    store.commit(decision(request(1, 1, "mallory"), state)).await.unwrap();
    assert_eq!(store.claim_request(after(12), after(60)).await.unwrap().unwrap().request.id, job_id(2));
}

async fn an_answered_refusal_is_found(store: &dyn Store) {
    store.commit(new_request(1, 1, "Mallory")).await.unwrap();
    let answered = async |actor: &str, issue: u32, since: i64| {
        store.is_refusal_answered(&source(issue), actor, after(since)).await.unwrap()
    };
    assert!(!answered("mallory", 1, 0).await);
    let refused = |answered, at| RequestState::Refused { reason: "no".into(), remedy: "ask".into(), answered, at };
    store.commit(decision(request(1, 1, "Mallory"), refused(true, after(10)))).await.unwrap();
    assert!(answered("mallory", 1, 100).await, "this person was told");
    assert!(answered("oscar", 1, 9).await, "somebody was told lately");
    assert!(!answered("oscar", 1, 10).await && !answered("mallory", 2, 0).await);
    store.commit(new_request(2, 2, "oscar")).await.unwrap();
    store.commit(decision(request(2, 2, "oscar"), refused(false, after(20)))).await.unwrap();
    assert!(!answered("oscar", 2, 0).await, "a silent refusal is no answer");
}

fn lease(worker: &str, until: i64) -> Arc<Lease> {
    Arc::new(Lease { holder: worker.to_owned(), task_id: task_id(1), until: after(until) })
}

fn delivery(id: &str, identity: Option<&str>, job: Option<JobId>) -> DeliveryRecord {
    DeliveryRecord {
        platform: PlatformId::from_static("github"),
        id: DeliveryId::parse(id).unwrap(),
        identity: identity.map(str::to_owned),
        event_type: "issue_comment".to_owned(),
        job_id: job,
        received_at: start_of_time(),
        payload: r#"{"action":"created","title":"héé 修复"}"#.into(),
    }
}

fn effect(n: u32, issue: u32) -> EffectRecord {
    EffectRecord {
        id: effect_id(n),
        issue_id: issue_id(issue),
        job_id: None,
        effect: Effect::RefreshProgress,
        created_at: start_of_time(),
    }
}

fn new_job(n: u32) -> Step {
    Step { issue: Some(Write::Insert(issue(n))), job: Some(JobWrite::Insert(job(n))), ..Step::default() }
}

async fn a_step_is_written_whole(store: &dyn Store) {
    let step = Step {
        delivery: Some(delivery("d-1", Some("comment:71"), Some(job_id(1)))),
        effects: vec![effect(1, 1)],
        ..new_job(1)
    };
    store.commit(step).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.job(job_id(1)).await.unwrap().unwrap(), Versioned { value: job(1), revision: 1 });
    assert_eq!(store.issue(issue_id(1)).await.unwrap().unwrap(), Versioned { value: issue(1), revision: 1 });
    assert_eq!(store.issue_by_source(&source(1)).await.unwrap().unwrap().value.id, issue_id(1));
    assert_eq!(store.latest_job(issue_id(1)).await.unwrap().unwrap().value.id, job_id(1));
    let github = PlatformId::from_static("github");
    let found = store.job_by_branch(&github, "acme/demo", "agent/fix-1-1").await.unwrap();
    assert_eq!(found.unwrap().value.id, job_id(1));
    assert!(store.job(job_id(9)).await.unwrap().is_none());
    assert_eq!(store.next_due(after(-1)).await.unwrap(), Some(start_of_time()));
    let claimed = store.claim_effect(after(1), after(60)).await.unwrap().unwrap();
    assert_eq!((claimed.record, claimed.attempt), (effect(1, 1), 1));
}

async fn a_step_that_fails_writes_nothing(store: &dyn Store) {
    store.commit(Step { delivery: Some(delivery("d-1", None, Some(job_id(1)))), ..new_job(1) }).await.unwrap();
    let again =
        Step { delivery: Some(delivery("d-1", None, Some(job_id(2)))), effects: vec![effect(2, 2)], ..new_job(2) };
    assert!(matches!(store.commit(again).await, Err(StoreError::Repeated { .. })));
    assert!(store.job(job_id(2)).await.unwrap().is_none());
    assert!(store.issue(issue_id(2)).await.unwrap().is_none());
    assert!(store.claim_effect(after(1), after(60)).await.unwrap().is_none());
}

async fn a_stale_revision_is_refused(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let known = store.issue(issue_id(1)).await.unwrap().unwrap();
    let moved = known.value.clone().advance(IssueEvent::TaskSucceeded, after(1)).unwrap();
    let update =
        |value| Step { issue: Some(Write::Update(Versioned { value, revision: known.revision })), ..Step::default() };
    store.commit(update(moved.clone())).await.unwrap();
    assert!(matches!(store.commit(update(moved.clone())).await, Err(StoreError::Stale { .. })));
    assert_eq!(store.issue(issue_id(1)).await.unwrap().unwrap(), Versioned { value: moved, revision: 2 });
    // The same issue inserted twice at the same time: the second writer reads again.
    let twin = Step { issue: Some(Write::Insert(Issue { id: issue_id(7), ..issue(1) })), ..Step::default() };
    assert!(matches!(store.commit(twin).await, Err(StoreError::Stale { .. })));
}

async fn a_known_delivery_is_refused_with_its_job(store: &dyn Store) {
    let first = Step { delivery: Some(delivery("d-1", Some("comment:71"), Some(job_id(1)))), ..new_job(1) };
    store.commit(first).await.unwrap();
    let only = |record| Step { delivery: Some(record), ..Step::default() };
    let same = store.commit(only(delivery("d-1", Some("comment:71"), None))).await;
    assert!(
        matches!(same, Err(StoreError::Repeated { job_id: Some(id), same_delivery: true, altered: false }) if id == job_id(1))
    );
    let twin = store.commit(only(delivery("d-2", Some("comment:71"), None))).await;
    assert!(
        matches!(twin, Err(StoreError::Repeated { job_id: Some(id), same_delivery: false, .. }) if id == job_id(1))
    );
    let other = DeliveryRecord { payload: "{}".into(), ..delivery("d-1", None, None) };
    let altered = store.commit(only(other)).await;
    assert!(matches!(altered, Err(StoreError::Repeated { same_delivery: true, altered: true, .. })), "{altered:?}");
    store.commit(only(delivery("d-3", None, None))).await.unwrap();
    store.commit(only(delivery("d-4", None, None))).await.unwrap();
}

async fn one_of_many_equal_deliveries_wins(store: Arc<dyn Store>) {
    let mut tries = Vec::new();
    for n in 1..=20 {
        let store = Arc::clone(&store);
        tries.push(tokio::spawn(async move {
            let step = Step { delivery: Some(delivery("d-1", None, Some(job_id(n)))), ..new_job(n) };
            match store.commit(step).await {
                Ok(()) => job_id(n),
                Err(StoreError::Repeated { job_id: Some(id), .. }) => id,
                Err(error) => panic!("{error:?}"),
            }
        }));
    }
    let mut winners = Vec::new();
    for one in tries {
        winners.push(one.await.unwrap());
    }
    winners.dedup();
    assert_eq!(winners.len(), 1, "every delivery returns the same job");
}

async fn a_job_is_claimed_by_one_worker(store: Arc<dyn Store>) {
    for n in 1..=5 {
        store.commit(new_job(n)).await.unwrap();
    }
    let mut tries = Vec::new();
    for n in 0..10 {
        let store = Arc::clone(&store);
        tries.push(tokio::spawn(async move {
            store.claim_job(after(1), lease(&format!("w{n}"), 60), ConcurrencyLimits::default()).await.unwrap()
        }));
    }
    let mut claimed = Vec::new();
    for one in tries {
        claimed.extend(one.await.unwrap().map(|job| job.value.id));
    }
    // Locked rows are skipped, so a worker may get no job; no two workers get the same one.
    while let Some(job) = store.claim_job(after(1), lease("late", 60), ConcurrencyLimits::default()).await.unwrap() {
        claimed.push(job.value.id);
    }
    claimed.sort();
    assert_eq!(claimed, (1..=5).map(job_id).collect::<Vec<_>>());
}

async fn a_postponed_job_is_claimed_when_it_is_due(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let known = store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    let postponed = JobEvent::Postponed { epoch: 1, until: after(100), spent: None, asked: false };
    update(store, &known, postponed).await.unwrap();
    assert_eq!(store.next_due(after(10)).await.unwrap(), Some(after(100)));
    assert!(store.claim_job(after(99), lease("w", 200), ConcurrencyLimits::default()).await.unwrap().is_none());
    assert!(store.claim_job(after(100), lease("w", 200), ConcurrencyLimits::default()).await.unwrap().is_some());
}

async fn an_expired_lease_is_taken_over(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let first = store.claim_job(after(1), lease("first", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert!(store.claim_job(after(59), lease("second", 120), ConcurrencyLimits::default()).await.unwrap().is_none());
    let second = store.claim_job(after(60), lease("second", 120), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert_eq!((first.value.epoch, second.value.epoch, second.value.attempts), (1, 2, 2));
    assert!(matches!(&second.value.state, JobState::Running { lease } if lease.holder == "second"));
    assert_eq!(store.job(job_id(1)).await.unwrap().unwrap(), second);
}

async fn a_failed_job_of_a_tracker_is_read_as_it_was_written(store: &dyn Store) {
    let tracker = TrackerRef::new(PlatformId::from_static("jira"), "acme.atlassian.net", "10042", "PROJ-12").unwrap();
    let source = IssueRef::tracked(PlatformId::from_static("github"), repo(), tracker);
    let failure = Failure {
        stage: None,
        reason: "tests fail".to_owned(),
        remedy: "retry".to_owned(),
        origin: FailureOrigin::Model,
    };
    let failed = Job {
        source: source.clone(),
        review: PlanReview::Approved { by: "olga".to_owned() },
        state: JobState::Failed,
        rounds: 2,
        feedback: Some("test_add fails".to_owned()),
        verdict: Some(Verdict::StillFailing),
        failure: Some(failure),
        ended_at: Some(after(5)),
        ..job(1)
    };
    let issue = Issue { source, ..issue(1) };
    let (issue, job) = (Some(Write::Insert(issue)), Some(JobWrite::Insert(failed.clone())));
    store.commit(Step { issue, job, ..Step::default() }).await.unwrap();
    let known = store.job(job_id(1)).await.unwrap().unwrap();
    assert_eq!(known.value, failed);
    update(store, &known, JobEvent::RestartRequested).await.unwrap();
    let restarted = store.job(job_id(1)).await.unwrap().unwrap().value;
    assert_eq!((restarted.rounds, restarted.verdict, restarted.failure), (0, None, None));
}

/// Writes the job as it is after an event.
async fn update(store: &dyn Store, known: &Versioned<Job>, event: JobEvent) -> Result<(), StoreError> {
    let (job, _) = known.value.clone().advance(event, after(2)).unwrap();
    store.commit(Step { job: Some(JobWrite::update(known, job)), ..Step::default() }).await
}

fn lease_end(job: &Job) -> i64 {
    match &job.state {
        JobState::Running { lease } => lease.until.as_second() - start_of_time().as_second(),
        other => panic!("{other:?} has no lease"),
    }
}

async fn a_renewal_changes_nothing_but_the_lease(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let claimed = store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert!(store.renew_lease(job_id(1), 1, after(90)).await.unwrap());
    let mut expected = claimed.clone();
    if let JobState::Running { lease } = &mut expected.value.state {
        lease.until = after(90);
    }
    assert_eq!(store.job(job_id(1)).await.unwrap().unwrap(), expected, "revision and `updated_at` too");
    assert!(store.claim_job(after(89), lease("x", 120), ConcurrencyLimits::default()).await.unwrap().is_none());
    assert_eq!(store.next_due(after(60)).await.unwrap(), Some(after(90)));
}

async fn a_lost_lease_is_not_renewed(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    assert!(!store.renew_lease(job_id(1), 0, after(90)).await.unwrap(), "it waits");
    assert!(!store.renew_lease(job_id(9), 1, after(90)).await.unwrap(), "it does not exist");
    store.claim_job(after(1), lease("first", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    let second = store.claim_job(after(60), lease("second", 120), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert!(!store.renew_lease(job_id(1), 1, after(999)).await.unwrap(), "another worker has it");
    assert_eq!(lease_end(&store.job(job_id(1)).await.unwrap().unwrap().value), 120);
    update(store, &second, JobEvent::CancelRequested).await.unwrap();
    assert!(!store.renew_lease(job_id(1), 2, after(999)).await.unwrap(), "it has ended");
}

async fn a_concurrent_update_keeps_a_renewed_lease(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let read = store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert!(store.renew_lease(job_id(1), 1, after(90)).await.unwrap());
    update(store, &read, JobEvent::progress(1, WorkerEvent::StageStarted { stage: StageKind::Locate })).await.unwrap();
    let updated = store.job(job_id(1)).await.unwrap().unwrap();
    assert_eq!((updated.revision, lease_end(&updated.value)), (read.revision + 1, 90));
    update(store, &updated, JobEvent::Released { epoch: 1 }).await.unwrap();
    let claimed = store.claim_job(after(10), lease("x", 50), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert_eq!(lease_end(&claimed.value), 50, "another lease has its own end");
    assert_eq!(store.job(job_id(1)).await.unwrap().unwrap(), claimed);
}

async fn an_update_writes_only_the_named_stages(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let claimed = store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    let skipped = |stage| JobEvent::progress(1, WorkerEvent::StageSkipped { stage, reason: "not needed".to_owned() });
    update(store, &claimed, skipped(StageKind::Locate)).await.unwrap();
    let known = store.job(job_id(1)).await.unwrap().unwrap();
    let (job, _) = known.value.clone().advance(skipped(StageKind::Propose), after(3)).unwrap();
    let write = JobWrite::update(&known, job.clone());
    assert!(matches!(&write, JobWrite::Update { stages, .. } if *stages == [StageKind::Propose]), "{write:?}");
    store.commit(Step { job: Some(write), ..Step::default() }).await.unwrap();
    assert_eq!(store.job(job_id(1)).await.unwrap().unwrap().value, job);
}

async fn a_job_is_read_as_it_was_written(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let claimed = store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
    let epoch = claimed.value.epoch;
    let report = StageReport::Locate(LocateReport {
        candidate_files: vec![RepoPath::parse("src/解析.py").unwrap()],
        stage_data: LocateData {
            analysis_method: AnalysisMethod::Hybrid,
            confidence_level: Level::High,
            files_analyzed: 3,
            history_depth: None,
        },
        candidates: vec![],
    });
    let usage = Usage { calls: 1, prompt_tokens: 5, completion_tokens: 6, cost_micros: 7 };
    let mut job = claimed.value.clone();
    for event in [
        JobEvent::progress(epoch, WorkerEvent::StageStarted { stage: StageKind::Locate }),
        JobEvent::progress(epoch, WorkerEvent::StageSucceeded { report, comment: "found".to_owned(), usage }),
        JobEvent::progress(epoch, WorkerEvent::StageStarted { stage: StageKind::Propose }),
        JobEvent::CommentPosted { id: "77".to_owned(), others: Vec::new() },
        JobEvent::CancelRequested,
    ] {
        job = job.advance(event, after(3)).unwrap().0;
    }
    let write = JobWrite::update(&claimed, job.clone());
    store.commit(Step { job: Some(write), ..Step::default() }).await.unwrap();
    let read: Job = store.job(job_id(1)).await.unwrap().unwrap().value;
    assert_eq!(read, job);
    assert_eq!((read.status(), read.stage(StageKind::Locate).status), (JobStatus::Cancelled, StageStatus::Succeeded));
    // The latest job of the issue is the second one.
    let second = job_for(2, 1, after(9));
    store.commit(Step { job: Some(JobWrite::Insert(second)), ..Step::default() }).await.unwrap();
    assert_eq!(store.latest_job(issue_id(1)).await.unwrap().unwrap().value.id, job_id(2));
}

async fn tasks_are_open_until_they_end(store: &dyn Store) {
    let task = Task::first(&job(1), "", after(0));
    store.commit(Step { task: Some(task.clone()), ..new_job(1) }).await.unwrap();
    assert_eq!(store.open_tasks(job_id(1)).await.unwrap(), std::slice::from_ref(&task));
    let running = Task { node: "embedded".to_owned(), ..task.advance(TaskEvent::Started, after(1)).unwrap() };
    store.commit(Step { task: Some(running.clone()), ..Step::default() }).await.unwrap();
    assert_eq!(store.open_tasks(job_id(1)).await.unwrap(), std::slice::from_ref(&running));
    let ended = running.advance(TaskEvent::Succeeded, after(2)).unwrap();
    store.commit(Step { task: Some(ended.clone()), ..Step::default() }).await.unwrap();
    assert_eq!(store.open_tasks(job_id(1)).await.unwrap(), []);
    assert_eq!(store.latest_task(job_id(1)).await.unwrap(), Some(ended));
    assert_eq!(store.latest_task(job_id(2)).await.unwrap(), None);
}

async fn effects_of_one_issue_are_delivered_in_order(store: &dyn Store) {
    store.commit(Step { effects: vec![effect(1, 1), effect(2, 1)], ..new_job(1) }).await.unwrap();
    store.commit(Step { effects: vec![effect(3, 2)], ..new_job(2) }).await.unwrap();
    let claim = || async { store.claim_effect(after(1), after(60)).await.unwrap().map(|claimed| claimed.record.id) };
    assert_eq!(claim().await, Some(effect_id(1)));
    assert_eq!(claim().await, Some(effect_id(3)), "the second effect of the first issue waits for the first");
    assert_eq!(claim().await, None);
    let retry = EffectOutcome::Retry { at: after(30), error: "busy".to_owned() };
    store.settle_effect(effect_id(1), retry).await.unwrap();
    assert_eq!(claim().await, None, "the first one waits for its retry, and the second for the first");
    store.settle_effect(effect_id(1), EffectOutcome::Dead { error: "gone".to_owned() }).await.unwrap();
    assert_eq!(claim().await, Some(effect_id(2)));
    store.commit(Step { settled: Some(effect_id(2)), ..Step::default() }).await.unwrap();
    store.settle_effect(effect_id(3), EffectOutcome::Done).await.unwrap();
    assert!(store.claim_effect(after(9999), after(10_000)).await.unwrap().is_none());
}

async fn nothing_waits_for_the_ci_and_reading_it_waits_for_nothing(store: &dyn Store) {
    let commit = CommitSha::parse(&"1".repeat(40)).unwrap();
    let read = Effect::ReadCi { commit, base: "main".to_owned() };
    let effects = vec![effect(1, 1), EffectRecord { effect: read, ..effect(2, 1) }, effect(3, 1)];
    store.commit(Step { effects, ..new_job(1) }).await.unwrap();
    let claim = || async { store.claim_effect(after(1), after(60)).await.unwrap().map(|claimed| claimed.record.id) };
    assert_eq!(claim().await, Some(effect_id(1)));
    assert_eq!(claim().await, Some(effect_id(2)), "although the one before it is not settled");
    store.settle_effect(effect_id(1), EffectOutcome::Done).await.unwrap();
    assert_eq!(claim().await, Some(effect_id(3)), "although the CI is being read");
    let later = EffectOutcome::Postponed { at: after(90), error: String::new() };
    store.settle_effect(effect_id(2), later).await.unwrap();
    store.settle_effect(effect_id(3), EffectOutcome::Done).await.unwrap();
    assert_eq!(claim().await, None);
    assert_eq!(store.next_due(after(1)).await.unwrap(), Some(after(90)));
}

async fn a_claimed_effect_becomes_due_when_the_claim_expires(store: &dyn Store) {
    store.commit(Step { effects: vec![effect(1, 1)], ..new_job(1) }).await.unwrap();
    assert_eq!(store.claim_effect(after(1), after(60)).await.unwrap().unwrap().attempt, 1);
    assert!(store.claim_effect(after(59), after(100)).await.unwrap().is_none());
    assert_eq!(store.claim_effect(after(60), after(100)).await.unwrap().unwrap().attempt, 2);
    let postponed = EffectOutcome::Postponed { at: after(200), error: "slow down".to_owned() };
    store.settle_effect(effect_id(1), postponed).await.unwrap();
    assert!(store.claim_effect(after(199), after(300)).await.unwrap().is_none());
    assert_eq!(
        store.claim_effect(after(200), after(300)).await.unwrap().unwrap().attempt,
        2,
        "a postponed attempt is not counted"
    );
}

async fn the_identities_of_old_deliveries_stay_known(store: &dyn Store) {
    let only = |record| Step { delivery: Some(record), ..Step::default() };
    store.commit(only(delivery("d-1", Some("comment:71"), None))).await.unwrap();
    store.commit(only(delivery("d-2", None, None))).await.unwrap();
    let forget =
        async |before, payload_bytes| store.forget(Retention::of_deliveries(before, payload_bytes)).await.unwrap();
    assert_eq!(forget(start_of_time(), 0).await, 0);
    assert_eq!(forget(after(1), 0).await, 2);
    assert_eq!(forget(after(1), 0).await, 0);
    let same = store.commit(only(delivery("d-3", Some("comment:71"), None))).await;
    assert!(matches!(same, Err(StoreError::Repeated { .. })), "{same:?}");
    store.commit(only(delivery("d-2", None, None))).await.unwrap();
    // Over the size limit the payload is deleted; the delivery stays known.
    assert_eq!(forget(start_of_time(), 100_000).await, 0);
    assert_eq!(forget(start_of_time(), 1).await, 1);
    assert!(matches!(store.commit(only(delivery("d-2", None, None))).await, Err(StoreError::Repeated { .. })));
    // Old effects that were delivered are deleted; waiting ones stay.
    store.commit(Step { effects: vec![effect(1, 1), effect(2, 1)], ..new_job(1) }).await.unwrap();
    store.settle_effect(effect_id(1), EffectOutcome::Done).await.unwrap();
    assert_eq!(forget(after(1), 0).await, 2, "the effect, and the old delivery without an identity");
    assert_eq!(store.claim_effect(after(1), after(60)).await.unwrap().unwrap().record.id, effect_id(2));
}

/// A new job of a repository and a user.
fn new_job_of(n: u32, repo: &str, actor: &str) -> Step {
    let (mut issue, mut job) = (issue(n), job(n));
    issue.source.repo = repo.parse().unwrap();
    job.source.repo = issue.source.repo.clone();
    job.trigger.actor = actor.to_owned();
    Step { issue: Some(Write::Insert(issue)), job: Some(JobWrite::Insert(job)), ..Step::default() }
}

async fn jobs_of_one_issue_run_one_after_the_other(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    let follow_up = |n: u32| {
        let follows = Some(FollowUp { job_id: job_id(n - 1), inherited: false, base: None, earlier: None });
        Job { branch: job(1).branch, follows, ..job_for(n, 1, start_of_time()) }
    };
    for n in [2, 3] {
        store.commit(Step { job: Some(JobWrite::Insert(follow_up(n))), ..Step::default() }).await.unwrap();
    }
    let open = async || {
        let jobs = store.open_jobs(issue_id(1)).await.unwrap();
        jobs.into_iter().map(|job| job.value.id).collect::<Vec<_>>()
    };
    assert_eq!(open().await, [job_id(1), job_id(2), job_id(3)]);
    let github = PlatformId::from_static("github");
    let newest = store.job_by_branch(&github, "acme/demo", job(1).branch.as_str()).await.unwrap().unwrap();
    assert_eq!(newest.value, follow_up(3));
    for n in 1..=3 {
        let claimed = store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().unwrap();
        assert_eq!(claimed.value.id, job_id(n));
        assert!(
            store.claim_job(after(1), lease("w", 60), ConcurrencyLimits::default()).await.unwrap().is_none(),
            "{n} runs"
        );
        update(store, &claimed, JobEvent::CancelRequested).await.unwrap();
    }
    assert_eq!(open().await, []);
}

async fn a_lease_from_before_the_clock_was_set_back_has_expired(store: &dyn Store) {
    store.commit(new_job(1)).await.unwrap();
    store.claim_job(after(4000), lease("w", 4060), ConcurrencyLimits::default()).await.unwrap().unwrap();
    // The clock is an hour back: the lease seems to last for another 67 minutes, longer than any lease.
    let again = store.claim_job(after(40), lease("x", 100), ConcurrencyLimits::default()).await.unwrap().unwrap();
    assert_eq!(again.value.epoch, 2);
    // A worker whose clock is a few minutes ahead keeps its job.
    assert!(store.claim_job(after(-300), lease("y", -240), ConcurrencyLimits::default()).await.unwrap().is_none());
}

async fn repositories_and_people_have_limits(store: &dyn Store) {
    for (n, repo, actor) in [
        (1, "acme/large", "alice"),
        (2, "acme/large", "Alice"),
        (3, "acme/large", "bob"),
        (4, "acme/small", "alice"),
        (5, "acme/small", "carol"),
    ] {
        store.commit(new_job_of(n, repo, actor)).await.unwrap();
    }
    let claim = async |limits: ConcurrencyLimits| {
        let claimed = store.claim_job(after(1), lease("w", 60), limits).await.unwrap();
        claimed.map(|job| job.value.id)
    };
    let unlimited = ConcurrencyLimits::default();
    assert_eq!(claim(unlimited).await, Some(job_id(1)));
    assert_eq!(claim(unlimited).await, Some(job_id(4)), "the queue of one repository does not delay the other");
    let one_each = ConcurrencyLimits { per_repository: 1, per_actor: 0 };
    assert_eq!(claim(one_each).await, None);
    let person = ConcurrencyLimits { per_repository: 2, per_actor: 2 };
    assert_eq!(claim(person).await, Some(job_id(3)), "two jobs of alice run, in any spelling");
    assert_eq!(claim(person).await, Some(job_id(5)));
    assert_eq!(claim(person).await, None);
    assert_eq!(claim(unlimited).await, Some(job_id(2)));
    // An expired lease makes room for its own job.
    assert_eq!(store.claim_job(after(60), lease("w", 90), one_each).await.unwrap().unwrap().value.epoch, 2);
}

/// Runs the suite of the ledger. `fresh` creates an empty one.
pub async fn ledger_suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Ledger>>,
{
    a_call_over_the_budget_of_a_day_is_refused(fresh().await.as_ref()).await;
    concurrent_calls_stay_within_the_limit(fresh().await).await;
}

fn account(day: &str, repository: &str) -> BudgetAccount {
    BudgetAccount { day: day.parse().unwrap(), repository: repository.to_owned() }
}

fn call(tokens: u64) -> Usage {
    Usage { calls: 1, prompt_tokens: tokens, completion_tokens: 0, cost_micros: 0 }
}

async fn a_call_over_the_budget_of_a_day_is_refused(ledger: &dyn Ledger) {
    let day = |tokens| Budget { max_tokens: tokens, ..Budget::default() };
    let budgets = DayBudgets { repository: day(100), all: day(150) };
    let (demo, other) = (account("2026-01-02", "github:acme/demo"), account("2026-01-02", "github:acme/other"));
    let reserve = async |account: &BudgetAccount, tokens| ledger.reserve(account, call(tokens), budgets).await.unwrap();
    assert_eq!(reserve(&demo, 60).await, Ok(()));
    let capped = reserve(&demo, 60).await.unwrap_err();
    assert_eq!(
        capped.to_string(),
        "the repository's model budget for today is used up: 60 of 100 tokens are spent, and the next call may take 60"
    );
    // The call cost less than its reservation, so the budget has room again.
    ledger.settle(&demo, call(60), call(10)).await.unwrap();
    assert_eq!(ledger.spending(&demo).await.unwrap(), DaySpending { repository: call(10), all: call(10) });
    assert_eq!(reserve(&demo, 90).await, Ok(()));
    assert_eq!(reserve(&other, 60).await.unwrap_err().whose, "this installation's");
    assert_eq!(ledger.spending(&other).await.unwrap().repository, Usage::default(), "a refused call is not charged");
    assert_eq!(reserve(&other, 50).await, Ok(()));
    assert_eq!(reserve(&account("2026-01-03", "github:acme/other"), 60).await, Ok(()), "every day has its own budget");
}

async fn concurrent_calls_stay_within_the_limit(ledger: Arc<dyn Ledger>) {
    let budgets = DayBudgets { all: Budget { max_calls: 10, ..Budget::default() }, ..DayBudgets::default() };
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..40 {
        let ledger = Arc::clone(&ledger);
        let account = account("2026-01-02", &format!("github:acme/r{}", n % 3));
        calls.spawn(async move { ledger.reserve(&account, call(1), budgets).await.unwrap().is_ok() });
    }
    let made = calls.join_all().await.into_iter().filter(|made| *made).count();
    assert_eq!(made, 10);
}
