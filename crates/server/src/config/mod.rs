//! The configuration: merges the layers into one validated struct. Only this module reads the environment.

mod environment;
mod git;
mod jira;
mod jobs;
mod llm;
mod network;
mod platforms;
mod sandbox;
mod triggers;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use patchwright_core::Secret;
use patchwright_core::store::MAX_LEASE;
use patchwright_domain::node::Label;
use patchwright_engine::runtime::RetentionPeriods;
use patchwright_management::{OidcOptions, TrustedProxies};
use patchwright_worker::{Preset, builtin_presets};

pub use self::git::GitConfig;
pub use self::jira::JiraConfig;
pub use self::jobs::JobConfig;
pub use self::llm::LlmConfig;
pub use self::network::NetworkConfig;
pub use self::platforms::{AdmissionConfig, GitcodeConfig, GithubConfig};
pub use self::sandbox::SandboxConfig;
pub use self::triggers::TriggerConfig;
use self::values::collect;
pub use self::values::{Layers, Source, Values};

/// The shortest master key that is accepted, in bytes.
const MIN_MASTER_KEY_BYTES: usize = 16;
/// A shorter webhook secret is warned of, in bytes.
const SHORT_SECRET_BYTES: usize = 16;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("the configuration file {path} cannot be read: {detail}")]
    File {
        /// The path.
        path: PathBuf,
        /// The error, with the line.
        detail: String,
    },
    /// The key is unknown.
    #[error("{source_name}: unknown key `{key}`{hint}; `patchwright config` lists all keys")]
    UnknownKey {
        /// The file, the environment or the command line.
        source_name: String,
        /// The key.
        key: String,
        /// The most similar known key, if there is one.
        hint: String,
    },
    /// The value is invalid.
    #[error("{name} = `{value}` (from {source_name}) cannot be used: {reason}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Its value, unless it is secret.
        value: String,
        /// Its source.
        source_name: String,
        /// The error.
        reason: String,
    },
    /// Two settings conflict.
    #[error("{0}")]
    Conflict(String),
}

/// The effective configuration.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
#[expect(clippy::struct_excessive_bools, reason = "they are independent switches of the operator")]
pub struct Config {
    pub bind: String,
    pub public_url: Option<String>,
    /// An address of its own for `/metrics`.
    pub metrics_bind: Option<String>,
    /// The token for `/metrics` on the server's address.
    pub metrics_token: Option<Secret>,
    pub trusted_proxies: TrustedProxies,
    pub data_dir: PathBuf,
    pub database_url: Secret,
    pub master_key: Option<Secret>,
    pub old_master_keys: Vec<Secret>,
    pub api_token: Option<Secret>,
    pub admission: AdmissionConfig,
    /// How long records are kept.
    pub retention: RetentionPeriods,
    pub workers: usize,
    pub embedded_node: bool,
    pub node_labels: BTreeSet<Label>,
    pub node_capacity: u32,
    /// The programs of [`patchwright_worker::builtin_presets`] and `AI_COMMANDS`.
    pub presets: BTreeMap<Label, Preset>,
    pub command_timeout: Duration,
    pub allow_free_commands: bool,
    pub shutdown_timeout: Duration,
    pub lease_timeout: Duration,
    pub node_silent_limit: Duration,
    /// `LOG_FILTER`, or else `LOG_LEVEL`.
    pub log_filter: String,
    pub log_json: bool,
    pub platform: String,
    pub webhook_secrets: Vec<Secret>,
    pub test_mode: bool,
    pub triggers: TriggerConfig,
    pub github: GithubConfig,
    pub gitcode: GitcodeConfig,
    pub jira: JiraConfig,
    pub llm: LlmConfig,
    pub jobs: JobConfig,
    pub network: NetworkConfig,
    pub git: GitConfig,
    pub sandbox: SandboxConfig,
    pub oidc: Option<OidcOptions>,
    pub smtp_url: Option<Secret>,
    pub smtp_from: String,
    /// `PATH`, for the programs of test suites.
    pub search_path: String,
    /// Environment variables that tool chains need; no secrets.
    pub toolchain_env: BTreeMap<String, String>,
    /// The environment of a container engine.
    pub engine_env: BTreeMap<String, String>,
    /// The home of this user, whose package caches runs on a working copy may read.
    pub home: Option<PathBuf>,
    /// The environment variables that an administrator may grant to a repository: none of them is a setting.
    pub host_env: BTreeMap<String, String>,
    /// Environment variables for package managers, which only fetch.
    pub fetch_env: BTreeMap<String, String>,
    /// The folder for caches of this user.
    pub user_cache: Option<PathBuf>,
    /// The folder for what this user configures.
    pub user_config: Option<PathBuf>,
    /// The values of all settings before validation.
    pub values: Values,
    /// What it was read from.
    layers: Layers,
}

fn read_retention(v: &Values) -> Result<RetentionPeriods, ConfigError> {
    let days = |name| Ok(SignedDuration::from_hours(24 * i64::from(v.parse::<u16>(name, "a number of days")?)));
    let unless_zero = |age: SignedDuration| Some(age).filter(|age| !age.is_zero());
    Ok(RetentionPeriods {
        deliveries: days("DELIVERY_RETENTION")?,
        payload_bytes: v.parse("DELIVERY_RETENTION_BYTES", "a number of bytes")?,
        logs: days("LOG_RETENTION")?,
        model_calls: days("MODEL_CALL_RETENTION")?,
        jobs: unless_zero(days("JOB_RETENTION")?),
        audit: unless_zero(days("AUDIT_RETENTION")?),
    })
}

impl Config {
    /// Reads and validates all layers.
    ///
    /// # Errors
    /// [`ConfigError`], naming the source, the key and the reason.
    pub fn load(layers: &Layers) -> Result<Self, ConfigError> {
        let values = collect(layers)?;
        let env = |name: &str| layers.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let config = Self::check(values, &env)?;
        Ok(Self { host_env: environment::host_env(&layers.env), layers: layers.clone(), ..config })
    }

    /// Returns this configuration with further values of the command line.
    ///
    /// # Errors
    /// [`ConfigError`], naming the setting and the reason.
    pub fn with_flags(&self, flags: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let mut layers = self.layers.clone();
        layers.flags.extend(flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::load(&layers)
    }

    /// Returns this configuration with what administrators stored. Only settings that can be changed at runtime take their
    /// values from there.
    ///
    /// # Errors
    /// [`ConfigError`], naming the setting and the reason.
    pub fn with_stored(&self, stored: &[(String, Secret)]) -> Result<Self, ConfigError> {
        if stored.is_empty() {
            return Ok(self.clone());
        }
        let mut values = self.values.clone();
        values.overlay(stored);
        let env = |name: &str| self.layers.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let Self { webhook_secrets, triggers, github, gitcode, llm, jobs, values, .. } = Self::check(values, &env)?;
        Ok(Self { webhook_secrets, triggers, github, gitcode, llm, jobs, values, ..self.clone() })
    }

    fn check(mut values: Values, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let data_dir = PathBuf::from(values.text("DATA_DIR"));
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        values.fill("DATABASE_URL", format!("sqlite://{}", data_dir.join("patchwright.db").display()));
        values.fill("WORKERS", cores.to_string());
        values.fill("NODE_CAPACITY", cores.to_string());
        let v = &values;
        let mut triggers = TriggerConfig::read(v)?;
        let gitcode = GitcodeConfig::read(v, triggers.own_logins.first().map_or("", String::as_str))?;
        if !triggers.own_logins.contains(&gitcode.bot_username) {
            triggers.own_logins.push(gitcode.bot_username.clone());
        }
        let webhook_secrets =
            ["WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS"].into_iter().filter_map(|name| v.secret(name)).collect();
        Ok(Self {
            bind: v.text("BIND").to_owned(),
            public_url: v.url("PUBLIC_URL")?,
            metrics_bind: v.optional("METRICS_BIND"),
            metrics_token: v.secret("METRICS_TOKEN"),
            trusted_proxies: trusted_proxies(v)?,
            database_url: Secret::new(v.text("DATABASE_URL")),
            data_dir,
            master_key: master_key(v)?,
            old_master_keys: v.list("PATCHWRIGHT_OLD_MASTER_KEYS").into_iter().map(Secret::new).collect(),
            api_token: v.secret("API_TOKEN"),
            admission: AdmissionConfig::read(v)?,
            retention: read_retention(v)?,
            workers: v.parse("WORKERS", "a number")?,
            embedded_node: v.switch("EMBEDDED_NODE")?,
            node_labels: v.list_of("NODE_LABELS", "labels", |text| Label::parse(text).ok())?.into_iter().collect(),
            presets: presets(v)?,
            command_timeout: v.seconds("COMMAND_TIMEOUT")?,
            allow_free_commands: v.switch("ALLOW_FREE_COMMANDS")?,
            node_capacity: v.parse("NODE_CAPACITY", "a number")?,
            shutdown_timeout: v.seconds("SHUTDOWN_TIMEOUT")?,
            lease_timeout: v.seconds_up_to("LEASE_TIMEOUT", MAX_LEASE.unsigned_abs())?,
            node_silent_limit: v.seconds("NODE_SILENT_LIMIT")?,
            log_filter: log_filter(v)?,
            log_json: v.choice("LOG_FORMAT", &[("text", false), ("json", true)])?,
            platform: v
                .choice("PLATFORM", &[("github", "github"), ("gitcode", "gitcode"), ("local", "local")])?
                .to_owned(),
            webhook_secrets,
            test_mode: v.switch("TEST_MODE")?,
            triggers,
            github: GithubConfig::read(v)?,
            gitcode,
            jira: JiraConfig::read(v)?,
            llm: LlmConfig::read(v)?,
            jobs: JobConfig::read(v)?,
            network: NetworkConfig::read(v)?,
            git: GitConfig::read(v, env)?,
            sandbox: SandboxConfig::read(v)?,
            oidc: oidc(v)?,
            smtp_url: v.secret("SMTP_URL"),
            smtp_from: v.text("SMTP_FROM").to_owned(),
            search_path: env("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned()),
            toolchain_env: environment::toolchain_env(env),
            engine_env: environment::engine_env(env),
            home: env("HOME").map(PathBuf::from),
            host_env: BTreeMap::new(),
            fetch_env: environment::fetch_env(env),
            user_cache: environment::user_cache(env),
            user_config: environment::user_config(env),
            values,
            layers: Layers::default(),
        })
    }

    /// Returns all secrets, for the redactor.
    pub fn secrets(&self) -> Vec<Secret> {
        let single = [
            &self.master_key,
            &self.api_token,
            &self.metrics_token,
            &self.github.token,
            &self.github.app_key,
            &self.gitcode.token,
            &self.llm.api_key,
            &self.llm.fallback_api_key,
            &self.smtp_url,
        ];
        let jira = self.jira.application.iter().map(|(_, secret)| secret);
        let oidc = self.oidc.iter().map(|oidc| &oidc.client_secret);
        single.into_iter().flatten().chain(&self.webhook_secrets).chain(jira).chain(oidc).cloned().collect()
    }

    /// Checks what only a listening server needs.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] for settings that would allow access without authentication.
    pub fn check_for_serving(&self) -> Result<(), ConfigError> {
        let loopback = is_loopback(&self.bind);
        if self.test_mode && !loopback {
            return Err(ConfigError::Conflict(format!(
                "TEST_MODE=true accepts unsigned deliveries, and BIND={} is not a loopback address: anyone could start \
                 jobs; unset TEST_MODE or listen on 127.0.0.1",
                self.bind
            )));
        }
        let reachable = self.github.is_connected() || self.gitcode.token.is_some() || !loopback;
        if self.webhook_secrets.is_empty() && !self.test_mode && reachable {
            return Err(ConfigError::Conflict(
                "WEBHOOK_SECRET is empty, so forged deliveries could not be detected; set the same secret here and \
                 in the platform's webhook"
                    .to_owned(),
            ));
        }
        if self.webhook_secrets.iter().any(|secret| secret.expose().len() < SHORT_SECRET_BYTES) {
            tracing::warn!("WEBHOOK_SECRET has fewer than {SHORT_SECRET_BYTES} characters and could be guessed");
        }
        Ok(())
    }
}

/// Returns whether an address can only be reached from this machine.
pub fn is_loopback(bind: &str) -> bool {
    let host = bind.rsplit_once(':').map_or(bind, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the configured master key. A short one could be guessed from what it encrypts.
fn master_key(v: &Values) -> Result<Option<Secret>, ConfigError> {
    let key = v.secret("PATCHWRIGHT_MASTER_KEY");
    if key.as_ref().is_some_and(|key| key.expose().len() < MIN_MASTER_KEY_BYTES) {
        let reason = format!(
            "it must have at least {MIN_MASTER_KEY_BYTES} characters, such as `openssl rand -base64 32` prints"
        );
        return Err(v.wrong("PATCHWRIGHT_MASTER_KEY", reason));
    }
    Ok(key)
}

fn trusted_proxies(v: &Values) -> Result<TrustedProxies, ConfigError> {
    let networks = v.list("TRUSTED_PROXIES");
    TrustedProxies::parse(networks.iter().map(String::as_str))
        .map_err(|error| v.wrong("TRUSTED_PROXIES", error.to_string()))
}

/// Returns the filter of the log. A word that is no level would silence everything.
fn log_filter(v: &Values) -> Result<String, ConfigError> {
    let levels = [
        ("error", "error"),
        ("warn", "warn"),
        ("info", "info"),
        ("debug", "debug"),
        ("trace", "trace"),
        ("warning", "warn"),
        ("critical", "error"),
        ("fatal", "error"),
        ("notset", "trace"),
    ];
    let level = v.choice("LOG_LEVEL", &levels)?;
    let Some(filter) = v.optional("LOG_FILTER") else { return Ok(level.to_owned()) };
    let has_level = |part: &str| {
        let level = part.rsplit('=').next().unwrap_or_default().trim();
        level.eq_ignore_ascii_case("off") || level.parse::<tracing::Level>().is_ok()
    };
    if !filter.split(',').all(has_level) || tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        return Err(v.wrong("LOG_FILTER", "each part must be a level, or a target, `=` and a level"));
    }
    Ok(filter)
}

/// Returns the login provider, if one is configured.
fn oidc(v: &Values) -> Result<Option<OidcOptions>, ConfigError> {
    // Unchanged: a trailing slash is part of the issuer's name.
    let issuer = v.url("OIDC_ISSUER")?.and_then(|_| v.optional("OIDC_ISSUER"));
    let Some(issuer) = issuer else { return Ok(None) };
    let missing = |name: &str| ConfigError::Conflict(format!("OIDC_ISSUER needs {name}"));
    Ok(Some(OidcOptions {
        issuer,
        client_id: v.optional("OIDC_CLIENT_ID").ok_or_else(|| missing("OIDC_CLIENT_ID"))?,
        client_secret: v.secret("OIDC_CLIENT_SECRET").ok_or_else(|| missing("OIDC_CLIENT_SECRET"))?,
        scopes: v.text("OIDC_SCOPES").to_owned(),
        login_claim: v.text("OIDC_LOGIN_CLAIM").to_owned(),
        admin_group: v.optional("OIDC_ADMIN_GROUP"),
        // Set when the server's address is known.
        redirect_uri: String::new(),
    }))
}

/// Returns the built-in and the configured presets of programs.
fn presets(v: &Values) -> Result<BTreeMap<Label, Preset>, ConfigError> {
    let mut presets = builtin_presets();
    for text in v.text("AI_COMMANDS").split(';').map(str::trim).filter(|text| !text.is_empty()) {
        let wrong = || v.wrong("AI_COMMANDS", format!("`{text}` is not a name, `=` and a command line"));
        let (name, line) = text.split_once('=').ok_or_else(wrong)?;
        let name = Label::parse(name.trim()).map_err(|_| wrong())?;
        let args = shlex::split(line).filter(|args| !args.is_empty()).ok_or_else(wrong)?;
        presets.insert(name, Preset { args, env: BTreeMap::new() });
    }
    Ok(presets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Layers {
        let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Layers { env, ..Layers::default() }
    }

    fn error(layers: &Layers) -> String {
        Config::load(layers).unwrap_err().to_string()
    }

    #[test]
    fn what_a_repository_may_be_granted_is_never_a_setting() {
        let layers = env(&[("TEST_REGION", "eu"), ("LLM_API_KEY", "sk-x"), ("DATABASE_URL", "postgres://u:p@h/d")]);
        let granted = Config::load(&layers).unwrap().host_env;
        assert_eq!(granted.keys().collect::<Vec<_>>(), ["TEST_REGION"]);
        let app = [("PUSH_TO", "fork"), ("GITHUB_APP_ID", "1"), ("GITHUB_APP_PRIVATE_KEY_PATH", "Cargo.toml")];
        let forks = error(&env(&app));
        assert!(forks.contains("PUSH_TO") && forks.contains("GITHUB_TOKEN"), "{forks}");
    }

    #[test]
    fn later_layers_win_and_say_where_they_are_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.toml");
        std::fs::write(&file, "bind = \"127.0.0.1:1\"\nallowed_users = [\"a\", \"b\"]\nlabel = \"fixme\"\n").unwrap();
        let mut layers = env(&[("BIND", "127.0.0.1:2"), ("APP_NAME", "")]);
        layers.file = Some(file.clone());
        layers.flags = vec![("LLM_MODEL".into(), "m".into())];
        let config = Config::load(&layers).unwrap();
        assert_eq!((config.bind.as_str(), config.triggers.label.as_str()), ("127.0.0.1:2", "fixme"));
        assert_eq!(config.triggers.allowed_users, ["a", "b"]);
        assert_eq!((config.triggers.app_name.as_str(), config.llm.model.as_str()), ("patchwright", "m"));
        let sources: BTreeMap<_, _> =
            config.values.display_rows().map(|(s, _, source)| (s.name, source.to_string())).collect();
        assert_eq!(sources["BIND"], "environment");
        assert_eq!(sources["PATCHWRIGHT_LABEL"], file.display().to_string());
        assert_eq!(sources["LLM_MODEL"], "--set");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file_and_the_nearest_known_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("patchwright.toml");
        std::fs::write(&file, "webhook_secert = \"x\"\n").unwrap();
        let message = error(&Layers { file: Some(file.clone()), ..Layers::default() });
        assert_eq!(
            message,
            format!(
                "{}: unknown key `webhook_secert` (did you mean `webhook_secret`?); `patchwright config` lists all keys",
                file.display()
            )
        );
        let message = error(&env(&[("PATCHWRIGHT_LABLE", "x")]));
        assert!(message.contains("`PATCHWRIGHT_LABLE` (did you mean `PATCHWRIGHT_LABEL`?)"), "{message}");
    }

    #[test]
    fn a_bad_value_is_named_and_a_secret_one_is_not_shown() {
        assert!(error(&env(&[("SANDBOX", "off")])).contains("it must be one of: require, best-effort"));
        assert!(error(&env(&[("LLM_TIMEOUT", "soon")])).contains("LLM_TIMEOUT = `soon` (from environment)"));
        assert!(error(&env(&[("LLM_BASE_URL", "localhost:1")])).contains("no http or https address"));
        assert!(error(&env(&[("TEST_MODE", "maybe")])).contains("neither true nor false"));
        let config = Config::load(&env(&[("GITHUB_TOKEN", "ghp_secret")])).unwrap();
        assert!(!format!("{config:?}").contains("ghp_secret"));
        assert!(config.values.display_rows().any(|(s, shown, _)| s.name == "GITHUB_TOKEN" && shown == "[redacted]"));
        let config = Config::load(&env(&[("DATABASE_URL", "postgres://me:hunter2@db/x")])).unwrap();
        assert!(config.values.display_rows().all(|(_, shown, _)| !shown.contains("hunter2")));
    }

    #[test]
    fn fault_e2_levels_are_known_in_any_case_and_nonsense_is_refused() {
        let filter = |pairs: &[(&str, &str)]| Config::load(&env(pairs)).map(|config| config.log_filter);
        for (text, level) in [("WARNING", "warn"), ("CRITICAL", "error"), ("Info", "info"), ("NOTSET", "trace")] {
            assert_eq!(filter(&[("LOG_LEVEL", text)]).unwrap(), level);
        }
        assert!(error(&env(&[("LOG_LEVEL", "verbose")])).contains("LOG_LEVEL = `verbose`"));
        assert_eq!(
            filter(&[("LOG_FILTER", "info,patchwright_engine=debug")]).unwrap(),
            "info,patchwright_engine=debug"
        );
        assert!(error(&env(&[("LOG_FILTER", "loud")])).contains("a level"));
    }

    #[test]
    fn fault_a2_a_file_in_the_working_directory_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| (name.to_owned(), home.path().display().to_string());
        assert_eq!(values::usual_file(&[at("HOME")]), None);
        let file = home.path().join(".config/patchwright/patchwright.toml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(values::usual_file(&[at("HOME")]), Some(file));
        assert_eq!(values::usual_file(&[at("HOME"), at("XDG_CONFIG_HOME")]), None);
        assert_eq!(values::usual_file(&[("XDG_CONFIG_HOME".to_owned(), ".".to_owned())]), None, "it must be absolute");
    }

    #[test]
    fn a_door_without_a_lock_is_not_opened() {
        let serving = |pairs: &[(&str, &str)]| Config::load(&env(pairs)).unwrap().check_for_serving();
        assert!(serving(&[]).is_ok(), "with nothing configured it starts, and takes no delivery");
        assert!(serving(&[("TEST_MODE", "true")]).is_ok());
        assert!(serving(&[("TEST_MODE", "true"), ("BIND", "0.0.0.0:80")]).is_err());
        assert!(serving(&[("BIND", "0.0.0.0:80")]).is_err());
        assert!(serving(&[("GITHUB_TOKEN", "x")]).is_err());
        assert!(serving(&[("GITHUB_TOKEN", "x"), ("WEBHOOK_SECRET", "s"), ("BIND", "[::]:80")]).is_ok());
        assert!(is_loopback("[::1]:80") && !is_loopback("0.0.0.0:80"));
    }

    #[test]
    fn a_github_app_needs_both_its_halves_and_a_hook_its_form() {
        assert!(error(&env(&[("GITHUB_APP_ID", "1")])).contains("GITHUB_APP_PRIVATE_KEY_PATH is not set"));
        let absent = [("GITHUB_APP_ID", "1"), ("GITHUB_APP_PRIVATE_KEY_PATH", "/nowhere.pem")];
        assert!(error(&env(&absent)).contains("the file cannot be read"));
        assert!(
            error(&env(&[("GITHUB_REDELIVER", "acme/demo")])).contains("`acme/demo` is not `app` or `owner/name/HOOK`")
        );
        assert!(error(&env(&[("GITHUB_REDELIVER", "app")])).contains("`app` needs GITHUB_APP_ID"));
        let config = Config::load(&env(&[("GITHUB_REDELIVER", "acme/demo/77"), ("GITCODE_PAT", "x")])).unwrap();
        assert_eq!(config.github.redeliver[0].to_string(), "the webhook 77 of acme/demo");
        assert!(config.gitcode.token.is_some());
    }

    #[test]
    fn enterprise_addresses_follow_from_the_api_address() {
        let config = Config::load(&env(&[("GITHUB_API_URL", "https://git.example/api/v3/")])).unwrap();
        assert_eq!(config.github.graphql_url, "https://git.example/api/graphql");
        assert_eq!(Config::load(&env(&[])).unwrap().github.graphql_url, "https://api.github.com/graphql");
    }
}
