//! Registered repositories.

use patchwright_core::access::RepositoryKey;
use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::{PlatformId, RepoName, RepositoryId, RepositorySettings, SandboxGrants, UserId};

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
    /// Lists the repositories that the caller sees, by name.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self, principal: &Principal) -> Result<Vec<RegisteredRepository>, ManagementError> {
        let visible = self.0.visibility(principal).await?;
        let mut all = self.0.ports.repositories.repositories().await?;
        all.retain(|repository| visible.includes(&repository.platform, &repository.name));
        Ok(all)
    }

    /// Returns a repository.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn get(&self, principal: &Principal, id: RepositoryId) -> Result<RegisteredRepository, ManagementError> {
        let found = self.0.ports.repositories.repository(id).await?;
        let visible = self.0.visibility(principal).await?;
        found
            .filter(|repository| visible.includes(&repository.platform, &repository.name))
            .ok_or_else(|| ManagementError::not_found("repository"))
    }

    /// Returns the users who are assigned to a repository.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn members(&self, principal: &Principal, id: RepositoryId) -> Result<Vec<UserId>, ManagementError> {
        principal.require_admin()?;
        let repository = self.get(principal, id).await?;
        Ok(self.0.ports.access.members(&key(repository)).await?)
    }

    /// Replaces the users who are assigned to a repository: they see its issues, jobs, logs and prompts.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`] for the repository or a
    /// user.
    pub async fn set_members(
        &self,
        principal: &Principal,
        id: RepositoryId,
        users: &[UserId],
    ) -> Result<(), ManagementError> {
        principal.require_admin()?;
        let repository = self.get(principal, id).await?;
        let (subject, detail) = (repository.name.to_string(), format!("{} assigned", users.len()));
        let entry = self.0.audit_entry(principal.login(), "repository.members", &subject, &detail);
        self.0.ports.access.set_members(&key(repository), users, entry).await?;
        self.0.visibility.forget_users();
        Ok(())
    }

    /// Replaces what administrators decided about a repository.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Invalid`] for a setting that cannot
    /// be used, [`ManagementError::NotFound`].
    pub async fn set_settings(
        &self,
        principal: &Principal,
        id: RepositoryId,
        settings: RepositorySettings,
    ) -> Result<RegisteredRepository, ManagementError> {
        principal.require_admin()?;
        let repository = self.get(principal, id).await?;
        let settings =
            settings.checked().map_err(|error| ManagementError::invalid("bad_settings", error.to_string()))?;
        let command = settings.test_command.as_deref().map_or_else(|| "found".to_owned(), |text| format!("`{text}`"));
        let detail =
            format!("tests: {command}; CI rounds: {}{}", settings.ci_rounds, describe_grants(&settings.sandbox));
        let entry = self.0.audit_entry(principal.login(), "repository.settings", &repository.name.to_string(), &detail);
        if !self.0.ports.repositories.set_repository_settings(id, &settings, entry).await? {
            return Err(ManagementError::not_found("repository"));
        }
        Ok(RegisteredRepository { settings, ..repository })
    }

    /// Deletes a repository with everything that is kept about it. The audit log stays.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`],
    /// [`ManagementError::Conflict`] while a job of it has not ended.
    pub async fn delete_with_data(&self, principal: &Principal, id: RepositoryId) -> Result<(), ManagementError> {
        principal.require_admin()?;
        let repository = self.get(principal, id).await?;
        let name = repository.name.to_string();
        let entry = self.0.audit_entry(principal.login(), "repository.deleted", &name, "with all data");
        if !self.0.ports.repositories.delete_repository_data(&key(repository), entry).await? {
            let detail = format!("a job of {name} has not ended; cancel it first");
            return Err(ManagementError::conflict("jobs_open", detail));
        }
        self.0.visibility.forget_users();
        Ok(())
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
            settings: RepositorySettings::default(),
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
        let repository = self.get(principal, id).await?;
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
        let repository = self.get(principal, id).await?;
        let (imported, updated) = self.0.engine.import_issues(&repository.platform, &repository.name).await?;
        let detail = format!("{imported} imported, {updated} updated");
        let subject = repository.name.to_string();
        let entry = self.0.audit_entry(principal.login(), "repository.synced", &subject, &detail);
        self.0.ports.repositories.record_sync(repository.id, self.0.ports.clock.now(), entry).await?;
        Ok(ImportCounts { imported, updated })
    }
}

fn key(repository: RegisteredRepository) -> RepositoryKey {
    RepositoryKey { platform: repository.platform, name: repository.name }
}
/// Says what is granted, for the audit log.
fn describe_grants(grants: &SandboxGrants) -> String {
    let lists = [("network", &grants.network), ("images", &grants.images), ("variables", &grants.env)];
    let mut out: String = lists
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(kind, list)| format!("; {kind}: {}", list.join(", ")))
        .collect();
    if grants.packages_with_code {
        out.push_str("; packages are fetched where that runs code");
    }
    out
}
