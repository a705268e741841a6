//! Time and fresh ids, so that the use cases have neither of their own.

use jiff::Timestamp;
use patchwright_domain::{EffectId, IssueId, JobId, TaskId};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present time, UTC.
    fn now(&self) -> Timestamp;
}

/// Makes ids that nobody else makes.
pub trait IdSource: Send + Sync {
    /// A fresh job id; later ones sort after earlier ones.
    fn job(&self) -> JobId;
    /// A fresh issue id.
    fn issue(&self) -> IssueId;
    /// A fresh task id.
    fn task(&self) -> TaskId;
    /// A fresh effect id; later ones sort after earlier ones, which is the order of their delivery.
    fn effect(&self) -> EffectId;
}
