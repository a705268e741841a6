//! The live feed of changes: one read of the database serves all viewers of a server.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::query::Queries;
use patchwright_core::store::StoreError;
use patchwright_domain::{JobId, JobSummary};
use tokio::sync::broadcast;

use crate::Engine;

/// How often changes of other replicas are read; changes of this process wake the feed at once.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two reads, so that a burst of changes is one event for each job.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// How far each read goes back beyond the last one, in microseconds: a writer that took the time earlier may commit later.
const OVERLAP_MICROS: i64 = 2_000_000;
/// How many jobs one read returns at most.
pub const MAX_CHANGES_PER_READ: u16 = 500;
/// How many events a slow viewer may be behind before its receiver reports a gap.
const MAX_LAG: usize = 1024;

/// A job has changed.
#[derive(Debug, Clone)]
pub struct JobChange {
    /// The time of the change in microseconds, which is also the event's id.
    pub at: i64,
    /// The current state of the job.
    pub job: Arc<JobSummary>,
    text: Arc<OnceLock<String>>,
}

impl JobChange {
    /// The last change of a job.
    pub fn new(job: JobSummary) -> Self {
        Self { at: job.updated_at.as_microsecond(), job: Arc::new(job), text: Arc::default() }
    }

    /// Returns the change as text. The first of all receivers renders it, so that a thousand viewers cost one rendering.
    /// All must render alike.
    pub fn text(&self, render: impl FnOnce(&JobSummary) -> String) -> &str {
        self.text.get_or_init(|| render(&self.job))
    }
}

/// The feed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Changes(broadcast::Sender<JobChange>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_LAG))
    }
}

impl Changes {
    /// Subscribes to the changes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<JobChange> {
        self.0.subscribe()
    }

    /// Reads changes until `stop` is cancelled. Without subscribers nothing is read.
    pub(super) async fn run(self, engine: &Engine, queries: &dyn Queries, stop: &CancellationToken) {
        let mut wake = engine.subscribe();
        let mut since = engine.now().as_microsecond();
        // The last event of each job within the overlap.
        let mut sent: HashMap<JobId, i64> = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                _ = wake.changed() => tokio::time::sleep(DEBOUNCE).await,
            }
            if self.0.receiver_count() == 0 {
                since = engine.now().as_microsecond();
                continue;
            }
            match self.read(queries, since, &mut sent).await {
                Ok(latest) => since = since.max(latest),
                Err(error) => tracing::debug!(%error, "failed to read changes; retrying"),
            }
            sent.retain(|_, at| *at > since - 2 * OVERLAP_MICROS);
        }
    }

    async fn read(&self, queries: &dyn Queries, since: i64, sent: &mut HashMap<JobId, i64>) -> Result<i64, StoreError> {
        let mut from = since - OVERLAP_MICROS;
        loop {
            let changed = queries.jobs_changed(from, MAX_CHANGES_PER_READ).await?;
            let is_full = changed.len() == usize::from(MAX_CHANGES_PER_READ);
            let is_one_instant = changed.first().map(|job| job.updated_at) == changed.last().map(|job| job.updated_at);
            for job in changed {
                let change = JobChange::new(job);
                from = from.max(change.at);
                if sent.insert(change.job.id, change.at) != Some(change.at) {
                    let _ = self.0.send(change);
                }
            }
            if !is_full {
                return Ok(from);
            }
            if is_one_instant {
                // More than a page within one microsecond: skipping the rest is better than reading the same page
                // forever.
                from += 1;
            }
        }
    }
}
