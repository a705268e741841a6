//! What happened, for counters of operators.

use patchwright_domain::job::FailureClass;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::{EffectKind, JobStatus, PlatformId, Usage};

/// Something that operators count. It names classes and kinds only, so that the number of series stays small.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MeterEvent {
    /// A delivery of a platform was refused with this HTTP status.
    DeliveryRefused {
        /// The platform.
        platform: PlatformId,
        /// The status of the answer.
        status: u16,
    },
    /// A delivery of a platform was acknowledged.
    DeliveryAnswered {
        /// The platform that sent it to its endpoint.
        platform: PlatformId,
        /// `accepted`, `duplicate`, `answered`, `ignored` or `forbidden`.
        outcome: &'static str,
    },
    /// A job ended.
    JobEnded {
        /// Its last status: succeeded, failed or cancelled.
        status: JobStatus,
        /// What its tests showed, if it came that far.
        verdict: Option<Verdict>,
    },
    /// A stage of a job that has ended.
    StageEnded {
        /// Which of the four.
        stage: StageKind,
        /// How it ended.
        status: StageStatus,
        /// How long it took from its first start, in seconds.
        seconds: f64,
    },
    /// A call of the model ended, in this process or on a node.
    ModelCalled {
        /// The name under which it answered, or was asked if there is no answer.
        model: String,
        /// Whether there is no usable answer.
        failed: bool,
        /// What it used.
        usage: Usage,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// An effect was delivered.
    EffectDelivered {
        /// What it was.
        kind: EffectKind,
    },
    /// An effect could not be delivered and is tried again.
    EffectRetried {
        /// What it was.
        kind: EffectKind,
    },
    /// A task reported after its lease had gone to another worker, or its job had ended.
    LeaseLost,
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
