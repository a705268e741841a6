//! Credentials of forges. Secrets are write-only.

use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::credentials::{CredentialChange, NewCredential as StoredCredential};
use patchwright_core::fault::Fault;
use patchwright_domain::credential::{Credential, CredentialScope};
use patchwright_domain::{CredentialId, PlatformId};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, validate};

/// The length of a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 6..=8192;

/// A credential to create.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// A name for users.
    pub name: String,
    /// The forge.
    pub platform: PlatformId,
    /// `*`, an owner, or `owner/name`; the narrowest credential of a repository is used.
    pub scope: String,
    /// A token of the forge.
    pub secret: Secret,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// Fields of a credential to change; absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct CredentialUpdate {
    /// A name for users.
    pub name: Option<String>,
    /// Replaces the secret.
    pub secret: Option<Secret>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// The credentials of forges.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a>(pub(crate) &'a Inner);

impl Credentials<'_> {
    /// Lists all credentials by forge and scope.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<Credential>, ManagementError> {
        principal.require_admin()?;
        Ok(self.0.ports.credentials.credentials().await?)
    }

    /// Returns a credential.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn get(&self, principal: &Principal, id: CredentialId) -> Result<Credential, ManagementError> {
        principal.require_admin()?;
        self.0.ports.credentials.credential(id).await?.ok_or_else(|| ManagementError::not_found("credential"))
    }

    /// Creates a credential. The account is requested from the forge first: a secret that it refuses is not stored.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`], [`ManagementError::Invalid`], [`ManagementError::Conflict`] when there is one with
    /// this scope or the forge refuses the secret, [`ManagementError::Unavailable`].
    pub async fn create(&self, principal: &Principal, new: NewCredential) -> Result<Credential, ManagementError> {
        principal.require_admin()?;
        let scope: CredentialScope = new.scope.parse().map_err(|error: patchwright_domain::id::InvalidId| {
            ManagementError::invalid("bad_scope", error.to_string())
        })?;
        let (name, secret) = (validate::name(&new.name)?, validate::secret(new.secret, SECRET_BYTES)?);
        let stored = StoredCredential {
            id: CredentialId::from_uuid(self.0.ports.ids.uuid()),
            name,
            login: self.account_of(&new.platform, &secret).await?,
            platform: new.platform,
            scope,
            created_by: principal.login().to_owned(),
            now: self.0.engine.now(),
            expires_at: new.expires_at,
        };
        let (id, scope) = (stored.id.to_string(), stored.scope.to_string());
        let entry = self.0.audit_entry(principal.login(), "credential.added", &id, &scope);
        let added = self.0.ports.credentials.add_credential(stored, &secret, entry).await?;
        let added = added.ok_or_else(|| {
            ManagementError::conflict("scope_taken", "there is a credential with this scope; change that one")
        })?;
        self.clear_caches().await;
        Ok(added)
    }

    /// Encrypts every stored secret with the current master key. Returns how many there are.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Unavailable`].
    pub async fn reseal(&self, principal: &Principal) -> Result<u64, ManagementError> {
        principal.require_admin()?;
        let count = self.0.ports.credentials.reseal().await?;
        let detail = format!("{count} secrets were encrypted again");
        let entry = self.0.audit_entry(principal.login(), "keys.rotated", "master key", &detail);
        self.0.ports.audit.record(&entry).await?;
        Ok(count)
    }

    /// Changes a credential.
    ///
    /// # Errors
    /// As [`Self::create`], and [`ManagementError::NotFound`].
    pub async fn update(
        &self,
        principal: &Principal,
        id: CredentialId,
        update: CredentialUpdate,
    ) -> Result<Credential, ManagementError> {
        let known = self.get(principal, id).await?;
        let name = update.name.as_deref().map(validate::name).transpose()?;
        let secret = match update.secret.map(|text| validate::secret(text, SECRET_BYTES)).transpose()? {
            Some(secret) => {
                let login = self.account_of(&known.platform, &secret).await?;
                Some((secret, login))
            }
            None => None,
        };
        let detail = if secret.is_some() { "new secret" } else { "" };
        let entry = self.0.audit_entry(principal.login(), "credential.changed", &known.id.to_string(), detail);
        let change = CredentialChange { name, secret, expires_at: update.expires_at };
        if !self.0.ports.credentials.change_credential(known.id, change, self.0.engine.now(), entry).await? {
            return Err(ManagementError::not_found("credential"));
        }
        self.clear_caches().await;
        self.get(principal, id).await
    }

    /// Deletes a credential.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`], [`ManagementError::NotFound`].
    pub async fn delete(&self, principal: &Principal, id: CredentialId) -> Result<(), ManagementError> {
        let known = self.get(principal, id).await?;
        let (id, scope) = (known.id.to_string(), known.scope.to_string());
        let entry = self.0.audit_entry(principal.login(), "credential.removed", &id, &scope);
        self.0.ports.credentials.remove_credential(known.id, entry).await?;
        self.clear_caches().await;
        Ok(())
    }

    /// Requests the account of a secret from the forge.
    async fn account_of(&self, platform: &PlatformId, secret: &Secret) -> Result<String, ManagementError> {
        let forge = self.0.platforms.iter().find(|known| known.id == *platform);
        let Some(forge) = forge.and_then(|platform| platform.credentials.as_ref()) else {
            let names: Vec<String> = self
                .0
                .platforms
                .iter()
                .filter(|platform| platform.credentials.is_some())
                .map(|platform| format!("`{}`", platform.id))
                .collect();
            let detail = format!("credentials are for {}", names.join(" and "));
            return Err(ManagementError::invalid("bad_platform", detail));
        };
        forge.account_of(secret.clone()).await.map_err(|error| match error.fault() {
            Fault::Denied => ManagementError::conflict("refused_by_forge", error.to_string()),
            _ => error.into(),
        })
    }

    async fn clear_caches(&self) {
        for forge in self.0.platforms.iter().filter_map(|platform| platform.credentials.as_ref()) {
            forge.clear_cache().await;
        }
    }
}
