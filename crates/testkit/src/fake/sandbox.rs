//! A sandbox with scripted results, and a code index that ranks files in their order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::code_index::{CodeIndex, CodeIndexError, IndexQuery, RankedFile, RankedSymbol, Ranking};
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, ProgramReport, ProgramRequest, Sandbox, SandboxError, Suite, SuiteQuery, TestOutcome,
};
use patchwright_domain::job::report::TestResults;

type Program = dyn Fn(&ProgramRequest) -> Result<ProgramReport, SandboxError> + Send;
type Script = dyn Fn(&CheckRequest) -> Result<CheckReport, SandboxError> + Send;

/// A sandbox whose results are functions of the request.
pub struct ScriptedSandbox {
    check: Mutex<Box<Script>>,
    program: Mutex<Box<Program>>,
}

impl ScriptedSandbox {
    /// Creates a sandbox whose checks have this result.
    pub fn new(answer: impl Fn(&CheckRequest) -> Result<CheckReport, SandboxError> + Send + 'static) -> Self {
        let program = |request: &ProgramRequest| Err(SandboxError::ToolMissing { program: request.args[0].clone() });
        Self { check: Mutex::new(Box::new(answer)), program: Mutex::new(Box::new(program)) }
    }

    /// Sets the result of programs. The function may change the tree, and reports what it changed.
    #[must_use]
    pub fn with_program(
        self,
        answer: impl Fn(&ProgramRequest) -> Result<ProgramReport, SandboxError> + Send + 'static,
    ) -> Self {
        Self { program: Mutex::new(Box::new(answer)), ..self }
    }
}

impl std::fmt::Debug for ScriptedSandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScriptedSandbox")
    }
}

/// Returns a report with these tests.
pub fn report(tests: &[(&str, TestOutcome)]) -> CheckReport {
    let count = |wanted| u32::try_from(tests.iter().filter(|(_, outcome)| *outcome == wanted).count()).unwrap();
    let (passed, failed) = (count(TestOutcome::Passed), count(TestOutcome::Failed));
    CheckReport {
        ecosystem: "pytest".to_owned(),
        command: "python3 -m pytest -q".to_owned(),
        build_success: true,
        results: TestResults { passed, failed, skipped: 0, coverage: None, total: passed + failed },
        tests: tests.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect::<BTreeMap<_, _>>(),
        exceeded: None,
        exit_code: Some(i32::from(failed > 0)),
        log_tail: "the output".to_owned(),
        failures: BTreeMap::new(),
    }
}

#[async_trait]
impl Sandbox for ScriptedSandbox {
    fn isolation(&self) -> &'static str {
        "scripted"
    }

    async fn probe(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    /// One suite at the root, without parts: every check is one of all tests.
    async fn find_suites(&self, _: SuiteQuery) -> Result<Vec<Suite>, SandboxError> {
        Ok(vec![Suite { ecosystem: "pytest".to_owned(), ..Suite::default() }])
    }

    fn input_folder(&self, scratch: &Path) -> PathBuf {
        scratch.join("inputs")
    }

    async fn run(
        &self,
        request: ProgramRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<ProgramReport, SandboxError> {
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        let report = (self.program.lock().unwrap_or_else(PoisonError::into_inner))(&request)?;
        progress.write_output(report.log_tail.as_bytes()).await;
        Ok(report)
    }

    async fn check(
        &self,
        request: CheckRequest,
        _: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CheckReport, SandboxError> {
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        // A function that panics simulates a worker that dies.
        (self.check.lock().unwrap_or_else(PoisonError::into_inner))(&request)
    }
}

/// A code index that ranks the files in the order of the tree, or of a folder of it, with one symbol each.
#[derive(Debug, Clone, Copy, Default)]
pub struct FakeIndex;

#[async_trait]
impl CodeIndex for FakeIndex {
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError> {
        let files = query.tree.files().map_err(|error| CodeIndexError { source: Box::new(error) })?;
        let within = |path: &str| query.folder.as_ref().is_none_or(|folder| path.starts_with(&format!("{folder}/")));
        let ranked =
            files.iter().filter(|file| within(&file.path)).take(query.limit).enumerate().map(|(place, file)| {
                let (symbols, skeleton) = if place < query.outlines {
                    let symbol = RankedSymbol { name: "it".to_owned(), kind: "function".to_owned(), lines: (1, 2) };
                    (vec![symbol], "1: def it()\n".to_owned())
                } else {
                    (Vec::new(), String::new())
                };
                RankedFile {
                    path: file.path.clone(),
                    score: f64::from(100 - u32::try_from(place).unwrap_or(100)),
                    reasons: vec!["it is in the tree".to_owned()],
                    symbols,
                    skeleton,
                }
            });
        Ok(Ranking { files: ranked.collect(), functions: Vec::new(), files_analyzed: files.len() })
    }
}
