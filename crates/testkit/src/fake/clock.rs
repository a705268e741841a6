//! A clock that only tests advance, and sequential ids.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};
use patchwright_core::clock::{Clock, IdSource};
use patchwright_domain::{EffectId, IssueId, JobId, TaskId};

use crate::build;

/// A clock that only tests advance.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl Default for FakeClock {
    fn default() -> Self {
        Self(Mutex::new(build::start_of_time()))
    }
}

impl FakeClock {
    /// Advances the time.
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

/// A source of sequential ids.
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
