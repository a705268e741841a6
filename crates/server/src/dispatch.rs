//! Giving jobs to nodes: those that ask find what was assigned to them; those that listen are sent it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use patchwright_core::nodes::Nodes as _;
use patchwright_core::query::{Queries as _, TaskFilter};
use patchwright_core::store::StoreError;
use patchwright_core::task_session::{TaskOutcome, TaskSession as _, TaskSessionError};
use patchwright_domain::node::NodeMode;
use patchwright_domain::{JobId, NodeId};
use patchwright_engine::Dispatched;
use patchwright_node::wire::ProcessIssue;
use patchwright_node::{DispatchKey, PushAnswer, PushClient};
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use crate::compose::App;

/// How long a node that could not take a task is passed over.
const REST: Duration = Duration::from_secs(30);

/// Gives jobs to nodes.
pub(crate) struct Dispatch {
    app: App,
    push: PushClient,
    /// The address that nodes reach this server at.
    public_url: String,
    /// Nodes that could not take a task, and when.
    resting: Mutex<HashMap<NodeId, Instant>>,
}

impl Dispatch {
    pub(crate) fn new(app: &App, public_url: String) -> Self {
        let push = PushClient::new(app.http.clone(), app.clock.clone());
        Self { app: app.clone(), push, public_url, resting: Mutex::default() }
    }

    /// Gives one job to one node; `false` when there is none for any.
    pub(crate) async fn next(&self) -> Result<bool, StoreError> {
        let skip = self.resting().await;
        let Some(given) = self.app.engine.dispatch_next(&skip).await? else { return Ok(false) };
        if let NodeMode::Push(url) = given.node.mode.clone() {
            self.send(&url, given).await;
        }
        Ok(true)
    }

    async fn resting(&self) -> BTreeSet<NodeId> {
        let mut resting = self.resting.lock().await;
        resting.retain(|_, since| since.elapsed() < REST);
        resting.keys().copied().collect()
    }

    /// Sends a task to a node that listens. One that does not take it is left alone for a while, and the job goes to
    /// another.
    async fn send(&self, url: &str, given: Dispatched) {
        let (task_id, node) = (given.task.id, given.node.id);
        let why = match self.sent(url, &given).await {
            Ok(PushAnswer::Taken) => return,
            Ok(answer) => format!("{answer:?}"),
            Err(why) => why,
        };
        tracing::warn!(%task_id, node = %given.node.name, why, "the node does not take the task");
        self.resting.lock().await.insert(node, Instant::now());
        match self.app.engine.task_session(given.task).end(TaskOutcome::Released).await {
            Ok(()) | Err(TaskSessionError::LeaseLost) => {}
            Err(error) => tracing::warn!(%error, "the job goes on when its lease has run out"),
        }
    }

    /// Tells the nodes that listen to stop the jobs that people stop. One that is not reached learns of it when it
    /// renews its lease, as do those of jobs that were missed here.
    pub(crate) async fn stop_tasks(&self) {
        let mut stopped = self.app.engine.stopped();
        loop {
            match stopped.recv().await {
                Ok(job) => {
                    if let Err(error) = self.stop_task_of(job).await {
                        tracing::debug!(job_id = %job, error, "the node is not told that the job was stopped");
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn stop_task_of(&self, job: JobId) -> Result<(), String> {
        let latest = TaskFilter { status: None, job: Some(job), issue: None, before: None, limit: 1 };
        let tasks = self.app.store.tasks(latest).await.map_err(|error| error.to_string())?;
        let Some((task, node)) = tasks.first().and_then(|task| Some((task, task.node.parse::<NodeId>().ok()?))) else {
            return Ok(());
        };
        let node = self.app.store.node(node).await.map_err(|error| error.to_string())?;
        let Some(node) = node.map(|candidate| candidate.node) else { return Ok(()) };
        let NodeMode::Push(url) = &node.mode else { return Ok(()) };
        for key in self.keys(node.id) {
            if self.push.cancel(url, &key, task.id).await.map_err(|error| error.to_string())? {
                tracing::info!(task_id = %task.id, node = %node.name, "the node was told to stop the task");
                break;
            }
        }
        Ok(())
    }

    /// A node has the key of the time at which it registered.
    fn keys(&self, node: NodeId) -> impl Iterator<Item = DispatchKey> {
        self.app.master.all().map(move |master| DispatchKey::of_node(master, node))
    }

    async fn sent(&self, url: &str, given: &Dispatched) -> Result<PushAnswer, String> {
        // Asks the forge too: what may not be done is not sent.
        let session = self.app.engine.task_session(given.task.clone());
        let credential = session.credential().await.map_err(|error| error.to_string())?;
        let (job, task) = (&given.job, &given.task);
        let issue = patchwright_core::store::Store::issue(&self.app.store, job.issue_id).await;
        let issue = issue.map_err(|error| error.to_string())?.ok_or("the issue is gone")?.value;
        let forge = self.app.engine.forge(&job.source.platform).ok_or("the forge is not connected")?;
        let repository = forge.repository(&job.source.repo).await.map_err(|error| error.to_string())?;
        let command = job
            .command
            .as_ref()
            .map_or_else(|| format!("process issue #{}", job.source.number.display), ToString::to_string);
        let task = ProcessIssue {
            issue_id: job.issue_id,
            task_id: task.id,
            repository_url: repository.clone_url,
            issue_number: job.source.number.display,
            issue_title: issue.title,
            issue_description: issue.body,
            credential_token: credential.map(|given| given.password.expose().to_owned()).unwrap_or_default(),
            command,
            callback_url: format!("{}/api/v1/issues/{}/report-branch", self.public_url, job.issue_id),
            job_id: job.id,
            branch: job.branch.to_string(),
            base_branch: repository.default_branch.to_string(),
            lease: given.lease,
        };
        let mut answer = PushAnswer::Denied;
        for key in self.keys(given.node.id) {
            answer = self.push.send(url, &key, &task).await.map_err(|error| error.to_string())?;
            if answer != PushAnswer::Denied {
                break;
            }
        }
        Ok(answer)
    }
}
