//! The store's contract on both databases, and what is the database's own.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod agree;
mod backup;
mod jira;
mod migrations;
mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use patchwright_core::ledger::Ledger;
use patchwright_core::query::TaskFilter;
use patchwright_core::query::{JobFilter, Queries as _};
use patchwright_core::store::{Step, Store, Write};
use patchwright_domain::JobStatus;
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::{issue, job, job_id};
use patchwright_testkit::contract::nodes::Keeper;
use patchwright_testkit::fake::FakeStore;
use patchwright_testkit::{contract, postgres};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An empty database of this cluster.
pub(crate) async fn fresh_postgres(cluster: &postgres::Cluster) -> DieselStore {
    let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let store = DieselStore::open(&cluster.database(&name)).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// An empty SQLite database that goes with its folder.
pub(crate) async fn fresh_sqlite(folder: &tempfile::TempDir) -> DieselStore {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let store = DieselStore::open(&format!("sqlite://{}/{number}.db", folder.path().display())).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    contract::store::suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn Store> }).await;
    contract::store::ledger_suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn Ledger> }).await;
    contract::nodes::suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn Keeper> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract::store::suite(|| async { Arc::new(fresh_sqlite(&folder).await) as Arc<dyn Store> }).await;
    contract::store::ledger_suite(|| async { Arc::new(fresh_sqlite(&folder).await) as Arc<dyn Ledger> }).await;
    contract::nodes::suite(|| async { Arc::new(fresh_sqlite(&folder).await) as Arc<dyn Keeper> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let Some(cluster) = postgres::cluster().await else { return };
    contract::store::suite(|| async { Arc::new(fresh_postgres(&cluster).await) as Arc<dyn Store> }).await;
    contract::store::ledger_suite(|| async { Arc::new(fresh_postgres(&cluster).await) as Arc<dyn Ledger> }).await;
    contract::nodes::suite(|| async { Arc::new(fresh_postgres(&cluster).await) as Arc<dyn Keeper> }).await;
}

async fn lists_page_and_filter(store: &DieselStore) {
    for n in 1..=5 {
        let step = Step { issue: Some(Write::Insert(issue(n))), job: Some(Write::Insert(job(n))), ..Step::default() };
        store.commit(step).await.unwrap();
    }
    let ids = |jobs: Vec<patchwright_domain::Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
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
    assert_eq!(store.queue_position(job_id(3)).await.unwrap(), Some(3));
    assert_eq!(store.queue_position(job_id(9)).await.unwrap(), None);
    assert!(
        store.tasks(TaskFilter { job: Some(job_id(1)), limit: 9, ..TaskFilter::default() }).await.unwrap().is_empty()
    );
    assert!(store.delivery(job_id(1)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_and_filter_on_both_databases() {
    let folder = tempfile::tempdir().unwrap();
    lists_page_and_filter(&fresh_sqlite(&folder).await).await;
    if let Some(cluster) = postgres::cluster().await {
        lists_page_and_filter(&fresh_postgres(&cluster).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_is_told_of_new_work_on_postgres() {
    let Some(cluster) = postgres::cluster().await else { return };
    let url = cluster.database(&format!("news_{}", std::process::id()));
    let (here, there) = (DieselStore::open(&url).await.unwrap(), DieselStore::open(&url).await.unwrap());
    here.migrate().await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move { there.listen(|| tell.send(()).unwrap_or_default()).await });
    let mut soon = async || tokio::time::timeout(std::time::Duration::from_secs(10), told.recv()).await;
    soon().await.expect("it is told when it begins to listen");
    let step = Step { issue: Some(Write::Insert(issue(1))), job: Some(Write::Insert(job(1))), ..Step::default() };
    here.commit(step).await.unwrap();
    soon().await.expect("it is told of the job");
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgres_is_survived() {
    let Some(cluster) = postgres::own_cluster().await else { return };
    let store = DieselStore::open(&cluster.database("restarted")).await.unwrap();
    store.migrate().await.unwrap();
    let step = |n| Step { issue: Some(Write::Insert(issue(n))), job: Some(Write::Insert(job(n))), ..Step::default() };
    store.commit(step(1)).await.unwrap();
    cluster.restart();
    // The first calls find dead connections and say so; then all is well again.
    let began = std::time::Instant::now();
    while let Err(error) = store.commit(step(2)).await {
        assert!(error.fault().is_retryable(), "{error:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{error:?}");
    }
    assert!(store.job(job_id(1)).await.unwrap().is_some() && store.job(job_id(2)).await.unwrap().is_some());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn an_address_of_another_database_is_refused() {
    let error = DieselStore::open("mysql://x").await.unwrap_err();
    assert_eq!(error.to_string(), "DATABASE_URL must begin with sqlite:// or postgres://, not `mysql`");
}
