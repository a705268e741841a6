//! The composition root, which connects ports and adapters.

mod engine_settings;
mod jira;
pub(crate) mod model;
mod platforms;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use patchwright_core::llm::Llm;
use patchwright_core::meter::Meter;
use patchwright_core::node_client::NodeClient;
use patchwright_core::progress::ProgressSink;
use patchwright_core::stored_settings::StoredSettings as _;
use patchwright_core::tracker::Tracker;
use patchwright_core::{Clock, IdSource, Redactor};
use patchwright_domain::RepoName;
use patchwright_engine::clock::{SteadyClock, SystemClock, UuidSource};
use patchwright_engine::jira::TemplateError;
use patchwright_engine::{Engine, MarkerKey};
use patchwright_http::HttpClient;
use patchwright_jira::JiraCloud;
use patchwright_local::LocalForge;
use patchwright_management::{
    CredentialPorts, Management, ManagementOptions, ManagementPorts, OidcOptions, SettingsPorts,
};
use patchwright_metrics::Metrics;
use patchwright_node::HttpNodeClient;
use patchwright_sandbox::SandboxPolicy;
use patchwright_store_diesel::{DieselStore, GroupCommit, Sealer, Vault};

pub(crate) use self::engine_settings::engine_settings;
use self::platforms::{ComposedPlatforms, PlatformParts};
pub(crate) use self::platforms::{WebhookKeys, app_key};
pub use self::tools::compose_tools;
pub(crate) use self::tools::{
    enable_own_program, git_options, http_client, machine_labels, notifying_client, sandbox_options,
};
use crate::config::{Config, ConfigError, is_loopback};
use crate::demo::LocalDemo;
use crate::live_config::{LiveConfig, LiveParts, pairs};
use crate::master_keys::MasterKeys;
use crate::private_dir;

/// Values of a command that override the configuration.
#[derive(Default)]
pub struct Overrides {
    /// The receiver of the progress of jobs.
    pub progress: Option<Arc<dyn ProgressSink>>,
    /// Repositories of the built-in forge in other folders.
    pub repositories: Vec<(RepoName, PathBuf)>,
    /// Another sandbox policy.
    pub sandbox: Option<SandboxPolicy>,
    /// A working copy of the user who runs jobs here, whose environment tests may use.
    pub local_folder: Option<PathBuf>,
    /// Another model.
    pub llm: Option<Arc<dyn Llm>>,
    /// The most attempts of a job.
    pub max_attempts: Option<u32>,
    /// Whether no loop claims work, because the caller does with [`crate::serve::Server::run_until_idle`].
    pub manual: bool,
    /// The address of this server, if the configuration has no public one.
    pub address: Option<String>,
}

impl std::fmt::Debug for Overrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overrides").field("repositories", &self.repositories).finish_non_exhaustive()
    }
}

/// The composed application.
#[derive(Clone)]
pub struct App {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The application layer.
    pub management: Management,
    /// The store.
    pub store: DieselStore,
    /// The parts of the store with encrypted secrets.
    pub vault: Vault,
    /// The built-in forge.
    pub local: Arc<LocalForge>,
    /// Jira.
    pub jira: Arc<JiraCloud>,
    /// The outgoing HTTP client.
    pub http: HttpClient,
    /// The redactor of secrets.
    pub redactor: Redactor,
    /// The clock of leases.
    pub clock: Arc<SteadyClock>,
    /// The client of nodes in push mode.
    pub node_client: Arc<dyn NodeClient>,
    /// The counters of what happens.
    pub metrics: Arc<Metrics>,
    /// The configuration in effect.
    pub(crate) config: Arc<LiveConfig>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// The application cannot be composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] patchwright_store_diesel::OpenError),
    /// The schema cannot be migrated.
    #[error("the database's schema cannot be migrated: {0}")]
    Migrate(#[source] patchwright_core::store::StoreError),
    /// The database's clock cannot be read.
    #[error("the database's time cannot be read: {0}")]
    Now(#[source] patchwright_core::store::StoreError),
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] patchwright_http::BuildError),
    /// The GitHub App's key.
    #[error(transparent)]
    AppKey(#[from] patchwright_github::AppKeyError),
    /// A template for Jira.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The master key is another one than the database's.
    #[error(
        "the master key is not the one that the secrets in the database are encrypted with; set PATCHWRIGHT_MASTER_KEY (or \
         DATA_DIR, with its file master.key) to the former one, or add that to PATCHWRIGHT_OLD_MASTER_KEYS"
    )]
    MasterKey,
    /// The record of the master key cannot be read.
    #[error("the database's record of the master key cannot be read: {0}")]
    KeyRecord(#[source] patchwright_core::store::StoreError),
    /// The stored settings cannot be read.
    #[error("the stored settings cannot be read: {0}")]
    ReadStored(#[source] patchwright_core::store::StoreError),
    /// A stored setting cannot be used.
    #[error("{0}; a setting that an administrator stored is removed with `patchwright settings unset NAME`")]
    Stored(#[source] ConfigError),
    /// A recording.
    #[error(transparent)]
    Recording(#[from] patchwright_llm_openai::RecordingError),
    /// The key file or a folder.
    #[error("{path} cannot be used: {source}; set DATA_DIR to a folder that this user may write")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// The database with its keys.
pub(crate) struct Opened {
    pub(crate) store: DieselStore,
    pub(crate) vault: Vault,
    pub(crate) master_keys: MasterKeys,
    pub(crate) redactor: Redactor,
}

/// Opens and migrates the database, and checks the master key.
///
/// # Errors
/// [`ComposeError`], naming what cannot be used.
pub(crate) async fn open(config: &Config) -> Result<Opened, ComposeError> {
    private_dir::create(&config.data_dir)
        .map_err(|source| ComposeError::Folder { path: config.data_dir.clone(), source })?;
    let master_keys = MasterKeys::load(config).map_err(|(path, source)| ComposeError::Folder { path, source })?;
    let mut secrets = config.secrets();
    secrets.extend(master_keys.all().cloned());
    let redactor = Redactor::new(&secrets);
    let group_commit = GroupCommit { capacity: config.admission.write_queue, wait: config.admission.group_commit_wait };
    let store = DieselStore::open_with(config.database_url.expose(), group_commit).await?;
    store.migrate().await.map_err(ComposeError::Migrate)?;
    let vault = Vault::new(store.clone(), Sealer::new(&master_keys.present, &master_keys.old));
    if !vault.check_key().await.map_err(ComposeError::KeyRecord)? {
        return Err(ComposeError::MasterKey);
    }
    Ok(Opened { store, vault, master_keys, redactor })
}

/// Composes the application and migrates the database.
///
/// # Errors
/// [`ComposeError`], naming what cannot be used.
pub async fn compose(config: &Config, overrides: Overrides) -> Result<App, ComposeError> {
    let Opened { store, vault, master_keys, redactor } = open(config).await?;
    let http = http_client(config, &redactor)?;
    let system_clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let clock = Arc::new(SteadyClock::new(store.now().await.map_err(ComposeError::Now)?));
    let ids: Arc<dyn IdSource> = Arc::new(UuidSource::new(Arc::clone(&clock)));
    let local = Arc::new(local(config, &overrides, &store, &ids));
    let stored = vault.stored_settings().await.map_err(ComposeError::ReadStored)?;
    let base = config;
    let config = &base.with_stored(&pairs(&stored)).map_err(ComposeError::Stored)?;
    for secret in config.secrets() {
        redactor.add(&secret);
    }
    let (shared_store, shared_vault) = (Arc::new(store.clone()), Arc::new(vault.clone()));
    let credentials = CredentialPorts {
        credentials: shared_vault.clone(),
        audit: shared_store.clone(),
        clock: Arc::clone(&system_clock),
        ids: Arc::clone(&ids),
        redactor: redactor.clone(),
    };
    let poll_registered = Arc::new(AtomicBool::new(config.github.poll_registered));
    let ComposedPlatforms { all: platforms, github, webhook_keys } = platforms::platforms(&PlatformParts {
        config,
        http: &http,
        clock: Arc::clone(&system_clock),
        credentials,
        local: &local,
        repositories: shared_store.clone(),
        poll_registered: Arc::clone(&poll_registered),
    })?;
    let jira = Arc::new(jira::jira(config, &http, Arc::clone(&system_clock), &vault));
    let tools = tools::tools_with(config, &http, &redactor, overrides.llm.as_ref(), overrides.sandbox)?
        .with_local_folder(overrides.local_folder);
    let settings = engine_settings(config, overrides.max_attempts);
    let marker = MarkerKey::new(&master_keys.present).with_old(&master_keys.old);
    let tools = tools.with_progress(overrides.progress);
    let metrics = Arc::new(Metrics::new());
    let mut engine = Engine::builder(shared_store.clone(), tools, settings, marker)
        .meter(Arc::clone(&metrics) as Arc<dyn Meter>)
        .ledger(shared_store.clone())
        .nodes(shared_store.clone())
        .notices(shared_vault.clone())
        .logs(shared_store.clone())
        .model_calls(shared_store.clone())
        .repository_policies(shared_store.clone())
        .tracker(Arc::clone(&jira) as Arc<dyn Tracker>)
        .jira(jira::engine_ports(config, &store, &vault, &jira)?)
        .clock(Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&ids));
    for platform in &platforms {
        engine = engine.forge(Arc::clone(&platform.forge)).webhook(Arc::clone(&platform.decoder));
    }
    let engine = Arc::new(engine.build());
    let signing_keys: Vec<_> = master_keys.all().cloned().collect();
    let node_client = HttpNodeClient::new(http.clone(), Arc::clone(&system_clock), signing_keys.clone());
    let node_client: Arc<dyn NodeClient> = Arc::new(node_client);
    let live = LiveConfig::new(
        base.clone(),
        (config.clone(), stored),
        shared_vault.clone(),
        LiveParts {
            engine: Arc::clone(&engine),
            http: http.clone(),
            redactor: redactor.clone(),
            webhook_keys,
            github,
            github_is_configured: Arc::clone(&platforms[0].is_configured),
            poll_registered,
            fixed_model: overrides.llm,
            fixed_attempts: overrides.max_attempts,
        },
    );
    let live = Arc::new(live);
    let settings = SettingsPorts { stored: shared_vault.clone(), configuration: live.clone() };
    let ports = ManagementPorts {
        settings: Some(settings),
        demo: Some(Arc::new(LocalDemo::new(Arc::clone(&local)))),
        node_client: Some(Arc::clone(&node_client)),
        jira: Some(jira::management_ports(config, &vault, &jira)),
        ..ManagementPorts::new(shared_store, shared_vault, system_clock, ids, redactor.clone())
    };
    let options = management_options(config, signing_keys, overrides.address.as_deref());
    let management = Management::new(Arc::clone(&engine), ports, platforms, options, &http);
    Ok(App { engine, management, store, vault, local, jira, http, redactor, clock, node_client, metrics, config: live })
}

/// The built-in forge.
fn local(config: &Config, overrides: &Overrides, store: &DieselStore, ids: &Arc<dyn IdSource>) -> LocalForge {
    let folder = config.data_dir.join("repositories");
    let forge = LocalForge::new(Arc::new(store.clone()), Arc::new(SystemClock), Arc::clone(ids), folder);
    let moved = overrides.repositories.iter().cloned();
    moved.fold(forge, |forge, (name, path)| forge.with_repository(name, path))
}

/// Returns the public URL, or else the one that the server listens on, without a trailing slash.
pub(crate) fn public_url(config: &Config, address: Option<&str>) -> String {
    let url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", address.unwrap_or(&config.bind)));
    url.trim_end_matches('/').to_owned()
}

fn management_options(
    config: &Config,
    signing_keys: Vec<patchwright_core::Secret>,
    address: Option<&str>,
) -> ManagementOptions {
    let redirect_uri = format!("{}/api/v1/auth/oidc/callback", public_url(config, address));
    ManagementOptions {
        api_token: config.api_token.clone(),
        loopback_only: is_loopback(&config.bind),
        trusted_proxies: config.trusted_proxies.clone(),
        public_url: config.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        presets: config.presets.keys().cloned().collect(),
        allow_free_commands: config.allow_free_commands,
        allow_private_addresses: config.network.allow_private_addresses,
        embedded_slots: if config.embedded_node { config.workers } else { 0 },
        signing_keys,
        oidc: config.oidc.clone().map(|oidc| OidcOptions { redirect_uri, ..oidc }),
    }
}
