//! Assignment of jobs to nodes on other machines.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use patchwright_core::forge::Repository;
use patchwright_core::store::{Claimant, Step, StoreError};
use patchwright_core::task_session::{Refusal, TaskLease, TaskOutcome, TaskSessionError};
use patchwright_domain::job::{FailureOrigin, Lease};
use patchwright_domain::node::{Candidate, Needs, Node, choose};
use patchwright_domain::{Job, NodeId, Task, TaskId, Usage};

use crate::Engine;
use crate::backoff::signed;

/// A task that was assigned to a node.
#[derive(Debug, Clone)]
pub struct Dispatched {
    /// The node.
    pub node: Node,
    /// The task, which waits for the node to start it.
    pub task: Task,
    /// The job.
    pub job: Job,
    /// The job's repository on its forge.
    pub repository: Repository,
    /// The lease that the node holds.
    pub lease: TaskLease,
}

/// A claim on behalf of the nodes: the store selects the job, the claim selects the node for it.
struct Dispatcher {
    candidates: Vec<Candidate>,
    successes: HashMap<(NodeId, String), Timestamp>,
    task_id: TaskId,
    now: Timestamp,
    until: Timestamp,
}

impl Dispatcher {
    fn choose(&self, job: &Job) -> Option<&Candidate> {
        let repo = job.source.repo.to_string();
        let last_success = |node: NodeId| self.successes.get(&(node, repo.clone())).copied();
        choose(&self.candidates, &job.needs, last_success, self.now)
    }
}

impl Claimant for Dispatcher {
    fn is_plain(&self) -> bool {
        false
    }

    fn can(&self, needs: &Needs) -> bool {
        choose(&self.candidates, needs, |_| None, self.now).is_some()
    }

    fn lease(&self, job: &Job) -> Option<Lease> {
        let chosen = self.choose(job)?;
        Some(Lease { holder: holder(chosen.node.id), task_id: self.task_id, until: self.until })
    }
}

fn holder(node: NodeId) -> String {
    format!("node:{node}")
}

impl Engine {
    /// Assigns the next queued job to the most suitable node with free capacity, if there is one, except the nodes in
    /// `skip`. A job that may not run ends here, and no node hears of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dispatch_next(&self, skip: &BTreeSet<NodeId>) -> Result<Option<Dispatched>, StoreError> {
        while let Some((node, task, job)) = self.assign_next(skip).await? {
            let session = self.task_session(task.clone());
            let authorized = async {
                let repository = session.authorize(&job).await?;
                // Nodes of third parties clone where they push.
                session.clone_repository(&job, repository).await
            };
            let refusal = match authorized.await {
                Ok(repository) => {
                    tracing::info!(job_id = %job.id, task_id = %task.id, node = %node.name, "assigned the job to a node");
                    let lease = self.lease_of(&task);
                    return Ok(Some(Dispatched { node, task, job, repository, lease }));
                }
                Err(TaskSessionError::Refused(refusal)) => refusal,
                Err(error) => Refusal::from_error(&error, error.fault(), FailureOrigin::Internal),
            };
            let outcome = TaskOutcome::Failed { refusal, stage: None, usage: Usage::default() };
            if let Err(error) = session.end(outcome).await {
                tracing::warn!(job_id = %job.id, %error, "the refused job continues when its lease expires");
            }
        }
        Ok(None)
    }

    async fn assign_next(&self, skip: &BTreeSet<NodeId>) -> Result<Option<(Node, Task, Job)>, StoreError> {
        let now = self.ports.clock.now();
        let mut candidates = self.ports.nodes.nodes().await?;
        candidates.retain(|candidate| {
            let node = &candidate.node;
            node.is_ready(now) && candidate.running < node.capacity && !skip.contains(&node.id)
        });
        if candidates.is_empty() {
            return Ok(None);
        }
        let dispatcher = Arc::new(Dispatcher {
            successes: self.ports.nodes.last_successes().await?,
            task_id: self.ports.ids.task(),
            until: now.saturating_add(signed(self.settings().lease)).unwrap_or(now),
            candidates,
            now,
        });
        let claimant = Arc::clone(&dispatcher) as Arc<dyn Claimant>;
        let Some(claimed) = self.ports.store.claim_job(now, claimant, self.settings().share).await? else {
            return Ok(None);
        };
        let job = claimed.value;
        let Some(chosen) = dispatcher.choose(&job) else { return Ok(None) };
        let node = chosen.node.clone();
        let Some(task) = self.leased_task(&job, &node.id.to_string()) else { return Ok(None) };
        self.close_lost_tasks(&task).await?;
        self.ports.store.commit(Step { task: Some(task.clone()), ..Step::default() }).await?;
        self.ports.nodes.record_use(node.id, now).await?;
        self.wake();
        Ok(Some((node, task, job)))
    }

    /// Returns the lease of a task in the form that its worker receives.
    pub fn lease_of(&self, task: &Task) -> TaskLease {
        TaskLease { task: task.id, job: task.job_id, epoch: task.attempt.into(), duration: self.settings().lease }
    }
}
