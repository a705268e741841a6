//! The GitHub App: its own token, its installation, and the tokens of the installation.

use actix_web::{HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::{Model, Shared, not_found};

/// The App as the server knows it.
#[derive(Debug, Default)]
pub(super) struct AppModel {
    public_key: Vec<u8>,
    id: String,
    /// Whether the App is installed where the repositories are.
    pub(super) installed: bool,
    /// When issued tokens expire, RFC 3339.
    expires_at: String,
    tokens: Vec<String>,
}

impl AppModel {
    pub(super) fn new(id: &str, public_key: Vec<u8>, expires_at: &str) -> Self {
        let (id, expires_at) = (id.to_owned(), expires_at.to_owned());
        Self { public_key, id, installed: true, expires_at, tokens: Vec::new() }
    }

    pub(super) fn knows(&self, token: &str) -> bool {
        self.tokens.iter().any(|known| known == token)
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn revoke(&mut self) {
        self.tokens.iter_mut().for_each(|token| token.push_str(" revoked"));
    }

    /// Checks a JSON web token as GitHub does: RS256, the App's number, at most ten minutes.
    pub(super) fn accepts(&self, token: &str) -> bool {
        let Some((signed, signature)) = token.rsplit_once('.') else { return false };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        if key.verify(signed.as_bytes(), &signature).is_err() {
            return false;
        }
        let part = |number| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(number)?).ok()?).ok()
        };
        let (Some(header), Some(claims)) = (part(0), part(1)) else { return false };
        let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
        // Ten minutes, and one by which the token is backdated.
        header["alg"] == "RS256" && claims["iss"] == *self.id && life.is_some_and(|life| (0..=660).contains(&life))
    }
}

/// Whether only the App itself may call this.
pub(super) fn is_for_the_app(path: &str) -> bool {
    path == "/app" || path.starts_with("/app/") || path.ends_with("/installation")
}

/// An App whose registration waits for its code to be exchanged.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) code: String,
    pub(super) private_key: String,
    pub(super) webhook_secret: String,
}

/// Changes the secret of the App's webhook.
pub(super) async fn configure_hook(body: web::Json<Value>, model: Shared) -> HttpResponse {
    let Some(secret) = body["secret"].as_str() else { return HttpResponse::UnprocessableEntity().finish() };
    model.lock().unwrap().hook_secret = Some(secret.to_owned());
    HttpResponse::Ok().json(json!({"content_type": "json", "secret": "********"}))
}

/// Whether this is called without a token: the code is the authorization.
pub(super) fn is_open(path: &str) -> bool {
    path.starts_with("/app-manifests/")
}

/// Exchanges a code for the App's keys, once.
pub(super) async fn convert(code: web::Path<String>, model: Shared) -> HttpResponse {
    let model: &mut Model = &mut model.lock().unwrap();
    let Some(registration) = model.registration.take_if(|known| known.code == *code) else { return not_found() };
    HttpResponse::Created().json(json!({
        "id": 4711, "slug": "patchwright-acme", "name": "Patchwright acme", "client_id": "Iv1.8a61f9b3a7aba766",
        "html_url": "https://github.com/apps/patchwright-acme", "owner": {"login": "acme"},
        "client_secret": "1726be1638095a19edd134c77bde3aa2ece1e5d8",
        "webhook_secret": registration.webhook_secret, "pem": registration.private_key,
    }))
}

pub(super) async fn about() -> HttpResponse {
    HttpResponse::Ok().json(json!({"id": 99, "slug": "patchwright-app", "name": "Patchwright"}))
}

pub(super) async fn installation(model: Shared) -> HttpResponse {
    match &model.lock().unwrap().app {
        Some(app) if app.installed => HttpResponse::Ok().json(json!({"id": 7001, "account": {"login": "acme"}})),
        _ => not_found(),
    }
}

/// Issues a token for one repository. A token for all repositories of the installation, or with all of its permissions, is
/// more than any job needs, and is refused here.
pub(super) async fn access_token(path: web::Path<u64>, body: web::Json<Value>, model: Shared) -> HttpResponse {
    let is_limited = body["repositories"].as_array().is_some_and(|repositories| repositories.len() == 1)
        && body["permissions"].as_object().is_some_and(|permissions| !permissions.is_empty());
    if !is_limited {
        return HttpResponse::UnprocessableEntity().json(json!({"message": "name one repository and the permissions"}));
    }
    let model: &mut Model = &mut model.lock().unwrap();
    let Some(app) = model.app.as_mut().filter(|_| *path == 7001) else { return not_found() };
    let token = format!("ghs_installation{:020}", app.tokens.len());
    app.tokens.push(token.clone());
    HttpResponse::Created()
        .json(json!({"token": token, "expires_at": app.expires_at, "permissions": body["permissions"]}))
}
