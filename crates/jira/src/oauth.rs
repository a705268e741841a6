//! Atlassian's OAuth 2.0 with the authorization code grant (3LO): no PKCE, and refresh tokens that work once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_core::jira::Tokens;
use patchwright_http::{HttpClient, HttpError, Request, Response, Retry};

use crate::wire::{Grant, Me, Resource, TokenAnswer, TokenError};

/// The time limit for one call. A user waits for it in the browser.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The lifetime of an access token if the response does not name it.
const DEFAULT_TOKEN_LIFETIME_SECS: i64 = 3_600;
/// The longest message of Atlassian that an error repeats, in characters.
const MAX_DETAIL_CHARS: usize = 200;

/// An OAuth 2.0 application at Atlassian, and the addresses of Atlassian's services.
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
    /// The redirect address that is registered at Atlassian.
    pub redirect_uri: String,
    /// The requested scopes, separated by spaces.
    pub scopes: String,
}

/// A site to which a user has granted access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Atlassian's id of the site.
    pub cloud_id: String,
    /// The site's host, in lower case.
    pub host: String,
    /// The site's display name.
    pub name: String,
}

/// A user's Atlassian account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The account id.
    pub account: String,
    /// The display name.
    pub name: String,
}

/// A step of the authorization failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OauthError {
    /// The code or the refresh token is used, wrong or withdrawn: the user must consent again.
    #[error("Atlassian did not accept it ({0}); link the account again")]
    Denied(String),
    /// Atlassian does not accept the application. One of the [`OauthOptions`] is wrong.
    #[error(
        "Atlassian does not know this application ({0}); check its OauthOptions::client_id, client_secret and \
         redirect_uri"
    )]
    Application(String),
    /// Atlassian cannot be reached, or its response cannot be read. A retry may help.
    #[error("Atlassian cannot be reached or fails ({0}); try again later")]
    Unavailable(String),
}

impl From<HttpError> for OauthError {
    fn from(error: HttpError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The client of Atlassian's authorization server for one application.
#[derive(Debug, Clone)]
pub struct JiraOauth {
    http: HttpClient,
    options: OauthOptions,
}

impl JiraOauth {
    /// Creates a client that sends its requests through `http`.
    pub const fn new(http: HttpClient, options: OauthOptions) -> Self {
        Self { http, options }
    }

    /// Returns the application's options.
    pub const fn options(&self) -> &OauthOptions {
        &self.options
    }

    /// Returns the address of the consent page. Atlassian passes `state` back to the redirect address.
    ///
    /// # Errors
    /// [`OauthError::Application`] if [`OauthOptions::auth_url`] is not an address.
    pub fn authorization_url(&self, state: &str) -> Result<String, OauthError> {
        let mut url = url::Url::parse(&self.options.auth_url)
            .map_err(|error| OauthError::Application(format!("OauthOptions::auth_url: {error}")))?;
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

    /// Exchanges an authorization code for tokens. A code works once.
    ///
    /// # Errors
    /// [`OauthError::Denied`] for a used or wrong code.
    pub async fn exchange(&self, code: &str, now: Timestamp) -> Result<Tokens, OauthError> {
        let OauthOptions { client_id, client_secret, redirect_uri, .. } = &self.options;
        let grant = Grant::AuthorizationCode { client_id, client_secret: client_secret.expose(), code, redirect_uri };
        self.grant(&grant, now).await
    }

    /// Exchanges a refresh token for new tokens. A refresh token works once, whatever the outcome.
    ///
    /// # Errors
    /// [`OauthError::Denied`] for a used or withdrawn token.
    pub async fn refresh(&self, refresh: &Secret, now: Timestamp) -> Result<Tokens, OauthError> {
        let OauthOptions { client_id, client_secret, .. } = &self.options;
        let refresh_token = refresh.expose();
        let grant = Grant::RefreshToken { client_id, client_secret: client_secret.expose(), refresh_token };
        self.grant(&grant, now).await
    }

    async fn grant(&self, grant: &Grant<'_>, now: Timestamp) -> Result<Tokens, OauthError> {
        let request = Request::post(&self.options.token_url).json(grant).timeout(REQUEST_TIMEOUT);
        // Not retried: codes and refresh tokens work once, and a repetition can revoke the grant.
        let response = self.http.send(request, Retry::Never).await?;
        if !response.is_success() {
            return Err(classify(&response));
        }
        let answer: TokenAnswer = decode(&response)?;
        let lifetime = if answer.expires_in > 0 { answer.expires_in } else { DEFAULT_TOKEN_LIFETIME_SECS };
        Ok(Tokens {
            access: Secret::new(answer.access_token),
            expires_at: now.saturating_add(SignedDuration::from_secs(lifetime)).unwrap_or(now),
            refresh: answer.refresh_token.map(Secret::new),
        })
    }

    /// Returns the sites that an access token grants access to.
    ///
    /// # Errors
    /// [`OauthError`] if the call fails.
    pub async fn sites(&self, access: &Secret) -> Result<Vec<Site>, OauthError> {
        let found: Vec<Resource> = self.get(&self.options.resources_url, access).await?;
        let host = |url: &str| Some(url::Url::parse(url).ok()?.host_str()?.to_ascii_lowercase());
        let site =
            |resource: Resource| Some(Site { host: host(&resource.url)?, cloud_id: resource.id, name: resource.name });
        Ok(found.into_iter().filter_map(site).collect())
    }

    /// Returns the account that an access token belongs to.
    ///
    /// # Errors
    /// [`OauthError`] if the call fails.
    pub async fn person(&self, access: &Secret) -> Result<Person, OauthError> {
        let me: Me = self.get(&self.options.me_url, access).await?;
        Ok(Person { account: me.account_id, name: me.name })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str, access: &Secret) -> Result<T, OauthError> {
        let request = Request::get(url).bearer(access).header("accept", "application/json").timeout(REQUEST_TIMEOUT);
        let response = self.http.send(request, Retry::Safe).await?;
        if response.is_success() { decode(&response) } else { Err(classify(&response)) }
    }
}

fn decode<T: serde::de::DeserializeOwned>(response: &Response) -> Result<T, OauthError> {
    response.json().map_err(|error| OauthError::Unavailable(format!("invalid response: {error}")))
}

fn classify(response: &Response) -> OauthError {
    let answer: TokenError = response.json().unwrap_or_default();
    let parts = [answer.error.as_str(), answer.error_description.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let detail: String = if parts.is_empty() { format!("status {}", response.status) } else { parts.join(": ") };
    let detail = detail.chars().filter(|c| !c.is_control()).take(MAX_DETAIL_CHARS).collect();
    match (response.status, answer.error.as_str()) {
        (_, "invalid_client" | "unauthorized_client" | "access_denied") => OauthError::Application(detail),
        (500.. | 408 | 429, _) => OauthError::Unavailable(detail),
        _ => OauthError::Denied(detail),
    }
}
