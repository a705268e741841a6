//! The background loops of a server as a library: workers, dispatch to nodes, the outbox, notifications, Jira's inbox,
//! maintenance, and the live feed of changes.
//!
//! Every loop takes one unit of work at a time and sleeps while there is none; the units are public methods of
//! [`Engine`], so that tests drive them by hand.

mod changes;
mod dispatch;
mod loops;
mod maintenance;
mod units;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use patchwright_core::CancellationToken;
use patchwright_core::credentials::Credentials;
use patchwright_core::database::Database;
use patchwright_core::idempotency::IdempotencyKeys;
use patchwright_core::node_client::NodeClient;
use patchwright_core::notifications::Channels;
use patchwright_core::query::Queries;
use patchwright_core::redelivery::Redelivery;
use patchwright_core::store::StoreError;
use patchwright_domain::PlatformId;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::Engine;
use crate::clock::SteadyClock;

pub use self::changes::{Changes, JobChange, MAX_CHANGES_PER_READ};
use self::dispatch::Dispatcher;
use self::loops::Loops;
use self::units::Units;

/// Work that comes in units, such as sending one notification.
#[async_trait]
pub trait WorkSource: Send + Sync {
    /// Processes the next unit; returns `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError`]; the loop retries after a pause.
    async fn run_next(&self) -> Result<bool, StoreError>;
}

/// Which loops run, and their ports in addition to the engine's.
///
/// `Default` has every optional port absent, and one worker.
pub struct RuntimeOptions {
    /// How many jobs run in this process at the same time; 0 starts no loop that takes work: others share the database.
    pub workers: usize,
    /// Whether jobs run in this process, and not on nodes only.
    pub embedded: bool,
    /// Whether no loop claims work, because the caller does with [`RunningRuntime::run_until_idle`].
    pub manual: bool,
    /// The address that nodes report to.
    pub public_url: String,
    /// The client for nodes in push mode.
    pub node_client: Option<Arc<dyn NodeClient>>,
    /// Further sources of work, such as a notifier, with a loop each.
    pub sources: Vec<Arc<dyn WorkSource>>,
    /// The database, and the clock that follows its time.
    pub database: Option<(Arc<dyn Database>, Arc<SteadyClock>)>,
    /// The platforms whose missed events are recovered.
    pub redelivery: Vec<(PlatformId, Arc<dyn Redelivery>)>,
    /// How long records are stored.
    pub retention: RetentionPeriods,
    /// The notification channels, whose old notices are deleted.
    pub channels: Option<Arc<dyn Channels>>,
    /// Idempotency keys, which are deleted after a day.
    pub idempotency: Option<Arc<dyn IdempotencyKeys>>,
    /// The credentials, whose expiry is logged in advance.
    pub credentials: Option<Arc<dyn Credentials>>,
}

/// How long records of each kind are stored.
#[derive(Debug, Clone, Copy)]
pub struct RetentionPeriods {
    /// Deliveries, delivered effects, notifications and decided requests.
    pub deliveries: SignedDuration,
    /// How many bytes the payloads of deliveries may take together; 0 stands for no limit.
    pub payload_bytes: u64,
    /// Logs of tasks.
    pub logs: SignedDuration,
    /// Prompts and answers of the model.
    pub model_calls: SignedDuration,
    /// Jobs that ended; `None` keeps them. Of each issue the newest stays.
    pub jobs: Option<SignedDuration>,
    /// The audit log; `None` keeps it.
    pub audit: Option<SignedDuration>,
}

impl Default for RetentionPeriods {
    fn default() -> Self {
        let month = SignedDuration::from_hours(24 * 30);
        Self { deliveries: month, payload_bytes: 0, logs: month, model_calls: month, jobs: None, audit: None }
    }
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            embedded: true,
            manual: false,
            public_url: String::new(),
            node_client: None,
            sources: Vec::new(),
            database: None,
            redelivery: Vec::new(),
            retention: RetentionPeriods::default(),
            channels: None,
            idempotency: None,
            credentials: None,
        }
    }
}

impl std::fmt::Debug for RuntimeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeOptions")
            .field("workers", &self.workers)
            .field("embedded", &self.embedded)
            .finish_non_exhaustive()
    }
}

/// The background loops.
#[derive(Debug)]
pub struct Runtime;

impl Runtime {
    /// Starts the loops on the present tokio runtime.
    pub fn start(engine: &Arc<Engine>, queries: &Arc<dyn Queries>, options: RuntimeOptions) -> RunningRuntime {
        let stopping = CancellationToken::new();
        let changes = Changes::default();
        let mut background = maintenance::start(engine, queries, &options, &stopping);
        let (feed, watched, reader, stop) =
            (changes.clone(), Arc::clone(engine), Arc::clone(queries), stopping.clone());
        background.spawn(async move { feed.run(&watched, reader.as_ref(), &stop).await });
        let dispatcher = options
            .node_client
            .map(|client| Arc::new(Dispatcher::new(engine, queries, client, options.public_url.clone())));
        let units = Units {
            engine: Arc::clone(engine),
            dispatcher,
            sources: options.sources,
            embedded: options.embedded,
            release: CancellationToken::new(),
        };
        let loops = Loops::start(&units, if options.manual { 0 } else { options.workers });
        let manual =
            (options.manual && options.workers > 0).then(|| Arc::new(Manual { units, running: RwLock::default() }));
        RunningRuntime { loops, background, stopping, changes, manual }
    }
}

/// The running loops.
#[derive(Debug)]
pub struct RunningRuntime {
    loops: Loops,
    background: JoinSet<()>,
    stopping: CancellationToken,
    changes: Changes,
    manual: Option<Arc<Manual>>,
}

/// The units of a runtime whose caller drives it.
struct Manual {
    units: Units,
    /// Held for reading while units run.
    running: RwLock<()>,
}

impl std::fmt::Debug for Manual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Manual")
    }
}

impl RunningRuntime {
    /// Returns the feed of changes.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Returns a token that is cancelled as soon as the runtime stops, for streams that must end then.
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Runs the due units of work, one after the other, until none is due; returns their number. Concurrent calls share
    /// the work. Without [`RuntimeOptions::manual`] this does nothing.
    ///
    /// # Errors
    /// [`StoreError`]; the units before it are done.
    pub fn run_until_idle(&self) -> impl Future<Output = Result<usize, StoreError>> + Send + 'static {
        let manual = self.manual.clone();
        async move {
            let Some(manual) = manual else { return Ok(0) };
            let _running = manual.running.read().await;
            manual.units.run_until_idle().await
        }
    }

    /// Stops claiming work, lets running jobs finish within `grace`, then releases the rest to the queue. Returns when
    /// every loop has ended.
    pub async fn stop(self, grace: Duration) {
        self.stopping.cancel();
        self.loops.stop(grace).await;
        if let Some(manual) = self.manual {
            let finished = tokio::time::timeout(grace, manual.running.write()).await.is_ok();
            // From here on nothing begins, and what still runs goes back to the queue.
            manual.units.release.cancel();
            if !finished {
                drop(manual.running.write().await);
            }
        }
        self.background.join_all().await;
    }
}
