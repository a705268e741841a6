//! Backups are made while the database is in use, and restored when it is not.

use patchwright_core::store::Store as _;
use patchwright_store_diesel::{BackupError, DieselStore};
use patchwright_testkit::build::job_id;
use patchwright_testkit::postgres;

use crate::new_job;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_a_snapshot_that_is_restored_completely() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/p.db", folder.path().display());
    let file = folder.path().join("backup.db");
    let store = DieselStore::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    store.commit(new_job(1)).await.unwrap();
    store.backup(&file).await.unwrap();
    store.commit(new_job(2)).await.unwrap();
    assert!(matches!(store.backup(&file).await, Err(BackupError::Exists { .. })));
    let refused = DieselStore::restore(&url, &file).await;
    assert!(matches!(refused, Err(BackupError::InUse { .. })), "{refused:?}");
    drop(store);

    // The threads of a dropped store end soon after it.
    let old = loop {
        match DieselStore::restore(&url, &file).await {
            Ok(old) => break old.unwrap(),
            Err(BackupError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let store = DieselStore::open(&url).await.unwrap();
    assert!(store.is_migrated().await.unwrap());
    assert!(store.job(job_id(1)).await.unwrap().is_some());
    assert!(store.job(job_id(2)).await.unwrap().is_none(), "it was added after the backup");
    let before = DieselStore::open(&format!("sqlite://{}", old.display())).await.unwrap();
    assert!(before.job(job_id(2)).await.unwrap().is_some(), "the old database is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/p.db", folder.path().display());
    let invalid = folder.path().join("invalid");
    std::fs::write(&invalid, "hello").unwrap();
    for file in [invalid, folder.path().join("absent")] {
        let refused = DieselStore::restore(&url, &file).await;
        assert!(matches!(refused, Err(BackupError::Unusable { .. })), "{refused:?}");
    }
    assert!(!folder.path().join("p.db").exists());
    if let Some(cluster) = postgres::cluster().await {
        let store = super::fresh_postgres(&cluster).await;
        let error = store.backup(&folder.path().join("x")).await.unwrap_err();
        assert!(error.to_string().contains("pg_dump"), "{error}");
    }
}
