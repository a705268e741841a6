//! Requests: what a platform or a person asked for, before it is known to be permitted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::issue::InboundIssue;
use crate::job::{Failure, FailureOrigin, JobTrigger, NewJob, Priority, PublishMode, TriggerKind};
use crate::node::Needs;
use crate::trigger::{Command, Language};
use crate::{BranchName, IssueId, Job, JobId, Refused, UserId};

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerRequest {
    /// The issue that it is about.
    pub issue: InboundIssue,
    /// The login of the person who asks.
    pub actor: String,
    /// The user of this server who owns the issue, if known.
    pub owner: Option<UserId>,
    /// How the person asked.
    pub kind: TriggerKind,
    /// What is asked for.
    pub command: Command,
    /// The language of replies.
    pub language: Language,
    /// Whether the person gave instructions, which justify a further job while another is running.
    pub has_instructions: bool,
    /// The comment with the request, if there is one.
    pub comment_id: Option<String>,
    /// The pull request on which the person asked; replies are written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// The review whose comments belong to the instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<u64>,
}

/// The status of a request (`docs/requirements.md#r105`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// It is not yet known whether the person may ask for it.
    Requested,
    /// The person may; it became a job, or was applied to one.
    Admitted,
    /// The person may not, or the issue's state does not allow it.
    Refused,
}

impl RequestStatus {
    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Admitted => "admitted",
            Self::Refused => "refused",
        }
    }
}

/// The status with the data that is specific to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RequestState {
    /// It waits for the answer of the forge.
    Requested,
    /// The person may, and it was applied.
    Admitted {
        /// The job that it became or was applied to. It has the request's own id unless a later request of the same issue
        /// was admitted first, or the request was added to a job.
        job: Option<JobId>,
        /// The time of the decision.
        at: Timestamp,
    },
    /// The person may not, or it cannot be done.
    Refused {
        /// The rule or the state that stands against it.
        reason: String,
        /// What the person can do.
        remedy: String,
        /// Whether a reply was queued because the person lacks the permission: the next one of the same person is silent.
        answered: bool,
        /// The time of the decision.
        at: Timestamp,
    },
}

impl RequestState {
    /// Returns the status without its data.
    pub const fn status(&self) -> RequestStatus {
        match self {
            Self::Requested => RequestStatus::Requested,
            Self::Admitted { .. } => RequestStatus::Admitted,
            Self::Refused { .. } => RequestStatus::Refused,
        }
    }
}

/// A stored request. It is no job: lists, the queue, statistics and issues do not show it, and it holds back no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The id that its job will have.
    pub id: JobId,
    /// What is asked for.
    pub trigger: TriggerRequest,
    /// The platform's name of the event.
    pub event_type: String,
    /// When the event arrived.
    pub requested_at: Timestamp,
    /// Whether it is decided.
    pub state: RequestState,
}

impl Request {
    /// Returns the request as decided.
    ///
    /// # Errors
    /// [`Refused`] when it is decided already.
    pub fn decide(self, state: RequestState) -> Result<Self, Refused> {
        match self.state.status() {
            RequestStatus::Requested => Ok(Self { state, ..self }),
            from => Err(Refused::State { subject: "a request", from: from.as_str(), event: "be decided" }),
        }
    }

    /// Returns the trigger of its job.
    pub fn job_trigger(&self) -> JobTrigger {
        self.trigger.job_trigger(&self.event_type, self.requested_at)
    }

    /// Returns the job that it would become, for readers of its id before there is one.
    pub fn preview(&self) -> Job {
        let issue = &self.trigger.issue;
        let mut job = Job::new(NewJob {
            id: self.id,
            issue_id: IssueId::from_uuid(self.id.as_uuid()),
            source: issue.source.clone(),
            title: issue.title.clone(),
            trigger: self.job_trigger(),
            follows: None,
            branch: BranchName::for_issue(&issue.source, self.requested_at),
            base_branch: issue.base_branch(),
            publish: PublishMode::PullRequest,
            needs: Needs::default(),
            command: None,
            priority: Priority::Normal,
            review_plan: false,
        });
        if let RequestState::Refused { reason, remedy, at, .. } = &self.state {
            job.failure = Some(Failure {
                stage: None,
                reason: reason.clone(),
                remedy: remedy.clone(),
                origin: FailureOrigin::Request,
            });
            job.ended_at = Some(*at);
        }
        job
    }
}

impl TriggerRequest {
    /// Returns the trigger of its job.
    pub fn job_trigger(&self, event_type: &str, at: Timestamp) -> JobTrigger {
        JobTrigger {
            kind: self.kind,
            event_type: event_type.to_owned(),
            actor: self.actor.clone(),
            instructions: self.command.instructions().map(str::to_owned),
            comment_id: self.comment_id.clone(),
            at,
            language: self.language,
        }
    }
}
