//! The sandbox port over plain processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckReport, CheckRequest, ProgramReport, ProgramRequest, Sandbox, SandboxError};

use crate::ecosystem::{Ecosystem, npm_needs_install};
use crate::process::{CommandSpec, Finished, Limits, run};
use crate::report::{self, Parsed};
use crate::tree;

/// What the operator demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxPolicy {
    /// Untrusted code runs only where the host can wall it off; otherwise it is refused.
    Require,
    /// Untrusted code runs with what this host can do.
    BestEffort,
}

/// How untrusted code runs.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// What the operator demands.
    pub policy: SandboxPolicy,
    /// Where programs are looked for, as in `PATH`.
    pub path: String,
    /// Variables that the tool chains need to find themselves, such as `RUSTUP_HOME`. Never a secret.
    pub env: BTreeMap<String, String>,
    /// The longest time for one run.
    pub timeout: Duration,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            policy: SandboxPolicy::Require,
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(15 * 60),
        }
    }
}

const LIMITS: Limits = Limits { output_bytes: 16 * 1024 * 1024, file_bytes: 4 << 30, open_files: 4096 };
/// How much of the output's end is kept for people.
const TAIL: usize = 6_000;

/// Runs code as processes of this user, with limits.
#[derive(Debug, Clone)]
pub struct ProcessSandbox {
    options: SandboxOptions,
}

impl ProcessSandbox {
    /// A sandbox with these options.
    pub const fn new(options: SandboxOptions) -> Self {
        Self { options }
    }

    fn find(&self, program: &str) -> Result<PathBuf, SandboxError> {
        std::env::split_paths(&self.options.path)
            .map(|folder| folder.join(program))
            .find(|place| place.is_file())
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
            program: self.find(program)?,
            args,
            folder: root.to_owned(),
            env,
            timeout: self.options.timeout,
            limits: LIMITS,
        })
    }

    fn admit(&self) -> Result<(), SandboxError> {
        if self.options.policy == SandboxPolicy::BestEffort {
            return Ok(());
        }
        Err(SandboxError::Refused {
            reason: "this server may not run a repository's code: it has no strong sandbox and SANDBOX=require is \
                     set. Set SANDBOX=best-effort to run code that you trust as far as your own"
                .to_owned(),
        })
    }

    async fn has_pytest(&self, request: &CheckRequest, progress: &Progress, cancel: &CancellationToken) -> bool {
        let args = ["-c", "import pytest"].map(str::to_owned).to_vec();
        let Ok(spec) = self.spec("python3", args, request) else { return false };
        run(&spec, &progress.quietly(), cancel).await.is_ok_and(|done| done.code == Some(0))
    }

    /// Installs what the tests import, where an ecosystem wants that as a step of its own.
    async fn prepare(
        &self,
        ecosystem: Ecosystem,
        request: &CheckRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Option<Finished>, SandboxError> {
        if ecosystem != Ecosystem::Npm || !npm_needs_install(&request.root) {
            return Ok(None);
        }
        progress.doing("installing the packages that the tests need");
        let verb = if request.root.join("package-lock.json").is_file() { "ci" } else { "install" };
        // Scripts of packages are the usual way in for hostile ones, and tests rarely need them.
        let args = [verb, "--ignore-scripts", "--no-audit", "--no-fund"].map(str::to_owned).to_vec();
        let mut spec = self.spec("npm", args, request)?;
        spec.env.extend(ecosystem.env(&request.root, &request.scratch));
        let done = run(&spec, progress, cancel).await?;
        Ok(Some(done).filter(|done| done.code != Some(0)))
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
        self.admit()?;
        // Which of pytest and unittest would run is no matter here.
        Ecosystem::detect(root, true).map(|_| ()).ok_or(SandboxError::NoTests)
    }

    async fn run(
        &self,
        request: ProgramRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<ProgramReport, SandboxError> {
        self.admit()?;
        let (program, args) = request.args.split_first().ok_or(SandboxError::NoTests)?;
        let mut spec = self.spec_in(program, args.to_vec(), &request.root, &request.scratch)?;
        spec.env.extend(request.env);
        spec.timeout = request.timeout;
        let before = tree::look(request.root.clone()).await?;
        let done = run(&spec, progress, cancel).await?;
        let changed = before.changes().await?;
        Ok(ProgramReport { code: done.code, timed_out: done.timed_out, log_tail: tail(&done.output), changed })
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
        // The report of the run before must not stand in for one that was never written.
        let _ = std::fs::remove_file(&report_file);
        let args = ecosystem.args(&report_file);
        let command = format!("{} {}", ecosystem.program(), shown(&args, &request.scratch));
        if let Some(failed) = self.prepare(ecosystem, &request, progress, cancel).await? {
            return Ok(judge(ecosystem, "npm install".to_owned(), &failed, Parsed::default(), false));
        }
        progress.doing(format!("running {command}"));
        let mut spec = self.spec(ecosystem.program(), args, &request)?;
        spec.env.extend(ecosystem.env(&request.root, &request.scratch));
        let done = run(&spec, progress, cancel).await?;
        let (parsed, built) = read(ecosystem, &done, &report_file);
        if parsed.results.total == 0 && done.code == Some(PYTEST_NO_TESTS) && ecosystem == Ecosystem::Pytest {
            return Err(SandboxError::NoTests);
        }
        Ok(judge(ecosystem, command, &done, parsed, built))
    }
}

/// pytest's exit code when it collected nothing.
const PYTEST_NO_TESTS: i32 = 5;

/// The arguments as people should see them: without the scratch folder's place.
fn shown(args: &[String], scratch: &Path) -> String {
    let scratch = scratch.display().to_string();
    args.iter().filter(|arg| !arg.contains(&scratch)).cloned().collect::<Vec<_>>().join(" ")
}

/// The tests, and whether it was built as far as the report says.
fn read(ecosystem: Ecosystem, done: &Finished, report_file: &Path) -> (Parsed, bool) {
    match ecosystem {
        Ecosystem::Cargo => (report::cargo::parse(&done.output), !done.output.contains("error: could not compile")),
        Ecosystem::Pytest => {
            let xml = std::fs::read_to_string(report_file).unwrap_or_default();
            // 0: passed, 1: tests failed; above that pytest was interrupted or fell over and the counts mean nothing.
            let ran = matches!(done.code, Some(0 | 1));
            (report::junit::parse(&xml).unwrap_or_default(), ran)
        }
        Ecosystem::Unittest => (report::unittest::parse(&done.output), true),
        Ecosystem::Npm => (report::node::parse(&done.output), true),
        Ecosystem::Go => report::go::parse(&done.output),
    }
}

fn judge(ecosystem: Ecosystem, command: String, done: &Finished, parsed: Parsed, built: bool) -> CheckReport {
    // A run that ended badly without naming a failing test is a build that broke, or a runner that fell over.
    let explained = done.code == Some(0) || parsed.results.failed > 0;
    CheckReport {
        ecosystem: ecosystem.name().to_owned(),
        command,
        build_success: built && explained && !done.timed_out,
        timed_out: done.timed_out,
        log_tail: tail(&done.output),
        results: parsed.results,
        tests: parsed.tests,
    }
}

fn tail(output: &str) -> String {
    let from = output.char_indices().rev().nth(TAIL - 1).map_or(0, |(at, _)| at);
    output[from..].to_owned()
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
            let place = root.join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        let env = ["RUSTUP_HOME", "HOME"].iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?)));
        let mut env: BTreeMap<String, String> = env.collect();
        if let Some(home) = env.remove("HOME") {
            env.entry("RUSTUP_HOME".into()).or_insert(format!("{home}/.rustup"));
        }
        let options = SandboxOptions { policy, path, env, timeout: Duration::from_secs(120) };
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
    async fn by_default_untrusted_code_is_refused() {
        let refused = check(SandboxPolicy::Require, PYTHON).await.unwrap_err();
        assert!(refused.to_string().contains("SANDBOX=best-effort"), "{refused}");
    }

    #[tokio::test]
    async fn a_python_suite_is_run_and_read_by_name() {
        let report = check(SandboxPolicy::BestEffort, PYTHON).await.unwrap();
        assert!(report.build_success, "{}", report.log_tail);
        assert_eq!((report.results.passed, report.results.failed), (1, 1), "{}", report.log_tail);
        let failed = report.tests.iter().find(|(_, outcome)| **outcome == TestOutcome::Failed).unwrap().0;
        assert!(failed.contains("test_add"), "{failed}");
    }

    #[tokio::test]
    async fn a_tree_that_cannot_be_imported_is_not_built_or_has_failing_tests() {
        let broken = [("calc.py", "def add(a, b:\n"), PYTHON[1], PYTHON[2]];
        let report = check(SandboxPolicy::BestEffort, &broken).await.unwrap();
        assert!(!report.build_success || report.results.failed > 0, "{}", report.log_tail);
    }

    #[tokio::test]
    async fn a_cargo_project_is_run_and_a_broken_one_is_not_built() {
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
    async fn a_tree_without_tests_says_so() {
        let result = check(SandboxPolicy::BestEffort, &[("README.md", "hi")]).await;
        assert!(matches!(result, Err(SandboxError::NoTests)));
    }
}
