//! Accepts the request of a delivery: one atomic write with everything in it, or a response.

use std::sync::atomic::{AtomicBool, Ordering};

use patchwright_core::store::{DeliveryRecord, EffectRecord, Step, StoreError, Write};
use patchwright_domain::effect::{CannotStart, Reply};
use patchwright_domain::job::{JobTrigger, PublishMode, TriggerKind};
use patchwright_domain::trigger::Command;
use patchwright_domain::{Effect, Issue, IssueId, IssueStatus, Job, JobEvent, JobId, JobStatus};

use super::rate_limiter::RateDecision;
use super::trigger::TriggerRequest;
use super::{IntakeError, IntakeOutcome};
use crate::Engine;
use crate::change::ChangeError;
use crate::engine::TriggerPermission;
use crate::start::{IssueSnapshot, StartRefused, StartRequest};

/// Reasons that clients may compare with.
const JOB_ACTIVE: &str = "job_active";
const DUPLICATE_EVENT: &str = "duplicate_event";
const RATE_LIMITED: &str = "rate_limited";

impl Engine {
    pub(crate) async fn accept(
        &self,
        request: TriggerRequest,
        mut record: DeliveryRecord,
    ) -> Result<IntakeOutcome, IntakeError> {
        record.identity.clone_from(&request.identity);
        let room = self.rate_limiters.decide(&request.actor.login, &request.issue.source, record.received_at);
        let was_looked_up = AtomicBool::new(false);
        let written = self
            .write(async || {
                // Most issues are new: the first write assumes that without reading, and a known issue makes it fail as
                // stale. This saves one database round trip for every first delivery.
                let look = was_looked_up.swap(true, Ordering::Relaxed);
                let known = if look { self.known(&request.issue).await? } else { IssueSnapshot::default() };
                let latest = known.latest_job().cloned();
                let (step, answer) = match (&room, &request.command) {
                    (RateDecision::Reject { notice }, _) => self.rate_limited_step(&request, *notice, &record, known),
                    (RateDecision::Accept, Command::Restart { .. }) => self.fix_step(&request, true, &record, known),
                    (RateDecision::Accept, command) if command.starts_job() => {
                        self.fix_step(&request, request.has_instructions, &record, known)
                    }
                    (RateDecision::Accept, command) => self.reply_step(&request, command, &record, known),
                };
                Ok::<_, StoreError>((step, (latest, answer)))
            })
            .await;
        let (latest, answer) = match written {
            Ok(written) => written,
            Err(StoreError::Repeated { job_id, altered, .. }) => {
                if altered {
                    tracing::warn!(delivery_id = %record.id, platform = %record.platform, "a delivery was repeated with a different body; ignoring the repetition");
                }
                // The same trigger through two hooks is one request: both deliveries get the same response.
                return Ok(match job_id {
                    Some(job_id) => IntakeOutcome::Accepted { job_id, duplicate: true },
                    None => IntakeOutcome::Ignored { reason: DUPLICATE_EVENT.to_owned(), job_id },
                });
            }
            Err(error) => return Err(error.into()),
        };
        self.rate_limiters.note(&request.actor.login, &request.issue.source, record.received_at);
        if let IntakeOutcome::Accepted { job_id, .. } = &answer {
            tracing::info!(%job_id, issue = %request.issue.source, actor = %request.actor.login, delivery_id = %record.id, "accepted a job");
        }
        if room == RateDecision::Accept { self.apply_to_jobs(&request, latest, answer).await } else { Ok(answer) }
    }

    /// Writes only the delivery, and at most once an hour a comment about the limit.
    fn rate_limited_step(
        &self,
        request: &TriggerRequest,
        notice: bool,
        record: &DeliveryRecord,
        known: IssueSnapshot,
    ) -> (Step, IntakeOutcome) {
        let answer =
            IntakeOutcome::Ignored { reason: RATE_LIMITED.to_owned(), job_id: known.latest_job().map(|job| job.id) };
        if !notice {
            return (Step { delivery: Some(record.clone()), ..Step::default() }, answer);
        }
        let reply = Reply::TooMany { per_hour: self.settings.limits.per_issue };
        (self.reply_only_step(request, Some(reply), record, known), answer)
    }

    /// Writes a job for the issue: its first, or a follow-up when there are new instructions while one is running.
    fn fix_step(
        &self,
        request: &TriggerRequest,
        more: bool,
        record: &DeliveryRecord,
        known: IssueSnapshot,
    ) -> (Step, IntakeOutcome) {
        let mut record = record.clone();
        let trigger = JobTrigger {
            kind: request.kind,
            event_type: record.event_type.clone(),
            actor: request.actor.login.clone(),
            instructions: request.command.instructions().map(str::to_owned),
            comment_id: request.comment_id.clone(),
            at: record.received_at,
        };
        let latest = known.latest_job().map(|job| job.id);
        let issue = known.issue.as_ref().map(|issue| (issue.value.id, issue.value.status));
        let start = StartRequest {
            more,
            owner: request.owner,
            review_plan: matches!(request.command, Command::Plan { .. }),
            ..StartRequest::new(&request.issue, trigger, PublishMode::PullRequest)
        };
        // Who comments is told why nothing starts; a label or an assignment is no conversation.
        let reply = |reason, record: &DeliveryRecord| {
            let (issue, _) = issue.filter(|_| request.kind == TriggerKind::Mention)?;
            let reply = Reply::CannotStart { reason, language: request.language };
            Some(self.reply_effect(record, issue, latest, reply))
        };
        match self.plan_start(start, known) {
            Ok((step, job)) => {
                record.job_id = Some(job.id);
                let answer = IntakeOutcome::Accepted { job_id: job.id, duplicate: false };
                (Step { delivery: Some(record), ..step }, answer)
            }
            Err(StartRefused::Active(active)) => {
                record.job_id = Some(active);
                let answer = IntakeOutcome::Ignored { reason: JOB_ACTIVE.to_owned(), job_id: Some(active) };
                let effects = reply(CannotStart::Running, &record).into_iter().collect();
                (Step { delivery: Some(record), effects, ..Step::default() }, answer)
            }
            Err(StartRefused::Refused(refused)) => {
                let answer = IntakeOutcome::Ignored { reason: refused.to_string(), job_id: latest };
                let is_merged = issue.is_some_and(|(_, status)| status == IssueStatus::Merged);
                let reason = if is_merged { CannotStart::Merged } else { CannotStart::State };
                let effects = reply(reason, &record).into_iter().collect();
                (Step { delivery: Some(record), effects, ..Step::default() }, answer)
            }
        }
    }

    /// Writes a reply on the issue, without a job.
    fn reply_step(
        &self,
        request: &TriggerRequest,
        command: &Command,
        record: &DeliveryRecord,
        known: IssueSnapshot,
    ) -> (Step, IntakeOutcome) {
        let latest = known.latest_job();
        let active = latest.filter(|job| !job.status().is_terminal());
        let ended = latest.filter(|job| job.status().is_terminal());
        let language = request.language;
        let nothing = |verb: &str| Some(Reply::NothingTo { verb: verb.to_owned(), language });
        let awaits_approval = active.is_some_and(Job::awaits_approval);
        let (name, reply) = match command {
            Command::Status => ("status", Some(Reply::Status)),
            Command::Cancel => ("cancel", if active.is_some() { None } else { nothing("cancel") }),
            Command::Retry => {
                let has_succeeded = ended.is_some_and(|job| job.status() == JobStatus::Succeeded);
                let reply = if has_succeeded { nothing("retry_success") } else { nothing("retry") };
                ("retry", reply.filter(|_| has_succeeded || ended.is_none()))
            }
            Command::Approve => ("approve", if awaits_approval { None } else { nothing("approve") }),
            Command::Help
            | Command::Unknown { .. }
            | Command::Fix { .. }
            | Command::Plan { .. }
            | Command::Restart { .. } => ("help", Some(Reply::Help { language })),
        };
        let answer = IntakeOutcome::Answered { command: name, job_id: latest.map(|job| job.id) };
        (self.reply_only_step(request, reply, record, known), answer)
    }

    fn reply_only_step(
        &self,
        request: &TriggerRequest,
        reply: Option<Reply>,
        record: &DeliveryRecord,
        known: IssueSnapshot,
    ) -> Step {
        let job_id = known.latest_job().map(|job| job.id);
        let record = DeliveryRecord { job_id, ..record.clone() };
        let (issue, issue_id) = if let Some(known) = known.issue {
            (None, known.value.id)
        } else {
            let issue = Issue { owner: request.owner, ..self.new_issue(&request.issue) };
            let id = issue.id;
            (Some(Write::Insert(issue)), id)
        };
        let effects = reply.map(|reply| self.reply_effect(&record, issue_id, job_id, reply)).into_iter().collect();
        Step { delivery: Some(record), issue, effects, ..Step::default() }
    }

    fn reply_effect(
        &self,
        record: &DeliveryRecord,
        issue_id: IssueId,
        job_id: Option<JobId>,
        reply: Reply,
    ) -> EffectRecord {
        let to = record.identity.clone().unwrap_or_else(|| record.id.to_string());
        EffectRecord {
            id: self.ports.ids.effect(),
            issue_id,
            job_id,
            effect: Effect::Reply { to, reply },
            created_at: record.received_at,
        }
    }

    /// Applies commands to existing jobs, after the delivery is known not to be a duplicate: `retry` to the latest job,
    /// `approve` to its plan, `cancel` to all that have not ended, `restart` to those before its own. A `plan` replaces
    /// the plan that waits.
    async fn apply_to_jobs(
        &self,
        request: &TriggerRequest,
        latest: Option<Job>,
        answer: IntakeOutcome,
    ) -> Result<IntakeOutcome, IntakeError> {
        let Some(latest) = latest else { return Ok(answer) };
        match (&request.command, &answer) {
            (Command::Cancel, _) => self.cancel_open_jobs(request, &latest, None, answer).await,
            (Command::Restart { .. }, IntakeOutcome::Accepted { job_id, .. }) => {
                let new = *job_id;
                self.cancel_open_jobs(request, &latest, Some(new), answer).await
            }
            (Command::Plan { .. }, IntakeOutcome::Accepted { job_id, .. })
                if latest.awaits_approval() && *job_id != latest.id =>
            {
                let new = *job_id;
                self.cancel_open_jobs(request, &latest, Some(new), answer).await
            }
            (Command::Approve, _) if latest.awaits_approval() => {
                let event = JobEvent::PlanApproved { by: request.actor.login.clone() };
                let answer = self.control(request, &latest, event, answer).await?;
                self.wake();
                Ok(answer)
            }
            (Command::Retry, _) => self.control(request, &latest, JobEvent::RestartRequested, answer).await,
            _ => Ok(answer),
        }
    }

    /// The newest first, so that none starts because the previous one ended.
    async fn cancel_open_jobs(
        &self,
        request: &TriggerRequest,
        latest: &Job,
        but: Option<JobId>,
        mut answer: IntakeOutcome,
    ) -> Result<IntakeOutcome, IntakeError> {
        let open = self.ports.store.open_jobs(latest.issue_id).await?;
        for job in open.iter().rev().map(|job| &job.value).filter(|job| Some(job.id) != but) {
            answer = self.control(request, job, JobEvent::CancelRequested, answer).await?;
            self.interrupt(job.id);
        }
        Ok(answer)
    }

    async fn control(
        &self,
        request: &TriggerRequest,
        job: &Job,
        event: JobEvent,
        answer: IntakeOutcome,
    ) -> Result<IntakeOutcome, IntakeError> {
        if !self.may_control(&request.actor.login, job) {
            let reason = format!("only {} may approve, cancel or retry this job", job.trigger.actor);
            return Ok(if matches!(answer, IntakeOutcome::Accepted { .. }) {
                tracing::info!(job_id = %job.id, reason, "failed to cancel the running job; the new one waits for it");
                answer
            } else {
                IntakeOutcome::Ignored { reason, job_id: Some(job.id) }
            });
        }
        match self.change_job(job.id, event).await {
            Ok(_) | Err(ChangeError::NotFound(_)) => Ok(answer),
            Err(ChangeError::Store(error)) => Err(error.into()),
            Err(ChangeError::Refused(_)) if matches!(answer, IntakeOutcome::Accepted { .. }) => Ok(answer),
            Err(ChangeError::Refused(refused)) => {
                Ok(IntakeOutcome::Ignored { reason: refused.to_string(), job_id: Some(job.id) })
            }
        }
    }

    /// Returns whether the actor may approve the plan of the job, cancel it and retry it: its starter may, and actors
    /// on the allow-list. Asking the forge would delay the response to the delivery.
    fn may_control(&self, login: &str, job: &Job) -> bool {
        job.trigger.actor.eq_ignore_ascii_case(login)
            || self.settings.allow.names_user(login)
            || self.settings.permission == TriggerPermission::Anyone
    }
}
