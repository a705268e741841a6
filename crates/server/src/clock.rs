//! The system's clock, and ids that nobody else makes: the only places that know either.

use jiff::Timestamp;
use patchwright_core::clock::{Clock, IdSource};
use patchwright_domain::{EffectId, IssueId, JobId, TaskId};
use uuid::Uuid;

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// UUIDs of version 7: random, and in the order of their making.
#[derive(Debug, Clone, Copy)]
pub struct UuidSource;

impl IdSource for UuidSource {
    fn job(&self) -> JobId {
        JobId::from_uuid(Uuid::now_v7())
    }

    fn issue(&self) -> IssueId {
        IssueId::from_uuid(Uuid::now_v7())
    }

    fn task(&self) -> TaskId {
        TaskId::from_uuid(Uuid::now_v7())
    }

    fn effect(&self) -> EffectId {
        EffectId::from_uuid(Uuid::now_v7())
    }
}
