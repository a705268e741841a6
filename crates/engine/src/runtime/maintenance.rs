//! Work beside the jobs: wake-ups of other replicas, retention, warnings about expiring credentials, and the recovery
//! of missed events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::CancellationToken;
use patchwright_core::credentials::Credentials;
use patchwright_core::database::Database;
use patchwright_core::fault::Fault;
use patchwright_core::idempotency::IdempotencyKeys;
use patchwright_core::node_client::NodeClient;
use patchwright_core::notifications::Channels;
use patchwright_core::query::Queries;
use patchwright_core::redelivery::Redelivery;
use patchwright_core::store::{Retention, StoreError};
use patchwright_domain::{NodeId, PlatformId, RepoName};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{RetentionPeriods, RuntimeOptions};
use crate::clock::SteadyClock;
use crate::{AutoRebase, Engine};

/// How often old records are deleted.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);
/// How long idempotency keys are stored.
const IDEMPOTENCY_RETENTION: SignedDuration = SignedDuration::from_hours(24);
/// How often the clock of leases is synchronized with the database's.
const CLOCK_SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// How often expiring credentials are logged.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// How often nodes without heartbeats are asked how they are; more often where leases are short.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// How often failed deliveries are requested again.
const REDELIVERY_INTERVAL: Duration = Duration::from_secs(600);
/// How old a failed delivery may be; GitHub redelivers nothing older.
const MAX_REDELIVERY_AGE: SignedDuration = SignedDuration::from_hours(72);
/// How far back the first poll goes: a server may be down over a weekend. Comments that were processed already are
/// deduplicated.
const FIRST_POLL_AGE: SignedDuration = SignedDuration::from_hours(72);
/// How many repositories are polled at the same time.
const CONCURRENT_POLLS: usize = 4;
/// How long a repository that cannot be polled is left alone at most, unless its platform says otherwise.
const MAX_POLL_PAUSE: Duration = Duration::from_secs(3600);
const MAX_POLL_DOUBLINGS: u32 = 12;

/// How often open pull requests are compared with their base.
const REBASE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Starts the tasks that the options ask for.
pub(super) fn start(
    engine: &Arc<Engine>,
    queries: &Arc<dyn Queries>,
    options: &RuntimeOptions,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some((database, clock)) = &options.database {
        listen(&mut tasks, engine, database, stop);
        let (database, clock) = (Arc::clone(database), Arc::clone(clock));
        every(&mut tasks, stop, CLOCK_SYNC_INTERVAL, move || sync_clock(Arc::clone(&database), Arc::clone(&clock)));
    }
    let expiry = Expiry {
        engine: Arc::clone(engine),
        channels: options.channels.clone(),
        idempotency: options.idempotency.clone(),
        retention: options.retention,
    };
    let expiry = Arc::new(expiry);
    every(&mut tasks, stop, RETENTION_INTERVAL, move || {
        let expiry = Arc::clone(&expiry);
        async move { expiry.run().await }
    });
    if let Some(client) = options.node_client.clone() {
        let failures = Arc::new(Mutex::new(HashMap::new()));
        let engine = Arc::clone(engine);
        let interval = PROBE_INTERVAL.min(engine.settings().lease.mul_f64(0.375));
        every(&mut tasks, stop, interval, move || {
            probe(Arc::clone(&engine), Arc::clone(&client), Arc::clone(&failures))
        });
    }
    if let Some(credentials) = options.credentials.clone() {
        let engine = Arc::clone(engine);
        every(&mut tasks, stop, EXPIRY_CHECK_INTERVAL, move || {
            warn_of_expiry(Arc::clone(&engine), Arc::clone(&credentials))
        });
    }
    if engine.settings().auto_rebase != AutoRebase::Off {
        let (engine, queries) = (Arc::clone(engine), Arc::clone(queries));
        every(&mut tasks, stop, REBASE_INTERVAL, move || {
            let (engine, queries) = (Arc::clone(&engine), Arc::clone(&queries));
            async move { engine.rebase_outdated(queries.as_ref()).await }
        });
    }
    for (platform, redelivery) in &options.redelivery {
        recover(&mut tasks, engine, platform, redelivery, stop);
    }
    tasks
}

fn listen(tasks: &mut JoinSet<()>, engine: &Arc<Engine>, database: &Arc<dyn Database>, stop: &CancellationToken) {
    let (engine, database, stop) = (Arc::clone(engine), Arc::clone(database), stop.clone());
    tasks.spawn(async move {
        let wake = || engine.notice();
        tokio::select! {
            () = database.listen(&wake) => {}
            () = stop.cancelled() => {}
        }
    });
}

fn recover(
    tasks: &mut JoinSet<()>,
    engine: &Arc<Engine>,
    platform: &PlatformId,
    redelivery: &Arc<dyn Redelivery>,
    stop: &CancellationToken,
) {
    let (source, name, from) = (Arc::clone(redelivery), platform.clone(), Arc::clone(engine));
    every(tasks, stop, REDELIVERY_INTERVAL, move || {
        redeliver(Arc::clone(&source), name.clone(), ago(&from, MAX_REDELIVERY_AGE))
    });
    let poller = Arc::new(Poller {
        engine: Arc::clone(engine),
        platform: platform.clone(),
        source: Arc::clone(redelivery),
        polls: Mutex::default(),
    });
    every(tasks, stop, redelivery.poll_interval(), move || {
        let poller = Arc::clone(&poller);
        poller.run()
    });
}

fn every<F: Future<Output = ()> + Send + 'static>(
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
    interval: Duration,
    work: impl Fn() -> F + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            tokio::select! {
                () = work() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

fn ago(engine: &Engine, age: SignedDuration) -> Timestamp {
    engine.now().saturating_sub(age).unwrap_or(Timestamp::MIN)
}

/// Deletes records that have reached their age.
struct Expiry {
    engine: Arc<Engine>,
    channels: Option<Arc<dyn Channels>>,
    idempotency: Option<Arc<dyn IdempotencyKeys>>,
    retention: RetentionPeriods,
}

impl Expiry {
    async fn run(&self) {
        let (now, ports) = (self.engine.now(), &self.engine.ports);
        let periods = &self.retention;
        let before = ago(&self.engine, periods.deliveries);
        if let Some(idempotency) = &self.idempotency {
            let day = ago(&self.engine, IDEMPOTENCY_RETENTION);
            log_deleted("idempotency keys", idempotency.forget_requests(day).await);
        }
        if let Some(channels) = &self.channels {
            log_deleted("notifications", channels.forget_notices(before).await);
        }
        if let Some(jira) = &ports.jira {
            log_deleted("Jira events", jira.inbox.forget_events(before, now).await);
        }
        log_deleted("task logs", ports.logs.forget_logs(ago(&self.engine, periods.logs)).await);
        log_deleted("model calls", ports.calls.forget_calls(ago(&self.engine, periods.model_calls)).await);
        let retention = Retention {
            jobs_before: periods.jobs.map(|age| ago(&self.engine, age)),
            audit_before: periods.audit.map(|age| ago(&self.engine, age)),
            ..Retention::of_deliveries(before, periods.payload_bytes)
        };
        log_deleted("deliveries, effects, jobs and audit entries", ports.store.forget(retention).await);
    }
}

fn log_deleted(records: &str, deleted: Result<u64, StoreError>) {
    match deleted {
        Ok(0) => {}
        Ok(count) => tracing::info!(records, count, "deleted old records"),
        Err(error) => tracing::warn!(records, error = %error, "failed to delete old records; retrying"),
    }
}

async fn warn_of_expiry(engine: Arc<Engine>, credentials: Arc<dyn Credentials>) {
    let now = engine.now();
    match credentials.credentials().await {
        Ok(all) => {
            for credential in all.iter().filter(|credential| credential.expires_soon(now)) {
                let (name, scope) = (&credential.name, credential.scope.to_string());
                let expires = credential.expires_at.map(|end| end.to_string()).unwrap_or_default();
                tracing::warn!(name, scope, expires, "a credential expires soon or has expired; replace its secret");
            }
        }
        Err(error) => tracing::warn!(error = %error, "failed to read the credentials"),
    }
}

async fn probe(engine: Arc<Engine>, client: Arc<dyn NodeClient>, failures: Arc<Mutex<HashMap<NodeId, u32>>>) {
    if let Err(error) = engine.probe_listening_nodes(client.as_ref(), &mut *failures.lock().await).await {
        tracing::warn!(error = %error, "failed to ask the nodes how they are; retrying");
    }
}

async fn sync_clock(database: Arc<dyn Database>, clock: Arc<SteadyClock>) {
    match database.now().await {
        Ok(reference) => clock.follow(reference),
        Err(error) => tracing::warn!(error = %error, "failed to read the database's clock; retrying"),
    }
}

async fn redeliver(source: Arc<dyn Redelivery>, platform: PlatformId, since: Timestamp) {
    match source.redeliver(since).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, %platform, "requested failed deliveries again"),
        Err(error) => tracing::warn!(error = %error, %platform, "failed to request deliveries again"),
    }
}

/// Polls the repositories of a platform.
struct Poller {
    engine: Arc<Engine>,
    platform: PlatformId,
    source: Arc<dyn Redelivery>,
    polls: Mutex<HashMap<RepoName, PollState>>,
}

/// What is known about the polls of a repository.
#[derive(Debug, Clone, Copy)]
struct PollState {
    /// From when the next poll asks.
    since: Timestamp,
    /// When the next poll may be.
    not_before: Timestamp,
    /// How often polling has failed in a row.
    failures: u32,
}

impl Poller {
    async fn run(self: Arc<Self>) {
        let repositories = match self.source.polled_repositories().await {
            Ok(repositories) => repositories,
            Err(error) => {
                tracing::warn!(error = %error, platform = %self.platform, "failed to read which repositories are polled");
                return;
            }
        };
        let mut polls = self.polls.lock().await;
        polls.retain(|name, _| repositories.iter().any(|repository| repository.name == *name));
        let (now, first) = (self.engine.now(), ago(&self.engine, FIRST_POLL_AGE));
        for repository in repositories {
            let since = repository.added_at.map_or(first, |added_at| added_at.max(first));
            polls.entry(repository.name).or_insert(PollState { since, not_before: now, failures: 0 });
        }
        let due: Vec<(RepoName, PollState)> = polls
            .iter()
            .filter(|(_, state)| state.not_before <= now)
            .map(|(name, state)| (name.clone(), *state))
            .collect();
        for together in due.chunks(CONCURRENT_POLLS) {
            let mut running = JoinSet::new();
            for (name, state) in together.iter().cloned() {
                let poller = Arc::clone(&self);
                running.spawn(async move { (name.clone(), poller.poll(&name, state).await) });
            }
            while let Some(polled) = running.join_next().await {
                match polled {
                    Ok((name, state)) => drop(polls.insert(name, state)),
                    Err(error) => tracing::error!(error = %error, "polling a repository ended with a panic"),
                }
            }
        }
    }

    /// Takes in the mentions of a repository, and returns when and from where the next poll is.
    async fn poll(&self, repo: &RepoName, state: PollState) -> PollState {
        let mention = format!("@{}", self.engine.settings().app_name.to_lowercase());
        let (deliveries, next) = match self.source.poll(repo, state.since, &mention).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = %error, %repo, "failed to poll the repository for mentions");
                return self.postpone(state, error.fault());
            }
        };
        for delivery in deliveries {
            if let Err(error) = self.engine.take(&self.platform, delivery, String::new()).await {
                tracing::warn!(error = %error, %repo, "failed to accept a mention; retrying");
                return self.postpone(state, Fault::RETRY);
            }
        }
        PollState { since: next, failures: 0, ..state }
    }

    /// Postpones the next poll: for as long as the platform says, or twice as long as the last time.
    fn postpone(&self, state: PollState, fault: Fault) -> PollState {
        let asked = match fault {
            Fault::Retry { after } => after.unwrap_or_default(),
            Fault::Missing | Fault::Denied | Fault::Internal => Duration::ZERO,
        };
        let usual = self.source.poll_interval() * 2_u32.saturating_pow(state.failures.min(MAX_POLL_DOUBLINGS));
        let wait = usual.min(MAX_POLL_PAUSE).max(asked);
        let not_before = self.engine.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
        PollState { not_before, failures: state.failures + 1, ..state }
    }
}
