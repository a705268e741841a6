//! The platforms that this server knows. This list is the only place that names them: routes, forms, checks, the command
//! line and polling read it.

use std::sync::Arc;

use patchwright_core::forge::Forge;
use patchwright_core::redelivery::Redelivery;
use patchwright_core::webhook::SigningKeys;
use patchwright_core::{Clock, Secret};
use patchwright_gitcode::{GITCODE, GitcodeBot, GitcodeForge, GitcodeOptions, GitcodeSecrets, GitcodeWebhook};
use patchwright_github::{AppKey, GITHUB, GithubForge, GithubOptions, GithubRedelivery, GithubWebhook};
use patchwright_http::HttpClient;
use patchwright_local::{LOCAL, LocalForge, LocalWebhook};
use patchwright_management::{CredentialPorts, CredentialedForge, Platform};

use super::ComposeError;
use crate::config::Config;

/// The inputs for the adapters of the platforms.
pub(super) struct PlatformParts<'a> {
    pub(super) config: &'a Config,
    pub(super) http: &'a HttpClient,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) credentials: CredentialPorts,
    pub(super) local: &'a Arc<LocalForge>,
}

/// Returns the platforms, each with its adapters.
pub(super) fn platforms(parts: &PlatformParts<'_>) -> Result<Vec<Platform>, ComposeError> {
    Ok(vec![github(parts)?, gitcode(parts), local(parts)])
}

fn github(parts: &PlatformParts<'_>) -> Result<Platform, ComposeError> {
    let settings = &parts.config.github;
    let app_key = match (&settings.app_id, &settings.app_key) {
        (Some(id), Some(key)) => Some(AppKey::from_pem(id, key)?),
        _ => None,
    };
    let configured = Arc::new(github_client(parts, app_key, settings.token.clone()));
    let redelivery = (!settings.redeliver.is_empty() || !settings.poll.is_empty()).then(|| {
        let (hooks, repositories) = (settings.redeliver.clone(), settings.poll.clone());
        let redelivery = GithubRedelivery::new(Arc::clone(&configured), hooks, repositories, settings.poll_interval);
        Arc::new(redelivery) as Arc<dyn Redelivery>
    });
    let (config, http, clock) = (parts.config.clone(), parts.http.clone(), Arc::clone(&parts.clock));
    let new_client = move |token| -> Arc<dyn Forge> {
        Arc::new(GithubForge::new(http.clone(), Arc::clone(&clock), github_options(&config, None, Some(token))))
    };
    let forge = Arc::new(CredentialedForge::new(parts.credentials.clone(), configured, new_client));
    let app = settings.app_id.as_ref().and_then(|id| id.parse().ok());
    Ok(Platform {
        id: GITHUB,
        name: "GitHub",
        forge: Arc::clone(&forge) as Arc<dyn Forge>,
        decoder: Arc::new(GithubWebhook::new(SigningKeys::new(&parts.config.webhook_secrets), app)),
        credentials: Some(forge),
        redelivery,
        is_configured: settings.is_connected(),
    })
}

fn github_client(parts: &PlatformParts<'_>, app: Option<AppKey>, token: Option<Secret>) -> GithubForge {
    GithubForge::new(parts.http.clone(), Arc::clone(&parts.clock), github_options(parts.config, app, token))
}

fn github_options(config: &Config, app: Option<AppKey>, token: Option<Secret>) -> GithubOptions {
    let settings = &config.github;
    GithubOptions {
        api_url: settings.api_url.clone(),
        graphql_url: settings.graphql_url.clone(),
        clone_url: settings.clone_url.clone(),
        app,
        token,
    }
}

fn gitcode(parts: &PlatformParts<'_>) -> Platform {
    let settings = &parts.config.gitcode;
    let client = {
        let (settings, http, clock) = (settings.clone(), parts.http.clone(), Arc::clone(&parts.clock));
        move |token: Option<Secret>| -> Arc<dyn Forge> {
            let options = GitcodeOptions {
                api_url: settings.api_url.clone(),
                clone_url: settings.clone_url.clone(),
                token,
                token_form: settings.token_form,
            };
            Arc::new(GitcodeForge::new(http.clone(), Arc::clone(&clock), options))
        }
    };
    let configured = client(settings.token.clone());
    let forge =
        Arc::new(CredentialedForge::new(parts.credentials.clone(), configured, move |token| client(Some(token))));
    let secrets = GitcodeSecrets::new(&parts.config.webhook_secrets, settings.webhook_password);
    let bot = GitcodeBot::new(&settings.bot_username, settings.bot_id);
    Platform {
        id: GITCODE,
        name: "GitCode",
        forge: Arc::clone(&forge) as Arc<dyn Forge>,
        decoder: Arc::new(GitcodeWebhook::new(secrets, bot)),
        credentials: Some(forge),
        redelivery: None,
        is_configured: settings.token.is_some(),
    }
}

/// The built-in forge, over repositories on this machine.
fn local(parts: &PlatformParts<'_>) -> Platform {
    Platform {
        id: LOCAL,
        name: "Local",
        forge: Arc::clone(parts.local) as Arc<dyn Forge>,
        decoder: Arc::new(LocalWebhook::new(SigningKeys::new(&parts.config.webhook_secrets))),
        credentials: None,
        redelivery: None,
        is_configured: false,
    }
}
