//! The settings of git.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use patchwright_gitops_gix::{Limits, SigningKey, SshOptions};

use super::environment::git_env;
use super::{ConfigError, Values};

/// The settings of git.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct GitConfig {
    pub timeout: Duration,
    pub proxy: Option<String>,
    /// The folder of fetched repositories, if it is not in `DATA_DIR`.
    pub cache: Option<PathBuf>,
    /// 0: nothing is kept.
    pub cache_bytes: u64,
    pub history: u32,
    pub limits: Limits,
    pub ssh: SshOptions,
    pub signing_key: Option<SigningKey>,
    /// The environment of git, ssh and gpg: what finds programs, agents and certificates, and no secret.
    pub environment: BTreeMap<String, String>,
}

impl GitConfig {
    pub(super) fn read(v: &Values, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            timeout: v.seconds("GIT_TIMEOUT")?,
            proxy: v.optional("GIT_PROXY"),
            cache: v.optional("GIT_CACHE").map(PathBuf::from),
            cache_bytes: v.mebibytes("GIT_CACHE_SIZE")?,
            history: v.parse("GIT_HISTORY", "a number of commits")?,
            limits: Limits {
                repository_bytes: v.mebibytes("MAX_REPOSITORY_MB")?,
                files: v.parse("MAX_FILES", "a number of files")?,
                memory_bytes: v.mebibytes("GIT_MEMORY_MB")?,
            },
            ssh: SshOptions {
                key: v.optional("GIT_SSH_KEY").map(PathBuf::from),
                known_hosts: v.optional("GIT_SSH_KNOWN_HOSTS").map(PathBuf::from),
            },
            environment: git_env(env),
            signing_key: v.optional("COMMIT_SIGNING_KEY").map(|text| SigningKey::parse(&text)),
        })
    }
}
