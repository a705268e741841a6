//! The composition root: which adapter stands behind which port.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use patchwright_code_index::Locator;
use patchwright_core::forge::Forge;
use patchwright_core::jira::JiraSites;
use patchwright_core::ledger::DayBudgets;
use patchwright_core::llm::Llm;
use patchwright_core::model_proxy::ModelProxy;
use patchwright_core::progress::ProgressSink;
use patchwright_core::tracker::Tracker;
use patchwright_core::webhook::{SigningKeys, WebhookDecoder};
use patchwright_core::{Clock, IdSource, Redactor, Secret};
use patchwright_domain::money::Budget;
use patchwright_domain::node::{Label, WorkCommand};
use patchwright_domain::trigger::AllowLists;
use patchwright_domain::{PlatformId, RepoName};
use patchwright_engine::clock::{SteadyClock, SystemClock, UuidSource};
use patchwright_engine::jira::{JiraPorts, TemplateError, Templates};
use patchwright_engine::{Engine, MarkerKey, Settings};
use patchwright_gitcode::{GitcodeBot, GitcodeForge, GitcodeOptions, GitcodeSecrets, GitcodeWebhook};
use patchwright_github::{AppKey, GithubForge, GithubOptions, GithubWebhook};
use patchwright_gitops_gix::{GitOptions, GixGit};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_jira::{JiraCloud, JiraOauth, JiraOptions, JiraRecords, JiraWebhook, OauthOptions};
use patchwright_llm_openai::{OpenAi, OpenAiOptions, Recorded, Recording};
use patchwright_local::{LocalForge, LocalWebhook};
use patchwright_node::{LoopbackModelProxy, ModelProxyOptions};
use patchwright_sandbox::{ProcessSandbox, SandboxOptions, SandboxPolicy};
use patchwright_store_diesel::{DieselStore, GroupCommit, Sealer, Vault};
use patchwright_worker::Tools;

use crate::config::Config;
use crate::keyring::{KeyedForge, Keyring};
use crate::master::MasterKeys;

/// What a command wants otherwise than the configuration says.
#[derive(Default)]
pub struct Overrides {
    /// Who watches.
    pub progress: Option<Arc<dyn ProgressSink>>,
    /// Repositories of the built-in forge that lie elsewhere.
    pub repositories: Vec<(RepoName, PathBuf)>,
    /// Another sandbox policy.
    pub sandbox: Option<SandboxPolicy>,
    /// Another model.
    pub llm: Option<Arc<dyn Llm>>,
    /// How often a job is taken up.
    pub max_attempts: Option<u32>,
}

impl std::fmt::Debug for Overrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overrides").field("repositories", &self.repositories).finish_non_exhaustive()
    }
}

/// Everything put together.
#[derive(Debug, Clone)]
pub struct App {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// The store, for queries.
    pub store: DieselStore,
    /// The built-in forge.
    pub local: Arc<LocalForge>,
    /// GitHub, for what is not of every forge.
    pub github: Arc<GithubForge>,
    /// The forges that people add credentials for.
    pub(crate) keyed: [Arc<KeyedForge>; 2],
    /// Jira, for what is not of every tracker.
    pub jira: Arc<JiraCloud>,
    /// Credentials, and what else is sealed.
    pub vault: Vault,
    /// The outgoing HTTP client.
    pub http: HttpClient,
    /// Masks secrets.
    pub redactor: Redactor,
    /// What secrets are sealed and marks are signed with.
    pub master: MasterKeys,
    /// The clock of leases.
    pub clock: Arc<SteadyClock>,
}

impl App {
    /// The forge of a platform, where people add credentials for it.
    pub(crate) fn keyed(&self, platform: &PlatformId) -> Option<&Arc<KeyedForge>> {
        self.keyed.iter().find(|forge| forge.platform() == *platform)
    }
}

/// The pieces cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The database.
    #[error(transparent)]
    Open(#[from] patchwright_store_diesel::OpenError),
    /// Its schema.
    #[error("the database's schema cannot be brought up to date: {0}")]
    Migrate(#[source] patchwright_core::store::StoreError),
    /// The database's clock.
    #[error("the database does not tell the time: {0}")]
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
    /// A recording.
    #[error(transparent)]
    Recording(#[from] patchwright_llm_openai::RecordingError),
    /// The key file or a folder.
    #[error("{path} cannot be used: {source}; set DATA_DIR to a folder that this user may write")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Puts everything together and brings the database up to date.
///
/// # Errors
/// [`ComposeError`], naming what cannot be used.
pub async fn compose(config: &Config, overrides: Overrides) -> Result<App, ComposeError> {
    let master = MasterKeys::load(config).map_err(|(path, source)| ComposeError::Folder { path, source })?;
    let mut secrets = config.secrets();
    secrets.extend(master.all().cloned());
    let redactor = Redactor::new(&secrets);
    let store = DieselStore::open_with(config.database_url.expose(), group_commit(config)).await?;
    store.migrate().await.map_err(ComposeError::Migrate)?;
    let http = http_client(config, &redactor)?;
    let clock = Arc::new(SystemClock);
    let steady = Arc::new(SteadyClock::new(store.now().await.map_err(ComposeError::Now)?));
    let ids = Arc::new(UuidSource::new(Arc::clone(&steady)));
    let local = overrides.repositories.into_iter().fold(
        LocalForge::new(
            Arc::new(store.clone()),
            clock.clone(),
            Arc::clone(&ids) as Arc<dyn IdSource>,
            config.data_dir.join("repositories"),
        ),
        |forge, (name, path)| forge.with_repository(name, path),
    );
    let local = Arc::new(local);
    let github = Arc::new(github(config, &http, clock.clone(), None)?);
    let vault = Vault::new(store.clone(), Sealer::new(&master.present, &master.old));
    let keyed = keyed(
        config,
        &http,
        &github,
        &Keyring { vault: &vault, store: &store, clock: &(clock.clone() as Arc<dyn Clock>), redactor: &redactor },
    );
    let jira = Arc::new(jira(config, &http, clock.clone(), &vault));
    let tools = tools_with(config, &http, &redactor, overrides.llm, overrides.sandbox)?;
    let tools = tools.with_progress(overrides.progress);
    let mut settings = settings(config);
    settings.max_attempts = overrides.max_attempts.unwrap_or(settings.max_attempts);
    let marker = MarkerKey::new(&master.present).with_old(&master.old);
    let shared = Arc::new(store.clone());
    let mut engine = Engine::builder(shared.clone(), tools, settings, marker)
        .ledger(shared.clone())
        .nodes(shared.clone())
        .notices(Arc::new(vault.clone()))
        .logs(shared.clone())
        .model_calls(shared)
        .forge(Arc::clone(&keyed[0]) as Arc<dyn Forge>)
        .forge(Arc::clone(&keyed[1]) as Arc<dyn Forge>)
        .forge(Arc::clone(&local) as Arc<dyn Forge>)
        .tracker(Arc::clone(&jira) as Arc<dyn Tracker>)
        .jira(jira_ports(config, &store, &vault, &jira)?)
        .clock(Arc::clone(&steady) as Arc<dyn Clock>, ids);
    for decoder in webhooks(config) {
        engine = engine.webhook(decoder);
    }
    let engine = Arc::new(engine.build());
    Ok(App { engine, store, local, github, keyed, jira, vault, http, redactor, master, clock: steady })
}

/// The outgoing HTTP client.
///
/// # Errors
/// When a certificate or proxy cannot be used.
pub fn http_client(config: &Config, redactor: &Redactor) -> Result<HttpClient, patchwright_http::BuildError> {
    patchwright_http::install_tls();
    HttpClient::new(&http_options(config, redactor))
}

/// The client for addresses that people give.
pub(crate) fn notifying_client(
    config: &Config,
    redactor: &Redactor,
) -> Result<HttpClient, patchwright_http::BuildError> {
    HttpClient::new(&HttpOptions { public_only: !config.allow_private_addresses, ..http_options(config, redactor) })
}

/// What a node on its own works with.
///
/// # Errors
/// [`ComposeError`], naming what cannot be used.
pub fn compose_tools(config: &Config, http: &HttpClient, redactor: &Redactor) -> Result<Tools, ComposeError> {
    tools_with(config, http, redactor, None, None)
}

fn tools_with(
    config: &Config,
    http: &HttpClient,
    redactor: &Redactor,
    model: Option<Arc<dyn Llm>>,
    sandbox: Option<SandboxPolicy>,
) -> Result<Tools, ComposeError> {
    let model = match model {
        Some(model) => Some(model),
        None => llm(config, http, redactor)?,
    };
    let tools = Tools::new(
        Arc::new(GixGit::new(git_options(config))),
        Arc::new(Locator::new(Some(config.data_dir.join("index")))),
        Arc::new(ProcessSandbox::new(sandbox_options(config, sandbox))),
    );
    Ok(tools
        .with_llm(model)
        .with_model_proxy(model_proxy(config, http))
        .with_presets(config.presets.clone(), config.command_timeout)
        .with_redactor(redactor.clone()))
}

/// The forges with the credentials that people add.
fn keyed(
    config: &Config,
    http: &HttpClient,
    configured: &Arc<GithubForge>,
    keyring: &Keyring<'_>,
) -> [Arc<KeyedForge>; 2] {
    let (github_config, github_http, clock) = (config.clone(), http.clone(), Arc::clone(keyring.clock));
    let github = keyring.forge(Arc::clone(configured) as Arc<dyn Forge>, move |secret| {
        let made = github(&github_config, &github_http, Arc::clone(&clock), Some(secret));
        Arc::new(made.expect("without an App's key there is none to refuse"))
    });
    let (gitcode_config, gitcode_http, clock) = (config.clone(), http.clone(), Arc::clone(keyring.clock));
    let own = Arc::new(gitcode(config, http, Arc::clone(keyring.clock), None));
    let gitcode = keyring
        .forge(own, move |secret| Arc::new(gitcode(&gitcode_config, &gitcode_http, Arc::clone(&clock), Some(secret))));
    [github, gitcode]
}

/// GitHub as the configuration has it, or with another token in its place.
fn github(
    config: &Config,
    http: &HttpClient,
    clock: Arc<dyn Clock>,
    token: Option<Secret>,
) -> Result<GithubForge, ComposeError> {
    let config = &config.github;
    let app = match (&config.app_id, &config.app_key) {
        (Some(id), Some(key)) if token.is_none() => Some(AppKey::from_pem(id, key)?),
        _ => None,
    };
    let options = GithubOptions {
        api_url: config.api_url.clone(),
        graphql_url: config.graphql_url.clone(),
        clone_url: config.clone_url.clone(),
        app,
        token: token.or_else(|| config.token.clone()),
    };
    Ok(GithubForge::new(http.clone(), clock, options))
}

fn gitcode(config: &Config, http: &HttpClient, clock: Arc<dyn Clock>, token: Option<Secret>) -> GitcodeForge {
    let config = &config.gitcode;
    let options = GitcodeOptions {
        api_url: config.api_url.clone(),
        clone_url: config.clone_url.clone(),
        token: token.or_else(|| config.token.clone()),
        token_form: config.token_form,
    };
    GitcodeForge::new(http.clone(), clock, options)
}

/// Jira as the configuration has it.
fn jira(config: &Config, http: &HttpClient, clock: Arc<dyn Clock>, vault: &Vault) -> JiraCloud {
    let settings = &config.jira;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.bind));
    let oauth = settings.application.clone().map(|(client_id, client_secret)| OauthOptions {
        auth_url: settings.auth_url.clone(),
        token_url: settings.token_url.clone(),
        resources_url: settings.resources_url.clone(),
        me_url: settings.me_url.clone(),
        client_id,
        client_secret,
        redirect_uri: settings
            .redirect_uri
            .clone()
            .unwrap_or_else(|| format!("{}/api/v1/jira/callback", public_url.trim_end_matches('/'))),
        scopes: settings.scopes.clone(),
    });
    let options = JiraOptions {
        api_url: settings.api_url.clone(),
        version: settings.version,
        write_as: settings.write_as,
        states: settings.states.clone(),
    };
    let records = JiraRecords {
        workspaces: Arc::new(vault.clone()),
        users: Arc::new(vault.clone()),
        inbox: Arc::new(vault.clone()),
    };
    let oauth = oauth.map(|options| JiraOauth::new(http.clone(), options));
    JiraCloud::new(http.clone(), clock, options, records, oauth)
}

fn jira_ports(
    config: &Config,
    store: &DieselStore,
    vault: &Vault,
    jira: &Arc<JiraCloud>,
) -> Result<JiraPorts, TemplateError> {
    Ok(JiraPorts {
        workspaces: Arc::new(vault.clone()),
        users: Arc::new(vault.clone()),
        inbox: Arc::new(vault.clone()),
        sites: Arc::clone(jira) as Arc<dyn JiraSites>,
        decoder: Arc::new(JiraWebhook::new(config.app_name.clone())),
        accounts: Arc::new(store.clone()),
        repositories: Arc::new(store.clone()),
        templates: Arc::new(Templates::with(config.jira.templates.clone())?),
    })
}

fn webhooks(config: &Config) -> [Arc<dyn WebhookDecoder>; 3] {
    let keys = SigningKeys::new(&config.webhook_secrets);
    let app = config.github.app_id.as_ref().and_then(|id| id.parse().ok());
    let github: Arc<dyn WebhookDecoder> = Arc::new(GithubWebhook::new(keys.clone(), app));
    let secrets = GitcodeSecrets::new(&config.webhook_secrets, config.gitcode.webhook_password);
    let bot = GitcodeBot::new(&config.gitcode.bot_username, config.gitcode.bot_id);
    let gitcode: Arc<dyn WebhookDecoder> = Arc::new(GitcodeWebhook::new(secrets, bot));
    let local: Arc<dyn WebhookDecoder> = Arc::new(LocalWebhook::new(keys));
    [github, gitcode, local]
}

fn llm(config: &Config, http: &HttpClient, redactor: &Redactor) -> Result<Option<Arc<dyn Llm>>, ComposeError> {
    if let Some(path) = &config.llm_replay {
        return Ok(Some(Arc::new(Recorded::open(format!("{} (recorded)", config.llm_model), path)?)));
    }
    if !config.has_model() {
        return Ok(None);
    }
    let defaults = OpenAiOptions::default();
    let options = OpenAiOptions {
        base_url: config.llm_base_url.clone().unwrap_or(defaults.base_url),
        api_key: config.llm_api_key.clone(),
        model: config.llm_model.clone(),
        max_tokens_field: config.llm_max_tokens_field,
        temperature: config.llm_temperature,
        stream: config.llm_stream,
        timeout: config.llm_timeout,
        max_attempts: config.llm_tries,
        prompt_price_micros: config.llm_prompt_price_micros,
        completion_price_micros: config.llm_completion_price_micros,
        initial_backoff: defaults.initial_backoff,
    };
    let server = OpenAi::new(http.clone(), options);
    Ok(Some(match &config.llm_record {
        Some(path) => Arc::new(Recording::new(server, redactor.clone(), path)?),
        None => Arc::new(server),
    }))
}

/// The model for programs, where one is configured.
fn model_proxy(config: &Config, http: &HttpClient) -> Option<Arc<dyn ModelProxy>> {
    if config.llm_replay.is_some() || !config.has_model() {
        return None;
    }
    let options = ModelProxyOptions {
        base_url: config.llm_base_url.clone().unwrap_or_else(|| OpenAiOptions::default().base_url),
        api_key: config.llm_api_key.clone(),
        model: config.llm_model.clone(),
        timeout: config.llm_timeout,
        prompt_price_micros: config.llm_prompt_price_micros,
        completion_price_micros: config.llm_completion_price_micros,
    };
    Some(Arc::new(LoopbackModelProxy::new(http.clone(), options)))
}

/// What jobs may ask of this machine: what was configured, and the programs that are installed.
pub(crate) fn machine_labels(config: &Config) -> BTreeSet<Label> {
    let mut labels = config.node_labels.clone();
    let installed =
        |program: &str| std::env::split_paths(&config.search_path).any(|folder| folder.join(program).is_file());
    let known = config.presets.iter().filter(|(_, preset)| installed(&preset.args[0]));
    labels.extend(known.map(|(name, _)| WorkCommand::Preset(name.clone()).label()));
    if config.allow_free_commands {
        labels.insert(WorkCommand::Free(String::new()).label());
    }
    labels
}

const fn group_commit(config: &Config) -> GroupCommit {
    GroupCommit { capacity: config.door.write_queue, wait: config.door.group_commit_wait }
}

fn http_options(config: &Config, redactor: &Redactor) -> HttpOptions {
    HttpOptions {
        ca_bundle: config.ca_bundle.clone(),
        http_proxy: config.http_proxy.clone(),
        https_proxy: config.https_proxy.clone(),
        no_proxy: config.no_proxy.clone(),
        redactor: redactor.clone(),
        ..HttpOptions::default()
    }
}

fn git_options(config: &Config) -> GitOptions {
    GitOptions {
        timeout: config.git_timeout,
        allow_clear_http: config.allow_clear_http,
        ca_bundle: config.ca_bundle.clone(),
        proxy: config.git_proxy.clone(),
        ..GitOptions::default()
    }
}

fn sandbox_options(config: &Config, policy: Option<SandboxPolicy>) -> SandboxOptions {
    SandboxOptions {
        policy: policy.unwrap_or(config.sandbox),
        path: config.search_path.clone(),
        env: config.toolchain_env.clone(),
        timeout: config.sandbox_timeout,
        refusal_hint: "set SANDBOX=best-effort to run code that you trust as far as your own".to_owned(),
    }
}

fn settings(config: &Config) -> Settings {
    let work = config.data_dir.join("work");
    Settings {
        app_name: config.app_name.clone(),
        own_logins: config.own_logins.clone(),
        label: config.label.clone(),
        trigger_on_open: config.trigger_on_open,
        allow: AllowLists { users: config.allowed_users.clone(), repos: config.allowed_repos.clone() },
        allow_mode: config.allowlist_mode,
        permission: config.trigger_permission,
        limits: config.door.limits,
        report_files: config.report_files,
        budget: Budget {
            max_tokens: config.budget_tokens,
            max_calls: config.budget_calls,
            max_cost_micros: config.budget_cost_micros,
        },
        day_budgets: DayBudgets { repository: config.budget_repository_day, all: config.budget_day },
        job_timeout: config.job_timeout,
        share: config.share,
        labels: machine_labels(config),
        slots: if config.embedded_node { config.workers } else { 0 },
        max_answer_tokens: config.llm_max_tokens,
        max_rounds: config.max_rounds,
        keep_model_calls: config.keep_model_calls,
        review_plans: config.review_plans,
        max_attempts: config.max_attempts,
        first_backoff: config.retry_wait,
        lease: config.lease_timeout,
        author_name: config.author_name.clone(),
        author_email: config.author_email.clone(),
        public_url: config.public_url.clone(),
        // Build tools want absolute folders.
        ..Settings::new(std::path::absolute(&work).unwrap_or(work))
    }
}
