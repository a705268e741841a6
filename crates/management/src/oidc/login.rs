//! Logging in at the provider.

use patchwright_core::Secret;
use patchwright_core::accounts::AccountError;
use patchwright_domain::user::{Login, Role, User};

use super::{Identity, OidcError, Provider, Transaction};
use crate::Inner;
use crate::error::ManagementError;

/// How many logins are tried for a new user whose login is taken.
const MAX_LOGIN_VARIANTS: u32 = 100;

impl From<OidcError> for ManagementError {
    fn from(error: OidcError) -> Self {
        tracing::warn!(%error, "a login at the provider failed");
        match error {
            OidcError::Unavailable(_) => Self::Unavailable(error.to_string()),
            OidcError::Refused(_) => Self::invalid("login_refused", error.to_string()),
        }
    }
}

/// The login provider.
#[derive(Debug, Clone, Copy)]
pub struct Oidc<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) provider: &'a Provider,
}

impl Oidc<'_> {
    /// Starts a login. Returns the address to send the user to, and the value of the cookie to keep until they return.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`] or [`ManagementError::Invalid`] when the provider's metadata cannot be used.
    pub async fn start(&self, return_to: &str) -> Result<(String, String), ManagementError> {
        let transaction = Transaction::new(return_to, self.inner.engine.now());
        let url = self.provider.authorization_url(&transaction).await?;
        let key = self.inner.options.signing_keys.first();
        let key = key.ok_or_else(|| ManagementError::internal("a signing key is required for OpenID Connect"))?;
        Ok((url, transaction.seal(key)))
    }

    /// Returns whether a cookie and a `state` belong to a login that was started in this browser.
    ///
    /// # Errors
    /// [`ManagementError::Invalid`], naming the invalid one.
    pub fn check(&self, cookie: Option<&str>, state: Option<&str>) -> Result<(), ManagementError> {
        self.transaction(cookie, state).map(drop)
    }

    /// Finishes a login with the code of the provider. Returns the user, and the path to return to.
    ///
    /// # Errors
    /// [`ManagementError::Invalid`] when the login was not started in this browser, took too long or is not accepted,
    /// [`ManagementError::Forbidden`] for a deactivated user, [`ManagementError::Unavailable`].
    pub async fn finish(
        &self,
        cookie: Option<&str>,
        state: Option<&str>,
        code: &str,
    ) -> Result<(User, String), ManagementError> {
        let transaction = self.transaction(cookie, state)?;
        let identity = self.provider.identify(&transaction, code, self.inner.engine.now()).await?;
        let user = self.known_or_new(&identity).await?;
        if !user.active {
            return Err(ManagementError::forbidden("your account is deactivated; ask an administrator"));
        }
        Ok((user, transaction.return_to))
    }

    fn transaction(&self, cookie: Option<&str>, state: Option<&str>) -> Result<Transaction, ManagementError> {
        let now = self.inner.engine.now();
        let opened = cookie.and_then(|cookie| {
            self.inner.options.signing_keys.iter().find_map(|key| Transaction::open(cookie, key, now))
        });
        let transaction = opened.ok_or_else(|| {
            ManagementError::invalid(
                "no_login",
                "no login was started in this browser, or it took too long; start again",
            )
        })?;
        if state.is_some_and(|given| Secret::new(transaction.state.as_str()).matches(given)) {
            return Ok(transaction);
        }
        Err(ManagementError::invalid("wrong_state", "the provider's response belongs to another login; start again"))
    }

    /// Returns the user of an identity. A new identity gets a new user: an existing user with the same login is another
    /// account, even if the provider has this login.
    async fn known_or_new(&self, identity: &Identity) -> Result<User, ManagementError> {
        let role = if identity.is_admin { Role::Admin } else { Role::Member };
        let known = self.inner.ports.accounts.user_by_identity(self.provider.issuer(), &identity.subject).await?;
        match known {
            Some(user) => self.update_role(user, role).await,
            None => self.create(identity, role).await,
        }
    }

    async fn update_role(&self, user: User, role: Role) -> Result<User, ManagementError> {
        if !self.provider.names_admins() || user.role == role {
            return Ok(user);
        }
        let changed = User { role, ..user.clone() };
        let entry =
            self.inner.audit_entry(user.login.as_str(), "user.changed", user.login.as_str(), "by the login provider");
        match self.inner.ports.accounts.change_user(&changed, None, entry).await {
            Ok(()) => Ok(changed),
            // An administrator must remain who can restore the role.
            Err(AccountError::LastAdmin) => Ok(user),
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self, identity: &Identity, role: Role) -> Result<User, ManagementError> {
        let wanted = login_of(&identity.login);
        for number in 1..MAX_LOGIN_VARIANTS {
            let name = if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") };
            let new = self.inner.new_user(&name, role)?;
            let login = new.login.as_str();
            let entry = self.inner.audit_entry(login, "user.added", login, "by the login provider");
            let (accounts, issuer) = (&self.inner.ports.accounts, self.provider.issuer());
            match accounts.add_identified_user(&new, issuer, &identity.subject, entry).await {
                Ok(user) => {
                    return Ok(user);
                }
                Err(AccountError::Taken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ManagementError::conflict("login_taken", format!("the login `{wanted}` and many like it are taken")))
    }
}

/// Derives a login from a provider's name of a user.
fn login_of(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+') { c } else { '-' };
    let name: String = text.chars().map(plain).take(Login::MAX_LEN - 4).collect();
    if name.is_empty() { "user".to_owned() } else { name }
}
