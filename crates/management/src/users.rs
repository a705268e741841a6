//! Users.

use patchwright_core::Secret;
use patchwright_core::access::{ForgeAccount, Grants};
use patchwright_domain::UserId;
use patchwright_domain::user::{Login, Role, User};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::sessions::Sessions;
use crate::{Inner, password};

/// How many accounts on forges a user may have.
const MAX_FORGE_ACCOUNTS: usize = 20;

/// A user to create. Without a password the user cannot log in with one.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The login.
    pub login: String,
    /// The role.
    pub role: Role,
    /// The password.
    pub password: Option<Secret>,
}

/// Fields of a user to change; absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    /// The role.
    pub role: Option<Role>,
    /// Whether the user may log in.
    pub active: Option<bool>,
    /// The password. A new one ends the user's sessions and tokens.
    pub password: Option<Secret>,
}

/// The users of this server.
#[derive(Debug, Clone, Copy)]
pub struct Users<'a>(pub(crate) &'a Inner);

impl Users<'_> {
    /// Lists all users by login.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<User>, ManagementError> {
        principal.require_admin()?;
        Ok(self.0.ports.accounts.users().await?)
    }

    /// Returns a user.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn get(&self, principal: &Principal, id: UserId) -> Result<User, ManagementError> {
        principal.require_admin()?;
        self.0.ports.accounts.user(id).await?.ok_or_else(|| ManagementError::not_found("user"))
    }

    /// Creates a user.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Invalid`] for a login or password
    /// that cannot be used, [`ManagementError::Conflict`] for a login that is taken.
    pub async fn create(&self, principal: &Principal, new: NewUser) -> Result<User, ManagementError> {
        principal.require_admin()?;
        let detail = new.role.as_str();
        self.0.create_user(principal.login(), &new.login, new.role, new.password, detail).await
    }

    /// Changes a user.
    ///
    /// # Errors
    /// As [`Self::create`]; [`ManagementError::NotFound`]; [`ManagementError::Conflict`] for the last administrator.
    pub async fn update(&self, principal: &Principal, id: UserId, update: UserUpdate) -> Result<User, ManagementError> {
        let mut user = self.get(principal, id).await?;
        user.role = update.role.unwrap_or(user.role);
        user.active = update.active.unwrap_or(user.active);
        let hash = match update.password {
            Some(password) => Some(password::hash(password).await?),
            None => None,
        };
        let detail = format!(
            "{}{}{}",
            user.role.as_str(),
            if user.active { "" } else { ", deactivated" },
            if hash.is_some() { ", new password" } else { "" }
        );
        let entry = self.0.audit_entry(principal.login(), "user.changed", user.login.as_str(), &detail);
        self.0.ports.accounts.change_user(&user, hash, entry).await?;
        Ok(user)
    }

    /// Changes the caller's own password, which ends all their sessions and tokens. `address` is the sender's, for the limit on
    /// failed attempts.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without a session of a user, [`ManagementError::Unauthenticated`] if the current password
    /// is wrong, [`ManagementError::TooManyAttempts`], [`ManagementError::Invalid`] for a new one that cannot be used.
    pub async fn change_own_password(
        &self,
        principal: &Principal,
        current: Secret,
        new: Secret,
        address: &str,
    ) -> Result<(), ManagementError> {
        // A token that leaked must not take over its account.
        if principal.id().is_none() || principal.csrf().is_none() {
            return Err(ManagementError::forbidden("log in with your password to change it"));
        }
        let user = Sessions(self.0).check_password(principal.login(), current, address).await?;
        let hash = password::hash(new).await?;
        let entry = self.0.audit_entry(principal.login(), "user.changed", user.login.as_str(), "own password");
        // Only the password: an administrator may have changed the user in the meantime.
        Ok(self.0.ports.accounts.change_password(user.id, hash, entry).await?)
    }

    /// Returns the accounts of a user on forges, and the repositories that they are assigned to.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn grants(&self, principal: &Principal, id: UserId) -> Result<Grants, ManagementError> {
        let user = self.get(principal, id).await?;
        Ok(self.0.ports.access.grants(user.id).await?)
    }

    /// Replaces the accounts of a user on forges: the user sees the repositories that these may read.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`],
    /// [`ManagementError::Invalid`], [`ManagementError::Conflict`] for the account of another user.
    pub async fn set_forge_accounts(
        &self,
        principal: &Principal,
        id: UserId,
        accounts: Vec<ForgeAccount>,
    ) -> Result<(), ManagementError> {
        let user = self.get(principal, id).await?;
        if accounts.len() > MAX_FORGE_ACCOUNTS {
            let detail = format!("a user has at most {MAX_FORGE_ACCOUNTS} accounts on forges");
            return Err(ManagementError::invalid("too_many", detail));
        }
        for account in &accounts {
            let is_login = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '[' | ']');
            let is_known = self.0.engine.forge(&account.platform).is_some();
            if account.login.is_empty()
                || account.login.len() > 100
                || !account.login.chars().all(is_login)
                || !is_known
            {
                let detail = format!("`{}` is no login on a platform of this server", account.login);
                return Err(ManagementError::invalid("bad_account", detail));
            }
        }
        let names: Vec<String> = accounts.iter().map(|known| format!("{}:{}", known.platform, known.login)).collect();
        let entry = self.0.audit_entry(principal.login(), "user.accounts", user.login.as_str(), &names.join(" "));
        self.0.ports.access.set_forge_accounts(user.id, &accounts, entry).await?;
        self.0.visibility.forget_users();
        Ok(())
    }

    /// Deletes a user with their sessions, tokens, links, assignments and channels. Their issues lose their owner, and the
    /// audit log stays.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`],
    /// [`ManagementError::Conflict`] for the last administrator and for the administrator of a Jira site.
    pub async fn delete(&self, principal: &Principal, id: UserId) -> Result<(), ManagementError> {
        let user = self.get(principal, id).await?;
        let entry = self.0.audit_entry(principal.login(), "user.deleted", user.login.as_str(), "");
        self.0.ports.accounts.delete_user(user.id, entry).await?;
        self.0.visibility.forget_users();
        Ok(())
    }
}

impl Inner {
    pub(crate) fn new_user(&self, login: &str, role: Role) -> Result<User, ManagementError> {
        let login = Login::parse(login).map_err(|error| ManagementError::invalid("bad_login", error.to_string()))?;
        let id = UserId::from_uuid(self.ports.ids.uuid());
        Ok(User { id, login, role, active: true, created_at: self.ports.clock.now() })
    }

    pub(crate) async fn create_user(
        &self,
        actor: &str,
        login: &str,
        role: Role,
        password: Option<Secret>,
        detail: &str,
    ) -> Result<User, ManagementError> {
        let hash = match password {
            Some(password) => Some(password::hash(password).await?),
            None => None,
        };
        let user = self.new_user(login, role)?;
        let entry = self.audit_entry(actor, "user.added", user.login.as_str(), detail);
        self.ports.accounts.add_user(&user, hash, entry).await?;
        Ok(user)
    }
}
