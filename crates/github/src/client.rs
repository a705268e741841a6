//! The client that all calls go through: accounts, conditional requests, rate limits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchwright_core::Secret;
use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_domain::RepoName;
use patchwright_http::forge::transport_error;
use patchwright_http::{EtagCache, HttpClient, RateLimitCooldown, Request, Response, Retry};
use tokio::sync::OnceCell;

use crate::GITHUB;
use crate::auth::{Account, AppKey, Authenticator, TokenPurpose};
use crate::error::check;

/// The version of the REST API that this crate is written against.
const API_VERSION: &str = "2022-11-28";
/// The pause after a secondary rate limit whose response names no wait ("wait for at least one minute", GitHub's REST docs).
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(60);

/// Addresses and credentials of a GitHub installation.
#[derive(Debug, Clone)]
pub struct GithubOptions {
    /// `https://api.github.com`, or `https://HOST/api/v3` on Enterprise Server.
    pub api_url: String,
    /// `https://api.github.com/graphql`, or `https://HOST/api/graphql`.
    pub graphql_url: String,
    /// `https://github.com`, or `https://HOST`. Repositories are cloned from `{clone_url}/{owner}/{name}.git`.
    pub clone_url: String,
    /// The App, used in the repositories where it is installed.
    pub app: Option<AppKey>,
    /// A personal access token, used in other repositories. Without both, requests are anonymous.
    pub token: Option<Secret>,
}

impl Default for GithubOptions {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".to_owned(),
            graphql_url: "https://api.github.com/graphql".to_owned(),
            clone_url: "https://github.com".to_owned(),
            app: None,
            token: None,
        }
    }
}

/// The forge port over GitHub's APIs.
pub struct GithubForge {
    pub(crate) http: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: GithubOptions,
    pub(crate) auth: Authenticator,
    own_login: Mutex<Arc<OnceCell<String>>>,
    /// By installation; `None` is the personal access token.
    cooldown: RateLimitCooldown<Option<u64>>,
    etags: EtagCache,
}

impl GithubForge {
    /// Creates a forge that sends its requests through `http`.
    pub fn new(http: HttpClient, clock: Arc<dyn Clock>, options: GithubOptions) -> Self {
        let api_url = options.api_url.trim_end_matches('/').to_owned();
        let options = GithubOptions { api_url: api_url.clone(), ..options };
        let (app, token) = (options.app.clone(), options.token.clone());
        let auth = Authenticator::new(http.clone(), Arc::clone(&clock), api_url, app, token);
        let (own_login, cooldown, etags) = (Mutex::default(), RateLimitCooldown::default(), EtagCache::default());
        Self { http, clock, options, auth, own_login, cooldown, etags }
    }

    /// Replaces the App, for the calls that begin afterwards. The personal access token stays.
    pub fn replace_app(&self, app: Option<AppKey>) {
        self.auth.replace_app(app);
        *self.own_login.lock().expect("no holder of this lock can panic") = Arc::default();
    }

    /// The login of the present account, once it is known.
    pub(crate) fn own_login_cell(&self) -> Arc<OnceCell<String>> {
        Arc::clone(&self.own_login.lock().expect("no holder of this lock can panic"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.api_url)
    }

    pub(crate) fn repo_url(&self, repo: &RepoName, path: &str) -> String {
        self.url(&format!("/repos/{repo}{path}"))
    }

    /// Sends a request as the account for a repository and checks the status.
    pub(crate) async fn call(
        &self,
        repo: &RepoName,
        request: Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        self.call_for(TokenPurpose::Api, repo, request, retry, action, what).await
    }

    /// Does the same with a token for a purpose.
    pub(crate) async fn call_for(
        &self,
        purpose: TokenPurpose,
        repo: &RepoName,
        request: Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        let account = self.auth.account(repo, purpose).await?;
        let response = self.send(&account, request.clone(), retry).await?;
        let response = match account.installation {
            // A refused request had no effect, so it may be repeated with a new token.
            Some(_) if response.status == 401 => {
                self.auth.invalidate(repo);
                self.send(&self.auth.account(repo, purpose).await?, request, retry).await?
            }
            _ => response,
        };
        check(response, action, what)
    }

    /// Reads an object of a repository with a conditional request.
    pub(crate) async fn read(&self, repo: &RepoName, request: Request, what: &str) -> Result<Response, ForgeError> {
        let key = self
            .auth
            .account(repo, TokenPurpose::Api)
            .await?
            .installation
            .map_or_else(String::new, |id| id.to_string());
        let conditional = self.etags.make_conditional(request.clone(), &key);
        match self.call(repo, conditional, Retry::Safe, &format!("read {what}"), what).await {
            Ok(response) => Ok(self.etags.resolve(&request, &key, response)),
            Err(error) => Err(error),
        }
    }

    /// Sends a request as an account, unless the account is rate limited.
    pub(crate) async fn send(&self, account: &Account, request: Request, retry: Retry) -> Result<Response, ForgeError> {
        if let Some(after) = self.cooldown.remaining(&account.installation, self.clock.now()) {
            return Err(ForgeError::RateLimited { platform: GITHUB, after: Some(after) });
        }
        let request = match &account.token {
            Some(token) => with_api_headers(request).bearer(token),
            None => with_api_headers(request),
        };
        let response = self.http.send(request, retry).await.map_err(|error| transport_error(GITHUB, error))?;
        if crate::error::is_rate_limited(&response) {
            let wait = response.wait_hint().unwrap_or(DEFAULT_COOLDOWN);
            self.cooldown.start(account.installation, self.clock.now(), wait);
            return Err(ForgeError::RateLimited { platform: GITHUB, after: Some(wait) });
        }
        Ok(response)
    }
}

impl std::fmt::Debug for GithubForge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GithubForge").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(crate) fn with_api_headers(request: Request) -> Request {
    request.header("accept", "application/vnd.github+json").header("x-github-api-version", API_VERSION)
}
