//! The engine's own desk: every answer is checked against the job as it stands in the store.

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::desk::{Assignment, Desk, DeskError, Refusal, TaskEnd, Terms};
use patchwright_core::fault::Fault;
use patchwright_core::forge::{Forge, GitCredential, Permission};
use patchwright_core::ledger::Account;
use patchwright_core::llm::Message;
use patchwright_core::model_calls::{MAX_SAID, ModelCall, Said};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{Failure, JobState, PublishMode, TriggerKind};
use patchwright_domain::{Job, JobEvent, Task, TaskEvent, TaskStatus, Usage};

use crate::Engine;
use crate::change::ChangeError;
use crate::engine::TriggerPermission;
use crate::run::{StageError, backoff, signed};
use crate::text::shorten;

/// How long a job is put off without counting, because a forge or the model asks for it.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// The longest name of a model that is kept.
const MAX_MODEL: usize = 200;

/// The desk of one task, in this process.
#[derive(Debug)]
pub struct EngineDesk<'a> {
    engine: &'a Engine,
    task: Task,
}

impl Engine {
    /// The desk of a task. Whoever is let in here has shown that the task is theirs; whether they still hold it is
    /// checked with every call.
    pub const fn desk(&self, task: Task) -> EngineDesk<'_> {
        EngineDesk { engine: self, task }
    }
}

impl From<ChangeError> for DeskError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            // Whatever refuses a worker's event: the job is no longer this worker's.
            ChangeError::Refused(_) | ChangeError::Gone(_) => Self::Gone,
        }
    }
}

impl From<StageError> for DeskError {
    fn from(error: StageError) -> Self {
        Self::Refused(error.refusal())
    }
}

impl EngineDesk<'_> {
    /// The epoch of the job's lease that this task is.
    const fn epoch(&self) -> u64 {
        self.task.attempt as u64
    }

    /// The job, if this task still holds it.
    async fn held(&self) -> Result<Job, DeskError> {
        let job = self.engine.job(self.task.job_id).await?.ok_or(DeskError::Gone)?;
        let holds = matches!(&job.state, JobState::Running { lease } if lease.task_id == self.task.id);
        if holds && job.epoch == self.epoch() { Ok(job) } else { Err(DeskError::Gone) }
    }

    fn renewal(&self) -> JobEvent {
        let now = self.engine.ports.clock.now();
        let until = now.saturating_add(signed(self.engine.settings.lease)).unwrap_or(now);
        JobEvent::LeaseRenewed { epoch: self.epoch(), until }
    }

    async fn change(&self, event: JobEvent) -> Result<Job, DeskError> {
        Ok(self.engine.change_job(self.task.job_id, event).await?)
    }

    /// Takes an event with its number among those of this task: one whose answer was lost may be told again.
    ///
    /// # Errors
    /// As [`Desk::tell`].
    pub async fn hear(&self, number: u64, event: JobEvent) -> Result<Job, DeskError> {
        let event = self.of_work(event)?;
        Ok(self.engine.change_job_once(&self.task, number, event).await?)
    }

    /// An event that this worker may tell, as it may be kept.
    fn of_work(&self, event: JobEvent) -> Result<JobEvent, DeskError> {
        if !event.is_of_work() || event.epoch() != Some(self.epoch()) {
            return Err(DeskError::Gone);
        }
        Ok(match event {
            JobEvent::StageSucceeded { epoch, report, comment, usage } => {
                let comment = self.engine.ports.tools.redactor.redact(&comment);
                JobEvent::StageSucceeded { epoch, report, comment, usage }
            }
            other => other,
        })
    }

    /// Asks the forge whether this may be done, and where.
    async fn prepare(&self, job: Job) -> Result<(Job, String), DeskError> {
        let forge = self.forge(&job)?;
        let repo = &job.source.repo;
        self.check_permission(forge, &job).await?;
        let repository = forge.repository(repo).await.map_err(StageError::from)?;
        if repository.archived && job.publish != PublishMode::Patch {
            let remedy = "Unarchive it, or ask in its successor.";
            let error = StageError::new(format!("the repository {repo} is archived"), remedy, Fault::Denied);
            return Err(error.into());
        }
        // A job that was started by hand names its base; every other one aims at the forge's default branch.
        if job.trigger.kind != TriggerKind::Manual && repository.default_branch != job.base_branch {
            let branch = repository.default_branch.clone();
            let job = self.change(JobEvent::BaseBranchKnown { epoch: self.epoch(), branch }).await?;
            return Ok((job, repository.clone_url));
        }
        Ok((job, repository.clone_url))
    }

    fn forge(&self, job: &Job) -> Result<&dyn Forge, DeskError> {
        let platform = &job.source.platform;
        self.engine.ports.forges.get(platform).map(AsRef::as_ref).ok_or_else(|| {
            let remedy = "Configure the platform's token and addresses, then retry the job.";
            StageError::new(format!("this server is not connected to {platform}"), remedy, Fault::Denied).into()
        })
    }

    async fn check_permission(&self, forge: &dyn Forge, job: &Job) -> Result<(), DeskError> {
        let settings = &self.engine.settings;
        let trigger = &job.trigger;
        let open = settings.permission == TriggerPermission::Anyone || settings.allow.names_user(&trigger.actor);
        // A start by hand was allowed where the hand is. Who asks in a tracker is a person of this server, and was asked
        // for there; the forge does not know them.
        if open || trigger.kind.is_ours() || job.source.tracker.is_some() {
            return Ok(());
        }
        let permission = forge.permission(&job.source.repo, &trigger.actor).await.map_err(StageError::from)?;
        if permission >= Permission::Write {
            return Ok(());
        }
        let reason =
            format!("{} may not start jobs here: that takes write access to {}", trigger.actor, job.source.repo);
        Err(StageError::new(reason, "Ask somebody with write access to start it.", Fault::Denied).into())
    }

    /// Whoever asked, as commits name them. Who asked here and not on the forge has no address there.
    async fn co_author(&self, job: &Job) -> Result<Option<String>, DeskError> {
        let login = &job.trigger.actor;
        let plain = login.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>'));
        if job.trigger.kind.is_ours() || job.source.tracker.is_some() || !plain {
            return Ok(None);
        }
        // A failure for the moment is one here too: without the line a commit that is made again would be another one.
        let address = self.forge(job)?.commit_address(&job.source.repo, login).await.map_err(StageError::from)?;
        Ok(address.map(|address| format!("{login} <{address}>")))
    }

    /// A follow-up takes over the branch of the job before it that had one.
    async fn inherit(&self, own: Job) -> Result<Job, DeskError> {
        if !own.awaits_inheritance() {
            return Ok(own);
        }
        let mut before = None;
        let mut next = own.follows.as_ref().map(|follows| follows.job_id);
        while let Some(id) = next {
            let Some(job) = self.engine.job(id).await? else { break };
            next = job.follows.as_ref().filter(|_| job.awaits_inheritance()).map(|follows| follows.job_id);
            before = Some(job);
        }
        let inheritance = before.map(|job| job.inheritance()).unwrap_or_default();
        self.change(JobEvent::BranchInherited { epoch: self.epoch(), inheritance }).await
    }

    /// A job that was put off has used fewer tries than it may. One that has used more has broken its workers down:
    /// their leases ran out without a word, and so would the next one's.
    fn refuse_poison(&self, job: &Job) -> Result<(), DeskError> {
        let (attempts, most) = (job.attempts, self.engine.settings.max_attempts);
        if attempts <= most.max(1) {
            return Ok(());
        }
        let reason =
            format!("the job was taken up {} times, and each time its worker broke down or was killed", attempts - 1);
        let remedy = "Look at the server's log for this job id before you retry it.";
        Err(StageError::new(reason, remedy, Fault::Broken).into())
    }

    /// What becomes of the job when its task failed: it is put off when later may be better, else it has failed.
    fn failed(&self, job: &Job, refusal: Refusal, stage: Option<StageKind>, usage: Usage, now: Timestamp) -> JobEvent {
        let epoch = self.epoch();
        let settings = &self.engine.settings;
        let reason = self.engine.ports.tools.redactor.redact(&refusal.reason);
        // Who asks for patience may have it, but not for ever.
        let age = now.duration_since(job.created_at);
        let asked = matches!(refusal.fault, Fault::Retry { after: Some(_) }) && age < PATIENCE;
        if let Fault::Retry { after } = refusal.fault
            && (job.attempts < settings.max_attempts || asked)
        {
            let wait = backoff(settings.first_backoff, job.attempts, after, job.id.as_uuid().as_bytes()[15]);
            let until = now.saturating_add(signed(wait)).unwrap_or(now);
            tracing::warn!(%reason, job.retry_at = %until, "the job is put off");
            return JobEvent::Postponed { epoch, until, spent: stage.map(|stage| (stage, usage)), asked };
        }
        tracing::warn!(%reason, remedy = %refusal.remedy, "the job failed");
        JobEvent::Failed { epoch, failure: Failure { stage, reason, remedy: refusal.remedy }, usage }
    }

    /// The event of the job, that of the task, and what is said of a failed one.
    fn ending(&self, job: &Job, end: TaskEnd, now: Timestamp) -> (JobEvent, TaskEvent, Option<String>) {
        let epoch = self.epoch();
        match end {
            TaskEnd::Completed { verdict } if verdict.is_harmful() => {
                let failure = harmful(job, verdict);
                let message = failure.reason.clone();
                (JobEvent::Failed { epoch, failure, usage: Usage::default() }, TaskEvent::Failed, Some(message))
            }
            TaskEnd::Completed { verdict } => {
                tracing::info!(job.verdict = verdict.as_str(), "the job is complete");
                (JobEvent::Completed { epoch, verdict }, TaskEvent::Succeeded, None)
            }
            TaskEnd::HandedBack => {
                tracing::info!("the job is handed back");
                (JobEvent::HandedBack { epoch }, TaskEvent::Failed, Some("the server stopped".to_owned()))
            }
            TaskEnd::Paused => {
                tracing::info!("the job waits for somebody to approve its plan");
                (JobEvent::HandedBack { epoch }, TaskEvent::Succeeded, None)
            }
            TaskEnd::Failed { refusal, stage, usage } => {
                let message = refusal.reason.clone();
                (self.failed(job, refusal, stage, usage, now), TaskEvent::Failed, Some(message))
            }
        }
    }
}

impl EngineDesk<'_> {
    /// Writes how the task ended, with what becomes of its job.
    ///
    /// # Errors
    /// [`DeskError::Gone`] when the task does not hold the job any more, [`DeskError::Unavailable`].
    pub async fn end(&self, end: TaskEnd) -> Result<(), DeskError> {
        let job = self.held().await?;
        let now = self.engine.ports.clock.now();
        let branch = match &end {
            TaskEnd::Completed { verdict } if !verdict.is_harmful() => {
                job.published.pushed.as_ref().map(|_| job.branch.clone())
            }
            _ => None,
        };
        let (event, task_event, message) = self.ending(&job, end, now);
        let open = self.engine.ports.store.open_tasks(job.id).await?;
        let mut task = open.into_iter().find(|task| task.id == self.task.id).ok_or(DeskError::Gone)?;
        task.result_branch = branch;
        task.error_message = message.map(|text| self.engine.ports.tools.redactor.redact(&text));
        let task = task.advance(task_event, now).ok();
        let done = task.as_ref().is_some_and(|task| task.status == TaskStatus::Success);
        self.engine.change_job_with(job.id, event, task, None).await?;
        if let (true, Ok(node)) = (done, self.task.node.parse()) {
            self.engine.ports.nodes.note_success(node, &job.source.repo.to_string(), now).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Desk for EngineDesk<'_> {
    async fn begin(&self, model: &str) -> Result<Assignment, DeskError> {
        self.held().await?;
        let now = self.engine.ports.clock.now();
        let task = Task { model: model.chars().take(MAX_MODEL).collect(), ..self.task.clone() };
        let task = match task.status {
            TaskStatus::Pending => task.advance(TaskEvent::Started, now).map_err(|_| DeskError::Gone)?,
            _ => task,
        };
        let job = self.engine.change_job_with(self.task.job_id, self.renewal(), Some(task), None).await?;
        self.refuse_poison(&job)?;
        let issue = self.engine.ports.store.issue(job.issue_id).await?.ok_or(DeskError::Gone)?.value;
        let (job, clone_url) = self.prepare(job).await?;
        let job = self.inherit(job).await?;
        let co_author = self.co_author(&job).await?;
        Ok(Assignment { job, issue, clone_url, terms: Terms { co_author, ..self.engine.settings.terms() } })
    }

    async fn renew(&self) -> Result<(), DeskError> {
        self.change(self.renewal()).await.map(|_| ())
    }

    async fn tell(&self, event: JobEvent) -> Result<Job, DeskError> {
        self.change(self.of_work(event)?).await
    }

    async fn credential(&self) -> Result<Option<GitCredential>, DeskError> {
        let job = self.held().await?;
        let forge = self.forge(&job)?;
        Ok(forge.git_credential(&job.source.repo).await.map_err(StageError::from)?)
    }

    async fn reserve(&self, most: Usage) -> Result<Date, DeskError> {
        let job = self.held().await?;
        let day = self.engine.ports.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let (account, budgets) = (account(&job, day), self.engine.settings.day_budgets);
        self.engine.ports.ledger.reserve(&account, most, budgets).await?.map(|()| day).map_err(|capped| {
            let remedy = "Retry the job tomorrow (UTC), or raise the day's budget that is named.";
            StageError::out_of_budget(capped.to_string(), remedy).into()
        })
    }

    async fn settle(&self, day: Date, reserved: Usage, spent: Usage) -> Result<(), DeskError> {
        // Also for one who has lost the hold: what was spent was spent.
        let job = self.engine.job(self.task.job_id).await?.ok_or(DeskError::Gone)?;
        Ok(self.engine.ports.ledger.settle(&account(&job, day), reserved, spent).await?)
    }

    async fn note_call(&self, call: ModelCall, said: Said) -> Result<(), DeskError> {
        let redactor = &self.engine.ports.tools.redactor;
        let masked = |text: &str| shorten(&redactor.redact(text), MAX_SAID);
        let question = said.question.iter().map(|part| Message { role: part.role, content: masked(&part.content) });
        let said = Said { question: question.collect(), answer: said.answer.as_deref().map(masked) };
        let call = ModelCall { error: call.error.as_deref().map(masked), ..call };
        let now = self.engine.ports.clock.now();
        self.engine.ports.calls.add_call(self.task.job_id, self.task.id, &call, &said, now).await?;
        Ok(())
    }

    async fn log(&self, piece: u64, text: String) -> Result<(), DeskError> {
        let now = self.engine.ports.clock.now();
        let text = self.engine.ports.tools.redactor.redact(&text);
        self.engine.ports.logs.append_log(self.task.id, piece, &text, now).await?;
        Ok(())
    }
}

/// The books that a job's calls stand in.
fn account(job: &Job, day: Date) -> Account {
    Account { day, repository: format!("{}:{}", job.source.platform, job.source.repo) }
}

fn harmful(job: &Job, verdict: Verdict) -> Failure {
    let explanation = job.verified().map_or_else(|| verdict.as_str().to_owned(), |report| report.explanation.clone());
    Failure {
        stage: None,
        reason: format!("the change did not stand the tests: {explanation}"),
        remedy: "Look at the draft and the failing tests; retry the job, or say more in a comment.".to_owned(),
    }
}
