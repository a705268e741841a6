//! The audit log: who did what to which thing. Entries are never changed.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::AuditId;
use serde::Serialize;

use crate::store::StoreError;

/// One action of a user or a program.
///
/// The ports that change something take the entry of the action and write it in the same transaction, so that there is
/// no change without its entry and no entry without its change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Ids sort in the order of the actions.
    pub id: AuditId,
    /// When it was done.
    pub at: Timestamp,
    /// The login, or `operator` for the server's own command line and token.
    pub actor: String,
    /// What was done: `user.added`, `issue.started`.
    pub action: String,
    /// What it was done to: a login, an id, a repository.
    pub subject: String,
    /// Free text. It MUST NOT hold a secret.
    pub detail: String,
}

/// The store of the audit log.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes the entry of an action that changes nothing in the store, such as a login that was refused.
    async fn record(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Returns entries older than `before`, newest first.
    async fn entries(&self, before: Option<AuditId>, limit: u16) -> Result<Vec<AuditEntry>, StoreError>;
}
