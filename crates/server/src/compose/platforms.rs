//! The platforms that this server knows. This list is the only place that names them: routes, forms, checks, the command
//! line and polling read it.

use std::sync::Arc;

use patchwright_core::app_registration::AppRegistration;
use patchwright_core::forge::Forge;
use patchwright_core::redelivery::Redelivery;
use patchwright_core::webhook::SigningKeys;
use patchwright_core::{Clock, Secret};
use patchwright_gitcode::{GITCODE, GitcodeBot, GitcodeForge, GitcodeOptions, GitcodeSecrets, GitcodeWebhook};
use patchwright_github::{AppKey, GITHUB, GithubForge, GithubOptions, GithubRedelivery, GithubWebhook};
use patchwright_http::HttpClient;
use patchwright_local::{LOCAL, LocalForge, LocalWebhook};
use patchwright_management::{AppSettings, CredentialPorts, CredentialedForge, Platform};

use super::ComposeError;
use crate::config::{Config, GithubConfig};

/// The inputs for the adapters of the platforms.
pub(super) struct PlatformParts<'a> {
    pub(super) config: &'a Config,
    pub(super) http: &'a HttpClient,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) credentials: CredentialPorts,
    pub(super) local: &'a Arc<LocalForge>,
}

/// The platforms, and what of them a changed configuration replaces.
pub(super) struct ComposedPlatforms {
    pub(super) all: Vec<Platform>,
    pub(super) github: Arc<GithubForge>,
    pub(super) webhook_keys: WebhookKeys,
}

/// The secrets of all decoders.
#[derive(Debug)]
pub(crate) struct WebhookKeys {
    signing: SigningKeys,
    gitcode: GitcodeSecrets,
}

impl WebhookKeys {
    fn new(config: &Config) -> Self {
        let secrets = &config.webhook_secrets;
        Self {
            signing: SigningKeys::new(secrets),
            gitcode: GitcodeSecrets::new(secrets, config.gitcode.webhook_password),
        }
    }

    /// Replaces the secrets in all decoders.
    pub(crate) fn replace(&self, secrets: &[Secret]) {
        self.signing.replace(secrets);
        self.gitcode.replace(secrets);
    }
}

/// Returns the platforms, each with its adapters.
pub(super) fn platforms(parts: &PlatformParts<'_>) -> Result<ComposedPlatforms, ComposeError> {
    let settings = &parts.config.github;
    let options = github_options(parts.config, app_key(settings)?, settings.token.clone());
    let client = Arc::new(GithubForge::new(parts.http.clone(), Arc::clone(&parts.clock), options));
    let webhook_keys = WebhookKeys::new(parts.config);
    let all = vec![github(parts, &client, &webhook_keys), gitcode(parts, &webhook_keys), local(parts, &webhook_keys)];
    Ok(ComposedPlatforms { all, github: client, webhook_keys })
}

/// Returns the GitHub App to act as, if one is configured.
pub(crate) fn app_key(settings: &GithubConfig) -> Result<Option<AppKey>, ComposeError> {
    let app = settings.app_id.as_ref().zip(settings.app_key.as_ref());
    Ok(app.map(|(id, key)| AppKey::from_pem(id, key)).transpose()?)
}

fn github(parts: &PlatformParts<'_>, configured: &Arc<GithubForge>, keys: &WebhookKeys) -> Platform {
    let settings = &parts.config.github;
    let redelivery = (!settings.redeliver.is_empty() || !settings.poll.is_empty()).then(|| {
        let (hooks, repositories) = (settings.redeliver.clone(), settings.poll.clone());
        let redelivery = GithubRedelivery::new(Arc::clone(configured), hooks, repositories, settings.poll_interval);
        Arc::new(redelivery) as Arc<dyn Redelivery>
    });
    let (config, http, clock) = (parts.config.clone(), parts.http.clone(), Arc::clone(&parts.clock));
    let new_client = move |token| -> Arc<dyn Forge> {
        Arc::new(GithubForge::new(http.clone(), Arc::clone(&clock), github_options(&config, None, Some(token))))
    };
    let forge = Arc::new(CredentialedForge::new(
        parts.credentials.clone(),
        Arc::clone(configured) as Arc<dyn Forge>,
        new_client,
    ));
    let app = settings.app_id.as_ref().and_then(|id| id.parse().ok());
    Platform {
        id: GITHUB,
        name: "GitHub",
        forge: Arc::clone(&forge) as Arc<dyn Forge>,
        decoder: Arc::new(GithubWebhook::new(keys.signing.clone(), app)),
        credentials: Some(forge),
        redelivery,
        is_configured: Arc::new(settings.is_connected().into()),
        app: Some(AppSettings {
            registration: Arc::clone(configured) as Arc<dyn AppRegistration>,
            id: "GITHUB_APP_ID",
            private_key: "GITHUB_APP_PRIVATE_KEY",
            login: "GITHUB_APP_LOGIN",
            webhook_secret: "WEBHOOK_SECRET",
            former_webhook_secret: "WEBHOOK_SECRET_PREVIOUS",
            needed: &[("GITHUB_APP_PRIVATE_KEY_PATH", ""), ("PUSH_TO", "branch")],
        }),
    }
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

fn gitcode(parts: &PlatformParts<'_>, keys: &WebhookKeys) -> Platform {
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
    let bot = GitcodeBot::new(&settings.bot_username, settings.bot_id);
    Platform {
        id: GITCODE,
        name: "GitCode",
        forge: Arc::clone(&forge) as Arc<dyn Forge>,
        decoder: Arc::new(GitcodeWebhook::new(keys.gitcode.clone(), bot)),
        credentials: Some(forge),
        redelivery: None,
        is_configured: Arc::new(settings.token.is_some().into()),
        app: None,
    }
}

/// The built-in forge, over repositories on this machine.
fn local(parts: &PlatformParts<'_>, keys: &WebhookKeys) -> Platform {
    Platform {
        id: LOCAL,
        name: "Local",
        forge: Arc::clone(parts.local) as Arc<dyn Forge>,
        decoder: Arc::new(LocalWebhook::new(keys.signing.clone())),
        credentials: None,
        redelivery: None,
        is_configured: Arc::default(),
        app: None,
    }
}
