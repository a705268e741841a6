//! Login at a provider (`OpenID` Connect): discovery, the code flow with PKCE, and an ID token that is checked.

mod login;
mod token;
mod transaction;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_http::{HttpClient, Request, Response, Retry};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use self::token::{Claims, Expected, Jwks};
use self::transaction::Transaction;

pub use self::login::Oidc;

/// How long a provider's metadata is cached.
const CACHE_LIFETIME: Duration = Duration::from_secs(3600);
/// The shortest time between two reads of the keys: tokens with unknown keys must not cause requests.
const MIN_KEY_REFRESH: Duration = Duration::from_secs(30);

/// Options of the login provider.
#[derive(Debug, Clone)]
pub struct OidcOptions {
    /// The issuer, exactly as in its tokens.
    pub issuer: String,
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: Secret,
    /// The scopes, separated by spaces.
    pub scopes: String,
    /// The claim that logins are made from.
    pub login_claim: String,
    /// Members of this group or role are administrators.
    pub admin_group: Option<String>,
    /// The redirect address that is registered at the provider.
    pub redirect_uri: String,
}

/// A login at the provider failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// The provider cannot be reached.
    #[error("the login provider cannot be reached: {0}")]
    Unavailable(String),
    /// The provider refused, or its response is not valid.
    #[error("the login provider's answer is not accepted: {0}")]
    Refused(String),
}

/// A provider's metadata.
#[derive(Debug, Clone, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct TokenResponse {
    id_token: String,
    access_token: Option<String>,
}

/// A user of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) subject: String,
    /// What the login is made from.
    pub(crate) login: String,
    pub(crate) is_admin: bool,
}

/// The provider.
#[derive(Debug)]
pub(crate) struct Provider {
    config: OidcOptions,
    http: HttpClient,
    discovery: Mutex<Option<(Instant, Arc<Discovery>)>>,
    keys: Mutex<Option<(Instant, Arc<Jwks>)>>,
}

impl Provider {
    pub(crate) fn new(config: OidcOptions, http: HttpClient) -> Self {
        Self { config, http, discovery: Mutex::default(), keys: Mutex::default() }
    }

    /// The name that the provider is known by.
    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Returns whether the provider determines the administrators.
    pub(crate) const fn names_admins(&self) -> bool {
        self.config.admin_group.is_some()
    }

    /// Returns the URL that a user is sent to for the login.
    ///
    /// # Errors
    /// [`OidcError`] when the provider's metadata cannot be read.
    pub(crate) async fn authorization_url(&self, transaction: &Transaction) -> Result<String, OidcError> {
        let discovery = self.discovery().await?;
        let mut url = url::Url::parse(&discovery.authorization_endpoint)
            .map_err(|error| OidcError::Refused(format!("its authorization endpoint is not an address: {error}")))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_uri)
            .append_pair("scope", &self.config.scopes)
            .append_pair("state", &transaction.state)
            .append_pair("nonce", &transaction.nonce)
            .append_pair("code_challenge", &transaction.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Exchanges the code of the callback for the user who has logged in.
    ///
    /// # Errors
    /// [`OidcError`].
    pub(crate) async fn identify(
        &self,
        transaction: &Transaction,
        code: &str,
        now: Timestamp,
    ) -> Result<Identity, OidcError> {
        let discovery = self.discovery().await?;
        let answer = self.exchange(&discovery, transaction, code).await?;
        let expected =
            Expected { issuer: &self.config.issuer, client_id: &self.config.client_id, nonce: &transaction.nonce, now };
        let keys = self.keys(&discovery, false).await?;
        let mut claims = match token::verify(&answer.id_token, &keys, &expected) {
            // Providers rotate their keys.
            Err(token::TokenError::UnknownKey) => {
                let keys = self.keys(&discovery, true).await?;
                token::verify(&answer.id_token, &keys, &expected)
            }
            other => other,
        }
        .map_err(|error| OidcError::Refused(error.to_string()))?;
        if self.needs_userinfo(&claims)
            && let (Some(url), Some(access)) = (&discovery.userinfo_endpoint, answer.access_token)
        {
            self.add_userinfo(&mut claims, url, access).await?;
        }
        Ok(self.identity(&claims))
    }

    /// Returns whether the ID token lacks claims that the user info endpoint may have.
    fn needs_userinfo(&self, claims: &Claims) -> bool {
        let says = |name: &str| claims.all.contains_key(name);
        !says(&self.config.login_claim) || (self.names_admins() && !GROUP_CLAIMS.into_iter().any(says))
    }

    fn identity(&self, claims: &Claims) -> Identity {
        let text = |name: &str| claims.all.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let login = text(&self.config.login_claim).or_else(|| text("email")).unwrap_or(&claims.subject).to_owned();
        let is_admin = self.config.admin_group.as_ref().is_some_and(|group| has_group(&claims.all, group));
        Identity { subject: claims.subject.clone(), login, is_admin }
    }

    async fn discovery(&self) -> Result<Arc<Discovery>, OidcError> {
        let mut kept = self.discovery.lock().await;
        if let Some((at, discovery)) = &*kept
            && at.elapsed() < CACHE_LIFETIME
        {
            return Ok(Arc::clone(discovery));
        }
        let url = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.read(Request::get(url)).await?;
        if discovery.issuer != self.config.issuer {
            let why = format!("it calls itself `{}`; set the issuer to exactly that", discovery.issuer);
            return Err(OidcError::Refused(why));
        }
        let discovery = Arc::new(discovery);
        *kept = Some((Instant::now(), Arc::clone(&discovery)));
        Ok(discovery)
    }

    async fn keys(&self, discovery: &Discovery, refresh: bool) -> Result<Arc<Jwks>, OidcError> {
        let mut kept = self.keys.lock().await;
        if let Some((at, keys)) = &*kept
            && at.elapsed() < if refresh { MIN_KEY_REFRESH } else { CACHE_LIFETIME }
        {
            return Ok(Arc::clone(keys));
        }
        let keys: Arc<Jwks> = Arc::new(self.read(Request::get(discovery.jwks_uri.clone())).await?);
        *kept = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    async fn exchange(
        &self,
        discovery: &Discovery,
        transaction: &Transaction,
        code: &str,
    ) -> Result<TokenResponse, OidcError> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.config.redirect_uri)
            .append_pair("code_verifier", &transaction.verifier)
            .finish();
        // RFC 6749, 2.3.1: both are form-encoded before they are joined.
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.config.client_id), encoded(self.config.client_secret.expose()));
        let basic = Secret::new(format!("Basic {}", STANDARD.encode(pair)));
        let request = Request::post(discovery.token_endpoint.clone())
            .secret_header("authorization", &basic)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form);
        // A code works once.
        parse(&self.http.send(request, Retry::Never).await.map_err(|error| OidcError::Unavailable(error.to_string()))?)
    }

    async fn add_userinfo(&self, claims: &mut Claims, url: &str, access: String) -> Result<(), OidcError> {
        let response: Map<String, Value> = self.read(Request::get(url.to_owned()).bearer(&Secret::new(access))).await?;
        if response.get("sub").and_then(Value::as_str) != Some(claims.subject.as_str()) {
            return Err(OidcError::Refused("its user info is about another user".to_owned()));
        }
        for (name, value) in response {
            claims.all.entry(name).or_insert(value);
        }
        Ok(())
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, request: Request) -> Result<T, OidcError> {
        let answer = self.http.send(request, Retry::Safe).await;
        parse(&answer.map_err(|error| OidcError::Unavailable(error.to_string()))?)
    }
}

fn parse<T: serde::de::DeserializeOwned>(answer: &Response) -> Result<T, OidcError> {
    if answer.status >= 500 {
        return Err(OidcError::Unavailable(format!("it answered with status {}", answer.status)));
    }
    if !answer.is_success() {
        // `{"error": "invalid_grant", …}`: its text may repeat the request.
        let response: Value = answer.json().unwrap_or_default();
        let why = response["error"].as_str().unwrap_or("no reason").to_owned();
        return Err(OidcError::Refused(format!("status {} ({why})", answer.status)));
    }
    answer.json().map_err(|error| OidcError::Refused(format!("it cannot be read: {error}")))
}

/// The claims with groups and roles; the last is Keycloak's, with `roles` inside.
const GROUP_CLAIMS: [&str; 3] = ["groups", "roles", "realm_access"];

/// Returns whether the claims contain a group or role.
fn has_group(claims: &Map<String, Value>, group: &str) -> bool {
    let among = |list: Option<&Value>| {
        list.and_then(Value::as_array).is_some_and(|list| list.iter().any(|name| name.as_str() == Some(group)))
    };
    let [groups, roles, access] = GROUP_CLAIMS.map(|name| claims.get(name));
    among(groups) || among(roles) || among(access.and_then(|access| access.get("roles")))
}
