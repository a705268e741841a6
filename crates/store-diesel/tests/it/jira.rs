//! The contract of Jira's ports, and what is the database's own.

use std::sync::Arc;

use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::accounts::Accounts as _;
use patchwright_core::credentials::Credentials as _;
use patchwright_core::jira::{JiraUsers as _, WorkspaceSecrets, Workspaces as _};
use patchwright_domain::jira::{LinkStatus, Workspace};
use patchwright_domain::user::User;
use patchwright_domain::{Role, UserId, WorkspaceId};
use patchwright_store_diesel::{DieselStore, Sealer, Vault};
use patchwright_testkit::contract::jira::Keeper;
use patchwright_testkit::fake::FakeJira;
use patchwright_testkit::{contract, postgres};
use uuid::Uuid;

use super::{fresh_postgres, fresh_sqlite};

fn people() -> [UserId; 2] {
    [1, 2].map(|n| UserId::from_uuid(Uuid::from_u128(n)))
}

/// A vault over a store that knows the two people.
async fn vault(store: DieselStore) -> (Arc<dyn Keeper>, [UserId; 2]) {
    (Arc::new(known(store).await), people())
}

async fn known(store: DieselStore) -> Vault {
    for (id, login) in people().into_iter().zip(["mia", "olga"]) {
        let login = patchwright_domain::user::Login::parse(login).unwrap();
        let user = User { id, login, role: Role::Admin, active: true, created_at: Timestamp::UNIX_EPOCH };
        store.add_user(&user, None).await.unwrap();
    }
    Vault::new(store, Sealer::new(&Secret::new("a master key"), &[]))
}

#[tokio::test]
async fn the_fake_keeps_the_contract_of_jira() {
    contract::jira::suite(|| async { (Arc::new(FakeJira::default()) as Arc<dyn Keeper>, people()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_of_jira() {
    let folder = tempfile::tempdir().unwrap();
    contract::jira::suite(|| async { vault(fresh_sqlite(&folder).await).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_jira() {
    let Some(cluster) = postgres::cluster().await else { return };
    contract::jira::suite(|| async { vault(fresh_postgres(&cluster).await).await }).await;
    let vault = known(fresh_postgres(&cluster).await).await;
    what_is_sealed_is_sealed_anew(vault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_opens_what_was_sealed_anew() {
    let folder = tempfile::tempdir().unwrap();
    what_is_sealed_is_sealed_anew(known(fresh_sqlite(&folder).await).await).await;
}

async fn what_is_sealed_is_sealed_anew(before: Vault) {
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(Uuid::from_u128(7)),
        name: "acme.atlassian.net".to_owned(),
        cloud_id: None,
        admin: people()[0],
        status: LinkStatus::Active,
        own_account: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let secrets = WorkspaceSecrets { webhook: vec![Secret::new("hook canary")], service_account: None };
    before.add_workspace(&workspace, &secrets).await.unwrap();
    let link = contract::jira::link(1, people()[0], "acc", workspace.id);
    before.link(&link, Some(&contract::jira::tokens("token canary"))).await.unwrap();
    let (old, new) = (Secret::new("a master key"), Secret::new("another master key"));
    let both = before.with_sealer(Sealer::new(&new, std::slice::from_ref(&old)));
    assert_eq!(both.reseal().await.unwrap(), 2);
    assert_eq!(both.reseal().await.unwrap(), 0);
    let after = before.with_sealer(Sealer::new(&new, &[]));
    let (_, kept) = after.open_workspace("acme.atlassian.net").await.unwrap().unwrap();
    assert!(kept.webhook[0].matches("hook canary"));
    assert!(after.tokens(link.id).await.unwrap().unwrap().access.matches("token canary"));
    assert!(before.open_workspace("acme.atlassian.net").await.is_err(), "the old key opens nothing any more");
}
