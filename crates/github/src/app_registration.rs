//! Registering a GitHub App from a manifest
//! (<https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>).

use async_trait::async_trait;
use patchwright_core::Secret;
use patchwright_core::app_registration::{AppForm, AppRegistration, NewApp, RegisteredApp};
use patchwright_core::forge::ForgeError;
use patchwright_http::forge::{read_json, transport_error};
use patchwright_http::{Request, Retry};
use serde_json::json;
use url::form_urlencoded;

use crate::auth::{AppKey, TokenPurpose};
use crate::error::check;
use crate::{GITHUB, GithubForge, wire};

/// The events that the App's webhook is subscribed to; those of installations arrive without a subscription.
const EVENTS: [&str; 5] =
    ["issues", "issue_comment", "pull_request", "pull_request_review", "pull_request_review_comment"];
/// The longest name of an App that GitHub accepts, in characters.
const MAX_NAME_CHARS: usize = 34;

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// All permissions that tokens are requested with.
fn permissions() -> serde_json::Map<String, serde_json::Value> {
    let purposes = [TokenPurpose::Ci, TokenPurpose::Checks, TokenPurpose::Git, TokenPurpose::Api];
    let all = purposes.into_iter().flat_map(TokenPurpose::permissions);
    // `metadata` is granted with any other.
    all.filter(|(name, _)| *name != "metadata").map(|(name, access)| ((*name).to_owned(), json!(access))).collect()
}

#[async_trait]
impl AppRegistration for GithubForge {
    fn form(&self, new: &NewApp) -> AppForm {
        let base = self.options.clone_url.trim_end_matches('/');
        let place = match &new.organization {
            Some(organization) => format!("organizations/{}/settings/apps/new", encode(organization)),
            None => "settings/apps/new".to_owned(),
        };
        let name: String = new.name.chars().take(MAX_NAME_CHARS).collect();
        let mut manifest = json!({
            "name": name,
            "url": new.server_url,
            "redirect_url": new.return_url,
            "public": false,
            "default_permissions": permissions(),
        });
        match &new.webhook_url {
            Some(url) => {
                manifest["hook_attributes"] = json!({ "url": url, "active": true });
                manifest["default_events"] = json!(EVENTS);
            }
            // GitHub demands an address also of a webhook that is off.
            None => manifest["hook_attributes"] = json!({ "url": new.server_url, "active": false }),
        }
        AppForm {
            action: format!("{base}/{place}?state={}", encode(&new.state)),
            field: "manifest",
            value: manifest.to_string(),
        }
    }

    async fn redeem(&self, code: &str) -> Result<RegisteredApp, ForgeError> {
        let (action, what) = ("register the GitHub App", "the code of the registration");
        let request = Request::post(self.url(&format!("/app-manifests/{}/conversions", encode(code))));
        let request = crate::client::with_api_headers(request);
        // A code is valid once: if the answer is lost, so is the App, and the administrator registers another one.
        let response = self.http.send(request, Retry::Never).await.map_err(|error| transport_error(GITHUB, error))?;
        let app: wire::ConvertedApp = read_json(GITHUB, &check(response, action, what)?, action)?;
        Ok(RegisteredApp {
            id: app.id.to_string(),
            login: format!("{}[bot]", app.slug),
            install_url: format!("{}/installations/new", app.html_url.trim_end_matches('/')),
            private_key: Secret::new(app.pem),
            webhook_secret: app.webhook_secret.filter(|secret| !secret.is_empty()).map(Secret::new),
        })
    }

    async fn set_webhook_secret(&self, app: &RegisteredApp, secret: &Secret) -> Result<(), ForgeError> {
        let (action, what) = ("set the secret of the App's webhook", "the App's webhook");
        let key = AppKey::from_pem(app.id.clone(), &app.private_key).map_err(|error| ForgeError::InvalidResponse {
            platform: GITHUB,
            action: action.to_owned(),
            source: Box::new(error),
        })?;
        let request = Request::patch(self.url("/app/hook/config")).json(&json!({ "secret": secret.expose() }));
        let request = crate::client::with_api_headers(request).bearer(&key.token(self.clock.now()));
        let response = self.http.send(request, Retry::Safe).await.map_err(|error| transport_error(GITHUB, error))?;
        check(response, action, what).map(|_| ())
    }
}
