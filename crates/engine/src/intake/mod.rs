//! From a signed delivery to a job, once.

mod accept;
mod closed;
mod rate_limiter;
mod trigger;

use std::sync::Arc;

use patchwright_core::store::{DeliveryRecord, StoreError};
use patchwright_core::webhook::{DecodeError, Delivery, Headers, InboundEvent, SignatureError, check_depth};
use patchwright_domain::{JobId, PlatformId};

use crate::Engine;
pub(crate) use rate_limiter::RateLimiters;
pub use rate_limiter::TriggerLimits;
pub(crate) use trigger::TriggerRequest;

/// What a delivery is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeOutcome {
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
        let decoder = self.webhook(platform).ok_or_else(|| IntakeError::UnknownPlatform(platform.clone()))?;
        decoder.verify(headers, body)?;
        Ok(Verified { platform: platform.clone(), headers, body })
    }

    /// Takes a verified delivery.
    ///
    /// # Errors
    /// [`IntakeError`]; after one, nothing is written.
    pub async fn receive(&self, verified: Verified<'_>) -> Result<IntakeOutcome, IntakeError> {
        let Verified { platform, headers, body } = verified;
        let decoder = self.webhook(&platform).ok_or_else(|| IntakeError::UnknownPlatform(platform.clone()))?;
        check_depth(body)?;
        let delivery = decoder.decode(headers, body)?;
        // Checking and copying is much faster than mending, and what was decoded is UTF-8.
        let payload: Arc<str> =
            std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body).into(), Arc::from);
        self.take(&platform, delivery, payload).await
    }

    /// Takes an event that did not come through the door, such as one that was found by asking the platform. The same
    /// event told by a delivery is the same event.
    ///
    /// # Errors
    /// [`IntakeError::Store`]; after one, nothing is written.
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
        match self.parse_trigger(event) {
            Ok(request) => match self.refuse(&request) {
                Some(refusal) => Ok(refusal),
                None => self.accept(request, record).await,
            },
            Err(answer) => Ok(answer),
        }
    }
}
