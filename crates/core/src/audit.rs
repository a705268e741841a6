//! Who did what: written once, never changed.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::AuditId;
use serde::Serialize;

use crate::store::StoreError;

/// Something that a person or program did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Ours; ids in order are in the order of the deeds.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who: a login, or `operator` for the server's own command line and token.
    pub actor: String,
    /// What: `user.added`, `issue.started`.
    pub action: String,
    /// To which thing: a login, an id, a repository.
    pub subject: String,
    /// What else there is to say. No secret.
    pub detail: String,
}

/// Keeps the record.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes an entry.
    async fn note(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Entries, newest first, those before an id.
    async fn entries(&self, before: Option<AuditId>, limit: u16) -> Result<Vec<AuditEntry>, StoreError>;
}
