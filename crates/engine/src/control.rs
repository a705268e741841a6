//! What people do by hand: start, retry, cancel.

use patchwright_core::audit::AuditEntry;
use patchwright_core::forge::ForgeError;
use patchwright_core::store::{JobWrite, Step, StoreError, Versioned, Write};
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::job::{JobTrigger, Priority, PublishMode, PullRequestEnd, TriggerKind};
use patchwright_domain::node::{Needs, WorkCommand, choose};
use patchwright_domain::notification::NotificationEvent;
use patchwright_domain::{Effect, Issue, IssueEvent, IssueId, Job, JobEvent, JobId, Refused, Task};

use crate::Engine;
use crate::change::ChangeError;
use crate::start::{IssueSnapshot, StartRefused, StartRequest};

/// A job to start without a delivery.
#[derive(Debug, Clone)]
pub struct ManualStart {
    /// The issue, as its tracker tells it.
    pub issue: InboundIssue,
    /// Who starts it.
    pub actor: String,
    /// What else they ask for.
    pub instructions: Option<String>,
    /// How far the result goes out.
    pub publish: PublishMode,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A job is at work for the issue.
    #[error("the job {0} works on this issue already; wait for it or cancel it")]
    JobActive(JobId),
    /// A newer job has taken its place.
    #[error("the job {0} of the same issue is newer; retry that one")]
    Superseded(JobId),
    /// No job of the issue waits or runs.
    #[error("no job of this issue waits or runs")]
    NothingRuns,
    /// There is no such issue.
    #[error("there is no issue {0}")]
    NoSuchIssue(IssueId),
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// The issue has no pull request that waits.
    #[error("no pull request of this issue waits to be merged")]
    NoPullRequest,
    /// The forge did not merge it.
    #[error("the forge did not merge it: {0}")]
    NotMerged(#[source] ForgeError),
    /// Nothing can be read or written now.
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

/// A person of this server, and what they ask for.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Who, by login.
    pub actor: String,
    /// What else they ask for.
    pub instructions: Option<String>,
    /// What makes the change in place of the built-in stages.
    pub command: Option<WorkCommand>,
    /// What the node that runs it must have or be.
    pub needs: Needs,
    /// Whether it goes before others.
    pub priority: Priority,
    /// Whether people read the plan before anything is changed, also where it is not the rule.
    pub review_plan: bool,
}

impl Start {
    /// What the node must have, with what the command needs there.
    fn all_needs(&self) -> Needs {
        let mut needs = self.needs.clone();
        needs.labels.extend(self.command.as_ref().map(WorkCommand::label));
        needs
    }
}

impl Engine {
    /// Whether a node, or this process, is free for it now and nothing waits before it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_room_for(&self, start: &Start) -> Result<bool, StoreError> {
        let needs = start.all_needs();
        let here = self.running_here() < self.settings.slots && needs.are_met_by(None, &self.settings.labels);
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
    /// As [`Self::start`], and [`ControlError::NoSuchIssue`].
    pub async fn start_issue(
        &self,
        id: IssueId,
        start: Start,
        audit: Option<AuditEntry>,
    ) -> Result<Task, ControlError> {
        self.write(async || {
            let issue = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?;
            let latest = self.ports.store.latest_job(id).await?;
            let inbound = InboundIssue {
                source: issue.value.source.clone(),
                title: issue.value.title.clone(),
                body: issue.value.body.clone(),
                author: issue.value.author.clone(),
                labels: issue.value.labels.clone(),
                is_pull_request: false,
                default_branch: None,
            };
            let trigger = self.trigger_of_ours(TriggerKind::Started, &start.actor, start.instructions.as_deref());
            let request = StartRequest {
                review_plan: start.review_plan,
                ..StartRequest::new(&inbound, trigger, PublishMode::PullRequest).by(
                    start.command.clone(),
                    start.all_needs(),
                    start.priority,
                )
            };
            let (step, job) = self.plan_start(request, IssueSnapshot { issue: Some(issue), latest })?;
            let task = Task::first(&job, "", self.ports.clock.now());
            // More words for a job that waits already are no other task.
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

    fn trigger_of_ours(&self, kind: TriggerKind, actor: &str, instructions: Option<&str>) -> JobTrigger {
        JobTrigger {
            kind,
            event_type: kind.as_str().to_owned(),
            actor: actor.to_owned(),
            instructions: instructions.filter(|text| !text.trim().is_empty()).map(str::to_owned),
            comment_id: None,
            at: self.ports.clock.now(),
        }
    }

    /// Stops every job of an issue that has not ended.
    ///
    /// # Errors
    /// [`ControlError::NothingRuns`] when there is none, [`ControlError::NoSuchIssue`].
    pub async fn cancel_issue(&self, id: IssueId, mut audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?;
        let open = self.ports.store.open_jobs(id).await?;
        if open.is_empty() {
            return Err(ControlError::NothingRuns);
        }
        // The youngest first, so that none begins because the one before it ended.
        for job in open.iter().rev() {
            match self.cancel(job.value.id, audit.clone()).await {
                Ok(_) => audit = None,
                Err(ControlError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?.value)
    }

    /// Merges the pull request of an issue on its forge, at the commit that we pushed, and notes that.
    ///
    /// # Errors
    /// [`ControlError::NoPullRequest`] when none waits, [`ControlError::NotMerged`] when the forge does not, and as
    /// [`Self::merge_issue`].
    pub async fn merge_pull_request(&self, id: IssueId, audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        let issue = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?.value;
        // Whether it may be merged is asked before it is.
        issue.clone().advance(IssueEvent::Merge, self.ports.clock.now())?;
        let job = self.ports.store.latest_job(id).await?.map(|job| job.value).ok_or(ControlError::NoPullRequest)?;
        let (Some(pull_request), Some(head)) = (job.published.open_pull_request(), &job.published.pushed) else {
            return Err(ControlError::NoPullRequest);
        };
        let forge = self.ports.forges.get(&issue.source.platform).ok_or(ControlError::NoPullRequest)?;
        let merged = forge.merge_pull_request(&issue.source.repo, pull_request.number, head).await;
        merged.map_err(ControlError::NotMerged)?;
        match self.merge_issue(id, audit.clone()).await {
            // The forge's event that it is merged arrived first; the action is recorded all the same.
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

    /// Notes that people merged the issue's pull request.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when nothing waits to be merged, [`ControlError::NoSuchIssue`].
    pub async fn merge_issue(&self, id: IssueId, audit: Option<AuditEntry>) -> Result<Issue, ControlError> {
        self.write(async || {
            let known = self.ports.store.issue(id).await?.ok_or(ControlError::NoSuchIssue(id))?;
            let now = self.ports.clock.now();
            let value = known.value.advance(IssueEvent::Merge, now)?;
            let job = self.ports.store.latest_job(id).await?;
            let ended = JobEvent::PullRequestEnded { end: PullRequestEnd::Merged };
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

    /// Starts a job for an issue. While one is at work, instructions make a follow-up that waits for it.
    ///
    /// # Errors
    /// [`ControlError::JobActive`] when one is at work and there are no instructions, [`ControlError::Refused`] when the
    /// issue is past it.
    pub async fn start(&self, start: ManualStart) -> Result<Job, ControlError> {
        self.write(async || {
            let known = self.known(&start.issue).await?;
            let trigger = self.trigger_of_ours(TriggerKind::Manual, &start.actor, start.instructions.as_deref());
            Ok(self.plan_start(StartRequest::new(&start.issue, trigger, start.publish), known)?)
        })
        .await
    }

    /// Lets a job go on whose plan waits for approval.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when none waits, [`ControlError::NoSuchJob`] when there is no such job.
    pub async fn approve_plan(&self, id: JobId, by: &str, audit: Option<AuditEntry>) -> Result<Job, ControlError> {
        let job = self.change_job_with(id, JobEvent::PlanApproved { by: by.to_owned() }, None, None, audit).await?;
        self.wake();
        Ok(job)
    }

    /// Stops a job, wherever it stands.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it has ended, [`ControlError::NoSuchJob`] when there is none.
    pub async fn cancel(&self, id: JobId, audit: Option<AuditEntry>) -> Result<Job, ControlError> {
        let job = self.change_job_with(id, JobEvent::CancelRequested, None, None, audit).await?;
        self.interrupt(id);
        Ok(job)
    }

    /// Starts a job again at the first stage that did not succeed.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when it has not failed, [`ControlError::Superseded`] when the issue has a newer job,
    /// [`ControlError::NoSuchJob`] when there is none.
    pub async fn retry(&self, id: JobId, audit: Option<AuditEntry>) -> Result<Job, ControlError> {
        let job = self.job(id).await?.ok_or(ControlError::NoSuchJob(id))?;
        if let Some(latest) = self.ports.store.latest_job(job.issue_id).await?.filter(|latest| latest.value.id != id) {
            return Err(ControlError::Superseded(latest.value.id));
        }
        Ok(self.change_job_with(id, JobEvent::RestartRequested, None, None, audit).await?)
    }
}
