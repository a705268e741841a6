//! What changes, for those who watch: one look at the database serves all viewers of this server.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::web::Bytes;
use bytestring::ByteString;
use patchwright_core::CancellationToken;
use patchwright_core::query::Queries as _;
use patchwright_core::store::StoreError;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::{Job, JobId};
use patchwright_engine::Engine;
use patchwright_store_diesel::DieselStore;
use serde::Serialize;
use tokio::sync::broadcast;

/// How often others' changes are looked for; our own wake the feed at once.
const PERIOD: Duration = Duration::from_secs(1);
/// Between two looks at the least, so that a storm of changes is one event for each job.
const REST: Duration = Duration::from_millis(50);
/// How far back each look goes beyond the last one: who took the time earlier may have committed later.
const OVERLAP_MICROS: i64 = 2_000_000;
/// The most that one look reads.
pub(crate) const MOST: u16 = 500;
/// How many events a slow viewer may be behind before it is told to begin anew.
const BEHIND: usize = 1024;

/// A job has changed. It is written down once for all viewers.
#[derive(Debug, Clone)]
pub(crate) struct JobChanged {
    /// The time of the change in microseconds: the event's id.
    pub(crate) at: i64,
    pub(crate) id: JobId,
    /// As a server-sent event.
    pub(crate) frame: Bytes,
    /// As a message of a WebSocket.
    pub(crate) message: ByteString,
}

/// What it says: what a list shows; the whole job is a request away.
#[derive(Debug, Serialize)]
struct Summary {
    job_id: String,
    issue_id: String,
    repository: String,
    issue_number: u64,
    /// Where it is an issue of Jira: `PROJ-12`.
    issue_key: Option<String>,
    status: &'static str,
    stage: Option<&'static str>,
    stages: [&'static str; 4],
    verdict: Option<&'static str>,
    pull_request: Option<String>,
    tokens: u64,
    updated_at: String,
}

impl JobChanged {
    pub(crate) fn new(job: &Job) -> Self {
        let at = job.updated_at.as_microsecond();
        let data = serde_json::to_string(&Summary::new(job)).expect("an event is only text and numbers");
        Self {
            at,
            id: job.id,
            frame: Bytes::from(format!("id: {at}\nevent: job\ndata: {data}\n\n")),
            message: ByteString::from(format!(r#"{{"event":"job","id":{at},"data":{data}}}"#)),
        }
    }
}

impl Summary {
    fn new(job: &Job) -> Self {
        Self {
            job_id: job.id.to_string(),
            issue_id: job.issue_id.to_string(),
            repository: job.source.repo.to_string(),
            issue_number: job.source.shown_number(),
            issue_key: job.source.key().map(str::to_owned),
            status: job.status().as_str(),
            stage: job.next_stage().filter(|_| !job.status().is_terminal()).map(StageKind::as_str),
            stages: std::array::from_fn(|place| job.stages[place].status.as_str()),
            verdict: job.verdict.map(Verdict::as_str),
            pull_request: job.published.pull_request.as_ref().map(|pull_request| pull_request.url.clone()),
            tokens: job.usage().tokens(),
            updated_at: job.updated_at.to_string(),
        }
    }
}

/// Where viewers listen.
#[derive(Debug, Clone)]
pub(crate) struct Feed(broadcast::Sender<JobChanged>);

impl Feed {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<JobChanged> {
        self.0.subscribe()
    }

    /// Looks for changes until the server stops. While nobody watches it does not look.
    pub(crate) async fn run(self, engine: &Engine, store: &DieselStore, stop: &CancellationToken) {
        let mut news = engine.subscribe();
        let mut since = engine.now().as_microsecond();
        // What was told of each job in the overlap.
        let mut told: HashMap<JobId, i64> = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
                _ = news.changed() => tokio::time::sleep(REST).await,
            }
            if self.0.receiver_count() == 0 {
                since = engine.now().as_microsecond();
                continue;
            }
            match self.look(store, since, &mut told).await {
                Ok(latest) => since = since.max(latest),
                Err(error) => tracing::debug!(%error, "changes could not be looked for; it is tried again"),
            }
            told.retain(|_, at| *at > since - 2 * OVERLAP_MICROS);
        }
    }

    async fn look(&self, store: &DieselStore, since: i64, told: &mut HashMap<JobId, i64>) -> Result<i64, StoreError> {
        let mut from = since - OVERLAP_MICROS;
        loop {
            let changed = store.jobs_changed(from, MOST).await?;
            let full = changed.len() == usize::from(MOST);
            for job in &changed {
                let event = JobChanged::new(job);
                from = from.max(event.at);
                if told.insert(event.id, event.at) != Some(event.at) {
                    let _ = self.0.send(event);
                }
            }
            if !full {
                return Ok(from);
            }
            if changed.first().map(|job| job.updated_at) == changed.last().map(|job| job.updated_at) {
                // More than a page in one microsecond: the rest of them is not worth standing still for.
                from += 1;
            }
        }
    }
}
