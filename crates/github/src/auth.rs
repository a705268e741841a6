//! Authentication: GitHub App installations and personal access tokens.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_domain::RepoName;
use patchwright_http::forge::{read_json, transport_error};
use patchwright_http::{HttpClient, Request, Response, Retry};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::check;
use crate::{GITHUB, wire};

/// How far a token is dated back, because GitHub's clock may be behind (GitHub recommends 60 s).
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// The lifetime of an App's token. GitHub refuses more than ten minutes.
const JWT_LIFETIME: SignedDuration = SignedDuration::from_mins(9);
/// How long before its end an installation token is renewed, so that a clone which starts now can finish.
const RENEWAL_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// The identity of a GitHub App.
#[derive(Clone)]
pub struct AppKey {
    id: String,
    key: Arc<RsaKeyPair>,
}

/// The text is not a usable private key.
#[derive(Debug, thiserror::Error)]
#[error("the GitHub App's private key cannot be used: {reason}; download a new one from the App's settings page")]
pub struct AppKeyError {
    reason: String,
}

impl AppKey {
    /// Creates an identity from the App's id (or client id) and its private key as GitHub issues it, in PEM.
    ///
    /// # Errors
    /// [`AppKeyError`] if the text is not an RSA key (PKCS#1 or PKCS#8).
    pub fn from_pem(id: impl Into<String>, pem: &Secret) -> Result<Self, AppKeyError> {
        let failed = |reason: String| AppKeyError { reason };
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_| failed("it is not a PEM file with a private key".to_owned()))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(failed("it is not an RSA key".to_owned())),
        };
        let key = key.map_err(|error| failed(format!("it is refused ({error})")))?;
        Ok(Self { id: id.into(), key: Arc::new(key) })
    }

    /// Issues a JSON web token for the App itself (RS256, nine minutes).
    pub(crate) fn token(&self, now: Timestamp) -> Secret {
        let at = |offset: SignedDuration| now.saturating_add(offset).unwrap_or(now).as_second();
        let claims = serde_json::json!({ "iat": at(-MAX_CLOCK_SKEW), "exp": at(JWT_LIFETIME), "iss": self.id });
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let signed = format!("{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(&claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("the buffer has the length of the modulus");
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppKey({})", self.id)
    }
}

/// The account that a request is sent as.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The installation; `None` for a personal access token, for the App itself and for anonymous requests.
    pub(crate) installation: Option<u64>,
    pub(crate) token: Option<Secret>,
}

/// What an installation token is for. Each is limited to one repository and to the permissions that the purpose needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TokenPurpose {
    /// Requests of this server to the API.
    Api,
    /// Check runs, which need a permission that is not needed otherwise.
    Checks,
    /// Reading check runs and statuses.
    Ci,
    /// Git, on whatever node runs the job: read and push, and nothing else.
    Git,
}

impl TokenPurpose {
    /// The permissions of the App that the purpose needs (`docs/adapters.md#github-permissions`).
    pub(crate) const fn permissions(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Api => {
                &[("contents", "write"), ("issues", "write"), ("metadata", "read"), ("pull_requests", "write")]
            }
            Self::Checks => &[("checks", "write"), ("metadata", "read")],
            Self::Ci => &[("checks", "read"), ("metadata", "read"), ("statuses", "read")],
            Self::Git => &[("contents", "write"), ("metadata", "read")],
        }
    }
}

/// A token's place in the cache.
type TokenKey = (RepoName, TokenPurpose);

/// An installation's token with its expiry, behind a lock that is held during a refresh, so that there is one at a time.
type CachedToken = Arc<tokio::sync::Mutex<Option<(Secret, Timestamp)>>>;

/// Selects accounts and caches installation tokens.
pub(crate) struct Authenticator {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    api_url: String,
    app: RwLock<Option<AppKey>>,
    token: Option<Secret>,
    installations: Mutex<HashMap<RepoName, u64>>,
    tokens: Mutex<HashMap<TokenKey, CachedToken>>,
}

impl Authenticator {
    pub(crate) fn new(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        api_url: String,
        app: Option<AppKey>,
        token: Option<Secret>,
    ) -> Self {
        let app = RwLock::new(app);
        Self { http, clock, api_url, app, token, installations: Mutex::default(), tokens: Mutex::default() }
    }

    /// Replaces the App, and drops what was cached for the former one.
    pub(crate) fn replace_app(&self, app: Option<AppKey>) {
        *self.app.write().expect("no holder of this lock can panic") = app;
        self.installations.lock().expect("no holder of this lock can panic").clear();
        self.tokens.lock().expect("no holder of this lock can panic").clear();
    }

    fn app(&self) -> Option<AppKey> {
        self.app.read().expect("no holder of this lock can panic").clone()
    }

    /// Returns a token of the App itself, for requests about the App.
    pub(crate) fn app_token(&self) -> Option<Secret> {
        self.app().map(|app| app.token(self.clock.now()))
    }

    /// Returns the account for a repository: the App's installation, or the personal access token where there is none.
    pub(crate) async fn account(&self, repo: &RepoName, purpose: TokenPurpose) -> Result<Account, ForgeError> {
        let Some(app) = self.app() else { return Ok(self.personal()) };
        match self.installation(&app, repo).await {
            Ok(installation) => {
                let token = Some(self.installation_token(&app, installation, repo, purpose).await?);
                Ok(Account { installation: Some(installation), token })
            }
            Err(ForgeError::NotFound { .. }) if self.token.is_some() => Ok(self.personal()),
            Err(ForgeError::NotFound { platform, .. }) => {
                Err(ForgeError::NotFound { platform, what: format!("an installation of the GitHub App for {repo}") })
            }
            Err(error) => Err(error),
        }
    }

    fn personal(&self) -> Account {
        Account { installation: None, token: self.token.clone() }
    }

    /// Drops the cached installation and tokens of a repository, after a token was refused.
    pub(crate) fn invalidate(&self, repo: &RepoName) {
        self.installations.lock().expect("no holder of this lock can panic").remove(repo);
        self.tokens.lock().expect("no holder of this lock can panic").retain(|(known, _), _| known != repo);
    }

    async fn installation(&self, app: &AppKey, repo: &RepoName) -> Result<u64, ForgeError> {
        let known = self.installations.lock().expect("no holder of this lock can panic").get(repo).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let what = format!("the App's installation for {repo}");
        let request = Request::get(format!("{}/repos/{repo}/installation", self.api_url));
        let response = self.call_as_app(app, request, &format!("read {what}"), &what).await?;
        let found: wire::Installation = read_json(GITHUB, &response, &format!("read {what}"))?;
        self.installations.lock().expect("no holder of this lock can panic").insert(repo.clone(), found.id);
        Ok(found.id)
    }

    async fn installation_token(
        &self,
        app: &AppKey,
        installation: u64,
        repo: &RepoName,
        purpose: TokenPurpose,
    ) -> Result<Secret, ForgeError> {
        let key = (repo.clone(), purpose);
        let cached = Arc::clone(self.tokens.lock().expect("no holder of this lock can panic").entry(key).or_default());
        let mut cached = cached.lock().await;
        let now = self.clock.now();
        if let Some((token, until)) = &*cached
            && until.duration_since(now) > RENEWAL_MARGIN
        {
            return Ok(token.clone());
        }
        let what = format!("the App's installation {installation}");
        let action = "get an installation token";
        let permissions: BTreeMap<_, _> = purpose.permissions().iter().copied().collect();
        let body = serde_json::json!({ "repositories": [repo.name()], "permissions": permissions });
        let request = Request::post(format!("{}/app/installations/{installation}/access_tokens", self.api_url));
        let request = request.json(&body);
        let response = self.call_as_app(app, request, action, &what).await?;
        let fresh: wire::AccessToken = read_json(GITHUB, &response, action)?;
        let token = Secret::new(fresh.token);
        *cached = Some((token.clone(), fresh.expires_at));
        Ok(token)
    }

    async fn call_as_app(
        &self,
        app: &AppKey,
        request: Request,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        let request = crate::client::with_api_headers(request).bearer(&app.token(self.clock.now()));
        // Retried even for POST: a second installation token has no other effect.
        let response = self.http.send(request, Retry::Safe).await.map_err(|error| transport_error(GITHUB, error))?;
        check(response, action, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_a5_the_documented_permissions_are_those_that_are_requested() {
        let docs = include_str!("../../../docs/adapters.md");
        for (purpose, row) in [
            (TokenPurpose::Api, "API"),
            (TokenPurpose::Checks, "check runs"),
            (TokenPurpose::Ci, "CI"),
            (TokenPurpose::Git, "git"),
        ] {
            let permissions: Vec<String> =
                purpose.permissions().iter().map(|(name, access)| format!("{name}: {access}")).collect();
            let line = format!("| {row} | {} |", permissions.join(", "));
            assert!(docs.contains(&line), "docs/adapters.md lacks {line}");
        }
    }
}
