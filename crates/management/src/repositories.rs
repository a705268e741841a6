//! Registered repositories.

use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::{PlatformId, RepoName, RepositoryId};

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;

/// The result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportCounts {
    /// Issues that were not known before.
    pub imported: u64,
    /// Known issues that had changed.
    pub updated: u64,
}

/// Registered repositories.
#[derive(Debug, Clone, Copy)]
pub struct Repositories<'a>(pub(crate) &'a Inner);

impl Repositories<'_> {
    /// Lists all repositories by name.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self) -> Result<Vec<RegisteredRepository>, ManagementError> {
        Ok(self.0.ports.repositories.repositories().await?)
    }

    /// Returns a repository.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn get(&self, id: RepositoryId) -> Result<RegisteredRepository, ManagementError> {
        self.0.ports.repositories.repository(id).await?.ok_or_else(|| ManagementError::not_found("repository"))
    }

    /// Registers a repository. Its forge is queried first, so that a wrong name or token is found here and not in the
    /// first job.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Invalid`],
    /// [`ManagementError::NotFound`] when the forge does not have it or the token may not read it,
    /// [`ManagementError::Conflict`] when it is registered.
    pub async fn create(
        &self,
        principal: &Principal,
        platform: PlatformId,
        name: &str,
    ) -> Result<RegisteredRepository, ManagementError> {
        principal.require_admin()?;
        let name: RepoName = name.parse().map_err(|error: patchwright_domain::id::InvalidId| {
            ManagementError::invalid("bad_name", error.to_string())
        })?;
        let Some(forge) = self.0.engine.forge(&platform) else {
            let names: Vec<String> = self.0.platforms.iter().map(|known| format!("`{}`", known.id)).collect();
            let detail = format!("a platform is one of {}", names.join(", "));
            return Err(ManagementError::invalid("bad_platform", detail));
        };
        let found = forge.repository(&name).await?;
        let repository = RegisteredRepository {
            id: RepositoryId::from_uuid(self.0.ports.ids.uuid()),
            platform,
            name: found.name,
            created_at: self.0.ports.clock.now(),
            synced_at: None,
        };
        let subject = repository.name.to_string();
        let entry = self.0.audit_entry(principal.login(), "repository.added", &subject, repository.platform.as_str());
        if !self.0.ports.repositories.add_repository(&repository, entry).await? {
            return Err(ManagementError::conflict("added_already", format!("{subject} is registered already")));
        }
        Ok(repository)
    }

    /// Deletes a repository from the list. Its issues and jobs stay.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn delete(&self, principal: &Principal, id: RepositoryId) -> Result<(), ManagementError> {
        principal.require_admin()?;
        let repository = self.get(id).await?;
        let entry = self.0.audit_entry(principal.login(), "repository.removed", &repository.name.to_string(), "");
        if !self.0.ports.repositories.remove_repository(repository.id, entry).await? {
            return Err(ManagementError::not_found("repository"));
        }
        Ok(())
    }

    /// Imports the open issues of a repository from its forge.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`],
    /// [`ManagementError::Upstream`], [`ManagementError::Unavailable`].
    pub async fn import_issues(
        &self,
        principal: &Principal,
        id: RepositoryId,
    ) -> Result<ImportCounts, ManagementError> {
        principal.require_admin()?;
        let repository = self.get(id).await?;
        let (imported, updated) = self.0.engine.import_issues(&repository.platform, &repository.name).await?;
        let detail = format!("{imported} imported, {updated} updated");
        let subject = repository.name.to_string();
        let entry = self.0.audit_entry(principal.login(), "repository.synced", &subject, &detail);
        self.0.ports.repositories.record_sync(repository.id, self.0.ports.clock.now(), entry).await?;
        Ok(ImportCounts { imported, updated })
    }
}
