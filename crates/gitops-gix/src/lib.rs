#![doc = include_str!("../README.md")]

mod address;
mod clone;
mod command;
mod error;
mod export;
mod objects;
mod path_guard;
mod push;
mod rebase;
mod seed;
mod snapshot;
mod transport;
mod workspace;

pub use seed::seed_repository;
pub use snapshot::Snapshot;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::git::{Checkout, Git, GitError, Workspace};

use crate::address::Address;
use crate::error::run_interruptible;

/// Configures a [`GixGit`].
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The time limit for one clone or push (`docs/requirements.md#r263`).
    pub timeout: Duration,
    /// Whether credentials may be sent over clear `http` to other machines ([`GitError::ClearTextCredential`]).
    pub allow_clear_http: bool,
    /// A PEM file with certificates to trust in addition to the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy for git. Without one git connects directly; the environment is ignored (`docs/requirements.md#r276`).
    pub proxy: Option<String>,
    /// The git program for `ssh://` remotes.
    pub git_program: PathBuf,
}

impl Default for GitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            allow_clear_http: false,
            ca_bundle: None,
            proxy: None,
            git_program: PathBuf::from("git"),
        }
    }
}

/// The git port over gix. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GixGit {
    options: GitOptions,
}

impl GixGit {
    /// Creates the port with these options.
    pub const fn new(options: GitOptions) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Git for GixGit {
    async fn checkout(&self, request: Checkout, cancel: &CancellationToken) -> Result<Box<dyn Workspace>, GitError> {
        let options = self.options.clone();
        let address = Address::parse(&request.url)?;
        let timeout = options.timeout;
        let action = format!("cloning {}", address.redacted());
        let workspace = run_interruptible(action, timeout, cancel, move |interrupt| {
            clone::checkout(&options, address, &request, interrupt)
        })
        .await?;
        Ok(Box::new(workspace))
    }
}
