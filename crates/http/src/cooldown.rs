//! The pause after a platform's rate limit. GitHub blocks programs that keep sending requests during it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Holds back requests after a rate limit, separately for each account.
#[derive(Debug)]
pub struct RateLimitCooldown<K>(Mutex<HashMap<K, Timestamp>>);

impl<K> Default for RateLimitCooldown<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> RateLimitCooldown<K> {
    /// Returns how long no request may be sent for an account; `None` if it may be sent now.
    pub fn remaining(&self, account: &K, now: Timestamp) -> Option<Duration> {
        let mut ends = self.0.lock().expect("no holder of this lock can panic");
        let remaining = ends.get(account)?.duration_since(now);
        match Duration::try_from(remaining) {
            Ok(remaining) if !remaining.is_zero() => Some(remaining),
            _ => {
                ends.remove(account);
                None
            }
        }
    }

    /// Holds back requests for an account. A pause that ends later stays in force.
    pub fn start(&self, account: K, now: Timestamp, wait: Duration) {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        let end = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let mut ends = self.0.lock().expect("no holder of this lock can panic");
        let known = ends.entry(account).or_insert(end);
        *known = end.max(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cooldown_lasts_as_long_as_asked_and_for_its_account_only() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let cooldown = RateLimitCooldown::default();
        assert_eq!(cooldown.remaining(&1, at(0)), None);
        cooldown.start(1, at(0), Duration::from_secs(60));
        cooldown.start(1, at(10), Duration::from_secs(5));
        assert_eq!(cooldown.remaining(&1, at(20)), Some(Duration::from_secs(40)));
        assert_eq!(cooldown.remaining(&2, at(20)), None);
        assert_eq!(cooldown.remaining(&1, at(60)), None);
    }
}
