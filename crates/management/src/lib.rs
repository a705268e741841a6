#![doc = include_str!("../README.md")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "a service is a handle; all its methods take it alike")]

mod app_setup;
mod audit;
mod channels;
mod credentialed_forge;
mod credentials;
mod demo;
mod diagnostics;
mod error;
mod issues;
mod jira;
mod jobs;
mod login_limiter;
mod nodes;
mod oidc;
mod password;
mod platform;
mod preferences;
mod principal;
mod queue_estimate;
mod repositories;
mod secrets;
mod sessions;
mod settings;
mod stats;
mod tasks;
mod tokens;
mod trusted_proxies;
mod user_agent;
mod users;
mod validate;
mod visibility;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use patchwright_core::access::{AccessStore, Visibility};
use patchwright_core::accounts::Accounts;
use patchwright_core::audit::Audit;
use patchwright_core::clock::{Clock, IdSource};
use patchwright_core::credentials::Credentials as CredentialStore;
use patchwright_core::idempotency::IdempotencyKeys;
use patchwright_core::jira::{JiraInbox, JiraSites, JiraUsers, Workspaces};
use patchwright_core::jira_oauth::JiraOauth;
use patchwright_core::model_calls::ModelCalls;
use patchwright_core::node_client::NodeClient;
use patchwright_core::nodes::Nodes as NodeStore;
use patchwright_core::notifications::Channels as ChannelStore;
use patchwright_core::query::{Queries, QueueDepth};
use patchwright_core::repositories::Repositories as RepositoryStore;
use patchwright_core::stats::Stats as StatsStore;
use patchwright_core::task_log::TaskLogs;
use patchwright_core::{Redactor, Secret};
use patchwright_domain::node::Label;
use patchwright_engine::Engine;

use self::login_limiter::LoginLimiter;
use self::oidc::Provider;
use self::visibility::VisibilityCache;

pub use app_setup::{AppProposal, AppSetup};
pub use audit::AuditLog;
pub use channels::{ChannelUpdate, Channels, CreatedChannel, NewChannel};
pub use credentialed_forge::{CredentialPorts, CredentialedForge};
pub use credentials::{CredentialUpdate, Credentials, NewCredential};
pub use demo::{Demo, DemoIssue, DemoRepository};
pub use diagnostics::{Diagnostics, Finding, Severity, Subject};
pub use error::ManagementError;
pub use issues::{BatchItem, Issues, StartOptions};
pub use jira::{CreatedWorkspace, Jira, NewWorkspace, SiteCheck, WorkspaceUpdate};
pub use jobs::{JobOrRequest, Jobs, QueueEstimate};
pub use nodes::{InvitedNode, NewNode, NodeRegistration, NodeUpdate, Nodes, RegisteredNode};
pub use oidc::{Oidc, OidcOptions};
pub use platform::{AppSettings, Platform};
pub use preferences::Preferences;
pub use principal::{LOCAL_OPERATOR, Principal};
pub use repositories::{ImportCounts, Repositories};
pub use secrets::{generate_secret, hash_secret};
pub use sessions::{
    NewSession, RequestIdentity, SESSION_COOKIE, SESSION_LIFETIME, Sessions, check_same_origin, is_local_path,
    remove_cookie,
};
pub use settings::{
    Changeable, EffectiveSetting, LiveConfiguration, MAX_VALUE_BYTES, NewValue, Settings, SettingsPorts,
};
pub use stats::{Stats, StatsPeriod};
pub use tasks::Tasks;
pub use tokens::{CreatedToken, NewToken, Tokens};
pub use trusted_proxies::{Client, Connection, InvalidNetwork, TrustedProxies};
pub use users::{NewUser, UserUpdate, Users};

/// The ports of the application layer.
#[derive(Clone)]
pub struct ManagementPorts {
    /// Users, sessions and tokens.
    pub accounts: Arc<dyn Accounts>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// What users may see.
    pub access: Arc<dyn AccessStore>,
    /// Credentials of forges.
    pub credentials: Arc<dyn CredentialStore>,
    /// Notification channels.
    pub channels: Arc<dyn ChannelStore>,
    /// Remote nodes.
    pub nodes: Arc<dyn NodeStore>,
    /// Derives the keys of nodes in push mode; without it nodes cannot register.
    pub node_client: Option<Arc<dyn NodeClient>>,
    /// Registered repositories.
    pub repositories: Arc<dyn RepositoryStore>,
    /// The settings of the server, where they are managed here.
    pub settings: Option<SettingsPorts>,
    /// The demo repository, where there is one.
    pub demo: Option<Arc<dyn DemoRepository>>,
    /// Jira, where it is used.
    pub jira: Option<JiraManagementPorts>,
    /// Idempotency keys of API requests.
    pub idempotency: Arc<dyn IdempotencyKeys>,
    /// Lists and single records.
    pub queries: Arc<dyn Queries>,
    /// Statistics.
    pub stats: Arc<dyn StatsStore>,
    /// Task logs.
    pub logs: Arc<dyn TaskLogs>,
    /// Model calls.
    pub model_calls: Arc<dyn ModelCalls>,
    /// The system clock: for sessions and tokens, whose times other systems check.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn IdSource>,
    /// Learns every secret that passes, so that it is masked from then on.
    pub redactor: Redactor,
}

impl ManagementPorts {
    /// The ports of one store that holds everything, such as `patchwright-store-diesel`: `store` has the plain records,
    /// `vault` the encrypted ones. Without remote nodes and without Jira.
    pub fn new<S, V>(
        store: Arc<S>,
        vault: Arc<V>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        redactor: Redactor,
    ) -> Self
    where
        S: Accounts + AccessStore + Audit + NodeStore + RepositoryStore + IdempotencyKeys + Queries + 'static,
        S: StatsStore + TaskLogs + ModelCalls,
        V: CredentialStore + ChannelStore + 'static,
    {
        Self {
            accounts: store.clone(),
            audit: store.clone(),
            access: store.clone(),
            credentials: vault.clone(),
            channels: vault,
            nodes: store.clone(),
            node_client: None,
            repositories: store.clone(),
            settings: None,
            demo: None,
            jira: None,
            idempotency: store.clone(),
            queries: store.clone(),
            stats: store.clone(),
            logs: store.clone(),
            model_calls: store,
            clock,
            ids,
            redactor,
        }
    }
}

/// The ports of Jira.
#[derive(Clone)]
pub struct JiraManagementPorts {
    /// Linked sites.
    pub workspaces: Arc<dyn Workspaces>,
    /// Linked accounts.
    pub users: Arc<dyn JiraUsers>,
    /// Received events and conversations.
    pub inbox: Arc<dyn JiraInbox>,
    /// Calls to sites.
    pub sites: Arc<dyn JiraSites>,
    /// The OAuth application, when it is configured.
    pub oauth: Option<Arc<dyn JiraOauth>>,
    /// `service` or `user`: the account that comments are written by.
    pub write_as: &'static str,
}

/// Options of the application layer.
#[derive(Debug, Clone, Default)]
pub struct ManagementOptions {
    /// The server's own API token.
    pub api_token: Option<Secret>,
    /// Whether the server listens on a loopback address. Then, as long as there are no users, requests from this machine
    /// need no login.
    pub loopback_only: bool,
    /// The proxies whose word about the client of a request is taken.
    pub trusted_proxies: TrustedProxies,
    /// The public address, without a trailing slash.
    pub public_url: Option<String>,
    /// Whether users may name addresses of private networks.
    pub allow_private_addresses: bool,
    /// The names of the presets that a start may use.
    pub presets: BTreeSet<Label>,
    /// Whether administrators may start with a command line instead of a preset.
    pub allow_free_commands: bool,
    /// How many jobs run in this process at the same time.
    pub embedded_slots: usize,
    /// The keys that sign login transactions, the current one first. Required for `OpenID` Connect.
    pub signing_keys: Vec<Secret>,
    /// The login provider.
    pub oidc: Option<OidcOptions>,
}

/// The application layer: every use case of users and of nodes in addition to the engine's. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Management(Arc<Inner>);

/// The shared state of all services.
pub(crate) struct Inner {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ports: ManagementPorts,
    pub(crate) options: ManagementOptions,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) provider: Option<Provider>,
    pub(crate) login_limiter: LoginLimiter,
    pub(crate) visibility: VisibilityCache,
    /// The hash of the token that creates the first administrator.
    pub(crate) setup_token: Mutex<Option<String>>,
    /// Held from the check of changed settings until they are in effect.
    pub(crate) changing_settings: tokio::sync::Mutex<()>,
    /// Whether there is a user; once true it stays true.
    pub(crate) has_users: AtomicBool,
}

impl Management {
    /// Returns the client of a request.
    pub fn client(&self, connection: &Connection<'_>) -> Client {
        let options = &self.0.options;
        options.trusted_proxies.client(connection, options.public_url.as_deref())
    }

    /// Creates the application layer. `http` is used for the login provider.
    pub fn new(
        engine: Arc<Engine>,
        ports: ManagementPorts,
        platforms: Vec<Platform>,
        options: ManagementOptions,
        http: &patchwright_http::HttpClient,
    ) -> Self {
        let provider = options.oidc.clone().map(|oidc| Provider::new(oidc, http.clone()));
        Self(Arc::new(Inner {
            engine,
            ports,
            options,
            platforms,
            provider,
            login_limiter: LoginLimiter::default(),
            visibility: VisibilityCache::default(),
            setup_token: Mutex::default(),
            changing_settings: tokio::sync::Mutex::default(),
            has_users: AtomicBool::new(false),
        }))
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// Returns the platforms of this server.
    pub fn platforms(&self) -> &[Platform] {
        &self.0.platforms
    }

    /// Returns the options.
    pub fn options(&self) -> &ManagementOptions {
        &self.0.options
    }

    /// Returns the port of task logs, for tasks that [`Tasks::get`] has shown to the reader.
    pub fn logs(&self) -> &Arc<dyn TaskLogs> {
        &self.0.ports.logs
    }

    /// Returns what a caller sees. Everything that this layer lists or returns is limited to it.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn visibility(&self, principal: &Principal) -> Result<Visibility, ManagementError> {
        self.0.visibility(principal).await
    }

    /// Returns the lengths of the queues.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn queue_depth(&self) -> Result<QueueDepth, ManagementError> {
        Ok(self.0.ports.queries.queue_depth().await?)
    }

    /// Returns the newest delivery: platform, event and time.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn last_delivery(&self) -> Result<Option<(String, String, jiff::Timestamp)>, ManagementError> {
        Ok(self.0.ports.queries.last_delivery().await?)
    }

    /// Tasks.
    pub fn tasks(&self) -> Tasks<'_> {
        Tasks(&self.0)
    }

    /// Returns the port of idempotency keys.
    pub fn idempotency(&self) -> &Arc<dyn IdempotencyKeys> {
        &self.0.ports.idempotency
    }

    /// Returns the time of jobs and leases.
    pub fn now(&self) -> jiff::Timestamp {
        self.0.engine.now()
    }

    /// Returns the redactor that masks known secrets.
    pub fn redactor(&self) -> &Redactor {
        &self.0.ports.redactor
    }

    /// Sessions: login, logout, the first administrator, and who makes a request.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(&self.0)
    }

    /// The login provider; `None` when none is configured.
    pub fn oidc(&self) -> Option<Oidc<'_>> {
        self.0.provider.as_ref().map(|provider| Oidc { inner: &self.0, provider })
    }

    /// Users.
    pub fn users(&self) -> Users<'_> {
        Users(&self.0)
    }

    /// API tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens(&self.0)
    }

    /// What users keep for themselves.
    pub fn preferences(&self) -> Preferences<'_> {
        Preferences(&self.0)
    }

    /// Credentials of forges.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials(&self.0)
    }

    /// Notification channels.
    pub fn channels(&self) -> Channels<'_> {
        Channels(&self.0)
    }

    /// Remote nodes.
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes(&self.0)
    }

    /// Registered repositories.
    pub fn repositories(&self) -> Repositories<'_> {
        Repositories(&self.0)
    }

    /// Issues: opening, editing, starting, cancelling, merging.
    pub fn issues(&self) -> Issues<'_> {
        Issues(&self.0)
    }

    /// Jobs: retrying, approving, cancelling, and how long they wait.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs(&self.0)
    }

    /// Jira sites and linked accounts.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`] when this server does not use Jira.
    pub fn jira(&self) -> Result<Jira<'_>, ManagementError> {
        let ports = self.0.ports.jira.as_ref();
        let ports = ports.ok_or_else(|| ManagementError::NotFound("Jira is not configured here".to_owned()))?;
        Ok(Jira { inner: &self.0, ports })
    }

    /// The settings of the server.
    pub fn settings(&self) -> Settings<'_> {
        Settings(&self.0)
    }

    /// The demo repository.
    pub fn demo(&self) -> Demo<'_> {
        Demo(&self.0)
    }

    /// Registering this server as an application of a forge; `None` when no forge here has applications.
    pub fn app_setup(&self) -> Option<AppSetup<'_>> {
        let found = self.0.platforms.iter().find_map(|platform| Some((&platform.id, platform.app.as_ref()?)));
        found.map(|(platform, app)| AppSetup { inner: &self.0, platform, app })
    }

    /// Statistics.
    pub fn stats(&self) -> Stats<'_> {
        Stats(&self.0)
    }

    /// The audit log.
    pub fn audit(&self) -> AuditLog<'_> {
        AuditLog(&self.0)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Management").field("options", &self.options).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ManagementPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ManagementPorts")
    }
}

impl std::fmt::Debug for JiraManagementPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JiraManagementPorts")
    }
}
