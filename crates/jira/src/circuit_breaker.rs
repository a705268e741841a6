//! A circuit breaker for each site, so that a site that does not answer does not hold up the others.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// The number of consecutive failures after which a site's breaker opens.
const FAILURE_THRESHOLD: u32 = 5;
/// The first pause; it doubles with each further failure.
const INITIAL_PAUSE: SignedDuration = SignedDuration::from_secs(15);
const MAX_PAUSE: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, Default)]
struct Site {
    failures: u32,
    open_until: Option<Timestamp>,
}

/// The circuit breakers of all sites.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreakers(Mutex<HashMap<String, Site>>);

impl CircuitBreakers {
    /// Returns how long no request may be sent to a site; `None` if one may be sent now. After a pause one request is let
    /// through, and the others wait for its outcome.
    pub(crate) fn remaining_pause(&self, site: &str, now: Timestamp) -> Option<SignedDuration> {
        let mut sites = self.0.lock().expect("no holder of this lock can panic");
        let known = sites.get_mut(site)?;
        let remaining = known.open_until?.duration_since(now);
        if remaining.is_positive() && remaining <= MAX_PAUSE {
            return Some(remaining);
        }
        known.open_until = Some(now.saturating_add(INITIAL_PAUSE).unwrap_or(now));
        None
    }

    /// Records the outcome of a request.
    pub(crate) fn record(&self, site: &str, succeeded: bool, now: Timestamp) {
        let mut sites = self.0.lock().expect("no holder of this lock can panic");
        if succeeded {
            sites.remove(site);
            return;
        }
        let known = sites.entry(site.to_owned()).or_default();
        known.failures += 1;
        if known.failures >= FAILURE_THRESHOLD {
            let factor = 1_i32 << (known.failures - FAILURE_THRESHOLD).min(8);
            let pause = INITIAL_PAUSE.saturating_mul(factor).min(MAX_PAUSE);
            let (failures, pause_s) = (known.failures, pause.as_secs());
            tracing::warn!(site, failures, pause_s, "lost connection to a Jira site, pausing requests");
            known.open_until = Some(now.saturating_add(pause).unwrap_or(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_opens_after_five_failures_and_lets_one_request_through_after_its_pause() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let breakers = CircuitBreakers::default();
        for _ in 0..4 {
            breakers.record("a", false, at(0));
            assert_eq!(breakers.remaining_pause("a", at(0)), None);
        }
        breakers.record("a", false, at(0));
        assert_eq!(breakers.remaining_pause("a", at(5)), Some(SignedDuration::from_secs(10)));
        assert_eq!(breakers.remaining_pause("b", at(5)), None, "other sites are not affected");
        assert_eq!(breakers.remaining_pause("a", at(15)), None, "one request is let through");
        assert!(breakers.remaining_pause("a", at(15)).is_some(), "and no other with it");
        breakers.record("a", false, at(16));
        assert_eq!(breakers.remaining_pause("a", at(16)), Some(SignedDuration::from_secs(30)));
        breakers.record("a", true, at(46));
        assert_eq!(breakers.remaining_pause("a", at(46)), None);
    }
}
