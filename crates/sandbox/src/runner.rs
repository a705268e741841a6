//! The implementation of the sandbox port with processes of this user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckReport, CheckRequest, ProgramReport, ProgramRequest, Sandbox, SandboxError};

use crate::ecosystem::{Ecosystem, PYTEST_CACHE, npm_needs_install};
use crate::process::{CommandResult, CommandSpec, Limits, run};
use crate::report::{self, ParsedReport};
use crate::tree_snapshot::TreeSnapshot;

/// The isolation that untrusted code must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxPolicy {
    /// Untrusted code must be isolated from this machine. [`ProcessSandbox`] cannot do that and refuses every run.
    Require,
    /// Untrusted code runs with the limits that [`ProcessSandbox`] has.
    BestEffort,
}

/// Configures a [`ProcessSandbox`].
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The isolation that untrusted code must have.
    pub policy: SandboxPolicy,
    /// The folders in which programs are searched, as in `PATH`.
    pub path: String,
    /// Variables that tool chains need, such as `RUSTUP_HOME`. They must not contain secrets.
    pub env: BTreeMap<String, String>,
    /// The time limit for one run.
    pub timeout: Duration,
    /// The remedy that a refusal by [`SandboxPolicy::Require`] names, such as the setting of the embedding program.
    pub refusal_hint: String,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            policy: SandboxPolicy::Require,
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(15 * 60),
            refusal_hint: "set SandboxOptions::policy to SandboxPolicy::BestEffort for code that you trust as far as \
                           your own"
                .to_owned(),
        }
    }
}

const LIMITS: Limits = Limits { output_bytes: 16 * 1024 * 1024, file_bytes: 4 << 30, open_files: 4096 };
/// The length of the log tail in a report.
const MAX_LOG_TAIL_CHARS: usize = 6_000;

/// Runs code in processes of this user, with resource limits and a clean environment.
#[derive(Debug, Clone)]
pub struct ProcessSandbox {
    options: SandboxOptions,
}

impl ProcessSandbox {
    /// Creates a sandbox with these options.
    pub const fn new(options: SandboxOptions) -> Self {
        Self { options }
    }

    fn find_program(&self, program: &str) -> Result<PathBuf, SandboxError> {
        std::env::split_paths(&self.options.path)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
            .ok_or_else(|| SandboxError::ToolMissing { program: program.to_owned() })
    }

    fn spec(&self, program: &str, args: Vec<String>, request: &CheckRequest) -> Result<CommandSpec, SandboxError> {
        self.spec_in(program, args, &request.root, &request.scratch)
    }

    fn spec_in(
        &self,
        program: &str,
        args: Vec<String>,
        root: &Path,
        scratch: &Path,
    ) -> Result<CommandSpec, SandboxError> {
        let home = scratch.join("home");
        for folder in [scratch, home.as_path()] {
            std::fs::create_dir_all(folder).map_err(|source| SandboxError::Internal { source: Box::new(source) })?;
        }
        let mut env = self.options.env.clone();
        env.insert("PATH".to_owned(), self.options.path.clone());
        env.insert("HOME".to_owned(), home.display().to_string());
        env.insert("TMPDIR".to_owned(), scratch.display().to_string());
        env.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        Ok(CommandSpec {
            program: self.find_program(program)?,
            args,
            folder: root.to_owned(),
            env,
            timeout: self.options.timeout,
            limits: LIMITS,
        })
    }

    fn check_policy(&self) -> Result<(), SandboxError> {
        if self.options.policy == SandboxPolicy::BestEffort {
            return Ok(());
        }
        let hint = &self.options.refusal_hint;
        Err(SandboxError::Refused {
            reason: format!("this server may not run a repository's code, because it has no strong sandbox; {hint}"),
        })
    }

    async fn has_pytest(&self, request: &CheckRequest, progress: &Progress, cancel: &CancellationToken) -> bool {
        let args = ["-c", "import pytest"].map(str::to_owned).to_vec();
        let Ok(spec) = self.spec("python3", args, request) else { return false };
        run(&spec, &progress.without_log(), cancel).await.is_ok_and(|result| result.code == Some(0))
    }

    /// Installs the dependencies of the tests if the ecosystem has a separate step for that. Returns its result if it failed.
    async fn install_dependencies(
        &self,
        ecosystem: Ecosystem,
        request: &CheckRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Option<CommandResult>, SandboxError> {
        if ecosystem != Ecosystem::Npm || !npm_needs_install(&request.root) {
            return Ok(None);
        }
        progress.set_activity("installing the packages that the tests need");
        let command = if request.root.join("package-lock.json").is_file() { "ci" } else { "install" };
        // Malicious packages mostly act through install scripts, and tests rarely need those.
        let args = [command, "--ignore-scripts", "--no-audit", "--no-fund"].map(str::to_owned).to_vec();
        let mut spec = self.spec("npm", args, request)?;
        spec.env.extend(ecosystem.env(&request.root, &request.scratch));
        let result = run(&spec, progress, cancel).await?;
        Ok(Some(result).filter(|result| result.code != Some(0)))
    }
}

#[async_trait]
impl Sandbox for ProcessSandbox {
    fn isolation(&self) -> &'static str {
        match self.options.policy {
            SandboxPolicy::Require => "none",
            SandboxPolicy::BestEffort => "best-effort",
        }
    }

    fn probe(&self, root: &Path) -> Result<(), SandboxError> {
        self.check_policy()?;
        // Whether pytest is installed does not matter here.
        Ecosystem::detect(root, true).map(|_| ()).ok_or(SandboxError::NoTests)
    }

    async fn run(
        &self,
        request: ProgramRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<ProgramReport, SandboxError> {
        self.check_policy()?;
        let (program, args) = request.args.split_first().ok_or(SandboxError::NoTests)?;
        let mut spec = self.spec_in(program, args.to_vec(), &request.root, &request.scratch)?;
        spec.env.extend(request.env);
        spec.timeout = request.timeout;
        let before = TreeSnapshot::capture(request.root.clone()).await?;
        let result = run(&spec, progress, cancel).await?;
        let changed = before.into_changes().await?;
        let CommandResult { code, timed_out, output } = result;
        Ok(ProgramReport { code, timed_out, log_tail: tail(&output), changed })
    }

    async fn check(
        &self,
        request: CheckRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CheckReport, SandboxError> {
        self.probe(&request.root)?;
        let has_pytest = self.has_pytest(&request, progress, cancel).await;
        let ecosystem = Ecosystem::detect(&request.root, has_pytest).ok_or(SandboxError::NoTests)?;
        let report_file = request.scratch.join("report.xml");
        // Otherwise the report of the previous run would be read if this one writes none.
        let _ = std::fs::remove_file(&report_file);
        // With `--lf`, pytest would run only what failed in the previous run.
        let _ = std::fs::remove_dir_all(report_file.with_file_name(PYTEST_CACHE));
        let args = ecosystem.args(&report_file);
        let command = format!("{} {}", ecosystem.program(), display_args(&args, &request.scratch));
        if let Some(failed) = self.install_dependencies(ecosystem, &request, progress, cancel).await? {
            return Ok(build_report(ecosystem, "npm install".to_owned(), &failed, ParsedReport::default(), false));
        }
        progress.set_activity(format!("running {command}"));
        let mut spec = self.spec(ecosystem.program(), args, &request)?;
        spec.env.extend(ecosystem.env(&request.root, &request.scratch));
        let result = run(&spec, progress, cancel).await?;
        let (parsed, built) = parse_output(ecosystem, &result, &report_file);
        if parsed.results.total == 0 && result.code == Some(PYTEST_NO_TESTS) && ecosystem == Ecosystem::Pytest {
            return Err(SandboxError::NoTests);
        }
        Ok(build_report(ecosystem, command, &result, parsed, built))
    }
}

/// pytest's exit code if it collected no tests.
const PYTEST_NO_TESTS: i32 = 5;

/// Formats the arguments for users, without those that contain the scratch folder.
fn display_args(args: &[String], scratch: &Path) -> String {
    let scratch = scratch.display().to_string();
    args.iter().filter(|arg| !arg.contains(&scratch)).cloned().collect::<Vec<_>>().join(" ")
}

/// Returns the tests, and whether the tree was built as far as the output shows.
fn parse_output(ecosystem: Ecosystem, result: &CommandResult, report_file: &Path) -> (ParsedReport, bool) {
    let output = &result.output;
    match ecosystem {
        Ecosystem::Cargo => (report::cargo::parse(output), !output.contains("error: could not compile")),
        Ecosystem::Pytest => {
            let xml = std::fs::read_to_string(report_file).unwrap_or_default();
            // 0: all passed, 1: some failed. Above that pytest was interrupted or failed itself, and the counts are void.
            let ran = matches!(result.code, Some(0 | 1));
            (report::junit::parse(&xml).unwrap_or_default(), ran)
        }
        Ecosystem::Unittest => (report::unittest::parse(output), true),
        Ecosystem::Npm => (report::node::parse(output), true),
        Ecosystem::Go => report::go::parse(output),
    }
}

fn build_report(
    ecosystem: Ecosystem,
    command: String,
    result: &CommandResult,
    parsed: ParsedReport,
    built: bool,
) -> CheckReport {
    // A failed run in which no test failed is a failed build, unless it lists its tests: then a step beside them ended with
    // that code, such as a linter or a limit of the coverage.
    let is_explained =
        result.code == Some(0) || parsed.results.failed > 0 || (result.code.is_some() && !parsed.tests.is_empty());
    CheckReport {
        ecosystem: ecosystem.name().to_owned(),
        command,
        build_success: built && is_explained && !result.timed_out,
        timed_out: result.timed_out,
        exit_code: result.code,
        log_tail: tail(&result.output),
        results: parsed.results,
        tests: parsed.tests,
    }
}

fn tail(output: &str) -> String {
    let start = output.char_indices().rev().nth(MAX_LOG_TAIL_CHARS - 1).map_or(0, |(at, _)| at);
    output[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use patchwright_core::sandbox::TestOutcome;
    use patchwright_domain::JobId;

    use super::*;

    async fn check(policy: SandboxPolicy, files: &[(&str, &str)]) -> Result<CheckReport, SandboxError> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        for (path, text) in files {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        let env = ["RUSTUP_HOME", "HOME"].iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?)));
        let mut env: BTreeMap<String, String> = env.collect();
        if let Some(home) = env.remove("HOME") {
            env.entry("RUSTUP_HOME".into()).or_insert(format!("{home}/.rustup"));
        }
        let options = SandboxOptions { policy, path, env, ..SandboxOptions::default() };
        let request = CheckRequest { root, scratch: folder.path().join("scratch") };
        let job: JobId = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        ProcessSandbox::new(options).check(request, &Progress::silent(job), &CancellationToken::new()).await
    }

    const PYTHON: &[(&str, &str)] = &[
        ("calc.py", "def add(a, b):\n    return a - b\n"),
        (
            "tests/test_calc.py",
            "import unittest\nfrom calc import add\n\nclass Calc(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n    def test_zero(self):\n        self.assertEqual(add(0, 0), 0)\n",
        ),
        ("tests/__init__.py", ""),
    ];

    #[tokio::test]
    async fn untrusted_code_is_refused_by_default() {
        let refused = check(SandboxPolicy::Require, PYTHON).await.unwrap_err();
        assert!(refused.to_string().contains("set SandboxOptions::policy"), "{refused}");
    }

    #[tokio::test]
    async fn a_python_suite_is_run_and_parsed_by_name() {
        let report = check(SandboxPolicy::BestEffort, PYTHON).await.unwrap();
        assert!(report.build_success, "{}", report.log_tail);
        assert_eq!((report.results.passed, report.results.failed), (1, 1), "{}", report.log_tail);
        let failed = report.tests.iter().find(|(_, outcome)| **outcome == TestOutcome::Failed).unwrap().0;
        assert!(failed.contains("test_add"), "{failed}");
    }

    #[tokio::test]
    async fn a_tree_that_cannot_be_imported_is_not_built_or_has_failed_tests() {
        let invalid = [("calc.py", "def add(a, b:\n"), PYTHON[1], PYTHON[2]];
        let report = check(SandboxPolicy::BestEffort, &invalid).await.unwrap();
        assert!(!report.build_success || report.results.failed > 0, "{}", report.log_tail);
    }

    #[tokio::test]
    async fn a_cargo_project_is_run_and_an_invalid_one_is_not_built() {
        let toml = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
        let test = "\n#[test]\nfn adds() { assert_eq!(add(1, 2), 3); }\n";
        let good = format!("pub fn add(a: i32, b: i32) -> i32 {{ a + b }}\n{test}");
        let report = check(SandboxPolicy::BestEffort, &[("Cargo.toml", toml), ("src/lib.rs", &good)]).await.unwrap();
        assert!(report.build_success && report.results.passed == 1, "{}", report.log_tail);
        let report =
            check(SandboxPolicy::BestEffort, &[("Cargo.toml", toml), ("src/lib.rs", "pub fn add(")]).await.unwrap();
        assert!(!report.build_success && report.results.total == 0, "{}", report.log_tail);
    }

    #[tokio::test]
    async fn a_tree_without_tests_is_an_error_of_its_own() {
        let result = check(SandboxPolicy::BestEffort, &[("README.md", "hi")]).await;
        assert!(matches!(result, Err(SandboxError::NoTests)));
    }
}
