#![doc = include_str!("../README.md")]

mod address;
mod clone;
mod command;
mod error;
mod export;
mod jail;
mod objects;
mod push;
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
use crate::error::interruptible;

/// How git behaves.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The longest time for one clone or push (`seeds/002 §8`: about 120 s).
    pub timeout: Duration,
    /// Whether credentials may go over clear `http` to other machines.
    pub allow_clear_http: bool,
    /// Certificates to trust beside the system's, as a PEM file.
    pub ca_bundle: Option<PathBuf>,
    /// A proxy for git alone. Without one git goes out directly, whatever the environment says (`seeds/002 §8`).
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

/// Git over gix. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GixGit {
    options: GitOptions,
}

impl GixGit {
    /// Git with these options.
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
        let action = format!("cloning {}", address.shown());
        let workspace = interruptible(action, timeout, cancel, move |interrupt| {
            clone::checkout(&options, address, &request, interrupt)
        })
        .await?;
        Ok(Box::new(workspace))
    }
}
