//! Time and fresh ids, so that the use cases have neither of their own.

use jiff::Timestamp;
use patchwright_domain::{EffectId, IssueId, JobId, TaskId};

/// A source of time.
pub trait Clock: Send + Sync {
    /// Returns the current time, UTC.
    fn now(&self) -> Timestamp;
}

/// Creates unique ids. A later id MUST sort after an earlier one of the same source: the order of effect ids is the order
/// of their delivery, and pages of a list are ordered by id.
pub trait IdSource: Send + Sync {
    /// Returns a new UUID.
    fn uuid(&self) -> uuid::Uuid;

    /// Returns a new job id.
    fn job(&self) -> JobId {
        JobId::from_uuid(self.uuid())
    }

    /// Returns a new issue id.
    fn issue(&self) -> IssueId {
        IssueId::from_uuid(self.uuid())
    }

    /// Returns a new task id.
    fn task(&self) -> TaskId {
        TaskId::from_uuid(self.uuid())
    }

    /// Returns a new effect id.
    fn effect(&self) -> EffectId {
        EffectId::from_uuid(self.uuid())
    }
}
