//! Delivery of effects to forges and trackers: attempted at least once, visible once.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::fault::Fault;
use patchwright_core::forge::{Forge, ForgeError, NewPullRequest, PullRequestHead};
use patchwright_core::meter::MeterEvent;
use patchwright_core::store::{ClaimedEffect, EffectOutcome, StoreError};
use patchwright_core::tracker::Tracker;
use patchwright_domain::effect::Reply;
use patchwright_domain::job::OtherPullRequest;
use patchwright_domain::notification::{Notice, NotificationEvent};
use patchwright_domain::trigger::Language;
use patchwright_domain::{Effect, EffectId, IssueRef, Job, JobEvent, JobId, JobStatus, Milestone, PlatformId};

use crate::Engine;
use crate::backoff::backoff;
use crate::change::ChangeError;
use crate::ci::Successor;
use crate::render::{self, Renderer};
use patchwright_core::fault::error_chain;
use patchwright_core::outgoing_text::{OutgoingText, shorten};

/// How many pull requests of others are shown.
const MAX_OTHERS: usize = 5;

/// How often an effect is tried; with the doubling waits this takes about a day.
const MAX_ATTEMPTS: u32 = 14;
/// How often an answer that makes no sense, or a refusal to open a pull request, is doubted: a proxy may have sent it, and a
/// branch that was just pushed is not yet known everywhere. Before each further attempt the forge is asked for the result.
const MAX_DOUBTS: u32 = 4;
/// How long a job waits for its pull request, also when the forge asks for patience.
const MAX_PUBLISHING: SignedDuration = SignedDuration::from_hours(24);
/// A comment is retried sooner than a whole job.
const EFFECTS_SOONER: u32 = 6;

/// The context of an effect: its job, forge and tracker.
struct Subject {
    job: Option<Job>,
    /// The forge of the repository.
    forge: Arc<dyn Forge>,
    /// The tracker of the issue, which is mostly the same forge.
    tracker: Arc<dyn Tracker>,
    issue: IssueRef,
}

/// The result of a delivered effect.
pub(crate) enum Delivered {
    /// Nothing to store.
    Done,
    /// An event that the job must store.
    Noted(Box<JobEvent>),
    /// To be delivered again, because there is more to come.
    Again {
        /// An event that the job must store.
        event: Option<Box<JobEvent>>,
        /// The time of the next delivery.
        at: Timestamp,
    },
}

impl Engine {
    /// Delivers the oldest due effect, if there is one. Effects of one issue are delivered in order.
    ///
    /// # Errors
    /// [`StoreError`]. A failing forge is no error here: the effect is retried later.
    pub async fn deliver_next(&self) -> Result<Option<EffectId>, StoreError> {
        let now = self.ports.clock.now();
        // Leased as long as a job is: the effect of a killed worker becomes due again when the lease expires.
        let hold = self.settings().lease;
        let until = now.saturating_add(SignedDuration::try_from(hold).unwrap_or(SignedDuration::MAX)).unwrap_or(now);
        let Some(claimed) = self.ports.store.claim_effect(now, until).await? else { return Ok(None) };
        let id = claimed.record.id;
        if let Effect::Notify { event } = claimed.record.effect {
            self.tell_people(&claimed, event).await?;
            self.ports.store.settle_effect(id, EffectOutcome::Done).await?;
            self.wake();
            return Ok(Some(id));
        }
        let result = match self.subject(&claimed).await? {
            Some(subject) => {
                // The attempt times out before the lease expires, so that two workers never deliver one effect at the
                // same time.
                let delivery = Box::pin(self.deliver(&claimed, &subject));
                tokio::time::timeout(hold.mul_f64(0.75), delivery).await.unwrap_or_else(|_| {
                    let detail = "no answer in time".to_owned();
                    Err(ForgeError::Unavailable { platform: subject.issue.platform.clone(), detail })
                })
            }
            // The issue, its tracker or its forge is gone: the effect cannot be visible.
            None if publishes(&claimed.record.effect) => {
                self.give_up(&claimed, "the forge of the repository is not configured any more".to_owned()).await?;
                return Ok(Some(id));
            }
            None => Ok(Delivered::Done),
        };
        self.settle(&claimed, result).await?;
        Ok(Some(id))
    }

    /// Queues a notice for every channel that subscribes to it. Channels have their own queue, so that an unreachable
    /// one does not delay the comments of the issue.
    async fn tell_people(&self, claimed: &ClaimedEffect, event: NotificationEvent) -> Result<(), StoreError> {
        let Some(issue) = self.ports.store.issue(claimed.record.issue_id).await? else { return Ok(()) };
        let job = match claimed.record.job_id {
            Some(id) => self.job(id).await?,
            None => None,
        };
        let Some(job) = job else { return Ok(()) };
        let issue = issue.value;
        let redact = |text: &str| self.ports.tools.redactor().redact(text);
        let notice = Notice {
            event,
            at: claimed.record.created_at,
            repository: issue.source.repo.to_string(),
            issue_id: issue.id,
            issue_number: issue.source.number.display,
            issue_title: redact(&shorten(&issue.title, 200)),
            issue_url: self.issue_url(&issue.source).unwrap_or_default(),
            owner: issue.owner,
            job_id: job.id,
            verdict: job.verdict.map(|verdict| verdict.as_str().to_owned()),
            reason: job.failure.as_ref().map(|failure| redact(&shorten(&failure.reason, 500))),
            pull_request_url: job.published.pull_request.as_ref().map(|pull_request| pull_request.url.clone()),
        };
        self.ports.notices.post_notice(claimed.record.id, &notice).await
    }

    async fn subject(&self, claimed: &ClaimedEffect) -> Result<Option<Subject>, StoreError> {
        let job = match claimed.record.job_id {
            Some(id) => self.job(id).await?,
            None => None,
        };
        let Some(issue) = self.ports.store.issue(claimed.record.issue_id).await? else { return Ok(None) };
        let issue = issue.value.source;
        let forge = self.ports.forges.get(&issue.platform).cloned();
        let (Some(forge), Some(tracker)) = (forge, self.tracker(&issue)) else { return Ok(None) };
        Ok(Some(Subject { job, forge, tracker, issue }))
    }

    async fn deliver(&self, claimed: &ClaimedEffect, subject: &Subject) -> Result<Delivered, ForgeError> {
        let again = claimed.attempt > 1;
        let Subject { forge, tracker, issue, .. } = subject;
        if let Effect::Reply { to, reply, pull_request } = &claimed.record.effect {
            let text = self.reply(reply, subject);
            // What a person is told once on an issue may have been told long ago.
            let is_once = matches!(reply, Reply::Help { .. } | Reply::NotPermitted { .. });
            let (mark, look) = (format!("reply {to}"), again || is_once);
            match pull_request {
                Some(number) => self.comment_pull_request_once(forge, issue, *number, &mark, &text, look).await?,
                None => self.comment_once(tracker.as_ref(), issue, &mark, &text, look).await.map(|_| ())?,
            }
            return Ok(Delivered::Done);
        }
        let Some(job) = &subject.job else { return Ok(Delivered::Done) };
        match &claimed.record.effect {
            Effect::Acknowledge => {
                if job.published.comment_id.is_some() {
                    return Ok(Delivered::Done);
                }
                let others = self.others(forge.as_ref(), job).await;
                let mut shown = job.clone();
                shown.published.others.clone_from(&others);
                let (mark, text) = (progress_subject(job), self.progress_text(&shown));
                let id = self.comment_once(tracker.as_ref(), issue, &mark, &text, again).await?;
                Ok(Delivered::Noted(Box::new(JobEvent::CommentPosted { id, others })))
            }
            Effect::RefreshProgress => self.refresh(subject, job).await,
            Effect::OpenPullRequest => self.open_pull_request(forge, job, again).await,
            Effect::MarkReady => {
                let Some(pull_request) = job.published.open_pull_request().filter(|_| !job.published.ready) else {
                    return Ok(Delivered::Done);
                };
                // The commit on the branch is then one that this job knows nothing about.
                let successor = self.successor(job).await.map_err(|error| internal(&job.source.platform, &error))?;
                if successor == Successor::Pushed {
                    return Ok(Delivered::Done);
                }
                forge.mark_ready(&job.source.repo, pull_request).await?;
                self.request_review(forge.as_ref(), job, pull_request.number).await;
                Ok(Delivered::Noted(Box::new(JobEvent::PullRequestReady)))
            }
            Effect::PostResult => {
                // The job was restarted: its next end has its own comment.
                if !job.status().is_terminal() || job.published.result_comment_id.is_some() {
                    return Ok(Delivered::Done);
                }
                let text = self.renderer(job.trigger.language).result_comment(job);
                let mark = format!("result {} {}", job.id, job.epoch);
                let id = self.comment_once(tracker.as_ref(), issue, &mark, &text, again).await?;
                Ok(Delivered::Noted(Box::new(JobEvent::ResultPosted { id })))
            }
            Effect::Transition { to } => self.transition(subject, job, *to).await,
            Effect::LinkPullRequest => {
                if let Some(pull_request) = &job.published.pull_request {
                    let title = render::pull_request_title(job).redact(self.ports.tools.redactor());
                    tracker.link_pull_request(issue, pull_request, &title).await?;
                }
                Ok(Delivered::Done)
            }
            Effect::ReadCi { commit, base } => self.read_ci(claimed, forge, job, commit, base).await,
            Effect::Notify { .. } | Effect::Reply { .. } => Ok(Delivered::Done),
        }
    }

    /// Changes the status of the tracker's issue. A transition that the tracker's workflow forbids is logged and does
    /// not fail the job.
    async fn transition(&self, subject: &Subject, job: &Job, to: Milestone) -> Result<Delivered, ForgeError> {
        if to == Milestone::InReview && job.published.open_pull_request().is_none() {
            return Ok(Delivered::Done);
        }
        match subject.tracker.transition(&subject.issue, to).await {
            Err(error) if !matches!(error.fault(), Fault::Retry { .. }) => {
                let (issue, error) = (subject.issue.name(), self.ports.tools.redactor().redact(&error_chain(&error)));
                tracing::warn!(issue, milestone = to.as_str(), error, "failed to change the status of the issue");
                Ok(Delivered::Done)
            }
            other => other.map(|()| Delivered::Done),
        }
    }

    /// Returns what others have open for the issue, so that whoever asked can cancel before much is spent. The job goes on without it.
    async fn others(&self, forge: &dyn Forge, job: &Job) -> Vec<OtherPullRequest> {
        if job.follows.is_some() || job.source.tracker.is_some() {
            return Vec::new();
        }
        match forge.pull_requests_naming(&job.source).await {
            Ok(mut others) => {
                others.truncate(MAX_OTHERS);
                others
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "failed to look for other pull requests of the issue");
                Vec::new()
            }
        }
    }

    /// Asks whoever asked for the job on the forge to review its result. The result stands without that.
    pub(crate) async fn request_review(&self, forge: &dyn Forge, job: &Job, number: u64) {
        if job.trigger.kind.is_ours() || job.source.tracker.is_some() {
            return;
        }
        if let Err(error) = forge.request_review(&job.source.repo, number, &job.trigger.actor).await {
            tracing::warn!(error = %error_chain(&error), "failed to ask the requester for a review");
        }
    }

    /// Updates the progress comment and the panel to the current state.
    async fn refresh(&self, subject: &Subject, job: &Job) -> Result<Delivered, ForgeError> {
        let Subject { forge, tracker, .. } = subject;
        if let Some(id) = &job.published.comment_id {
            let text = self.sealed(&self.progress_text(job), &progress_subject(job), tracker.as_ref());
            tracker.edit_comment(&job.source, id, &text).await?;
        }
        if let Some(pull_request) = job.published.open_pull_request() {
            let standing = self.standing_job(job).await.map_err(|error| internal(&job.source.platform, &error))?;
            forge
                .update_pull_request(&job.source.repo, pull_request.number, &self.panel(job, standing.as_ref(), forge))
                .await?;
        }
        Ok(Delivered::Done)
    }

    async fn open_pull_request(&self, forge: &Arc<dyn Forge>, job: &Job, again: bool) -> Result<Delivered, ForgeError> {
        if job.published.open_pull_request().is_some() {
            return Ok(Delivered::Done);
        }
        let repo = &job.source.repo;
        let head = PullRequestHead { fork: job.published.fork.clone(), branch: job.branch.clone() };
        let found = if again { forge.find_pull_request(repo, &head).await? } else { None };
        if let Some(found) = found {
            return Ok(Delivered::Noted(Box::new(JobEvent::PullRequestOpened(found))));
        }
        let new = NewPullRequest {
            head: head.clone(),
            base: job.base_branch.clone(),
            title: render::pull_request_title(job).redact(self.ports.tools.redactor()),
            body: self.panel(job, None, forge),
            draft: true,
        };
        let opened = match forge.create_pull_request(repo, &new).await {
            Ok(opened) => opened,
            // An earlier attempt may have succeeded without a response.
            Err(error @ ForgeError::Refused { .. }) => forge.find_pull_request(repo, &head).await?.ok_or(error)?,
            Err(error) => return Err(error),
        };
        tracing::info!(job_id = %job.id, pull_request = opened.number, "opened the pull request");
        Ok(Delivered::Noted(Box::new(JobEvent::PullRequestOpened(opened))))
    }

    /// Writes a comment unless an earlier attempt wrote it, and returns its id either way.
    pub(crate) async fn comment_once(
        &self,
        tracker: &dyn Tracker,
        issue: &IssueRef,
        subject: &str,
        text: &OutgoingText,
        again: bool,
    ) -> Result<String, ForgeError> {
        if again {
            let comments = tracker.comments(issue).await?;
            if let Some(found) = comments.iter().find(|comment| self.marker.is_marked(&comment.body, subject)) {
                return Ok(found.id.clone());
            }
        }
        tracker.post_comment(issue, &self.sealed(text, subject, tracker)).await
    }

    /// Does the same in the conversation of a pull request.
    async fn comment_pull_request_once(
        &self,
        forge: &Arc<dyn Forge>,
        issue: &IssueRef,
        number: u64,
        subject: &str,
        text: &OutgoingText,
        again: bool,
    ) -> Result<(), ForgeError> {
        if again {
            let comments = forge.pull_request_comments(&issue.repo, number).await?;
            if comments.iter().any(|comment| self.marker.is_marked(&comment.body, subject)) {
                return Ok(());
            }
        }
        let text = self.sealed(text, subject, forge.as_ref());
        forge.comment_pull_request(&issue.repo, number, &text).await.map(|_| ())
    }

    /// Returns the text to publish: secrets masked, cut to the limit, with its hidden marker.
    fn sealed(&self, text: &OutgoingText, subject: &str, tracker: &dyn Tracker) -> OutgoingText {
        let mark = self.marker.mark(subject);
        let room = tracker.max_comment_chars().saturating_sub(mark.as_str().chars().count() + 2);
        let text = text.redact(self.ports.tools.redactor()).shorten(room);
        OutgoingText::fill("{text}\n\n{mark}", &[("text", &text), ("mark", &mark)])
    }

    /// Returns the job whose result is on the branch, if a follow-up ended without adding to it.
    async fn standing_job(&self, job: &Job) -> Result<Option<Job>, StoreError> {
        if !matches!(job.status(), JobStatus::Failed | JobStatus::Cancelled) {
            return Ok(None);
        }
        let before = self.continued_job(job).await?;
        Ok(before.filter(|before| {
            before.status() == JobStatus::Succeeded && before.published.pushed == job.published.pushed
        }))
    }

    /// Renders the panel of a pull request: of the job, or, while the result of another one stands, of that one with a note
    /// about the follow-up.
    fn panel(&self, job: &Job, standing: Option<&Job>, forge: &Arc<dyn Forge>) -> OutgoingText {
        let url = self.issue_url(&job.source).unwrap_or_default();
        let shown = standing.unwrap_or(job);
        let renderer = self.renderer(shown.trigger.language);
        let mut text = standing.map(|_| renderer.ended_follow_up(job)).unwrap_or_default();
        text.push(&renderer.pull_request_body(shown, &url));
        self.sealed(&text, &format!("panel {}", job.id), forge.as_ref())
    }

    fn progress_text(&self, job: &Job) -> OutgoingText {
        self.renderer(job.trigger.language).progress_comment(job)
    }

    /// Returns the renderer for a person who wrote in this language.
    pub(crate) fn renderer(&self, language: Language) -> Renderer {
        let settings = self.settings();
        Renderer {
            app_name: settings.app_name.clone(),
            public_url: settings.public_url.clone(),
            language: settings.language.unwrap_or(language),
            is_recorded: self.model().is_some_and(|model| model.is_recorded()),
        }
    }

    fn reply(&self, reply: &Reply, subject: &Subject) -> OutgoingText {
        match reply {
            Reply::Help { language } => self.renderer(*language).help(subject.issue.tracker.is_some()),
            Reply::Status { language } => self.renderer(*language).status(subject.job.as_ref()),
            Reply::TooMany { per_hour, language } => self.renderer(*language).too_many(*per_hour),
            Reply::NotPermitted { login, language } => {
                self.renderer(*language).not_permitted(login, &subject.issue.repo.to_string())
            }
            Reply::NothingTo { verb, language } => self.renderer(*language).nothing_to(*verb),
            Reply::CannotStart { reason, language } => self.renderer(*language).cannot_start(*reason),
        }
    }

    async fn settle(&self, claimed: &ClaimedEffect, result: Result<Delivered, ForgeError>) -> Result<(), StoreError> {
        let record = &claimed.record;
        let error = match result {
            Ok(Delivered::Done) => {
                self.ports.meter.count(&MeterEvent::EffectDelivered { kind: record.effect.kind() });
                return self.ports.store.settle_effect(record.id, EffectOutcome::Done).await;
            }
            Ok(Delivered::Noted(event)) => {
                self.ports.meter.count(&MeterEvent::EffectDelivered { kind: record.effect.kind() });
                return self.note(claimed, *event).await;
            }
            Ok(Delivered::Again { event, at }) => {
                self.note_unsettled(record.job_id.zip(event)).await?;
                let outcome = EffectOutcome::Postponed { at, error: String::new() };
                return self.ports.store.settle_effect(record.id, outcome).await;
            }
            Err(error) => error,
        };
        let kind = record.effect.kind().as_str();
        let detail = self.ports.tools.redactor().redact(&error_chain(&error));
        // A comment waits until the token is corrected; a pull request that cannot be created fails at once.
        let opens = publishes(&record.effect);
        // Nobody can cancel a job that is being published, and the next job of the issue waits for it.
        let age = self.ports.clock.now().duration_since(record.created_at);
        let retry = if opens && age > MAX_PUBLISHING {
            None
        } else if is_uncertain(&error, opens, claimed.attempt) {
            Some(self.retry_after(&error, claimed.attempt, None, record.id.as_uuid()))
        } else {
            self.schedule_retry(&error, claimed.attempt, MAX_ATTEMPTS, record.id.as_uuid(), !opens)
        };
        if let Some((at, outcome)) = retry {
            tracing::warn!(effect = kind, effect.attempt = claimed.attempt, effect.retry_at = %at, error = %detail, "failed to deliver an effect; retrying");
            self.ports.meter.count(&MeterEvent::EffectRetried { kind: record.effect.kind() });
            return self.ports.store.settle_effect(record.id, outcome).await;
        }
        self.give_up(claimed, detail).await
    }

    /// Ends an effect that cannot be delivered. A job that waits for it is told.
    async fn give_up(&self, claimed: &ClaimedEffect, detail: String) -> Result<(), StoreError> {
        let record = &claimed.record;
        let kind = record.effect.kind().as_str();
        tracing::error!(effect = kind, effect.attempt = claimed.attempt, error = %detail, "giving up on an effect");
        self.ports.meter.count(&MeterEvent::EffectGivenUp { kind: record.effect.kind() });
        if let Some(job) = record.job_id.filter(|_| publishes(&record.effect)) {
            // Written before the effect ends, so that the result comment after it has this information.
            let event = JobEvent::DeliveryFailed { problem: detail.clone() };
            self.note_unsettled(Some((job, Box::new(event)))).await?;
        }
        self.ports.store.settle_effect(record.id, EffectOutcome::Dead { error: detail }).await
    }

    /// Returns when a failed request to a platform is retried; `None` to give up. With `awaits_token`, refused
    /// credentials are retried too, because an operator can correct them.
    pub(crate) fn schedule_retry(
        &self,
        error: &ForgeError,
        attempt: u32,
        most: u32,
        id: uuid::Uuid,
        awaits_token: bool,
    ) -> Option<(Timestamp, EffectOutcome)> {
        let asked_to_wait = matches!(error, ForgeError::RateLimited { .. });
        let after = match error.fault() {
            Fault::Retry { after } => after,
            _ if awaits_token && matches!(error, ForgeError::Unauthorized { .. }) => None,
            _ => return None,
        };
        if attempt >= most && !asked_to_wait {
            return None;
        }
        Some(self.retry_after(error, attempt, after, id))
    }

    fn retry_after(
        &self,
        error: &ForgeError,
        attempt: u32,
        after: Option<Duration>,
        id: uuid::Uuid,
    ) -> (Timestamp, EffectOutcome) {
        let now = self.ports.clock.now();
        let wait = backoff(self.settings().first_backoff / EFFECTS_SOONER, attempt, after, id.as_bytes()[15]);
        let at = now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(now);
        let asked_to_wait = matches!(error, ForgeError::RateLimited { .. });
        let error = self.ports.tools.redactor().redact(&error_chain(error));
        // A rate limit of the platform does not count as an attempt, because the request had no effect and many queued
        // effects meet the same limit.
        let outcome =
            if asked_to_wait { EffectOutcome::Postponed { at, error } } else { EffectOutcome::Retry { at, error } };
        (at, outcome)
    }

    /// Writes an event of a job whose effect has not ended. A job that is gone or has moved on does not need it.
    async fn note_unsettled(&self, noted: Option<(JobId, Box<JobEvent>)>) -> Result<(), StoreError> {
        let Some((job, event)) = noted else { return Ok(()) };
        match self.change_job(job, *event).await {
            Ok(_) | Err(ChangeError::Refused(_) | ChangeError::NotFound(_)) => Ok(()),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    /// Writes the event that the job must store together with the effect's end.
    async fn note(&self, claimed: &ClaimedEffect, event: JobEvent) -> Result<(), StoreError> {
        let Some(job) = claimed.record.job_id else {
            return self.ports.store.settle_effect(claimed.record.id, EffectOutcome::Done).await;
        };
        match self.change_job_with(job, event, None, Some(claimed.record.id), None).await {
            Ok(_) => Ok(()),
            Err(ChangeError::Store(error)) => Err(error),
            Err(ChangeError::Refused(_) | ChangeError::NotFound(_)) => {
                self.ports.store.settle_effect(claimed.record.id, EffectOutcome::Done).await
            }
        }
    }
}

/// A store that cannot be read delays an effect as a forge does that cannot be reached.
pub(crate) fn internal(platform: &PlatformId, error: &StoreError) -> ForgeError {
    ForgeError::Unavailable { platform: platform.clone(), detail: error.to_string() }
}

fn progress_subject(job: &Job) -> String {
    format!("progress {}", job.id)
}

/// Returns whether a job that is publishing waits for the effect.
const fn publishes(effect: &Effect) -> bool {
    matches!(effect, Effect::OpenPullRequest | Effect::MarkReady)
}

/// Returns whether a failure may not be the forge's last word.
const fn is_uncertain(error: &ForgeError, opens: bool, attempt: u32) -> bool {
    let is_doubtful = match error {
        ForgeError::InvalidResponse { .. } => true,
        ForgeError::Refused { .. } => opens,
        _ => false,
    };
    is_doubtful && attempt < MAX_DOUBTS
}
