#![doc = include_str!("../README.md")]

mod address;
mod child;
mod command;
mod error;
mod local;
mod objects;
mod options;
mod path_guard;
mod prepare;
mod push;
mod rebase;
mod remote;
mod repository;
mod seed;
mod signing;
mod snapshot;
mod store;
mod transport;
mod tree_limits;
mod work_tree;
mod working_copy;
mod workspace;

pub use child::{CHILD_COMMAND, run_child};
pub use options::{GitOptions, Limits, SshOptions, StoreOptions};
pub use seed::seed_repository;
pub use signing::SigningKey;
pub use snapshot::Snapshot;
pub use working_copy::WorkingCopy;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::fault::error_chain;
use patchwright_core::git::{Checkout, Git, GitError, Workspace};
use patchwright_core::trash::Trash;

use crate::address::Address;
use crate::error::run_interruptible;
use crate::prepare::{Prepared, fetch_history, prepare};
use crate::store::{Lock, RepositoryStore, trim};
use crate::workspace::GixWorkspace;

/// How often the size of the store is looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(300);
/// How many times longer than a checkout the history of a repository may take.
const HISTORY_TIMEOUT_FACTOR: u32 = 10;

/// The git port over gix. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GixGit {
    options: Arc<GitOptions>,
    background: Arc<Mutex<BackgroundWork>>,
}

/// What is done in the background.
#[derive(Debug, Default)]
struct BackgroundWork {
    /// The addresses whose history is being fetched.
    histories: HashSet<String>,
    trimmed: Option<Instant>,
    running: tokio::task::JoinSet<()>,
}

impl GixGit {
    /// Creates the port with these options. With a [`GitOptions::store`], a thread deletes what is no longer needed there.
    pub fn new(options: GitOptions) -> Self {
        if let Some(store) = &options.store
            && let Err(error) = Trash::new(store.folder.join("trash")).empty_in_background()
        {
            tracing::warn!(%error, folder = %store.folder.display(), "what is deleted stays on the disk");
        }
        Self { options: Arc::new(options), background: Arc::default() }
    }

    /// Waits until nothing is done in the background any more, such as fetching the history of a repository.
    pub async fn wait_for_background_work(&self) {
        let mut running = std::mem::take(&mut self.background().running);
        while running.join_next().await.is_some() {}
    }

    /// Keeps the repository in the store from being deleted while it is used.
    async fn lock_for_use(&self, address: &Address) -> Result<Option<Lock>, GitError> {
        let Some(store) = self.options.store.clone() else { return Ok(None) };
        let (identity, shown) = (address.identity(), address.redacted());
        let lock = tokio::task::spawn_blocking(move || RepositoryStore::lock_for_use(&store, &identity, &shown)).await;
        lock.unwrap_or_else(|error| {
            Err(GitError::Internal { action: "locking the store".to_owned(), source: Box::new(error) })
        })
        .map(Some)
    }

    async fn prepare(&self, request: &Checkout, cancel: &CancellationToken) -> Result<Prepared, GitError> {
        if let Some(program) = &self.options.child {
            return child::prepare_in_child(program, &self.options, request, cancel).await;
        }
        let (options, request) = (Arc::clone(&self.options), request.clone());
        let action = format!("cloning {}", Address::parse(&request.url)?.redacted());
        run_interruptible(action, self.options.timeout, cancel, move |interrupt| prepare(&options, &request, interrupt))
            .await
    }

    /// Fetches the history of a repository for the next job, beside this one.
    fn fetch_history_in_background(&self, request: &Checkout, base: patchwright_domain::BranchName) {
        let is_first = self.background().histories.insert(request.url.clone());
        if !is_first {
            return;
        }
        let (git, request) = (self.clone(), request.clone());
        self.background().running.spawn(async move {
            let timeout = git.options.timeout * HISTORY_TIMEOUT_FACTOR;
            let options = GitOptions { timeout, ..(*git.options).clone() };
            let (url, credential) = (request.url, request.credential);
            let fetched = if let Some(program) = &options.child {
                child::fetch_history_in_child(program, &options, &url, &base, credential.as_ref()).await
            } else {
                let (action, address) = ("fetching the history".to_owned(), url.clone());
                run_interruptible(action, timeout, &CancellationToken::new(), move |interrupt| {
                    fetch_history(&options, &address, &base, credential.as_ref(), interrupt)
                })
                .await
            };
            if let Err(error) = fetched {
                tracing::warn!(error = %error_chain(&error), "the history of a repository is not there for the next job");
            }
            git.background().histories.remove(&url);
        });
    }

    /// Deletes what the store has too much of, now and then.
    fn trim_in_background(&self) {
        let Some(store) = self.options.store.clone() else { return };
        {
            let mut background = self.background();
            if background.trimmed.is_some_and(|last| last.elapsed() < TRIM_INTERVAL) {
                return;
            }
            background.trimmed = Some(Instant::now());
        }
        self.background().running.spawn_blocking(move || trim(&store));
    }

    fn background(&self) -> std::sync::MutexGuard<'_, BackgroundWork> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Git for GixGit {
    async fn checkout(&self, request: Checkout, cancel: &CancellationToken) -> Result<Box<dyn Workspace>, GitError> {
        let address = Address::parse(&request.url)?;
        let lock = self.lock_for_use(&address).await?;
        let prepared = self.prepare(&request, cancel).await?;
        if prepared.needs_history {
            self.fetch_history_in_background(&request, prepared.base.clone());
        }
        self.trim_in_background();
        tracing::debug!(reused = prepared.is_reused, depth = prepared.depth, "prepared the working copy");
        let push_address = request.push_url.as_deref().map_or(Ok(address.clone()), Address::parse)?;
        let opened = GixWorkspace::open(&self.options, address, push_address, &request, prepared, lock)?;
        Ok(Box::new(opened))
    }
}
