//! Runs of tests and scripts on a draft, in the sandbox: what the model asks for, and whether the tests show the fix yet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::outgoing_text::shorten;
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, STRONG_ISOLATION, SandboxError, Selection, Suite, SuiteQuery, TestOutcome,
};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{FileContent, Proof, Verdict};

use super::draft::Draft;
use super::look::{MAX_ANSWER_CHARS, shorten_middle};
use crate::context::{StageContext, StageError};
use crate::edit::encode;
use crate::stage::verify::{describe_failures, known_base, name_repository, read_settings};
use crate::verification::reproduction::{Interpreter, SCRIPT_SCRATCH};
use crate::verification::{Side, TreeSource, Verification, VerificationRequest, make_place, verify};

/// How long the tests near a draft, or a script, may run.
const MAX_RUN_TIME: Duration = Duration::from_secs(300);
/// The folder of the tree, the same at which changes are verified: an environment is prepared for a path.
pub(crate) const TREE: &str = "tree";

/// What the tests near a draft show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// A test failed before and passes now, and nothing near it broke.
    Proven,
    /// The draft does not hold; the text is for the model.
    Refuted(String),
    /// Nothing broke, and a script of the model that showed the fault passes now; no test shows it.
    Reproduced,
    /// Nothing broke, and no test shows the fault.
    Silent,
    /// The tests cannot say anything here.
    Unavailable(String),
}

impl Evidence {
    /// Returns its order: of two drafts, the one with the higher number is better.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Proven => 4,
            Self::Reproduced => 3,
            Self::Silent => 2,
            Self::Unavailable(_) => 1,
            Self::Refuted(_) => 0,
        }
    }
}

/// Returns whether code may run here before anybody has read it.
pub(crate) async fn can_run(context: &StageContext<'_>) -> bool {
    let sandbox = &context.tools.sandbox;
    sandbox.probe().await.is_ok() && sandbox.isolation() == STRONG_ISOLATION
}

/// Runs the tests of the draft and those near it, before and after it.
pub(crate) async fn examine(context: &StageContext<'_>, draft: &Draft) -> Result<Evidence, StageError> {
    let contents = draft.contents();
    let source = DraftTrees { context, contents: &contents };
    let request = VerificationRequest {
        changed: draft.paths(),
        folder: context.scratch.to_owned(),
        settings: read_settings(context, &draft.paths()).await?,
        test_command: context.policy.test_command.clone(),
        grants: context.policy.grants.clone(),
        repository: name_repository(context),
        local_folder: context.tools.local_folder.clone(),
        baseline: known_base(context, context.workspace.base_commit()),
        timeout: context.tools.verify_timeout.min(MAX_RUN_TIME),
        near_only: true,
        reproduction: context.dialogue.state().await.reproduction.clone(),
    };
    let sandbox = context.tools.sandbox.as_ref();
    let found = verify(&source, sandbox, &request, context.progress, context.cancel).await?;
    Ok(weigh(&found))
}

fn weigh(found: &Verification) -> Evidence {
    match found.verdict {
        Verdict::FixedProven if found.proof == Some(Proof::Reproduction) => Evidence::Reproduced,
        Verdict::FixedProven => Evidence::Proven,
        Verdict::NoRegressions if found.shows_no_fault => Evidence::Refuted(describe_failures(found)),
        Verdict::NoRegressions => Evidence::Silent,
        Verdict::Regressions | Verdict::StillFailing | Verdict::CouldNotBuild => {
            Evidence::Refuted(describe_failures(found))
        }
        Verdict::NoTests | Verdict::NotRun | Verdict::AnalysisOnly => Evidence::Unavailable(found.explanation.clone()),
    }
}

/// The base, and the base with a draft.
struct DraftTrees<'a> {
    context: &'a StageContext<'a>,
    contents: &'a [FileContent],
}

#[async_trait]
impl TreeSource for DraftTrees<'_> {
    async fn export(&self, side: Side, folder: PathBuf) -> Result<(), SandboxError> {
        let exported = self.context.workspace.export(self.context.workspace.base_commit(), &folder).await;
        exported.map_err(SandboxError::internal)?;
        if side == Side::Base {
            return Ok(());
        }
        write_contents(&folder, self.contents).map_err(SandboxError::internal)
    }
}

/// Writes a draft into a tree in which no code has run.
fn write_contents(tree: &Path, contents: &[FileContent]) -> std::io::Result<()> {
    for file in contents {
        let place = make_place(tree, &file.path)?;
        match &file.text {
            Some(text) => {
                let bytes = encode(text, file.encoding.as_deref()).map_err(std::io::Error::other)?;
                std::fs::write(place, bytes)?;
            }
            None => match std::fs::remove_file(place) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
    Ok(())
}

/// Runs tests of the draft's tree for the model, and describes their results.
pub(crate) async fn run_tests(
    context: &StageContext<'_>,
    draft: &Draft,
    targets: &[String],
) -> Result<String, StageError> {
    let named: Vec<RepoPath> = targets.iter().filter_map(|target| file_of(target)).collect();
    let changed = if named.is_empty() { draft.paths() } else { named.clone() };
    described(context, async {
        let suites = prepare(context, draft, &changed).await?;
        let mut out = String::new();
        for mut suite in suites {
            if !named.is_empty() {
                let near = suite.near.clone();
                suite.near.retain(|part| {
                    named.iter().any(|path| path.as_str() == part || path.as_str().starts_with(&format!("{part}/")))
                });
                if suite.near.is_empty() {
                    // Parts that are no files, such as packages.
                    suite.near = near;
                }
            }
            let selection = if suite.near.is_empty() { Selection::All } else { Selection::Parts(suite.near.clone()) };
            let report = check(context, suite, selection, "scratch").await?;
            out.push_str(&describe_report(&report));
        }
        Ok(out)
    })
    .await
}

/// What a script showed.
pub(crate) struct ScriptRun {
    /// For the model.
    pub(crate) text: String,
    /// Whether the script ran and ended with an error.
    pub(crate) failed: bool,
}

/// Runs a script in the draft's tree for the model, and describes what it printed.
pub(crate) async fn run_script(
    context: &StageContext<'_>,
    draft: &Draft,
    script: &str,
    language: &str,
    targets: &[RepoPath],
) -> Result<ScriptRun, StageError> {
    let Some(interpreter) = Interpreter::of(language) else {
        let text = format!("a script in `{language}` cannot be run; write it in Python, JavaScript, Ruby, PHP or sh");
        return Ok(ScriptRun { text, failed: false });
    };
    let changed = if draft.is_empty() { targets.to_vec() } else { draft.paths() };
    let mut failed = false;
    let text = described(context, async {
        let suites = prepare(context, draft, &changed).await?;
        let suite = suites.into_iter().next().ok_or(SandboxError::NoTests)?;
        let tree = context.scratch.join(TREE);
        for path in context.repository.hidden() {
            // What cannot be read is not printed either.
            let _ = std::fs::remove_file(tree.join(path));
        }
        let suite = interpreter.prepare(&tree, suite, script)?;
        let report = check(context, suite, Selection::All, SCRIPT_SCRATCH).await?;
        failed = report.exceeded.is_none() && report.exit_code.is_some_and(|code| code != 0);
        let code = match (report.exceeded, report.exit_code) {
            (Some(limit), _) => limit.to_string(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "it was killed".to_owned(),
        };
        Ok(format!("{code}\n{}", report.log_tail.trim_end()))
    })
    .await?;
    Ok(ScriptRun { text, failed })
}

/// Returns the result of a run, or its error as a text for the model, unless the job is over.
async fn described(
    context: &StageContext<'_>,
    run: impl Future<Output = Result<String, SandboxError>>,
) -> Result<String, StageError> {
    match run.await {
        Ok(text) => Ok(shorten_middle(&context.tools.redactor.redact(&text), MAX_ANSWER_CHARS)),
        Err(error @ (SandboxError::Cancelled | SandboxError::Internal { .. })) => Err(error.into()),
        Err(error) => Ok(error.to_string()),
    }
}

/// Writes the tree of the draft, and finds the suites of its files.
pub(crate) async fn prepare(
    context: &StageContext<'_>,
    draft: &Draft,
    changed: &[RepoPath],
) -> Result<Vec<Suite>, SandboxError> {
    let tree = context.scratch.join(TREE);
    crate::folder::delete_folder(tree.clone()).await.map_err(SandboxError::internal)?;
    let contents = draft.contents();
    DraftTrees { context, contents: &contents }.export(Side::Head, tree.clone()).await?;
    let settings = read_settings(context, &draft.paths())
        .await
        .map_err(|error| SandboxError::InvalidSettings { detail: error.reason })?;
    let query = SuiteQuery {
        root: tree,
        changed: changed.to_vec(),
        settings,
        test_command: context.policy.test_command.clone(),
        grants: context.policy.grants.clone(),
        repository: name_repository(context),
    };
    context.tools.sandbox.find_suites(query).await
}

pub(super) async fn check(
    context: &StageContext<'_>,
    suite: Suite,
    selection: Selection,
    scratch: &str,
) -> Result<CheckReport, SandboxError> {
    let request = CheckRequest {
        root: context.scratch.join(TREE),
        scratch: context.scratch.join(scratch),
        suite,
        selection,
        local_folder: context.tools.local_folder.clone(),
        has_base_manifests: false,
        timeout: context.tools.verify_timeout.min(MAX_RUN_TIME),
    };
    context.tools.sandbox.check(request, context.progress, context.cancel).await
}

/// Returns the file that the id of a test names: `tests/test_a.py::test_x`.
fn file_of(target: &str) -> Option<RepoPath> {
    let file = target.split("::").next().unwrap_or(target);
    RepoPath::parse(file).ok().filter(|path| path.as_str().contains(['.', '/']))
}

fn describe_report(report: &CheckReport) -> String {
    let results = &report.results;
    let mut out = format!(
        "`{}`: {} failed, {} passed, {} skipped",
        report.command, results.failed, results.passed, results.skipped
    );
    if let Some(limit) = report.exceeded {
        out.push_str(&format!("; it {limit}"));
    }
    out.push('\n');
    let failed = report.tests.iter().filter(|(_, outcome)| **outcome == TestOutcome::Failed);
    for (name, _) in failed.clone().take(20) {
        out.push_str(&format!("failed: {name}\n"));
    }
    for (name, text) in report.failures.iter().take(3) {
        out.push_str(&format!("\n{name}:\n{}\n", shorten(text, 2_500)));
    }
    if !report.build_success || (report.results.failed > 0 && report.failures.is_empty()) || report.results.total == 0 {
        let count = report.log_tail.chars().count();
        let tail: String = report.log_tail.chars().skip(count.saturating_sub(3_000)).collect();
        out.push_str(&format!("the end of the output:\n{tail}\n"));
    }
    out
}
