//! The loop: claim → run stage → advance → commit → next.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use patchwright_core::CancellationToken;
use patchwright_core::fault::Fault;
use patchwright_core::forge::Permission;
use patchwright_core::git::{Checkout, GitError, Redo, Workspace};
use patchwright_core::progress::{Progress, ProgressEvent};
use patchwright_core::store::{Step, StoreError};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Failure, Inheritance, JobState, Lease, PublishMode, TriggerKind};
use patchwright_domain::task::{EMBEDDED_NODE, TaskEvent, TaskStatus};
use patchwright_domain::{Issue, Job, JobEvent, JobId, Task, Usage};
use tracing::Instrument as _;

use crate::Engine;
use crate::change::ChangeError;
use crate::engine::TriggerPermission;
use crate::run::{Asker, Place, StageContext, StageError, Stop, backoff, words};
use crate::stage::{Outcome, run_stage};

/// How long a job is put off without counting, because a forge or the model asks for it.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

impl Engine {
    /// Takes the next job, if one waits, and works on it until it ends, is put off, or `shutdown` fires. Returns the
    /// job that it worked on.
    ///
    /// # Errors
    /// [`StoreError`] when no job can be taken. Once one is taken, whatever goes wrong is the job's own matter.
    pub async fn run_next(&self, worker: &str, shutdown: &CancellationToken) -> Result<Option<JobId>, StoreError> {
        let now = self.ports.clock.now();
        let until = now.saturating_add(signed(self.settings.lease)).unwrap_or(now);
        let lease = Lease { holder: worker.to_owned(), task_id: self.ports.ids.task(), until };
        let Some(claimed) = self.ports.store.claim_job(now, lease, self.settings.share).await? else { return Ok(None) };
        let job = claimed.value;
        let id = job.id;
        let span = tracing::info_span!(
            "job", job_id = %id, issue = %job.source, job.attempt = job.attempts, stage = tracing::field::Empty
        );
        let JobState::Running { lease } = &job.state else { return Ok(None) };
        let task = Task {
            id: lease.task_id,
            status: TaskStatus::Running,
            attempt: u32::try_from(job.epoch).unwrap_or(u32::MAX),
            started_at: Some(now),
            ..Task::first(&job, EMBEDDED_NODE, now)
        };
        self.close_lost_tasks(&task).await?;
        self.work(job, task, shutdown).instrument(span).await;
        Ok(Some(id))
    }

    /// Tasks of workers that fell silent at this job: this one has their lease now.
    async fn close_lost_tasks(&self, own: &Task) -> Result<(), StoreError> {
        if own.attempt == 1 {
            return Ok(());
        }
        for task in self.ports.store.open_tasks(own.job_id).await?.into_iter().filter(|task| task.id != own.id) {
            let task = self.lost(task, "node_lost: its worker fell silent, and another one has the job");
            self.ports.store.commit(Step { task, ..Step::default() }).await?;
        }
        Ok(())
    }

    async fn work(&self, job: Job, task: Task, shutdown: &CancellationToken) {
        let (id, epoch) = (job.id, job.epoch);
        let cancel = shutdown.child_token();
        let note = self.note_running(id, cancel.clone());
        tracing::info!("the job is taken up");
        let folder = self.settings.work_dir.join(format!("{id}-{epoch}"));
        let mut run = Run {
            engine: self,
            epoch,
            cancel: cancel.clone(),
            progress: self.progress(id),
            task,
            job,
            asker: None,
            unbooked: Usage::default(),
        };
        let stop = tokio::select! {
            stop = run.drive(&folder) => stop,
            // The lease is lost: whatever this worker does from here on is worth nothing.
            () = self.keep_lease(id, epoch) => Err(Stop::Gone),
            () = tokio::time::sleep(self.settings.job_timeout) => Err(self.took_too_long().into()),
        };
        // What was left half-way, such as a test run, ends now.
        cancel.cancel();
        let handed_back = shutdown.is_cancelled();
        let stop = match stop {
            Err(Stop::Failed(_)) if handed_back => Err(Stop::HandBack),
            other => other,
        };
        run.end(stop).await;
        drop(note);
        remove_folder(folder).await;
    }

    fn took_too_long(&self) -> StageError {
        let reason = format!("it was not done after {} minutes", self.settings.job_timeout.as_secs() / 60);
        StageError::new(reason, "Raise JOB_TIMEOUT if it needs more, then retry the job.", Fault::Broken)
    }

    /// Renews the lease while the job runs; returns when it cannot.
    async fn keep_lease(&self, id: JobId, epoch: u64) {
        let period = self.settings.lease / 3;
        loop {
            tokio::time::sleep(period).await;
            let now = self.ports.clock.now();
            let until = now.saturating_add(signed(self.settings.lease)).unwrap_or(now);
            match self.change_job(id, JobEvent::LeaseRenewed { epoch, until }).await {
                Ok(_) => {}
                Err(ChangeError::Store(error)) => {
                    tracing::warn!(error = %words(&error), "the lease could not be renewed; it is tried again");
                }
                Err(error @ (ChangeError::Refused(_) | ChangeError::Gone(_))) => {
                    tracing::info!(reason = %error, "the job is not this worker's any more");
                    return;
                }
            }
        }
    }
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// One worker at one job.
struct Run<'a> {
    engine: &'a Engine,
    epoch: u64,
    cancel: CancellationToken,
    progress: Progress,
    task: Task,
    /// As it stands in the store, as far as this worker knows.
    job: Job,
    asker: Option<Asker>,
    /// What the stage that failed has cost.
    unbooked: Usage,
}

impl Run<'_> {
    /// From wherever the job stands to its end.
    async fn drive(&mut self, folder: &Path) -> Result<Verdict, Stop> {
        self.refuse_poison()?;
        self.job = self.engine.change_job_with(self.job.id, self.renewal(), Some(self.task.clone()), None).await?;
        let ports = &self.engine.ports;
        if let Some(llm) = &ports.llm {
            self.asker =
                Some(Asker::new(Arc::clone(llm), self.engine, &self.job, self.progress.clone(), self.cancel.clone()));
        }
        let issue = ports.store.issue(self.job.issue_id).await.map_err(Stop::Store)?.ok_or(Stop::Gone)?.value;
        let place = self.prepare().await?;
        self.inherit().await?;
        let workspace = self.open_workspace(&place, folder).await?;
        self.take_up_fix(&place, workspace.as_ref()).await?;
        while let Some(kind) = self.job.next_stage() {
            self.stage(kind, &issue, workspace.as_ref(), folder).await?;
            if kind == StageKind::Fix {
                self.publish_fix(&place, workspace.as_ref()).await?;
            }
        }
        self.conclude(&place, workspace.as_ref()).await
    }

    /// A follow-up takes over the branch of the job before it that had one.
    async fn inherit(&mut self) -> Result<(), Stop> {
        if !self.job.awaits_inheritance() {
            return Ok(());
        }
        let mut before = None;
        let mut next = self.job.follows.as_ref().map(|follows| follows.job_id);
        while let Some(id) = next {
            let Some(job) = self.engine.job(id).await.map_err(Stop::Store)? else { break };
            next = job.follows.as_ref().filter(|_| job.awaits_inheritance()).map(|follows| follows.job_id);
            before = Some(job);
        }
        let inheritance = before.map(|job| job.inheritance()).unwrap_or_default();
        self.tell(JobEvent::BranchInherited { epoch: self.epoch, inheritance }).await
    }

    /// Brings an earlier worker's fix into this fresh working copy, or has it made again when its base is history.
    async fn take_up_fix(&mut self, place: &Place, workspace: &dyn Workspace) -> Result<(), Stop> {
        // A stage that was sent back keeps its last report until it has a new one.
        let done = self.job.stage(StageKind::Fix).status.is_done();
        let Some(fix) = self.job.fixed().filter(|_| done) else { return Ok(()) };
        if *workspace.base_commit() != fix.base {
            tracing::info!(git.base = %fix.base, git.now = %workspace.base_commit(), "the base has moved since the fix");
            return self.tell(JobEvent::BaseMoved { epoch: self.epoch }).await;
        }
        crate::publish::restore(workspace, fix, &self.job, &self.engine.settings).await?;
        self.publish_fix(place, workspace).await
    }

    /// A job that was put off has used fewer tries than it may. One that has used more has broken its workers down:
    /// their leases ran out without a word, and so would the next one's.
    fn refuse_poison(&self) -> Result<(), Stop> {
        let (attempts, most) = (self.job.attempts, self.engine.settings.max_attempts);
        if attempts <= most.max(1) {
            return Ok(());
        }
        let reason =
            format!("the job was taken up {} times, and each time its worker broke down or was killed", attempts - 1);
        let remedy = "Look at the server's log for this job id before you retry it.";
        Err(StageError::new(reason, remedy, Fault::Broken).into())
    }

    /// Any event that only says "still here"; the first one also writes the task.
    fn renewal(&self) -> JobEvent {
        let now = self.engine.ports.clock.now();
        let until = now.saturating_add(signed(self.engine.settings.lease)).unwrap_or(now);
        JobEvent::LeaseRenewed { epoch: self.epoch, until }
    }

    async fn tell(&mut self, event: JobEvent) -> Result<(), Stop> {
        self.job = self.engine.change_job(self.job.id, event).await?;
        Ok(())
    }

    /// Asks the forge whether this may be done, and where.
    async fn prepare(&mut self) -> Result<Place, Stop> {
        self.progress.doing("looking at the repository");
        let platform = &self.job.source.platform;
        let forge = self.engine.ports.forges.get(platform).cloned().ok_or_else(|| {
            let remedy = "Configure the platform's token and addresses, then retry the job.";
            StageError::new(format!("this server is not connected to {platform}"), remedy, Fault::Denied)
        })?;
        let repo = &self.job.source.repo;
        self.check_permission(forge.as_ref()).await?;
        let repository = forge.repository(repo).await.map_err(StageError::from)?;
        if repository.archived && self.job.publish != PublishMode::Patch {
            let remedy = "Unarchive it, or ask in its successor.";
            let error = StageError::new(format!("the repository {repo} is archived"), remedy, Fault::Denied);
            return Err(error.into());
        }
        let known = self.job.base_branch.clone();
        // A job that was started by hand names its base; every other one aims at the forge's default branch.
        if self.job.trigger.kind != TriggerKind::Manual && repository.default_branch != known {
            let branch = repository.default_branch.clone();
            self.tell(JobEvent::BaseBranchKnown { epoch: self.epoch, branch }).await?;
        }
        Ok(Place { forge, clone_url: repository.clone_url })
    }

    async fn check_permission(&self, forge: &dyn patchwright_core::forge::Forge) -> Result<(), Stop> {
        let settings = &self.engine.settings;
        let trigger = &self.job.trigger;
        let open = settings.permission == TriggerPermission::Anyone || settings.allow.names_user(&trigger.actor);
        // A start by hand was allowed where the hand is.
        if open || trigger.kind.is_ours() {
            return Ok(());
        }
        let permission = forge.permission(&self.job.source.repo, &trigger.actor).await.map_err(StageError::from)?;
        if permission >= Permission::Write {
            return Ok(());
        }
        let reason =
            format!("{} may not start jobs here: that takes write access to {}", trigger.actor, self.job.source.repo);
        let remedy = "Ask somebody with write access to start it.";
        Err(StageError::new(reason, remedy, Fault::Denied).into())
    }

    async fn open_workspace(&mut self, place: &Place, folder: &Path) -> Result<Box<dyn Workspace>, Stop> {
        self.progress.doing(format!("cloning {}", self.job.source.repo));
        let credential = place.forge.git_credential(&self.job.source.repo).await.map_err(StageError::from)?;
        let start = self.job.follows.as_ref().and_then(|follows| follows.base.clone());
        let redo = self.job.published.pushed.clone().zip(start.clone());
        let mut checkout = Checkout {
            url: place.clone_url.clone(),
            base: Some(if start.is_some() { self.job.branch.clone() } else { self.job.base_branch.clone() }),
            branch: self.job.branch.clone(),
            redo: redo.map(|(tip, start)| Redo { tip, start }).filter(|redo| redo.tip != redo.start),
            credential,
            destination: folder.join("repo"),
        };
        let git = &self.engine.ports.git;
        let workspace = match git.checkout(checkout.clone(), &self.cancel).await {
            // Somebody removed the branch. Nothing is left to build on, so the work begins anew.
            Err(GitError::BranchNotFound { .. }) if start.is_some() => {
                remove_folder(checkout.destination.clone()).await;
                checkout.base = Some(self.job.base_branch.clone());
                let inheritance = Inheritance::default();
                self.tell(JobEvent::BranchInherited { epoch: self.epoch, inheritance }).await?;
                git.checkout(checkout, &self.cancel).await
            }
            other => other,
        };
        let workspace = workspace.map_err(StageError::from)?;
        tracing::info!(git.base = %workspace.base_commit(), "the repository is checked out");
        if self
            .job
            .follows
            .as_ref()
            .and_then(|follows| follows.base.as_ref())
            .is_some_and(|at| at != workspace.base_commit())
        {
            tracing::info!("people have pushed to the branch; the work goes on from there");
            let commit = workspace.base_commit().clone();
            self.tell(JobEvent::BranchMoved { epoch: self.epoch, commit }).await?;
        }
        Ok(workspace)
    }

    async fn stage(
        &mut self,
        kind: StageKind,
        issue: &Issue,
        workspace: &dyn Workspace,
        folder: &Path,
    ) -> Result<(), Stop> {
        tracing::Span::current().record("stage", kind.as_str());
        self.tell(JobEvent::StageStarted { epoch: self.epoch, stage: kind }).await?;
        self.progress.send(ProgressEvent::Stage { stage: kind, status: StageStatus::Running });
        let context = StageContext {
            job: &self.job,
            issue,
            workspace,
            scratch: folder,
            asker: self.asker.as_ref(),
            ports: &self.engine.ports,
            settings: &self.engine.settings,
            cancel: &self.cancel,
            progress: &self.progress,
        };
        let result = run_stage(kind, &context).await;
        let usage = self.take_usage().await;
        let epoch = self.epoch;
        let (event, status) = match result {
            Ok(Outcome::Done { report, comment }) => {
                let comment = self.engine.ports.redactor.redact(&comment);
                (JobEvent::StageSucceeded { epoch, report: *report, comment, usage }, StageStatus::Succeeded)
            }
            Ok(Outcome::Skipped { reason }) => {
                (JobEvent::StageSkipped { epoch, stage: kind, reason }, StageStatus::Skipped)
            }
            Ok(Outcome::SendBack { feedback }) => {
                tracing::info!("verify sends the fix back");
                (JobEvent::SentBack { epoch, feedback, usage }, StageStatus::Pending)
            }
            Err(mut error) => {
                error.stage = Some(kind);
                self.progress.send(ProgressEvent::Stage { stage: kind, status: StageStatus::Failed });
                self.unbooked = usage;
                return Err(Stop::Failed(error));
            }
        };
        self.tell(event).await?;
        self.progress.send(ProgressEvent::Stage { stage: kind, status });
        tracing::info!(stage.status = status.as_str(), "the stage ended");
        Ok(())
    }

    async fn take_usage(&self) -> Usage {
        match &self.asker {
            Some(asker) => asker.take_stage_usage().await,
            None => Usage::default(),
        }
    }

    /// Brings the branch to the forge once the fix is checkpointed, so that a crash in between repeats only the push.
    async fn publish_fix(&mut self, place: &Place, workspace: &dyn Workspace) -> Result<(), Stop> {
        let Some(commit) = self.job.fixed().map(|fix| fix.commit.clone()) else { return Ok(()) };
        self.push(place, workspace, commit).await
    }

    async fn push(
        &mut self,
        place: &Place,
        workspace: &dyn Workspace,
        commit: patchwright_domain::CommitSha,
    ) -> Result<(), Stop> {
        let pushed = self.job.published.pushed.clone();
        if self.job.publish == PublishMode::Patch || pushed.as_ref() == Some(&commit) {
            return Ok(());
        }
        self.progress.doing(format!("pushing {}", self.job.branch));
        let credential = place.forge.git_credential(&self.job.source.repo).await.map_err(StageError::from)?;
        workspace.push(&commit, pushed.as_ref(), credential.as_ref()).await.map_err(|error| {
            let mut error = StageError::from(error);
            error.stage = self.job.next_stage().map(|_| StageKind::Fix);
            error
        })?;
        tracing::info!(git.branch = %self.job.branch, git.commit = %commit, "the branch is pushed");
        self.tell(JobEvent::BranchPushed { epoch: self.epoch, commit }).await
    }

    /// What may be said of the finished job; an analysis leaves its report files.
    async fn conclude(&mut self, place: &Place, workspace: &dyn Workspace) -> Result<Verdict, Stop> {
        let verdict = self.job.verified().map_or(Verdict::AnalysisOnly, |report| report.verdict);
        let files = crate::publish::report_files(&self.job, verdict, &self.engine.settings);
        if !files.is_empty() && self.job.publish != PublishMode::Patch {
            let commit = crate::publish::commit_reports(workspace, &self.job, &files, &self.engine.settings).await?;
            self.push(place, workspace, commit).await?;
        }
        Ok(verdict)
    }

    /// Writes how it ended.
    async fn end(mut self, stop: Result<Verdict, Stop>) {
        let (id, epoch) = (self.job.id, self.epoch);
        let now = self.engine.ports.clock.now();
        let (event, task_event, message) = match stop {
            Ok(verdict) if verdict.is_harmful() => {
                let failure = harmful(&self.job, verdict);
                let message = failure.reason.clone();
                (JobEvent::Failed { epoch, failure, usage: Usage::default() }, TaskEvent::Failed, Some(message))
            }
            Ok(verdict) => {
                tracing::info!(job.verdict = verdict.as_str(), "the job is complete");
                self.task.result_branch = self.job.published.pushed.as_ref().map(|_| self.job.branch.clone());
                (JobEvent::Completed { epoch, verdict }, TaskEvent::Succeeded, None)
            }
            Err(Stop::Failed(error)) => self.failed(error, now),
            Err(Stop::HandBack) => {
                tracing::info!("the job is handed back");
                (JobEvent::HandedBack { epoch }, TaskEvent::Failed, Some("the server stopped".to_owned()))
            }
            Err(Stop::Gone) => {
                tracing::info!("the job was taken from this worker");
                return self.close_task("the job was cancelled, or another worker has it").await;
            }
            Err(Stop::Store(error)) => {
                tracing::error!(error = %words(&error), "the store failed; the job goes on when its lease has run out");
                return;
            }
        };
        let mut task = self.task.clone();
        task.error_message = message.map(|text| self.engine.ports.redactor.redact(&text));
        let task = task.advance(task_event, now).ok();
        match self.engine.change_job_with(id, event, task, None).await {
            Ok(_) => {}
            // A person cancelled it in this very moment.
            Err(ChangeError::Refused(refused)) => self.close_task(&refused.to_string()).await,
            Err(error) => tracing::error!(error = %words(&error), "the job's end could not be written"),
        }
    }

    /// Ends the task of a job that is not this worker's any more.
    async fn close_task(&self, message: &str) {
        let mut task = self.task.clone();
        task.error_message = Some(message.to_owned());
        let Ok(task) = task.advance(TaskEvent::NodeLost, self.engine.ports.clock.now()) else { return };
        let step = Step { task: Some(task), ..Step::default() };
        if let Err(error) = self.engine.ports.store.commit(step).await {
            tracing::warn!(error = %words(&error), "the task's end could not be written");
        }
    }

    fn failed(&self, error: StageError, now: jiff::Timestamp) -> (JobEvent, TaskEvent, Option<String>) {
        let epoch = self.epoch;
        let settings = &self.engine.settings;
        let redact = |text: &str| self.engine.ports.redactor.redact(text);
        // Who asks for patience may have it, but not for ever.
        let age = now.duration_since(self.job.created_at);
        let asked = matches!(error.fault, Fault::Retry { after: Some(_) }) && age < PATIENCE;
        if let Fault::Retry { after } = error.fault
            && (self.job.attempts < settings.max_attempts || asked)
        {
            let wait = backoff(settings.first_backoff, self.job.attempts, after, self.job.id.as_uuid().as_bytes()[15]);
            let until = now.saturating_add(signed(wait)).unwrap_or(now);
            tracing::warn!(reason = %redact(&error.reason), job.retry_at = %until, "the job is put off");
            return (
                JobEvent::Postponed { epoch, until, spent: error.stage.map(|stage| (stage, self.unbooked)), asked },
                TaskEvent::Failed,
                Some(error.reason),
            );
        }
        let mut failure = error.failure();
        failure.reason = redact(&failure.reason);
        tracing::warn!(reason = %failure.reason, remedy = %failure.remedy, "the job failed");
        let message = failure.reason.clone();
        (JobEvent::Failed { epoch, failure, usage: self.unbooked }, TaskEvent::Failed, Some(message))
    }
}

fn harmful(job: &Job, verdict: Verdict) -> Failure {
    let explanation = job.verified().map_or_else(|| verdict.as_str().to_owned(), |report| report.explanation.clone());
    Failure {
        stage: None,
        reason: format!("the change did not stand the tests: {explanation}"),
        remedy: "Look at the draft and the failing tests; retry the job, or say more in a comment.".to_owned(),
    }
}

/// Removes what the job left on the disk. Failing that is worth a line in the log and nothing more.
async fn remove_folder(folder: PathBuf) {
    let shown = folder.display().to_string();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    match removed {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, folder = shown, "the job's folder could not be removed");
        }
        _ => {}
    }
}

impl Engine {
    /// The status of a job, for callers that wait for its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.ports.store.job(id).await?.map(|found| found.value))
    }
}
