//! Time that stands still until a test moves it, and ids in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};
use patchwright_core::clock::{Clock, IdSource};
use patchwright_domain::{EffectId, IssueId, JobId, TaskId};

use crate::build;

/// A clock that tests move.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl Default for FakeClock {
    fn default() -> Self {
        Self(Mutex::new(build::start_of_time()))
    }
}

impl FakeClock {
    /// Moves the time on.
    pub fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Ids that count up.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU32);

impl SequentialIds {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl IdSource for SequentialIds {
    fn uuid(&self) -> uuid::Uuid {
        build::job_id(self.next()).as_uuid()
    }

    fn job(&self) -> JobId {
        build::job_id(self.next())
    }

    fn issue(&self) -> IssueId {
        build::issue_id(self.next())
    }

    fn task(&self) -> TaskId {
        build::task_id(self.next())
    }

    fn effect(&self) -> EffectId {
        build::effect_id(self.next())
    }
}
