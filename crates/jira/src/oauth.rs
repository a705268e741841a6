//! OAuth 2.0 with the authorization code (3LO), as Atlassian has it: no PKCE, refresh tokens that work once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_core::jira::Tokens;
use patchwright_http::{HttpClient, HttpError, Request, Response, Retry};

use crate::wire::{Grant, Me, Resource, TokenAnswer, TokenError};

/// How long one call may take: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an access token is good for when the answer does not say.
const DEFAULT_LIFE: i64 = 3_600;

/// Our application at Atlassian.
#[derive(Debug, Clone)]
pub struct OauthOptions {
    /// `https://auth.atlassian.com/authorize`
    pub auth_url: String,
    /// `https://auth.atlassian.com/oauth/token`
    pub token_url: String,
    /// `https://api.atlassian.com/oauth/token/accessible-resources`
    pub resources_url: String,
    /// `https://api.atlassian.com/me`
    pub me_url: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// Where people come back to; as it is registered at Atlassian.
    pub redirect_uri: String,
    /// What we ask for, separated by spaces.
    pub scopes: String,
}

/// A site that a person let us into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Atlassian's id of it.
    pub cloud_id: String,
    /// Its host, in lower case.
    pub host: String,
    /// What people call it.
    pub name: String,
}

/// Who a person is at Atlassian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub account: String,
    /// The name that is shown.
    pub name: String,
}

/// It did not work.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    /// The code or the refresh token is spent, wrong or withdrawn: the person must consent again.
    #[error("Atlassian did not accept it ({0}); link the account again")]
    Denied(String),
    /// Our application is not set up rightly.
    #[error(
        "Atlassian does not know this application ({0}); check JIRA_CLIENT_ID, JIRA_CLIENT_SECRET and JIRA_REDIRECT_URI"
    )]
    Application(String),
    /// Atlassian cannot be reached, or answers nonsense; later may be better.
    #[error("Atlassian cannot be reached or fails ({0}); try again later")]
    Unavailable(String),
}

impl From<HttpError> for OauthError {
    fn from(error: HttpError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Our application at Atlassian, and what it can do.
#[derive(Debug, Clone)]
pub struct JiraOauth {
    http: HttpClient,
    options: OauthOptions,
}

impl JiraOauth {
    /// The application over this client.
    pub const fn new(http: HttpClient, options: OauthOptions) -> Self {
        Self { http, options }
    }

    /// How it is set up.
    pub const fn options(&self) -> &OauthOptions {
        &self.options
    }

    /// Where a person is sent to consent. `state` comes back with them.
    ///
    /// # Errors
    /// [`OauthError::Application`] when the configured address is none.
    pub fn authorization_url(&self, state: &str) -> Result<String, OauthError> {
        let mut url = url::Url::parse(&self.options.auth_url)
            .map_err(|error| OauthError::Application(format!("JIRA_AUTH_URL: {error}")))?;
        url.query_pairs_mut()
            .append_pair("audience", "api.atlassian.com")
            .append_pair("client_id", &self.options.client_id)
            .append_pair("scope", &self.options.scopes)
            .append_pair("redirect_uri", &self.options.redirect_uri)
            .append_pair("state", state)
            .append_pair("response_type", "code")
            .append_pair("prompt", "consent");
        Ok(url.into())
    }

    /// Exchanges the code that a person came back with.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn exchange(&self, code: &str, now: Timestamp) -> Result<Tokens, OauthError> {
        let OauthOptions { client_id, client_secret, redirect_uri, .. } = &self.options;
        let grant = Grant::AuthorizationCode { client_id, client_secret: client_secret.expose(), code, redirect_uri };
        self.grant(&grant, now).await
    }

    /// Exchanges a refresh token. It is spent then, whatever comes back.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn refresh(&self, refresh: &Secret, now: Timestamp) -> Result<Tokens, OauthError> {
        let OauthOptions { client_id, client_secret, .. } = &self.options;
        let refresh_token = refresh.expose();
        let grant = Grant::RefreshToken { client_id, client_secret: client_secret.expose(), refresh_token };
        self.grant(&grant, now).await
    }

    async fn grant(&self, grant: &Grant<'_>, now: Timestamp) -> Result<Tokens, OauthError> {
        let request = Request::post(&self.options.token_url).json(grant).timeout(PATIENCE);
        // A code and a refresh token work once: a second try of the same could end the grant.
        let response = self.http.send(request, Retry::Never).await?;
        if !response.is_success() {
            return Err(refusal(&response));
        }
        let answer: TokenAnswer = read(&response)?;
        let life = if answer.expires_in > 0 { answer.expires_in } else { DEFAULT_LIFE };
        Ok(Tokens {
            access: Secret::new(answer.access_token),
            expires_at: now.saturating_add(SignedDuration::from_secs(life)).unwrap_or(now),
            refresh: answer.refresh_token.map(Secret::new),
        })
    }

    /// The sites that a token opens.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn sites(&self, access: &Secret) -> Result<Vec<Site>, OauthError> {
        let found: Vec<Resource> = self.ask(&self.options.resources_url, access).await?;
        let host = |url: &str| Some(url::Url::parse(url).ok()?.host_str()?.to_ascii_lowercase());
        let site =
            |resource: Resource| Some(Site { host: host(&resource.url)?, cloud_id: resource.id, name: resource.name });
        Ok(found.into_iter().filter_map(site).collect())
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn person(&self, access: &Secret) -> Result<Person, OauthError> {
        let me: Me = self.ask(&self.options.me_url, access).await?;
        Ok(Person { account: me.account_id, name: me.name })
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, url: &str, access: &Secret) -> Result<T, OauthError> {
        let request = Request::get(url).bearer(access).header("accept", "application/json").timeout(PATIENCE);
        let response = self.http.send(request, Retry::Safe).await?;
        if response.is_success() { read(&response) } else { Err(refusal(&response)) }
    }
}

fn read<T: serde::de::DeserializeOwned>(response: &Response) -> Result<T, OauthError> {
    response.json().map_err(|error| OauthError::Unavailable(format!("an answer makes no sense: {error}")))
}

fn refusal(response: &Response) -> OauthError {
    let said: TokenError = response.json().unwrap_or_default();
    let words = [said.error.as_str(), said.error_description.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let detail: String = if words.is_empty() { format!("status {}", response.status) } else { words.join(": ") };
    let detail = detail.chars().filter(|c| !c.is_control()).take(200).collect();
    match (response.status, said.error.as_str()) {
        (_, "invalid_client" | "unauthorized_client" | "access_denied") => OauthError::Application(detail),
        (500.. | 408 | 429, _) => OauthError::Unavailable(detail),
        _ => OauthError::Denied(detail),
    }
}
