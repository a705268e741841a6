//! Credentials of forges, encrypted at rest.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::credential::{Credential, CredentialScope};
use patchwright_domain::{CredentialId, PlatformId};

use crate::audit::AuditEntry;
use crate::secret::Secret;
use crate::store::StoreError;

/// A credential to add, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// Its id.
    pub id: CredentialId,
    /// The name that users gave it.
    pub name: String,
    /// The forge that it is for.
    pub platform: PlatformId,
    /// The part of the forge that it is for.
    pub scope: CredentialScope,
    /// The login that it belongs to on the forge.
    pub login: String,
    /// The login of the user who adds it.
    pub created_by: String,
    /// When it is added.
    pub now: Timestamp,
    /// When it expires; `None` when that is not known.
    pub expires_at: Option<Timestamp>,
}

/// A change of a credential. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct CredentialChange {
    /// The new name.
    pub name: Option<String>,
    /// The new secret, and the login that it belongs to.
    pub secret: Option<(Secret, String)>,
    /// The new expiry.
    pub expires_at: Option<Timestamp>,
}

/// The store of credentials.
///
/// An implementation
/// * MUST encrypt a secret before it is written, bound to its row: only this port decrypts it, and one that was moved to
///   another row cannot be decrypted;
/// * MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing changes.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Adds a credential; `None` when its platform and scope have one already.
    async fn add_credential(
        &self,
        new: NewCredential,
        secret: &Secret,
        audit: AuditEntry,
    ) -> Result<Option<Credential>, StoreError>;

    /// Returns all credentials, by platform and scope.
    async fn credentials(&self) -> Result<Vec<Credential>, StoreError>;

    /// Returns a credential by id.
    async fn credential(&self, id: CredentialId) -> Result<Option<Credential>, StoreError>;

    /// Returns the credential of exactly this platform and scope, with its secret.
    async fn open_credential(
        &self,
        platform: &PlatformId,
        scope: &CredentialScope,
    ) -> Result<Option<(Credential, Secret)>, StoreError>;

    /// Changes a credential; `false` when it does not exist.
    async fn change_credential(
        &self,
        id: CredentialId,
        change: CredentialChange,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;

    /// Removes a credential; `false` when it does not exist.
    async fn remove_credential(&self, id: CredentialId, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Records that a credential is used; `false`, and nothing is written, when a use within the last hour is recorded.
    async fn record_use(&self, id: CredentialId, now: Timestamp, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Re-encrypts with the current key all secrets that were encrypted with an older one. Returns how many.
    async fn reseal(&self) -> Result<u64, StoreError>;
}
