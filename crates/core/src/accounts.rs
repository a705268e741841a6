//! Who may come in: people, their sessions and their tokens. Secrets are kept as hashes only.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::user::{Login, Scope, User};
use patchwright_domain::{TokenId, UserId};

use crate::store::StoreError;

/// What a person, a session or a token is looked up by: the SHA-256 of the secret, in hexadecimal digits.
pub type SecretHash = String;

/// A person who has logged in with a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Of the cookie's value.
    pub hash: SecretHash,
    /// Who.
    pub user_id: UserId,
    /// What unsafe requests must carry beside the cookie.
    pub csrf: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// A token for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Ours.
    pub id: TokenId,
    /// Whose rights it has.
    pub user_id: UserId,
    /// What its person calls it.
    pub name: String,
    /// How much of those rights.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}

/// It could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Somebody has the login.
    #[error("there is a user `{0}` already")]
    Taken(Login),
    /// The last administrator would lose the role or the access, and nobody could give them back.
    #[error("this is the last active administrator; make another one first")]
    LastAdmin,
    /// There is no such user.
    #[error("there is no such user")]
    NoSuchUser,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps people and what they come in with.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Adds a person. `password` is a hash in PHC form; without one nobody can log in with a password.
    async fn add_user(&self, user: &User, password: Option<String>) -> Result<(), AccountError>;

    /// Adds a person whom a provider knows. When somebody has come with this identity meanwhile, that is who is returned.
    async fn add_identified_user(&self, user: &User, issuer: &str, subject: &str) -> Result<User, AccountError>;

    /// The person whom a provider knows by this subject.
    async fn user_by_identity(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// Changes a person's role, access or, when one is given, password; the last administrator stays one. Their
    /// sessions and tokens end when the password changes or the access goes.
    async fn change_user(&self, user: &User, password: Option<String>) -> Result<(), AccountError>;

    /// All people, by login.
    async fn users(&self) -> Result<Vec<User>, StoreError>;

    /// A person.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// A person by login, with the hash of their password.
    async fn user_by_login(&self, login: &Login) -> Result<Option<(User, Option<String>)>, StoreError>;

    /// Begins a session.
    async fn add_session(&self, session: &Session) -> Result<(), StoreError>;

    /// A session that has not ended at `now`, with its active person.
    async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<(Session, User)>, StoreError>;

    /// Ends a session.
    async fn end_session(&self, hash: &str) -> Result<(), StoreError>;

    /// Adds a token.
    async fn add_token(&self, token: &ApiToken, hash: &str) -> Result<(), StoreError>;

    /// A token that has not ended at `now`, with its active person; notes the use.
    async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<(ApiToken, User)>, StoreError>;

    /// A person's tokens, newest first.
    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError>;

    /// Ends a token of a person; `false` when they have no such one.
    async fn end_token(&self, user: UserId, id: TokenId) -> Result<bool, StoreError>;
}
