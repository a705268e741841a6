//! Accepts the request of a delivery: one atomic write. What needs a permission is stored as a request, which is decided
//! later; questions are answered at once.

use patchwright_core::store::{DeliveryRecord, RequestWrite, Step, StoreError};
use patchwright_domain::effect::Reply;
use patchwright_domain::trigger::Command;
use patchwright_domain::{JobId, Request, RequestState, TriggerRequest};

use super::{IntakeError, IntakeOutcome};
use crate::Engine;

/// Reasons that clients may compare with.
const DUPLICATE_EVENT: &str = "duplicate_event";
pub(super) const RATE_LIMITED: &str = "rate_limited";

impl Engine {
    pub(super) async fn accept(
        &self,
        request: TriggerRequest,
        record: DeliveryRecord,
    ) -> Result<IntakeOutcome, IntakeError> {
        let id = record.id.clone();
        let platform = record.platform.clone();
        let accepted = if request.command.is_question() {
            self.answer_question(request, record).await
        } else {
            self.store_request(request, record).await
        };
        match accepted {
            Err(IntakeError::Store(StoreError::Repeated { job_id, altered, .. })) => {
                if altered {
                    tracing::warn!(delivery_id = %id, %platform, "a delivery was repeated with a different body; ignoring the repetition");
                }
                Ok(repeated(job_id))
            }
            other => other,
        }
    }

    /// Stores the request. Nothing is read: whether it can be fulfilled is decided by the admission.
    async fn store_request(
        &self,
        trigger: TriggerRequest,
        record: DeliveryRecord,
    ) -> Result<IntakeOutcome, IntakeError> {
        let at = record.received_at;
        if !self.rate_limiters.admits_request(&trigger.actor, at) {
            tracing::warn!(actor = %trigger.actor, issue = %trigger.issue.source, "too many requests of one person; ignoring this one");
            self.ports.store.commit(Step { delivery: Some(record), ..Step::default() }).await?;
            return Ok(IntakeOutcome::Ignored { reason: RATE_LIMITED.to_owned(), job_id: None });
        }
        let answer = match command_name(&trigger.command) {
            // The answer names the job that the command is for, if there is one already.
            Some(command) => {
                let job_id = self.known(&trigger.issue).await?.latest_job().map(|job| job.id);
                Some(IntakeOutcome::Answered { command, job_id })
            }
            None => None,
        };
        let request = Request {
            id: self.ports.ids.job(),
            event_type: record.event_type.clone(),
            requested_at: at,
            state: RequestState::Requested,
            trigger,
        };
        let job_id = request.id;
        let (issue, actor) = (request.trigger.issue.source.clone(), request.trigger.actor.clone());
        let delivery = DeliveryRecord { job_id: Some(job_id), ..record };
        let delivery_id = delivery.id.clone();
        let request = Some(RequestWrite::Insert(request));
        self.ports.store.commit(Step { delivery: Some(delivery), request, ..Step::default() }).await?;
        self.rate_limiters.note_request(&actor, at);
        self.wake();
        tracing::info!(%job_id, %issue, actor, %delivery_id, "stored a request");
        Ok(answer.unwrap_or(IntakeOutcome::Accepted { job_id, duplicate: false }))
    }

    /// Queues the reply to a question that anyone may ask. Its limit is apart from those of requests, so that nobody's
    /// questions hold back a request.
    async fn answer_question(
        &self,
        request: TriggerRequest,
        record: DeliveryRecord,
    ) -> Result<IntakeOutcome, IntakeError> {
        let (command, reply) = match request.command {
            Command::Status => ("status", Reply::Status { language: request.language }),
            _ => ("help", Reply::Help { language: request.language }),
        };
        if !self.rate_limiters.try_acquire_comment(&request.issue.source.to_string(), record.received_at) {
            self.ports.store.commit(Step { delivery: Some(record), ..Step::default() }).await?;
            return Ok(IntakeOutcome::Ignored { reason: RATE_LIMITED.to_owned(), job_id: None });
        }
        let answer = self
            .write(async || {
                let known = self.known(&request.issue).await?;
                let job_id = known.latest_job().map(|job| job.id);
                let record = DeliveryRecord { job_id, ..record.clone() };
                // The help is given once to a person on an issue, a status as often as it is asked for.
                let to = match reply {
                    Reply::Help { .. } => format!("help {}", request.actor.to_lowercase()),
                    _ => record.identity.clone().unwrap_or_else(|| record.id.to_string()),
                };
                let step = self.reply_only_step(&request, Some((to, reply.clone())), record.received_at, known);
                Ok::<_, StoreError>((
                    Step { delivery: Some(record), ..step },
                    IntakeOutcome::Answered { command, job_id },
                ))
            })
            .await?;
        Ok(answer)
    }
}

/// Returns the outcome of an event that is known. The same trigger through two hooks is one request: both deliveries get the
/// same response.
pub(super) fn repeated(job_id: Option<JobId>) -> IntakeOutcome {
    match job_id {
        Some(job_id) => IntakeOutcome::Accepted { job_id, duplicate: true },
        None => IntakeOutcome::Ignored { reason: DUPLICATE_EVENT.to_owned(), job_id },
    }
}

/// Returns the name of a command that acts on existing jobs.
pub(super) const fn command_name(command: &Command) -> Option<&'static str> {
    match command {
        Command::Cancel => Some("cancel"),
        Command::Retry => Some("retry"),
        Command::Approve => Some("approve"),
        _ => None,
    }
}
