//! The clocks, and ids that nobody else makes: the only places that know either.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use patchwright_core::clock::{Clock, IdSource};
use patchwright_domain::{EffectId, IssueId, JobId, TaskId};
use uuid::{ContextV7, Uuid};

/// This machine's clock: for what the outside world compares with its own, such as signatures and tokens.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How far one look at the reference may move the clock. With a look a minute a wrong hour is made good in half a day,
/// and no lease ends early or late by more than this.
const MAX_STEP: SignedDuration = SignedDuration::from_secs(2);

/// A clock for leases: it starts at a reference, goes on with the time that has passed, never goes back, and follows the
/// reference slowly. Somebody who sets this machine's clock neither takes jobs from their workers nor keeps them
/// waiting; and where the reference is the database's clock, servers whose own clocks differ agree.
#[derive(Debug)]
pub struct SteadyClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the clock was started, by the time that passes.
    began: Instant,
    /// What it showed then, as corrected since.
    start: Timestamp,
    /// The latest time that it told.
    told: Timestamp,
}

impl SteadyClock {
    /// A clock that shows `reference` now.
    pub fn new(reference: Timestamp) -> Self {
        Self { state: Mutex::new(State { began: Instant::now(), start: reference, told: reference }) }
    }

    /// Moves a little towards what the reference shows now.
    pub fn follow(&self, reference: Timestamp) {
        self.state.lock().expect("no holder of this lock can panic").follow(reference, Instant::now());
    }
}

impl State {
    fn at(&self, instant: Instant) -> Timestamp {
        let passed: Duration = instant.saturating_duration_since(self.began);
        self.start.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    fn tell(&mut self, instant: Instant) -> Timestamp {
        self.told = self.told.max(self.at(instant));
        self.told
    }

    fn follow(&mut self, reference: Timestamp, instant: Instant) {
        let ahead = reference.duration_since(self.at(instant));
        let step = ahead.clamp(-MAX_STEP, MAX_STEP);
        if ahead != step {
            tracing::warn!(
                seconds = ahead.as_secs(),
                "this server's clock differs from the reference; it follows slowly"
            );
        }
        self.start = self.start.saturating_add(step).unwrap_or(self.start);
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.state.lock().expect("no holder of this lock can panic").tell(Instant::now())
    }
}

/// UUIDs of version 7: random, and in the order of their making, also among servers that share a reference clock.
#[derive(Debug)]
pub struct UuidSource {
    clock: Arc<SteadyClock>,
    /// Counts within one millisecond.
    context: Mutex<ContextV7>,
}

impl UuidSource {
    /// Ids in the order of this clock.
    pub fn new(clock: Arc<SteadyClock>) -> Self {
        Self { clock, context: Mutex::new(ContextV7::new()) }
    }

    fn next(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_second()).expect("it is later than 1970");
        let nanos = u32::try_from(now.subsec_nanosecond()).expect("it is later than 1970");
        let context = self.context.lock().expect("no holder of this lock can panic");
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
    }
}

impl IdSource for UuidSource {
    fn job(&self) -> JobId {
        JobId::from_uuid(self.next())
    }

    fn issue(&self) -> IssueId {
        IssueId::from_uuid(self.next())
    }

    fn task(&self) -> TaskId {
        TaskId::from_uuid(self.next())
    }

    fn effect(&self) -> EffectId {
        EffectId::from_uuid(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn whoever_sets_the_clock_moves_leases_by_two_seconds_at_the_most() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut state = State { began, start: at(0), told: at(0) };
        assert_eq!(state.tell(after(60)), at(60));
        // An hour ahead, as after a correction of this machine or on another host.
        state.follow(at(60 + 3600), after(60));
        assert_eq!(state.tell(after(60)), at(62));
        // And set back again: it stands still rather than go back, and goes on from there.
        for _ in 0..3 {
            state.follow(at(60), after(60));
        }
        assert_eq!(state.tell(after(60)), at(62));
        assert_eq!(state.tell(after(63)), at(63));
        assert_eq!(state.tell(after(120)), at(120));
    }

    #[test]
    fn ids_are_in_the_order_of_their_making() {
        let source = UuidSource::new(Arc::new(SteadyClock::new(at(0))));
        let ids: Vec<JobId> = (0..5000).map(|_| source.job()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
