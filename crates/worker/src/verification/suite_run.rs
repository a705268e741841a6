//! The runs of one suite: the tests near the change on both trees, then the rest.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, Exceeded, Sandbox, SandboxError, Selection, Suite, TestOutcome,
};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{Compared, Reproduction};
use tokio::time::Instant;

use super::baselines::BaselineKey;
use super::compare::Comparison;
use super::reproduction::{Interpreter, SCRIPT_SCRATCH};
use super::trees::Trees;
use super::{Side, VerificationRequest};

/// How many failed tests are run again alone.
const MAX_RERUN: usize = 20;
/// With less time left, nothing more is started.
const MIN_TIME: Duration = Duration::from_secs(5);

/// What the runs of one suite showed.
#[derive(Debug, Clone)]
pub(super) struct SuiteResult {
    pub(super) before: CheckReport,
    /// The widest run after the change.
    pub(super) after: CheckReport,
    pub(super) comparison: Comparison,
    /// Tests that fail for what the change expects.
    pub(super) goals: BTreeSet<String>,
    pub(super) flaky: BTreeSet<String>,
    pub(super) compared: Compared,
    /// Whether the base could not be built with the tests of the change, and was tested with its own.
    pub(super) own_tests_do_not_build: bool,
    /// How long it took from the start of the verification until the tests near the change had run.
    pub(super) first_result: Duration,
}

/// Runs suites.
pub(super) struct SuiteRunner<'a, 'b> {
    pub(super) sandbox: &'a dyn Sandbox,
    pub(super) request: &'a VerificationRequest,
    pub(super) progress: &'a Progress,
    pub(super) cancel: &'a CancellationToken,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) trees: &'a mut Trees<'b>,
}

impl SuiteRunner<'_, '_> {
    pub(super) async fn run(&mut self, suite: &Suite) -> Result<SuiteResult, SandboxError> {
        let selections = self.selections(suite);
        let is_all = selections.contains(&Selection::All);
        let mut runs = self.run_both(suite, &selections[0]).await?;
        let first_result = self.started.elapsed();
        let mut is_complete = true;
        for selection in &selections[1..] {
            is_complete = runs.is_usable() && self.time_left() >= MIN_TIME;
            if !is_complete {
                break;
            }
            let more = self.run_both(suite, selection).await?;
            is_complete = more.is_usable();
            if is_complete {
                runs.add(more);
            } else if more.breaks_with_the_change() {
                runs.after.build_success = false;
                runs.after.exceeded = more.after.exceeded;
                runs.after.tests.clear();
                runs.after.log_tail = more.after.log_tail;
            }
            // Otherwise there was no time, or it could not be run before either: what the tests of the change showed stands.
            if !is_complete {
                break;
            }
        }
        let mut comparison = Comparison::between(&runs.before.tests, &runs.after.tests);
        comparison.fixed.retain(|name| !runs.flaky.contains(name));
        let goals = self.find_missed_goals(suite, &near_selection(suite), &comparison).await?;
        let Runs { before, after, flaky, own_tests_do_not_build, .. } = runs;
        let ran = after.results.total;
        // Of what was asked for.
        is_complete &= (is_all || self.request.near_only) && after.exceeded.is_none() && after.build_success;
        let compared = Compared { ran, known: ran.max(before.results.total), complete: is_complete };
        let mut result =
            SuiteResult { before, after, comparison, goals, flaky, compared, own_tests_do_not_build, first_result };
        let wants_rest = !is_all && !self.request.near_only;
        if wants_rest && result.after.build_success && result.comparison.broken.is_empty() && result.goals.is_empty() {
            self.run_rest(suite, &mut result).await?;
        }
        Ok(result)
    }

    /// Returns what is run before the rest, one after the other: the tests that the change brings prove it soonest.
    fn selections(&self, suite: &Suite) -> Vec<Selection> {
        let is_own = |part: &&String| self.request.changed.iter().any(|path| path.as_str() == part.as_str());
        let (own, others): (Vec<&String>, Vec<&String>) = suite.near.iter().partition(is_own);
        if own.is_empty() || others.is_empty() {
            return vec![near_selection(suite)];
        }
        [own, others].map(|parts| Selection::Parts(parts.into_iter().cloned().collect())).to_vec()
    }

    /// Runs a part of a suite before and after the change. What fails is run again alone.
    async fn run_both(&mut self, suite: &Suite, selection: &Selection) -> Result<Runs, SandboxError> {
        self.progress.set_activity(format!("testing the tree before the change ({})", suite.name()));
        let started = Instant::now();
        let mut before = self.check(suite, Side::Base, selection.clone()).await?;
        let took_before = started.elapsed();
        let mut own_tests_do_not_build = false;
        if !before.build_success && before.exceeded.is_none() && self.trees.has_overlay() {
            // The tests of the change use what the change adds.
            self.trees.restore_base().await?;
            own_tests_do_not_build = true;
            before = self.check(suite, Side::Base, selection.clone()).await?;
        }
        let mut flaky = BTreeSet::new();
        let failed = names_with(&before, TestOutcome::Failed);
        self.rerun(suite, Side::Base, failed, &mut before, &mut flaky).await?;
        self.progress.set_activity(format!("testing the tree after the change ({})", suite.name()));
        let had_time = self.time_left() > took_before * 2 + MIN_TIME;
        let mut after = self.check(suite, Side::Head, selection.clone()).await?;
        let found = Comparison::between(&before.tests, &after.tests);
        let suspects = found.broken.into_iter().filter(|name| after.tests.contains_key(name)).collect();
        self.rerun(suite, Side::Head, suspects, &mut after, &mut flaky).await?;
        Ok(Runs { before, after, flaky, own_tests_do_not_build, had_time })
    }

    /// Returns whether a script fails before the change and passes after it, on trees in which no code has run.
    pub(super) async fn reproduces(&mut self, suite: &Suite, script: &Reproduction) -> Result<bool, SandboxError> {
        let Some(interpreter) = Interpreter::of(&script.language) else { return Ok(false) };
        self.progress.set_activity("running the script that shows the fault before and after the change");
        for side in [Side::Base, Side::Head] {
            if self.time_left() < MIN_TIME {
                return Ok(false);
            }
            match side {
                Side::Base => self.trees.restore_base().await?,
                Side::Head => self.trees.restore(side).await?,
            }
            let root = self.trees.activate(side).await?;
            let suite = interpreter.prepare(&root, suite.clone(), &script.script)?;
            let request = self.request_for(&suite, side, Selection::All, root);
            // Twice, each in folders of its own: what depends on time, chance or leftovers shows nothing.
            for number in 0..2 {
                let scratch = self.request.folder.join(format!("{SCRIPT_SCRATCH}-{side:?}-{number}"));
                let request = CheckRequest { scratch, ..request.clone() };
                let report = self.sandbox.check(request, self.progress, self.cancel).await?;
                let passed = report.exit_code == Some(0);
                if report.exceeded.is_some() || report.exit_code.is_none() || passed != (side == Side::Head) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Returns the tests that fail for what the change expects: those that fail before and after it, and would not without its
    /// tests.
    async fn find_missed_goals(
        &mut self,
        suite: &Suite,
        selection: &Selection,
        found: &Comparison,
    ) -> Result<BTreeSet<String>, SandboxError> {
        let failing: Vec<String> = found.failing.iter().chain(&found.gone).cloned().collect();
        let by_text: BTreeSet<String> =
            failing.iter().filter(|name| self.trees.edits.of(name).is_some()).cloned().collect();
        if failing.is_empty() || !self.trees.has_overlay() || self.time_left() < MIN_TIME {
            return Ok(by_text);
        }
        self.progress.set_activity(format!("running what fails without the tests of the change ({})", suite.name()));
        self.trees.restore_base().await?;
        let selection = if failing.len() <= MAX_RERUN { Selection::Tests(failing.clone()) } else { selection.clone() };
        let base = self.check(suite, Side::Base, selection).await?;
        if base.exceeded.is_some() || (!base.build_success && base.tests.is_empty() && base.results.total > 0) {
            // Not known by running. The text says which of them the change brings or edits.
            return Ok(by_text);
        }
        Ok(failing.into_iter().filter(|name| base.tests.get(name) != Some(&TestOutcome::Failed)).collect())
    }

    /// Runs all tests after the change. What fails only there is run before the change too.
    async fn run_rest(&mut self, suite: &Suite, result: &mut SuiteResult) -> Result<(), SandboxError> {
        if self.time_left() < MIN_TIME {
            return Ok(());
        }
        self.progress.set_activity(format!("running the rest of the tests ({})", suite.name()));
        let started = Instant::now();
        let mut all = self.check(suite, Side::Head, Selection::All).await?;
        let took = started.elapsed();
        result.compared.ran = result.compared.ran.max(all.results.total);
        result.compared.known = result.compared.known.max(result.compared.ran);
        if all.exceeded == Some(Exceeded::Time) || (!all.build_success && all.tests.is_empty()) {
            // Nobody knows whether it was so before. What the tests near the change showed stands.
            return Ok(());
        }
        let known = |name: &String| {
            result.before.tests.contains_key(name) || result.after.tests.get(name) == Some(&TestOutcome::Failed)
        };
        let suspects: Vec<String> =
            names_with(&all, TestOutcome::Failed).into_iter().filter(|name| !known(name)).collect();
        self.rerun(suite, Side::Head, suspects, &mut all, &mut result.flaky).await?;
        let suspects: Vec<String> =
            names_with(&all, TestOutcome::Failed).into_iter().filter(|name| !known(name)).collect();
        let mut is_complete = all.build_success && all.exceeded.is_none();
        let failing = result.comparison.failing.len();
        let has_proof = !result.comparison.fixed.is_empty();
        if !has_proof && self.time_left() > took + MIN_TIME {
            // A test that is not near may show the fix.
            is_complete &= self.compare_all(suite, suspects, &all, result).await?;
        } else if !suspects.is_empty() {
            is_complete &= self.compare_suspects(suite, suspects, &all, result).await?;
        }
        if result.comparison.failing.len() > failing && self.trees.edits.changes_data() {
            // Any test may read what the change brings.
            result.goals = self.find_missed_goals(suite, &Selection::All, &result.comparison).await?;
        }
        result.compared.complete = is_complete;
        result.after = CheckReport {
            failures: {
                let mut both = result.after.failures.clone();
                both.extend(all.failures.clone());
                both
            },
            ..all
        };
        Ok(())
    }

    /// Runs all tests on the base too. Returns whether all could be compared.
    async fn compare_all(
        &mut self,
        suite: &Suite,
        suspects: Vec<String>,
        all: &CheckReport,
        result: &mut SuiteResult,
    ) -> Result<bool, SandboxError> {
        self.progress.set_activity(format!("running all tests before the change too ({})", suite.name()));
        let mut base = self.check(suite, Side::Base, Selection::All).await?;
        if base.exceeded.is_some() || (!base.build_success && base.tests.is_empty()) {
            return Ok(suspects.is_empty());
        }
        let maybe_fixed = Comparison::between(&base.tests, &all.tests).fixed;
        self.rerun(suite, Side::Base, maybe_fixed, &mut base, &mut result.flaky).await?;
        let is_new = |name: &String| !result.before.tests.contains_key(name) && !result.flaky.contains(name);
        let found = Comparison::between(&base.tests, &all.tests);
        result.comparison.fixed.extend(found.fixed.into_iter().filter(is_new));
        result.comparison.failing.extend(found.failing.into_iter().filter(is_new));
        result.comparison.broken.extend(found.broken.into_iter().filter(is_new));
        result.before = base;
        Ok(true)
    }

    /// Runs tests that fail after the change on the base. Returns whether all could be compared.
    async fn compare_suspects(
        &mut self,
        suite: &Suite,
        suspects: Vec<String>,
        all: &CheckReport,
        result: &mut SuiteResult,
    ) -> Result<bool, SandboxError> {
        if self.time_left() < MIN_TIME {
            return Ok(false);
        }
        let selection = if suspects.len() <= MAX_RERUN { Selection::Tests(suspects.clone()) } else { Selection::All };
        self.progress.set_activity(format!("running what fails before the change too ({})", suite.name()));
        let base = self.check(suite, Side::Base, selection).await?;
        if base.exceeded.is_some() || (!base.build_success && base.tests.is_empty()) {
            return Ok(false);
        }
        for name in suspects {
            match base.tests.get(&name) {
                Some(TestOutcome::Failed) => result.comparison.failing.push(name),
                _ if all.tests.get(&name) == Some(&TestOutcome::Failed) => result.comparison.broken.push(name),
                _ => {}
            }
        }
        Ok(true)
    }

    /// Runs failed tests again alone. One that passes then is flaky, and does not count as failed.
    async fn rerun(
        &mut self,
        suite: &Suite,
        side: Side,
        failed: Vec<String>,
        report: &mut CheckReport,
        flaky: &mut BTreeSet<String>,
    ) -> Result<(), SandboxError> {
        if failed.is_empty() || failed.len() > MAX_RERUN || self.time_left() < MIN_TIME {
            return Ok(());
        }
        let again = self.check(suite, side, Selection::Tests(failed.clone())).await?;
        for name in failed {
            if again.tests.get(&name) == Some(&TestOutcome::Passed) {
                report.tests.insert(name.clone(), TestOutcome::Passed);
                report.failures.remove(&name);
                report.results.failed = report.results.failed.saturating_sub(1);
                report.results.passed += 1;
                flaky.insert(name);
            }
        }
        Ok(())
    }

    async fn check(&mut self, suite: &Suite, side: Side, selection: Selection) -> Result<CheckReport, SandboxError> {
        let Some(baseline) = self.request.baseline.as_ref().filter(|_| side == Side::Base) else {
            return self.check_now(suite, side, selection).await;
        };
        let Some(key) = BaselineKey::of(&baseline.commit, suite, &selection, self.trees.added_tests()) else {
            return self.check_now(suite, side, selection).await;
        };
        if let Some(report) = baseline.known.find(&key) {
            return Ok(report);
        }
        let report = self.check_now(suite, side, selection).await?;
        baseline.known.keep(key, &report);
        Ok(report)
    }

    async fn check_now(
        &mut self,
        suite: &Suite,
        side: Side,
        selection: Selection,
    ) -> Result<CheckReport, SandboxError> {
        let root = self.trees.activate(side).await?;
        let request = self.request_for(suite, side, selection, root);
        self.sandbox.check(request, self.progress, self.cancel).await
    }

    fn request_for(&self, suite: &Suite, side: Side, selection: Selection, root: PathBuf) -> CheckRequest {
        CheckRequest {
            root,
            scratch: self.request.folder.join("scratch"),
            suite: suite.clone(),
            selection,
            local_folder: self.request.local_folder.clone(),
            has_base_manifests: side == Side::Base && !self.trees.added_tests().keys().any(may_be_manifest),
            timeout: self.time_left().max(MIN_TIME),
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// A part of a suite before and after the change.
struct Runs {
    before: CheckReport,
    after: CheckReport,
    flaky: BTreeSet<String>,
    own_tests_do_not_build: bool,
    /// Whether the run after the change had much more time than the one before took.
    had_time: bool,
}

impl Runs {
    /// Returns whether the part could be run before the change and cannot after it.
    fn breaks_with_the_change(&self) -> bool {
        let is_usable = self.before.build_success && self.before.exceeded.is_none();
        is_usable && (self.after.exceeded != Some(Exceeded::Time) || self.had_time)
    }

    /// Returns whether both runs say something.
    fn is_usable(&self) -> bool {
        let is_usable = |report: &CheckReport| report.build_success && report.exceeded.is_none();
        is_usable(&self.before) && is_usable(&self.after)
    }

    /// Adds another part.
    fn add(&mut self, more: Self) {
        add_report(&mut self.before, more.before);
        add_report(&mut self.after, more.after);
        self.flaky.extend(more.flaky);
        self.own_tests_do_not_build |= more.own_tests_do_not_build;
    }
}

fn add_report(report: &mut CheckReport, more: CheckReport) {
    report.results.passed += more.results.passed;
    report.results.failed += more.results.failed;
    report.results.skipped += more.results.skipped;
    report.results.total += more.results.total;
    report.tests.extend(more.tests);
    report.failures.extend(more.failures);
    if more.exit_code != Some(0) {
        report.exit_code = more.exit_code;
        report.log_tail = more.log_tail;
    }
}

fn near_selection(suite: &Suite) -> Selection {
    if suite.near.is_empty() { Selection::All } else { Selection::Parts(suite.near.clone()) }
}

/// Returns whether a file may say which packages are fetched.
fn may_be_manifest(path: &RepoPath) -> bool {
    const ENDINGS: [&str; 14] = [
        "csproj",
        "fsproj",
        "gemspec",
        "gradle",
        "kts",
        "lock",
        "lockfile",
        "properties",
        "props",
        "sln",
        "slnx",
        "targets",
        "vbproj",
        "xml",
    ];
    const NAMES: [&str; 4] = ["version.rb", "libs.versions.toml", "global.json", "packages.lock.json"];
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    NAMES.contains(&name) || path.extension().is_none_or(|extension| ENDINGS.contains(&extension))
}

fn names_with(report: &CheckReport, outcome: TestOutcome) -> Vec<String> {
    report.tests.iter().filter(|(_, found)| **found == outcome).map(|(name, _)| name.clone()).collect()
}
