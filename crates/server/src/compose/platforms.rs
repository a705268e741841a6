//! The platforms that this server knows. This list is the only place that names them: routes, forms, checks, the command
//! line and polling read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use patchwright_core::app_registration::AppRegistration;
use patchwright_core::forge::Forge;
use patchwright_core::redelivery::{PolledRepositories, PolledRepository};
use patchwright_core::repositories::Repositories;
use patchwright_core::store::StoreError;
use patchwright_core::webhook::SigningKeys;
use patchwright_core::{Clock, Secret};
use patchwright_domain::RepoName;
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
    pub(super) repositories: Arc<dyn Repositories>,
    /// Whether all repositories that were added are polled. It changes while the server runs.
    pub(super) poll_registered: Arc<AtomicBool>,
}

/// The platforms, and what of them a changed configuration replaces.
pub(super) struct ComposedPlatforms {
    pub(super) all: Vec<Platform>,
    pub(super) github: Arc<GithubForge>,
    pub(super) webhook_keys: WebhookKeys,
}

/// The repositories on GitHub that are polled.
struct PolledGithub {
    /// Those that are named in the configuration.
    named: Vec<RepoName>,
    registered_too: Arc<AtomicBool>,
    repositories: Arc<dyn Repositories>,
}

#[async_trait]
impl PolledRepositories for PolledGithub {
    async fn list(&self) -> Result<Vec<PolledRepository>, StoreError> {
        let named = self.named.iter().map(|name| PolledRepository { name: name.clone(), added_at: None });
        let mut polled: Vec<PolledRepository> = named.collect();
        if self.registered_too.load(Ordering::Relaxed) {
            let registered = self.repositories.repositories().await?.into_iter();
            let others = registered.filter(|known| known.platform == GITHUB && !self.named.contains(&known.name));
            polled.extend(others.map(|known| PolledRepository { name: known.name, added_at: Some(known.created_at) }));
        }
        Ok(polled)
    }
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
    let polled = PolledGithub {
        named: settings.poll.clone(),
        registered_too: Arc::clone(&parts.poll_registered),
        repositories: Arc::clone(&parts.repositories),
    };
    let (hooks, interval) = (settings.redeliver.clone(), settings.poll_interval);
    let redelivery = GithubRedelivery::new(Arc::clone(configured), hooks, Arc::new(polled), interval);
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
        redelivery: Some(Arc::new(redelivery)),
        is_configured: Arc::new(settings.is_connected().into()),
        app: Some(AppSettings {
            registration: Arc::clone(configured) as Arc<dyn AppRegistration>,
            id: "GITHUB_APP_ID",
            private_key: "GITHUB_APP_PRIVATE_KEY",
            login: "GITHUB_APP_LOGIN",
            webhook_secret: "WEBHOOK_SECRET",
            former_webhook_secret: "WEBHOOK_SECRET_PREVIOUS",
            poll: "POLL_REGISTERED",
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
