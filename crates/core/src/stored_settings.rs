//! The settings that administrators change while the server runs, encrypted at rest.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::AuditEntry;
use crate::secret::Secret;
use crate::store::StoreError;

/// A stored setting.
#[derive(Debug, Clone)]
pub struct StoredSetting {
    /// The name of the setting.
    pub name: String,
    /// Its value. Every value is handled as a secret: which ones are is not known here.
    pub value: Secret,
    /// The login of the user who set it.
    pub changed_by: String,
    /// When it was set.
    pub changed_at: Timestamp,
}

/// A change of one setting.
#[derive(Debug, Clone)]
pub struct SettingChange {
    /// The name of the setting.
    pub name: String,
    /// The new value; `None` removes the stored one.
    pub value: Option<Secret>,
    /// The entry of the audit log.
    pub audit: AuditEntry,
}

/// The store of settings.
///
/// An implementation
/// * MUST encrypt every value before it is written, bound to its name;
/// * MUST apply all changes of one call and write their audit entries in one transaction, and MUST NOT write the entry of a
///   removal that removes nothing.
#[async_trait]
pub trait StoredSettings: Send + Sync {
    /// Returns all stored settings, by name.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a value was encrypted with an unknown master key, [`StoreError`] otherwise.
    async fn stored_settings(&self) -> Result<Vec<StoredSetting>, StoreError>;

    /// Writes new values and removes others, all or none.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is changed.
    async fn change_settings(
        &self,
        changes: Vec<SettingChange>,
        changed_by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}
