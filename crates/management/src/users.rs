//! Users.

use patchwright_core::Secret;
use patchwright_domain::UserId;
use patchwright_domain::user::{Login, Role, User};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, password};

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
