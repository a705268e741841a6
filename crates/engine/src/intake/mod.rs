//! From a signed delivery to a job, once.

mod wish;

use jiff::ToSpan as _;
use patchwright_core::store::{DeliveryRecord, EffectRecord, Step, StoreError, Versioned, Write};
use patchwright_core::webhook::{DecodeError, Delivery, Headers, InboundEvent, InboundIssue, SignatureError};
use patchwright_domain::effect::Reply;
use patchwright_domain::job::{JobTrigger, NewJob, PublishMode};
use patchwright_domain::trigger::Command;
use patchwright_domain::{
    BranchName, Effect, Issue, IssueEvent, IssueId, IssueStatus, Job, JobEvent, JobId, PlatformId,
};

use crate::Engine;
use crate::change::ChangeError;
use crate::engine::TriggerPermission;
use crate::intake::wish::Wish;

/// What a delivery is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There is a job for it.
    Accepted {
        /// The job.
        job_id: JobId,
        /// Whether the same delivery had made it before.
        duplicate: bool,
    },
    /// It asked for something else than a job, which will be answered on the issue.
    Answered {
        /// What: `help`, `status`, `cancel`, `retry`.
        command: &'static str,
        /// The job that it is about.
        job_id: Option<JobId>,
    },
    /// It starts nothing.
    Ignored {
        /// Why.
        reason: String,
        /// The job that stands for it, if one does.
        job_id: Option<JobId>,
    },
    /// Its actor or repository is not on the allow-list.
    Forbidden {
        /// Why.
        reason: String,
    },
}

/// A delivery whose signature was checked: the only kind that [`Engine::receive`] takes.
pub struct Verified<'a> {
    platform: PlatformId,
    headers: &'a (dyn Headers + Sync),
    body: &'a [u8],
}

impl<'a> Verified<'a> {
    /// Takes a delivery on trust. For `TEST_MODE` on a loopback address, and nothing else.
    pub fn trust_unsigned(platform: PlatformId, headers: &'a (dyn Headers + Sync), body: &'a [u8]) -> Self {
        Self { platform, headers, body }
    }
}

impl std::fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({}, {} bytes)", self.platform, self.body.len())
    }
}

/// A delivery cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// There is no door for this platform.
    #[error("this server takes no deliveries of {0}; configure the platform")]
    UnknownPlatform(PlatformId),
    /// It is not signed with our secret.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It makes no sense.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Nothing can be written now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A reason that other programs may compare with.
const JOB_ACTIVE: &str = "job_active";
const DUPLICATE_EVENT: &str = "duplicate_event";

/// How often a step is computed anew when others write the same issue.
const TRIES: u32 = 10;

impl Engine {
    /// Checks a delivery's signature. Nothing is parsed before that.
    ///
    /// # Errors
    /// [`IntakeError::UnknownPlatform`] and [`IntakeError::Signature`].
    pub fn verify<'a>(
        &self,
        platform: &PlatformId,
        headers: &'a (dyn Headers + Sync),
        body: &'a [u8],
    ) -> Result<Verified<'a>, IntakeError> {
        let door = self.webhook(platform).ok_or_else(|| IntakeError::UnknownPlatform(platform.clone()))?;
        door.verify(headers, body)?;
        Ok(Verified { platform: platform.clone(), headers, body })
    }

    /// Takes a verified delivery.
    ///
    /// # Errors
    /// [`IntakeError`]; after one, nothing is written.
    pub async fn receive(&self, verified: Verified<'_>) -> Result<Answer, IntakeError> {
        let Verified { platform, headers, body } = verified;
        let platform = &platform;
        let door = self.webhook(platform).ok_or_else(|| IntakeError::UnknownPlatform(platform.clone()))?;
        let delivery = door.decode(headers, body)?;
        let payload = || String::from_utf8_lossy(body).into_owned();
        tracing::info!(
            delivery_id = %delivery.id, event = %delivery.event_type, %platform, "a delivery was verified and read"
        );
        let wish = match self.wish(&delivery.event) {
            Ok(wish) => wish,
            Err(answer) => return self.without_wish(platform, delivery, answer, payload()).await,
        };
        if let Some(refusal) = self.refuse(&wish) {
            return Ok(refusal);
        }
        self.grant(platform, &delivery, &wish, payload()).await
    }

    /// Events that ask for nothing, but may tell how a pull request of ours ended.
    async fn without_wish(
        &self,
        platform: &PlatformId,
        delivery: Delivery,
        answer: Answer,
        payload: String,
    ) -> Result<Answer, IntakeError> {
        let InboundEvent::PullRequestClosed { repo, head, merged, .. } = &delivery.event else { return Ok(answer) };
        let Some(job) = self.ports.store.job_by_branch(platform, &repo.to_string(), head).await? else {
            return Ok(answer);
        };
        let job = job.value;
        let event = if *merged { IssueEvent::Merge } else { IssueEvent::CloseUnmerged };
        let mut record = self.delivery_record(platform, &delivery, None, payload);
        record.job_id = Some(job.id);
        for _ in 0..TRIES {
            let Some(known) = self.ports.store.issue(job.issue_id).await? else { return Ok(answer) };
            let Ok(issue) = known.value.advance(event, self.ports.clock.now()) else {
                return Ok(Answer::Ignored { reason: "the issue is past that already".into(), job_id: Some(job.id) });
            };
            let issue = Some(Write::Update(Versioned { value: issue, revision: known.revision }));
            let step = Step { delivery: Some(record.clone()), issue, ..Step::default() };
            match self.ports.store.commit(step).await {
                Err(StoreError::Stale { .. }) => {}
                Err(StoreError::Repeated { .. }) | Ok(()) => {
                    let how = if *merged { "merged" } else { "closed unmerged" };
                    let reason = format!("noted: the pull request was {how}");
                    return Ok(Answer::Ignored { reason, job_id: Some(job.id) });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Stale { what: "issue" }.into())
    }

    async fn grant(
        &self,
        platform: &PlatformId,
        delivery: &Delivery,
        wish: &Wish,
        payload: String,
    ) -> Result<Answer, IntakeError> {
        let record = self.delivery_record(platform, delivery, wish.identity.clone(), payload);
        for _ in 0..TRIES {
            let known = self.ports.store.issue_by_source(&wish.issue.source).await?;
            let latest = match &known {
                Some(issue) => self.ports.store.latest_job(issue.value.id).await?,
                None => None,
            };
            let latest = latest.map(|job| job.value);
            let (step, answer) = match &wish.command {
                Command::Fix { instructions } => {
                    self.fix_step(wish, instructions.clone(), &record, known, latest.as_ref())
                }
                command => self.reply_step(wish, command, &record, known, latest.as_ref()),
            };
            match self.ports.store.commit(step).await {
                Ok(()) => {
                    self.wake();
                    return self.carry_out(wish, latest, answer).await;
                }
                Err(StoreError::Stale { .. }) => {}
                Err(StoreError::Repeated { job_id: Some(job_id), same_delivery: true }) => {
                    return Ok(Answer::Accepted { job_id, duplicate: true });
                }
                Err(StoreError::Repeated { job_id, .. }) => {
                    return Ok(Answer::Ignored { reason: DUPLICATE_EVENT.to_owned(), job_id });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Stale { what: "issue" }.into())
    }

    fn delivery_record(
        &self,
        platform: &PlatformId,
        delivery: &Delivery,
        identity: Option<String>,
        payload: String,
    ) -> DeliveryRecord {
        DeliveryRecord {
            platform: platform.clone(),
            id: delivery.id.clone(),
            identity,
            event_type: delivery.event_type.clone(),
            job_id: None,
            received_at: self.ports.clock.now(),
            payload,
        }
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
        let answer = Answer::Answered { command: name, job_id: latest.map(|job| job.id) };
        (Step { delivery: Some(record), issue, effects, ..Step::default() }, answer)
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
