//! Both trees have the same versions, go up and down, and run on filled tables.

use std::collections::BTreeSet;
use std::path::Path;

use patchwright_core::store::{Step, Store as _, Write};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::{issue, job};
use patchwright_testkit::postgres;

fn versions(database: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(database);
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
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

async fn up_down_up(store: &DieselStore) {
    assert!(store.is_migrated().await.unwrap());
    assert!(store.migrate().await.unwrap().is_empty(), "a second run does nothing");
    let step = Step { issue: Some(Write::Insert(issue(1))), job: Some(Write::Insert(job(1))), ..Step::default() };
    store.commit(step).await.unwrap();
    assert_eq!(store.revert().await.unwrap().len(), versions("sqlite").len());
    assert!(!store.is_migrated().await.unwrap());
    assert_eq!(store.migrate().await.unwrap().len(), versions("sqlite").len());
    assert!(store.issue(issue(1).id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_goes_down_and_up_again() {
    let folder = tempfile::tempdir().unwrap();
    up_down_up(&super::fresh_sqlite(&folder).await).await;
    if let Some(cluster) = postgres::cluster().await {
        up_down_up(&super::fresh_postgres(&cluster).await).await;
    }
}
