//! Who guesses passwords waits longer and longer.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Wrong passwords for one login that cost nothing.
const FREE_FOR_LOGIN: u32 = 5;
/// The same from one address, behind which there may be an office.
const FREE_FOR_ADDRESS: u32 = 50;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(900);
/// How long a wrong password is remembered.
const MEMORY: SignedDuration = SignedDuration::from_mins(15);
/// How many logins and addresses are remembered. Beyond it the oldest are forgotten.
const MOST: usize = 20_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Counts wrong passwords, in memory: each server for itself.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<String, Failures>>,
}

impl Throttle {
    /// How long whoever asks from `address` for `login` must wait; `None` when they need not.
    pub(crate) fn wait(&self, login: &str, address: &str, now: Timestamp) -> Option<Duration> {
        let failures = self.failures.lock().expect("no holder of this lock can panic");
        let wait = |key: &str, free: u32| {
            let known = failures.get(key).filter(|known| now.duration_since(known.last) < MEMORY)?;
            let over = known.count.checked_sub(free)?;
            let pause = Duration::from_secs(1_u64 << over.min(12)).min(LONGEST);
            let passed = Duration::try_from(now.duration_since(known.last)).unwrap_or_default();
            pause.checked_sub(passed).filter(|left| !left.is_zero())
        };
        wait(&login_key(login), FREE_FOR_LOGIN).max(wait(&address_key(address), FREE_FOR_ADDRESS))
    }

    pub(crate) fn note_failure(&self, login: &str, address: &str, now: Timestamp) {
        let mut failures = self.failures.lock().expect("no holder of this lock can panic");
        if failures.len() >= MOST {
            failures.retain(|_, known| now.duration_since(known.last) < MEMORY);
        }
        if failures.len() >= MOST {
            failures.clear();
        }
        for key in [login_key(login), address_key(address)] {
            let known = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if now.duration_since(known.last) >= MEMORY {
                known.count = 0;
            }
            known.count += 1;
            known.last = now;
        }
    }

    /// The right password makes good the login's wrong ones.
    pub(crate) fn note_success(&self, login: &str) {
        self.failures.lock().expect("no holder of this lock can panic").remove(&login_key(login));
    }
}

fn login_key(login: &str) -> String {
    format!("login {}", login.trim().to_lowercase().chars().take(80).collect::<String>())
}

fn address_key(address: &str) -> String {
    format!("address {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_guesses_waits_longer_and_longer() {
        let throttle = Throttle::default();
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        for n in 0..5 {
            assert_eq!(throttle.wait("alice", "10.0.0.1", at(0)), None, "guess {n}");
            throttle.note_failure("alice", "10.0.0.1", at(0));
        }
        assert_eq!(throttle.wait(" Alice", "10.0.0.9", at(0)), Some(Duration::from_secs(1)), "from anywhere");
        assert_eq!(throttle.wait("bob", "10.0.0.1", at(0)), None);
        assert_eq!(throttle.wait("alice", "10.0.0.1", at(1)), None);
        throttle.note_failure("alice", "10.0.0.1", at(1));
        assert_eq!(throttle.wait("alice", "10.0.0.1", at(1)), Some(Duration::from_secs(2)));
        assert_eq!(throttle.wait("alice", "10.0.0.1", at(1000)), None, "it is forgotten");
        throttle.note_success("alice");
        assert_eq!(throttle.wait("alice", "10.0.0.1", at(1)), None);
    }
}
