//! The client below all calls: who asks, what was answered before, and when to be silent.

use std::sync::Arc;
use std::time::Duration;

use patchwright_core::Secret;
use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_domain::RepoName;
use patchwright_http::forge::unreachable;
use patchwright_http::{Etags, HttpClient, RateGate, Request, Response, Retry};
use tokio::sync::OnceCell;

use crate::GITHUB;
use crate::auth::{Account, AppKey, Authenticator};
use crate::error::check;

/// The version of the REST API that this crate was written against.
const API_VERSION: &str = "2022-11-28";
/// How long GitHub wants silence when it does not say (secondary limits).
const SILENCE: Duration = Duration::from_secs(60);

/// Where GitHub is, and who we are there.
#[derive(Debug, Clone)]
pub struct GithubOptions {
    /// `https://api.github.com`, or `https://HOST/api/v3` on Enterprise Server.
    pub api_url: String,
    /// `https://api.github.com/graphql`, or `https://HOST/api/graphql`.
    pub graphql_url: String,
    /// `https://github.com`, or `https://HOST`: repositories are cloned from `{clone_url}/{owner}/{name}.git`.
    pub clone_url: String,
    /// The App that we act as, where it is installed.
    pub app: Option<AppKey>,
    /// A personal access token, for where the App is not; without both, public things are read only.
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

/// GitHub.
pub struct GithubForge {
    pub(crate) http: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: GithubOptions,
    pub(crate) auth: Authenticator,
    pub(crate) own_login: OnceCell<String>,
    gate: RateGate<Option<u64>>,
    etags: Etags,
}

impl GithubForge {
    /// GitHub over this client.
    pub fn new(http: HttpClient, clock: Arc<dyn Clock>, options: GithubOptions) -> Self {
        let api_url = options.api_url.trim_end_matches('/').to_owned();
        let options = GithubOptions { api_url: api_url.clone(), ..options };
        let (app, token) = (options.app.clone(), options.token.clone());
        let auth = Authenticator::new(http.clone(), Arc::clone(&clock), api_url, app, token);
        let (own_login, gate, etags) = (OnceCell::new(), RateGate::default(), Etags::default());
        Self { http, clock, options, auth, own_login, gate, etags }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.api_url)
    }

    pub(crate) fn repo_url(&self, repo: &RepoName, path: &str) -> String {
        self.url(&format!("/repos/{repo}{path}"))
    }

    /// Makes a call for a repository.
    pub(crate) async fn call(
        &self,
        repo: &RepoName,
        request: Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        let account = self.auth.account(repo).await?;
        let response = self.send(&account, request.clone(), retry).await?;
        let response = match account.installation {
            // Refused means not carried out, so that once more with a fresh token is no second time.
            Some(installation) if response.status == 401 => {
                self.auth.forget(repo, installation);
                self.send(&self.auth.account(repo).await?, request, retry).await?
            }
            _ => response,
        };
        check(response, action, what)
    }

    /// Reads something of a repository; what has not changed since does not count against the limit.
    pub(crate) async fn read(&self, repo: &RepoName, request: Request, what: &str) -> Result<Response, ForgeError> {
        let key = self.auth.account(repo).await?.installation.map_or_else(String::new, |id| id.to_string());
        let asked = self.etags.ask(request.clone(), &key);
        match self.call(repo, asked, Retry::Safe, &format!("read {what}"), what).await {
            Ok(response) => Ok(self.etags.settle(&request, &key, response)),
            Err(error) => Err(error),
        }
    }

    /// Sends a request as an account, unless GitHub wants silence from it.
    pub(crate) async fn send(&self, account: &Account, request: Request, retry: Retry) -> Result<Response, ForgeError> {
        if let Some(after) = self.gate.closed_for(&account.installation, self.clock.now()) {
            return Err(ForgeError::RateLimited { platform: GITHUB, after: Some(after) });
        }
        let request = match &account.token {
            Some(token) => dress(request).bearer(token),
            None => dress(request),
        };
        let response = self.http.send(request, retry).await.map_err(|error| unreachable(GITHUB, error))?;
        if crate::error::is_limit(&response) {
            let wait = response.wait_hint().unwrap_or(SILENCE);
            self.gate.close(account.installation, self.clock.now(), wait);
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

pub(crate) fn dress(request: Request) -> Request {
    request.header("accept", "application/vnd.github+json").header("x-github-api-version", API_VERSION)
}
