//! Writing down who did what.

use patchwright_core::Clock as _;
use patchwright_core::audit::{Audit as _, AuditEntry};
use patchwright_domain::AuditId;

use crate::clock::SystemClock;
use crate::route::State;
use crate::route::error::ApiError;

/// Writes an entry. What was done stands also when this fails; the caller is told that something is wrong.
pub(crate) async fn note(
    state: &State,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), ApiError> {
    let entry = AuditEntry {
        id: AuditId::from_uuid(uuid::Uuid::now_v7()),
        at: SystemClock.now(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail: state.app.redactor.redact(detail),
    };
    Ok(state.app.store.note(&entry).await?)
}
