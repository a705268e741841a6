//! The contract of the audit log and of the audit entries of steps.

use std::sync::Arc;

use patchwright_core::audit::Audit;
use patchwright_core::store::{Step, Store, StoreError, Versioned, Write};

use crate::build::{audit_entry, issue, issue_id};

/// A store with its audit log.
pub trait AuditedStore: Store + Audit {}

impl<T: Store + Audit> AuditedStore for T {}

/// Runs the whole suite. `fresh` creates an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn AuditedStore>>,
{
    entries_are_returned_newest_first_in_pages(fresh().await.as_ref()).await;
    a_step_writes_its_audit_entry(fresh().await.as_ref()).await;
    a_refused_step_writes_no_audit_entry(fresh().await.as_ref()).await;
}

/// Returns the actions of all entries, oldest first.
pub(crate) async fn actions(audit: &dyn Audit) -> Vec<String> {
    let entries = audit.entries(None, u16::MAX).await.unwrap();
    entries.into_iter().rev().map(|entry| entry.action).collect()
}

async fn entries_are_returned_newest_first_in_pages(store: &dyn AuditedStore) {
    let entries = ["first", "second", "third"].map(audit_entry);
    for entry in &entries {
        store.record(entry).await.unwrap();
    }
    let [first, second, third] = entries;
    assert_eq!(store.entries(None, 2).await.unwrap(), [third, second.clone()]);
    assert_eq!(store.entries(Some(second.id), 2).await.unwrap(), [first]);
}

async fn a_step_writes_its_audit_entry(store: &dyn AuditedStore) {
    let entry = audit_entry("issue.added");
    let step = Step { issue: Some(Write::Insert(issue(1))), audit: Some(entry.clone()), ..Step::default() };
    store.commit(step).await.unwrap();
    assert_eq!(store.entries(None, 9).await.unwrap(), [entry]);
    let known = store.issue(issue_id(1)).await.unwrap().unwrap();
    let edit = Step { issue: Some(Write::Update(known)), audit: Some(audit_entry("issue.edited")), ..Step::default() };
    store.commit(edit).await.unwrap();
    assert_eq!(actions(store).await, ["issue.added", "issue.edited"]);
}

async fn a_refused_step_writes_no_audit_entry(store: &dyn AuditedStore) {
    store.commit(Step { issue: Some(Write::Insert(issue(1))), ..Step::default() }).await.unwrap();
    let stale = Versioned { value: issue(1), revision: 7 };
    let audit = Some(audit_entry("issue.edited"));
    let refused = store.commit(Step { issue: Some(Write::Update(stale)), audit, ..Step::default() }).await;
    assert!(matches!(refused, Err(StoreError::Stale { .. })), "{refused:?}");
    assert!(actions(store).await.is_empty());
}
