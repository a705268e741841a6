//! Users, their browser sessions and their API tokens. Secrets are stored as hashes only.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::user::{Login, Scope, User};
use patchwright_domain::{TokenId, UserId};

use crate::audit::AuditEntry;
use crate::fault::Fault;
use crate::store::StoreError;

/// The SHA-256 of a secret in hexadecimal digits, by which a session, a token or a node is looked up.
pub type SecretHash = String;

/// A browser session of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of the cookie's value.
    pub hash: SecretHash,
    /// The user.
    pub user_id: UserId,
    /// The CSRF token that unsafe requests carry beside the cookie.
    pub csrf: String,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When the session expires.
    pub expires_at: Timestamp,
    /// Where it was begun: the browser and its address, as far as they are known.
    pub client: String,
}

/// An API token of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The token's id, which is no secret.
    pub id: TokenId,
    /// The user whose rights it has.
    pub user_id: UserId,
    /// The name that the user gave it.
    pub name: String,
    /// Which of the user's rights it has.
    pub scope: Scope,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}

/// A change of an account was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another user has the login.
    #[error("there is a user `{0}` already")]
    Taken(Login),
    /// The last active administrator would lose the role or the access, and nobody could restore them.
    #[error("this is the last active administrator; make another one first")]
    LastAdmin,
    /// Another user has the account on a forge.
    #[error("another user has the account `{0}`")]
    Linked(String),
    /// The user administers a Jira site, which needs somebody else first.
    #[error("the user administers the Jira site {0}; name another administrator for it first")]
    AdministersSite(String),
    /// The user does not exist.
    #[error("there is no such user")]
    NoSuchUser,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Taken(_) | Self::LastAdmin | Self::Linked(_) | Self::AdministersSite(_) => Fault::Denied,
            Self::NoSuchUser => Fault::Missing,
            Self::Store(error) => error.fault(),
        }
    }
}

/// The store of users, sessions and API tokens.
///
/// An implementation MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing
/// changes: an action whose audit entry cannot be written fails.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Adds a user. `password` is a hash in PHC format; without one the user cannot log in with a password.
    async fn add_user(&self, user: &User, password: Option<String>, audit: AuditEntry) -> Result<(), AccountError>;

    /// Adds a user of an identity provider. If the identity exists already, returns its user instead and writes
    /// nothing.
    async fn add_identified_user(
        &self,
        user: &User,
        issuer: &str,
        subject: &str,
        audit: AuditEntry,
    ) -> Result<User, AccountError>;

    /// Returns the user with this subject at an identity provider.
    async fn user_by_identity(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// Changes a user's role, access and, if one is given, password. The last active administrator cannot lose role or
    /// access. The user's sessions and tokens end when the password changes or the access is withdrawn.
    async fn change_user(&self, user: &User, password: Option<String>, audit: AuditEntry) -> Result<(), AccountError>;

    /// Replaces the password hash of an active user and nothing else, and ends their sessions and tokens.
    /// [`AccountError::NoSuchUser`] if there is no such user, or they are deactivated.
    async fn change_password(&self, id: UserId, password: String, audit: AuditEntry) -> Result<(), AccountError>;

    /// Deletes a user with their sessions, tokens, links to other accounts, assignments and channels; issues that they own
    /// have no owner then. What they did stays in the audit log. The last active administrator and the administrator of a
    /// Jira site stay.
    async fn delete_user(&self, id: UserId, audit: AuditEntry) -> Result<(), AccountError>;

    /// Returns all users, by login.
    async fn users(&self) -> Result<Vec<User>, StoreError>;

    /// Returns a user by id.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Returns a user by login, with the hash of their password.
    async fn user_by_login(&self, login: &Login) -> Result<Option<(User, Option<String>)>, StoreError>;

    /// Adds a session.
    async fn add_session(&self, session: &Session, audit: AuditEntry) -> Result<(), StoreError>;

    /// Returns a session that has not expired at `now`, with its active user.
    async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<(Session, User)>, StoreError>;

    /// Returns a user's sessions that have not expired at `now`, newest first.
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// Ends a user's sessions but one; returns how many.
    async fn end_other_sessions(&self, user: UserId, kept: &str, audit: AuditEntry) -> Result<u64, StoreError>;

    /// Returns what a user keeps for themselves, by name.
    async fn preferences(&self, user: UserId) -> Result<BTreeMap<String, String>, StoreError>;

    /// Keeps a value for a user, or removes it. At most `limit` names are kept; returns `false` if there is no place for another
    /// one. Nothing is audited: it concerns nobody else.
    async fn set_preference(
        &self,
        user: UserId,
        name: &str,
        value: Option<&str>,
        limit: u16,
    ) -> Result<bool, StoreError>;

    /// Ends a session.
    async fn end_session(&self, hash: &str) -> Result<(), StoreError>;

    /// Adds a token.
    async fn add_token(&self, token: &ApiToken, hash: &str, audit: AuditEntry) -> Result<(), StoreError>;

    /// Returns a token that has not expired at `now`, with its active user, and records the use.
    async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<(ApiToken, User)>, StoreError>;

    /// Returns a user's tokens, newest first.
    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError>;

    /// Revokes a token of a user; returns `false` if they have no such token.
    async fn end_token(&self, user: UserId, id: TokenId, audit: AuditEntry) -> Result<bool, StoreError>;
}
