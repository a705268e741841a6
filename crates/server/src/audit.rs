//! Writing down who did what.

use patchwright_core::Clock as _;
use patchwright_core::audit::{Audit as _, AuditEntry};
use patchwright_core::store::StoreError;
use patchwright_domain::AuditId;
use patchwright_store_diesel::DieselStore;

use crate::route::State;
use crate::route::error::ApiError;
use patchwright_engine::clock::SystemClock;

/// Who holds the server's own token, or sits at its machine.
pub(crate) const OPERATOR: &str = "operator";

/// Writes an entry for a request. What was done stands also when this fails; the caller is told that something is wrong.
pub(crate) async fn note(
    state: &State,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), ApiError> {
    Ok(record(&state.app.store, actor, action, subject, &state.app.redactor.redact(detail)).await?)
}

/// Writes an entry.
pub(crate) async fn record(
    store: &DieselStore,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let entry = AuditEntry {
        id: AuditId::from_uuid(uuid::Uuid::now_v7()),
        at: SystemClock.now(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail: detail.to_owned(),
    };
    store.note(&entry).await
}
