//! The effect of a change on the tests, by their names.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;

type Outcomes = BTreeMap<String, TestOutcome>;

/// The effect of a change on the tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) fixed: Vec<String>,
    pub(super) broken: Vec<String>,
    pub(super) failing: Vec<String>,
    /// Tests that failed before and do not run now.
    pub(super) gone: Vec<String>,
}

impl Comparison {
    pub(super) fn between(before: &Outcomes, after: &Outcomes) -> Self {
        let mut comparison = Self::default();
        for (name, outcome) in after {
            let list = match (before.get(name), outcome) {
                (Some(TestOutcome::Failed), TestOutcome::Passed) => &mut comparison.fixed,
                (Some(TestOutcome::Failed), TestOutcome::Failed) => &mut comparison.failing,
                (Some(TestOutcome::Passed | TestOutcome::Skipped) | None, TestOutcome::Failed) => {
                    &mut comparison.broken
                }
                _ => continue,
            };
            list.push(name.clone());
        }
        for (name, outcome) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
            match (outcome, outcome_of_file(name, after)) {
                // A file that could not be loaded before, and whose tests pass now.
                (TestOutcome::Failed, Some(TestOutcome::Passed)) => comparison.fixed.push(name.clone()),
                (TestOutcome::Failed, _) => comparison.gone.push(name.clone()),
                // The suite was aborted, or the test was deleted. One case less of a test that still passes is neither.
                (TestOutcome::Passed, _) if !has_other_cases(name, after) => {
                    comparison.broken.push(format!("{name} (did not run)"));
                }
                _ => {}
            }
        }
        comparison
    }
}

/// Returns the outcome of the tests in a file or module, if there are any.
fn outcome_of_file(name: &str, tests: &Outcomes) -> Option<TestOutcome> {
    let is_in = |test: &str| test.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '.', '>', ' ', '/']));
    let outcomes: Vec<TestOutcome> =
        tests.iter().filter(|(test, _)| is_in(test)).map(|(_, outcome)| *outcome).collect();
    if outcomes.contains(&TestOutcome::Failed) {
        return Some(TestOutcome::Failed);
    }
    outcomes.contains(&TestOutcome::Passed).then_some(TestOutcome::Passed)
}

/// Returns whether a case with other parameters passes: their values are a part of its name.
fn has_other_cases(name: &str, tests: &Outcomes) -> bool {
    let Some((test, _)) = name.split_once(['[', '(']) else { return false };
    let start = &name[..=test.len()];
    let mut cases = tests.iter().filter(|(name, _)| name.starts_with(start)).peekable();
    cases.peek().is_some() && cases.all(|(_, outcome)| *outcome != TestOutcome::Failed)
}

#[cfg(test)]
mod tests {
    use TestOutcome::{Failed, Passed, Skipped};

    use super::*;

    fn between(before: &[(&str, TestOutcome)], after: &[(&str, TestOutcome)]) -> Comparison {
        let outcomes = |tests: &[(&str, TestOutcome)]| {
            tests.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect()
        };
        Comparison::between(&outcomes(before), &outcomes(after))
    }

    #[test]
    fn every_outcome_before_and_after_has_its_meaning() {
        let before = [("a", Failed), ("b", Failed), ("c", Passed), ("d", Skipped), ("e", Passed), ("gone", Failed)];
        let after =
            [("a", Passed), ("b", Failed), ("c", Failed), ("d", Failed), ("new", Failed), ("new_passes", Passed)];
        let found = between(&before, &after);
        assert_eq!(found.fixed, ["a"]);
        assert_eq!(found.failing, ["b"]);
        assert_eq!(found.broken, ["c", "d", "new", "e (did not run)"]);
        assert_eq!(found.gone, ["gone"]);
    }

    #[test]
    fn a_file_that_can_be_loaded_now_is_fixed_if_its_tests_pass() {
        let before = [("tests/test_a.py", Failed)];
        assert_eq!(between(&before, &[("tests/test_a.py::test_x", Passed)]).fixed, ["tests/test_a.py"]);
        let still = between(&before, &[("tests/test_a.py::test_x", Failed)]);
        assert_eq!(
            (still.gone.as_slice(), still.broken.as_slice()),
            (&["tests/test_a.py".to_owned()][..], &["tests/test_a.py::test_x".to_owned()][..])
        );
        assert_eq!(between(&before, &[("tests/test_ab.py::test_x", Passed)]).gone, ["tests/test_a.py"]);
    }

    #[test]
    fn other_parameters_of_a_test_that_passes_break_nothing() {
        assert!(between(&[("t[1]", Passed)], &[("t[2]", Passed)]).broken.is_empty());
        assert_eq!(between(&[("t[1]", Passed)], &[("t[2]", Failed)]).broken, ["t[2]", "t[1] (did not run)"]);
    }
}
