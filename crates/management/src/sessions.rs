//! Sessions: authentication of requests, login, logout, and the first administrator.

use std::sync::atomic::Ordering::Relaxed;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_core::accounts::Session;
use patchwright_domain::user::{Login, Role, Scope, User};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::tokens::user_of;
use crate::trusted_proxies::Client;
use crate::{Inner, password, secrets};

/// The name of the session cookie.
pub const SESSION_COOKIE: &str = "patchwright_session";
/// How long a session lasts.
pub const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(12);

/// The credentials of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestIdentity<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The value of the session cookie.
    pub session: Option<&'a str>,
    /// The `Origin` header, which browsers set.
    pub origin: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// The client, from [`crate::Management::client`].
    pub client: Option<&'a Client>,
}

/// A session that was just created.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The user.
    pub user: User,
    /// The value of the session cookie.
    pub secret: Secret,
    /// The CSRF token.
    pub csrf: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl NewSession {
    /// Returns the `Set-Cookie` header that hands the session to a browser. Over TLS the cookie is `Secure`.
    pub fn set_cookie(&self, uses_tls: bool) -> String {
        let secure = if uses_tls { "; Secure" } else { "" };
        let (secret, seconds) = (self.secret.expose(), SESSION_LIFETIME.as_secs());
        format!("{SESSION_COOKIE}={secret}; HttpOnly; SameSite=Lax{secure}; Path=/; Max-Age={seconds}")
    }
}

/// Returns the `Set-Cookie` header that removes a session's cookie.
pub fn remove_cookie() -> String {
    format!("{SESSION_COOKIE}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0")
}

/// Requires that a request comes from a page of this server, if a browser sends its origin.
///
/// # Errors
/// [`ManagementError::Forbidden`] for a page of another site.
pub fn check_same_origin(origin: Option<&str>, host: Option<&str>) -> Result<(), ManagementError> {
    let Some(origin) = origin else { return Ok(()) };
    let from = origin.split_once("://").map(|(_, host)| host);
    if from.is_some() && from == host {
        Ok(())
    } else {
        Err(ManagementError::forbidden("a page of another site may not send this request"))
    }
}

/// Whether a browser that is sent to a path stays on this server: `//host` and `/\host` are other hosts to browsers.
pub fn is_local_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Sessions, and the identification of requests.
#[derive(Debug, Clone, Copy)]
pub struct Sessions<'a>(pub(crate) &'a Inner);

impl Sessions<'_> {
    /// Identifies the sender of a request by token, session cookie, or, while there are no users, a request from this
    /// machine as the operator's. Changes also need [`Principal::require_csrf`].
    ///
    /// # Errors
    /// [`ManagementError::Unauthenticated`]; [`ManagementError::Forbidden`] for a page of another site.
    pub async fn authenticate(&self, request: RequestIdentity<'_>) -> Result<Principal, ManagementError> {
        if let Some(authorization) = request.authorization {
            let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
            return self.principal_of_token(token).await;
        }
        if let Some(cookie) = request.session {
            let found = self.0.ports.accounts.session(&secrets::hash_secret(cookie), self.0.ports.clock.now()).await?;
            let Some((session, user)) = found else {
                return Err(ManagementError::Unauthenticated("the session has ended; log in again"));
            };
            return Ok(Principal::user(&user, Scope::Admin, Some(session.csrf)));
        }
        // A listening address of this machine says little: a proxy or a page in a browser may be in between.
        let options = &self.0.options;
        let is_local = options.loopback_only && request.client.is_some_and(|client| client.is_local);
        if !is_local || options.api_token.is_some() || self.has_users().await? {
            return Err(ManagementError::Unauthenticated("log in, or send a token as `Authorization: Bearer …`"));
        }
        check_same_origin(request.origin, request.host)?;
        Ok(Principal::operator())
    }

    async fn principal_of_token(&self, token: &str) -> Result<Principal, ManagementError> {
        if self.0.options.api_token.as_ref().is_some_and(|own| own.matches(token)) {
            return Ok(Principal::operator());
        }
        match self.0.ports.accounts.token(&secrets::hash_secret(token), self.0.ports.clock.now()).await? {
            Some((token, user)) => Ok(Principal::user(&user, token.scope, None)),
            None => Err(ManagementError::Unauthenticated("the bearer token is missing, wrong or expired")),
        }
    }

    /// Whether there is a user.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn has_users(&self) -> Result<bool, ManagementError> {
        if self.0.has_users.load(Relaxed) {
            return Ok(true);
        }
        let has = !self.0.ports.accounts.users().await?.is_empty();
        self.0.has_users.store(has, Relaxed);
        Ok(has)
    }

    /// Checks a login and a password. `address` is the sender's, for the limit on failed attempts.
    ///
    /// # Errors
    /// [`ManagementError::Unauthenticated`] when they do not match, [`ManagementError::TooManyAttempts`].
    pub async fn check_password(&self, login: &str, password: Secret, address: &str) -> Result<User, ManagementError> {
        let now = self.0.ports.clock.now();
        if let Some(after) = self.0.login_limiter.wait(login, address, now) {
            return Err(ManagementError::TooManyAttempts { after });
        }
        let known = match Login::parse(login) {
            Ok(login) => self.0.ports.accounts.user_by_login(&login).await?,
            Err(_) => None,
        };
        let hash = known.as_ref().and_then(|(_, hash)| hash.clone());
        let is_right = password::verify(password, hash).await?;
        let Some((user, _)) = known.filter(|(user, _)| is_right && user.active) else {
            self.0.login_limiter.record_failure(login, address, now);
            tracing::warn!(address, "a login failed");
            return Err(ManagementError::Unauthenticated("the login or the password is wrong"));
        };
        self.0.login_limiter.record_success(login);
        Ok(user)
    }

    /// Creates a session of a user who has logged in from a client. `detail` says how, for the audit log.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn create(&self, user: User, client: &Client, detail: &str) -> Result<NewSession, ManagementError> {
        let now = self.0.ports.clock.now();
        let (secret, csrf) = (secrets::generate_secret("pws_"), secrets::generate_secret(""));
        let expires_at = now.saturating_add(SESSION_LIFETIME).unwrap_or(now);
        let session = Session {
            hash: secrets::hash_secret(&secret),
            user_id: user.id,
            csrf: csrf.clone(),
            created_at: now,
            expires_at,
            client: client.describe(),
        };
        let entry = self.0.audit_entry(user.login.as_str(), "session.begun", user.login.as_str(), detail);
        self.0.ports.accounts.add_session(&session, entry).await?;
        Ok(NewSession { user, secret: Secret::new(secret), csrf, expires_at })
    }

    /// Lists the caller's sessions, newest first.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for the operator.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<Session>, ManagementError> {
        Ok(self.0.ports.accounts.sessions(user_of(principal)?, self.0.ports.clock.now()).await?)
    }

    /// Ends all sessions of the caller but the one of this cookie. Returns how many.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without a session.
    pub async fn end_others(&self, principal: &Principal, cookie: &str) -> Result<u64, ManagementError> {
        if principal.csrf().is_none() {
            return Err(ManagementError::forbidden("log in to end your other sessions"));
        }
        let entry = self.0.audit_entry(principal.login(), "session.others_ended", principal.login(), "");
        let (user, kept) = (user_of(principal)?, secrets::hash_secret(cookie));
        Ok(self.0.ports.accounts.end_other_sessions(user, &kept, entry).await?)
    }

    /// Ends the session of a cookie.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn end(&self, cookie: &str) -> Result<(), ManagementError> {
        Ok(self.0.ports.accounts.end_session(&secrets::hash_secret(cookie)).await?)
    }

    /// Creates the token with which the first administrator is created; `None` when there is a user already. It replaces
    /// an earlier one.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn create_setup_token(&self) -> Result<Option<Secret>, ManagementError> {
        if self.has_users().await? {
            return Ok(None);
        }
        let token = secrets::generate_secret("pwi_");
        *self.0.setup_token.lock().expect("no holder of this lock panics") = Some(secrets::hash_secret(&token));
        Ok(Some(Secret::new(token)))
    }

    /// Creates the first administrator.
    ///
    /// # Errors
    /// [`ManagementError::Unauthenticated`] for a wrong token, [`ManagementError::Conflict`] when there is a user already,
    /// [`ManagementError::Invalid`] for a login or password that cannot be used.
    pub async fn create_first_admin(
        &self,
        token: &str,
        login: &str,
        password: Secret,
    ) -> Result<User, ManagementError> {
        if self.has_users().await? {
            return Err(ManagementError::conflict("set_up_already", "there is a user already; log in"));
        }
        let expected = self.0.setup_token.lock().expect("no holder of this lock panics").clone();
        if expected.as_deref() != Some(secrets::hash_secret(token).as_str()) {
            return Err(ManagementError::Unauthenticated(
                "the token is not the one that the server printed at its start",
            ));
        }
        self.0.create_user(login, login, Role::Admin, Some(password), "the first administrator").await
    }
}
