//! The caller of a request, and the caller's permissions.

use patchwright_domain::UserId;
use patchwright_domain::user::{Role, Scope, User};

use crate::error::ManagementError;
use crate::secrets;

/// The name in the audit log for callers with the server's own token or on its machine.
pub const LOCAL_OPERATOR: &str = "operator";

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Principal {
    id: Option<UserId>,
    login: String,
    role: Role,
    scope: Scope,
    csrf: Option<String>,
}

impl Principal {
    /// Creates the operator of this server: an administrator without a user account.
    pub fn operator() -> Self {
        Self { id: None, login: LOCAL_OPERATOR.to_owned(), role: Role::Admin, scope: Scope::Admin, csrf: None }
    }

    /// Creates a user with the rights of a token or session. `csrf` is the token of a session.
    pub fn user(user: &User, scope: Scope, csrf: Option<String>) -> Self {
        Self { id: Some(user.id), login: user.login.to_string(), role: user.role, scope, csrf }
    }

    /// Returns the user; `None` for the operator.
    pub const fn id(&self) -> Option<UserId> {
        self.id
    }

    /// Returns the login, as the audit log names it.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Returns the role.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns the scope of the token; sessions have the widest.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns the CSRF token of a session; `None` for tokens and the operator.
    pub fn csrf(&self) -> Option<&str> {
        self.csrf.as_deref()
    }

    /// Returns whether the caller is an administrator and the token's scope includes administration.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin && self.scope == Scope::Admin
    }

    /// Returns whether the caller may change objects that `owner` owns.
    pub fn may_change(&self, owner: Option<UserId>) -> bool {
        self.authorize_owner(owner).is_ok()
    }

    /// Requires the CSRF token of a session, so that a page of another site cannot act in a user's name.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`].
    pub fn require_csrf(&self, given: Option<&str>) -> Result<(), ManagementError> {
        let Some(own) = &self.csrf else { return Ok(()) };
        // Hashes are compared, so that the time of the comparison reveals nothing about the token.
        if given.map(secrets::hash_secret) == Some(secrets::hash_secret(own)) {
            Ok(())
        } else {
            Err(ManagementError::forbidden("the request lacks the session's CSRF token (header X-CSRF-Token)"))
        }
    }

    /// Requires a scope that may write.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`].
    pub fn require_write(&self) -> Result<(), ManagementError> {
        if self.scope >= Scope::Write { Ok(()) } else { Err(ManagementError::forbidden("this token may only read")) }
    }

    /// Requires an administrator.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`].
    pub fn require_admin(&self) -> Result<(), ManagementError> {
        if self.is_admin() {
            Ok(())
        } else if self.role == Role::Admin {
            Err(ManagementError::forbidden("a token with the scope `admin` is required"))
        } else {
            Err(ManagementError::forbidden("the administrator role is required"))
        }
    }

    /// Requires the owner of an object, or an administrator.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`].
    pub fn authorize_owner(&self, owner: Option<UserId>) -> Result<(), ManagementError> {
        self.require_write()?;
        if self.is_admin() || (owner.is_some() && owner == self.id) {
            Ok(())
        } else {
            Err(ManagementError::forbidden("only an administrator or the user who added the issue may do this"))
        }
    }
}
