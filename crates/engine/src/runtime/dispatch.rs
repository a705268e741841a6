//! Dispatch of jobs to nodes: nodes in pull mode poll for their tasks, nodes in push mode are sent them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use patchwright_core::fault::error_chain;
use patchwright_core::node_client::{NodeClient, PushOutcome, PushedTask};
use patchwright_core::query::{Queries, TaskFilter};
use patchwright_core::store::StoreError;
use patchwright_core::task_session::{TaskOutcome, TaskSession as _, TaskSessionError};
use patchwright_domain::node::NodeMode;
use patchwright_domain::{Job, JobId, NodeId};
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use crate::{Dispatched, Engine};

/// How long a node that rejected a task is skipped.
const NODE_COOLDOWN: Duration = Duration::from_secs(30);

/// Dispatches jobs to nodes.
pub(super) struct Dispatcher {
    engine: Arc<Engine>,
    queries: Arc<dyn Queries>,
    client: Arc<dyn NodeClient>,
    public_url: String,
    /// The nodes that rejected a task, with the time.
    cooling_down: Mutex<HashMap<NodeId, Instant>>,
}

impl Dispatcher {
    pub(super) fn new(
        engine: &Arc<Engine>,
        queries: &Arc<dyn Queries>,
        client: Arc<dyn NodeClient>,
        public_url: String,
    ) -> Self {
        let (engine, queries) = (Arc::clone(engine), Arc::clone(queries));
        Self { engine, queries, client, public_url, cooling_down: Mutex::default() }
    }

    /// Dispatches one job to one node; returns `false` if no job fits any node.
    pub(super) async fn dispatch_next(&self) -> Result<bool, StoreError> {
        let skip = self.nodes_to_skip().await;
        let Some(dispatched) = self.engine.dispatch_next(&skip).await? else { return Ok(false) };
        if let NodeMode::Push(url) = dispatched.node.mode.clone() {
            self.push(&url, dispatched).await;
        }
        Ok(true)
    }

    async fn nodes_to_skip(&self) -> BTreeSet<NodeId> {
        let mut cooling_down = self.cooling_down.lock().await;
        cooling_down.retain(|_, since| since.elapsed() < NODE_COOLDOWN);
        cooling_down.keys().copied().collect()
    }

    /// Sends a task to a node. If the node rejects it, the node is skipped for a while and the job goes to another.
    async fn push(&self, url: &str, dispatched: Dispatched) {
        let (task_id, node) = (dispatched.task.id, dispatched.node.id);
        let reason = match self.try_push(url, &dispatched).await {
            Ok(PushOutcome::Accepted) => return,
            Ok(outcome) => format!("{outcome:?}"),
            Err(reason) => reason,
        };
        tracing::warn!(%task_id, node = %dispatched.node.name, reason, "the node rejected the task");
        self.cooling_down.lock().await.insert(node, Instant::now());
        match self.engine.task_session(dispatched.task).end(TaskOutcome::Released).await {
            Ok(()) | Err(TaskSessionError::LeaseLost) => {}
            Err(error) => tracing::warn!(%error, "the job continues when its lease expires"),
        }
    }

    async fn try_push(&self, url: &str, dispatched: &Dispatched) -> Result<PushOutcome, String> {
        let task = self.pushed_task(dispatched).await?;
        self.client.push_task(dispatched.node.id, url, &task).await.map_err(|error| error.to_string())
    }

    async fn pushed_task(&self, dispatched: &Dispatched) -> Result<PushedTask, String> {
        let (job, engine) = (&dispatched.job, &self.engine);
        let session = engine.task_session(dispatched.task.clone());
        let credential = session.credential().await.map_err(|error| error_chain(&error))?;
        let issue = engine.ports.store.issue(job.issue_id).await.map_err(|error| error_chain(&error))?;
        let issue = issue.ok_or("the issue is not in the store")?.value;
        let number = job.source.number.display;
        Ok(PushedTask {
            lease: dispatched.lease,
            issue_id: job.issue_id,
            issue_number: number,
            issue_title: issue.title,
            issue_description: issue.body,
            repository_url: dispatched.repository.clone_url.clone(),
            credential: credential.map(|credential| credential.password),
            command: match &job.command {
                Some(command) => command.to_string(),
                None => engine.ports.tools.redactor().redact(&instruction(job)),
            },
            callback_url: format!("{}/api/v1/issues/{}/report-branch", self.public_url, job.issue_id),
            branch: job.branch.to_string(),
            base_branch: dispatched.repository.default_branch.to_string(),
        })
    }

    /// Sends cancellations of jobs to nodes in push mode. A node that cannot be reached finds out when it renews its
    /// lease, as do the nodes of jobs that this loop missed.
    pub(super) async fn cancel_stopped_tasks(&self) {
        let mut stopped = self.engine.stopped();
        loop {
            match stopped.recv().await {
                Ok(job) => {
                    if let Err(reason) = self.cancel_task_of(job).await {
                        tracing::debug!(job_id = %job, reason, "failed to notify the node of the cancelled job");
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn cancel_task_of(&self, job: JobId) -> Result<(), String> {
        let latest = TaskFilter { job: Some(job), limit: 1, ..TaskFilter::default() };
        let tasks = self.queries.tasks(latest).await.map_err(|error| error_chain(&error))?;
        let Some((task, node)) = tasks.first().and_then(|task| Some((task, task.node.parse::<NodeId>().ok()?))) else {
            return Ok(());
        };
        let found = self.engine.ports.nodes.node(node).await.map_err(|error| error_chain(&error))?;
        let Some(node) = found.map(|candidate| candidate.node) else { return Ok(()) };
        let NodeMode::Push(url) = &node.mode else { return Ok(()) };
        if self.client.cancel_task(node.id, url, task.id).await.map_err(|error| error.to_string())? {
            tracing::info!(task_id = %task.id, node = %node.name, "sent the cancellation of the task to the node");
        }
        Ok(())
    }
}

/// Returns what a third-party node is to do, in words: the issue, and what the requester added. It is text for a model, and
/// never for a shell (`docs/nodes.md`).
fn instruction(job: &Job) -> String {
    let issue = format!("process issue #{}", job.source.number.display);
    match &job.trigger.instructions {
        Some(instructions) => format!("{issue}: {instructions}"),
        None => issue,
    }
}
