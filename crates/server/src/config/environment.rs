//! What of this process's environment is given to the programs that it starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::settings::SETTINGS;

/// Variables by name.
type Environment = BTreeMap<String, String>;

/// Returns the variables of these names that are set.
fn select(env: &dyn Fn(&str) -> Option<String>, names: &[&str]) -> Environment {
    names.iter().filter_map(|name| Some(((*name).to_owned(), env(name)?))).collect()
}

/// Returns the variables that are no settings: those hold secrets of this program.
pub(super) fn host_env(env: &[(String, String)]) -> Environment {
    let is_setting = |name: &str| {
        let name = name.strip_suffix("_FILE").unwrap_or(name);
        SETTINGS.iter().any(|setting| setting.name == name) || name.starts_with("PATCHWRIGHT_")
    };
    env.iter().filter(|(name, _)| !is_setting(name)).cloned().collect()
}

/// Returns where package managers find a mirror of their registry.
pub(super) fn fetch_env(env: &dyn Fn(&str) -> Option<String>) -> Environment {
    let names = [
        "GOPROXY",
        "GONOSUMDB",
        "GOPRIVATE",
        "npm_config_registry",
        "PIP_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
    ];
    select(env, &names)
}

/// Returns what a container engine needs to find its images, its daemon and its configuration.
pub(super) fn engine_env(env: &dyn Fn(&str) -> Option<String>) -> Environment {
    let names = [
        "CONTAINERS_CONF",
        "CONTAINERS_STORAGE_CONF",
        "CONTAINER_HOST",
        "DBUS_SESSION_BUS_ADDRESS",
        "DOCKER_CONFIG",
        "DOCKER_HOST",
        "HOME",
        "PATH",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    ];
    select(env, &names)
}

/// Returns what git, ssh and gpg need to find programs, agents and certificates, and no secret.
pub(super) fn git_env(env: &dyn Fn(&str) -> Option<String>) -> Environment {
    let names = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "GNUPGHOME", "SSL_CERT_FILE"];
    select(env, &names)
}

/// rustup's proxies find their tool chain through its home folder, because the operator's `HOME` is not passed on.
pub(super) fn toolchain_env(env: &dyn Fn(&str) -> Option<String>) -> Environment {
    let home = env("HOME").unwrap_or_default();
    let rustup = env("RUSTUP_HOME").or_else(|| Some(format!("{home}/.rustup")).filter(|path| Path::new(path).is_dir()));
    let pairs = [
        ("RUSTUP_HOME", rustup),
        ("RUSTUP_TOOLCHAIN", env("RUSTUP_TOOLCHAIN")),
        ("JAVA_HOME", env("JAVA_HOME")),
        ("GOROOT", env("GOROOT")),
        ("PYENV_ROOT", env("PYENV_ROOT")),
        ("VIRTUAL_ENV", env("VIRTUAL_ENV")),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Returns the folder for caches of this user.
pub(super) fn user_cache(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    user_folder(env, "XDG_CACHE_HOME", ".cache")
}

/// Returns the folder for what this user configures.
pub(super) fn user_config(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    user_folder(env, "XDG_CONFIG_HOME", ".config")
}

fn user_folder(env: &dyn Fn(&str) -> Option<String>, variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = |name| env(name).filter(|path| path.starts_with('/')).map(PathBuf::from);
    let folder = named(variable).or_else(|| named("HOME").map(|home| home.join(below_home)))?;
    Some(folder.join("patchwright"))
}
