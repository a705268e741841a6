//! The verdict on what the runs showed.

use std::collections::BTreeMap;

use patchwright_core::sandbox::{CheckReport, Exceeded};
use patchwright_domain::job::report::{Compared, Proof, TestResults, Verdict};

use super::Verification;
use super::compare::Comparison;
use super::suite_run::SuiteResult;
use super::test_edits::{TestEdit, TestEdits};

/// What an explanation says where everything was compared and nothing shows the fault.
pub(super) const SILENT: &str = "nothing broke, but no test shows the fault";

/// Judges the runs of all suites. `is_whole` says whether every suite that owns the change was run.
pub(super) fn judge(runs: Vec<(String, SuiteResult)>, edits: &TestEdits, is_whole: bool) -> Verification {
    let has_many = runs.len() > 1;
    let mut all = Verification::without_run(Verdict::NoTests, String::new());
    let mut compared = Compared { ran: 0, known: 0, complete: is_whole };
    let mut verdicts: Vec<(Verdict, String, Option<Proof>)> = Vec::new();
    let (mut before, mut after) = (TestResults::default(), TestResults::default());
    let own_tests_ran_before = runs.iter().all(|(_, run)| !run.own_tests_do_not_build);
    let is_unloaded = |run: &SuiteResult| run.comparison.failing.iter().any(|name| edits.is_file(name));
    let are_explained = runs.iter().all(|(_, run)| !has_unnamed_failure(run) && !is_unloaded(run));
    for (suite, run) in runs {
        let named = |names: &[String]| {
            names
                .iter()
                .map(|name| if has_many { format!("{suite}: {name}") } else { name.clone() })
                .collect::<Vec<_>>()
        };
        let (verdict, explanation, proof) = judge_suite(&run, edits);
        all.fixed.extend(named(&run.comparison.fixed));
        all.broken.extend(named(&run.comparison.broken));
        let (mut goals, others): (Vec<String>, Vec<String>) =
            run.comparison.failing.iter().cloned().partition(|name| run.goals.contains(name));
        goals.extend(others);
        all.failing.extend(named(&goals));
        all.flaky.extend(named(&run.flaky.iter().cloned().collect::<Vec<_>>()));
        all.failures.extend(failures_of(&run).into_iter().map(|(name, text)| (named(&[name]).concat(), text)));
        compared.ran += run.compared.ran;
        compared.known += run.compared.known;
        compared.complete &= run.compared.complete;
        add(&mut before, &run.before.results);
        add(&mut after, &run.after.results);
        all.first_result = all.first_result.max(Some(run.first_result));
        all.build_success = Some(all.build_success.unwrap_or(true) && run.after.build_success);
        let explanation = explanation + &describe_exit_code(&run.before, &run.after);
        let is_worse = verdicts.iter().all(|(other, ..)| rank(*other) < rank(verdict));
        if is_worse {
            all.command = Some(run.after.command.clone());
            all.log_tail = run.after.log_tail.clone();
        }
        let explanation = if has_many { format!("{suite}: {explanation}") } else { explanation };
        verdicts.push((verdict, explanation, proof));
    }
    if let Some((verdict, _, _)) = verdicts.iter().max_by_key(|(verdict, ..)| rank(*verdict)) {
        all.verdict = *verdict;
        all.explanation = verdicts.iter().map(|(_, text, _)| text.as_str()).collect::<Vec<_>>().join("; ");
        all.proof = verdicts.iter().filter_map(|(.., proof)| *proof).min_by_key(|proof| *proof != Proof::ExistingTest);
    }
    all.proof = all.proof.filter(|_| all.verdict == Verdict::FixedProven);
    all.shows_no_fault = all.verdict == Verdict::NoRegressions
        && all.fixed.is_empty()
        && edits.has_goals()
        && compared.complete
        && own_tests_ran_before
        && are_explained;
    all.compared = Some(compared);
    (all.before, all.after) = (Some(before), Some(after));
    all.edited = edits.lost();
    if !compared.complete && all.verdict == Verdict::FixedProven {
        all.explanation.push_str("; not all of the other tests could be run");
    }
    all
}

/// Orders the verdicts of two suites: the last one is that of both. One that shows the fix counts for more than one that shows
/// nothing, and less than one that shows harm.
const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NoTests => 0,
        Verdict::AnalysisOnly => 1,
        Verdict::NotRun => 2,
        Verdict::NoRegressions => 3,
        Verdict::FixedProven => 4,
        Verdict::StillFailing => 5,
        Verdict::Regressions => 6,
        Verdict::CouldNotBuild => 7,
    }
}

fn judge_suite(run: &SuiteResult, edits: &TestEdits) -> (Verdict, String, Option<Proof>) {
    let (before, after, found) = (&run.before, &run.after, &run.comparison);
    let plain = |verdict, text: String| (verdict, text, None);
    if !after.build_success && after.tests.is_empty() || after.exceeded.is_some() {
        return match (after.exceeded, before.build_success) {
            (Some(Exceeded::Time), _) => plain(Verdict::NotRun, "the tests ran out of time".to_owned()),
            (Some(limit), false) => plain(Verdict::NotRun, format!("the tests {limit}")),
            (Some(limit), true) => {
                plain(Verdict::CouldNotBuild, format!("the tests {limit} after the change, and did not before"))
            }
            (None, true) => plain(
                Verdict::CouldNotBuild,
                "the tests could not be run after the change, but could before".to_owned(),
            ),
            (None, false) => {
                plain(Verdict::NotRun, "the tests could not be run, neither before the change nor after".to_owned())
            }
        };
    }
    if !found.broken.is_empty() {
        let text = format!("{} failed after the change and not before it", tests(found.broken.len()));
        return plain(Verdict::Regressions, text);
    }
    if !after.build_success && before.build_success {
        let text = "a part of the tests could not be built after the change, but could before".to_owned();
        return plain(Verdict::CouldNotBuild, text);
    }
    if after.tests.is_empty() || (before.tests.is_empty() && before.results.total > 0) {
        return judge_counts(&before.results, &after.results);
    }
    if is_unfit(run, edits) {
        let text =
            "every test that was run fails, before the change and after it: something that they need is not there";
        return plain(Verdict::NotRun, text.to_owned());
    }
    if !run.goals.is_empty() {
        let text =
            format!("{} that the change brings or edits failed before the change and after it", tests(run.goals.len()));
        return plain(Verdict::StillFailing, text);
    }
    judge_fixed(run, edits)
}

/// From how many failing tests on, which the change has nothing to do with, their environment is at fault.
const MIN_UNRELATED: usize = 3;

/// Returns whether the environment does not fit the tests: none passes on either side, and most are none of the change's.
fn is_unfit(run: &SuiteResult, edits: &TestEdits) -> bool {
    let is_unrelated = |name: &&String| !run.goals.contains(*name) && edits.of(name).is_none();
    let nothing_passes = run.before.results.passed == 0 && run.after.results.passed == 0;
    nothing_passes && run.comparison.failing.iter().filter(is_unrelated).count() >= MIN_UNRELATED
}

/// Nothing broke. Whether something shows the fix?
fn judge_fixed(run: &SuiteResult, edits: &TestEdits) -> (Verdict, String, Option<Proof>) {
    let found = &run.comparison;
    let proof_of = |name: &String| match edits.of(name) {
        Some(TestEdit::Weakened) => None,
        Some(_) => Some(Proof::OwnTest),
        None if edits.touches(name) || edits.changes_data() => Some(Proof::OwnTest),
        None => Some(Proof::ExistingTest),
    };
    let proofs: Vec<Proof> = found.fixed.iter().filter_map(proof_of).collect();
    if let Some(proof) = proofs.iter().copied().min_by_key(|proof| *proof != Proof::ExistingTest) {
        let rest = if found.failing.is_empty() {
            String::new()
        } else {
            format!("; {} failed before and after", tests(found.failing.len()))
        };
        let text = format!("{} failed before the change and passed after it{rest}", tests(proofs.len()));
        return (Verdict::FixedProven, text, Some(proof));
    }
    let text = if !found.fixed.is_empty() {
        "the only tests that show the fix are existing ones that the change makes expect something else".to_owned()
    } else if run.own_tests_do_not_build {
        "nothing broke, but the tests of the change cannot be built without it, so that they do not show the fault"
            .to_owned()
    } else if run.before.results.total == 0 && run.after.results.total == 0 {
        return (Verdict::NoTests, "the test suite is empty".to_owned(), None);
    } else if let Some(count) = count_edited(found, edits) {
        format!(
            "nothing broke, but {} that the change edits failed before the change and after it, and without what it changes in \
             the tests too",
            tests(count)
        )
    } else if !run.compared.complete {
        "nothing broke in what could be run in time, and no test that ran shows the fault".to_owned()
    } else if has_unnamed_failure(run) {
        "nothing broke, but the command failed before the change and not after it, and its report names no test that failed: what \
         the fix shows is not known"
            .to_owned()
    } else if edits.has_goals() && found.failing.is_empty() {
        // A test that fails on both sides may be the file of the change's tests, which cannot be loaded here.
        "nothing broke, but the tests of the change do not show the fault: they pass without it".to_owned()
    } else if let Some(file) = found.failing.iter().find(|name| edits.is_file(name)) {
        format!(
            "nothing broke, but the tests of the change show nothing: {file} could not be loaded, neither before the change nor \
             after it"
        )
    } else if found.failing.is_empty() {
        SILENT.to_owned()
    } else {
        format!("{SILENT}; {} failed before and after", tests(found.failing.len()))
    };
    (Verdict::NoRegressions, text, None)
}

/// Returns how many of the tests that fail on both sides the change edits, if any. Files that cannot be loaded are no tests.
fn count_edited(found: &Comparison, edits: &TestEdits) -> Option<usize> {
    let is_edited = |name: &&String| !edits.is_file(name) && edits.of(name).is_some();
    Some(found.failing.iter().filter(is_edited).count()).filter(|count| *count > 0)
}

/// Returns whether the run before the change failed with no failed test in its report, and the run after it did not fail: the
/// report is not all that there is.
fn has_unnamed_failure(run: &SuiteResult) -> bool {
    let (before, after) = (&run.before, &run.after);
    before.exit_code.is_some_and(|code| code != 0) && before.results.failed == 0 && after.exit_code == Some(0)
}

/// For runners that do not report the names of tests. Their counts can show harm, and never a fix.
fn judge_counts(before: &TestResults, after: &TestResults) -> (Verdict, String, Option<Proof>) {
    let (verdict, text) = if after.total == 0 && before.total == 0 {
        (Verdict::NoTests, "the test suite is empty".to_owned())
    } else if after.failed > before.failed {
        (
            Verdict::Regressions,
            format!("{} failed after the change, {} before it", tests(after.failed as usize), before.failed),
        )
    } else if after.total < before.total {
        (
            Verdict::Regressions,
            format!("{} ran after the change, {} before it", tests(after.total as usize), before.total),
        )
    } else if after.failed < before.failed {
        let text = "fewer tests fail than before, but the runner does not say which, so that nothing is proven";
        (Verdict::NoRegressions, text.to_owned())
    } else {
        (Verdict::NoRegressions, "nothing broke, but no test shows the fault".to_owned())
    };
    (verdict, text, None)
}

/// Returns a remark about a command that failed although no test did: a step beside the tests, such as a linter.
fn describe_exit_code(before: &CheckReport, after: &CheckReport) -> String {
    match after.exit_code.filter(|code| *code != 0) {
        Some(code) if after.build_success && after.results.failed == 0 && after.results.total > 0 => {
            let also = match before.exit_code {
                Some(0) | None => "",
                Some(_) => ", and failed before the change too",
            };
            format!("; `{}` ended with code {code} beside them{also}", after.command)
        }
        _ => String::new(),
    }
}

/// The output of the tests that count.
fn failures_of(run: &SuiteResult) -> BTreeMap<String, String> {
    let counts = |name: &str| {
        let lists = [&run.comparison.broken, &run.comparison.failing];
        lists.into_iter().flatten().any(|known| known == name)
    };
    run.after
        .failures
        .iter()
        .filter(|(name, _)| counts(name))
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect()
}

fn add(sum: &mut TestResults, results: &TestResults) {
    sum.passed += results.passed;
    sum.failed += results.failed;
    sum.skipped += results.skipped;
    sum.total += results.total;
    sum.coverage = sum.coverage.take().or_else(|| results.coverage.clone());
}

/// Returns a number of tests in words.
fn tests(count: usize) -> String {
    if count == 1 { "1 test".to_owned() } else { format!("{count} tests") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use TestOutcome::{Failed, Passed};
    use patchwright_core::sandbox::TestOutcome;
    use patchwright_domain::RepoPath;

    use super::super::compare::Comparison;
    use super::*;

    fn report(tests: &[(&str, TestOutcome)], build_success: bool) -> CheckReport {
        let count = |wanted| u32::try_from(tests.iter().filter(|(_, outcome)| *outcome == wanted).count()).unwrap();
        let (passed, failed) = (count(Passed), count(Failed));
        CheckReport {
            ecosystem: "test".into(),
            command: "test".into(),
            build_success,
            results: TestResults { passed, failed, skipped: 0, coverage: None, total: passed + failed },
            tests: tests.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect(),
            exceeded: None,
            exit_code: Some(i32::from(failed > 0)),
            log_tail: String::new(),
            failures: BTreeMap::new(),
        }
    }

    fn run(before: &CheckReport, after: &CheckReport) -> SuiteResult {
        let total = after.results.total;
        SuiteResult {
            before: before.clone(),
            after: after.clone(),
            comparison: Comparison::between(&before.tests, &after.tests),
            goals: BTreeSet::new(),
            flaky: BTreeSet::new(),
            compared: Compared { ran: total, known: total, complete: true },
            own_tests_do_not_build: false,
            first_result: Duration::ZERO,
        }
    }

    fn judged(before: &CheckReport, after: &CheckReport) -> Verdict {
        judge(vec![("test".into(), run(before, after))], &TestEdits::default(), true).verdict
    }

    #[test]
    fn only_what_the_tests_showed_is_said() {
        let failing = report(&[("a", Passed), ("b", Failed)], true);
        assert_eq!(judged(&failing, &report(&[("a", Passed), ("b", Passed)], true)), Verdict::FixedProven);
        assert_eq!(judged(&failing, &report(&[("a", Failed), ("b", Passed)], true)), Verdict::Regressions);
        assert_eq!(judged(&failing, &failing), Verdict::NoRegressions);
        assert_eq!(judged(&failing, &report(&[], false)), Verdict::CouldNotBuild);
        assert_eq!(judged(&report(&[], false), &report(&[], false)), Verdict::NotRun);
        let late = CheckReport { exceeded: Some(Exceeded::Time), ..report(&[("a", Passed)], false) };
        assert_eq!(judged(&failing, &late), Verdict::NotRun);
        let green = report(&[("a", Passed)], true);
        assert_eq!(judged(&green, &green), Verdict::NoRegressions);
        assert_eq!(judged(&report(&[], true), &report(&[], true)), Verdict::NoTests);
    }

    #[test]
    fn what_failed_before_is_not_held_against_the_fix_unless_it_is_what_the_change_expects() {
        let before = report(&[("old", Failed), ("b", Failed)], true);
        let after = report(&[("old", Failed), ("b", Passed)], true);
        assert_eq!(judged(&before, &after), Verdict::FixedProven);
        let missed = SuiteResult { goals: BTreeSet::from(["old".to_owned()]), ..run(&before, &after) };
        let found = judge(vec![("test".into(), missed)], &TestEdits::default(), true);
        assert_eq!((found.verdict, found.proof), (Verdict::StillFailing, None));
    }

    #[test]
    fn where_no_test_passes_the_environment_is_at_fault_and_not_the_change() {
        let red = report(&[("a", Failed), ("b", Failed), ("c", Failed), ("new", Failed)], true);
        let missed = SuiteResult { goals: BTreeSet::from(["new".to_owned()]), ..run(&red, &red) };
        let found = judge(vec![("test".into(), missed)], &TestEdits::default(), true);
        assert_eq!(found.verdict, Verdict::NotRun);
        assert!(found.explanation.contains("something that they need is not there"), "{}", found.explanation);
        let few = report(&[("a", Failed), ("new", Failed)], true);
        let missed = SuiteResult { goals: BTreeSet::from(["new".to_owned()]), ..run(&few, &few) };
        assert_eq!(judge(vec![("test".into(), missed)], &TestEdits::default(), true).verdict, Verdict::StillFailing);
    }

    #[test]
    fn a_new_failing_test_or_a_vanished_one_is_a_regression() {
        let green = report(&[("a", Passed), ("b", Passed)], true);
        let with_new = report(&[("a", Passed), ("b", Passed), ("new", Failed)], true);
        assert_eq!(judged(&green, &with_new), Verdict::Regressions);
        assert_eq!(judged(&green, &report(&[("a", Passed)], true)), Verdict::Regressions);
    }

    #[test]
    fn fault_h_a_step_that_fails_beside_the_tests_is_told_and_no_broken_build() {
        let lint = |report: CheckReport| CheckReport { exit_code: Some(1), ..report };
        let (before, after) = (lint(report(&[("a", Failed)], true)), lint(report(&[("a", Passed)], true)));
        let found = judge(vec![("test".into(), run(&before, &after))], &TestEdits::default(), true);
        assert_eq!(found.verdict, Verdict::FixedProven);
        let words = found.explanation;
        assert!(words.contains("`test` ended with code 1") && words.contains("before the change too"), "{words}");
    }

    #[test]
    fn fault_h_counts_show_harm_and_never_a_fix() {
        let counted = |passed: u32, failed: u32| {
            let results = TestResults { passed, failed, skipped: 0, coverage: None, total: passed + failed };
            CheckReport { results, ..report(&[], true) }
        };
        assert_eq!(judged(&counted(10, 0), &counted(5, 0)), Verdict::Regressions);
        assert_eq!(judged(&counted(10, 0), &counted(9, 1)), Verdict::Regressions);
        assert_eq!(judged(&counted(10, 1), &counted(11, 0)), Verdict::NoRegressions);
    }

    #[test]
    fn the_proof_is_said_and_an_existing_test_that_expects_less_is_none() {
        let (before, after) = (report(&[("t.py::test_x", Failed)], true), report(&[("t.py::test_x", Passed)], true));
        let with = |old: &str, new: &str| {
            let mut edits = TestEdits::default();
            edits.add(&RepoPath::parse("tests/t.py").unwrap(), Some(old), Some(new));
            judge(vec![("test".into(), run(&before, &after))], &edits, true)
        };
        let old = "def test_x():\n    assert f() == 1\n";
        let kept = judge(vec![("test".into(), run(&before, &after))], &TestEdits::default(), true);
        assert_eq!((kept.verdict, kept.proof), (Verdict::FixedProven, Some(Proof::ExistingTest)));
        assert_eq!(with("", old).proof, Some(Proof::OwnTest));
        let weakened = with(old, "def test_x():\n    assert f() == 2\n");
        assert_eq!((weakened.verdict, weakened.proof), (Verdict::NoRegressions, None));
        assert_eq!(weakened.edited, ["tests/t.py: test_x (expects something else)"]);
    }

    #[test]
    fn fault_h_own_tests_that_pass_without_the_change_are_told_from_a_change_without_tests() {
        let green = report(&[("t.py::test_x", Passed)], true);
        let mut edits = TestEdits::default();
        edits.add(&RepoPath::parse("tests/t.py").unwrap(), None, Some("def test_x():\n    assert f() == 1\n"));
        let judged = |edits: &TestEdits, run: SuiteResult| judge(vec![("test".into(), run)], edits, true);
        assert!(judged(&edits, run(&green, &green)).shows_no_fault);
        assert!(!judged(&TestEdits::default(), run(&green, &green)).shows_no_fault);
        let unbuilt = SuiteResult { own_tests_do_not_build: true, ..run(&green, &green) };
        assert!(!judged(&edits, unbuilt).shows_no_fault, "nobody knows what they show");
        let late = Compared { ran: 1, known: 9, complete: false };
        let found = judged(&edits, SuiteResult { compared: late, ..run(&green, &green) });
        assert!(!found.shows_no_fault && found.explanation.contains("in time"), "{}", found.explanation);
    }

    #[test]
    fn a_failure_that_the_report_does_not_name_is_not_taken_for_tests_that_pass() {
        let ended = |code: i32| CheckReport { exit_code: Some(code), ..report(&[("a", Passed)], true) };
        let mut edits = TestEdits::default();
        edits.add(&RepoPath::parse("tests/t.py").unwrap(), None, Some("def test_x():\n    assert f() == 1\n"));
        let found = judge(vec![("test".into(), run(&ended(1), &ended(0)))], &edits, true);
        assert_eq!((found.verdict, found.shows_no_fault), (Verdict::NoRegressions, false));
        assert!(found.explanation.contains("names no test that failed"), "{}", found.explanation);
    }

    #[test]
    fn tests_of_the_change_that_cannot_be_loaded_are_named() {
        let mut edits = TestEdits::default();
        edits.add(&RepoPath::parse("tests/t.py").unwrap(), None, Some("def test_x():\n    assert f() == 1\n"));
        let broken = report(&[("tests/t.py", Failed), ("tests/u.py::test_u", Passed)], true);
        let found = judge(vec![("test".into(), run(&broken, &broken))], &edits, true);
        assert_eq!((found.verdict, found.shows_no_fault), (Verdict::NoRegressions, false));
        assert!(found.explanation.contains("tests/t.py could not be loaded"), "{}", found.explanation);
    }

    #[test]
    fn a_test_whose_data_the_change_brings_is_no_existing_test() {
        let (before, after) = (report(&[("range > 1.x", Failed)], true), report(&[("range > 1.x", Passed)], true));
        for data in ["test/fixtures/range.js", "tests/misc_tests.c", "tests/data/table.md"] {
            let mut edits = TestEdits::default();
            edits.add(&RepoPath::parse(data).unwrap(), Some("old"), Some("new"));
            let found = judge(vec![("test".into(), run(&before, &after))], &edits, true);
            assert_eq!(found.proof, Some(Proof::OwnTest), "{data}");
        }
    }

    #[test]
    fn the_worse_of_two_suites_is_the_verdict_and_names_say_which() {
        let (red, green) = (report(&[("a", Failed)], true), report(&[("a", Passed)], true));
        let runs = vec![("cargo".into(), run(&red, &green)), ("npm in web".into(), run(&green, &red))];
        let found = judge(runs, &TestEdits::default(), true);
        assert_eq!(found.verdict, Verdict::Regressions);
        assert_eq!((found.fixed, found.broken), (vec!["cargo: a".to_owned()], vec!["npm in web: a".to_owned()]));
    }
}
