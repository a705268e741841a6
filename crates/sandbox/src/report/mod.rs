//! Reading what test runners say. Machine formats first; text where there is nothing better.

pub(crate) mod cargo;
pub(crate) mod go;
pub(crate) mod junit;
pub(crate) mod node;
pub(crate) mod unittest;

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;
use patchwright_domain::job::report::TestResults;

/// What a run showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) tests: BTreeMap<String, TestOutcome>,
    pub(crate) results: TestResults,
}

impl Parsed {
    /// Counts from the tests by name.
    pub(crate) fn from_tests(tests: BTreeMap<String, TestOutcome>) -> Self {
        let count = |wanted: TestOutcome| {
            u32::try_from(tests.values().filter(|outcome| **outcome == wanted).count()).unwrap_or(u32::MAX)
        };
        let (passed, failed, skipped) =
            (count(TestOutcome::Passed), count(TestOutcome::Failed), count(TestOutcome::Skipped));
        let results = TestResults { passed, failed, skipped, coverage: None, total: passed + failed + skipped };
        Self { tests, results }
    }

    /// Counts only: the runner's summary is all there is.
    pub(crate) fn from_counts(passed: u32, failed: u32, skipped: u32) -> Self {
        let total = passed + failed + skipped;
        Self { tests: BTreeMap::new(), results: TestResults { passed, failed, skipped, coverage: None, total } }
    }
}
