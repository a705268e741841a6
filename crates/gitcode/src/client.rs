//! The client that all calls go through.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_domain::RepoName;
use patchwright_http::forge::transport_error;
use patchwright_http::{HttpClient, RateLimitCooldown, Request, Response, Retry};
use tokio::sync::OnceCell;

use crate::GITCODE;
use crate::error::{DEFAULT_COOLDOWN, check};

/// The header that carries the token. Both are documented; some gateways accept only one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenForm {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// `PRIVATE-TOKEN: …`
    PrivateToken,
}

/// Addresses and credentials of a GitCode installation.
#[derive(Debug, Clone)]
pub struct GitcodeOptions {
    /// `https://api.gitcode.com/api/v5`
    pub api_url: String,
    /// `https://gitcode.com`. Repositories are cloned from `{clone_url}/{owner}/{name}.git`.
    pub clone_url: String,
    /// A personal access token; without one, requests are anonymous.
    pub token: Option<Secret>,
    /// The header that carries the token.
    pub token_form: TokenForm,
}

impl Default for GitcodeOptions {
    fn default() -> Self {
        Self {
            api_url: "https://api.gitcode.com/api/v5".to_owned(),
            clone_url: "https://gitcode.com".to_owned(),
            token: None,
            token_form: TokenForm::Bearer,
        }
    }
}

/// The forge port over GitCode's API v5.
pub struct GitcodeForge {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    pub(crate) options: GitcodeOptions,
    pub(crate) own_login: OnceCell<String>,
    cooldown: RateLimitCooldown<()>,
}

impl GitcodeForge {
    /// Creates a forge that sends its requests through `http`.
    pub fn new(http: HttpClient, clock: Arc<dyn Clock>, options: GitcodeOptions) -> Self {
        Self { http, clock, options, own_login: OnceCell::new(), cooldown: RateLimitCooldown::default() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.api_url.trim_end_matches('/'))
    }

    pub(crate) fn repo_url(&self, repo: &RepoName, path: &str) -> String {
        self.url(&format!("/repos/{repo}{path}"))
    }

    pub(crate) fn page(&self, repo: &RepoName, path: &str) -> String {
        format!("{}/{repo}{path}", self.options.clone_url.trim_end_matches('/'))
    }

    pub(crate) async fn call(
        &self,
        request: Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        if let Some(after) = self.cooldown.remaining(&(), self.clock.now()) {
            return Err(ForgeError::RateLimited { platform: GITCODE, after: Some(after) });
        }
        let request = request.header("accept", "application/json");
        let request = match (&self.options.token, self.options.token_form) {
            (Some(token), TokenForm::Bearer) => request.bearer(token),
            (Some(token), TokenForm::PrivateToken) => request.secret_header("private-token", token),
            (None, _) => request,
        };
        let response = self.http.send(request, retry).await.map_err(|error| transport_error(GITCODE, error))?;
        if response.status == 429 {
            self.cooldown.start((), self.clock.now(), response.wait_hint().unwrap_or(DEFAULT_COOLDOWN));
        }
        check(response, action, what)
    }

    pub(crate) async fn read(&self, request: Request, what: &str) -> Result<Response, ForgeError> {
        self.call(request, Retry::Safe, &format!("read {what}"), what).await
    }
}

impl std::fmt::Debug for GitcodeForge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitcodeForge").field("options", &self.options).finish_non_exhaustive()
    }
}
