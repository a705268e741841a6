//! A gate before a platform that has asked to slow down. GitHub blocks programs that go on asking.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Until when no requests go out, by account.
#[derive(Debug)]
pub struct RateGate<K>(Mutex<HashMap<K, Timestamp>>);

impl<K> Default for RateGate<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> RateGate<K> {
    /// How long it is closed yet; `None` when it is open.
    pub fn closed_for(&self, account: &K, now: Timestamp) -> Option<Duration> {
        let mut closed = self.0.lock().expect("no holder of this lock can panic");
        let rest = closed.get(account)?.duration_since(now);
        match Duration::try_from(rest) {
            Ok(rest) if !rest.is_zero() => Some(rest),
            _ => {
                closed.remove(account);
                None
            }
        }
    }

    /// Closes it for a while, unless it is closed for longer already.
    pub fn close(&self, account: K, now: Timestamp, wait: Duration) {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let mut closed = self.0.lock().expect("no holder of this lock can panic");
        let known = closed.entry(account).or_insert(until);
        *known = until.max(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_closed_as_long_as_was_asked_and_for_nobody_else() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let gate = RateGate::default();
        assert_eq!(gate.closed_for(&1, at(0)), None);
        gate.close(1, at(0), Duration::from_secs(60));
        gate.close(1, at(10), Duration::from_secs(5));
        assert_eq!(gate.closed_for(&1, at(20)), Some(Duration::from_secs(40)));
        assert_eq!(gate.closed_for(&2, at(20)), None);
        assert_eq!(gate.closed_for(&1, at(60)), None);
    }
}
