//! Admission: decides whether the person behind a stored request may make it, ahead of the queue.
//!
//! A request that is admitted is applied, mostly by creating its job. One that is refused gets one polite reply and leaves
//! nothing else: no job, no statistics, no change of the issue's state.

use std::time::Duration;

use jiff::SignedDuration;
use patchwright_core::fault::{Fault, error_chain};
use patchwright_core::forge::{ForgeError, Permission};
use patchwright_core::store::{ClaimedRequest, RequestWrite, Step, StoreError, Write};
use patchwright_domain::effect::Reply;
use patchwright_domain::trigger::Command;
use patchwright_domain::{JobId, PlatformId, Request, RequestState, TriggerRequest};

use crate::Engine;
use crate::engine::TriggerPermission;
use crate::intake::{IntakeError, Permit, RequestRecord};

/// The timeout of one attempt, and the lease of a request during it.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(30);
const CLAIM_DURATION: SignedDuration = SignedDuration::from_secs(60);
/// How often the forge is asked; with the doubling waits this takes about a day.
const MAX_ATTEMPTS: u32 = 14;
/// How long the reply to one refused person stands for all others on the same issue.
const REFUSAL_WINDOW: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Decides about the oldest due request, if there is one. Requests of several people do not wait for each other.
    ///
    /// # Errors
    /// [`StoreError`]. A failing forge is no error here: the request is retried later.
    pub async fn admit_next(&self) -> Result<Option<JobId>, StoreError> {
        let now = self.ports.clock.now();
        let until = now.saturating_add(CLAIM_DURATION).unwrap_or(now);
        let Some(claimed) = self.ports.store.claim_request(now, until).await? else { return Ok(None) };
        let id = claimed.request.id;
        let trigger = &claimed.request.trigger;
        let permit =
            tokio::time::timeout(ADMISSION_TIMEOUT, self.permit_and_read(trigger)).await.unwrap_or_else(|_| {
                let platform = trigger.issue.source.platform.clone();
                Err(ForgeError::Unavailable { platform, detail: "no answer in time".to_owned() }.into())
            });
        let decided = match permit {
            Ok(Some((permit, trigger))) => self.admit(&claimed, &trigger, permit).await,
            Ok(None) => self.refuse_stranger(&claimed.request).await,
            Err(PermitError::Store(error)) => Err(error),
            Err(PermitError::NotConnected(platform)) => {
                let reason = format!("this server is not connected to {platform}");
                let remedy = "Configure the platform's token and addresses, then ask again.";
                self.decide_refused(&claimed.request, &reason, remedy, None).await
            }
            Err(PermitError::Forge(error)) => self.retry_or_give_up(&claimed, &error).await,
        };
        match decided {
            // Another worker decided it after this one's claim had expired.
            Ok(()) | Err(StoreError::Stale { what: "request" }) => Ok(Some(id)),
            Err(error) => Err(error),
        }
    }

    /// Returns what the author of a request may do; `None` if nothing.
    async fn permit(&self, request: &TriggerRequest) -> Result<Option<Permit>, PermitError> {
        if self.is_open_to(&request.actor) {
            return Ok(Some(Permit::Writer));
        }
        let source = &request.issue.source;
        let platform = &source.platform;
        let Some(forge) = self.ports.forges.get(platform) else {
            return Err(PermitError::NotConnected(platform.clone()));
        };
        if forge.permission(&source.repo, &request.actor).await? >= Permission::Write {
            return Ok(Some(Permit::Writer));
        }
        let may_starter = matches!(request.command, Command::Cancel | Command::Retry | Command::Restart { .. });
        if may_starter && let Some(latest) = self.known(&request.issue).await?.latest_job() {
            let is_starter = latest.trigger.actor.eq_ignore_ascii_case(&request.actor);
            return Ok(is_starter.then_some(Permit::Starter));
        }
        Ok(None)
    }

    /// Does the same, and reads what the request needs of the forge.
    async fn permit_and_read(&self, request: &TriggerRequest) -> Result<Option<(Permit, TriggerRequest)>, PermitError> {
        let Some(permit) = self.permit(request).await? else { return Ok(None) };
        Ok(Some((permit, self.with_review(request.clone()).await?)))
    }

    /// Returns whether the forge need not be asked about a person.
    pub(crate) fn is_open_to(&self, login: &str) -> bool {
        let settings = self.settings();
        settings.permission == TriggerPermission::Anyone || settings.allow.names_user(login)
    }

    async fn admit(
        &self,
        claimed: &ClaimedRequest,
        trigger: &TriggerRequest,
        permit: Permit,
    ) -> Result<(), StoreError> {
        let settled = RequestRecord::Request { request: Box::new(claimed.request.clone()), again: claimed.attempt > 1 };
        match self.apply(trigger, &settled, permit).await {
            Ok(_) => Ok(()),
            Err(IntakeError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(job_id = %claimed.request.id, %error, "failed to apply a request");
                let reason = "the request could not be applied";
                self.decide_refused(&claimed.request, reason, "Report a bug with the server's log.", None).await
            }
        }
    }

    /// Refuses a request of a person without permission. The first such request of a person on an issue is answered, unless
    /// somebody else's was within the last hour: a crowd of strangers gets one reply.
    async fn refuse_stranger(&self, request: &Request) -> Result<(), StoreError> {
        let (trigger, repo) = (&request.trigger, &request.trigger.issue.source.repo);
        tracing::info!(job_id = %request.id, actor = %trigger.actor, issue = %trigger.issue.source, "refused a request: no write access");
        let reason = format!("{} may not start jobs here: this requires write access to {repo}", trigger.actor);
        let remedy = "Ask a user with write access to start it.";
        let reply = Reply::NotPermitted { login: trigger.actor.clone(), language: trigger.language };
        self.decide_refused(request, &reason, remedy, Some(reply)).await
    }

    async fn decide_refused(
        &self,
        request: &Request,
        reason: &str,
        remedy: &str,
        reply: Option<Reply>,
    ) -> Result<(), StoreError> {
        let (trigger, source) = (&request.trigger, &request.trigger.issue.source);
        self.write(async || {
            let now = self.ports.clock.now();
            let since = now.saturating_sub(REFUSAL_WINDOW).unwrap_or(now);
            let reply = match &reply {
                Some(reply) if !self.ports.store.is_refusal_answered(source, &trigger.actor, since).await? => {
                    Some((format!("refusal {}", trigger.actor.to_lowercase()), reply.clone()))
                }
                _ => None,
            };
            let answered = reply.is_some();
            let (reason, remedy) = (reason.to_owned(), remedy.to_owned());
            let decided =
                Request { state: RequestState::Refused { reason, remedy, answered, at: now }, ..request.clone() };
            let step = if answered {
                let known = self.known(&trigger.issue).await?;
                // The issue is written unchanged, so that of two concurrent refusals the second finds the reply of the first.
                let issue = known.issue.clone().map(Write::Update);
                let step = self.reply_only_step(trigger, reply, now, known);
                Step { issue: issue.or(step.issue), ..step }
            } else {
                Step::default()
            };
            Ok((Step { request: Some(RequestWrite::Decide(decided)), ..step }, ()))
        })
        .await
    }

    async fn retry_or_give_up(&self, claimed: &ClaimedRequest, error: &ForgeError) -> Result<(), StoreError> {
        let (request, attempt) = (&claimed.request, claimed.attempt);
        let (actor, issue) = (&request.trigger.actor, &request.trigger.issue.source);
        let detail = self.ports.tools.redactor().redact(&error_chain(error));
        if let Some((at, outcome)) = self.schedule_retry(error, attempt, MAX_ATTEMPTS, request.id.as_uuid(), true) {
            tracing::warn!(job_id = %request.id, actor, %issue, attempt, retry_at = %at, error = %detail, "failed to check a permission; retrying");
            return self.ports.store.retry_request(request.id, outcome).await;
        }
        tracing::error!(job_id = %request.id, actor, %issue, attempt, error = %detail, "giving up on a request");
        let reason = format!("the permission of {actor} could not be checked: {detail}");
        let remedy = match error.fault() {
            Fault::Missing => "Check that the server's account or application may read the repository, then ask again.",
            _ => "Check the connection to the forge, then ask again.",
        };
        self.decide_refused(request, &reason, remedy, None).await
    }
}

/// The author's permission could not be found out.
enum PermitError {
    Forge(ForgeError),
    NotConnected(PlatformId),
    Store(StoreError),
}

impl From<ForgeError> for PermitError {
    fn from(error: ForgeError) -> Self {
        Self::Forge(error)
    }
}

impl From<StoreError> for PermitError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
