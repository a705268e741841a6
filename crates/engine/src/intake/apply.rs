//! Applies a request whose author may make it: one atomic write with everything in it, or a reply.

use jiff::Timestamp;
use patchwright_core::store::{DeliveryRecord, EffectRecord, RequestWrite, Step, StoreError, Write};
use patchwright_domain::effect::{CannotStart, NothingTo, Reply};
use patchwright_domain::job::{PublishMode, TriggerKind};
use patchwright_domain::trigger::Command;
use patchwright_domain::{
    Effect, Issue, IssueId, IssueStatus, Job, JobEvent, JobId, JobStatus, Request, RequestState, TriggerRequest,
};

use super::accept::{RATE_LIMITED, command_name, repeated};
use super::rate_limiter::RateDecision;
use super::{IntakeError, IntakeOutcome};
use crate::Engine;
use crate::change::ChangeError;
use crate::start::{IssueSnapshot, StartRefused, StartRequest};

/// A reason that clients may compare with.
const JOB_ACTIVE: &str = "job_active";

/// What the write that applies a request settles as well, so that the request is applied once.
#[derive(Debug, Clone)]
pub(crate) enum RequestRecord {
    /// A stored request.
    Request {
        request: Box<Request>,
        /// Whether an earlier attempt may have acted on jobs.
        again: bool,
    },
    /// An accepted event of a tracker, which knows its people.
    Delivery(DeliveryRecord),
}

/// On which jobs a person may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// On every job of the repository.
    Writer,
    /// On the jobs that the person started.
    Starter,
}

impl RequestRecord {
    fn at(&self) -> Timestamp {
        match self {
            Self::Request { request, .. } => request.requested_at,
            Self::Delivery(record) => record.received_at,
        }
    }

    fn event_type(&self) -> &str {
        match self {
            Self::Request { request, .. } => &request.event_type,
            Self::Delivery(record) => &record.event_type,
        }
    }

    /// Identifies the replies to this request.
    fn reply_to(&self) -> String {
        match self {
            Self::Request { request, .. } => request.id.to_string(),
            Self::Delivery(record) => record.identity.clone().unwrap_or_else(|| record.id.to_string()),
        }
    }

    /// Returns the id of the job to create, unless a later request of the issue became a job first: jobs of an issue run
    /// in the order of their ids.
    fn job_id(&self, latest: Option<&Job>) -> Option<JobId> {
        match self {
            Self::Request { request, .. } => Some(request.id).filter(|id| latest.is_none_or(|job| job.id < *id)),
            Self::Delivery(_) => None,
        }
    }

    fn is_repeated(&self) -> bool {
        matches!(self, Self::Request { again: true, .. })
    }

    /// Adds to a step what this request settles.
    fn settle(&self, step: Step, outcome: &IntakeOutcome, now: Timestamp) -> Step {
        match self {
            Self::Delivery(record) => {
                let job_id = outcome.job_id().or(record.job_id);
                Step { delivery: Some(DeliveryRecord { job_id, ..record.clone() }), ..step }
            }
            Self::Request { request, .. } => {
                let request = Request { state: state_of(outcome, now), ..Request::clone(request) };
                Step { request: Some(RequestWrite::Decide(request)), ..step }
            }
        }
    }
}

/// Returns the state of a request that was applied.
fn state_of(outcome: &IntakeOutcome, at: Timestamp) -> RequestState {
    match outcome {
        IntakeOutcome::Ignored { reason, .. } | IntakeOutcome::Forbidden { reason } if reason != JOB_ACTIVE => {
            let remedy = "The reply on the issue says what would work.".to_owned();
            RequestState::Refused { reason: reason.clone(), remedy, answered: false, at }
        }
        outcome => RequestState::Admitted { job: outcome.job_id(), at },
    }
}

impl Engine {
    /// Applies a request. Applying it again after a crash changes nothing more.
    pub(crate) async fn apply(
        &self,
        request: &TriggerRequest,
        settled: &RequestRecord,
        permit: Permit,
    ) -> Result<IntakeOutcome, IntakeError> {
        let at = settled.at();
        let room = self.rate_limiters.decide(&request.actor, &request.issue.source, at);
        let acted = match room {
            RateDecision::Accept => self.act_on_jobs(request, permit).await?,
            RateDecision::Reject { .. } => Acted::No,
        };
        let written = self
            .write(async || {
                let known = self.known(&request.issue).await?;
                let (step, answer) = match (&room, &request.command) {
                    (RateDecision::Reject { notice }, _) => self.rate_limited_step(request, *notice, settled, known),
                    (RateDecision::Accept, Command::Restart { .. }) => self.fix_step(request, true, settled, known),
                    (RateDecision::Accept, command) if command.starts_job() => {
                        self.fix_step(request, request.has_instructions, settled, known)
                    }
                    (RateDecision::Accept, _) => self.reply_step(request, &acted, settled, known),
                };
                Ok::<_, StoreError>((settled.settle(step, &answer, self.ports.clock.now()), answer))
            })
            .await;
        let answer = match written {
            Ok(answer) => answer,
            Err(StoreError::Repeated { job_id, .. }) => return Ok(repeated(job_id)),
            Err(error) => return Err(error.into()),
        };
        self.rate_limiters.note(&request.actor, &request.issue.source, at);
        if let IntakeOutcome::Accepted { job_id, .. } = &answer {
            tracing::info!(%job_id, issue = %request.issue.source, actor = %request.actor, "accepted a job");
        }
        Ok(answer)
    }

    /// Writes at most once an hour a comment about the limit.
    fn rate_limited_step(
        &self,
        request: &TriggerRequest,
        notice: bool,
        settled: &RequestRecord,
        known: IssueSnapshot,
    ) -> (Step, IntakeOutcome) {
        let answer =
            IntakeOutcome::Ignored { reason: RATE_LIMITED.to_owned(), job_id: known.latest_job().map(|job| job.id) };
        if !notice {
            return (Step::default(), answer);
        }
        let (per_hour, language) = (self.settings().limits.per_issue, request.language);
        let reply = (settled.reply_to(), Reply::TooMany { per_hour, language });
        (self.reply_only_step(request, Some(reply), settled.at(), known), answer)
    }

    /// Writes a job for the issue: its first, or a follow-up when there are new instructions while one is running.
    fn fix_step(
        &self,
        request: &TriggerRequest,
        more: bool,
        settled: &RequestRecord,
        known: IssueSnapshot,
    ) -> (Step, IntakeOutcome) {
        let latest = known.latest_job().map(|job| job.id);
        let rebases = request.command == Command::Rebase;
        // A job that has not ended may still make the branch.
        if rebases && !known.latest_job().is_some_and(|job| !job.status().is_terminal() || job.has_open_branch()) {
            let reply = Reply::NothingTo { verb: NothingTo::Rebase, language: request.language };
            let reply = (settled.reply_to(), reply);
            let answer = IntakeOutcome::Answered { command: "rebase", job_id: latest };
            return (self.reply_only_step(request, Some(reply), settled.at(), known), answer);
        }
        let issue = known.issue.as_ref().map(|issue| (issue.value.id, issue.value.status));
        let trigger = request.job_trigger(settled.event_type(), settled.at());
        let start = StartRequest {
            more: more || rebases,
            id: settled.job_id(known.latest_job()),
            owner: request.owner,
            review_plan: matches!(request.command, Command::Plan { .. }),
            ..StartRequest::new(&request.issue, trigger, PublishMode::PullRequest)
        };
        let start = if rebases { start.rebase() } else { start };
        // Who comments is told why nothing starts; a label or an assignment is no conversation.
        let reply = |reason| {
            let (issue, _) = issue.filter(|_| request.kind == TriggerKind::Mention)?;
            let reply = Reply::CannotStart { reason, language: request.language };
            Some(self.reply_effect((settled.reply_to(), reply), request, issue, latest, settled.at()))
        };
        match self.plan_start(start, known) {
            Ok((step, job)) => (step, IntakeOutcome::Accepted { job_id: job.id, duplicate: false }),
            Err(StartRefused::Active(active)) => {
                let answer = IntakeOutcome::Ignored { reason: JOB_ACTIVE.to_owned(), job_id: Some(active) };
                let effects = reply(CannotStart::Running).into_iter().collect();
                (Step { effects, ..Step::default() }, answer)
            }
            Err(StartRefused::Refused(refused)) => {
                let answer = IntakeOutcome::Ignored { reason: refused.to_string(), job_id: latest };
                let is_merged = issue.is_some_and(|(_, status)| status == IssueStatus::Merged);
                let reason = if is_merged { CannotStart::Merged } else { CannotStart::State };
                let effects = reply(reason).into_iter().collect();
                (Step { effects, ..Step::default() }, answer)
            }
        }
    }

    /// Writes the reply to a command that did not act on any job.
    fn reply_step(
        &self,
        request: &TriggerRequest,
        acted: &Acted,
        settled: &RequestRecord,
        known: IssueSnapshot,
    ) -> (Step, IntakeOutcome) {
        let latest = known.latest_job();
        let job_id = latest.map(|job| job.id);
        if let Acted::NotOwn { starter } = acted {
            let reason = format!("only {starter} may approve, cancel or retry this job");
            return (Step::default(), IntakeOutcome::Ignored { reason, job_id });
        }
        let language = request.language;
        let (command, reply) = match command_name(&request.command) {
            Some(name) => {
                let verb = nothing_to(&request.command, latest);
                let is_done = *acted == Acted::Yes || settled.is_repeated();
                (name, Some(Reply::NothingTo { verb, language }).filter(|_| !is_done))
            }
            None if request.command == Command::Status => ("status", Some(Reply::Status { language })),
            None => ("help", Some(Reply::Help { language })),
        };
        let reply = reply.map(|reply| (settled.reply_to(), reply));
        let answer = IntakeOutcome::Answered { command, job_id };
        (self.reply_only_step(request, reply, settled.at(), known), answer)
    }

    /// Returns the step of a reply about an issue, which is stored for it if it is not known.
    pub(crate) fn reply_only_step(
        &self,
        request: &TriggerRequest,
        reply: Option<(String, Reply)>,
        at: Timestamp,
        known: IssueSnapshot,
    ) -> Step {
        let Some(reply) = reply else { return Step::default() };
        let job_id = known.latest_job().map(|job| job.id);
        let (issue, issue_id) = if let Some(known) = known.issue {
            (None, known.value.id)
        } else {
            let issue = Issue { owner: request.owner, ..self.new_issue(&request.issue) };
            let id = issue.id;
            (Some(Write::Insert(issue)), id)
        };
        let effects = vec![self.reply_effect(reply, request, issue_id, job_id, at)];
        Step { issue, effects, ..Step::default() }
    }

    fn reply_effect(
        &self,
        (to, reply): (String, Reply),
        request: &TriggerRequest,
        issue_id: IssueId,
        job_id: Option<JobId>,
        created_at: Timestamp,
    ) -> EffectRecord {
        let effect = Effect::Reply { to, reply, pull_request: request.pull_request };
        EffectRecord { id: self.ports.ids.effect(), issue_id, job_id, effect, created_at }
    }

    /// Applies a command to existing jobs: `retry` to the newest, `approve` to its plan, `cancel` and `restart` to all that
    /// have not ended. A `plan` replaces the plan that waits. This comes before the request is settled, so that a crash in
    /// between repeats it, which changes nothing.
    async fn act_on_jobs(&self, request: &TriggerRequest, permit: Permit) -> Result<Acted, IntakeError> {
        let command = &request.command;
        let acts = command_name(command).is_some() || matches!(command, Command::Restart { .. } | Command::Plan { .. });
        if !acts {
            return Ok(Acted::No);
        }
        let Some(latest) = self.known(&request.issue).await?.latest.map(|job| job.value) else { return Ok(Acted::No) };
        match command {
            Command::Cancel | Command::Restart { .. } => self.cancel_open_jobs(request, permit, &latest).await,
            Command::Plan { .. } if latest.awaits_approval() => self.cancel_open_jobs(request, permit, &latest).await,
            Command::Approve if latest.awaits_approval() => {
                let event = JobEvent::PlanApproved { by: request.actor.clone() };
                let acted = self.control(request, permit, &latest, event).await?;
                self.wake();
                Ok(acted)
            }
            Command::Retry => self.control(request, permit, &latest, JobEvent::RestartRequested).await,
            _ => Ok(Acted::No),
        }
    }

    /// The newest first, so that none starts because the previous one ended.
    async fn cancel_open_jobs(
        &self,
        request: &TriggerRequest,
        permit: Permit,
        latest: &Job,
    ) -> Result<Acted, IntakeError> {
        let open = self.ports.store.open_jobs(latest.issue_id).await?;
        let mut acted = Acted::No;
        for job in open.iter().rev().map(|job| &job.value) {
            match self.control(request, permit, job, JobEvent::CancelRequested).await? {
                Acted::Yes => {
                    self.interrupt(job.id);
                    acted = Acted::Yes;
                }
                other if acted == Acted::No => acted = other,
                _ => {}
            }
        }
        Ok(acted)
    }

    async fn control(
        &self,
        request: &TriggerRequest,
        permit: Permit,
        job: &Job,
        event: JobEvent,
    ) -> Result<Acted, IntakeError> {
        if permit == Permit::Starter && !job.trigger.actor.eq_ignore_ascii_case(&request.actor) {
            tracing::info!(job_id = %job.id, actor = %request.actor, "the job is not the requester's; leaving it as it is");
            return Ok(Acted::NotOwn { starter: job.trigger.actor.clone() });
        }
        match self.change_job(job.id, event).await {
            Ok(_) => Ok(Acted::Yes),
            Err(ChangeError::NotFound(_) | ChangeError::Refused(_)) => Ok(Acted::No),
            Err(ChangeError::Store(error)) => Err(error.into()),
        }
    }
}

/// Whether a command changed a job.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Acted {
    Yes,
    /// No job was in a state for it.
    No,
    /// Only jobs of others were.
    NotOwn {
        starter: String,
    },
}

const fn nothing_to(command: &Command, latest: Option<&Job>) -> NothingTo {
    match command {
        Command::Approve => NothingTo::Approve,
        Command::Retry => match latest {
            Some(job) if matches!(job.status(), JobStatus::Succeeded) => NothingTo::RetrySuccess,
            _ => NothingTo::Retry,
        },
        _ => NothingTo::Cancel,
    }
}
