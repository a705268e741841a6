//! The queries for users on both databases.

use patchwright_core::access::Visibility;
use patchwright_core::query::{IssueFilter, JobFilter, Queries as _, TaskFilter, WaitingJobs};
use patchwright_core::store::{ConcurrencyLimits, JobWrite, Step, Store as _, Write};
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::{JobEvent, JobState, JobSummary, Lease, UNTIL_APPROVED, WorkerEvent};
use patchwright_domain::node::WorkCommand;
use patchwright_domain::{Issue, Job, JobStatus};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::{after, issue, issue_id, job, job_for, job_id, task_id};

use crate::sql::Sql;
use crate::{new_job, on_both_databases};

async fn lists_are_filtered_and_paged(store: DieselStore, _: Sql) {
    for n in 1..=5 {
        store.commit(new_job(n)).await.unwrap();
    }
    let ids = |jobs: Vec<JobSummary>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let page = |before, limit| JobFilter { before, limit, ..JobFilter::default() };
    assert_eq!(ids(store.jobs(page(None, 2)).await.unwrap()), [job_id(5), job_id(4)]);
    assert_eq!(ids(store.jobs(page(Some(job_id(4)), 9)).await.unwrap()), [job_id(3), job_id(2), job_id(1)]);
    let running = JobFilter { status: Some(JobStatus::Running), limit: 9, ..JobFilter::default() };
    assert!(store.jobs(running).await.unwrap().is_empty());
    let elsewhere = JobFilter { repository: Some("acme/other".into()), limit: 9, ..JobFilter::default() };
    assert!(store.jobs(elsewhere).await.unwrap().is_empty());
    let of_issue = JobFilter { issue: Some(issue(2).id), limit: 9, ..JobFilter::default() };
    assert_eq!(ids(store.jobs(of_issue).await.unwrap()), [job_id(2)]);
    assert_eq!(store.queue_depth().await.unwrap().queued, 5);
    let lag = store.queue_lag(after(9), 9).await.unwrap();
    let waiting = WaitingJobs { repository: "acme/demo".to_owned(), jobs: 5, oldest: job(1).created_at };
    assert_eq!(lag.repositories, [waiting]);
    assert!(store.queue_lag(after(9), 0).await.unwrap().repositories.is_empty());
    assert_eq!(store.queue_position(job_id(3)).await.unwrap(), Some(3));
    assert_eq!(store.queue_position(job_id(9)).await.unwrap(), None);
    let waiting = store.waiting(2, Visibility::All).await.unwrap();
    assert_eq!(waiting, [(JobSummary::from(&job(1)), 1), (JobSummary::from(&job(2)), 2)]);
    let of_job = TaskFilter { job: Some(job_id(1)), limit: 9, ..TaskFilter::default() };
    assert!(store.tasks(of_job).await.unwrap().is_empty());
    assert!(store.delivery(job_id(1)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged_on_both_databases() {
    on_both_databases(lists_are_filtered_and_paged).await;
}

async fn issues_are_listed_in_each_order_with_their_newest_jobs(store: DieselStore, _: Sql) {
    for (n, updated_at) in [(1, after(30)), (2, after(10)), (3, after(30)), (4, after(20))] {
        let issue = Issue { updated_at, ..issue(n) };
        store.commit(Step { issue: Some(Write::Insert(issue)), ..Step::default() }).await.unwrap();
    }
    let page = async |order, after, limit| {
        let filter = IssueFilter { order, after, limit, ..IssueFilter::default() };
        store.issues(filter).await.unwrap().into_iter().map(|issue| issue.id).collect::<Vec<_>>()
    };
    for (order, expected) in
        [(IssueOrder::Newest, [4, 3, 2, 1]), (IssueOrder::Oldest, [1, 2, 3, 4]), (IssueOrder::Updated, [3, 1, 4, 2])]
    {
        let expected = expected.map(issue_id);
        assert_eq!(page(order, None, 9).await, expected, "{order:?}");
        assert_eq!(page(order, Some(expected[0]), 2).await, expected[1..3], "{order:?}");
        assert!(page(order, Some(expected[3]), 9).await.is_empty(), "{order:?}");
    }
    assert!(page(IssueOrder::Updated, Some(issue_id(9)), 9).await.is_empty(), "nothing follows what is not there");
    for (n, of) in [(1, 1), (2, 1), (3, 2)] {
        let job = JobWrite::Insert(job_for(n, of, after(i64::from(n))));
        store.commit(Step { job: Some(job), ..Step::default() }).await.unwrap();
    }
    let latest = store.latest_jobs(&[1, 2, 3].map(issue_id)).await.unwrap();
    let mut latest: Vec<_> = latest.into_iter().map(|(issue, job)| (issue, job.id)).collect();
    latest.sort_unstable();
    assert_eq!(latest, [(issue_id(1), job_id(2)), (issue_id(2), job_id(3))]);
    assert!(store.latest_jobs(&[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_are_listed_in_each_order_with_their_newest_jobs_on_both_databases() {
    on_both_databases(issues_are_listed_in_each_order_with_their_newest_jobs).await;
}

async fn jobs_are_found_by_their_verdict_and_by_who_asked(store: DieselStore, _: Sql) {
    let with = |n: u32, actor: &str, verdict: Option<Verdict>| {
        let mut job = job(n);
        job.trigger.actor = actor.to_owned();
        job.verdict = verdict;
        // A text of somebody else is not taken for the verdict.
        job.title = r#""verdict":"regressions""#.to_owned();
        job
    };
    let proven = Some(Verdict::FixedProven);
    for (n, job) in (1..).zip([with(1, "alice", proven), with(2, "bob", proven), with(3, "alice", None)]) {
        store.commit(Step { job: Some(JobWrite::Insert(job)), ..new_job(n) }).await.unwrap();
    }
    let found = async |verdict, actor: Option<&str>| {
        let filter = JobFilter { verdict, actor: actor.map(str::to_owned), limit: 9, ..JobFilter::default() };
        store.jobs(filter).await.unwrap().into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(found(proven, None).await, [job_id(2), job_id(1)]);
    assert_eq!(found(proven, Some("alice")).await, [job_id(1)]);
    assert_eq!(found(None, Some("alice")).await, [job_id(3), job_id(1)]);
    assert!(found(Some(Verdict::Regressions), None).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_their_verdict_and_by_who_asked_on_both_databases() {
    on_both_databases(jobs_are_found_by_their_verdict_and_by_who_asked).await;
}

async fn a_changed_job_is_listed_with_its_summary(store: DieselStore, _: Sql) {
    store.commit(new_job(1)).await.unwrap();
    let lease = Lease { holder: "w".to_owned(), task_id: task_id(1), until: after(60) };
    let claimed = store.claim_job(after(1), std::sync::Arc::new(lease), ConcurrencyLimits::default()).await;
    let claimed = claimed.unwrap().unwrap();
    let stage = patchwright_domain::job::stage::StageKind::Locate;
    let skipped = JobEvent::progress(1, WorkerEvent::StageSkipped { stage, reason: "not needed".to_owned() });
    let (job, _) = claimed.value.clone().advance(skipped, after(2)).unwrap();
    let write = JobWrite::update(&claimed, job.clone());
    store.commit(Step { job: Some(write), ..Step::default() }).await.unwrap();
    let changed = store.jobs_changed(after(2).as_microsecond(), 9).await.unwrap();
    assert_eq!(changed, [JobSummary::from(&job)]);
    assert!(store.jobs_changed(after(2).as_microsecond() + 1, 9).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_job_is_listed_with_its_summary_on_both_databases() {
    on_both_databases(a_changed_job_is_listed_with_its_summary).await;
}

async fn requested_work_is_the_command_or_else_the_instructions(store: DieselStore, _: Sql) {
    let with = |n: u32, command: Option<&str>, instructions: Option<&str>| {
        let mut job = job(n);
        job.command = command.map(|line| WorkCommand::Free(line.to_owned()));
        job.trigger.instructions = instructions.map(str::to_owned);
        job
    };
    let jobs: [Job; 3] = [with(1, Some("make fix"), Some("fast")), with(2, None, Some("fast")), with(3, None, None)];
    for (n, job) in (1..).zip(&jobs) {
        store.commit(Step { job: Some(JobWrite::Insert(job.clone())), ..new_job(n) }).await.unwrap();
    }
    let requested = store.requested_work(&jobs.map(|job| job.id)).await.unwrap();
    let mut requested: Vec<_> = requested.into_iter().collect();
    requested.sort();
    assert_eq!(requested, [(job_id(1), "make fix".to_owned()), (job_id(2), "fast".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_work_is_the_command_or_else_the_instructions_on_both_databases() {
    on_both_databases(requested_work_is_the_command_or_else_the_instructions).await;
}

/// The query in the Helm chart by which KEDA scales nodes.
fn scaling_query() -> String {
    let chart = include_str!("../../../../deploy/helm/patchwright/templates/nodes.yaml");
    let query = chart.split_once("query: >-").unwrap().1.split_once("targetQueryValue").unwrap().0;
    let until = UNTIL_APPROVED.as_microsecond();
    let query = query.replace(&format!("{{{{ int64 {until} }}}}"), &until.to_string());
    query.replace("count(*)", "count(*) AS number").split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn nodes_are_scaled_by_the_jobs_that_run_or_may_run(store: DieselStore, sql: Sql) {
    let count = async || sql.number(&scaling_query()).await;
    assert_eq!(count().await, 0);
    for n in 1..=3 {
        store.commit(new_job(n)).await.unwrap();
    }
    assert_eq!(count().await, 3);
    let lease = Lease { holder: "w".to_owned(), task_id: task_id(1), until: after(60) };
    store.claim_job(after(1), std::sync::Arc::new(lease), ConcurrencyLimits::default()).await.unwrap();
    assert_eq!(count().await, 3, "one runs, and needs its node");
    let known = store.job(job_id(3)).await.unwrap().unwrap();
    let held = Job { state: JobState::Queued { not_before: UNTIL_APPROVED }, ..known.value.clone() };
    let step = Step { job: Some(JobWrite::update(&known, held)), ..Step::default() };
    store.commit(step).await.unwrap();
    assert_eq!(count().await, 2, "a plan that waits for approval needs none");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_scaled_by_the_jobs_that_run_or_may_run_on_both_databases() {
    on_both_databases(nodes_are_scaled_by_the_jobs_that_run_or_may_run).await;
}
