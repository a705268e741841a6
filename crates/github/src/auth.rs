//! Who we are on GitHub: an application with a key of its own, or the owner of a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_domain::RepoName;
use patchwright_http::forge::{read_json, unreachable};
use patchwright_http::{HttpClient, Request, Response, Retry};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::check;
use crate::{GITHUB, wire};

/// GitHub's clock may be behind ours.
const BACKDATED: SignedDuration = SignedDuration::from_secs(60);
/// GitHub refuses more than ten minutes.
const JWT_LIFE: SignedDuration = SignedDuration::from_mins(9);
/// A token is renewed this long before it ends: a clone that begins now must still be able to finish.
const RENEW_EARLY: SignedDuration = SignedDuration::from_mins(5);

/// A GitHub App's identity.
#[derive(Clone)]
pub struct AppKey {
    id: String,
    key: Arc<RsaKeyPair>,
}

/// The key is none.
#[derive(Debug, thiserror::Error)]
#[error("the GitHub App's private key cannot be used: {reason}; download a new one from the App's settings page")]
pub struct AppKeyError {
    reason: String,
}

impl AppKey {
    /// The App's id (or client id) and its private key as GitHub hands it out, a PEM file.
    ///
    /// # Errors
    /// [`AppKeyError`] when the text is no RSA key.
    pub fn from_pem(id: impl Into<String>, pem: &Secret) -> Result<Self, AppKeyError> {
        let failed = |reason: String| AppKeyError { reason };
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_| failed("it is no PEM file with a private key".to_owned()))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(failed("it is no RSA key".to_owned())),
        };
        let key = key.map_err(|error| failed(format!("it is refused ({error})")))?;
        Ok(Self { id: id.into(), key: Arc::new(key) })
    }

    /// A JSON web token that says who we are, for some minutes (RS256).
    pub(crate) fn token(&self, now: Timestamp) -> Secret {
        let at = |moved: SignedDuration| now.saturating_add(moved).unwrap_or(now).as_second();
        let claims = serde_json::json!({ "iat": at(-BACKDATED), "exp": at(JWT_LIFE), "iss": self.id });
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

/// A token and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The installation; `None` for the owner of a personal token, and for nobody.
    pub(crate) installation: Option<u64>,
    pub(crate) token: Option<Secret>,
}

/// An installation's token with its end, behind a lock that is held while a new one is fetched: one refresh at a time.
type Cached = Arc<tokio::sync::Mutex<Option<(Secret, Timestamp)>>>;

/// Hands out tokens.
pub(crate) struct Authenticator {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    api_url: String,
    app: Option<AppKey>,
    token: Option<Secret>,
    installations: Mutex<HashMap<RepoName, u64>>,
    tokens: Mutex<HashMap<u64, Cached>>,
}

impl Authenticator {
    pub(crate) fn new(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        api_url: String,
        app: Option<AppKey>,
        token: Option<Secret>,
    ) -> Self {
        Self { http, clock, api_url, app, token, installations: Mutex::default(), tokens: Mutex::default() }
    }

    /// The App's own token, for what is asked about the App itself.
    pub(crate) fn app_token(&self) -> Option<Secret> {
        self.app.as_ref().map(|app| app.token(self.clock.now()))
    }

    /// Who acts in a repository: the App where it is installed, else the personal token.
    pub(crate) async fn account(&self, repo: &RepoName) -> Result<Account, ForgeError> {
        let Some(app) = &self.app else { return Ok(self.personal()) };
        match self.installation(app, repo).await {
            Ok(installation) => {
                let token = Some(self.installation_token(app, installation).await?);
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

    /// Forgets what is known of an account: its token was refused, or the App is installed anew.
    pub(crate) fn forget(&self, repo: &RepoName, installation: u64) {
        self.installations.lock().expect("no holder of this lock can panic").remove(repo);
        self.tokens.lock().expect("no holder of this lock can panic").remove(&installation);
    }

    async fn installation(&self, app: &AppKey, repo: &RepoName) -> Result<u64, ForgeError> {
        let known = self.installations.lock().expect("no holder of this lock can panic").get(repo).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let what = format!("the App's installation for {repo}");
        let request = Request::get(format!("{}/repos/{repo}/installation", self.api_url));
        let response = self.as_app(app, request, &format!("read {what}"), &what).await?;
        let found: wire::Installation = read_json(GITHUB, &response, &format!("read {what}"))?;
        self.installations.lock().expect("no holder of this lock can panic").insert(repo.clone(), found.id);
        Ok(found.id)
    }

    async fn installation_token(&self, app: &AppKey, installation: u64) -> Result<Secret, ForgeError> {
        let cached =
            Arc::clone(self.tokens.lock().expect("no holder of this lock can panic").entry(installation).or_default());
        let mut cached = cached.lock().await;
        let now = self.clock.now();
        if let Some((token, until)) = &*cached
            && until.duration_since(now) > RENEW_EARLY
        {
            return Ok(token.clone());
        }
        let what = format!("the App's installation {installation}");
        let action = "get an installation token";
        let request = Request::post(format!("{}/app/installations/{installation}/access_tokens", self.api_url));
        let response = self.as_app(app, request, action, &what).await?;
        let fresh: wire::AccessToken = read_json(GITHUB, &response, action)?;
        let token = Secret::new(fresh.token);
        *cached = Some((token.clone(), fresh.expires_at));
        Ok(token)
    }

    async fn as_app(&self, app: &AppKey, request: Request, action: &str, what: &str) -> Result<Response, ForgeError> {
        let request = crate::client::dress(request).bearer(&app.token(self.clock.now()));
        // A second token does no harm.
        let response = self.http.send(request, Retry::Safe).await.map_err(|error| unreachable(GITHUB, error))?;
        check(response, action, what)
    }
}
