//! The repositories that people have added.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{PlatformId, RepoName, RepositoryId};

use crate::store::StoreError;

/// A repository that people have added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRepository {
    /// Ours.
    pub id: RepositoryId,
    /// On which forge.
    pub platform: PlatformId,
    /// Its full name there.
    pub name: RepoName,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its issues were last imported.
    pub synced_at: Option<Timestamp>,
}

/// Keeps them.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// Adds one; `false` when it is there already.
    async fn add_repository(&self, repository: &RegisteredRepository) -> Result<bool, StoreError>;

    /// All, by name.
    async fn repositories(&self) -> Result<Vec<RegisteredRepository>, StoreError>;

    /// One.
    async fn repository(&self, id: RepositoryId) -> Result<Option<RegisteredRepository>, StoreError>;

    /// Notes that its issues were imported.
    async fn note_synced(&self, id: RepositoryId, at: Timestamp) -> Result<(), StoreError>;

    /// Removes one; `false` when it is not there. Its issues and jobs stay.
    async fn remove_repository(&self, id: RepositoryId) -> Result<bool, StoreError>;
}
