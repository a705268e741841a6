//! The tools of a worker: git, index, sandbox; and the outgoing HTTP client.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use patchwright_code_index::Locator;
use patchwright_core::Redactor;
use patchwright_core::llm::Llm;
use patchwright_domain::node::{Label, WorkCommand};
use patchwright_gitops_gix::{GitOptions, GixGit, StoreOptions};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_sandbox::{ContainerOptions, LocalSandbox, SandboxOptions, SandboxPolicy};
use patchwright_worker::Tools;

use super::{ComposeError, model};
use crate::config::Config;

/// The outgoing HTTP client.
///
/// # Errors
/// When a certificate or proxy cannot be used.
pub(crate) fn http_client(config: &Config, redactor: &Redactor) -> Result<HttpClient, patchwright_http::BuildError> {
    patchwright_http::install_tls();
    HttpClient::new(&http_options(config, redactor))
}

/// Creates the client for URLs that users enter.
pub(crate) fn notifying_client(
    config: &Config,
    redactor: &Redactor,
) -> Result<HttpClient, patchwright_http::BuildError> {
    HttpClient::new(&HttpOptions {
        public_only: !config.network.allow_private_addresses,
        ..http_options(config, redactor)
    })
}

/// Creates the tools of a standalone node.
///
/// # Errors
/// [`ComposeError`], naming what cannot be used.
pub fn compose_tools(config: &Config, http: &HttpClient, redactor: &Redactor) -> Result<Tools, ComposeError> {
    tools_with(config, http, redactor, None, None)
}

pub(super) fn tools_with(
    config: &Config,
    http: &HttpClient,
    redactor: &Redactor,
    model: Option<&Arc<dyn Llm>>,
    sandbox: Option<SandboxPolicy>,
) -> Result<Tools, ComposeError> {
    let model = model::llm(config, http, redactor, model)?;
    let tools = Tools::new(
        Arc::new(GixGit::new(git_options(config))),
        Arc::new(Locator::new(Some(config.data_dir.join("index")))),
        Arc::new(LocalSandbox::new(sandbox_options(config, sandbox))),
    );
    Ok(tools
        .with_llm(model)
        .with_model_proxy(model::model_proxy(config, http))
        .with_presets(config.presets.clone(), config.command_timeout)
        .with_verify_timeout(config.sandbox.verify_timeout)
        .with_redactor(redactor.clone()))
}

/// Returns the labels of this machine: the configured ones, and those of the installed programs.
pub(crate) fn machine_labels(config: &Config) -> BTreeSet<Label> {
    let mut labels = config.node_labels.clone();
    let installed =
        |program: &str| std::env::split_paths(&config.search_path).any(|folder| folder.join(program).is_file());
    let known = config.presets.iter().filter(|(_, preset)| installed(&preset.args[0]));
    labels.extend(known.map(|(name, _)| WorkCommand::Preset(name.clone()).label()));
    labels.extend([WorkCommand::Rebase.label(), Label::verification()]);
    if config.allow_free_commands {
        labels.insert(WorkCommand::Free(String::new()).label());
    }
    labels
}

fn http_options(config: &Config, redactor: &Redactor) -> HttpOptions {
    HttpOptions {
        ca_bundle: config.network.ca_bundle.clone(),
        http_proxy: config.network.http_proxy.clone(),
        https_proxy: config.network.https_proxy.clone(),
        no_proxy: config.network.no_proxy.clone(),
        redactor: redactor.clone(),
        ..HttpOptions::default()
    }
}

/// Returns the options of git.
pub(crate) fn git_options(config: &Config) -> GitOptions {
    let git = &config.git;
    let folder = git.cache.clone().unwrap_or_else(|| config.data_dir.join("git"));
    // Working copies borrow from it by its path.
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let store = StoreOptions { max_bytes: git.cache_bytes, history_depth: git.history, ..StoreOptions::new(folder) };
    GitOptions {
        timeout: git.timeout,
        allow_clear_http: config.network.allow_clear_http,
        ca_bundle: config.network.ca_bundle.clone(),
        proxy: git.proxy.clone(),
        ssh: git.ssh.clone(),
        limits: git.limits,
        store: Some(store).filter(|store| store.max_bytes > 0),
        child: OWN_PROGRAM.get().cloned(),
        signing_key: git.signing_key.clone(),
        environment: Some(git.environment.clone()),
        ..GitOptions::default()
    }
}

/// This program, if it can be started as a relay of the sandbox and as a child for git.
static OWN_PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Lets the sandbox and git start this program.
pub(crate) fn enable_own_program() {
    if let Ok(program) = std::env::current_exe() {
        OWN_PROGRAM.get_or_init(|| program);
    }
}

/// Returns the options of the sandbox.
pub(crate) fn sandbox_options(config: &Config, policy: Option<SandboxPolicy>) -> SandboxOptions {
    let sandbox = &config.sandbox;
    SandboxOptions {
        policy: policy.unwrap_or(sandbox.policy),
        backend: sandbox.backend,
        container: ContainerOptions {
            args: sandbox.engine_args.clone(),
            env: config.engine_env.clone(),
            images: sandbox.images.clone(),
        },
        home: config.home.clone(),
        path: config.search_path.clone(),
        env: config.toolchain_env.clone(),
        readable: sandbox.readable.clone(),
        private: vec![std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone())],
        cache: Some(sandbox.cache.clone().unwrap_or_else(|| config.data_dir.join("environments"))),
        cache_bytes: sandbox.cache_bytes,
        host_env: config.host_env.clone(),
        fetch_env: config.fetch_env.clone(),
        relay: OWN_PROGRAM.get().cloned(),
        registries: sandbox.registries.clone(),
        timeout: sandbox.timeout,
        memory_bytes: sandbox.memory_bytes,
        processes: sandbox.processes,
        disk_bytes: sandbox.disk_bytes,
        refusal_hint: "see docs/sandbox.md, or set SANDBOX=best-effort to run code that you trust as far as your own"
            .to_owned(),
    }
}
