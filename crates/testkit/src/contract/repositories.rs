//! The contract of added repositories.

use std::sync::Arc;

use patchwright_core::access::RepositoryKey;
use patchwright_core::audit::Audit;
use patchwright_core::repositories::{RegisteredRepository, Repositories, RepositoryPolicies};
use patchwright_domain::{PlatformId, RepositoryId, RepositorySettings, SandboxGrants};
use uuid::Uuid;

use super::audit::actions;
use crate::build::{after, audit_entry, repo, start_of_time};

/// A store of repositories with its audit log.
pub trait AuditedRepositories: Repositories + RepositoryPolicies + Audit {}

impl<T: Repositories + RepositoryPolicies + Audit> AuditedRepositories for T {}

/// Runs the whole suite. `fresh` creates an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn AuditedRepositories>>,
{
    a_repository_is_added_once_and_removed_once(fresh().await.as_ref()).await;
}

/// The repository `acme/demo` on GitHub.
pub fn repository(n: u32) -> RegisteredRepository {
    RegisteredRepository {
        id: RepositoryId::from_uuid(Uuid::from_u128(0xc00_0000 + u128::from(n))),
        platform: PlatformId::from_static("github"),
        name: repo(),
        created_at: start_of_time(),
        synced_at: None,
        settings: RepositorySettings::default(),
    }
}

async fn a_repository_is_added_once_and_removed_once(store: &dyn AuditedRepositories) {
    let added = repository(1);
    assert!(store.add_repository(&added, audit_entry("repository.added")).await.unwrap());
    assert!(!store.add_repository(&repository(2), audit_entry("added twice")).await.unwrap(), "the name is known");
    assert!(store.record_sync(added.id, after(5), audit_entry("repository.synced")).await.unwrap());
    assert!(!store.record_sync(repository(2).id, after(5), audit_entry("unknown")).await.unwrap());
    let sandbox = SandboxGrants { network: vec!["api.example.com".to_owned()], ..SandboxGrants::default() };
    let settings = RepositorySettings { test_command: Some("make check".to_owned()), ci_rounds: 2, sandbox };
    let set = |id| store.set_repository_settings(id, &settings, audit_entry("repository.settings"));
    assert!(set(added.id).await.unwrap());
    assert!(!set(repository(2).id).await.unwrap(), "an unknown one");
    let key = RepositoryKey { platform: added.platform.clone(), name: added.name.clone() };
    assert_eq!(store.settings_of(&key).await.unwrap(), settings);
    let elsewhere = RepositoryKey { platform: PlatformId::from_static("gitcode"), ..key };
    assert_eq!(store.settings_of(&elsewhere).await.unwrap(), RepositorySettings::default());
    let synced = RegisteredRepository { synced_at: Some(after(5)), settings: settings.clone(), ..added };
    assert_eq!(store.repositories().await.unwrap(), std::slice::from_ref(&synced));
    assert_eq!(store.repository(synced.id).await.unwrap(), Some(synced.clone()));
    assert!(store.remove_repository(synced.id, audit_entry("repository.removed")).await.unwrap());
    assert!(!store.remove_repository(synced.id, audit_entry("removed twice")).await.unwrap());
    assert!(store.repositories().await.unwrap().is_empty());
    assert_eq!(
        actions(store).await,
        ["repository.added", "repository.synced", "repository.settings", "repository.removed"]
    );
}
