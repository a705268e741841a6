//! The loops that work: some for jobs, one for the outbox.

use std::sync::Arc;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::store::{Store, StoreError};
use patchwright_engine::Engine;
use patchwright_store_diesel::DieselStore;
use tokio::task::JoinSet;

use crate::compose::App;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::notify::Notifier;

/// How long a loop sleeps at the most when nobody wakes it: other replicas write too.
const POLL: Duration = Duration::from_secs(5);
/// How long it sleeps after the store failed.
const AFTER_ERROR: Duration = Duration::from_secs(2);

/// The running loops.
pub(crate) struct Workers {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    abandon: CancellationToken,
}

impl Workers {
    /// Starts loops for jobs, and one each for nodes, notifications, Jira and effects; with no workers configured none at all.
    pub(crate) fn start(app: &App, config: &Config, public_url: String, notifier: Notifier) -> Self {
        let (engine, store) = (&app.engine, &app.store);
        let holder = format!("server-{}", std::process::id());
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        if config.workers == 0 {
            return Self { tasks, stop, abandon };
        }
        for number in (0..config.workers).filter(|_| config.embedded_node) {
            let (engine, store) = (Arc::clone(engine), store.clone());
            let (stop, abandon) = (stop.clone(), abandon.clone());
            let name = format!("{holder}-{number}");
            tasks.spawn(async move {
                let work = || {
                    let (engine, abandon, name) = (Arc::clone(&engine), abandon.clone(), name.clone());
                    // A panic in one job ends that job's future and not this loop.
                    tokio::spawn(async move { engine.run_next(&name, &abandon).await.map(|done| done.is_some()) })
                };
                run_loop(&engine, &store, &stop, work).await;
            });
        }
        let dispatch = Arc::new(Dispatch::new(app, public_url));
        let (stopper, stopping) = (Arc::clone(&dispatch), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = stopper.stop_tasks() => {}
            }
        });
        let notifier = Arc::new(notifier);
        let mut add = |work: Box<dyn Fn() -> Work + Send + Sync>| {
            let (engine, store, stop) = (Arc::clone(engine), store.clone(), stop.clone());
            tasks.spawn(async move { run_loop(&engine, &store, &stop, work).await });
        };
        add(Box::new(move || {
            let dispatch = Arc::clone(&dispatch);
            tokio::spawn(async move { dispatch.next().await })
        }));
        add(Box::new(move || {
            let notifier = Arc::clone(&notifier);
            tokio::spawn(async move { notifier.next().await })
        }));
        let jira = Arc::clone(engine);
        add(Box::new(move || {
            let engine = Arc::clone(&jira);
            tokio::spawn(async move { engine.hear_jira().await.map(|done| done.is_some()) })
        }));
        let effects = Arc::clone(engine);
        add(Box::new(move || {
            let engine = Arc::clone(&effects);
            tokio::spawn(async move { engine.deliver_next().await.map(|done| done.is_some()) })
        }));
        Self { tasks, stop, abandon }
    }

    /// Takes no new work, lets what runs go on for a while, then has it handed back. Returns when every loop has
    /// ended.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        let finished = tokio::time::timeout(patience, async { while self.tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!("running jobs are handed back: they did not finish in time");
            self.abandon.cancel();
            while self.tasks.join_next().await.is_some() {}
        }
    }
}

type Work = tokio::task::JoinHandle<Result<bool, StoreError>>;

async fn run_loop(engine: &Engine, store: &DieselStore, stop: &CancellationToken, work: impl Fn() -> Work) {
    let mut news = engine.subscribe();
    while !stop.is_cancelled() {
        news.mark_unchanged();
        let before = engine.now();
        let pause = match work().await {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => until_due(engine, store, before).await,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "the store cannot be used; it is tried again");
                AFTER_ERROR
            }
            Err(panic) => {
                tracing::error!(%panic, "a worker broke down; its job goes on when the lease has run out");
                AFTER_ERROR
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = news.changed() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The time until something becomes due by itself, such as a postponed job. What was due at `before` and was not taken
/// waits for something else.
async fn until_due(engine: &Engine, store: &DieselStore, before: jiff::Timestamp) -> Duration {
    match store.next_due(before).await {
        Ok(Some(at)) => {
            let wait = at.duration_since(engine.now());
            Duration::try_from(wait).unwrap_or(Duration::from_millis(50)).clamp(Duration::from_millis(50), POLL)
        }
        Ok(None) | Err(_) => POLL,
    }
}
