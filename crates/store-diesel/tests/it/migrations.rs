//! Both trees have the same versions, are reverted and applied again, and keep the rows of a filled database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patchwright_core::store::{ConcurrencyLimits, JobWrite, Step, Store as _, Write};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::{Failure, JobState, Lease, PlanReview};
use patchwright_domain::{Issue, IssueRef, Job, PlatformId, TrackerRef};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::{after, issue, job, job_id, repo, task_id};

use crate::sql::Sql;
use crate::{new_job, on_both_databases};

fn folder(database: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(database)
}

fn versions(database: &str) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder(database)).unwrap().map(|entry| entry.unwrap());
    names
        .map(|entry| {
            for file in ["up.sql", "down.sql"] {
                assert!(entry.path().join(file).is_file(), "{} has no {file}", entry.path().display());
            }
            entry.file_name().into_string().unwrap()
        })
        .collect()
}

#[test]
fn both_databases_have_the_same_versions() {
    assert_eq!(versions("sqlite"), versions("postgres"));
}

async fn all_migrations_are_reverted_and_applied_again(store: DieselStore, _: Sql) {
    assert!(store.is_migrated().await.unwrap());
    assert!(store.migrate().await.unwrap().is_empty(), "a second run does nothing");
    store.commit(new_job(1)).await.unwrap();
    assert_eq!(store.revert().await.unwrap().len(), versions("sqlite").len());
    assert!(!store.is_migrated().await.unwrap());
    assert_eq!(store.migrate().await.unwrap().len(), versions("sqlite").len());
    assert!(store.issue(issue(1).id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_migrations_are_reverted_and_applied_again_on_both_databases() {
    on_both_databases(all_migrations_are_reverted_and_applied_again).await;
}

/// Runs the script of one migration.
async fn run_script(sql: &Sql, version: &str, file: &str) {
    let read = |database: &str| std::fs::read_to_string(folder(database).join(version).join(file)).unwrap();
    sql.run(&read("sqlite"), &read("postgres")).await;
}

/// A failed job of a tracker after two rounds of rework.
fn failed_job() -> Job {
    let github = PlatformId::from_static("github");
    let tracker = TrackerRef::new(PlatformId::from_static("jira"), "acme.atlassian.net", "10042", "PROJ-12").unwrap();
    let failure = Failure { stage: None, reason: "tests fail".to_owned(), remedy: "retry".to_owned() };
    Job {
        source: IssueRef::tracked(github, repo(), tracker),
        review: PlanReview::Approved { by: "olga".to_owned() },
        state: JobState::Failed,
        rounds: 2,
        feedback: Some("test_add \"fails\"".to_owned()),
        verdict: Some(Verdict::StillFailing),
        failure: Some(failure),
        ..job(1)
    }
}

async fn jobs_survive_the_change_of_their_columns(store: DieselStore, sql: Sql) {
    const VERSION: &str = "2026-11-22-170000_job_columns";
    let failed = failed_job();
    let issue = Issue { source: failed.source.clone(), ..issue(1) };
    let (issue, job) = (Some(Write::Insert(issue)), Some(JobWrite::Insert(failed)));
    store.commit(Step { issue, job, ..Step::default() }).await.unwrap();
    for n in [2, 3] {
        store.commit(new_job(n)).await.unwrap();
    }
    let lease = Lease { holder: "worker".to_owned(), task_id: task_id(1), until: after(60) };
    store.claim_job(after(1), Arc::new(lease), ConcurrencyLimits::default()).await.unwrap().unwrap();
    let mut before = Vec::new();
    for n in 1..=3 {
        before.push(store.job(job_id(n)).await.unwrap().unwrap());
    }

    run_script(&sql, VERSION, "down.sql").await;
    let old = sql
        .lines(
            "SELECT coalesce(verdict, '-') || ' ' || rounds || ' ' || coalesce(feedback, '-') AS line \
             FROM job ORDER BY id",
        )
        .await;
    assert_eq!(old, ["\"still_failing\" 2 test_add \"fails\"", "- 0 -", "- 0 -"]);
    let triggers = sql.lines("SELECT job_trigger AS line FROM job ORDER BY id").await;
    let trigger: serde_json::Value = serde_json::from_str(&triggers[0]).unwrap();
    assert_eq!(trigger["tracker"]["key"], "PROJ-12");
    assert_eq!(trigger["review"]["approved"]["by"], "olga");
    let leases = sql.lines("SELECT lease AS line FROM job WHERE lease IS NOT NULL").await;
    let lease: Lease = serde_json::from_str(&leases[0]).unwrap();
    assert_eq!((leases.len(), lease.until), (1, after(60)));

    run_script(&sql, VERSION, "up.sql").await;
    for job in before {
        assert_eq!(store.job(job.value.id).await.unwrap().unwrap(), job);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_survive_the_change_of_their_columns_on_both_databases() {
    on_both_databases(jobs_survive_the_change_of_their_columns).await;
}
