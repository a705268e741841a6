//! The contract of Jira's ports, and the encryption of their secrets.

use std::sync::Arc;

use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::credentials::Credentials as _;
use patchwright_core::jira::{JiraUsers as _, WorkspaceSecrets, Workspaces as _};
use patchwright_domain::jira::{LinkStatus, Workspace};
use patchwright_domain::{Role, WorkspaceId};
use patchwright_store_diesel::{DieselStore, Sealer};
use patchwright_testkit::build::audit_entry;
use patchwright_testkit::contract::jira::Setting;
use patchwright_testkit::fake::FakeJira;
use patchwright_testkit::{contract, postgres};
use uuid::Uuid;

use crate::sql::Sql;
use crate::{add_people, fresh_postgres, fresh_sqlite, on_both_databases, vault};

async fn setting(store: DieselStore) -> Setting {
    let people = add_people(&store).await.map(|user| user.id);
    Setting { store: Arc::new(vault(store.clone())), audit: Arc::new(store), people }
}

#[tokio::test]
async fn the_fake_keeps_the_contract_of_jira() {
    contract::jira::suite(|| async {
        let fake = Arc::new(FakeJira::default());
        let people = [1, 2].map(|n| contract::accounts::user(n, "person", Role::Member).id);
        Setting { store: fake.clone(), audit: fake, people }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_of_jira() {
    let folder = tempfile::tempdir().unwrap();
    contract::jira::suite(|| async { setting(fresh_sqlite(&folder).await).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_jira() {
    let Some(cluster) = postgres::cluster().await else { return };
    contract::jira::suite(|| async { setting(fresh_postgres(&cluster).await).await }).await;
}

async fn secrets_are_encrypted_with_another_master_key(store: DieselStore, _: Sql) {
    let [mia, _] = add_people(&store).await;
    let before = vault(store);
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(Uuid::from_u128(7)),
        name: "acme.atlassian.net".to_owned(),
        cloud_id: None,
        admin: mia.id,
        status: LinkStatus::Active,
        own_account: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let secrets = WorkspaceSecrets { webhook: vec![Secret::new("hook canary")], service_account: None };
    before.add_workspace(&workspace, &secrets, audit_entry("site.added")).await.unwrap();
    let link = contract::jira::link(1, mia.id, "acc", workspace.id);
    let tokens = contract::jira::tokens("token canary");
    before.link(&link, Some(&tokens), audit_entry("linked")).await.unwrap();
    let (old, new) = (Secret::new("a master key"), Secret::new("another master key"));
    let both = before.with_sealer(Sealer::new(&new, std::slice::from_ref(&old)));
    assert_eq!(both.reseal().await.unwrap(), 2);
    assert_eq!(both.reseal().await.unwrap(), 0);
    let after = before.with_sealer(Sealer::new(&new, &[]));
    let (_, stored) = after.open_workspace("acme.atlassian.net").await.unwrap().unwrap();
    assert!(stored.webhook[0].matches("hook canary"));
    assert!(after.tokens(link.id).await.unwrap().unwrap().access.matches("token canary"));
    assert!(before.open_workspace("acme.atlassian.net").await.is_err(), "the old key decrypts nothing any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_encrypted_with_another_master_key_on_both_databases() {
    on_both_databases(secrets_are_encrypted_with_another_master_key).await;
}
