//! The results of tests on base commits, so that a second round or job on a commit does not run them again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use patchwright_core::sandbox::{CheckReport, Selection, Suite};
use patchwright_domain::RepoPath;

/// How many reports are kept; the oldest goes first.
const MAX_REPORTS: usize = 256;
/// The longest key, in bytes: a change may bring large test files.
const MAX_KEY: usize = 1 << 20;

/// What was run: a suite, or a part of it, of a commit with other tests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BaselineKey(Vec<u8>);

impl BaselineKey {
    /// Returns the key of a run; nothing if it is too long to be kept.
    pub(super) fn of(
        commit: &str,
        suite: &Suite,
        selection: &Selection,
        tests: &BTreeMap<RepoPath, Vec<u8>>,
    ) -> Option<Self> {
        // The whole texts and no hash of them: whoever finds two texts of one hash would write the results of another.
        let mut key = format!("{commit}\0{suite:?}\0{selection:?}").into_bytes();
        for (path, text) in tests {
            key.extend(format!("\0{path}\0{}\0", text.len()).bytes());
            key.extend(text);
        }
        (key.len() <= MAX_KEY).then_some(Self(key))
    }
}

/// The results of tests on base commits that this process has seen.
///
/// They are kept in memory: tool chains of the machine may change between two starts.
#[derive(Debug, Default)]
pub struct Baselines {
    reports: Mutex<Reports>,
}

#[derive(Debug, Default)]
struct Reports {
    by_key: HashMap<BaselineKey, CheckReport>,
    order: VecDeque<BaselineKey>,
}

impl Baselines {
    pub(super) fn find(&self, key: &BaselineKey) -> Option<CheckReport> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).by_key.get(key).cloned()
    }

    /// Keeps a report, unless the run did not end by itself: it may get further the next time.
    pub(super) fn keep(&self, key: BaselineKey, report: &CheckReport) {
        if report.exceeded.is_some() || report.tests.is_empty() {
            return;
        }
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.by_key.insert(key.clone(), report.clone()).is_none() {
            reports.order.push_back(key);
        }
        while reports.order.len() > MAX_REPORTS {
            if let Some(oldest) = reports.order.pop_front() {
                reports.by_key.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use patchwright_core::sandbox::{Exceeded, TestOutcome};

    use super::*;

    #[test]
    fn results_are_those_of_the_same_commit_the_same_tests_and_the_same_part_of_a_suite() {
        let (suite, other) = (Suite::default(), Suite { folder: "web".to_owned(), ..Suite::default() });
        let tests = |text: &str| BTreeMap::from([(RepoPath::parse("tests/t.py").unwrap(), text.as_bytes().to_vec())]);
        let part = Selection::Parts(vec!["tests/t.py".to_owned()]);
        let key = |commit: &str, suite: &Suite, selection: &Selection, text: &str| {
            BaselineKey::of(commit, suite, selection, &tests(text)).unwrap()
        };
        let baselines = Baselines::default();
        let report = patchwright_testkit::fake::report(&[("t", TestOutcome::Passed)]);
        baselines.keep(key("a", &suite, &part, "1"), &report);
        assert_eq!(baselines.find(&key("a", &suite, &part, "1")), Some(report.clone()));
        for unlike in [
            key("b", &suite, &part, "1"),
            key("a", &other, &part, "1"),
            key("a", &suite, &Selection::All, "1"),
            key("a", &suite, &part, "2"),
        ] {
            assert_eq!(baselines.find(&unlike), None);
        }
        let late = CheckReport { exceeded: Some(Exceeded::Time), ..report };
        baselines.keep(key("late", &suite, &part, "1"), &late);
        assert_eq!(baselines.find(&key("late", &suite, &part, "1")), None);
        let huge = "x".repeat(MAX_KEY);
        assert_eq!(BaselineKey::of("a", &suite, &part, &tests(&huge)), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let baselines = Baselines::default();
        let report = patchwright_testkit::fake::report(&[("t", TestOutcome::Passed)]);
        let key = |commit: usize| {
            BaselineKey::of(&commit.to_string(), &Suite::default(), &Selection::All, &BTreeMap::new()).unwrap()
        };
        (0..=MAX_REPORTS).for_each(|commit| baselines.keep(key(commit), &report));
        assert!(baselines.find(&key(0)).is_none() && baselines.find(&key(1)).is_some());
    }
}
