//! The node: registers, sends heartbeats, accepts and runs tasks, and repeats its reports until the server has them.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchwright_core::task_session::{TaskLease, TaskOutcome};
use patchwright_core::{CancellationToken, Clock, Secret};
use patchwright_domain::node::{Label, MIN_DISK};
use patchwright_domain::{IssueId, TaskId};
use patchwright_http::HttpClient;
use patchwright_worker::{Tools, Worker, discard_leftovers};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::client::{ClientError, ServerClient};
use crate::convert;
use crate::health;
use crate::identity::{Identity, IdentityError};
use crate::listen;
use crate::reports::{PendingReport, Reports};
use crate::task_session::RemoteTaskSession;
use patchwright_protocol::NODE_PROTOCOL;
use patchwright_protocol::node::{Heartbeat, LeaseRequest, Register, Report, ReportStatus};

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(patchwright_domain::node::HEARTBEAT.unsigned_abs().as_secs());
/// The longest wait of a poll for tasks.
const WAIT_SECONDS: u64 = 20;
/// The wait between two attempts while the server does not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest wait between two attempts to send a report.
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// How long an ephemeral node tries to send the report of its task. Afterwards the lease has expired, and another node has it.
const LAST_REPORT_TIMEOUT: Duration = Duration::from_secs(120);

/// The options of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The server's address.
    pub server: String,
    /// The folder for the identity, reports and working copies.
    pub data_dir: PathBuf,
    /// The one-time join token, for a node that has not registered.
    pub join_token: Option<Secret>,
    /// How many tasks it runs at the same time.
    pub capacity: u32,
    /// The node's labels.
    pub labels: BTreeSet<Label>,
    /// The address where it listens for tasks; without one it polls the server.
    pub listen: Option<String>,
    /// How long running tasks may continue after a request to stop.
    pub shutdown_timeout: Duration,
    /// Whether it runs one task and ends, in place of [`Self::capacity`] tasks at a time for ever.
    pub ephemeral: Option<Ephemeral>,
}

/// How a node waits that runs one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ephemeral {
    /// How long it waits for a task; `None` for ever.
    pub wait: Option<Duration>,
}

/// How the task of an ephemeral node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    /// It has a result that breaks nothing, or a plan that waits for approval.
    Succeeded,
    /// It failed, or its tests fail with the change; the server knows why.
    Failed,
    /// It went back to the queue, or another node has it: this one was stopped, lost its lease, or could not report.
    Released,
    /// There was none.
    NoTask,
}

/// The error that stops the node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It has no identity and no join token.
    #[error("this node is not registered; pass a join token with --token (`patchwright nodes add` creates one)")]
    NoToken,
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The folder cannot be used.
    #[error("{path} cannot be used: {source}; set DATA_DIR to a folder that this user may write")]
    Folder {
        /// The path.
        path: PathBuf,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The server rejected the node.
    #[error("the server at {server} rejected this node: {source}")]
    Server {
        /// The server's address.
        server: String,
        /// The error.
        #[source]
        source: ClientError,
    },
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}; set --listen to a free address")]
    Listen {
        /// The path.
        address: String,
        /// The error.
        #[source]
        source: std::io::Error,
    },
}

/// A machine that executes tasks.
pub struct Node {
    client: ServerClient,
    pub(crate) identity: Identity,
    worker: Worker,
    options: NodeOptions,
    reports: Reports,
    clock: Arc<dyn Clock>,
    /// The id of this process, which changes with every start of the node.
    instance: String,
    running: Mutex<HashMap<TaskId, Running>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    /// Signals that a task has ended: there is free capacity, or a report to send.
    ended: Notify,
    /// Cancelled to accept no new tasks.
    stop: CancellationToken,
    /// Cancelled to release the running tasks.
    abandon: CancellationToken,
    /// Cancelled when the task of an ephemeral node has ended.
    done: CancellationToken,
    /// How the task of an ephemeral node ended here, until the server knows.
    end: Mutex<Option<TaskEnd>>,
    /// Whether an ephemeral node takes no further tasks.
    ending: AtomicBool,
    /// Whether an ephemeral node has its task, and how that ended.
    sole: Mutex<SoleTask>,
}

/// The one task of an ephemeral node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum SoleTask {
    #[default]
    Awaited,
    Taken,
    /// The server has its report.
    Ended(TaskEnd),
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A running task.
struct Running {
    cancel: CancellationToken,
    session: Arc<RemoteTaskSession>,
}

/// The reason why an offered task is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    Running,
    Full,
    NoDisk,
    Stopping,
}

impl Node {
    /// Prepares the node: registers it if necessary, and sends the reports of an earlier run.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        tools: Tools,
        options: NodeOptions,
    ) -> Result<Arc<Self>, NodeError> {
        let identity = match Identity::load(&options.data_dir, &options.server)? {
            Some(identity) => identity,
            None => register(&http, &options).await?,
        };
        let work_dir = options.data_dir.join("work");
        let failed = |path: &PathBuf| {
            let path = path.clone();
            |source| NodeError::Folder { path, source }
        };
        // The folder contains only files of tasks that ended with their process.
        std::fs::create_dir_all(&work_dir).map_err(failed(&work_dir))?;
        discard_leftovers(&work_dir, |_| true).await;
        let folder = options.data_dir.join("reports");
        let reports = Reports::open(folder.clone()).map_err(failed(&folder))?;
        let client = ServerClient::new(http, &options.server, identity.token.clone());
        Ok(Arc::new(Self {
            client,
            identity,
            worker: Worker { tools, work_dir },
            options,
            reports,
            instance: format!("{}-{}", std::process::id(), clock.now().as_nanosecond()),
            clock,
            running: Mutex::default(),
            tasks: tokio::sync::Mutex::new(JoinSet::new()),
            ended: Notify::new(),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            done: CancellationToken::new(),
            end: Mutex::default(),
            ending: AtomicBool::new(false),
            sole: Mutex::default(),
        }))
    }

    /// Returns the node's name.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Runs tasks until `stop` is cancelled: then it accepts no new tasks, lets running ones continue for the grace
    /// period, and releases the rest. An ephemeral node ends after its first task too, and only its end is returned; every
    /// other returns [`TaskEnd::NoTask`].
    ///
    /// # Errors
    /// [`NodeError::Server`] when the server does not accept it any more, [`NodeError::Listen`].
    pub async fn run(self: Arc<Self>, stop: &CancellationToken) -> Result<TaskEnd, NodeError> {
        let listener = match &self.options.listen {
            Some(address) => Some(listen::start(&self, address)?),
            None => None,
        };
        tracing::info!(node = %self.identity.name, capacity = self.options.capacity, "the node is ready");
        let asking = async {
            match &listener {
                // The server pushes tasks; a lost lease is noticed at the next renewal.
                Some(_) => std::future::pending().await,
                None => self.poll_loop().await,
            }
        };
        let stopped = tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = self.heartbeat_loop() => Err(error),
            error = asking => Err(error),
            () = self.flush_reports() => Ok(()),
            () = self.done.cancelled() => Ok(()),
            () = self.wait_for_first_task() => Ok(()),
        };
        self.finish().await;
        if let Some(listener) = listener {
            listener.stop(true).await;
        }
        stopped.map_err(|source| NodeError::Server { server: self.options.server.clone(), source })?;
        if self.options.ephemeral.is_none() {
            return Ok(TaskEnd::NoTask);
        }
        Ok(match *self.sole.lock().expect("no holder of this lock can panic") {
            SoleTask::Awaited => TaskEnd::NoTask,
            SoleTask::Taken => TaskEnd::Released,
            SoleTask::Ended(end) => end,
        })
    }

    /// Returns when an ephemeral node has waited for a task as long as it may.
    async fn wait_for_first_task(&self) {
        let Some(wait) = self.options.ephemeral.and_then(|ephemeral| ephemeral.wait) else {
            return std::future::pending().await;
        };
        tokio::time::sleep(wait).await;
        // From now on the server gives it nothing; what it has given already is here after a moment.
        self.ending.store(true, Ordering::Relaxed);
        let _ = self.client.heartbeat(self.identity.id, &self.heartbeat()).await;
        tokio::time::sleep(PAUSE).await;
        if *self.sole.lock().expect("no holder of this lock can panic") != SoleTask::Awaited {
            std::future::pending::<()>().await;
        }
    }

    async fn finish(&self) {
        self.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.shutdown_timeout, all).await.is_err() {
            tracing::warn!("running tasks did not finish in time; releasing them to the queue");
            self.abandon.cancel();
            while tasks.join_next().await.is_some() {}
        }
        // Reports that cannot be sent now are sent after the next start, which an ephemeral node may not have.
        let (is_last, mut pause) = (self.options.ephemeral.is_some(), PAUSE);
        let timeout = if is_last { LAST_REPORT_TIMEOUT } else { PAUSE };
        let send = async {
            while !self.report_once().await && is_last {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        };
        let _ = tokio::time::timeout(timeout, send).await;
    }

    /// Sends heartbeats until the server rejects the node.
    async fn heartbeat_loop(&self) -> ClientError {
        loop {
            match self.client.heartbeat(self.identity.id, &self.heartbeat()).await {
                Ok(_) => {}
                Err(error @ (ClientError::Unknown(_) | ClientError::Misunderstood(_))) => return error,
                Err(error) => tracing::warn!(%error, "failed to send the heartbeat; retrying"),
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
    }

    /// Polls for tasks until the server rejects the node.
    async fn poll_loop(self: &Arc<Self>) -> ClientError {
        loop {
            let ask = LeaseRequest {
                instance: self.instance.clone(),
                running: self.held_tasks(),
                wait_seconds: WAIT_SECONDS,
            };
            let lease = tokio::select! {
                lease = self.client.lease(self.identity.id, &ask) => lease,
                // There is free capacity, and fewer tasks are running than the last request reported.
                () = self.ended.notified() => continue,
            };
            match lease {
                Ok(lease) => {
                    for task in lease.stop {
                        self.cancel(task);
                    }
                    let mut is_rejected = false;
                    for offer in lease.offers {
                        if let Err(why) = self.take(convert::lease(offer.lease), offer.issue_id).await {
                            tracing::info!(task_id = %offer.lease.task, ?why, "rejected an offered task");
                            is_rejected = true;
                        }
                    }
                    if self.is_ending() {
                        // Before the server can give it another one.
                        let _ = self.client.heartbeat(self.identity.id, &self.heartbeat()).await;
                    }
                    if is_rejected {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Err(error @ (ClientError::Unknown(_) | ClientError::Misunderstood(_))) => return error,
                Err(error) => {
                    tracing::warn!(%error, "failed to poll the server for tasks; retrying");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { health: self.health().0, protocol: NODE_PROTOCOL.to_string() }
    }

    /// Whether it takes no further tasks: an ephemeral node that has its task, or has waited long enough.
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Returns the running tasks, and the ended ones whose reports the server does not have yet.
    fn held_tasks(&self) -> Vec<TaskId> {
        let waiting = self.reports.waiting().into_iter().map(|kept| kept.report.task_id);
        let mut all = self.running_tasks();
        all.extend(waiting);
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(crate) fn running_tasks(&self) -> Vec<TaskId> {
        self.running.lock().expect("no holder of this lock can panic").keys().copied().collect()
    }

    /// Returns the node's health for a request.
    pub(crate) fn health(&self) -> (patchwright_domain::node::Health, u32) {
        (health::now(&self.worker.work_dir, self.running_tasks().len(), self.is_ending()), self.options.capacity)
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Returns the end of a task's log; `None` if it is not running here.
    pub(crate) fn recent_output(&self, task: TaskId) -> Option<String> {
        let running = self.running.lock().expect("no holder of this lock can panic");
        running.get(&task).map(|running| running.session.recent())
    }

    /// Cancels a task; returns `false` if it is not running here.
    pub(crate) fn cancel(&self, task: TaskId) -> bool {
        let running = self.running.lock().expect("no holder of this lock can panic");
        running.get(&task).inspect(|running| running.cancel.cancel()).is_some()
    }

    /// Starts a task, if there is free capacity.
    pub(crate) async fn take(self: &Arc<Self>, lease: TaskLease, issue_id: IssueId) -> Result<(), Rejected> {
        let cancel = self.abandon.child_token();
        let session = Arc::new(RemoteTaskSession::new(self.client.clone(), lease.task));
        {
            let mut running = self.running.lock().expect("no holder of this lock can panic");
            if running.contains_key(&lease.task) {
                return Err(Rejected::Running);
            }
            if self.stop.is_cancelled() {
                return Err(Rejected::Stopping);
            }
            if running.len() >= self.options.capacity as usize {
                return Err(Rejected::Full);
            }
            if health::disk_free(&self.worker.work_dir).is_some_and(|free| free < MIN_DISK) {
                return Err(Rejected::NoDisk);
            }
            if self.options.ephemeral.is_some() {
                let mut sole = self.sole.lock().expect("no holder of this lock can panic");
                if *sole != SoleTask::Awaited {
                    return Err(Rejected::Stopping);
                }
                *sole = SoleTask::Taken;
                self.ending.store(true, Ordering::Relaxed);
            }
            running.insert(lease.task, Running { cancel: cancel.clone(), session: Arc::clone(&session) });
        }
        let node = Arc::clone(self);
        let span = tracing::info_span!("task", task_id = %lease.task, job_id = %lease.job);
        let mut tasks = self.tasks.lock().await;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { node.work(lease, issue_id, &session, cancel).await }.instrument(span));
        Ok(())
    }

    async fn work(&self, lease: TaskLease, issue_id: IssueId, session: &RemoteTaskSession, cancel: CancellationToken) {
        let _running = RunningTask { node: self, task: lease.task };
        // The last thing that happens to a task of an ephemeral node, also if it panics.
        let _done = self.options.ephemeral.map(|_| self.done.clone().drop_guard());
        let Some(end) = self.worker.work(session, lease, &cancel, &self.abandon).await else { return };
        *self.end.lock().expect("no holder of this lock can panic") = Some(end_of(&end));
        let report = report(lease, session.branch(), end);
        if let Err(error) = self.reports.keep(&PendingReport { issue_id, report: report.clone() }) {
            tracing::error!(%error, "failed to store the report on disk; sending it anyway");
            if self.client.report(issue_id, &report).await.is_ok() {
                let end = self.end.lock().expect("no holder of this lock can panic").take();
                *self.sole.lock().expect("no holder of this lock can panic") =
                    end.map_or(SoleTask::Taken, SoleTask::Ended);
            }
        }
        self.report_once().await;
    }

    /// Sends waiting reports as long as the node runs.
    async fn flush_reports(&self) {
        let mut pause = PAUSE;
        loop {
            pause = if self.report_once().await { PAUSE } else { (pause * 2).min(LAST_PAUSE) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Tries to send each waiting report; returns `false` if some are left.
    async fn report_once(&self) -> bool {
        let mut all = true;
        for kept in self.reports.waiting() {
            let task = kept.report.task_id;
            match self.client.report(kept.issue_id, &kept.report).await {
                Ok(()) => {
                    self.reports.forget(task);
                    let end = self.end.lock().expect("no holder of this lock can panic").take();
                    if let Some(end) = end {
                        *self.sole.lock().expect("no holder of this lock can panic") = SoleTask::Ended(end);
                    }
                }
                Err(ClientError::Gone) => {
                    tracing::info!(task_id = %task, "discarding the report: the task does not belong to this node any more");
                    self.reports.forget(task);
                }
                Err(error @ (ClientError::Refused(_) | ClientError::Misunderstood(_))) => {
                    tracing::error!(task_id = %task, %error, "the server rejected the report");
                    self.reports.forget(task);
                }
                Err(error) => {
                    tracing::warn!(task_id = %task, %error, "failed to send the report; it stays on disk and is retried");
                    all = false;
                }
            }
        }
        all
    }
}

fn end_of(outcome: &TaskOutcome) -> TaskEnd {
    match outcome {
        TaskOutcome::Completed { verdict } if !verdict.is_harmful() => TaskEnd::Succeeded,
        TaskOutcome::Paused => TaskEnd::Succeeded,
        TaskOutcome::Completed { .. } | TaskOutcome::Failed { .. } => TaskEnd::Failed,
        TaskOutcome::Released => TaskEnd::Released,
    }
}

fn report(lease: TaskLease, branch_name: Option<String>, end: TaskOutcome) -> Report {
    let (status, error_message) = match &end {
        TaskOutcome::Completed { verdict } if !verdict.is_harmful() => (ReportStatus::Success, None),
        TaskOutcome::Completed { .. } => (ReportStatus::Failed, Some("the tests fail with the change".to_owned())),
        TaskOutcome::Failed { refusal, .. } => (ReportStatus::Failed, Some(refusal.reason.clone())),
        TaskOutcome::Paused => (ReportStatus::Success, None),
        TaskOutcome::Released => (ReportStatus::Failed, Some("the node stopped".to_owned())),
    };
    Report { task_id: lease.task, branch_name, status, error_message, outcome: Some(convert::outcome_to_wire(end)) }
}

async fn register(http: &HttpClient, options: &NodeOptions) -> Result<Identity, NodeError> {
    let join_token = options.join_token.as_ref().ok_or(NodeError::NoToken)?;
    let register = Register {
        join_token: join_token.expose().to_owned(),
        protocol: NODE_PROTOCOL.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capacity: options.capacity,
        labels: options.labels.iter().map(ToString::to_string).collect(),
    };
    let registered = ServerClient::register(http, &options.server, &register)
        .await
        .map_err(|source| NodeError::Server { server: options.server.clone(), source })?;
    Ok(Identity::keep(&options.data_dir, &options.server, &registered)?)
}

/// Registers a running task until it is dropped, which happens also if the task panics.
struct RunningTask<'a> {
    node: &'a Node,
    task: TaskId,
}

impl Drop for RunningTask<'_> {
    fn drop(&mut self) {
        self.node.running.lock().expect("no holder of this lock can panic").remove(&self.task);
        self.node.ended.notify_one();
    }
}
