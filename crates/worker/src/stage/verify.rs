//! The stage `verify`: builds and tests before and after the change, and claims only what the results show.

use std::collections::BTreeMap;
use std::path::PathBuf;

use patchwright_core::sandbox::{CheckReport, CheckRequest, SandboxError, TestOutcome};
use patchwright_domain::CommitSha;
use patchwright_domain::job::report::{FixReport, StageReport, Verdict, VerifyReport};

use super::Outcome;
use crate::context::{StageContext, StageError};
use crate::folder::delete_folder;
use patchwright_core::outgoing_text::{code_span, neutralise, shorten};

/// How many test names are stored and shown.
const NAMES: usize = 50;
/// How much of the output is sent to the model, in characters.
const FEEDBACK_LOG: usize = 4_000;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let Some(fix) = context.job.fixed() else {
        return Ok(Outcome::Skipped { reason: "there is nothing to verify".to_owned() });
    };
    let mut report = match compare(context, fix).await {
        Ok(report) => report,
        Err(SandboxError::Refused { reason }) => without_run(context, Verdict::NotRun, reason),
        Err(error @ SandboxError::NoTests) => without_run(context, Verdict::NoTests, error.to_string()),
        Err(error @ SandboxError::ToolMissing { .. }) => without_run(context, Verdict::NotRun, error.to_string()),
        Err(error) => return Err(error.into()),
    };
    report.commit = Some(fix.commit.clone());
    let again =
        (context.llm.is_some() || context.job.command.is_some()) && !context.job.is_rebase() && !fix.is_fetched();
    if report.verdict.is_harmful() && context.job.rounds < context.policy.max_rounds && again {
        let feedback = context.tools.redactor.redact(&feedback(&report));
        return Ok(Outcome::SendBack { feedback, report: Box::new(report) });
    }
    let comment = comment(&report);
    Ok(Outcome::done(StageReport::Verify(report), comment))
}

async fn compare(context: &StageContext<'_>, fix: &FixReport) -> Result<VerifyReport, SandboxError> {
    context.tools.sandbox.probe(context.workspace.root())?;
    context.progress.set_activity("testing the tree before the change");
    let before = match before(context, fix).await {
        Ok(report) => Some(report),
        Err(SandboxError::NoTests) => None,
        Err(error) => return Err(error),
    };
    context.progress.set_activity("testing the tree after the change");
    let tree = export(context, &fix.commit).await?;
    let after = check(context, tree).await?;
    Ok(judge(context, before, after))
}

/// Runs the base commit with the tests of the fix: a new test must fail before and pass after. If that does not build
/// (the tests use code of the fix), runs the base's own tests.
async fn before(context: &StageContext<'_>, fix: &FixReport) -> Result<CheckReport, SandboxError> {
    let tree = export(context, &fix.base).await?;
    let new_tests: Vec<_> = fix.contents.iter().filter(|file| file.path.is_test()).collect();
    if new_tests.is_empty() {
        return check(context, tree).await;
    }
    for file in &new_tests {
        let Some(text) = &file.text else { continue };
        let place = tree.join(file.path.as_str());
        if let Some(folder) = place.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(broken)?;
        }
        tokio::fs::write(&place, text).await.map_err(broken)?;
    }
    let report = check(context, tree).await?;
    if report.build_success {
        return Ok(report);
    }
    let tree = export(context, &fix.base).await?;
    check(context, tree).await
}

async fn check(context: &StageContext<'_>, root: PathBuf) -> Result<CheckReport, SandboxError> {
    let request = CheckRequest { root, scratch: context.scratch.join("scratch") };
    context.tools.sandbox.check(request, context.progress, context.cancel).await
}

/// Untrusted code gets a copy without `.git`: it can neither read nor change what will be pushed. All copies are at one path,
/// one after another: some tests have the path in their names.
async fn export(context: &StageContext<'_>, commit: &CommitSha) -> Result<PathBuf, SandboxError> {
    let folder = context.scratch.join("tree");
    delete_folder(folder.clone()).await.map_err(broken)?;
    context
        .workspace
        .export(commit, &folder)
        .await
        .map_err(|error| SandboxError::Internal { source: Box::new(error) })?;
    Ok(folder)
}

fn broken(error: std::io::Error) -> SandboxError {
    SandboxError::Internal { source: Box::new(error) }
}

fn without_run(context: &StageContext<'_>, verdict: Verdict, explanation: String) -> VerifyReport {
    VerifyReport {
        commit: None,
        build_success: None,
        test_results: None,
        before: None,
        verdict,
        explanation,
        fixed_tests: Vec::new(),
        broken_tests: Vec::new(),
        command: None,
        isolation: context.tools.sandbox.isolation().to_owned(),
        log_tail: String::new(),
    }
}

fn judge(context: &StageContext<'_>, before: Option<CheckReport>, after: CheckReport) -> VerifyReport {
    let change = Change::between(before.as_ref(), &after);
    let (verdict, explanation) = verdict(before.as_ref(), &after, &change);
    let explanation = explanation + &describe_exit_code(before.as_ref(), &after);
    VerifyReport {
        commit: None,
        build_success: Some(after.build_success),
        before: before.map(|report| report.results),
        verdict,
        explanation,
        fixed_tests: change.fixed,
        broken_tests: change.broken,
        command: Some(after.command),
        isolation: context.tools.sandbox.isolation().to_owned(),
        log_tail: context.tools.redactor.redact(&after.log_tail),
        test_results: Some(after.results),
    }
}

/// The effect of the change on the tests, by name.
#[derive(Debug, Default)]
struct Change {
    fixed: Vec<String>,
    broken: Vec<String>,
    still_failing: Vec<String>,
}

impl Change {
    fn between(before: Option<&CheckReport>, after: &CheckReport) -> Self {
        let nothing = BTreeMap::new();
        let old = before.map_or(&nothing, |report| &report.tests);
        let mut change = Self::default();
        for (name, outcome) in &after.tests {
            let list = match (old.get(name), outcome) {
                (Some(TestOutcome::Failed), TestOutcome::Passed) => &mut change.fixed,
                (Some(TestOutcome::Failed), TestOutcome::Failed) => &mut change.still_failing,
                (Some(TestOutcome::Passed) | None, TestOutcome::Failed) => &mut change.broken,
                _ => continue,
            };
            list.push(name.clone());
        }
        // A missing test that passed before counts as a regression: the suite was aborted, or the test was deleted. One that
        // failed before is not fixed by that.
        let gone = old.iter().filter(|(name, _)| !after.tests.is_empty() && !after.tests.contains_key(*name));
        for (name, outcome) in gone {
            let list = match outcome {
                TestOutcome::Passed => &mut change.broken,
                TestOutcome::Failed => &mut change.still_failing,
                TestOutcome::Skipped => continue,
            };
            list.push(format!("{name} (did not run)"));
        }
        for list in [&mut change.fixed, &mut change.broken, &mut change.still_failing] {
            list.truncate(NAMES);
        }
        change
    }
}

fn verdict(before: Option<&CheckReport>, after: &CheckReport, change: &Change) -> (Verdict, String) {
    let built_before = before.is_none_or(|report| report.build_success);
    if !after.build_success {
        return if after.timed_out {
            (Verdict::NotRun, "the tests ran out of time".to_owned())
        } else if built_before {
            (Verdict::CouldNotBuild, "the tests could not be run after the change, but could before".to_owned())
        } else {
            (Verdict::NotRun, "the tests could not be run, neither before the change nor after".to_owned())
        };
    }
    if !change.broken.is_empty() {
        let words = format!("{} failed after the change and not before it", tests(change.broken.len()));
        return (Verdict::Regressions, words);
    }
    let had_names = before.is_none_or(|report| report.results.total == 0 || !report.tests.is_empty());
    if after.tests.is_empty() || !had_names {
        return verdict_by_counts(before, after);
    }
    let failing = change.still_failing.len();
    if !change.fixed.is_empty() {
        let rest = if failing == 0 { String::new() } else { format!("; {} failed before and after", tests(failing)) };
        return (
            Verdict::FixedProven,
            format!("{} failed before the change and passed after it{rest}", tests(change.fixed.len())),
        );
    }
    if failing > 0 {
        return (
            Verdict::StillFailing,
            format!("{} failed before the change and after it, and none was fixed", tests(failing)),
        );
    }
    (Verdict::Unproven, "nothing broke, but no test shows the fault".to_owned())
}

/// Returns a remark about a command that failed although no test did: a step beside the tests, such as a linter.
fn describe_exit_code(before: Option<&CheckReport>, after: &CheckReport) -> String {
    match after.exit_code.filter(|code| *code != 0) {
        Some(code) if after.build_success && after.results.failed == 0 => {
            let before = before.and_then(|report| report.exit_code).filter(|code| *code != 0);
            let also = if before.is_some() { ", and failed before the change too" } else { "" };
            format!("; `{}` ended with code {code} beside them{also}", after.command)
        }
        _ => String::new(),
    }
}

/// Returns a number of tests in words.
fn tests(count: impl std::fmt::Display) -> String {
    let count = count.to_string();
    if count == "1" { "1 test".to_owned() } else { format!("{count} tests") }
}

/// For runners that do not report the names of tests.
fn verdict_by_counts(before: Option<&CheckReport>, after: &CheckReport) -> (Verdict, String) {
    let (old, new) = (before.map(|report| &report.results), &after.results);
    match old {
        Some(old) if new.failed > old.failed => {
            (Verdict::Regressions, format!("{} failed after the change, {} before it", tests(new.failed), old.failed))
        }
        Some(old) if new.total < old.total => {
            (Verdict::Regressions, format!("{} ran after the change, {} before it", tests(new.total), old.total))
        }
        Some(old) if new.failed < old.failed && new.passed > old.passed => {
            (Verdict::FixedProven, format!("{} failed after the change, {} before it", tests(new.failed), old.failed))
        }
        None if new.failed > 0 => (Verdict::Regressions, format!("{} failed after the change", tests(new.failed))),
        Some(old) if old.failed > 0 => {
            (Verdict::StillFailing, format!("{} failed before the change and after it", tests(new.failed)))
        }
        _ if new.total == 0 => (Verdict::NoTests, "the test suite is empty".to_owned()),
        _ => (Verdict::Unproven, "nothing broke, but no test shows the fault".to_owned()),
    }
}

/// Returns the message for the model about a fix that failed the verification.
fn feedback(report: &VerifyReport) -> String {
    let mut out = format!("{}.\n", report.explanation);
    for name in report.broken_tests.iter().take(20) {
        out.push_str(&format!("- fails now: {name}\n"));
    }
    let from = report.log_tail.char_indices().rev().nth(FEEDBACK_LOG).map_or(0, |(at, _)| at);
    out.push_str(&format!("The end of the output:\n{}", &report.log_tail[from..]));
    out
}

fn comment(report: &VerifyReport) -> String {
    let mut out = format!("{}.", neutralise(&report.explanation));
    for name in report.fixed_tests.iter().take(5) {
        out.push_str(&format!("\n- now passes: {}", code_span(&shorten(name, 120))));
    }
    for name in report.broken_tests.iter().take(5) {
        out.push_str(&format!("\n- now fails: `{}`", shorten(&name.replace('`', "'"), 120)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchwright_domain::job::report::TestResults;

    fn report(tests: &[(&str, TestOutcome)], build_success: bool) -> CheckReport {
        let tests: BTreeMap<String, TestOutcome> = tests.iter().map(|(name, o)| ((*name).to_owned(), *o)).collect();
        let count = |wanted| u32::try_from(tests.values().filter(|outcome| **outcome == wanted).count()).unwrap();
        let (passed, failed) = (count(TestOutcome::Passed), count(TestOutcome::Failed));
        CheckReport {
            ecosystem: "test".into(),
            command: "test".into(),
            build_success,
            results: TestResults { passed, failed, skipped: 0, coverage: None, total: passed + failed },
            tests,
            timed_out: false,
            exit_code: Some(i32::from(failed > 0)),
            log_tail: String::new(),
        }
    }

    fn judged(before: &CheckReport, after: &CheckReport) -> Verdict {
        verdict(Some(before), after, &Change::between(Some(before), after)).0
    }

    use TestOutcome::{Failed, Passed};

    #[test]
    fn only_what_the_tests_showed_is_said() {
        let failing = report(&[("a", Passed), ("b", Failed)], true);
        assert_eq!(judged(&failing, &report(&[("a", Passed), ("b", Passed)], true)), Verdict::FixedProven);
        assert_eq!(judged(&failing, &report(&[("a", Failed), ("b", Passed)], true)), Verdict::Regressions);
        assert_eq!(judged(&failing, &report(&[("a", Passed), ("b", Failed)], true)), Verdict::StillFailing);
        assert_eq!(judged(&failing, &report(&[], false)), Verdict::CouldNotBuild);
        assert_eq!(judged(&report(&[], false), &report(&[], false)), Verdict::NotRun);
        let green = report(&[("a", Passed)], true);
        assert_eq!(judged(&green, &green), Verdict::Unproven);
    }

    #[test]
    fn what_failed_before_is_not_held_against_the_fix() {
        let before = report(&[("old", Failed), ("b", Failed)], true);
        assert_eq!(judged(&before, &report(&[("old", Failed), ("b", Passed)], true)), Verdict::FixedProven);
    }

    #[test]
    fn a_new_failing_test_or_a_vanished_one_is_a_regression() {
        let green = report(&[("a", Passed), ("b", Passed)], true);
        assert_eq!(
            judged(&green, &report(&[("a", Passed), ("b", Passed), ("new", Failed)], true)),
            Verdict::Regressions
        );
        assert_eq!(judged(&green, &report(&[("a", Passed)], true)), Verdict::Regressions);
    }

    #[test]
    fn fault_h_a_step_that_fails_beside_the_tests_is_told_and_no_broken_build() {
        let lint = |before: &CheckReport| CheckReport { exit_code: Some(1), ..before.clone() };
        let before = lint(&report(&[("a", Failed)], true));
        let after = lint(&report(&[("a", Passed)], true));
        assert_eq!(judged(&before, &after), Verdict::FixedProven);
        let words = describe_exit_code(Some(&before), &after);
        assert!(words.contains("`test` ended with code 1") && words.contains("before the change too"), "{words}");
        assert_eq!(describe_exit_code(Some(&before), &report(&[("a", Passed)], true)), "");
    }

    #[test]
    fn a_test_that_failed_and_is_gone_is_not_fixed() {
        let before = report(&[("a", Failed), ("b", Failed)], true);
        let change = Change::between(Some(&before), &report(&[("b", Failed)], true));
        assert_eq!(change.still_failing, ["b", "a (did not run)"]);
    }

    #[test]
    fn fewer_tests_than_before_are_a_regression_also_when_only_their_number_is_known() {
        let counted = |passed: u32, failed: u32| {
            let results = TestResults { passed, failed, skipped: 0, coverage: None, total: passed + failed };
            CheckReport { results, ..report(&[], true) }
        };
        assert_eq!(judged(&counted(10, 0), &counted(5, 0)), Verdict::Regressions);
        assert_eq!(judged(&counted(10, 0), &report(&[("a", Passed)], true)), Verdict::Regressions);
        assert_eq!(judged(&counted(10, 1), &counted(11, 0)), Verdict::FixedProven);
    }
}
