//! Rate limits on the requests of one issue, one user and one repository: the last protection against loops and against
//! costs.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use patchwright_domain::IssueRef;

/// How many requests are accepted in any hour; 0: no limit. Each server counts separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerLimits {
    /// For one issue. This stops two bots that mention each other.
    pub per_issue: u32,
    /// For one user.
    pub per_actor: u32,
    /// For one repository.
    pub per_repository: u32,
}

impl Default for TriggerLimits {
    fn default() -> Self {
        Self { per_issue: 20, per_actor: 60, per_repository: 200 }
    }
}

/// The decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateDecision {
    /// The request is accepted.
    Accept,
    /// The request is over a limit.
    Reject {
        /// Whether to comment on the issue, which is done at most once an hour.
        notice: bool,
    },
}

const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How many keys are kept before those without a request in the last hour are removed.
const MAX_TRACKED_KEYS: usize = 10_000;

/// The times of the requests of the last hour, by key.
#[derive(Debug)]
struct RateLimiter<K> {
    limit: u32,
    seen: HashMap<K, VecDeque<Timestamp>>,
}

impl<K: Hash + Eq> RateLimiter<K> {
    fn new(limit: u32) -> Self {
        Self { limit, seen: HashMap::new() }
    }

    fn is_full(&self, key: &K, now: Timestamp) -> bool {
        let recent = |times: &VecDeque<Timestamp>| times.iter().filter(|at| is_recent(**at, now)).count();
        self.limit > 0 && self.seen.get(key).is_some_and(|times| recent(times) >= self.limit as usize)
    }

    fn note(&mut self, key: K, now: Timestamp) {
        if self.limit == 0 {
            return;
        }
        if self.seen.len() >= MAX_TRACKED_KEYS {
            self.seen.retain(|_, times| times.back().is_some_and(|at| is_recent(*at, now)));
        }
        let times = self.seen.entry(key).or_default();
        times.push_back(now);
        // Only as many times are kept as the limit needs.
        while times.len() > self.limit as usize {
            times.pop_front();
        }
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < WINDOW
}

/// How many comments per hour are posted on one issue without a job.
const MAX_COMMENTS_PER_HOUR: u32 = 6;

/// The rate limiters of this server.
#[derive(Debug)]
pub(crate) struct RateLimiters(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    issues: RateLimiter<IssueRef>,
    actors: RateLimiter<String>,
    repositories: RateLimiter<String>,
    notices: RateLimiter<IssueRef>,
    comments: RateLimiter<String>,
    /// All requests of a person, admitted or not.
    requests: RateLimiter<String>,
}

impl RateLimiters {
    pub(crate) fn new(limits: TriggerLimits) -> Self {
        Self(Mutex::new(Inner {
            issues: RateLimiter::new(limits.per_issue),
            actors: RateLimiter::new(limits.per_actor),
            repositories: RateLimiter::new(limits.per_repository),
            notices: RateLimiter::new(1),
            comments: RateLimiter::new(MAX_COMMENTS_PER_HOUR),
            requests: RateLimiter::new(limits.per_actor),
        }))
    }

    pub(super) fn decide(&self, actor: &str, issue: &IssueRef, now: Timestamp) -> RateDecision {
        let inner = &mut *self.0.lock().expect("no holder of this lock can panic");
        let full = inner.issues.is_full(issue, now)
            || inner.actors.is_full(&actor.to_lowercase(), now)
            || inner.repositories.is_full(&repository(issue), now);
        if !full {
            return RateDecision::Accept;
        }
        let notice = !inner.notices.is_full(issue, now);
        if notice {
            inner.notices.note(issue.clone(), now);
        }
        RateDecision::Reject { notice }
    }

    /// Returns whether one more comment may be posted on an issue without a job, and counts it.
    pub(crate) fn try_acquire_comment(&self, issue: &str, now: Timestamp) -> bool {
        let inner = &mut *self.0.lock().expect("no holder of this lock can panic");
        let key = issue.to_owned();
        let has_room = !inner.comments.is_full(&key, now);
        if has_room {
            inner.comments.note(key, now);
        }
        has_room
    }

    /// Returns whether one more request of a person may be stored. It bounds the questions to the forge that a stranger can
    /// cause.
    pub(super) fn admits_request(&self, actor: &str, now: Timestamp) -> bool {
        let inner = &*self.0.lock().expect("no holder of this lock can panic");
        !inner.requests.is_full(&actor.to_lowercase(), now)
    }

    /// Counts a request that was stored. A repeated delivery is none.
    pub(super) fn note_request(&self, actor: &str, now: Timestamp) {
        let inner = &mut *self.0.lock().expect("no holder of this lock can panic");
        inner.requests.note(actor.to_lowercase(), now);
    }

    /// Counts a request that was admitted.
    pub(super) fn note(&self, actor: &str, issue: &IssueRef, now: Timestamp) {
        let inner = &mut *self.0.lock().expect("no holder of this lock can panic");
        inner.issues.note(issue.clone(), now);
        inner.actors.note(actor.to_lowercase(), now);
        inner.repositories.note(repository(issue), now);
    }
}

fn repository(issue: &IssueRef) -> String {
    format!("{} {}", issue.platform, issue.repo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchwright_domain::{IssueNumber, PlatformId};

    fn issue(number: u64) -> IssueRef {
        let (platform, repo) = (PlatformId::from_static("github"), "acme/demo".parse().unwrap());
        IssueRef::on_forge(platform, repo, IssueNumber::same(number))
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn an_issue_is_heard_so_often_an_hour_and_told_once() {
        let rate_limiters = RateLimiters::new(TriggerLimits { per_issue: 3, per_actor: 0, per_repository: 0 });
        for minute in 0..3 {
            assert_eq!(rate_limiters.decide("bot", &issue(1), at(minute)), RateDecision::Accept);
            rate_limiters.note("bot", &issue(1), at(minute));
        }
        assert_eq!(rate_limiters.decide("bot", &issue(1), at(3)), RateDecision::Reject { notice: true });
        for minute in 4..59 {
            assert_eq!(rate_limiters.decide("other", &issue(1), at(minute)), RateDecision::Reject { notice: false });
            rate_limiters.note("other", &issue(1), at(minute));
        }
        assert_eq!(
            rate_limiters.decide("bot", &issue(2), at(4)),
            RateDecision::Accept,
            "another issue is another matter"
        );
        assert_eq!(
            rate_limiters.decide("bot", &issue(1), at(58 + 60)),
            RateDecision::Accept,
            "an hour later there is room"
        );
    }

    #[test]
    fn fault_b5_a_delivery_that_is_repeated_uses_up_nobodys_limit() {
        let limits = TriggerLimits { per_issue: 0, per_actor: 2, per_repository: 0 };
        let rate_limiters = RateLimiters::new(limits);
        for _ in 0..100 {
            assert!(rate_limiters.admits_request("Alice", at(0)), "only a stored request counts");
        }
        (0..2).for_each(|_| rate_limiters.note_request("alice", at(0)));
        assert!(!rate_limiters.admits_request("Alice", at(59)) && rate_limiters.admits_request("bob", at(59)));
        assert!(rate_limiters.admits_request("alice", at(60)));
    }

    #[test]
    fn people_and_repositories_have_their_own_measure() {
        let rate_limiters = RateLimiters::new(TriggerLimits { per_issue: 0, per_actor: 1, per_repository: 2 });
        rate_limiters.note("Alice", &issue(1), at(0));
        assert_eq!(rate_limiters.decide("alice", &issue(2), at(1)), RateDecision::Reject { notice: true });
        assert_eq!(rate_limiters.decide("bob", &issue(2), at(1)), RateDecision::Accept);
        rate_limiters.note("bob", &issue(2), at(1));
        assert_eq!(rate_limiters.decide("carol", &issue(3), at(2)), RateDecision::Reject { notice: true });
    }
}
