//! The loops that take work: one for each embedded worker, and one each for nodes, Jira's inbox, the outbox and every
//! further source, and several for the admission of requests.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::store::StoreError;
use tokio::task::{JoinHandle, JoinSet};

use super::units::Units;
use crate::Engine;

/// How long a loop sleeps at most when nothing wakes it: other replicas write too.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest sleep.
const MIN_SLEEP: Duration = Duration::from_millis(50);
/// How long a loop sleeps after the store failed.
const ERROR_BACKOFF: Duration = Duration::from_secs(2);

/// How many requests are decided at once: each waits for an answer of its forge, and none for those of other people.
const ADMISSION_LOOPS: usize = 4;

type Work = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;
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
    /// Starts the loops, with one for each of `workers`; none with no workers.
    pub(super) fn start(units: &Units, workers: usize) -> Self {
        let mut loops = Self { tasks: JoinSet::new(), stop: CancellationToken::new(), release: units.release.clone() };
        if workers == 0 {
            return loops;
        }
        for number in (0..workers).filter(|_| units.embedded) {
            let name: Arc<str> = format!("server-{}-{number}", std::process::id()).into();
            loops.add(units, move |units| {
                let name = Arc::clone(&name);
                Box::pin(async move { units.run_next_job(&name).await })
            });
        }
        if let Some(dispatcher) = &units.dispatcher {
            let (canceller, stop) = (Arc::clone(dispatcher), loops.stop.clone());
            loops.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = canceller.cancel_stopped_tasks() => {}
                }
            });
            let dispatcher = Arc::clone(dispatcher);
            loops.add(units, move |_| {
                let dispatcher = Arc::clone(&dispatcher);
                Box::pin(async move { dispatcher.dispatch_next().await })
            });
        }
        loops.add(units, |units| Box::pin(async move { units.process_next_event().await }));
        for _ in 0..ADMISSION_LOOPS {
            loops.add(units, |units| Box::pin(async move { units.admit_next_request().await }));
        }
        loops.add(units, |units| Box::pin(async move { units.deliver_next_effect().await }));
        for source in &units.sources {
            let source = Arc::clone(source);
            loops.add(units, move |_| {
                let source = Arc::clone(&source);
                Box::pin(async move { source.run_next().await })
            });
        }
        loops
    }

    fn add(&mut self, units: &Units, work: impl Fn(Units) -> Work + Send + Sync + 'static) {
        let (units, stop) = (units.clone(), self.stop.clone());
        let engine = Arc::clone(&units.engine);
        let next: NextUnit = Box::new(move || tokio::spawn(work(units.clone())));
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
