//! Credentials, sealed.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::credential::{Credential, CredentialScope};
use patchwright_domain::{CredentialId, PlatformId};

use crate::secret::Secret;
use crate::store::StoreError;

/// What is said of a new credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// Ours.
    pub id: CredentialId,
    /// What people call it.
    pub name: String,
    /// The forge.
    pub platform: PlatformId,
    /// Where on it.
    pub scope: CredentialScope,
    /// Whose it is there.
    pub login: String,
    /// Who adds it.
    pub created_by: String,
    /// When.
    pub now: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// What changes; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct CredentialChange {
    /// What people call it.
    pub name: Option<String>,
    /// Another secret, and whose it is.
    pub secret: Option<(Secret, String)>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Keeps credentials. A secret is sealed before it is written and bound to its row: nothing but this port opens it, and a
/// sealed secret that was moved to another row opens nowhere.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Adds one; `None` when there is one for the same place.
    async fn add_credential(&self, new: NewCredential, secret: &Secret) -> Result<Option<Credential>, StoreError>;

    /// All of them, by forge and place.
    async fn credentials(&self) -> Result<Vec<Credential>, StoreError>;

    /// One of them.
    async fn credential(&self, id: CredentialId) -> Result<Option<Credential>, StoreError>;

    /// The one for exactly this place, with its secret.
    async fn open_credential(
        &self,
        platform: &PlatformId,
        scope: &CredentialScope,
    ) -> Result<Option<(Credential, Secret)>, StoreError>;

    /// Changes one; `false` when it is not there.
    async fn change_credential(
        &self,
        id: CredentialId,
        change: CredentialChange,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes one; `false` when it is not there.
    async fn remove_credential(&self, id: CredentialId) -> Result<bool, StoreError>;

    /// Notes that one was used; `true` when that had not been noted within the hour.
    async fn note_use(&self, id: CredentialId, now: Timestamp) -> Result<bool, StoreError>;

    /// Seals anew with the present key what another key has sealed. Returns how many it were.
    async fn reseal(&self) -> Result<u64, StoreError>;
}
