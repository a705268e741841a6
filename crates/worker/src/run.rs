//! The loop of a run: run a stage, report it to the session, continue with the next.

use std::path::Path;
use std::sync::Arc;

use patchwright_core::CancellationToken;
use patchwright_core::fault::Fault;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, GitError, Rework, Workspace};
use patchwright_core::progress::{Progress, ProgressEvent};
use patchwright_core::sandbox::STRONG_ISOLATION;
use patchwright_core::task_session::{Assignment, TaskOutcome, TaskSession};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Inheritance, PublishMode};
use patchwright_domain::{CommitSha, Job, Usage, WorkerEvent};

use crate::budgeted_llm::BudgetedLlm;
use crate::context::{StageContext, StageError, StopReason};
use crate::dialogue::Dialogue;
use crate::fix::calls::tools;
use crate::folder::remove_folder;
use crate::repository::Repository;
use crate::stage::{Outcome, run_stage};
use crate::worker::Tools;

/// One run of one job by one worker.
pub(crate) struct Run<'a> {
    tools: &'a Tools,
    session: &'a dyn TaskSession,
    cancel: CancellationToken,
    progress: Progress,
    /// The assignment, with the job's last known state.
    assignment: Assignment,
    llm: Option<BudgetedLlm<'a>>,
    dialogue: Dialogue<'a>,
    /// The model usage of the failed stage.
    unbooked: Usage,
    /// The commit that this run tested last and sent back.
    sent_back: Option<CommitSha>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        tools: &'a Tools,
        session: &'a dyn TaskSession,
        mut assignment: Assignment,
        cancel: CancellationToken,
        progress: Progress,
    ) -> Self {
        let llm = tools.llm().map(|llm| {
            BudgetedLlm::new(llm, session, &assignment, tools.redactor.clone(), progress.clone(), cancel.clone())
        });
        let dialogue = Dialogue::new(session, tools.redactor.clone(), assignment.conversation.take());
        Self {
            tools,
            session,
            cancel,
            progress,
            assignment,
            llm,
            dialogue,
            unbooked: Usage::default(),
            sent_back: None,
        }
    }

    const fn job(&self) -> &Job {
        &self.assignment.job
    }

    /// Runs the job from its current stage to its end.
    pub(crate) async fn drive(&mut self, folder: &Path) -> Result<Verdict, StopReason> {
        let can_run = self.tests_come_first().await;
        if let Some(llm) = &mut self.llm {
            llm.set_tools(tools(can_run));
        }
        let workspace = self.open_workspace(folder).await?;
        let result = self.run_stages(workspace.as_ref(), folder).await;
        workspace.close().await;
        result
    }

    async fn run_stages(&mut self, workspace: &dyn Workspace, folder: &Path) -> Result<Verdict, StopReason> {
        if !self.job().stage(StageKind::Locate).status.is_done() {
            // The job begins, or begins again: what was said before it is another job's.
            self.dialogue.forget().await;
        }
        self.dialogue.keep_for(workspace.base_commit()).await;
        let repository = open_repository(workspace).await;
        self.take_up_fix(workspace).await?;
        while let Some(kind) = self.job().next_stage() {
            if self.job().awaits_approval() {
                return Err(StopReason::Paused);
            }
            self.stage(kind, workspace, &repository, folder).await?;
            let is_time = if self.tests_come_first().await { StageKind::Verify } else { StageKind::Fix };
            if kind == is_time && self.job().stage(kind).status.is_done() {
                self.publish_fix(workspace).await?;
            }
        }
        self.conclude(workspace).await
    }

    /// Converts the result into the outcome to report; `None` if there is nothing to report.
    pub(crate) fn ending(&self, stop: Result<Verdict, StopReason>) -> Option<TaskOutcome> {
        match stop {
            Ok(verdict) => Some(TaskOutcome::Completed { verdict }),
            Err(StopReason::Failed(error)) => {
                Some(TaskOutcome::Failed { refusal: error.refusal(), stage: error.stage, usage: self.unbooked })
            }
            Err(StopReason::Release) => Some(TaskOutcome::Released),
            Err(StopReason::Paused) => Some(TaskOutcome::Paused),
            Err(StopReason::LeaseLost) => {
                tracing::info!("lost the lease of the job");
                None
            }
            Err(StopReason::Unreachable(cause)) => {
                tracing::error!(error = %cause, "the session failed; the job continues when its lease expires");
                None
            }
        }
    }

    /// Restores an earlier worker's fix in this new working copy, or repeats the fix if the base branch has moved.
    async fn take_up_fix(&mut self, workspace: &dyn Workspace) -> Result<(), StopReason> {
        // A stage that is repeated keeps its last report until it has a new one.
        let done = self.job().stage(StageKind::Fix).status.is_done();
        let Some(fix) = self.job().fixed().filter(|fix| done && !fix.is_fetched()) else { return Ok(()) };
        // The report of a rebase does not have the commits that were replayed.
        if *workspace.base_commit() != fix.base || self.job().is_rebase() {
            tracing::info!(git.base = %fix.base, git.now = %workspace.base_commit(), "the base branch has advanced since the fix");
            return self.report(WorkerEvent::BaseMoved).await;
        }
        crate::branch::restore(workspace, fix, self.job(), &self.assignment.policy).await?;
        let is_tested = self.job().stage(StageKind::Verify).status.is_done();
        if is_tested || !self.tests_come_first().await {
            return self.publish_fix(workspace).await;
        }
        Ok(())
    }

    /// Returns whether the tests run before the push. A pushed branch runs in the repository's own CI, with its secrets, so it
    /// waits for the tests where they are isolated. Elsewhere they would show no more than the CI does.
    async fn tests_come_first(&self) -> bool {
        let sandbox = &self.tools.sandbox;
        sandbox.probe().await.is_ok() && sandbox.isolation() == STRONG_ISOLATION
    }

    async fn report(&mut self, event: WorkerEvent) -> Result<(), StopReason> {
        self.assignment.job = self.session.report(event).await?;
        Ok(())
    }

    async fn open_workspace(&mut self, folder: &Path) -> Result<Box<dyn Workspace>, StopReason> {
        self.progress.set_activity(format!("cloning {}", self.job().source.repo));
        let rebases = self.job().is_rebase();
        if rebases && self.job().published.pushed.is_none() {
            return Err(nothing_to_rebase().into());
        }
        let credential = self.session.credential().await?;
        let mut checkout = self.checkout_request(credential, folder);
        let git = &self.tools.git;
        let mut opened = git.checkout(checkout.clone(), &self.cancel).await;
        if matches!(opened, Err(GitError::Unauthorized { .. })) {
            // A token may be revoked at any time; a second refusal is the answer.
            tracing::warn!("the git server refused the credential; trying another one");
            checkout.credential = self.session.renew_credential().await?;
            remove_folder(checkout.destination.clone()).await;
            opened = git.checkout(checkout.clone(), &self.cancel).await;
        }
        let workspace = match opened {
            Err(GitError::BranchNotFound { branch, .. }) if rebases && branch == self.job().branch => {
                return Err(nothing_to_rebase().into());
            }
            // The branch was deleted on the forge, so the job starts from the base branch again.
            Err(GitError::BranchNotFound { .. }) if self.branch_start().is_some() && !checkout.with_branch => {
                remove_folder(checkout.destination.clone()).await;
                checkout.base = Some(self.job().base_branch.clone());
                let inheritance = Inheritance::default();
                self.report(WorkerEvent::BranchInherited { inheritance }).await?;
                git.checkout(checkout, &self.cancel).await
            }
            other => other,
        };
        let workspace = workspace.map_err(StageError::from)?;
        tracing::info!(git.base = %workspace.base_commit(), "checked out the repository");
        if self.job().has_fetched_fix() {
            return self.require_reported_commit(workspace);
        }
        self.note_moved_branch(workspace.as_ref()).await?;
        Ok(workspace)
    }

    /// Returns the commit that a follow-up continues from.
    fn branch_start(&self) -> Option<&CommitSha> {
        self.job().follows.as_ref()?.base.as_ref()
    }

    /// A follow-up continues its branch. A rebase, and the tests of a branch that a third-party node pushed, start at the base
    /// and need the branch as well.
    fn checkout_request(&self, credential: Option<GitCredential>, folder: &Path) -> Checkout {
        let job = self.job();
        let with_branch = job.is_rebase() || job.has_fetched_fix();
        let start = self.branch_start().filter(|_| !with_branch).cloned();
        let base = if start.is_some() { &job.branch } else { &job.base_branch };
        let start_is_branch = start.is_some();
        let rework = job.published.pushed.clone().zip(start).map(|(tip, start)| Rework { tip, start });
        let (source, fork) = (&self.assignment.clone_url, &self.assignment.push_url);
        // The branch is in the fork, where the base is up to date.
        let url = fork.as_ref().filter(|_| start_is_branch || with_branch).unwrap_or(source).clone();
        Checkout {
            url,
            push_url: fork.clone(),
            base: Some(base.clone()),
            branch: job.branch.clone(),
            rework: rework.filter(|rework| rework.tip != rework.start),
            with_branch,
            credential,
            destination: folder.join("repo"),
        }
    }

    /// Reports the commits that others pushed to the branch since the job before, or since this job was interrupted.
    async fn note_moved_branch(&mut self, workspace: &dyn Workspace) -> Result<(), StopReason> {
        let tip = workspace.branch_tip().unwrap_or_else(|| workspace.base_commit());
        let known = if self.job().is_rebase() { self.job().published.pushed.as_ref() } else { self.branch_start() };
        if known.is_none_or(|known| known == tip) {
            return Ok(());
        }
        tracing::info!("the branch has new commits by others; continuing from them");
        self.report(WorkerEvent::BranchMoved { commit: tip.clone() }).await
    }

    /// What is tested is what the node reported and the pull request shows.
    fn require_reported_commit(&self, workspace: Box<dyn Workspace>) -> Result<Box<dyn Workspace>, StopReason> {
        let reported = self.job().fixed().map(|fix| &fix.commit);
        if workspace.branch_tip() == reported {
            return Ok(workspace);
        }
        let reason = format!("the branch `{}` has moved since the node reported it", self.job().branch);
        let remedy = "Look at the new commits by hand, or comment `fix` with what is missing.";
        Err(StageError::new(reason, remedy, Fault::Internal).into())
    }

    async fn stage(
        &mut self,
        kind: StageKind,
        workspace: &dyn Workspace,
        repository: &Arc<Repository>,
        folder: &Path,
    ) -> Result<(), StopReason> {
        tracing::Span::current().record("stage", kind.as_str());
        self.report(WorkerEvent::StageStarted { stage: kind }).await?;
        self.progress.send(ProgressEvent::Stage { stage: kind, status: StageStatus::Running });
        let context = StageContext {
            job: self.job(),
            issue: &self.assignment.issue,
            workspace,
            scratch: folder,
            llm: self.llm.as_ref(),
            dialogue: &self.dialogue,
            repository,
            tools: self.tools,
            policy: &self.assignment.policy,
            sent_back: self.sent_back.as_ref(),
            cancel: &self.cancel,
            progress: &self.progress,
        };
        // The stages are large, and callers poll them on small stacks.
        let result = Box::pin(run_stage(kind, &context)).await;
        let usage = self.take_usage().await;
        let (event, status) = match result {
            Ok(Outcome::Done { report, comment }) => {
                let comment = self.tools.redactor.redact(&comment);
                let report = self.tools.redactor.redact_report(*report);
                (WorkerEvent::StageSucceeded { report, comment, usage }, StageStatus::Succeeded)
            }
            Ok(Outcome::Skipped { reason }) => {
                (WorkerEvent::StageSkipped { stage: kind, reason }, StageStatus::Skipped)
            }
            Ok(Outcome::SendBack { feedback, report }) => {
                tracing::info!("the tests fail; revising the fix");
                self.sent_back.clone_from(&report.commit);
                let report = Some(Box::new(self.tools.redactor.redact_verification(*report)));
                (WorkerEvent::SentBack { feedback, usage, report }, StageStatus::Pending)
            }
            Err(mut error) => {
                error.stage = Some(kind);
                self.progress.send(ProgressEvent::Stage { stage: kind, status: StageStatus::Failed });
                self.progress.log_error(&error.reason);
                self.unbooked = usage;
                return Err(StopReason::Failed(error));
            }
        };
        self.report(event).await?;
        self.progress.send(ProgressEvent::Stage { stage: kind, status });
        tracing::info!(stage.status = status.as_str(), "the stage finished");
        Ok(())
    }

    async fn take_usage(&self) -> Usage {
        match &self.llm {
            Some(llm) => llm.take_stage_usage().await,
            None => Usage::default(),
        }
    }

    /// Pushes the branch after the fix is checkpointed, so that a crash in between repeats only the push.
    async fn publish_fix(&mut self, workspace: &dyn Workspace) -> Result<(), StopReason> {
        let Some(commit) = self.job().fixed().map(|fix| fix.commit.clone()) else { return Ok(()) };
        self.push(workspace, commit).await
    }

    async fn push(&mut self, workspace: &dyn Workspace, commit: CommitSha) -> Result<(), StopReason> {
        let pushed = self.job().published.pushed.clone();
        if self.job().publish == PublishMode::Patch || pushed.as_ref() == Some(&commit) {
            return Ok(());
        }
        self.progress.set_activity(format!("pushing {}", self.job().branch));
        let credential = self.session.credential().await?;
        let mut result = workspace.push(&commit, pushed.as_ref(), credential.as_ref()).await;
        if matches!(result, Err(GitError::Unauthorized { .. })) {
            tracing::warn!("the git server refused the credential; trying another one");
            let credential = self.session.renew_credential().await?;
            result = workspace.push(&commit, pushed.as_ref(), credential.as_ref()).await;
        }
        result.map_err(|error| {
            let mut error = StageError::from(error);
            error.stage = self.job().next_stage().map(|_| StageKind::Fix);
            error
        })?;
        tracing::info!(git.branch = %self.job().branch, git.commit = %commit, "pushed the branch");
        self.report(WorkerEvent::BranchPushed { commit }).await
    }

    /// Returns the verdict on the complete job; an analysis pushes its report files.
    async fn conclude(&mut self, workspace: &dyn Workspace) -> Result<Verdict, StopReason> {
        let verdict = self.job().verified().map_or(Verdict::AnalysisOnly, |report| report.verdict);
        let files = crate::branch::report_files(self.job(), verdict, &self.assignment.policy);
        // The commits of a branch that was rebased or fetched are not made again.
        let is_ours = !self.job().is_rebase() && !self.job().has_fetched_fix();
        if is_ours && !files.is_empty() && self.job().publish != PublishMode::Patch {
            let commit = crate::branch::commit_reports(workspace, self.job(), &files, &self.assignment.policy).await?;
            self.push(workspace, commit).await?;
        }
        Ok(verdict)
    }
}

/// Lists the files of the base. Nothing is read yet.
async fn open_repository(workspace: &dyn Workspace) -> Arc<Repository> {
    let tree = workspace.tree();
    let opened = tokio::task::spawn_blocking(move || Arc::new(Repository::open(tree))).await;
    opened.expect("listing a tree does not panic")
}

fn nothing_to_rebase() -> StageError {
    let reason = "there is no branch of an earlier job to rebase";
    let remedy = "Comment `fix` to make a change first.";
    StageError::new(reason, remedy, Fault::Internal)
}
