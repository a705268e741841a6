//! Limits failed logins: the wait grows with each further attempt.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Failed logins of one login without a wait.
const MAX_FREE_PER_LOGIN: u32 = 5;
/// Failed logins from one address without a wait; many users may share one.
const MAX_FREE_PER_ADDRESS: u32 = 50;
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(900);
/// How long a failed login counts.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// The beginning of the keys of logins.
const LOGIN_KEY: &str = "login ";
/// How many logins and addresses are tracked.
const MAX_TRACKED_KEYS: usize = 20_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Counts failed logins in memory, for each server by itself.
#[derive(Debug, Default)]
pub(crate) struct LoginLimiter {
    failures: Mutex<HashMap<String, Failures>>,
}

impl LoginLimiter {
    /// Returns how long a login from `address` as `login` has to wait; `None` for no wait.
    pub(crate) fn wait(&self, login: &str, address: &str, now: Timestamp) -> Option<Duration> {
        let failures = self.failures.lock().expect("no holder of this lock can panic");
        let wait = |key: &str, free: u32| {
            let known = failures.get(key).filter(|known| now.duration_since(known.last) < WINDOW)?;
            let over = known.count.checked_sub(free)?;
            let pause = Duration::from_secs(1_u64 << over.min(12)).min(MAX_WAIT);
            let passed = Duration::try_from(now.duration_since(known.last)).unwrap_or_default();
            pause.checked_sub(passed).filter(|left| !left.is_zero())
        };
        wait(&login_key(login), MAX_FREE_PER_LOGIN).max(wait(&address_key(address), MAX_FREE_PER_ADDRESS))
    }

    pub(crate) fn record_failure(&self, login: &str, address: &str, now: Timestamp) {
        let mut failures = self.failures.lock().expect("no holder of this lock can panic");
        if failures.len() >= MAX_TRACKED_KEYS {
            failures.retain(|_, known| now.duration_since(known.last) < WINDOW);
        }
        if failures.len() >= MAX_TRACKED_KEYS {
            // Addresses can be had in any number; the logins must not be forgotten for them.
            failures.retain(|key, _| key.starts_with(LOGIN_KEY));
        }
        if failures.len() >= MAX_TRACKED_KEYS {
            failures.clear();
        }
        for key in [login_key(login), address_key(address)] {
            let known = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if now.duration_since(known.last) >= WINDOW {
                known.count = 0;
            }
            known.count += 1;
            known.last = now;
        }
    }

    /// Forgets the failures of a login.
    pub(crate) fn record_success(&self, login: &str) {
        self.failures.lock().expect("no holder of this lock can panic").remove(&login_key(login));
    }
}

fn login_key(login: &str) -> String {
    format!("{LOGIN_KEY}{}", login.trim().to_lowercase().chars().take(80).collect::<String>())
}

fn address_key(address: &str) -> String {
    format!("address {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_guesses_waits_longer_and_longer() {
        let limiter = LoginLimiter::default();
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        for n in 0..5 {
            assert_eq!(limiter.wait("alice", "10.0.0.1", at(0)), None, "guess {n}");
            limiter.record_failure("alice", "10.0.0.1", at(0));
        }
        assert_eq!(limiter.wait(" Alice", "10.0.0.9", at(0)), Some(Duration::from_secs(1)), "from anywhere");
        assert_eq!(limiter.wait("bob", "10.0.0.1", at(0)), None);
        assert_eq!(limiter.wait("alice", "10.0.0.1", at(1)), None);
        limiter.record_failure("alice", "10.0.0.1", at(1));
        assert_eq!(limiter.wait("alice", "10.0.0.1", at(1)), Some(Duration::from_secs(2)));
        assert_eq!(limiter.wait("alice", "10.0.0.1", at(1000)), None, "it is forgotten");
        limiter.record_success("alice");
        assert_eq!(limiter.wait("alice", "10.0.0.1", at(1)), None);
    }
}
