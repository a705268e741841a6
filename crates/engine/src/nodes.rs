//! Reconciliation with nodes, and reports of third-party nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::fault::Fault;
use patchwright_core::git::{Checkout, TreeEntry};
use patchwright_core::node_client::{NodeClient, NodeProbe};
use patchwright_core::sandbox::SuiteQuery;
use patchwright_core::store::StoreError;
use patchwright_core::task_session::{Assignment, Refusal, TaskOutcome, TaskSession as _, TaskSessionError};
use patchwright_domain::job::JobState;
use patchwright_domain::job::report::{ChangeForm, ChangeStatus, ChangedFile, FixReport, StageReport, Verdict};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::node::{Candidate, HEARTBEAT, Label, NodeMode};
use patchwright_domain::protected::EditablePaths;
use patchwright_domain::{
    BranchName, CommitSha, Job, JobEvent, NodeId, RepoPath, Task, TaskId, TaskStatus, Usage, WorkerEvent,
};

use crate::Engine;
use crate::change::ChangeError;
use patchwright_worker::{discard_folder, read_change};

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
                self.lose(task, "the node restarted and lost the task").await?;
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
    async fn lose(&self, task: Task, why: &str) -> Result<(), StoreError> {
        let Some(job) = self.job(task.job_id).await? else { return Ok(()) };
        if !matches!(&job.state, JobState::Running { lease } if lease.task_id == task.id) {
            return Ok(());
        }
        tracing::warn!(task_id = %task.id, job_id = %job.id, why, "the node lost the task");
        let lost = self.lost(task, &format!("node_lost: {why}"));
        match self.change_job_with(job.id, JobEvent::LeaseExpired, lost, None, None).await {
            Ok(_) | Err(ChangeError::Refused(_) | ChangeError::NotFound(_)) => Ok(()),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    /// Asks the nodes that listen and have sent no heartbeat lately how they are (`docs/nodes.md`): one that answers gets
    /// tasks, and keeps those that it has; three failures lose them. `failures` counts those in a row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn probe_listening_nodes(
        &self,
        client: &dyn NodeClient,
        failures: &mut HashMap<NodeId, u32>,
    ) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        for Candidate { node, .. } in self.ports.nodes.nodes().await? {
            let NodeMode::Push(url) = &node.mode else { continue };
            let has_heartbeat = node.seen_at.is_some_and(|seen| now.duration_since(seen) <= HEARTBEAT);
            if node.registered_at.is_none() || (has_heartbeat && !failures.contains_key(&node.id)) {
                continue;
            }
            let limit = match client.probe(url).await {
                Ok(NodeProbe::Healthy) => self.settings().job_timeout,
                Ok(_) => self.settings().node_silent_limit,
                Err(error) => {
                    let count = failures.entry(node.id).or_default();
                    *count += 1;
                    tracing::warn!(node = %node.name, failures = *count, %error, "a node does not answer");
                    // Its leases run out meanwhile: a node that is gone keeps no task longer than any other.
                    if *count >= MAX_FAILED_PROBES {
                        self.renew_tasks_of(node.id, Duration::ZERO).await?;
                    }
                    continue;
                }
            };
            failures.remove(&node.id);
            self.ports.nodes.record_health(node.id, &node.health, now).await?;
            self.wake();
            self.renew_tasks_of(node.id, limit).await?;
        }
        Ok(())
    }

    /// Renews the leases of a node's tasks; those that are older than the limit are lost.
    async fn renew_tasks_of(&self, node: NodeId, limit: Duration) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        for task in self.ports.nodes.tasks_of_node(node).await? {
            let age = Duration::try_from(now.duration_since(task.created_at)).unwrap_or_default();
            if age > limit {
                self.lose(task, "the node did not answer, or did not report in time").await?;
                continue;
            }
            match self.task_session(task).renew_lease().await {
                Ok(()) | Err(TaskSessionError::LeaseLost | TaskSessionError::Refused(_)) => {}
                Err(error) => tracing::warn!(%error, "failed to renew the lease of a node's task"),
            }
        }
        Ok(())
    }

    /// Processes the report of a third-party node (`docs/requirements.md#r122`): a branch that it pushed, or the reason
    /// for none. The branch is verified before it is accepted.
    ///
    /// # Errors
    /// [`TaskSessionError::Refused`] when the branch is not the task's or is not on the forge,
    /// [`TaskSessionError::LeaseLost`] when the task has lost the lease of the job, [`TaskSessionError::Unavailable`].
    pub async fn report_branch(&self, task: Task, report: BranchReport) -> Result<(), TaskSessionError> {
        let _alone = self.branch_reports.lock(task.id).await;
        let session = self.task_session(task);
        let branch = match report {
            BranchReport::Pushed(branch) => branch,
            BranchReport::Failed(reason) => {
                let reason = reason.unwrap_or_else(|| "the node reported a failure and no reason".to_owned());
                let refusal = Refusal::new(reason, "Look at the node's log, then retry the job.", Fault::Internal);
                return session.end(TaskOutcome::Failed { refusal, stage: None, usage: Usage::default() }).await;
            }
        };
        let given = match session.start("").await {
            Err(TaskSessionError::Refused(refusal)) if !refusal.fault.is_retryable() => {
                return reject(&session, refusal, None).await;
            }
            started => started?,
        };
        let is_own = given.job.branch == branch;
        if !is_own {
            self.refuse_foreign_branch(&given.job, &branch).await?;
        }
        let pushed = match self.look_at(&session, &given, &branch).await {
            Ok(pushed) => pushed,
            // A name that the node chose and the forge does not know: the node may correct it.
            Err(TaskSessionError::Refused(refusal)) if !is_own && refusal.fault == Fault::Missing => {
                return Err(refusal.into());
            }
            Err(TaskSessionError::Refused(refusal)) if !refusal.fault.is_retryable() => {
                return reject(&session, refusal, Some(StageKind::Fix)).await;
            }
            Err(error) => return Err(error),
        };
        let reason = "a program of the node's own made the change";
        for stage in [StageKind::Locate, StageKind::Propose] {
            if !given.job.stage(stage).status.is_done() {
                session.report(WorkerEvent::StageSkipped { stage, reason: reason.to_owned() }).await?;
            }
        }
        self.report_fetched_fix(&session, &given.job, &pushed).await?;
        session.report(WorkerEvent::BranchPushed { commit: pushed.fix.commit.clone() }).await?;
        if self.can_verify(pushed.is_testable_here).await? {
            return session.hand_over(branch).await;
        }
        let reason = "the node ran no tests that this server has seen".to_owned();
        if !given.job.stage(StageKind::Verify).status.is_done() {
            session.report(WorkerEvent::StageSkipped { stage: StageKind::Verify, reason }).await?;
        }
        session.end_with_branch(TaskOutcome::Completed { verdict: Verdict::NotRun }, Some(branch)).await
    }

    async fn report_fetched_fix(
        &self,
        session: &crate::LocalTaskSession<'_>,
        job: &Job,
        pushed: &PushedBranch,
    ) -> Result<(), TaskSessionError> {
        if job.stage(StageKind::Fix).status.is_done() {
            if is_reported(job, &pushed.fix.commit) {
                return Ok(());
            }
            // Another worker's fix, or an earlier commit of the node: it is not what the branch has now.
            session.report(WorkerEvent::BaseMoved).await?;
        }
        session.report(WorkerEvent::StageStarted { stage: StageKind::Fix }).await?;
        let comment = format!("Commit `{}`, made by the node", pushed.fix.commit.short());
        let report = self.ports.tools.redactor().redact_report(StageReport::Fix(pushed.fix.clone()));
        session.report(WorkerEvent::StageSucceeded { report, comment, usage: Usage::default() }).await.map(|_| ())
    }

    /// Returns whether this process or a node of ours can test the branches of others.
    async fn can_verify(&self, is_testable_here: bool) -> Result<bool, StoreError> {
        let label = Label::verification();
        let settings = self.settings();
        if is_testable_here && settings.slots > 0 && settings.labels.contains(&label) {
            return Ok(true);
        }
        let now = self.ports.clock.now();
        let nodes = self.ports.nodes.nodes().await?;
        Ok(nodes.iter().any(|found| found.node.is_ready(now) && found.node.labels.contains(&label)))
    }

    /// Refuses a branch of a node's own naming that belongs to somebody else.
    async fn refuse_foreign_branch(&self, job: &Job, branch: &BranchName) -> Result<(), TaskSessionError> {
        let (platform, repo) = (&job.source.platform, job.source.repo.to_string());
        let is_taken = *branch == job.base_branch
            || self.ports.store.job_by_branch(platform, &repo, branch.as_str()).await?.is_some();
        if is_taken {
            return Err(refused(format!("the branch `{branch}` is not the task's; push `{}`", job.branch)).into());
        }
        Ok(())
    }

    /// Returns the branch that a third-party node pushed, if it has changes and none to protected files.
    async fn look_at(
        &self,
        session: &crate::LocalTaskSession<'_>,
        given: &Assignment,
        pushed: &BranchName,
    ) -> Result<PushedBranch, TaskSessionError> {
        let job = &given.job;
        // Another process of this server may look at the same branch.
        let name = format!("{}-{}-report-{}", job.id, job.epoch, self.ports.ids.effect());
        let folder = self.settings().work_dir.join(name);
        let looked = async {
            let mut copies = Vec::new();
            for (name, branch) in [("base", &job.base_branch), ("head", pushed)] {
                let checkout = Checkout {
                    url: given.push_url.as_ref().unwrap_or(&given.clone_url).clone(),
                    base: Some(branch.clone()),
                    branch: job.branch.clone(),
                    rework: None,
                    with_branch: false,
                    push_url: None,
                    credential: session.credential().await?,
                    destination: folder.join(name),
                };
                let never = CancellationToken::new();
                copies.push(self.ports.tools.git().checkout(checkout, &never).await.map_err(Refusal::from)?);
            }
            let base = copies[0].tree_entries().await.map_err(Refusal::from)?;
            let head = copies[1].tree_entries().await.map_err(Refusal::from)?;
            let changed = compare_trees(&base, &head);
            let settings = self.settings();
            let editable = &settings.editable_paths;
            if changed.is_empty() {
                return Err(refused(format!("the branch `{pushed}` changes nothing")).into());
            }
            if let Some((path, why)) = changed.iter().find_map(|path| Some((path, protection(path, editable)?))) {
                return Err(refused(format!("the branch changes {path}, which no job may: {why}")).into());
            }
            let changed_files = list_changes(&changed, &base, &head);
            let head = copies[1].base_commit().clone();
            if job.published.pushed.as_ref() == Some(&head) && !is_reported(job, &head) {
                return Err(refused(format!("the branch `{pushed}` has no new commit")).into());
            }
            if *pushed != job.branch {
                // The pull request and all follow-ups use the job's own branch.
                let credential = session.credential().await?;
                let known = job.published.pushed.as_ref();
                copies[1].push(&head, known, credential.as_ref()).await.map_err(Refusal::from)?;
            }
            let change = read_change(copies[0].tree(), copies[1].as_ref(), &changed_files).await;
            let (contents, diff) = change.map_err(Refusal::from)?;
            let fix = FixReport {
                changes_applied: changed_files.iter().map(|change| change.file.clone()).collect(),
                changed_files,
                commit: head,
                base: copies[0].base_commit().clone(),
                contents,
                diff,
                round: 1,
                fetched_for: Some(job.needs.clone()),
                review: None,
                reproduction: None,
                form: ChangeForm::default(),
            };
            let is_testable_here = self.is_testable(copies[1].root(), &fix).await;
            for copy in copies {
                copy.close().await;
            }
            Ok(PushedBranch { fix, is_testable_here })
        };
        let result = looked.await;
        discard_folder(&self.settings().work_dir, folder).await;
        result
    }

    /// Returns whether this process may run the repository's code, and knows how to test the change.
    async fn is_testable(&self, root: &Path, fix: &FixReport) -> bool {
        let sandbox = self.ports.tools.sandbox();
        let changed = fix.changes_applied.clone();
        let query = SuiteQuery { root: root.to_owned(), changed, ..SuiteQuery::default() };
        sandbox.probe().await.is_ok() && sandbox.find_suites(query).await.is_ok()
    }
}

/// After so many failed questions in a row a node loses its tasks.
const MAX_FAILED_PROBES: u32 = 3;

/// Returns whether the commit of a third-party node was reported before, by a report whose answer was lost.
fn is_reported(job: &Job, commit: &CommitSha) -> bool {
    job.has_fetched_fix() && job.fixed().is_some_and(|fix| fix.commit == *commit)
}

/// A branch that a third-party node pushed.
struct PushedBranch {
    /// The change, as a report of the stage `fix`.
    fix: FixReport,
    /// Whether its tests may and can run in this process.
    is_testable_here: bool,
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
fn compare_trees<'a>(
    base: &'a BTreeMap<String, TreeEntry>,
    head: &'a BTreeMap<String, TreeEntry>,
) -> BTreeSet<&'a str> {
    let differs = |(path, entry): &(&String, &TreeEntry)| base.get(*path) != Some(*entry);
    let written = head.iter().filter(differs).map(|(path, _)| path.as_str());
    let removed = base.keys().filter(|path| !head.contains_key(*path)).map(String::as_str);
    written.chain(removed).collect()
}

/// Returns the changes of paths that our types can name.
fn list_changes(
    changed: &BTreeSet<&str>,
    base: &BTreeMap<String, TreeEntry>,
    head: &BTreeMap<String, TreeEntry>,
) -> Vec<ChangedFile> {
    let change = |path: &&str| {
        let status = match (base.contains_key(*path), head.contains_key(*path)) {
            (false, _) => ChangeStatus::Added,
            (true, false) => ChangeStatus::Deleted,
            (true, true) => ChangeStatus::Modified,
        };
        RepoPath::parse(path).ok().map(|file| ChangedFile { status, file })
    };
    changed.iter().filter_map(change).collect()
}

/// Returns why no job may change a path. A name that no job could write either is refused like a protected file.
fn protection(path: &str, editable: &EditablePaths) -> Option<String> {
    match RepoPath::parse(path) {
        Ok(path) => editable.protection(&path).map(ToString::to_string),
        Err(error) => Some(error.to_string()),
    }
}
