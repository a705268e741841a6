//! Both trees have the same versions, are reverted and applied again, and keep the rows of a filled database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::store::{ConcurrencyLimits, JobWrite, Step, Store as _, StoreError, Write};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::{Failure, FailureOrigin, JobState, Lease, PlanReview};
use patchwright_domain::{Issue, IssueRef, Job, PlatformId, TrackerRef};
use patchwright_store_diesel::{DieselStore, Sealer, Vault};
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

async fn fault_e1_a_database_of_a_newer_version_is_refused(store: DieselStore, sql: Sql) {
    let newer = "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ('99990101000000', CURRENT_TIMESTAMP)";
    sql.run(newer, newer).await;
    for refused in [store.migrate().await.map(drop), store.is_migrated().await.map(drop)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
        let newest = versions("sqlite").pop_last().unwrap();
        let known: String = newest.split('_').next().unwrap().chars().filter(char::is_ascii_digit).collect();
        assert!(error.to_string().contains("99990101000000") && error.to_string().contains(&known), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e1_a_database_of_a_newer_version_is_refused_on_both_databases() {
    on_both_databases(fault_e1_a_database_of_a_newer_version_is_refused).await;
}

async fn fault_a6_only_the_master_key_of_the_database_is_accepted(store: DieselStore, _: Sql) {
    let key = |text: &str| Secret::new(text);
    let vault = |present: &str, old: &[Secret]| Vault::new(store.clone(), Sealer::new(&key(present), old));
    assert!(vault("the first master key", &[]).check_key().await.unwrap(), "a new database takes any key");
    assert!(vault("the first master key", &[]).check_key().await.unwrap());
    assert!(!vault("another master key", &[]).check_key().await.unwrap());
    assert!(vault("another master key", &[key("the first master key")]).check_key().await.unwrap(), "it was rotated");
    assert!(vault("another master key", &[]).check_key().await.unwrap());
    assert!(!vault("the first master key", &[]).check_key().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a6_only_the_master_key_of_the_database_is_accepted_on_both_databases() {
    on_both_databases(fault_a6_only_the_master_key_of_the_database_is_accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a6_the_database_and_its_backup_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("p.db"), folder.path().join("copy.db"));
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = DieselStore::open(&format!("sqlite://{}", file.display())).await.unwrap();
    store.migrate().await.unwrap();
    store.backup(&copy).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
    }
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
    let failure = Failure {
        stage: None,
        reason: "tests fail".to_owned(),
        remedy: "retry".to_owned(),
        origin: FailureOrigin::Model,
    };
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
