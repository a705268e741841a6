//! The local task session: every call is checked against the job in the store.

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::access::RepositoryKey;
use patchwright_core::conversation::Conversation;
use patchwright_core::fault::Fault;
use patchwright_core::forge::{Forge, GitCredential, Permission, Repository};
use patchwright_core::ledger::BudgetAccount;
use patchwright_core::llm::Message;
use patchwright_core::meter::MeterEvent;
use patchwright_core::model_calls::{MAX_TRANSCRIPT_CHARS, ModelCall, Transcript};
use patchwright_core::store::{JobWrite, Step};
use patchwright_core::task_session::{Assignment, Refusal, TaskOutcome, TaskPolicy, TaskSession, TaskSessionError};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{Failure, FailureOrigin, JobState, PublishMode, TriggerKind};
use patchwright_domain::{
    BranchName, Job, JobEvent, Refused, RepositorySettings, Task, TaskEvent, TaskStatus, Usage, WorkerEvent,
};

use crate::Engine;
use crate::backoff::{backoff, signed};
use crate::change::ChangeError;
use crate::engine::PushTo;
use patchwright_core::outgoing_text::shorten;

/// How long a job may be postponed, without counting an attempt, because a forge or the model requests it.
const MAX_POSTPONEMENT: SignedDuration = SignedDuration::from_hours(24);

/// The longest stored name of a model, in bytes.
const MAX_MODEL: usize = 200;

/// The session of one task, in this process.
#[derive(Debug)]
pub struct LocalTaskSession<'a> {
    engine: &'a Engine,
    task: Task,
}

impl Engine {
    /// Returns the session of a task. The caller has authenticated as the task's worker; whether it still holds the
    /// lease is checked with every call.
    pub const fn task_session(&self, task: Task) -> LocalTaskSession<'_> {
        LocalTaskSession { engine: self, task }
    }
}

impl From<ChangeError> for TaskSessionError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::Refused(Refused::Stale { .. }) | ChangeError::NotFound(_) => Self::LeaseLost,
            // The worker holds the lease but reports an event that the job's state does not allow.
            ChangeError::Refused(refused) => Self::Refused(
                Refusal::new(
                    format!("the report does not fit the job: {refused}"),
                    "Retry the job; report a bug if it happens again.",
                    Fault::Internal,
                )
                .of(FailureOrigin::Internal),
            ),
        }
    }
}

impl LocalTaskSession<'_> {
    /// Returns the epoch of the lease that this task holds.
    const fn epoch(&self) -> u64 {
        self.task.attempt as u64
    }

    /// Returns the job if this task still holds its lease.
    async fn held(&self) -> Result<Job, TaskSessionError> {
        let job = self.engine.job(self.task.job_id).await?.ok_or(TaskSessionError::LeaseLost)?;
        if self.holds(&job) {
            return Ok(job);
        }
        self.engine.ports.meter.count(&MeterEvent::LeaseLost);
        Err(TaskSessionError::LeaseLost)
    }

    /// Returns whether this task holds the lease of the job.
    fn holds(&self, job: &Job) -> bool {
        let is_holder = matches!(&job.state, JobState::Running { lease } if lease.task_id == self.task.id);
        is_holder && job.epoch == self.epoch()
    }

    /// Writes the task as started, unless its lease was lost meanwhile.
    async fn write_started(&self, task: Task) -> Result<Job, TaskSessionError> {
        self.engine
            .write(async || {
                let known = self.engine.ports.store.job(self.task.job_id).await?;
                let known = known.filter(|job| self.holds(&job.value)).ok_or(TaskSessionError::LeaseLost)?;
                // The job is written unchanged, so that this write conflicts with a concurrent cancellation: either the
                // cancellation finds this task, or this write finds the new revision.
                let job = Some(JobWrite::update(&known, known.value.clone()));
                Ok((Step { job, task: Some(task.clone()), ..Step::default() }, known.value))
            })
            .await
    }

    async fn change(&self, event: JobEvent) -> Result<Job, TaskSessionError> {
        match self.engine.change_job(self.task.job_id, event).await {
            Ok(job) => Ok(job),
            Err(error) => Err(self.session_error(error).await),
        }
    }

    /// Distinguishes a late report (a user cancelled the job in the meantime) from an invalid one.
    async fn session_error(&self, error: ChangeError) -> TaskSessionError {
        match (&error, self.held().await) {
            (ChangeError::Refused(_), Err(lost)) => lost,
            _ => error.into(),
        }
    }

    /// Applies a report under its sequence number within this task: a report whose response was lost may be repeated.
    ///
    /// # Errors
    /// As [`TaskSession::report`].
    pub async fn report_once(&self, number: u64, event: WorkerEvent) -> Result<Job, TaskSessionError> {
        match self.engine.change_job_once(&self.task, number, self.progress(event)).await {
            Ok(job) => Ok(job),
            Err(error) => Err(self.session_error(error).await),
        }
    }

    /// Returns the event of the job for a worker's report, with secrets masked.
    fn progress(&self, event: WorkerEvent) -> JobEvent {
        let event = match event {
            WorkerEvent::StageSucceeded { report, comment, usage } => {
                let redactor = self.engine.ports.tools.redactor();
                let (report, comment) = (redactor.redact_report(report), redactor.redact(&comment));
                WorkerEvent::StageSucceeded { report, comment, usage }
            }
            WorkerEvent::StageSkipped { stage, reason } => {
                WorkerEvent::StageSkipped { stage, reason: self.engine.ports.tools.redactor().redact(&reason) }
            }
            WorkerEvent::SentBack { feedback, usage, report } => {
                let redactor = self.engine.ports.tools.redactor();
                let report = report.map(|report| Box::new(redactor.redact_verification(*report)));
                WorkerEvent::SentBack { feedback: redactor.redact(&feedback), usage, report }
            }
            other => other,
        };
        JobEvent::progress(self.epoch(), event)
    }

    /// Checks the permission at the forge, and finds out the repository's base branch and its addresses: of the repository, and of
    /// the fork that branches are pushed to.
    async fn prepare(&self, job: Job) -> Result<(Job, String, Option<String>), TaskSessionError> {
        let repository = self.authorize(&job).await?;
        let mut job = self.inherit(job).await?;
        // A job that was started by hand names its base branch, and one with a pull request has that of the pull request;
        // every other one uses the forge's default branch.
        let is_named = job.trigger.kind == TriggerKind::Manual || job.published.pull_request.is_some();
        if !is_named && repository.default_branch != job.base_branch {
            let branch = repository.default_branch.clone();
            job = self.change(JobEvent::BaseBranchKnown { epoch: self.epoch(), branch }).await?;
        }
        let fork = self.fork_of(&job, &repository).await?;
        if let Some(fork) = &fork
            && job.published.fork.is_none()
        {
            let chosen = JobEvent::ForkChosen { epoch: self.epoch(), fork: fork.name.clone() };
            job = self.change(chosen).await?;
        }
        Ok((job, repository.clone_url, fork.map(|fork| fork.clone_url)))
    }

    /// Returns the repository that a node of somebody else clones and pushes to: the fork, if there is or will be one. The job has not
    /// started, so that what it takes over from the one before it is looked up here.
    pub(crate) async fn clone_repository(
        &self,
        job: &Job,
        repository: Repository,
    ) -> Result<Repository, TaskSessionError> {
        let mut job = job.clone();
        if let Some(before) = self.engine.continued_job(&job).await?.filter(|_| job.awaits_inheritance()) {
            let inheritance = before.inheritance();
            (job.published.pushed, job.published.fork) = (inheritance.pushed, inheritance.fork);
            job.base_branch = inheritance.base_branch.unwrap_or(job.base_branch);
        } else if job.trigger.kind != TriggerKind::Manual && job.published.pull_request.is_none() {
            job.base_branch = repository.default_branch.clone();
        }
        Ok(self.fork_of(&job, &repository).await?.unwrap_or(repository))
    }

    /// Returns the fork that holds the job's branch, or will: a branch stays where it was pushed, whatever the setting says later.
    pub(crate) async fn fork_of(
        &self,
        job: &Job,
        repository: &Repository,
    ) -> Result<Option<Repository>, TaskSessionError> {
        let published = &job.published;
        let is_wanted = self.engine.settings().push_to == PushTo::Fork && published.pushed.is_none();
        if job.publish == PublishMode::Patch || !(is_wanted || published.fork.is_some()) {
            return Ok(None);
        }
        let fork = self.forge(job)?.ensure_fork(&job.source.repo, &job.base_branch).await.map_err(Refusal::from)?;
        Ok(Some(fork).filter(|fork| fork.name != repository.name))
    }

    /// Checks that the job may run: its actor's permission, the state of the repository, and the number of attempts.
    /// Returns the repository. This is asked before a job is given to any node, which may not know the protocol of our own
    /// worker, and again when the worker starts.
    pub(crate) async fn authorize(&self, job: &Job) -> Result<Repository, TaskSessionError> {
        self.refuse_poison(job)?;
        let forge = self.forge(job)?;
        let repo = &job.source.repo;
        self.check_permission(forge, job).await?;
        let repository = forge.repository(repo).await.map_err(Refusal::from)?;
        if repository.archived && job.publish != PublishMode::Patch {
            let remedy = "Unarchive the repository, or start the job in its successor.";
            let error = Refusal::new(format!("the repository {repo} is archived"), remedy, Fault::Denied);
            return Err(error.into());
        }
        Ok(repository)
    }

    fn forge(&self, job: &Job) -> Result<&dyn Forge, TaskSessionError> {
        let platform = &job.source.platform;
        self.engine.ports.forges.get(platform).map(AsRef::as_ref).ok_or_else(|| {
            let remedy = "Configure the platform's token and addresses, then retry the job.";
            Refusal::new(format!("this server is not connected to {platform}"), remedy, Fault::Denied).into()
        })
    }

    async fn check_permission(&self, forge: &dyn Forge, job: &Job) -> Result<(), TaskSessionError> {
        let trigger = &job.trigger;
        let open = self.engine.is_open_to(&trigger.actor);
        // Manual starts were authorized when they were made. Requesters in a tracker are users of this server,
        // authorized there; the forge does not know them.
        if open || trigger.kind.is_ours() || job.source.tracker.is_some() {
            return Ok(());
        }
        let permission = forge.permission(&job.source.repo, &trigger.actor).await.map_err(Refusal::from)?;
        if permission >= Permission::Write {
            return Ok(());
        }
        let reason =
            format!("{} may not start jobs here: this requires write access to {}", trigger.actor, job.source.repo);
        Err(Refusal::new(reason, "Ask a user with write access to start it.", Fault::Denied).into())
    }

    /// Returns the requester as the co-author of commits. A requester who is not on the forge has no e-mail address
    /// there.
    async fn co_author(&self, job: &Job) -> Result<Option<String>, TaskSessionError> {
        let login = &job.trigger.actor;
        let plain = login.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>'));
        if job.trigger.kind.is_ours() || job.source.tracker.is_some() || !plain {
            return Ok(None);
        }
        // A transient failure is an error here too: without this line, a repeated commit would have another hash.
        let address = self.forge(job)?.commit_address(&job.source.repo, login).await.map_err(Refusal::from)?;
        Ok(address.map(|address| format!("{login} <{address}>")))
    }

    /// A follow-up continues the branch of the latest job before it that had one.
    async fn inherit(&self, own: Job) -> Result<Job, TaskSessionError> {
        if !own.awaits_inheritance() {
            return Ok(own);
        }
        let before = self.engine.continued_job(&own).await?;
        let inheritance = before.map(|job| job.inheritance()).unwrap_or_default();
        self.change(JobEvent::progress(self.epoch(), WorkerEvent::BranchInherited { inheritance })).await
    }

    /// A postponed job has attempts left. A job without any has crashed its workers: their leases expired without a
    /// report, and the next one's would too.
    fn refuse_poison(&self, job: &Job) -> Result<(), TaskSessionError> {
        let (attempts, most) = (job.attempts, self.engine.settings().max_attempts);
        if attempts <= most.max(1) {
            return Ok(());
        }
        let reason =
            format!("the job was tried {} times, and each time its worker crashed or was killed", attempts - 1);
        let remedy = "Look at the server's log for this job id before you retry it.";
        Err(Refusal::new(reason, remedy, Fault::Internal).of(FailureOrigin::Internal).into())
    }

    /// Decides about the job of a failed task: it is postponed if a retry may succeed, otherwise it fails.
    fn failed(&self, job: &Job, refusal: Refusal, stage: Option<StageKind>, usage: Usage, now: Timestamp) -> JobEvent {
        let epoch = self.epoch();
        let settings = self.engine.settings();
        let reason = self.engine.ports.tools.redactor().redact(&refusal.reason);
        // A requested wait is honored, but not forever.
        let age = now.duration_since(job.created_at);
        let asked = matches!(refusal.fault, Fault::Retry { after: Some(_) }) && age < MAX_POSTPONEMENT;
        if let Fault::Retry { after } = refusal.fault
            && (job.attempts < settings.max_attempts || asked)
        {
            let wait = backoff(settings.first_backoff, job.attempts, after, job.id.as_uuid().as_bytes()[15]);
            let until = now.saturating_add(signed(wait)).unwrap_or(now);
            tracing::warn!(%reason, job.retry_at = %until, "retrying the job later");
            return JobEvent::Postponed { epoch, until, spent: stage.map(|stage| (stage, usage)), asked };
        }
        let origin = refusal.origin;
        tracing::warn!(%reason, remedy = %refusal.remedy, failure.class = origin.class().as_str(), failure.origin = origin.as_str(), "the job failed");
        JobEvent::Failed {
            epoch,
            failure: Failure { stage, reason, remedy: refusal.remedy, origin: refusal.origin },
            usage,
        }
    }

    /// Returns the event of the job, the event of the task, and the text of the error.
    fn ending(&self, job: &Job, end: TaskOutcome, now: Timestamp) -> (JobEvent, TaskEvent, Option<String>) {
        let epoch = self.epoch();
        match end {
            TaskOutcome::Completed { verdict } if verdict.is_harmful() => {
                let failure = harmful(job, verdict);
                let message = failure.reason.clone();
                (JobEvent::Failed { epoch, failure, usage: Usage::default() }, TaskEvent::Failed, Some(message))
            }
            TaskOutcome::Completed { verdict } => {
                tracing::info!(job.verdict = verdict.as_str(), "the job is complete");
                (JobEvent::Completed { epoch, verdict }, TaskEvent::Succeeded, None)
            }
            TaskOutcome::Released => {
                tracing::info!("released the job to the queue");
                (JobEvent::Released { epoch }, TaskEvent::Failed, Some("the server stopped".to_owned()))
            }
            TaskOutcome::Paused => {
                tracing::info!("the job waits for approval of its plan");
                (JobEvent::Released { epoch }, TaskEvent::Succeeded, None)
            }
            TaskOutcome::Failed { refusal, stage, usage } => {
                let message = refusal.reason.clone();
                (self.failed(job, refusal, stage, usage, now), TaskEvent::Failed, Some(message))
            }
        }
    }
}

impl LocalTaskSession<'_> {
    /// Writes the outcome of the task and the resulting transition of its job.
    ///
    /// # Errors
    /// [`TaskSessionError::LeaseLost`] when the task has lost the lease of the job, [`TaskSessionError::Unavailable`].
    pub async fn end(&self, end: TaskOutcome) -> Result<(), TaskSessionError> {
        self.end_with_branch(end, None).await
    }

    /// Ends the task of a third-party node whose branch one of our own is going to test.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub(crate) async fn hand_over(&self, branch: BranchName) -> Result<(), TaskSessionError> {
        let job = self.held().await?;
        let now = self.engine.ports.clock.now();
        let open = self.engine.ports.store.open_tasks(job.id).await?;
        let mut task = open.into_iter().find(|task| task.id == self.task.id).ok_or(TaskSessionError::LeaseLost)?;
        task.result_branch = Some(branch);
        let task = task.advance(TaskEvent::Succeeded, now).ok();
        let event = JobEvent::VerificationRequested { epoch: self.epoch() };
        if let Err(error) = self.engine.change_job_with(job.id, event, task, None, None).await {
            return Err(self.session_error(error).await);
        }
        if let Ok(node) = self.task.node.parse() {
            self.engine.ports.nodes.record_success(node, &job.source.repo.to_string(), now).await?;
        }
        tracing::info!(job_id = %job.id, "the branch of the node is going to be tested");
        Ok(())
    }

    /// Does the same for a node that pushed a branch of its own naming, which the task shows.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub(crate) async fn end_with_branch(
        &self,
        end: TaskOutcome,
        reported: Option<BranchName>,
    ) -> Result<(), TaskSessionError> {
        let job = self.held().await?;
        let now = self.engine.ports.clock.now();
        let branch = match &end {
            TaskOutcome::Completed { verdict } if !verdict.is_harmful() => {
                job.published.pushed.as_ref().map(|_| reported.unwrap_or_else(|| job.branch.clone()))
            }
            _ => None,
        };
        let (event, task_event, message) = self.ending(&job, end, now);
        let has_ended = matches!(event, JobEvent::Completed { .. } | JobEvent::Failed { .. });
        let open = self.engine.ports.store.open_tasks(job.id).await?;
        let mut task = open.into_iter().find(|task| task.id == self.task.id).ok_or(TaskSessionError::LeaseLost)?;
        task.result_branch = branch;
        task.error_message = message.map(|text| self.engine.ports.tools.redactor().redact(&text));
        let task = task.advance(task_event, now).ok();
        let done = task.as_ref().is_some_and(|task| task.status == TaskStatus::Success);
        if let Err(error) = self.engine.change_job_with(job.id, event, task, None, None).await {
            return Err(self.session_error(error).await);
        }
        if has_ended {
            // What is left of it after a crash here goes with the job.
            self.engine.ports.calls.delete_conversation(job.id).await?;
        }
        if let (true, Ok(node)) = (done, self.task.node.parse()) {
            self.engine.ports.nodes.record_success(node, &job.source.repo.to_string(), now).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl TaskSession for LocalTaskSession<'_> {
    async fn start(&self, model: &str) -> Result<Assignment, TaskSessionError> {
        self.held().await?;
        let now = self.engine.ports.clock.now();
        let task = Task { model: model.chars().take(MAX_MODEL).collect(), ..self.task.clone() };
        let task = match task.status {
            TaskStatus::Pending => task.advance(TaskEvent::Started, now).map_err(|_| TaskSessionError::LeaseLost)?,
            _ => task,
        };
        self.renew_lease().await?;
        let job = self.write_started(task).await?;
        let issue = self.engine.ports.store.issue(job.issue_id).await?.ok_or(TaskSessionError::LeaseLost)?.value;
        let (job, clone_url, push_url) = self.prepare(job).await?;
        let co_author = self.co_author(&job).await?;
        let key = RepositoryKey { platform: job.source.platform.clone(), name: job.source.repo.clone() };
        let RepositorySettings { test_command, sandbox: grants, .. } =
            self.engine.ports.policies.settings_of(&key).await?;
        let policy = TaskPolicy { co_author, test_command, grants, ..self.engine.settings().task_policy() };
        let conversation = self.engine.ports.calls.conversation(job.id).await?;
        Ok(Assignment { job, issue, clone_url, push_url, policy, conversation })
    }

    async fn renew_lease(&self) -> Result<(), TaskSessionError> {
        let now = self.engine.ports.clock.now();
        let until = now.saturating_add(signed(self.engine.settings().lease)).unwrap_or(now);
        let renewed = self.engine.ports.store.renew_lease(self.task.job_id, self.epoch(), until).await?;
        if renewed { Ok(()) } else { Err(TaskSessionError::LeaseLost) }
    }

    async fn report(&self, event: WorkerEvent) -> Result<Job, TaskSessionError> {
        self.change(self.progress(event)).await
    }

    async fn credential(&self) -> Result<Option<GitCredential>, TaskSessionError> {
        let job = self.held().await?;
        let forge = self.forge(&job)?;
        Ok(forge.git_credential(&job.source.repo).await.map_err(Refusal::from)?)
    }

    async fn renew_credential(&self) -> Result<Option<GitCredential>, TaskSessionError> {
        let job = self.held().await?;
        let forge = self.forge(&job)?;
        Ok(forge.renew_git_credential(&job.source.repo).await.map_err(Refusal::from)?)
    }

    async fn reserve(&self, most: Usage) -> Result<Date, TaskSessionError> {
        let job = self.held().await?;
        let day = self.engine.ports.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let (account, budgets) = (account(&job, day), self.engine.settings().day_budgets);
        self.engine.ports.ledger.reserve(&account, most, budgets).await?.map(|()| day).map_err(|capped| {
            let remedy = "Retry the job tomorrow (UTC), or raise the day's budget that is named.";
            Refusal::out_of_budget(capped.to_string(), remedy).into()
        })
    }

    async fn settle(&self, day: Date, reserved: Usage, spent: Usage) -> Result<(), TaskSessionError> {
        // Also after the lease is lost: the cost has been incurred.
        let job = self.engine.job(self.task.job_id).await?.ok_or(TaskSessionError::LeaseLost)?;
        Ok(self.engine.ports.ledger.settle(&account(&job, day), reserved, spent).await?)
    }

    async fn record_call(&self, call: ModelCall, transcript: Transcript) -> Result<(), TaskSessionError> {
        let redactor = self.engine.ports.tools.redactor();
        let masked = |text: &str| shorten(&redactor.redact(text), MAX_TRANSCRIPT_CHARS);
        let question =
            transcript.question.iter().map(|part| Message { role: part.role, content: masked(&part.content) });
        let transcript = Transcript { question: question.collect(), answer: transcript.answer.as_deref().map(masked) };
        let call = ModelCall { error: call.error.as_deref().map(masked), ..call };
        #[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are longer than any call")]
        let seconds = call.millis as f64 / 1000.0;
        let (model, failed, usage) = (call.model.clone(), call.error.is_some(), call.usage);
        self.engine.ports.meter.count(&MeterEvent::ModelCalled { model, failed, usage, seconds });
        let now = self.engine.ports.clock.now();
        self.engine.ports.calls.add_call(self.task.job_id, self.task.id, &call, &transcript, now).await?;
        Ok(())
    }

    async fn save_conversation(&self, conversation: Conversation) -> Result<(), TaskSessionError> {
        let job = self.held().await?;
        let redactor = self.engine.ports.tools.redactor();
        let mut conversation = conversation;
        for message in &mut conversation.messages {
            message.content = redactor.redact(&message.content);
        }
        let now = self.engine.ports.clock.now();
        Ok(self.engine.ports.calls.save_conversation(job.id, &conversation, now).await?)
    }

    async fn append_log(&self, chunk: u64, text: String) -> Result<(), TaskSessionError> {
        let now = self.engine.ports.clock.now();
        let text = self.engine.ports.tools.redactor().redact(&text);
        self.engine.ports.logs.append_log(self.task.id, chunk, &text, now).await?;
        Ok(())
    }
}

/// Returns the budgets that a job's model calls count against.
fn account(job: &Job, day: Date) -> BudgetAccount {
    BudgetAccount { day, repository: format!("{}:{}", job.source.platform, job.source.repo) }
}

fn harmful(job: &Job, verdict: Verdict) -> Failure {
    let explanation = job.verified().map_or_else(|| verdict.as_str().to_owned(), |report| report.explanation.clone());
    Failure {
        stage: None,
        reason: format!("the tests fail with the change: {explanation}"),
        remedy: "Look at the draft and the failing tests; retry the job, or say more in a comment.".to_owned(),
        origin: FailureOrigin::Request,
    }
}
