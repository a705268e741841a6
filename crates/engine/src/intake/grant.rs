//! Doing what was asked: one step with everything in it, or an answer.

use jiff::ToSpan as _;
use patchwright_core::store::{DeliveryRecord, EffectRecord, Step, StoreError, Versioned, Write};
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::effect::Reply;
use patchwright_domain::job::{JobTrigger, NewJob, PublishMode};
use patchwright_domain::trigger::Command;
use patchwright_domain::{BranchName, Effect, Issue, IssueEvent, IssueId, IssueStatus, Job, JobEvent};

use super::limits::Room;
use super::wish::Wish;
use super::{Answer, IntakeError, TRIES};
use crate::Engine;
use crate::change::ChangeError;
use crate::engine::TriggerPermission;

/// Reasons that other programs may compare with.
const JOB_ACTIVE: &str = "job_active";
const DUPLICATE_EVENT: &str = "duplicate_event";
const RATE_LIMITED: &str = "rate_limited";

impl Engine {
    pub(super) async fn grant(&self, wish: Wish, mut record: DeliveryRecord) -> Result<Answer, IntakeError> {
        record.identity.clone_from(&wish.identity);
        let room = self.throttles.room(&wish.actor.login, &wish.issue.source, record.received_at);
        for attempt in 0..TRIES {
            // Most issues are heard of for the first time: that is written without a look, and a known one is noticed
            // by the refusal. It saves every first delivery the way to the database and back.
            let known = if attempt == 0 { None } else { self.ports.store.issue_by_source(&wish.issue.source).await? };
            let latest = match &known {
                Some(issue) => self.ports.store.latest_job(issue.value.id).await?,
                None => None,
            };
            let latest = latest.map(|job| job.value);
            let (step, answer) = match (&room, &wish.command) {
                (Room::None { notice }, _) => self.too_many_step(&wish, *notice, &record, known, latest.as_ref()),
                (Room::Some, Command::Fix { instructions }) => {
                    self.fix_step(&wish, instructions.clone(), &record, known, latest.as_ref())
                }
                (Room::Some, command) => self.reply_step(&wish, command, &record, known, latest.as_ref()),
            };
            match self.ports.store.commit(step).await {
                Ok(()) => {
                    self.throttles.note(&wish.actor.login, &wish.issue.source, record.received_at);
                    self.wake();
                    if let Answer::Accepted { job_id, .. } = &answer {
                        tracing::info!(%job_id, issue = %wish.issue.source, actor = %wish.actor.login, delivery_id = %record.id, "a job was accepted");
                    }
                    return if room == Room::Some { self.carry_out(&wish, latest, answer).await } else { Ok(answer) };
                }
                Err(StoreError::Stale { .. }) => {}
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
            }
        }
        Err(StoreError::Stale { what: "issue" }.into())
    }

    /// Nothing but the delivery, and once in a while a word about it.
    fn too_many_step(
        &self,
        wish: &Wish,
        notice: bool,
        record: &DeliveryRecord,
        known: Option<Versioned<Issue>>,
        latest: Option<&Job>,
    ) -> (Step, Answer) {
        let answer = Answer::Ignored { reason: RATE_LIMITED.to_owned(), job_id: latest.map(|job| job.id) };
        if !notice {
            return (Step { delivery: Some(record.clone()), ..Step::default() }, answer);
        }
        let reply = Reply::TooMany { per_hour: self.settings.limits.per_issue };
        (self.answer_step(wish, Some(reply), record, known, latest), answer)
    }

    /// A new job for the issue, unless one is at work.
    fn fix_step(
        &self,
        wish: &Wish,
        instructions: Option<String>,
        record: &DeliveryRecord,
        known: Option<Versioned<Issue>>,
        latest: Option<&Job>,
    ) -> (Step, Answer) {
        let mut record = record.clone();
        if let Some(active) = latest.filter(|job| !job.status().is_terminal()) {
            record.job_id = Some(active.id);
            let answer = Answer::Ignored { reason: JOB_ACTIVE.to_owned(), job_id: Some(active.id) };
            return (Step { delivery: Some(record), ..Step::default() }, answer);
        }
        let (issue, issue_id) = match self.started_issue(&wish.issue, known) {
            Ok(started) => started,
            Err(refused) => {
                let answer = Answer::Ignored { reason: refused.to_string(), job_id: latest.map(|job| job.id) };
                return (Step { delivery: Some(record), ..Step::default() }, answer);
            }
        };
        let trigger = JobTrigger {
            kind: wish.kind,
            event_type: record.event_type.clone(),
            actor: wish.actor.login.clone(),
            instructions,
            comment_id: wish.comment_id.clone(),
            at: record.received_at,
        };
        let job = self.new_job(&wish.issue, issue_id, trigger, PublishMode::PullRequest, latest);
        record.job_id = Some(job.id);
        let answer = Answer::Accepted { job_id: job.id, duplicate: false };
        let effects = self.records(&job, job.accepted_effects(), record.received_at);
        let step = Step {
            delivery: Some(record),
            issue: Some(issue),
            job: Some(Write::Insert(job)),
            effects,
            ..Step::default()
        };
        (step, answer)
    }

    /// The issue with the start noted: new, or as it is known, with its newest text.
    pub(crate) fn started_issue(
        &self,
        inbound: &InboundIssue,
        known: Option<Versioned<Issue>>,
    ) -> Result<(Write<Issue>, IssueId), patchwright_domain::Refused> {
        let now = self.ports.clock.now();
        let Some(known) = known else {
            let issue = Issue { status: IssueStatus::Processing, ..self.new_issue(inbound) };
            let id = issue.id;
            return Ok((Write::Insert(issue), id));
        };
        let mut issue = known.value.advance(IssueEvent::Start, now)?;
        issue.title.clone_from(&inbound.title);
        issue.body.clone_from(&inbound.body);
        let id = issue.id;
        Ok((Write::Update(Versioned { value: issue, revision: known.revision }), id))
    }

    fn new_issue(&self, inbound: &InboundIssue) -> Issue {
        let now = self.ports.clock.now();
        Issue {
            id: self.ports.ids.issue(),
            source: inbound.source.clone(),
            title: inbound.title.clone(),
            body: inbound.body.clone(),
            author: inbound.author.clone(),
            status: IssueStatus::Pending,
            created_at: now,
            updated_at: now,
        }
    }

    pub(crate) fn new_job(
        &self,
        inbound: &InboundIssue,
        issue_id: IssueId,
        trigger: JobTrigger,
        publish: PublishMode,
        latest: Option<&Job>,
    ) -> Job {
        let number = inbound.source.number;
        let mut branch = BranchName::for_issue(number, trigger.at);
        // Two jobs of one issue in the same second must not share a branch.
        let mut at = trigger.at;
        while latest.is_some_and(|job| job.branch == branch) {
            at = at.saturating_add(1.second()).unwrap_or(at);
            branch = BranchName::for_issue(number, at);
        }
        let main = || BranchName::parse("main").expect("`main` is a branch name");
        Job::new(NewJob {
            id: self.ports.ids.job(),
            issue_id,
            source: inbound.source.clone(),
            title: inbound.title.clone(),
            trigger,
            branch,
            base_branch: inbound.default_branch.clone().unwrap_or_else(main),
            publish,
        })
    }

    /// An answer on the issue, without a job.
    fn reply_step(
        &self,
        wish: &Wish,
        command: &Command,
        record: &DeliveryRecord,
        known: Option<Versioned<Issue>>,
        latest: Option<&Job>,
    ) -> (Step, Answer) {
        let active = latest.filter(|job| !job.status().is_terminal());
        let ended = latest.filter(|job| job.status().is_terminal());
        let nothing = |verb: &str| Some(Reply::NothingTo { verb: verb.to_owned() });
        let (name, reply) = match command {
            Command::Status => ("status", Some(Reply::Status)),
            Command::Cancel => ("cancel", if active.is_some() { None } else { nothing("cancel") }),
            Command::Retry => ("retry", if ended.is_some() { None } else { nothing("retry") }),
            Command::Help | Command::Unknown { .. } | Command::Fix { .. } => ("help", Some(Reply::Help)),
        };
        let answer = Answer::Answered { command: name, job_id: latest.map(|job| job.id) };
        (self.answer_step(wish, reply, record, known, latest), answer)
    }

    fn answer_step(
        &self,
        wish: &Wish,
        reply: Option<Reply>,
        record: &DeliveryRecord,
        known: Option<Versioned<Issue>>,
        latest: Option<&Job>,
    ) -> Step {
        let mut record = record.clone();
        record.job_id = latest.map(|job| job.id);
        let (issue, issue_id) = if let Some(known) = known {
            (None, known.value.id)
        } else {
            let issue = self.new_issue(&wish.issue);
            let id = issue.id;
            (Some(Write::Insert(issue)), id)
        };
        let to = record.identity.clone().unwrap_or_else(|| record.id.to_string());
        let effects = reply
            .map(|reply| EffectRecord {
                id: self.ports.ids.effect(),
                issue_id,
                job_id: latest.map(|job| job.id),
                effect: Effect::Reply { to, reply },
                created_at: record.received_at,
            })
            .into_iter()
            .collect();
        Step { delivery: Some(record), issue, effects, ..Step::default() }
    }

    /// `cancel` and `retry` act on the latest job once the delivery is known to be the first of its kind.
    async fn carry_out(&self, wish: &Wish, latest: Option<Job>, answer: Answer) -> Result<Answer, IntakeError> {
        let event = match wish.command {
            Command::Cancel => JobEvent::CancelRequested,
            Command::Retry => JobEvent::RestartRequested,
            _ => return Ok(answer),
        };
        let Some(job) = latest else { return Ok(answer) };
        if !self.may_steer(&wish.actor.login, &job) {
            let reason = format!("only {} may cancel or retry this job", job.trigger.actor);
            return Ok(Answer::Ignored { reason, job_id: Some(job.id) });
        }
        match self.change_job(job.id, event).await {
            Ok(_) => {
                if wish.command == Command::Cancel {
                    self.interrupt(job.id);
                }
                Ok(answer)
            }
            Err(ChangeError::Store(error)) => Err(error.into()),
            Err(ChangeError::Refused(refused)) => {
                Ok(Answer::Ignored { reason: refused.to_string(), job_id: Some(job.id) })
            }
            Err(ChangeError::Gone(_)) => Ok(answer),
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
