//! Which repositories a user may see.

use async_trait::async_trait;
use patchwright_domain::{PlatformId, RepoName, UserId};

use crate::accounts::AccountError;
use crate::audit::AuditEntry;
use crate::store::StoreError;

/// A user's account on a forge, whose permissions there they have here too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForgeAccount {
    /// The forge.
    pub platform: PlatformId,
    /// The login there, in lower case.
    pub login: String,
}

/// A repository on its forge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryKey {
    /// The forge.
    pub platform: PlatformId,
    /// The full name.
    pub name: RepoName,
}

/// What administrators recorded about a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The user's accounts on forges.
    pub accounts: Vec<ForgeAccount>,
    /// The repositories that the user was assigned to.
    pub repositories: Vec<RepositoryKey>,
}

/// What a reader sees: the issues of some repositories, with their jobs, tasks, logs and prompts, and own issues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Everything.
    #[default]
    All,
    /// A part.
    Limited {
        /// The reader, who sees the issues that they own.
        user: UserId,
        /// The repositories whose issues they see.
        repositories: Vec<RepositoryKey>,
    },
}

impl Visibility {
    /// Returns whether all issues of a repository are visible.
    pub fn includes(&self, platform: &PlatformId, name: &RepoName) -> bool {
        match self {
            Self::All => true,
            Self::Limited { repositories, .. } => {
                repositories.iter().any(|known| known.platform == *platform && known.name == *name)
            }
        }
    }

    /// Returns whether an issue is visible: by its repository or its owner.
    pub fn includes_issue(&self, platform: &PlatformId, name: &RepoName, owner: Option<UserId>) -> bool {
        let is_own = matches!(self, Self::Limited { user, .. } if Some(*user) == owner);
        is_own || self.includes(platform, name)
    }
}

/// The store of what users may see.
///
/// An implementation MUST write `audit` in the same transaction as the change.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// Returns what was recorded about a user.
    async fn grants(&self, user: UserId) -> Result<Grants, StoreError>;

    /// Replaces the accounts of a user on forges. [`AccountError::NoSuchUser`] and, for an account of another user,
    /// [`AccountError::Linked`].
    async fn set_forge_accounts(
        &self,
        user: UserId,
        accounts: &[ForgeAccount],
        audit: AuditEntry,
    ) -> Result<(), AccountError>;

    /// Returns the users who are assigned to a repository.
    async fn members(&self, repository: &RepositoryKey) -> Result<Vec<UserId>, StoreError>;

    /// Replaces the users who are assigned to a repository. [`AccountError::NoSuchUser`].
    async fn set_members(
        &self,
        repository: &RepositoryKey,
        users: &[UserId],
        audit: AuditEntry,
    ) -> Result<(), AccountError>;

    /// Returns the repositories that are registered or have an issue here, sorted.
    async fn known_repositories(&self) -> Result<Vec<RepositoryKey>, StoreError>;
}
