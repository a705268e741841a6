//! People, their browser sessions and their API tokens. Secrets are stored as hashes only.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::user::{Login, Scope, User};
use patchwright_domain::{TokenId, UserId};

use crate::audit::AuditEntry;
use crate::fault::Fault;
use crate::store::StoreError;

/// The SHA-256 of a secret in hexadecimal digits, by which a session, a token or a node is looked up.
pub type SecretHash = String;

/// A browser session of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of the cookie's value.
    pub hash: SecretHash,
    /// The person.
    pub user_id: UserId,
    /// The CSRF token that unsafe requests carry beside the cookie.
    pub csrf: String,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// When the session expires.
    pub expires_at: Timestamp,
}

/// An API token of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The token's id, which is no secret.
    pub id: TokenId,
    /// The person whose rights it has.
    pub user_id: UserId,
    /// The name that the person gave it.
    pub name: String,
    /// How much of the person's rights it has.
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
    /// The last active administrator would lose the role or the access, and nobody could give them back.
    #[error("this is the last active administrator; make another one first")]
    LastAdmin,
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
            Self::Taken(_) | Self::LastAdmin => Fault::Denied,
            Self::NoSuchUser => Fault::Missing,
            Self::Store(error) => error.fault(),
        }
    }
}

/// The store of people, sessions and API tokens.
///
/// An implementation MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing
/// changes: an action whose audit entry cannot be written fails.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Adds a person. `password` is a hash in PHC form; without one the person cannot log in with a password.
    async fn add_user(&self, user: &User, password: Option<String>, audit: AuditEntry) -> Result<(), AccountError>;

    /// Adds a person whom an identity provider knows. If the identity is known already, returns its person instead and
    /// writes nothing.
    async fn add_identified_user(
        &self,
        user: &User,
        issuer: &str,
        subject: &str,
        audit: AuditEntry,
    ) -> Result<User, AccountError>;

    /// Returns the person whom an identity provider knows by this subject.
    async fn user_by_identity(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// Changes a person's role, access and, if one is given, password. The last active administrator cannot lose role or
    /// access. The person's sessions and tokens end when the password changes or the access is withdrawn.
    async fn change_user(&self, user: &User, password: Option<String>, audit: AuditEntry) -> Result<(), AccountError>;

    /// Returns all people, by login.
    async fn users(&self) -> Result<Vec<User>, StoreError>;

    /// Returns a person by id.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Returns a person by login, with the hash of their password.
    async fn user_by_login(&self, login: &Login) -> Result<Option<(User, Option<String>)>, StoreError>;

    /// Adds a session.
    async fn add_session(&self, session: &Session, audit: AuditEntry) -> Result<(), StoreError>;

    /// Returns a session that has not expired at `now`, with its active person.
    async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<(Session, User)>, StoreError>;

    /// Ends a session.
    async fn end_session(&self, hash: &str) -> Result<(), StoreError>;

    /// Adds a token.
    async fn add_token(&self, token: &ApiToken, hash: &str, audit: AuditEntry) -> Result<(), StoreError>;

    /// Returns a token that has not expired at `now`, with its active person, and records the use.
    async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<(ApiToken, User)>, StoreError>;

    /// Returns a person's tokens, newest first.
    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError>;

    /// Ends a token of a person; `false` when they have no such token.
    async fn end_token(&self, user: UserId, id: TokenId, audit: AuditEntry) -> Result<bool, StoreError>;
}
