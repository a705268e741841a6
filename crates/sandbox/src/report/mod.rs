//! Parsers for the output of test runners: machine formats where the runner has one, otherwise its text.

pub(crate) mod cargo;
pub(crate) mod go;
pub(crate) mod junit;
pub(crate) mod node;
pub(crate) mod unittest;

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;
use patchwright_domain::job::report::TestResults;

/// Adds the outcome of a test. Of two tests with one name, the worse outcome counts: a pass must not hide a failure.
pub(crate) fn record(tests: &mut BTreeMap<String, TestOutcome>, name: String, outcome: TestOutcome) {
    let known = tests.entry(name).or_insert(outcome);
    if severity(outcome) > severity(*known) {
        *known = outcome;
    }
}

const fn severity(outcome: TestOutcome) -> u8 {
    match outcome {
        TestOutcome::Skipped => 0,
        TestOutcome::Passed => 1,
        TestOutcome::Failed => 2,
    }
}

/// The tests of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ParsedReport {
    pub(crate) tests: BTreeMap<String, TestOutcome>,
    pub(crate) results: TestResults,
}

impl ParsedReport {
    /// Creates a report from named tests, and counts them.
    pub(crate) fn from_tests(tests: BTreeMap<String, TestOutcome>) -> Self {
        let count = |kind: TestOutcome| {
            u32::try_from(tests.values().filter(|outcome| **outcome == kind).count()).unwrap_or(u32::MAX)
        };
        let (passed, failed, skipped) =
            (count(TestOutcome::Passed), count(TestOutcome::Failed), count(TestOutcome::Skipped));
        let results = TestResults { passed, failed, skipped, coverage: None, total: passed + failed + skipped };
        Self { tests, results }
    }

    /// Creates a report from the counts of a summary, without names.
    pub(crate) fn from_counts(passed: u32, failed: u32, skipped: u32) -> Self {
        let total = passed + failed + skipped;
        Self { tests: BTreeMap::new(), results: TestResults { passed, failed, skipped, coverage: None, total } }
    }
}
