//! Verification: running tests before and after a change, and claiming only what they show.
//!
//! Independent of jobs, so that it can be used alone (`patchwright verify`). See `docs/pipeline.md`.

mod baselines;
mod compare;
mod inline_tests;
mod judge;
pub(crate) mod reproduction;
mod suite_run;
mod test_edits;
#[cfg(test)]
mod tests;
mod trees;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{Sandbox, SandboxError, Suite, SuiteQuery};
use patchwright_domain::job::report::{Compared, Proof, Reproduction, TestFailure, TestResults, Verdict, VerifyReport};
use patchwright_domain::{CommitSha, RepoPath, SandboxGrants};
use tokio::time::Instant;

pub use baselines::Baselines;
use suite_run::SuiteRunner;
use trees::Trees;
pub use trees::make_place;

use crate::fix::look::shorten_middle;

/// One of the two trees that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the change.
    Base,
    /// After the change.
    Head,
}

/// Writes the trees that are compared.
#[async_trait]
pub trait TreeSource: Send + Sync {
    /// Writes a tree, without `.git`, to a folder that does not exist yet.
    async fn export(&self, side: Side, folder: PathBuf) -> Result<(), SandboxError>;
}

/// What to verify, and within which limits.
#[derive(Debug, Clone)]
pub struct VerificationRequest {
    /// The changed files.
    pub changed: Vec<RepoPath>,
    /// A folder for the trees and the build outputs.
    pub folder: PathBuf,
    /// The text of `.patchwright.toml` on a branch that the change does not write.
    pub settings: Option<String>,
    /// A command that runs all tests, in place of what is found.
    pub test_command: Option<String>,
    /// What an administrator lets the repository's code do.
    pub grants: SandboxGrants,
    /// What tells the repository from all others.
    pub repository: String,
    /// A script that fails as long as the fault is there; it counts where no test shows the fix.
    pub reproduction: Option<Reproduction>,
    /// A working copy whose environment may be used.
    pub local_folder: Option<PathBuf>,
    /// The base, if results of its tests may be kept and used again.
    pub baseline: Option<Baseline>,
    /// The time for all runs together.
    pub timeout: Duration,
    /// Whether only the tests that the change brings and those near to it are run.
    pub near_only: bool,
}

/// The commit before a change, and what is known about its tests.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// The repository and the commit. Its tests run in the same environment every time.
    pub commit: String,
    /// The results.
    pub known: Arc<Baselines>,
}

/// How many names of tests a report keeps of each kind.
const MAX_NAMES: usize = 50;
/// Of how many failed tests a report keeps the output, and how much of each, in characters.
const MAX_FAILURES: usize = 3;
const MAX_FAILURE_CHARS: usize = 2_000;

/// What the tests showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// The verdict.
    pub verdict: Verdict,
    /// The explanation, one sentence for users.
    pub explanation: String,
    /// What shows that the fault is fixed.
    pub proof: Option<Proof>,
    /// How much was compared.
    pub compared: Option<Compared>,
    /// Whether the changed tree builds; `None` if nothing ran.
    pub build_success: Option<bool>,
    /// The results before the change, of what was run there.
    pub before: Option<TestResults>,
    /// The results after the change.
    pub after: Option<TestResults>,
    /// Tests that failed before and pass now.
    pub fixed: Vec<String>,
    /// Tests that failed only after the change.
    pub broken: Vec<String>,
    /// Tests that failed before and after the change.
    pub failing: Vec<String>,
    /// Tests that failed and passed on one tree.
    pub flaky: Vec<String>,
    /// Tests of the base that prove nothing any more.
    pub edited: Vec<String>,
    /// The command that ran the tests.
    pub command: Option<String>,
    /// Whether the tests that the change brings pass without it, so that they do not show the fault.
    pub shows_no_fault: bool,
    /// The output of failed tests that count, by name.
    pub failures: BTreeMap<String, String>,
    /// The end of the output.
    pub log_tail: String,
    /// How long it took until the tests near the change had shown something.
    pub first_result: Option<Duration>,
}

impl Verification {
    /// A verification in which nothing ran.
    pub fn without_run(verdict: Verdict, explanation: String) -> Self {
        Self {
            verdict,
            explanation,
            proof: None,
            compared: None,
            build_success: None,
            before: None,
            after: None,
            fixed: Vec::new(),
            broken: Vec::new(),
            failing: Vec::new(),
            flaky: Vec::new(),
            edited: Vec::new(),
            command: None,
            shows_no_fault: false,
            failures: BTreeMap::new(),
            log_tail: String::new(),
            first_result: None,
        }
    }

    /// Returns this as the report of a job or a command, which keeps some names of each kind.
    pub fn into_report(mut self, commit: Option<CommitSha>, isolation: &str) -> VerifyReport {
        for list in [&mut self.fixed, &mut self.broken, &mut self.failing, &mut self.flaky, &mut self.edited] {
            list.truncate(MAX_NAMES);
        }
        // Those that the change breaks come first.
        let is_kept = |name: &&String| self.failures.contains_key(*name);
        let failures = self.broken.iter().chain(&self.failing).filter(is_kept).take(MAX_FAILURES);
        let failures = failures.map(|name| TestFailure {
            test: name.clone(),
            output: shorten_middle(&self.failures[name], MAX_FAILURE_CHARS),
        });
        VerifyReport {
            failures: failures.collect(),
            commit,
            build_success: self.build_success,
            test_results: self.after,
            before: self.before,
            verdict: self.verdict,
            explanation: self.explanation,
            fixed_tests: self.fixed,
            broken_tests: self.broken,
            proof: self.proof,
            compared: self.compared,
            failing_tests: self.failing,
            flaky_tests: self.flaky,
            draft_until: None,
            edited_tests: self.edited,
            command: self.command,
            isolation: isolation.to_owned(),
            log_tail: self.log_tail,
        }
    }
}

/// Runs the tests before and after a change.
///
/// Tests that the change brings and tests near to it run first, on both trees; then all others on the changed tree, as far as
/// the time reaches. What fails there is run on the base too before it counts.
///
/// # Errors
/// [`SandboxError::Cancelled`] and [`SandboxError::Internal`]. Everything else is a verdict.
pub async fn verify(
    source: &dyn TreeSource,
    sandbox: &dyn Sandbox,
    request: &VerificationRequest,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Verification, SandboxError> {
    match verify_or_refuse(source, sandbox, request, progress, cancel).await {
        Err(error @ SandboxError::NoTests) => Ok(Verification::without_run(Verdict::NoTests, error.to_string())),
        Err(SandboxError::NotPrepared { step, log_tail }) => {
            let explanation = SandboxError::NotPrepared { step, log_tail: String::new() }.to_string();
            Ok(Verification { log_tail, ..Verification::without_run(Verdict::NotRun, explanation) })
        }
        Err(
            error @ (SandboxError::Refused { .. }
            | SandboxError::ToolMissing { .. }
            | SandboxError::InvalidSettings { .. }),
        ) => Ok(Verification::without_run(Verdict::NotRun, error.to_string())),
        result => result,
    }
}

async fn verify_or_refuse(
    source: &dyn TreeSource,
    sandbox: &dyn Sandbox,
    request: &VerificationRequest,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Verification, SandboxError> {
    // Before a copy of the tree is made.
    sandbox.probe().await?;
    let started = Instant::now();
    progress.set_activity("preparing the trees before and after the change");
    let mut trees = Trees::create(source, request.folder.clone(), request.changed.clone()).await?;
    let query = SuiteQuery {
        root: trees.folder(Side::Head),
        changed: request.changed.clone(),
        settings: request.settings.clone(),
        test_command: request.test_command.clone(),
        grants: request.grants.clone(),
        repository: request.repository.clone(),
    };
    let suites = sandbox.find_suites(query).await?;
    let deadline = started + request.timeout;
    let mut runner = SuiteRunner { sandbox, request, progress, cancel, deadline, started, trees: &mut trees };
    let mut runs = Vec::new();
    let mut missing = None;
    for suite in &suites {
        match runner.run(suite).await {
            Ok(run) => runs.push((suite.name(), run)),
            // Another suite may have a say.
            Err(
                error @ (SandboxError::NoTests | SandboxError::ToolMissing { .. } | SandboxError::NotPrepared { .. }),
            ) if suites.len() > 1 => {
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    let mut found = match (runs.is_empty(), missing) {
        (true, Some(error)) => return Err(error),
        (_, missing) => judge::judge(runs, &runner.trees.edits, missing.is_none()),
    };
    let is_silent = found.verdict == Verdict::NoRegressions
        && (found.shows_no_fault || found.explanation.contains(judge::SILENT))
        && found.compared.is_some_and(|compared| compared.complete || request.near_only);
    if let (true, Some(script), Some(suite)) = (is_silent, &request.reproduction, suites.first())
        && reproduces(&mut runner, suite, script).await?
    {
        found.verdict = Verdict::FixedProven;
        found.proof = Some(Proof::Reproduction);
        found.shows_no_fault = false;
        found.explanation = REPRODUCED.to_owned();
    }
    if matches!(found.verdict, Verdict::NotRun | Verdict::CouldNotBuild | Verdict::NoTests) {
        found.explanation.push_str(&describe_missing_grants(&suites));
    }
    Ok(found)
}

/// Returns whether a script shows the fix. One that cannot be run shows nothing, and takes nothing from what the tests showed.
async fn reproduces(
    runner: &mut SuiteRunner<'_, '_>,
    suite: &Suite,
    script: &Reproduction,
) -> Result<bool, SandboxError> {
    match runner.reproduces(suite, script).await {
        Err(SandboxError::Cancelled) => Err(SandboxError::Cancelled),
        Err(error) => {
            tracing::info!(%error, "the script that shows the fault could not be run again");
            Ok(false)
        }
        shown => shown,
    }
}

/// The explanation of a proof by a script.
const REPRODUCED: &str =
    "nothing broke, and a script that shows the fault failed before the change and passed after it; no test shows it";

/// Says what the suites ask for and nobody granted: it may be why they could not be run.
fn describe_missing_grants(suites: &[Suite]) -> String {
    let missing: Vec<&str> = suites.iter().flat_map(|suite| suite.granted.missing.iter().map(String::as_str)).collect();
    if missing.is_empty() {
        return String::new();
    }
    format!("; the repository has no grant for {}, which an administrator can give it", missing.join(", "))
}
