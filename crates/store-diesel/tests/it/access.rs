//! Readers see a part, and what is old or unwanted is deleted, on both databases.

use patchwright_core::access::{RepositoryKey, Visibility};
use patchwright_core::accounts::Accounts as _;
use patchwright_core::audit::Audit as _;
use patchwright_core::query::{IssueFilter, JobFilter, Queries as _, TaskFilter};
use patchwright_core::repositories::Repositories as _;
use patchwright_core::stats::{GroupBy, Stats as _, StatsQuery};
use patchwright_core::store::{JobWrite, Retention, Step, Store as _, Write};
use patchwright_domain::job::{FollowUp, JobState};
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{Issue, IssueStatus, Job, JobStatus, Role, Task, Usage, UserId};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::{after, audit_entry, issue, issue_id, job_for, job_id, start_of_time, task_id};
use patchwright_testkit::contract::accounts::user;

use crate::on_both_databases;

fn key(name: &str) -> RepositoryKey {
    RepositoryKey { platform: issue(1).source.platform, name: name.parse().unwrap() }
}

/// An issue with a job that waits, and its task.
async fn add(store: &DieselStore, n: u32, repo: &str, owner: Option<UserId>) {
    let mut issue = Issue { owner, ..issue(n) };
    issue.source.repo = repo.parse().unwrap();
    let mut job = job_for(n, n, after(i64::from(n)));
    job.source = issue.source.clone();
    let task = Task { id: task_id(n), ..Task::first(&job, "", start_of_time()) };
    let step = Step {
        issue: Some(Write::Insert(issue)),
        job: Some(JobWrite::Insert(job)),
        task: Some(task),
        ..Step::default()
    };
    store.commit(step).await.unwrap();
}

async fn end(store: &DieselStore, n: u32, at: i64) {
    let known = store.job(job_id(n)).await.unwrap().unwrap();
    let ended = Job { state: JobState::Succeeded, ended_at: Some(after(at)), ..known.value.clone() };
    let run = RunRecord {
        day: "2026-11-22".to_owned(),
        repository: ended.source.repo.to_string(),
        node: "embedded".to_owned(),
        model: "m".to_owned(),
        outcome: JobStatus::Succeeded,
        wait: 1,
        run: Some(1),
        usage: Usage::default(),
    };
    let step = Step { job: Some(JobWrite::update(&known, ended)), ended: Some(run), ..Step::default() };
    store.commit(step).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_own_issues_and_those_of_some_repositories() {
    on_both_databases(async |store, _| {
        let mia = user(1, "mia", Role::Member);
        store.add_user(&mia, None, audit_entry("user.added")).await.unwrap();
        add(&store, 1, "acme/demo", None).await;
        add(&store, 2, "acme/secret", None).await;
        add(&store, 3, "acme/secret", Some(mia.id)).await;
        end(&store, 1, 10).await;
        end(&store, 2, 10).await;
        let visible = Visibility::Limited { user: mia.id, repositories: vec![key("acme/demo")] };
        let nothing = Visibility::Limited { user: user(2, "olga", Role::Member).id, repositories: vec![] };
        let seen = async |visible: &Visibility| {
            let visible = || visible.clone();
            let issues =
                store.issues(IssueFilter { visible: visible(), limit: 9, ..IssueFilter::default() }).await.unwrap();
            let jobs = store.jobs(JobFilter { visible: visible(), limit: 9, ..JobFilter::default() }).await.unwrap();
            let tasks =
                store.tasks(TaskFilter { visible: visible(), limit: 9, ..TaskFilter::default() }).await.unwrap();
            let counts = store.issue_counts(visible()).await.unwrap();
            let waiting = store.waiting(9, visible()).await.unwrap();
            let count = counts.get(&IssueStatus::Processing).copied().unwrap_or_default();
            (issues.len(), jobs.len(), tasks.len(), count, waiting.iter().map(|(job, _)| job.id).collect::<Vec<_>>())
        };
        assert_eq!(seen(&visible).await, (2, 2, 2, 2, vec![job_id(3)]));
        assert_eq!(seen(&nothing).await, (0, 0, 0, 0, vec![]));
        assert_eq!(seen(&Visibility::All).await, (3, 3, 3, 3, vec![job_id(3)]));

        let sums = async |group_by, repositories: Option<&[&str]>| {
            let repositories = repositories.map(|names| names.iter().map(ToString::to_string).collect());
            let (from, to) = ("2026-11-01".to_owned(), "2026-11-30".to_owned());
            let groups = store.stats(StatsQuery { from, to, group_by, repositories }).await.unwrap();
            groups.into_iter().map(|group| (group.key, group.succeeded)).collect::<Vec<_>>()
        };
        let demo: Option<&[&str]> = Some(&["acme/demo"]);
        assert_eq!(sums(GroupBy::Day, demo).await, [("2026-11-22".to_owned(), 1)]);
        assert_eq!(sums(GroupBy::Repository, demo).await, [("acme/demo".to_owned(), 1)]);
        assert_eq!(sums(GroupBy::Day, Some(&["acme/demo", "acme/secret"])).await, [("2026-11-22".to_owned(), 2)]);
        assert_eq!(sums(GroupBy::Model, demo).await, []);
        assert_eq!(sums(GroupBy::Day, Some(&[])).await, []);
        assert_eq!(sums(GroupBy::Model, None).await, [("m".to_owned(), 2)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_deleted_with_all_its_data_and_no_other() {
    on_both_databases(async |store, _| {
        add(&store, 1, "acme/demo", None).await;
        add(&store, 2, "acme/other", None).await;
        end(&store, 2, 10).await;
        let delete = async || store.delete_repository_data(&key("acme/demo"), audit_entry("repository.deleted")).await;
        assert!(!delete().await.unwrap(), "a job waits");
        end(&store, 1, 10).await;
        assert!(delete().await.unwrap());
        assert_eq!((store.job(job_id(1)).await.unwrap(), store.issue(issue_id(1)).await.unwrap()), (None, None));
        assert!(store.job(job_id(2)).await.unwrap().is_some());
        let (from, to) = ("2026-11-01".to_owned(), "2026-11-30".to_owned());
        let query = StatsQuery { from, to, group_by: GroupBy::Repository, repositories: None };
        let left: Vec<_> = store.stats(query).await.unwrap().into_iter().map(|group| group.key).collect();
        assert_eq!(left, ["acme/other"]);
        assert_eq!(store.entries(None, 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_job_is_deleted_unless_it_is_the_newest_of_its_issue() {
    on_both_databases(async |store, _| {
        add(&store, 1, "acme/demo", None).await;
        end(&store, 1, 10).await;
        let retention = Retention { jobs_before: Some(after(100)), ..Retention::of_deliveries(after(0), 0) };
        store.forget(retention).await.unwrap();
        assert!(store.job(job_id(1)).await.unwrap().is_some(), "it is the newest of its issue");
        let second = job_for(2, 1, after(20));
        store.commit(Step { job: Some(JobWrite::Insert(second)), ..Step::default() }).await.unwrap();
        let known = store.job(job_id(2)).await.unwrap().unwrap();
        let follows = |inherited| FollowUp { job_id: job_id(1), inherited, base: None, earlier: None };
        let waits = Job { follows: Some(follows(false)), ..known.value.clone() };
        let update = JobWrite::update(&known, waits);
        store.commit(Step { job: Some(update), ..Step::default() }).await.unwrap();
        store.forget(retention).await.unwrap();
        assert!(store.job(job_id(1)).await.unwrap().is_some(), "its branch is going to be continued");
        let known = store.job(job_id(2)).await.unwrap().unwrap();
        let started = Job { follows: Some(follows(true)), ..known.value.clone() };
        let update = JobWrite::update(&known, started);
        store.commit(Step { job: Some(update), ..Step::default() }).await.unwrap();
        store.forget(retention).await.unwrap();
        assert_eq!(store.job(job_id(1)).await.unwrap(), None);
        assert!(store.job(job_id(2)).await.unwrap().is_some(), "it has not ended");
        assert!(store.tasks(TaskFilter { limit: 9, ..TaskFilter::default() }).await.unwrap().is_empty());

        let entry = audit_entry("old");
        store.commit(Step { audit: Some(entry), ..Step::default() }).await.unwrap();
        store.forget(Retention { audit_before: Some(after(1)), ..retention }).await.unwrap();
        assert!(store.entries(None, 9).await.unwrap().is_empty());
    })
    .await;
}
