//! A breaker for each site: one that does not answer is left alone for a while, so that it holds up nothing else.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// After so many failures in a row a site is left alone.
const FAILURES: u32 = 5;
/// For so long, and twice as long each time that it still does not answer.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, Default)]
struct Site {
    failures: u32,
    until: Option<Timestamp>,
}

/// The breakers of all sites.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<HashMap<String, Site>>);

impl Breakers {
    /// For how long a site is left alone yet; `None` when it may be asked. After a pause one call goes out, and all others
    /// wait for what comes of it.
    pub(crate) fn closed_for(&self, site: &str, now: Timestamp) -> Option<SignedDuration> {
        let mut sites = self.0.lock().expect("no holder of this lock can panic");
        let known = sites.get_mut(site)?;
        let until = known.until?;
        let rest = until.duration_since(now);
        if rest.is_positive() && rest <= LONGEST_PAUSE {
            return Some(rest);
        }
        known.until = Some(now.saturating_add(FIRST_PAUSE).unwrap_or(now));
        None
    }

    /// Notes how a call ended.
    pub(crate) fn note(&self, site: &str, answered: bool, now: Timestamp) {
        let mut sites = self.0.lock().expect("no holder of this lock can panic");
        if answered {
            sites.remove(site);
            return;
        }
        let known = sites.entry(site.to_owned()).or_default();
        known.failures += 1;
        if known.failures >= FAILURES {
            let times = 1_i32 << (known.failures - FAILURES).min(8);
            let pause = FIRST_PAUSE.saturating_mul(times).min(LONGEST_PAUSE);
            tracing::warn!(
                site,
                known.failures,
                pause_s = pause.as_secs(),
                "the Jira site does not answer and is left alone"
            );
            known.until = Some(now.saturating_add(pause).unwrap_or(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_does_not_answer_is_left_alone_and_tried_again_once() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let breakers = Breakers::default();
        for _ in 0..4 {
            breakers.note("a", false, at(0));
            assert_eq!(breakers.closed_for("a", at(0)), None);
        }
        breakers.note("a", false, at(0));
        assert_eq!(breakers.closed_for("a", at(5)), Some(SignedDuration::from_secs(10)));
        assert_eq!(breakers.closed_for("b", at(5)), None, "others are not held up");
        assert_eq!(breakers.closed_for("a", at(15)), None, "one call goes out");
        assert!(breakers.closed_for("a", at(15)).is_some(), "and no other beside it");
        breakers.note("a", false, at(16));
        assert_eq!(breakers.closed_for("a", at(16)), Some(SignedDuration::from_secs(30)));
        breakers.note("a", true, at(46));
        assert_eq!(breakers.closed_for("a", at(46)), None);
    }
}
