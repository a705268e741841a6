//! What happened, for counters of operators.

use patchwright_domain::job::FailureClass;
use patchwright_domain::{EffectKind, PlatformId};

/// Something that operators count. It names classes and kinds only, so that the number of series stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeterEvent {
    /// A delivery of a platform was refused with this HTTP status.
    DeliveryRefused {
        /// The platform.
        platform: PlatformId,
        /// The status of the answer.
        status: u16,
    },
    /// A job failed.
    JobFailed {
        /// Which part of the world did: the request, the own machine, another server, or this program.
        class: FailureClass,
    },
    /// An effect could not be delivered and is not tried again.
    EffectGivenUp {
        /// What it was.
        kind: EffectKind,
    },
}

/// Counts what happened. Calls MUST return at once and MUST NOT fail.
pub trait Meter: Send + Sync {
    /// Counts an event.
    fn count(&self, event: &MeterEvent);
}
