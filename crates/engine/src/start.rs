//! Decides what a request to fix an issue creates: a first job, a follow-up on the same branch, or additional
//! instructions for a queued job.

use jiff::ToSpan as _;
use patchwright_core::store::{JobWrite, Step, StoreError, Versioned, Write};
use patchwright_domain::job::{JobTrigger, NewJob, Priority, PublishMode};
use patchwright_domain::node::{Needs, WorkCommand};
use patchwright_domain::{
    BranchName, InboundIssue, Issue, IssueEvent, IssueId, IssueRef, IssueStatus, Job, JobEvent, JobId, Refused, UserId,
};

use crate::Engine;

/// A request to fix an issue.
pub(crate) struct StartRequest<'a> {
    /// The id of its job, if that was promised.
    pub(crate) id: Option<JobId>,
    pub(crate) issue: &'a InboundIssue,
    pub(crate) trigger: JobTrigger,
    pub(crate) publish: PublishMode,
    pub(crate) needs: Needs,
    pub(crate) command: Option<WorkCommand>,
    pub(crate) priority: Priority,
    /// Whether the plan needs approval.
    pub(crate) review_plan: bool,
    /// The owner of the issue, if the issue is new.
    pub(crate) owner: Option<UserId>,
    /// What the model is told about the change that the job continues from: output of a program, nobody's words.
    pub(crate) feedback: Option<String>,
    /// Whether it creates a job of its own while another is running: it has new instructions, or the running job is
    /// cancelled.
    pub(crate) more: bool,
}

impl<'a> StartRequest<'a> {
    /// Creates a request that has a job of its own if it comes with instructions.
    pub(crate) fn new(issue: &'a InboundIssue, trigger: JobTrigger, publish: PublishMode) -> Self {
        let more = trigger.instructions.is_some();
        let (needs, priority) = (Needs::default(), Priority::Normal);
        Self {
            id: None,
            issue,
            trigger,
            publish,
            needs,
            command: None,
            priority,
            review_plan: false,
            owner: None,
            feedback: None,
            more,
        }
    }

    /// Makes it the request to move the branch onto its base.
    pub(crate) fn rebase(self) -> Self {
        let (command, priority) = (WorkCommand::Rebase, self.priority);
        let mut needs = self.needs.clone();
        needs.labels.insert(command.label());
        self.by(Some(command), needs, priority)
    }

    /// Sets the command, the requirements on the node, and the priority.
    pub(crate) fn by(mut self, command: Option<WorkCommand>, needs: Needs, priority: Priority) -> Self {
        self.needs = needs;
        self.priority = priority;
        self.command = command;
        self
    }
}

/// The issue and its latest job, as read from the store.
#[derive(Default)]
pub(crate) struct IssueSnapshot {
    pub(crate) issue: Option<Versioned<Issue>>,
    pub(crate) latest: Option<Versioned<Job>>,
}

impl IssueSnapshot {
    pub(crate) fn latest_job(&self) -> Option<&Job> {
        self.latest.as_ref().map(|job| &job.value)
    }
}

/// The reasons for which a request does not create a job.
pub(crate) enum StartRefused {
    /// A job is running, and the request has no new instructions.
    Active(JobId),
    /// The issue's state does not allow it.
    Refused(Refused),
}

impl From<Refused> for StartRefused {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Engine {
    pub(crate) async fn known(&self, issue: &InboundIssue) -> Result<IssueSnapshot, StoreError> {
        let issue = self.ports.store.issue_by_source(&issue.source).await?;
        let latest = match &issue {
            Some(issue) => self.ports.store.latest_job(issue.value.id).await?,
            None => None,
        };
        Ok(IssueSnapshot { issue, latest })
    }

    /// Returns the write that starts the job, without the delivery, and the job.
    pub(crate) fn plan_start(
        &self,
        request: StartRequest<'_>,
        known: IssueSnapshot,
    ) -> Result<(Step, Job), StartRefused> {
        let now = self.ports.clock.now();
        let IssueSnapshot { issue, latest } = known;
        let active = latest.as_ref().filter(|job| !job.value.status().is_terminal());
        let issue = match (active, issue) {
            (Some(active), _) if !request.more => return Err(StartRefused::Active(active.value.id)),
            // The end of the running job updates the issue too: whichever write is second conflicts and reads again.
            (Some(_), Some(known)) => {
                Write::Update(Versioned { value: with_inbound_text(known.value, request.issue), ..known })
            }
            (_, known) => self.started_issue(request.issue, request.owner, known)?,
        };
        let issue_id = match &issue {
            Write::Insert(issue) => issue.id,
            Write::Update(known) => known.value.id,
        };
        let (job, effects) = match latest {
            Some(latest) if accepts_instructions(&latest.value, &request) => {
                let instructions = request.trigger.instructions.unwrap_or_default();
                let (job, effects) = latest.value.clone().advance(JobEvent::MoreAsked { instructions }, now)?;
                (JobWrite::update(&latest, job), effects)
            }
            latest => {
                let job = self.new_job(request, issue_id, latest.map(|latest| latest.value).as_ref());
                let effects = job.accepted_effects();
                (JobWrite::Insert(job), effects)
            }
        };
        let job_now = job.job().clone();
        let effects = self.records(&job_now, effects, now);
        Ok((Step { issue: Some(issue), job: Some(job), effects, ..Step::default() }, job_now))
    }

    /// Returns the issue in progress: a new one, or the stored one with its latest text.
    fn started_issue(
        &self,
        inbound: &InboundIssue,
        owner: Option<UserId>,
        known: Option<Versioned<Issue>>,
    ) -> Result<Write<Issue>, Refused> {
        let Some(known) = known else {
            return Ok(Write::Insert(Issue { status: IssueStatus::Processing, owner, ..self.new_issue(inbound) }));
        };
        let event = match known.value.status {
            IssueStatus::PendingMerge => IssueEvent::FollowUp,
            _ => IssueEvent::Start,
        };
        let issue = known.value.advance(event, self.ports.clock.now())?;
        Ok(Write::Update(Versioned { value: with_inbound_text(issue, inbound), revision: known.revision }))
    }

    pub(crate) fn new_issue(&self, inbound: &InboundIssue) -> Issue {
        let issue = self.pending_issue(&inbound.source, &inbound.title, &inbound.body, &inbound.author);
        Issue { labels: inbound.labels.clone(), created_at: inbound.opened_at.unwrap_or(issue.created_at), ..issue }
    }

    /// Returns a new issue.
    pub(crate) fn pending_issue(&self, source: &IssueRef, title: &str, body: &str, author: &str) -> Issue {
        let now = self.ports.clock.now();
        Issue {
            id: self.ports.ids.issue(),
            source: source.clone(),
            title: title.to_owned(),
            body: body.to_owned(),
            author: author.to_owned(),
            labels: Vec::new(),
            owner: None,
            status: IssueStatus::Pending,
            created_at: now,
            updated_at: now,
        }
    }

    fn new_job(&self, request: StartRequest<'_>, issue_id: IssueId, latest: Option<&Job>) -> Job {
        let before = latest.filter(|job| !job.status().is_terminal() || job.has_open_branch());
        let (branch, base_branch) = match before {
            Some(before) => (before.branch.clone(), before.base_branch.clone()),
            None => (new_branch(&request, latest), request.issue.base_branch()),
        };
        let job = Job::new(NewJob {
            id: request.id.unwrap_or_else(|| self.ports.ids.job()),
            issue_id,
            source: request.issue.source.clone(),
            title: request.issue.title.clone(),
            trigger: request.trigger,
            follows: before.map(|job| job.id),
            branch,
            base_branch,
            publish: request.publish,
            needs: request.needs,
            command: request.command,
            priority: request.priority,
            review_plan: request.review_plan || self.settings().review_plans,
        });
        Job { feedback: request.feedback, ..job }
    }
}

/// Instructions by the same user before their job starts are added to that job. Those of another user get a job of
/// their own, whose permission is checked when it runs. So does a request for a plan if the job continues without
/// approval.
fn accepts_instructions(latest: &Job, request: &StartRequest<'_>) -> bool {
    latest.is_untouched()
        && request.trigger.instructions.is_some()
        && latest.trigger.actor.eq_ignore_ascii_case(&request.trigger.actor)
        && latest.publish == request.publish
        && (!request.review_plan || latest.review.is_required())
        && (latest.needs.clone(), latest.command.clone()) == (request.needs.clone(), request.command.clone())
}

/// Returns a known issue as an event would tell it.
pub(crate) fn inbound_of(issue: &Issue) -> InboundIssue {
    InboundIssue {
        opened_at: Some(issue.created_at),
        source: issue.source.clone(),
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        labels: issue.labels.clone(),
        is_pull_request: false,
        default_branch: None,
    }
}

fn with_inbound_text(mut issue: Issue, inbound: &InboundIssue) -> Issue {
    issue.title.clone_from(&inbound.title);
    issue.body.clone_from(&inbound.body);
    // Not every event has the labels.
    if !inbound.labels.is_empty() {
        issue.labels.clone_from(&inbound.labels);
    }
    // An issue that was moved to another project has a new key.
    issue.source.tracker.clone_from(&inbound.source.tracker);
    issue
}

fn new_branch(request: &StartRequest<'_>, latest: Option<&Job>) -> BranchName {
    let mut at = request.trigger.at;
    let mut branch = BranchName::for_issue(&request.issue.source, at);
    // Two jobs of one issue in the same second must not share a branch.
    while latest.is_some_and(|job| job.branch == branch) {
        at = at.saturating_add(1.second()).unwrap_or(at);
        branch = BranchName::for_issue(&request.issue.source, at);
    }
    branch
}
