#![doc = include_str!("../README.md")]

mod address;
mod child;
mod command;
mod error;
mod import;
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
pub use import::import_repository;
pub use options::{GitOptions, Limits, SshOptions, StoreOptions};
pub use seed::{restore_first_commit, seed_repository};
pub use signing::SigningKey;
pub use snapshot::Snapshot;
pub use working_copy::WorkingCopy;

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::fault::error_chain;
use patchwright_core::git::{Checkout, Git, GitError, Workspace};
use patchwright_core::trash::Trash;
use patchwright_domain::BranchName;

use crate::address::Address;
use crate::child::{Answer, ChildError, PrepareWork, Runner, Work};
use crate::prepare::Prepared;
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
    background: Arc<Mutex<Background>>,
}

/// What is done in the background.
#[derive(Debug, Default)]
struct Background {
    /// The addresses whose history is being fetched.
    histories: HashSet<String>,
    trimmed: Option<Instant>,
    running: tokio::task::JoinSet<()>,
}

impl Background {
    /// Forgets the tasks that have ended.
    fn collect(&mut self) {
        while self.running.try_join_next().is_some() {}
    }
}

impl GixGit {
    /// Creates the port with these options. With a [`GitOptions::store`], a thread deletes what is no longer needed there.
    pub fn new(options: GitOptions) -> Self {
        if let Some(store) = &options.store
            && let Err(error) = Trash::new(store.folder.join("trash")).empty_in_background()
        {
            tracing::warn!(%error, folder = %store.folder.display(), "failed to start the deletion of unused folders");
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
        let shown = Address::parse(&request.url)?.redacted();
        // A branch that is rebased comes with the history that it has in common with its base.
        let factor = if request.with_branch { HISTORY_TIMEOUT_FACTOR } else { 1 };
        let options = GitOptions { timeout: self.options.timeout * factor, ..(*self.options).clone() };
        let runner = Runner { options: &options, shown: &shown, verb: "cloning" };
        let work = || Work::Prepare(PrepareWork::new(request));
        let answer = match runner.run(work(), request.credential.as_ref(), cancel).await {
            Err(ChildError::Crashed(error)) if self.replace_store(request).await => {
                tracing::warn!(error = %error_chain(&error), "fetching the repository anew after a crash");
                runner.run(work(), request.credential.as_ref(), cancel).await
            }
            other => other,
        };
        match answer? {
            Answer::Prepared(prepared) => Ok(prepared),
            _ => unreachable!("preparing is answered with what was prepared"),
        }
    }

    /// Takes the stored repository out of use, on which a child has crashed. Returns whether there was one.
    async fn replace_store(&self, request: &Checkout) -> bool {
        let (Some(store), Ok(address)) = (self.options.store.clone(), Address::parse(&request.url)) else {
            return false;
        };
        let destination = request.destination.clone();
        let replace = move || -> Result<bool, GitError> {
            let repository = RepositoryStore::open(&store, &address.identity(), &address.redacted())?;
            let Some(mirror) = repository.current() else { return Ok(false) };
            repository.discard(&destination);
            repository.replace(&mirror, &AtomicBool::new(false)).map(|()| true)
        };
        let replaced = tokio::task::spawn_blocking(replace).await;
        replaced.is_ok_and(|result| result.is_ok_and(|is_replaced| is_replaced))
    }

    /// Fetches the history of a repository for the next job, beside this one.
    fn fetch_history_in_background(&self, request: &Checkout, base: BranchName) {
        let mut background = self.background();
        background.collect();
        if !background.histories.insert(request.url.clone()) {
            return;
        }
        let (git, request) = (self.clone(), request.clone());
        background.running.spawn(async move {
            let fetched = git.fetch_history(&request, &base).await;
            if let Err(error) = fetched {
                tracing::warn!(error = %error_chain(&error), "failed to fetch the history of a repository");
                git.note_failed_history(&request.url).await;
            }
            git.background().histories.remove(&request.url);
        });
    }

    async fn fetch_history(&self, request: &Checkout, base: &BranchName) -> Result<(), GitError> {
        let address = Address::parse(&request.url)?;
        let shown = address.redacted();
        // The repository must not be deleted meanwhile.
        let _lock = self.lock_for_use(&address).await?;
        let timeout = self.options.timeout * HISTORY_TIMEOUT_FACTOR;
        let options = GitOptions { timeout, ..(*self.options).clone() };
        let runner = Runner { options: &options, shown: &shown, verb: "fetching the history of" };
        let work = Work::FetchHistory { url: request.url.clone(), branch: base.clone() };
        Ok(runner.run(work, request.credential.as_ref(), &CancellationToken::new()).await.map(|_| ())?)
    }

    /// Keeps the next jobs from trying the same at once.
    async fn note_failed_history(&self, url: &str) {
        let (Some(store), Ok(address)) = (self.options.store.clone(), Address::parse(url)) else { return };
        let note = move || {
            if let Ok(repository) = RepositoryStore::open(&store, &address.identity(), &address.redacted()) {
                repository.note_failed_history();
                repository.delete_unused();
            }
        };
        // It fails only at the end of the program.
        let _ = tokio::task::spawn_blocking(note).await;
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
            background.collect();
            background.running.spawn_blocking(move || trim(&store));
        }
    }

    fn background(&self) -> std::sync::MutexGuard<'_, Background> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Git for GixGit {
    async fn checkout(&self, request: Checkout, cancel: &CancellationToken) -> Result<Box<dyn Workspace>, GitError> {
        let address = Address::parse(&request.url)?;
        let lock = self.lock_for_use(&address).await?;
        let prepared = self.prepare(&request, cancel).await;
        // A job that fails has filled the store as well.
        self.trim_in_background();
        let prepared = prepared?;
        if prepared.needs_history {
            self.fetch_history_in_background(&request, prepared.base.clone());
        }
        tracing::debug!(reused = prepared.is_reused, depth = prepared.depth, "prepared the working copy");
        let push_address = request.push_url.as_deref().map_or(Ok(address.clone()), Address::parse)?;
        let opened = GixWorkspace::open(&self.options, address, push_address, &request, prepared, lock)?;
        Ok(Box::new(opened))
    }
}
