//! The configuration of a running server. What administrators store takes effect without a restart: the model, the secrets of
//! webhooks, the GitHub App, who may start jobs, budgets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use patchwright_core::llm::Llm;
use patchwright_core::stored_settings::{StoredSetting, StoredSettings};
use patchwright_core::{Redactor, Secret};
use patchwright_engine::Engine;
use patchwright_github::{AppKey, GithubForge};
use patchwright_http::HttpClient;
use patchwright_management::{Changeable, EffectiveSetting, LiveConfiguration, NewValue};

use crate::compose::{ComposeError, WebhookKeys, app_key, engine_settings, model};
use crate::config::{Config, Source};

/// The parts of a server that a changed configuration replaces.
pub(crate) struct LiveParts {
    pub(crate) engine: Arc<Engine>,
    pub(crate) http: HttpClient,
    pub(crate) redactor: Redactor,
    pub(crate) webhook_keys: WebhookKeys,
    pub(crate) github: Arc<GithubForge>,
    pub(crate) github_is_configured: Arc<AtomicBool>,
    pub(crate) poll_registered: Arc<AtomicBool>,
    /// The model of a command, which stays.
    pub(crate) fixed_model: Option<Arc<dyn Llm>>,
    /// The most attempts of a job by a command, which stay.
    pub(crate) fixed_attempts: Option<u32>,
}

/// What is in effect.
#[derive(Clone)]
struct InEffect {
    config: Arc<Config>,
    stored: Arc<Vec<StoredSetting>>,
}

/// The configuration of a running server.
pub(crate) struct LiveConfig {
    /// As the server was started, without what is stored.
    base: Config,
    stored: Arc<dyn StoredSettings>,
    parts: LiveParts,
    in_effect: RwLock<InEffect>,
    /// Held while a change is put into effect.
    reloading: tokio::sync::Mutex<()>,
}

/// Everything that a configuration builds, before anything is replaced.
struct Replacement {
    config: Config,
    model: Option<Arc<dyn Llm>>,
    app: Option<AppKey>,
}

/// Returns the names and values of stored settings.
pub(crate) fn pairs(stored: &[StoredSetting]) -> Vec<(String, Secret)> {
    stored.iter().map(|setting| (setting.name.clone(), setting.value.clone())).collect()
}

impl LiveConfig {
    /// `base` is the configuration at the start, `config` the same with `stored`.
    pub(crate) fn new(
        base: Config,
        (config, stored): (Config, Vec<StoredSetting>),
        store: Arc<dyn StoredSettings>,
        parts: LiveParts,
    ) -> Self {
        let in_effect = RwLock::new(InEffect { config: Arc::new(config), stored: Arc::new(stored) });
        Self { base, stored: store, parts, in_effect, reloading: tokio::sync::Mutex::default() }
    }

    fn in_effect(&self) -> InEffect {
        self.in_effect.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the configuration that is in effect.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.in_effect().config
    }

    /// Builds everything that a configuration with these stored settings needs.
    fn prepare(&self, stored: &[(String, Secret)]) -> Result<Replacement, ComposeError> {
        let config = self.base.with_stored(stored).map_err(ComposeError::Stored)?;
        config.check_for_serving().map_err(ComposeError::Stored)?;
        for secret in config.secrets() {
            self.parts.redactor.add(&secret);
        }
        let model = model::llm(&config, &self.parts.http, &self.parts.redactor, self.parts.fixed_model.as_ref())?;
        let app = app_key(&config.github)?;
        Ok(Replacement { config, model, app })
    }

    /// Puts a configuration into effect.
    fn replace(&self, new: Replacement, stored: Vec<StoredSetting>) {
        let (parts, config) = (&self.parts, new.config);
        let proxy = model::model_proxy(&config, &parts.http);
        parts.engine.replace_model(new.model, proxy);
        parts.engine.replace_settings(engine_settings(&config, parts.fixed_attempts));
        parts.webhook_keys.replace(&config.webhook_secrets);
        parts.github.replace_app(new.app);
        parts.github_is_configured.store(config.github.is_connected(), Ordering::Relaxed);
        parts.poll_registered.store(config.github.poll_registered, Ordering::Relaxed);
        let new = InEffect { config: Arc::new(config), stored: Arc::new(stored) };
        *self.in_effect.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Returns how a setting is changed, by where its present value is from.
    fn changeable(is_live: bool, source: &Source) -> Changeable {
        match (is_live, source) {
            (_, Source::Env | Source::Flag) => Changeable::Elsewhere,
            (true, _) => Changeable::AtRuntime,
            (false, _) => Changeable::AtStart,
        }
    }
}

#[async_trait]
impl LiveConfiguration for LiveConfig {
    fn settings(&self) -> Vec<EffectiveSetting> {
        let InEffect { config, stored } = self.in_effect();
        let row = |(setting, value, source): (&'static crate::settings::Setting, String, &Source)| {
            let stored = stored.iter().find(|stored| stored.name == setting.name && *source == Source::Stored);
            EffectiveSetting {
                name: setting.name,
                value,
                source: source.to_string(),
                group: crate::settings::group_of(setting.name),
                doc: setting.doc,
                chinese_doc: crate::settings::chinese_doc(setting.name),
                is_set: !matches!(source, Source::Default),
                is_secret: setting.secret,
                changeable: Self::changeable(setting.live, source),
                changed: stored.map(|stored| (stored.changed_by.clone(), stored.changed_at)),
            }
        };
        config.values.display_rows().map(row).collect()
    }

    fn webhook_secret(&self) -> Option<Secret> {
        self.in_effect().config.webhook_secrets.first().cloned()
    }

    async fn check(&self, changes: &[NewValue]) -> Result<(), String> {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| changed == name);
        let mut stored = pairs(&self.stored.stored_settings().await.map_err(|error| error.to_string())?);
        stored.retain(|(name, _)| !is_changed(name));
        stored.extend(changes.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
        self.prepare(&stored).map(|_| ()).map_err(|error| match error {
            // Not how to remove it: it is not stored yet.
            ComposeError::Stored(error) => error.to_string(),
            error => error.to_string(),
        })
    }

    async fn reload(&self) -> Result<bool, String> {
        let _guard = self.reloading.lock().await;
        let stored = self.stored.stored_settings().await.map_err(|error| error.to_string())?;
        let former = self.in_effect().stored;
        let is_same = |(a, b): (&StoredSetting, &StoredSetting)| a.name == b.name && a.value.matches(b.value.expose());
        if former.len() == stored.len() && former.iter().zip(&stored).all(is_same) {
            return Ok(false);
        }
        let new = self.prepare(&pairs(&stored)).map_err(|error| error.to_string())?;
        let names: Vec<&str> = stored.iter().map(|setting| setting.name.as_str()).collect();
        tracing::info!(stored = names.join(", "), "the changed settings take effect");
        self.replace(new, stored);
        Ok(true)
    }
}

impl std::fmt::Debug for LiveConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveConfig").finish_non_exhaustive()
    }
}
