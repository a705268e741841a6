//! Linking a user's Atlassian account: OAuth 2.0 with the authorization code.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::jira::Tokens;
use crate::secret::Secret;

/// A Jira site that a user granted access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedSite {
    /// Atlassian's id of the site.
    pub cloud_id: String,
    /// The site's host, in lower case.
    pub host: String,
}

/// The Atlassian account of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtlassianAccount {
    /// The account id.
    pub account: String,
    /// The display name.
    pub name: String,
}

/// A step of the authorization failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JiraOauthError {
    /// The code is spent, wrong or withdrawn: the user must consent again.
    #[error("Atlassian did not accept the authorization ({0}); link the account again")]
    Denied(String),
    /// Atlassian does not accept the application's id, secret or redirect address.
    #[error(
        "Atlassian does not accept this application ({0}); check its client id, client secret and redirect address"
    )]
    Application(String),
    /// Atlassian cannot be reached, or its response cannot be read.
    #[error("Atlassian cannot be reached or fails ({0}); try again later")]
    Unavailable(String),
}

/// The OAuth 2.0 application at Atlassian.
#[async_trait]
pub trait JiraOauth: Send + Sync {
    /// Returns the redirect address that is registered at Atlassian.
    fn redirect_uri(&self) -> &str;

    /// Returns the scopes that users are asked for, separated by spaces.
    fn scopes(&self) -> &str;

    /// Returns the address that a user is sent to for consent; `state` comes back with the code.
    fn authorization_url(&self, state: &str) -> Result<String, JiraOauthError>;

    /// Exchanges an authorization code for tokens. A code works once.
    async fn exchange(&self, code: &str, now: Timestamp) -> Result<Tokens, JiraOauthError>;

    /// Returns the sites that the user granted access to.
    async fn sites(&self, access: &Secret) -> Result<Vec<GrantedSite>, JiraOauthError>;

    /// Returns the account of the user.
    async fn account(&self, access: &Secret) -> Result<AtlassianAccount, JiraOauthError>;
}
