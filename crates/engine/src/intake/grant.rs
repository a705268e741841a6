//! Doing what was asked: one step with everything in it, or an answer.

use std::sync::atomic::{AtomicBool, Ordering};

use patchwright_core::store::{DeliveryRecord, EffectRecord, Step, StoreError, Write};
use patchwright_domain::effect::Reply;
use patchwright_domain::job::{JobTrigger, PublishMode};
use patchwright_domain::trigger::Command;
use patchwright_domain::{Effect, Issue, Job, JobEvent, JobId};

use super::limits::Room;
use super::wish::Wish;
use super::{Answer, IntakeError};
use crate::Engine;
use crate::change::ChangeError;
use crate::engine::TriggerPermission;
use crate::start::{Known, NotStarted, Wanted};

/// Reasons that other programs may compare with.
const JOB_ACTIVE: &str = "job_active";
const DUPLICATE_EVENT: &str = "duplicate_event";
const RATE_LIMITED: &str = "rate_limited";

impl Engine {
    pub(crate) async fn grant(&self, wish: Wish, mut record: DeliveryRecord) -> Result<Answer, IntakeError> {
        record.identity.clone_from(&wish.identity);
        let room = self.throttles.room(&wish.actor.login, &wish.issue.source, record.received_at);
        let heard_of = AtomicBool::new(false);
        let written = self
            .write(async || {
                // Most issues are heard of for the first time: that is written without a look, and a known one is
                // noticed by the refusal. It saves every first delivery the way to the database and back.
                let look = heard_of.swap(true, Ordering::Relaxed);
                let known = if look { self.known(&wish.issue).await? } else { Known::default() };
                let latest = known.latest_job().cloned();
                let (step, answer) = match (&room, &wish.command) {
                    (Room::None { notice }, _) => self.too_many_step(&wish, *notice, &record, known),
                    (Room::Some, Command::Fix { instructions }) => {
                        self.fix_step(&wish, instructions.clone(), wish.says_more, &record, known)
                    }
                    (Room::Some, Command::Restart { instructions }) => {
                        self.fix_step(&wish, instructions.clone(), true, &record, known)
                    }
                    (Room::Some, command) => self.reply_step(&wish, command, &record, known),
                };
                Ok::<_, StoreError>((step, (latest, answer)))
            })
            .await;
        let (latest, answer) = match written {
            Ok(written) => written,
            Err(StoreError::Repeated { job_id, same_delivery, altered }) => {
                if altered {
                    tracing::warn!(delivery_id = %record.id, platform = %record.platform, "a known delivery came again with another body; the first one counts");
                }
                return Ok(match job_id {
                    Some(job_id) if same_delivery => Answer::Accepted { job_id, duplicate: true },
                    job_id => Answer::Ignored { reason: DUPLICATE_EVENT.to_owned(), job_id },
                });
            }
            Err(error) => return Err(error.into()),
        };
        self.throttles.note(&wish.actor.login, &wish.issue.source, record.received_at);
        if let Answer::Accepted { job_id, .. } = &answer {
            tracing::info!(%job_id, issue = %wish.issue.source, actor = %wish.actor.login, delivery_id = %record.id, "a job was accepted");
        }
        if room == Room::Some { self.carry_out(&wish, latest, answer).await } else { Ok(answer) }
    }

    /// Nothing but the delivery, and once in a while a word about it.
    fn too_many_step(&self, wish: &Wish, notice: bool, record: &DeliveryRecord, known: Known) -> (Step, Answer) {
        let answer = Answer::Ignored { reason: RATE_LIMITED.to_owned(), job_id: known.latest_job().map(|job| job.id) };
        if !notice {
            return (Step { delivery: Some(record.clone()), ..Step::default() }, answer);
        }
        let reply = Reply::TooMany { per_hour: self.settings.limits.per_issue };
        (self.answer_step(wish, Some(reply), record, known), answer)
    }

    /// A job for the issue: its first, or a follow-up when there is something new to say while one is at work.
    fn fix_step(
        &self,
        wish: &Wish,
        instructions: Option<String>,
        more: bool,
        record: &DeliveryRecord,
        known: Known,
    ) -> (Step, Answer) {
        let mut record = record.clone();
        let trigger = JobTrigger {
            kind: wish.kind,
            event_type: record.event_type.clone(),
            actor: wish.actor.login.clone(),
            instructions,
            comment_id: wish.comment_id.clone(),
            at: record.received_at,
        };
        let latest = known.latest_job().map(|job| job.id);
        let wanted = Wanted { more, owner: wish.owner, ..Wanted::new(&wish.issue, trigger, PublishMode::PullRequest) };
        match self.plan_start(wanted, known) {
            Ok((step, job)) => {
                record.job_id = Some(job.id);
                let answer = Answer::Accepted { job_id: job.id, duplicate: false };
                (Step { delivery: Some(record), ..step }, answer)
            }
            Err(NotStarted::Active(active)) => {
                record.job_id = Some(active);
                let answer = Answer::Ignored { reason: JOB_ACTIVE.to_owned(), job_id: Some(active) };
                (Step { delivery: Some(record), ..Step::default() }, answer)
            }
            Err(NotStarted::Refused(refused)) => {
                let answer = Answer::Ignored { reason: refused.to_string(), job_id: latest };
                (Step { delivery: Some(record), ..Step::default() }, answer)
            }
        }
    }

    /// An answer on the issue, without a job.
    fn reply_step(&self, wish: &Wish, command: &Command, record: &DeliveryRecord, known: Known) -> (Step, Answer) {
        let latest = known.latest_job();
        let active = latest.filter(|job| !job.status().is_terminal());
        let ended = latest.filter(|job| job.status().is_terminal());
        let nothing = |verb: &str| Some(Reply::NothingTo { verb: verb.to_owned() });
        let (name, reply) = match command {
            Command::Status => ("status", Some(Reply::Status)),
            Command::Cancel => ("cancel", if active.is_some() { None } else { nothing("cancel") }),
            Command::Retry => ("retry", if ended.is_some() { None } else { nothing("retry") }),
            Command::Help | Command::Unknown { .. } | Command::Fix { .. } | Command::Restart { .. } => {
                ("help", Some(Reply::Help))
            }
        };
        let answer = Answer::Answered { command: name, job_id: latest.map(|job| job.id) };
        (self.answer_step(wish, reply, record, known), answer)
    }

    fn answer_step(&self, wish: &Wish, reply: Option<Reply>, record: &DeliveryRecord, known: Known) -> Step {
        let job_id = known.latest_job().map(|job| job.id);
        let record = DeliveryRecord { job_id, ..record.clone() };
        let (issue, issue_id) = if let Some(known) = known.issue {
            (None, known.value.id)
        } else {
            let issue = Issue { owner: wish.owner, ..self.new_issue(&wish.issue) };
            let id = issue.id;
            (Some(Write::Insert(issue)), id)
        };
        let to = record.identity.clone().unwrap_or_else(|| record.id.to_string());
        let effects = reply
            .map(|reply| EffectRecord {
                id: self.ports.ids.effect(),
                issue_id,
                job_id,
                effect: Effect::Reply { to, reply },
                created_at: record.received_at,
            })
            .into_iter()
            .collect();
        Step { delivery: Some(record), issue, effects, ..Step::default() }
    }

    /// What acts on jobs that are there is done once the delivery is known to be the first of its kind: `retry` on the
    /// latest job, `cancel` on all that have not ended, `restart` on those before its own.
    async fn carry_out(&self, wish: &Wish, latest: Option<Job>, answer: Answer) -> Result<Answer, IntakeError> {
        let Some(latest) = latest else { return Ok(answer) };
        match (&wish.command, &answer) {
            (Command::Cancel, _) => self.stop_open_jobs(wish, &latest, None, answer).await,
            (Command::Restart { .. }, Answer::Accepted { job_id, .. }) => {
                let new = *job_id;
                self.stop_open_jobs(wish, &latest, Some(new), answer).await
            }
            (Command::Retry, _) => self.steer(wish, &latest, JobEvent::RestartRequested, answer).await,
            _ => Ok(answer),
        }
    }

    /// The youngest first, so that none begins because the one before it ended.
    async fn stop_open_jobs(
        &self,
        wish: &Wish,
        latest: &Job,
        but: Option<JobId>,
        mut answer: Answer,
    ) -> Result<Answer, IntakeError> {
        let open = self.ports.store.open_jobs(latest.issue_id).await?;
        for job in open.iter().rev().map(|job| &job.value).filter(|job| Some(job.id) != but) {
            answer = self.steer(wish, job, JobEvent::CancelRequested, answer).await?;
            self.interrupt(job.id);
        }
        Ok(answer)
    }

    async fn steer(&self, wish: &Wish, job: &Job, event: JobEvent, answer: Answer) -> Result<Answer, IntakeError> {
        if !self.may_steer(&wish.actor.login, job) {
            let reason = format!("only {} may cancel or retry this job", job.trigger.actor);
            return Ok(if matches!(answer, Answer::Accepted { .. }) {
                tracing::info!(job_id = %job.id, reason, "the job that runs is not stopped; the new one waits for it");
                answer
            } else {
                Answer::Ignored { reason, job_id: Some(job.id) }
            });
        }
        match self.change_job(job.id, event).await {
            Ok(_) | Err(ChangeError::NotFound(_)) => Ok(answer),
            Err(ChangeError::Store(error)) => Err(error.into()),
            Err(ChangeError::Refused(_)) if matches!(answer, Answer::Accepted { .. }) => Ok(answer),
            Err(ChangeError::Refused(refused)) => {
                Ok(Answer::Ignored { reason: refused.to_string(), job_id: Some(job.id) })
            }
        }
    }

    /// Who started a job may stop and repeat it, and who is named on the allow-list. The forge cannot be asked here:
    /// it would hold up the answer to the delivery.
    fn may_steer(&self, login: &str, job: &Job) -> bool {
        job.trigger.actor.eq_ignore_ascii_case(login)
            || self.settings.allow.names_user(login)
            || self.settings.permission == TriggerPermission::Anyone
    }
}
