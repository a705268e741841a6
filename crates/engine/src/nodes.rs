//! Reconciliation with nodes, and reports of third-party nodes.

use std::collections::{BTreeMap, BTreeSet};

use patchwright_core::CancellationToken;
use patchwright_core::fault::Fault;
use patchwright_core::git::{Checkout, TreeEntry};
use patchwright_core::store::StoreError;
use patchwright_core::task_session::{Assignment, Refusal, TaskOutcome, TaskSession as _, TaskSessionError};
use patchwright_domain::job::JobState;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::{BranchName, JobEvent, NodeId, RepoPath, Task, TaskId, TaskStatus, Usage, WorkerEvent};

use crate::Engine;
use crate::change::ChangeError;
use patchwright_worker::remove_folder;

/// The differences between the tasks that a node has and those assigned to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNews {
    /// Tasks that are assigned to it and that it does not have.
    pub offers: Vec<Task>,
    /// Tasks that are not assigned to it any more.
    pub stop: Vec<TaskId>,
}

impl Engine {
    /// Records which process a node runs as. Tasks that the node's previous process had started and the new one does
    /// not have are lost, and their jobs continue elsewhere at once. Without a restart no task counts as lost: the
    /// node's list may be older than its latest assignment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn node_process(&self, node: NodeId, instance: &str, running: &[TaskId]) -> Result<(), StoreError> {
        if !self.ports.nodes.record_instance(node, instance).await? {
            return Ok(());
        }
        for task in self.ports.nodes.tasks_of_node(node).await? {
            if task.status == TaskStatus::Running && !running.contains(&task.id) {
                self.lose(task).await?;
            }
        }
        Ok(())
    }

    /// Compares the tasks that a node has with those assigned to it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn news_for_node(&self, node: NodeId, running: &[TaskId]) -> Result<NodeNews, StoreError> {
        let open = self.ports.nodes.tasks_of_node(node).await?;
        let stop = running.iter().filter(|id| !open.iter().any(|task| task.id == **id)).copied().collect();
        let waits = |task: &Task| task.status == TaskStatus::Pending && !running.contains(&task.id);
        Ok(NodeNews { offers: open.into_iter().filter(waits).collect(), stop })
    }

    /// Ends a task that its node does not have any more, and releases its job.
    async fn lose(&self, task: Task) -> Result<(), StoreError> {
        let Some(job) = self.job(task.job_id).await? else { return Ok(()) };
        if !matches!(&job.state, JobState::Running { lease } if lease.task_id == task.id) {
            return Ok(());
        }
        tracing::warn!(task_id = %task.id, job_id = %job.id, "the node lost the task");
        let lost = self.lost(task, "node_lost: the node restarted and lost the task");
        match self.change_job_with(job.id, JobEvent::LeaseExpired, lost, None, None).await {
            Ok(_) | Err(ChangeError::Refused(_) | ChangeError::NotFound(_)) => Ok(()),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    /// Processes the report of a third-party node (`docs/requirements.md#r122`): a branch that it pushed, or the reason
    /// for none. The branch is verified before it is accepted.
    ///
    /// # Errors
    /// [`TaskSessionError::Refused`] when the branch is not the task's or is not on the forge,
    /// [`TaskSessionError::LeaseLost`] when the task has lost the lease of the job, [`TaskSessionError::Unavailable`].
    pub async fn report_branch(&self, task: Task, report: BranchReport) -> Result<(), TaskSessionError> {
        let session = self.task_session(task);
        let branch = match report {
            BranchReport::Pushed(branch) => branch,
            BranchReport::Failed(reason) => {
                let refusal = Refusal {
                    reason: reason.unwrap_or_else(|| "the node reported a failure and no reason".to_owned()),
                    remedy: "Look at the node's log, then retry the job.".to_owned(),
                    fault: Fault::Internal,
                    out_of_budget: false,
                };
                return session.end(TaskOutcome::Failed { refusal, stage: None, usage: Usage::default() }).await;
            }
        };
        let given = match session.start("").await {
            Err(TaskSessionError::Refused(refusal)) if !refusal.fault.is_retryable() => {
                return reject(&session, refusal, None).await;
            }
            started => started?,
        };
        if given.job.branch != branch {
            return Err(refused(format!("the task's branch is `{}`, not `{branch}`", given.job.branch)).into());
        }
        let commit = match self.look_at(&session, &given).await {
            Ok(commit) => commit,
            Err(TaskSessionError::Refused(refusal)) if !refusal.fault.is_retryable() => {
                return reject(&session, refusal, Some(StageKind::Fix)).await;
            }
            Err(error) => return Err(error),
        };
        let reason = "a program of the node's own made the change";
        for stage in [StageKind::Locate, StageKind::Propose, StageKind::Fix] {
            if !given.job.stage(stage).status.is_done() {
                session.report(WorkerEvent::StageSkipped { stage, reason: reason.to_owned() }).await?;
            }
        }
        session.report(WorkerEvent::BranchPushed { commit }).await?;
        let reason = "the node ran no tests that this server has seen".to_owned();
        if !given.job.stage(StageKind::Verify).status.is_done() {
            session.report(WorkerEvent::StageSkipped { stage: StageKind::Verify, reason }).await?;
        }
        session.end(TaskOutcome::Completed { verdict: Verdict::NotRun }).await
    }

    /// Returns the commit of a branch that a third-party node pushed, if it has changes and none to protected files.
    async fn look_at(
        &self,
        session: &crate::LocalTaskSession<'_>,
        given: &Assignment,
    ) -> Result<patchwright_domain::CommitSha, TaskSessionError> {
        let job = &given.job;
        // Two reports may come at the same time.
        let name = format!("{}-{}-report-{}", job.id, job.epoch, self.ports.ids.effect());
        let folder = self.settings.work_dir.join(name);
        let looked = async {
            let mut copies = Vec::new();
            for (name, branch) in [("base", &job.base_branch), ("head", &job.branch)] {
                let checkout = Checkout {
                    url: given.clone_url.clone(),
                    base: Some(branch.clone()),
                    branch: job.branch.clone(),
                    rework: None,
                    credential: session.credential().await?,
                    destination: folder.join(name),
                };
                let never = CancellationToken::new();
                copies.push(self.ports.tools.git().checkout(checkout, &never).await.map_err(Refusal::from)?);
            }
            let base = copies[0].tree_entries().await.map_err(Refusal::from)?;
            let head = copies[1].tree_entries().await.map_err(Refusal::from)?;
            let changed = changed(&base, &head);
            if changed.is_empty() {
                return Err(refused(format!("the branch `{}` changes nothing", job.branch)).into());
            }
            if let Some((path, why)) = changed.iter().find_map(|path| Some((path, protection(path)?))) {
                return Err(refused(format!("the branch changes {path}, which no job may: {why}")).into());
            }
            let head = copies[1].base_commit().clone();
            if job.published.pushed.as_ref() == Some(&head) {
                return Err(refused(format!("the branch `{}` has no new commit", job.branch)).into());
            }
            Ok(head)
        };
        let result = looked.await;
        remove_folder(folder).await;
        result
    }
}

/// The report of a third-party node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchReport {
    /// The node pushed this branch.
    Pushed(BranchName),
    /// The node has no result, with the reason if it reported one.
    Failed(Option<String>),
}

/// Ends the task, and says to the node why: no later report of it can be better.
async fn reject(
    session: &crate::LocalTaskSession<'_>,
    refusal: Refusal,
    stage: Option<StageKind>,
) -> Result<(), TaskSessionError> {
    session.end(TaskOutcome::Failed { refusal: refusal.clone(), stage, usage: Usage::default() }).await?;
    Err(refusal.into())
}

fn refused(reason: String) -> Refusal {
    Refusal::new(reason, "Correct the problem on the node, then retry the job.", Fault::Internal)
}

/// Returns the paths whose entries differ: contents, modes, links and submodules, without reading what is the same.
fn changed<'a>(base: &'a BTreeMap<String, TreeEntry>, head: &'a BTreeMap<String, TreeEntry>) -> BTreeSet<&'a str> {
    let differs = |(path, entry): &(&String, &TreeEntry)| base.get(*path) != Some(*entry);
    let written = head.iter().filter(differs).map(|(path, _)| path.as_str());
    let removed = base.keys().filter(|path| !head.contains_key(*path)).map(String::as_str);
    written.chain(removed).collect()
}

/// Returns why no job may change a path. A name that no job could write either is refused like a protected file.
fn protection(path: &str) -> Option<String> {
    match RepoPath::parse(path) {
        Ok(path) => path.protection().map(|why| why.to_string()),
        Err(error) => Some(error.to_string()),
    }
}
