//! The loops that take work: one for each embedded worker, and one each for nodes, Jira's inbox, the outbox and every
//! further source.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::store::StoreError;
use tokio::task::{JoinHandle, JoinSet};

use super::WorkSource;
use super::dispatch::Dispatcher;
use crate::Engine;

/// How long a loop sleeps at most when nothing wakes it: other replicas write too.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest sleep.
const MIN_SLEEP: Duration = Duration::from_millis(50);
/// How long a loop sleeps after the store failed.
const ERROR_BACKOFF: Duration = Duration::from_secs(2);

/// One unit of work in a task of its own: a panic ends the unit and not the loop.
type Unit = JoinHandle<Result<bool, StoreError>>;
type NextUnit = Box<dyn Fn() -> Unit + Send + Sync>;

/// The running loops.
#[derive(Debug)]
pub(super) struct Loops {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    release: CancellationToken,
}

impl Loops {
    /// Starts the loops; none with no workers.
    pub(super) fn start(
        engine: &Arc<Engine>,
        workers: usize,
        embedded: bool,
        dispatcher: Option<Arc<Dispatcher>>,
        sources: Vec<Arc<dyn WorkSource>>,
    ) -> Self {
        let mut loops =
            Self { tasks: JoinSet::new(), stop: CancellationToken::new(), release: CancellationToken::new() };
        if workers == 0 {
            return loops;
        }
        for number in (0..workers).filter(|_| embedded) {
            loops.add_worker(engine, format!("server-{}-{number}", std::process::id()));
        }
        if let Some(dispatcher) = dispatcher {
            let (canceller, stop) = (Arc::clone(&dispatcher), loops.stop.clone());
            loops.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = canceller.cancel_stopped_tasks() => {}
                }
            });
            loops.add(engine, move || {
                let dispatcher = Arc::clone(&dispatcher);
                Box::pin(async move { dispatcher.dispatch_next().await })
            });
        }
        let jira = Arc::clone(engine);
        loops.add(engine, move || {
            let engine = Arc::clone(&jira);
            Box::pin(async move { engine.process_next_jira_event().await.map(|done| done.is_some()) })
        });
        let outbox = Arc::clone(engine);
        loops.add(engine, move || {
            let engine = Arc::clone(&outbox);
            Box::pin(async move { engine.deliver_next().await.map(|done| done.is_some()) })
        });
        for source in sources {
            loops.add(engine, move || {
                let source = Arc::clone(&source);
                Box::pin(async move { source.run_next().await })
            });
        }
        loops
    }

    fn add_worker(&mut self, engine: &Arc<Engine>, name: String) {
        let (worker, release) = (Arc::clone(engine), self.release.clone());
        self.add(engine, move || {
            let (engine, release, name) = (Arc::clone(&worker), release.clone(), name.clone());
            Box::pin(async move { engine.run_next(&name, &release).await.map(|done| done.is_some()) })
        });
    }

    fn add(
        &mut self,
        engine: &Arc<Engine>,
        work: impl Fn() -> Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>> + Send + Sync + 'static,
    ) {
        let (engine, stop) = (Arc::clone(engine), self.stop.clone());
        let next: NextUnit = Box::new(move || tokio::spawn(work()));
        self.tasks.spawn(async move { run_loop(&engine, &stop, next).await });
    }

    /// Stops claiming work, lets running jobs finish within `grace`, then releases them to the queue. Returns when
    /// every loop has ended.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let finished = tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!("running jobs did not finish in time; releasing them to the queue");
            self.release.cancel();
            while self.tasks.join_next().await.is_some() {}
        }
    }
}

async fn run_loop(engine: &Engine, stop: &CancellationToken, next: NextUnit) {
    let mut wake = engine.subscribe();
    while !stop.is_cancelled() {
        wake.mark_unchanged();
        let before = engine.now();
        let sleep = match next().await {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => time_until_due(engine, before).await,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "the store failed; retrying");
                ERROR_BACKOFF
            }
            Err(panic) => {
                tracing::error!(%panic, "a worker panicked; its job continues when the lease expires");
                ERROR_BACKOFF
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            _ = wake.changed() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Returns the time until something becomes due, such as a postponed job. Work that was due at `before` and was not
/// claimed waits for another event.
async fn time_until_due(engine: &Engine, before: jiff::Timestamp) -> Duration {
    match engine.ports.store.next_due(before).await {
        Ok(Some(at)) => {
            let wait = at.duration_since(engine.now());
            Duration::try_from(wait).unwrap_or(MIN_SLEEP).clamp(MIN_SLEEP, POLL_INTERVAL)
        }
        Ok(None) | Err(_) => POLL_INTERVAL,
    }
}
