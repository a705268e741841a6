//! The options of [`crate::GixGit`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::signing::SigningKey;

/// Configures a [`GixGit`](crate::GixGit).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GitOptions {
    /// The time limit for one checkout or push (`docs/requirements.md#r263`).
    pub timeout: Duration,
    /// Whether credentials may be sent over clear `http` to other machines
    /// ([`GitError::ClearTextCredential`](patchwright_core::git::GitError::ClearTextCredential)).
    pub allow_clear_http: bool,
    /// A PEM file with certificates to trust in addition to the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy for git. Without one git connects directly; the environment is ignored (`docs/requirements.md#r276`).
    pub proxy: Option<String>,
    /// The git program for `ssh://` remotes.
    pub git_program: PathBuf,
    /// How `ssh://` remotes are reached.
    pub ssh: SshOptions,
    /// What a repository may need.
    pub limits: Limits,
    /// Where fetched objects and working copies are kept for the next checkout. Without it each checkout fetches anew.
    pub store: Option<StoreOptions>,
    /// A program that calls [`run_child`](crate::run_child) when it is started as `PROGRAM git-child`. Untrusted repositories are
    /// fetched and checked out by this process of its own, with [`Limits::memory_bytes`]. Without it the calling process does both.
    pub child: Option<PathBuf>,
    /// What the name of a branch begins with that may be pushed; others are
    /// [`GitError::BranchRefused`](patchwright_core::git::GitError::BranchRefused). Empty: every branch.
    pub push_prefix: String,
    /// The key that signs commits.
    pub signing_key: Option<SigningKey>,
    /// The environment of the programs that are started: [`Self::child`], git, ssh, `ssh-keygen` and gpg. Without it they inherit
    /// that of this process, with whatever secrets it holds.
    pub environment: Option<BTreeMap<String, String>>,
}

impl Default for GitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            allow_clear_http: false,
            ca_bundle: None,
            proxy: None,
            git_program: PathBuf::from("git"),
            ssh: SshOptions::default(),
            limits: Limits::default(),
            store: None,
            child: None,
            push_prefix: "agent/".to_owned(),
            signing_key: None,
            environment: None,
        }
    }
}

impl GitOptions {
    /// Creates a command with the environment of the options and messages in English.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some(environment) = &self.environment {
            command.env_clear().envs(environment);
        }
        command.env("LC_ALL", "C");
        command
    }
}

/// How `ssh://` remotes are reached. Without a key the agent and the user's own keys are tried.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SshOptions {
    /// The file with the private key. Others are not tried then.
    pub key: Option<PathBuf>,
    /// The file with the host keys. Other hosts are refused then.
    pub known_hosts: Option<PathBuf>,
}

/// What a repository may need. More is [`GitError::TooLarge`](patchwright_core::git::GitError::TooLarge).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limits {
    /// The bytes that are fetched at once, and the bytes of all files of a commit.
    pub repository_bytes: u64,
    /// The number of files of a commit.
    pub files: u64,
    /// The memory of [`GitOptions::child`]; a quarter of it for one object, in any process.
    pub memory_bytes: u64,
}

impl Limits {
    /// Returns the largest object that a child reads.
    pub(crate) const fn object_bytes(&self) -> u64 {
        self.memory_bytes / 4
    }

    /// Returns the largest object that the calling process reads when a child does the rest.
    pub(crate) fn shared_object_bytes(&self) -> u64 {
        const MAX_BYTES: u64 = 64 << 20;
        self.object_bytes().min(MAX_BYTES)
    }

    /// Names the limit on what is fetched at once.
    pub(crate) fn file_limit(&self) -> String {
        format!("it has more than {} MiB (MAX_REPOSITORY_MB)", self.repository_bytes >> 20)
    }

    /// Names the limit on memory.
    pub(crate) fn memory_limit(&self) -> String {
        format!("reading it needs more than {} MiB of memory (GIT_MEMORY_MB)", self.memory_bytes >> 20)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { repository_bytes: 4 << 30, files: 500_000, memory_bytes: 2 << 30 }
    }
}

/// Where fetched objects and working copies are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreOptions {
    /// The folder. Processes may share it. A kept working copy can be taken only from the same file system.
    pub folder: PathBuf,
    /// The bytes that it may have. The repositories that were used longest ago are deleted.
    pub max_bytes: u64,
    /// The number of commits, from the tip, whose history is fetched in the background. 0: only what a checkout needs.
    pub history_depth: u32,
    /// The number of working copies that are kept for each repository.
    pub kept_trees: usize,
}

impl StoreOptions {
    /// Keeps at most 20 GiB in a folder, with 8,000 commits of history and two working copies for each repository.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, max_bytes: 20 << 30, history_depth: 8_000, kept_trees: 2 }
    }
}
