//! The contract of credentials.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::audit::Audit;
use patchwright_core::credentials::{CredentialChange, Credentials, NewCredential};
use patchwright_domain::{CredentialId, PlatformId};
use uuid::Uuid;

use super::audit::actions;
use crate::build::{after, audit_entry, start_of_time};

/// Runs the whole suite. `fresh` creates an empty store and its audit log.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = (Arc<dyn Credentials>, Arc<dyn Audit>)>,
{
    let (credentials, audit) = fresh().await;
    a_scope_has_one_credential(credentials.as_ref(), audit.as_ref()).await;
    let (credentials, audit) = fresh().await;
    a_use_is_recorded_once_an_hour(credentials.as_ref(), audit.as_ref()).await;
}

/// A credential for `acme` on GitHub.
pub fn credential(n: u32) -> NewCredential {
    NewCredential {
        id: CredentialId::from_uuid(Uuid::from_u128(0xd00_0000 + u128::from(n))),
        name: format!("credential {n}"),
        platform: PlatformId::from_static("github"),
        scope: "acme".parse().unwrap(),
        login: "bot".to_owned(),
        created_by: "olga".to_owned(),
        now: start_of_time(),
        expires_at: None,
    }
}

async fn a_scope_has_one_credential(credentials: &dyn Credentials, audit: &dyn Audit) {
    let (new, github) = (credential(1), PlatformId::from_static("github"));
    let added = credentials.add_credential(new.clone(), &Secret::new("one"), audit_entry("added")).await.unwrap();
    let added = added.unwrap();
    let twin =
        credentials.add_credential(credential(2), &Secret::new("two"), audit_entry("added twice")).await.unwrap();
    assert!(twin.is_none(), "the scope has a credential");
    let (found, secret) = credentials.open_credential(&github, &new.scope).await.unwrap().unwrap();
    assert!(found == added && secret.matches("one"));
    assert!(credentials.open_credential(&github, &"other".parse().unwrap()).await.unwrap().is_none());

    let change = CredentialChange {
        name: Some("renamed".to_owned()),
        secret: Some((Secret::new("three"), "other bot".to_owned())),
        expires_at: Some(after(600)),
    };
    assert!(credentials.change_credential(new.id, change.clone(), after(9), audit_entry("changed")).await.unwrap());
    let unknown = credential(2).id;
    assert!(!credentials.change_credential(unknown, change, after(9), audit_entry("unknown")).await.unwrap());
    let (found, secret) = credentials.open_credential(&github, &new.scope).await.unwrap().unwrap();
    assert!(secret.matches("three"));
    assert_eq!((found.name.as_str(), found.login.as_str()), ("renamed", "other bot"));
    assert_eq!((found.created_at, found.changed_at, found.expires_at), (start_of_time(), after(9), Some(after(600))));
    assert_ne!(found.fingerprint, added.fingerprint);

    assert!(credentials.remove_credential(new.id, audit_entry("removed")).await.unwrap());
    assert!(!credentials.remove_credential(new.id, audit_entry("removed twice")).await.unwrap());
    assert!(credentials.credentials().await.unwrap().is_empty());
    assert_eq!(actions(audit).await, ["added", "changed", "removed"]);
}

async fn a_use_is_recorded_once_an_hour(credentials: &dyn Credentials, audit: &dyn Audit) {
    let id = credential(1).id;
    credentials.add_credential(credential(1), &Secret::new("one"), audit_entry("added")).await.unwrap();
    for (second, is_recorded) in [(0, true), (1, false), (3_600, false), (3_601, true), (3_700, false)] {
        let recorded = credentials.record_use(id, after(second), audit_entry("used")).await.unwrap();
        assert_eq!(recorded, is_recorded, "{second}");
    }
    assert!(!credentials.record_use(credential(2).id, after(0), audit_entry("unknown")).await.unwrap());
    assert_eq!(credentials.credential(id).await.unwrap().unwrap().last_used_at, Some(after(3_601)));
    assert_eq!(actions(audit).await, ["added", "used", "used"]);
}
