//! The repositories that users have added to this server.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{PlatformId, RepoName, RepositoryId, RepositorySettings};

use crate::access::RepositoryKey;
use crate::audit::AuditEntry;
use crate::store::StoreError;

/// A repository that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRepository {
    /// Its id here.
    pub id: RepositoryId,
    /// The forge that hosts it.
    pub platform: PlatformId,
    /// Its full name on the forge.
    pub name: RepoName,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its issues were last imported.
    pub synced_at: Option<Timestamp>,
    /// What administrators decided about it.
    pub settings: RepositorySettings,
}

/// What administrators decided about repositories.
#[async_trait]
pub trait RepositoryPolicies: Send + Sync {
    /// Returns the settings of a repository; the defaults for one that was not added.
    async fn settings_of(&self, repository: &RepositoryKey) -> Result<RepositorySettings, StoreError>;
}

/// The store of added repositories.
///
/// An implementation MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing
/// changes: an action whose audit entry cannot be written fails.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// Adds a repository; `false` when it was added before.
    async fn add_repository(&self, repository: &RegisteredRepository, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Returns all repositories, by name.
    async fn repositories(&self) -> Result<Vec<RegisteredRepository>, StoreError>;

    /// Returns a repository by id.
    async fn repository(&self, id: RepositoryId) -> Result<Option<RegisteredRepository>, StoreError>;

    /// Records that the issues of a repository were imported; `false` when it does not exist.
    async fn record_sync(&self, id: RepositoryId, at: Timestamp, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Replaces the settings of a repository; `false` when it does not exist.
    async fn set_repository_settings(
        &self,
        id: RepositoryId,
        settings: &RepositorySettings,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;

    /// Deletes a repository with everything that is kept about it: issues, jobs, tasks, logs, prompts, effects, requests,
    /// deliveries that led to jobs, notifications, conversations, project mappings, assignments and the statistics of the
    /// repository. Returns `false`, and changes nothing, while a job of it has not ended. The audit log, the sums over all
    /// repositories, and the built-in forge's own comments and pull requests stay.
    async fn delete_repository_data(&self, repository: &RepositoryKey, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Removes a repository; `false` when it does not exist. Its issues and jobs stay.
    async fn remove_repository(&self, id: RepositoryId, audit: AuditEntry) -> Result<bool, StoreError>;
}
