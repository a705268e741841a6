//! Intake of webhook deliveries: from a signed delivery to a job, exactly once.

mod accept;
mod apply;
mod closed;
mod mention;
mod rate_limiter;
mod review;
mod trigger;

use std::sync::Arc;

use patchwright_core::store::{DeliveryRecord, StoreError};
use patchwright_core::webhook::{DecodeError, Delivery, Headers, InboundEvent, SignatureError, check_depth};
use patchwright_domain::{JobId, PlatformId};

use crate::Engine;
pub(crate) use apply::{Permit, RequestRecord};
pub(crate) use mention::{Mention, find_request};
pub(crate) use rate_limiter::RateLimiters;
pub use rate_limiter::TriggerLimits;
pub(crate) use trigger::clean_request;

/// The outcome of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeOutcome {
    /// The request is stored; it becomes a job when it is admitted.
    Accepted {
        /// The job that it becomes.
        job_id: JobId,
        /// Whether an earlier copy of the same delivery created it.
        duplicate: bool,
    },
    /// The delivery is a command other than a start; what it needs a reply for is answered on the issue.
    Answered {
        /// The command: `help`, `status`, `approve`, `cancel` or `retry`.
        command: &'static str,
        /// The job that the command applies to.
        job_id: Option<JobId>,
    },
    /// The delivery starts nothing.
    Ignored {
        /// The reason, for the response.
        reason: String,
        /// The existing job of the same request, if there is one.
        job_id: Option<JobId>,
    },
    /// The actor or the repository is not on the allow-list.
    Forbidden {
        /// The reason, for the response.
        reason: String,
    },
}

impl IntakeOutcome {
    /// Returns the job that the outcome names.
    pub const fn job_id(&self) -> Option<JobId> {
        match self {
            Self::Accepted { job_id, .. } => Some(*job_id),
            Self::Answered { job_id, .. } | Self::Ignored { job_id, .. } => *job_id,
            Self::Forbidden { .. } => None,
        }
    }
}

/// A delivery with a verified signature, which [`Engine::receive`] requires.
pub struct Verified<'a> {
    platform: PlatformId,
    headers: &'a (dyn Headers + Sync),
    body: &'a [u8],
}

impl<'a> Verified<'a> {
    /// Accepts a delivery without a signature. Only for `TEST_MODE` on a loopback address.
    pub fn trust_unsigned(platform: PlatformId, headers: &'a (dyn Headers + Sync), body: &'a [u8]) -> Self {
        Self { platform, headers, body }
    }
}

impl std::fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({}, {} bytes)", self.platform, self.body.len())
    }
}

/// The error of a delivery that was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The platform is not configured.
    #[error("this server does not accept deliveries of {0}; configure the platform")]
    UnknownPlatform(PlatformId),
    /// The signature is missing or invalid.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The delivery cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The store cannot be written now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Verifies the signature of a delivery. Nothing is parsed before that.
    ///
    /// # Errors
    /// [`IntakeError::UnknownPlatform`] and [`IntakeError::Signature`].
    pub fn verify<'a>(
        &self,
        platform: &PlatformId,
        headers: &'a (dyn Headers + Sync),
        body: &'a [u8],
    ) -> Result<Verified<'a>, IntakeError> {
        let decoder = self.webhook(platform).ok_or_else(|| IntakeError::UnknownPlatform(platform.clone()))?;
        decoder.verify(headers, body)?;
        Ok(Verified { platform: platform.clone(), headers, body })
    }

    /// Processes a verified delivery.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is written in this case.
    pub async fn receive(&self, verified: Verified<'_>) -> Result<IntakeOutcome, IntakeError> {
        let Verified { platform, headers, body } = verified;
        let decoder = self.webhook(&platform).ok_or_else(|| IntakeError::UnknownPlatform(platform.clone()))?;
        check_depth(body)?;
        let delivery = decoder.decode(headers, body)?;
        // A check and a copy are much faster than a lossy conversion, and a decoded body is valid UTF-8.
        let payload: Arc<str> =
            std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body).into(), Arc::from);
        self.take(&platform, delivery, payload).await
    }

    /// Processes an event that did not arrive as a delivery, such as one found by polling the platform. It has the same
    /// identity as the same event in a delivery.
    ///
    /// # Errors
    /// [`IntakeError::Store`]; nothing is written in this case.
    pub async fn take(
        &self,
        platform: &PlatformId,
        delivery: Delivery,
        payload: impl Into<Arc<str>> + Send,
    ) -> Result<IntakeOutcome, IntakeError> {
        let Delivery { id, event_type, event } = delivery;
        tracing::debug!(delivery_id = %id, event = %event_type, %platform, "verified and decoded a delivery");
        let record = DeliveryRecord {
            platform: platform.clone(),
            id,
            identity: None,
            event_type,
            job_id: None,
            received_at: self.ports.clock.now(),
            payload: payload.into(),
        };
        if let InboundEvent::PullRequestClosed { repo, head, merged, .. } = event {
            return self.record_pull_request_end(&repo, &head, merged, record).await;
        }
        let parsed = match event {
            InboundEvent::PullRequestCommented { repo, number, comment, place, review } => {
                let event = review::PullRequestComment { repo, number, comment, place, review };
                self.trigger_of_pull_request(platform, event).await?
            }
            InboundEvent::Reopened { issue } => return self.reopen(&issue, record).await,
            event => self.parse_trigger(event),
        };
        match parsed {
            Ok((request, identity)) => match self.refuse(&request) {
                Some(refusal) => Ok(refusal),
                None => self.accept(request, DeliveryRecord { identity, ..record }).await,
            },
            Err(answer) => Ok(answer),
        }
    }
}
