//! Actions of users: start, retry, approve, cancel, merge.

use patchwright_core::audit::AuditEntry;
use patchwright_core::forge::ForgeError;
use patchwright_core::store::{JobWrite, Step, StoreError, Versioned, Write};
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::job::{JobTrigger, Priority, PublishMode, PullRequestEnd, TriggerKind};
use patchwright_domain::node::{Needs, WorkCommand, choose};
use patchwright_domain::notification::NotificationEvent;
use patchwright_domain::trigger::language_of;
use patchwright_domain::{Effect, Issue, IssueEvent, IssueId, Job, JobEvent, JobId, JobStatus, Refused, Task};

use crate::Engine;
use crate::change::ChangeError;
use crate::start::{IssueSnapshot, StartRefused, StartRequest, inbound_of};

/// A request to start a job without a delivery.
#[derive(Debug, Clone)]
pub struct ManualStart {
    /// The issue, as its tracker returned it.
    pub issue: InboundIssue,
    /// The actor who starts it.
    pub actor: String,
    /// Additional instructions.
    pub instructions: Option<String>,
    /// Which result is published: a patch, a branch or a pull request.
    pub publish: PublishMode,
}

/// The error of a user's action.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state does not allow the action.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A job of the issue is running.
    #[error("the job {0} works on this issue already; wait for it or cancel it")]
    JobActive(JobId),
    /// The issue has a newer job.
    #[error("the job {0} of the same issue is newer; retry that one")]
    Superseded(JobId),
    /// No job of the issue is queued or running.
    #[error("no job of this issue waits or runs")]
    NothingRuns,
    /// The issue does not exist.
    #[error("there is no issue {0}")]
    NoSuchIssue(IssueId),
    /// The job does not exist.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// The issue has no open pull request.
    #[error("the issue has no open pull request")]
    NoPullRequest,
    /// The forge refused to merge the pull request.
    #[error("the forge did not merge it: {0}")]
    NotMerged(#[source] ForgeError),
    /// The forge refused to mark the pull request as ready for review.
    #[error("the forge did not mark it as ready: {0}")]
    NotReady(#[source] ForgeError),
    /// The store cannot be used now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StartRefused> for ControlError {
    fn from(refused: StartRefused) -> Self {
        match refused {
            StartRefused::Active(id) => Self::JobActive(id),
            StartRefused::Refused(refused) => Self::Refused(refused),
        }
    }
}

impl From<ChangeError> for ControlError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refused) => Self::Refused(refused),
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::NotFound(id) => Self::NoSuchJob(id),
        }
    }
}

/// A user of this server and the options of their request.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The user's login.
    pub actor: String,
    /// Additional instructions.
    pub instructions: Option<String>,
    /// The program that makes the change instead of the built-in stages.
    pub command: Option<WorkCommand>,
    /// The requirements on the node that runs it.
    pub needs: Needs,
    /// The priority in the queue.
    pub priority: Priority,
    /// Whether the plan needs approval before anything is changed, in addition to the server's setting.
    pub review_plan: bool,
}

impl Start {
    /// Returns the requirements on the node, including those of the command.
    fn all_needs(&self) -> Needs {
        let mut needs = self.needs.clone();
        needs.labels.extend(self.command.as_ref().map(WorkCommand::label));
        needs
    }
}

impl Engine {
    /// Returns whether a node or this process has capacity for the job now and no other job is ahead of it in the
    /// queue.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_room_for(&self, start: &Start) -> Result<bool, StoreError> {
        let needs = start.all_needs();
        let settings = self.settings();
        let here = self.running_here() < settings.slots && needs.are_met_by(None, &settings.labels);
        if here {
            return Ok(true);
        }
        let nodes = self.ports.nodes.nodes().await?;
        Ok(choose(&nodes, &needs, |_| None, self.ports.clock.now()).is_some())
    }

    /// Starts a job for a known issue and returns its first task. `audit` is written with it; its subject and detail are
    /// the issue and the job.
    ///
    /// # Errors
    /// As [`Self::start`], [`ControlError::NoSuchIssue`], and [`ControlError::NoPullRequest`] for a rebase of nothing.
    pub async fn start_issue(
        &self,
        id: IssueId,
        start: Start,
        audit: Option<AuditEntry>,
    ) -> Result<Task, ControlError> {
        self.write(async || {
            let issue = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?;
            let latest = self.ports.store.latest_job(id).await?;
            let inbound = inbound_of(&issue.value);
            let words = start.instructions.as_deref();
            let trigger = self.trigger_of_ours(TriggerKind::Started, &start.actor, words, &inbound);
            let rebases = start.command == Some(WorkCommand::Rebase);
            if rebases && !latest.as_ref().is_some_and(|job| job.value.has_open_branch()) {
                return Err(ControlError::NoPullRequest);
            }
            let request = StartRequest {
                review_plan: start.review_plan,
                more: rebases || words.is_some(),
                ..StartRequest::new(&inbound, trigger, PublishMode::PullRequest).by(
                    start.command.clone(),
                    start.all_needs(),
                    start.priority,
                )
            };
            let (step, job) = self.plan_start(request, IssueSnapshot { issue: Some(issue), latest })?;
            let task = Task::first(&job, "", self.ports.clock.now());
            // Additional instructions for a queued job do not create another task.
            let new = matches!(step.job, Some(JobWrite::Insert(_))).then(|| task.clone());
            let audit = audit.clone().map(|audit| AuditEntry {
                subject: job.issue_id.to_string(),
                detail: job.id.to_string(),
                ..audit
            });
            Ok((Step { task: new, audit, ..step }, task))
        })
        .await
    }

    /// Returns the trigger of a job that a user of this server starts. Its language is that of the instructions, or of the
    /// issue.
    fn trigger_of_ours(
        &self,
        kind: TriggerKind,
        actor: &str,
        instructions: Option<&str>,
        issue: &InboundIssue,
    ) -> JobTrigger {
        let instructions = instructions.filter(|text| !text.trim().is_empty());
        JobTrigger {
            language: instructions.map_or_else(|| issue.language(), language_of),
            kind,
            event_type: kind.as_str().to_owned(),
            actor: actor.to_owned(),
            instructions: instructions.map(str::to_owned),
            comment_id: None,
            at: self.ports.clock.now(),
        }
    }

    /// Cancels every job of an issue that is queued or running.
    ///
    /// # Errors
    /// [`ControlError::NothingRuns`] when none is open, [`ControlError::Refused`] when the only open one is being published, [`ControlError::NoSuchIssue`].
    pub async fn cancel_issue(&self, id: IssueId, mut audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?;
        let open = self.ports.store.open_jobs(id).await?;
        if open.is_empty() {
            return Err(ControlError::NothingRuns);
        }
        // The newest first, so that none starts because the previous one ended.
        let (mut is_cancelled, mut refusal) = (false, None);
        for job in open.iter().rev() {
            match self.cancel(job.value.id, audit.clone()).await {
                Ok(_) => (is_cancelled, audit) = (true, None),
                Err(ControlError::Refused(refused)) => refusal = Some(refused),
                Err(error) => return Err(error),
            }
        }
        if let Some(refused) = refusal.filter(|_| !is_cancelled) {
            return Err(refused.into());
        }
        Ok(self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?.value)
    }

    /// Merges the pull request of an issue on its forge, at the commit that this server pushed, and marks the issue as
    /// merged.
    ///
    /// # Errors
    /// [`ControlError::NoPullRequest`] when none is open, [`ControlError::NotMerged`] when the forge refuses, and those
    /// of [`Self::merge_issue`].
    pub async fn merge_pull_request(&self, id: IssueId, audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        let issue = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?.value;
        // The state is checked before the request to the forge.
        issue.clone().advance(IssueEvent::Merge, self.ports.clock.now())?;
        let job = self.ports.store.latest_job(id).await?.map(|job| job.value).ok_or(ControlError::NoPullRequest)?;
        let (Some(pull_request), Some(head)) = (job.published.open_pull_request(), &job.published.pushed) else {
            return Err(ControlError::NoPullRequest);
        };
        let forge = self.ports.forges.get(&issue.source.platform).ok_or(ControlError::NoPullRequest)?;
        let merged = forge.merge_pull_request(&issue.source.repo, pull_request.number, head).await;
        merged.map_err(ControlError::NotMerged)?;
        match self.merge_issue(id, audit.clone()).await {
            // The forge's event about the merge arrived first; the action is audited anyway.
            Err(ControlError::Refused(_)) => {
                self.write(async || {
                    let issue = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?.value;
                    Ok((Step { audit: audit.clone(), ..Step::default() }, issue))
                })
                .await
            }
            other => other,
        }
    }

    /// Marks the pull request of an issue as ready for review on its forge, although no test has shown it.
    ///
    /// # Errors
    /// [`ControlError::NoPullRequest`] when none is open, [`ControlError::JobActive`] while the issue's job works on it,
    /// [`ControlError::NotReady`] when the forge refuses, [`ControlError::NoSuchIssue`].
    pub async fn mark_pull_request_ready(&self, id: IssueId, audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        let issue = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?.value;
        let job = self.ports.store.latest_job(id).await?.map(|job| job.value).ok_or(ControlError::NoPullRequest)?;
        let pull_request = job.published.open_pull_request().ok_or(ControlError::NoPullRequest)?;
        if !job.status().is_terminal() {
            return Err(ControlError::JobActive(job.id));
        }
        let forge = self.ports.forges.get(&issue.source.platform).ok_or(ControlError::NoPullRequest)?;
        // Also if it was ready before: somebody may have turned it into a draft again on the forge.
        forge.mark_ready(&issue.source.repo, pull_request).await.map_err(ControlError::NotReady)?;
        if job.published.ready {
            return Ok(issue);
        }
        self.request_review(forge.as_ref(), &job, pull_request.number).await;
        self.change_job_with(job.id, JobEvent::PullRequestReady, None, None, audit).await?;
        // A follow-up that began meanwhile may have taken the draft over.
        let latest = self.ports.store.latest_job(id).await?.map(|job| job.value).filter(|latest| latest.id != job.id);
        let takes_over = |latest: &Job| {
            let taken = latest.published.open_pull_request();
            taken.is_some_and(|taken| taken.number == pull_request.number) && !latest.published.ready
        };
        if let Some(latest) = latest.filter(takes_over) {
            self.change_job_with(latest.id, JobEvent::PullRequestReady, None, None, None).await?;
        }
        Ok(issue)
    }

    /// Marks the issue's pull request as merged.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when no pull request is open, [`ControlError::NoSuchIssue`].
    pub async fn merge_issue(&self, id: IssueId, audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        self.write(async || {
            let known = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?;
            let now = self.ports.clock.now();
            let value = known.value.advance(IssueEvent::Merge, now)?;
            let job = self.ports.store.latest_job(id).await?;
            let ended = JobEvent::PullRequestEnded { end: PullRequestEnd::Merged };
            if let Some(job) = job.as_ref().filter(|job| job.value.status() == JobStatus::Publishing) {
                // It ends with this: the issue, the statistics and the notices follow.
                let (step, _) = self.plan_change(job.clone(), ended, None, None).await?;
                let issue = Some(Write::Update(Versioned { value: value.clone(), revision: known.revision }));
                return Ok((Step { issue, audit: audit.clone(), ..step }, value));
            }
            let (job, mut due) = match job {
                Some(job) => {
                    let (value, effects) = job.value.clone().advance(ended, now)?;
                    (Some(JobWrite::update(&job, value)), effects)
                }
                None => (None, Vec::new()),
            };
            due.push(Effect::Notify { event: NotificationEvent::PullRequestMerged });
            let effects = job.as_ref().map(|job| self.records(job.job(), due, now)).unwrap_or_default();
            let step = Step {
                issue: Some(Write::Update(Versioned { value: value.clone(), revision: known.revision })),
                job,
                effects,
                audit: audit.clone(),
                ..Step::default()
            };
            Ok((step, value))
        })
        .await
    }

    /// Starts a job for an issue. While one is running, instructions create a follow-up that waits for it.
    ///
    /// # Errors
    /// [`ControlError::JobActive`] when one is running and there are no instructions, [`ControlError::Refused`] when
    /// the issue is merged or closed.
    pub async fn start(&self, start: ManualStart) -> Result<Job, ControlError> {
        self.write(async || {
            let known = self.known(&start.issue).await?;
            let words = start.instructions.as_deref();
            let trigger = self.trigger_of_ours(TriggerKind::Manual, &start.actor, words, &start.issue);
            Ok(self.plan_start(StartRequest::new(&start.issue, trigger, start.publish), known)?)
        })
        .await
    }

    /// Approves the plan of a job that waits for approval.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when no plan waits for approval, [`ControlError::NoSuchJob`] when the job does not
    /// exist.
    pub async fn approve_plan(&self, id: JobId, by: &str, audit: Option<AuditEntry>) -> Result<Job, ControlError> {
        let job = self.change_job_with(id, JobEvent::PlanApproved { by: by.to_owned() }, None, None, audit).await?;
        self.wake();
        Ok(job)
    }

    /// Has the plan that waits for approval made again, as somebody wants it. The new one waits too.
    ///
    /// # Errors
    /// As [`Self::approve_plan`].
    pub async fn revise_plan(
        &self,
        id: JobId,
        by: &str,
        words: &str,
        audit: Option<AuditEntry>,
    ) -> Result<Job, ControlError> {
        let event = JobEvent::PlanRevised { by: by.to_owned(), words: words.to_owned() };
        let job = self.change_job_with(id, event, None, None, audit).await?;
        self.wake();
        Ok(job)
    }

    /// Cancels a job that is queued or running.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it has ended, [`ControlError::NoSuchJob`] when it does not exist.
    pub async fn cancel(&self, id: JobId, audit: Option<AuditEntry>) -> Result<Job, ControlError> {
        let job = self.change_job_with(id, JobEvent::CancelRequested, None, None, audit).await?;
        self.interrupt(id);
        Ok(job)
    }

    /// Restarts a job at the first stage that did not succeed.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it has not failed, [`ControlError::Superseded`] when the issue has a newer job,
    /// [`ControlError::NoSuchJob`] when it does not exist.
    pub async fn retry(&self, id: JobId, audit: Option<AuditEntry>) -> Result<Job, ControlError> {
        let job = self.job(id).await?.ok_or(ControlError::NoSuchJob(id))?;
        if let Some(latest) = self.ports.store.latest_job(job.issue_id).await?.filter(|latest| latest.value.id != id) {
            return Err(ControlError::Superseded(latest.value.id));
        }
        Ok(self.change_job_with(id, JobEvent::RestartRequested, None, None, audit).await?)
    }
}
