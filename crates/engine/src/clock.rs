//! Clocks and id sources for production. No other code reads the time or generates random ids.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use patchwright_core::clock::{Clock, IdSource};
use uuid::{ContextV7, Uuid};

/// The system clock, for times that other systems check, such as signatures and token lifetimes.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The most that one synchronization adjusts the clock. With one per minute, an hour of drift is corrected within 30
/// hours, and no lease ends early or late by more than this.
const MAX_STEP: SignedDuration = SignedDuration::from_secs(2);

/// A monotonic clock for leases: it starts at a reference, advances with elapsed time, never goes back, and follows the
/// reference slowly. Changing the system clock neither expires leases nor delays jobs; with the database's clock as the
/// reference, replicas whose system clocks differ agree.
#[derive(Debug)]
pub struct SteadyClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    /// The time at `started`, with the corrections since then.
    start: Timestamp,
    /// The latest time that was returned.
    latest: Timestamp,
}

impl SteadyClock {
    /// Creates a clock that starts at `reference`.
    pub fn new(reference: Timestamp) -> Self {
        Self { state: Mutex::new(State { started: Instant::now(), start: reference, latest: reference }) }
    }

    /// Moves the clock forward at once, for hosts that do not wait for what is scheduled.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock().expect("no holder of this lock can panic");
        state.start = state.start.saturating_add(by).unwrap_or(state.start);
    }

    /// Adjusts the clock towards `reference`, by at most two seconds.
    pub fn follow(&self, reference: Timestamp) {
        self.state.lock().expect("no holder of this lock can panic").follow(reference, Instant::now());
    }
}

impl State {
    fn at(&self, instant: Instant) -> Timestamp {
        let passed: Duration = instant.saturating_duration_since(self.started);
        self.start.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    fn now(&mut self, instant: Instant) -> Timestamp {
        self.latest = self.latest.max(self.at(instant));
        self.latest
    }

    fn follow(&mut self, reference: Timestamp, instant: Instant) {
        let ahead = reference.duration_since(self.at(instant));
        let step = ahead.clamp(-MAX_STEP, MAX_STEP);
        if ahead != step {
            tracing::warn!(
                seconds = ahead.as_secs(),
                "this server's clock differs from the reference; adjusting it gradually"
            );
        }
        self.start = self.start.saturating_add(step).unwrap_or(self.start);
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.state.lock().expect("no holder of this lock can panic").now(Instant::now())
    }
}

/// UUIDs of version 7, ordered by creation, also among replicas that share a reference clock.
#[derive(Debug)]
pub struct UuidSource {
    clock: Arc<SteadyClock>,
    /// Counts within one millisecond.
    context: Mutex<ContextV7>,
}

impl UuidSource {
    /// Creates a source that takes its time from `clock`.
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
    fn uuid(&self) -> Uuid {
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use patchwright_domain::JobId;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn whoever_sets_the_clock_moves_leases_by_two_seconds_at_the_most() {
        let started = Instant::now();
        let after = |seconds| started + Duration::from_secs(seconds);
        let mut state = State { started, start: at(0), latest: at(0) };
        assert_eq!(state.now(after(60)), at(60));
        // An hour ahead, as after a correction of this machine's clock or on another host.
        state.follow(at(60 + 3600), after(60));
        assert_eq!(state.now(after(60)), at(62));
        // Set back again, it stands still instead of going back, and continues from there.
        for _ in 0..3 {
            state.follow(at(60), after(60));
        }
        assert_eq!(state.now(after(60)), at(62));
        assert_eq!(state.now(after(63)), at(63));
        assert_eq!(state.now(after(120)), at(120));
    }

    #[test]
    fn ids_are_in_the_order_of_their_making() {
        let source = UuidSource::new(Arc::new(SteadyClock::new(at(0))));
        let ids: Vec<JobId> = (0..5000).map(|_| source.job()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
