//! The contracts of the ports on both databases, and tests that are specific to databases.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod access;
mod agree;
mod audit;
mod backup;
mod jira;
mod migrations;
mod queries;
mod sql;
mod stats;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use patchwright_core::Secret;
use patchwright_core::accounts::Accounts as _;
use patchwright_core::audit::Audit;
use patchwright_core::credentials::Credentials;
use patchwright_core::ledger::Ledger;
use patchwright_core::notifications::Channels;
use patchwright_core::store::{JobWrite, Step, Store, Write};
use patchwright_core::stored_settings::StoredSettings;
use patchwright_domain::{Role, User};
use patchwright_store_diesel::{DieselStore, Sealer, Vault};
use patchwright_testkit::build::{audit_entry, issue, job, job_id};
use patchwright_testkit::contract::accounts::AuditedAccounts;
use patchwright_testkit::contract::audit::AuditedStore;
use patchwright_testkit::contract::nodes::FullStore;
use patchwright_testkit::contract::repositories::AuditedRepositories;
use patchwright_testkit::fake::FakeStore;
use patchwright_testkit::{contract, postgres};
use sql::Sql;

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn fresh_name() -> String {
    format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Creates an empty database in a cluster.
pub(crate) async fn fresh_postgres(cluster: &postgres::Cluster) -> DieselStore {
    Sql::new(cluster.database(&fresh_name())).open().await
}

/// Creates an empty SQLite database, which is deleted with its folder.
pub(crate) async fn fresh_sqlite(folder: &tempfile::TempDir) -> DieselStore {
    sqlite_in(folder).open().await
}

fn sqlite_in(folder: &tempfile::TempDir) -> Sql {
    Sql::new(format!("sqlite://{}/{}.db", folder.path().display(), fresh_name()))
}

/// Runs a test on an empty database of each kind.
pub(crate) async fn on_both_databases(test: impl AsyncFn(DieselStore, Sql)) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = sqlite_in(&folder);
    test(sqlite.open().await, sqlite).await;
    if let Some(cluster) = postgres::cluster().await {
        let postgres = Sql::new(cluster.database(&fresh_name()));
        test(postgres.open().await, postgres).await;
    }
}

/// The step that adds a new issue with its job.
pub(crate) fn new_job(n: u32) -> Step {
    Step { issue: Some(Write::Insert(issue(n))), job: Some(JobWrite::Insert(job(n))), ..Step::default() }
}

/// Adds two users, whom rows of other ports refer to.
pub(crate) async fn add_people(store: &DieselStore) -> [User; 2] {
    let people = [(1, "mia", Role::Admin), (2, "olga", Role::Member)];
    let people = people.map(|(n, login, role)| contract::accounts::user(n, login, role));
    for user in &people {
        store.add_user(user, Some("hash".to_owned()), audit_entry("user.added")).await.unwrap();
    }
    people
}

pub(crate) fn vault(store: DieselStore) -> Vault {
    Vault::new(store, Sealer::new(&Secret::new("a master key"), &[]))
}

async fn keeps_all_contracts<F: Future<Output = DieselStore>>(fresh: impl Fn() -> F) {
    let fresh = &fresh;
    contract::store::suite(|| async { Arc::new(fresh().await) as Arc<dyn Store> }).await;
    contract::store::ledger_suite(|| async { Arc::new(fresh().await) as Arc<dyn Ledger> }).await;
    contract::nodes::suite(|| async { Arc::new(fresh().await) as Arc<dyn FullStore> }).await;
    contract::audit::suite(|| async { Arc::new(fresh().await) as Arc<dyn AuditedStore> }).await;
    contract::accounts::suite(|| async { Arc::new(fresh().await) as Arc<dyn AuditedAccounts> }).await;
    contract::repositories::suite(|| async { Arc::new(fresh().await) as Arc<dyn AuditedRepositories> }).await;
    contract::credentials::suite(|| async {
        let store = fresh().await;
        (Arc::new(vault(store.clone())) as Arc<dyn Credentials>, Arc::new(store) as Arc<dyn Audit>)
    })
    .await;
    contract::stored_settings::suite(|| async {
        let store = fresh().await;
        (Arc::new(vault(store.clone())) as Arc<dyn StoredSettings>, Arc::new(store) as Arc<dyn Audit>)
    })
    .await;
    contract::notifications::suite(|| async {
        let store = fresh().await;
        (Arc::new(vault(store.clone())) as Arc<dyn Channels>, Arc::new(store) as Arc<dyn Audit>)
    })
    .await;
}

#[tokio::test]
async fn the_fake_keeps_the_contracts() {
    contract::store::suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn Store> }).await;
    contract::store::ledger_suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn Ledger> }).await;
    contract::nodes::suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn FullStore> }).await;
    contract::audit::suite(|| async { Arc::new(FakeStore::default()) as Arc<dyn AuditedStore> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contracts() {
    let folder = tempfile::tempdir().unwrap();
    keeps_all_contracts(|| fresh_sqlite(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contracts() {
    let Some(cluster) = postgres::cluster().await else { return };
    keeps_all_contracts(|| fresh_postgres(&cluster)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_is_notified_of_new_work_on_postgres() {
    let Some(cluster) = postgres::cluster().await else { return };
    let url = cluster.database(&fresh_name());
    let (here, there) = (DieselStore::open(&url).await.unwrap(), DieselStore::open(&url).await.unwrap());
    here.migrate().await.unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move { there.listen(|| sender.send(()).unwrap_or_default()).await });
    let mut soon = async || tokio::time::timeout(std::time::Duration::from_secs(10), receiver.recv()).await;
    soon().await.expect("the listener is called when it is connected");
    here.commit(new_job(1)).await.unwrap();
    soon().await.expect("the listener is called for the new job");
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_reconnects_after_a_restart_of_postgres() {
    let Some(cluster) = postgres::own_cluster().await else { return };
    let store = DieselStore::open(&cluster.database("restarted")).await.unwrap();
    store.migrate().await.unwrap();
    store.commit(new_job(1)).await.unwrap();
    cluster.restart();
    // The first calls fail on dead connections.
    let began = std::time::Instant::now();
    while let Err(error) = store.commit(new_job(2)).await {
        assert!(error.fault().is_retryable(), "{error:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{error:?}");
    }
    assert!(store.job(job_id(1)).await.unwrap().is_some() && store.job(job_id(2)).await.unwrap().is_some());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn the_address_of_another_database_is_refused() {
    let error = DieselStore::open("mysql://x").await.unwrap_err();
    let expected = "the database address must begin with sqlite:// or postgres://, not `mysql`";
    assert_eq!(error.to_string(), expected);
}
