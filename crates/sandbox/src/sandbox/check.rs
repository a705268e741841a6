//! Running a suite: its build, its tests, and what its reports say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckReport, CheckRequest, SandboxError};
use patchwright_domain::sandbox_grants::REGISTRIES;

use super::{LocalSandbox, MAX_KNOWN, locate, tail};
use crate::egress::Egress;
use crate::process::{CommandResult, CommandSpec, Runner};
use crate::programs::Programs;
use crate::report::{ParsedReport, ReportReader};
use crate::suite::{Ecosystem, PythonRunner, RunPlan, SuiteRun, dotnet, python_path, runner_probe};
use crate::workspace::{Environment, Workspace};

/// What a check runs with.
pub(super) struct CheckRun<'a> {
    pub(super) request: &'a CheckRequest,
    pub(super) runner: &'a Runner,
    pub(super) programs: &'a Programs,
    pub(super) workspace: &'a Workspace,
    pub(super) environment: &'a Environment,
}

impl CheckRun<'_> {
    /// Returns the commands of the suite.
    pub(super) fn plan(&self, python: PythonRunner) -> Option<RunPlan> {
        let has_program = |name: &str| self.programs.has(name);
        SuiteRun {
            suite: &self.request.suite,
            selection: &self.request.selection,
            host_tree: &self.workspace.host_tree,
            tree: self.workspace.tree(),
            scratch: self.workspace.scratch(),
            environment: self.environment.python.as_deref(),
            python,
            is_offline: self.runner.backend.has_mounts(),
            has_program: &has_program,
        }
        .plan()
    }
}

impl LocalSandbox {
    /// Returns the runner that Python finds for a suite.
    pub(super) async fn python_runner(
        &self,
        run: &CheckRun<'_>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<PythonRunner, SandboxError> {
        let python = match &run.environment.python {
            Some(environment) => environment.join("bin/python"),
            None => locate(run.programs, "python3", "", Path::new(""))?,
        };
        let key = (python.clone(), run.request.scratch.clone());
        let mut known = self.has_pytest.lock().await;
        if let Some(has_pytest) = known.get(&key) {
            return Ok(if *has_pytest { PythonRunner::Pytest } else { PythonRunner::Unittest });
        }
        let args = ["-c", runner_probe()].map(str::to_owned).to_vec();
        let mut spec = run.workspace.command(&self.options, run.programs, python, args);
        run.environment.apply(&mut spec, run.runner.backend.has_mounts(), run.request.timeout);
        let folder = Path::new(&run.request.suite.folder);
        let path = python_path(&run.workspace.tree().join(folder), &run.workspace.host_tree.join(folder));
        spec.env.insert("PYTHONPATH".to_owned(), path);
        let result = run.runner.run(&spec, &progress.without_log(), cancel).await?;
        let has_pytest = result.code == Some(0);
        if known.len() > MAX_KNOWN {
            known.clear();
        }
        known.insert(key, has_pytest);
        Ok(if has_pytest { PythonRunner::Pytest } else { PythonRunner::Unittest })
    }

    /// Runs a plan and reads its reports.
    pub(super) async fn run_plan(
        &self,
        run: &CheckRun<'_>,
        plan: RunPlan,
        python: PythonRunner,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CheckReport, SandboxError> {
        remove_reports(&run.workspace.host_scratch);
        let ecosystem = match Ecosystem::of(&run.request.suite) {
            Some(Ecosystem::Python) if python == PythonRunner::Pytest => "pytest",
            Some(Ecosystem::Python) => "unittest",
            Some(ecosystem) => ecosystem.name(),
            None => &run.request.suite.ecosystem,
        };
        let mut report = CheckReport {
            ecosystem: ecosystem.to_owned(),
            command: display(&plan, run.workspace.scratch()),
            build_success: false,
            results: patchwright_domain::job::report::TestResults::default(),
            tests: BTreeMap::new(),
            exceeded: None,
            exit_code: None,
            log_tail: String::new(),
            failures: BTreeMap::new(),
        };
        if let Some(build) = plan.build {
            progress.set_activity("building the tree".to_owned());
            let result = self.run_step(run, build, &plan.env, progress, cancel).await?;
            if result.code != Some(0) {
                let CommandResult { code, exceeded, output } = result;
                return Ok(CheckReport { exit_code: code, exceeded, log_tail: tail(&output), ..report });
            }
        }
        progress.set_activity(format!("running {}", report.command));
        let line = [plan.program].into_iter().chain(plan.args).collect();
        let result = self.run_step(run, line, &plan.env, progress, cancel).await?;
        let reader = ReportReader {
            output: &result.output,
            exit_code: result.code,
            scratch: &run.workspace.host_scratch,
            folder: &run.workspace.host_tree.join(&run.request.suite.folder),
            tree: run.workspace.tree(),
        };
        let parsed = reader.read(&plan.report);
        report.build_success = is_built(&result, &parsed);
        report.results = parsed.results;
        report.tests = parsed.tests;
        report.failures = parsed.failures;
        report.exceeded = result.exceeded;
        report.exit_code = result.code;
        report.log_tail = tail(&result.output);
        Ok(report)
    }

    /// Runs one command of a suite in its folder.
    async fn run_step(
        &self,
        run: &CheckRun<'_>,
        line: Vec<String>,
        env: &BTreeMap<String, String>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CommandResult, SandboxError> {
        let folder = run.workspace.tree().join(&run.request.suite.folder);
        let mut spec = run.workspace.command(&self.options, run.programs, PathBuf::new(), Vec::new());
        run.environment.apply(&mut spec, run.runner.backend.has_mounts(), run.request.timeout);
        if let Some(timeout) = run.request.suite.settings.as_ref().and_then(|settings| settings.timeout) {
            spec.timeout = timeout.min(run.request.timeout);
        }
        spec.env.extend(env.clone());
        let mut line = line.into_iter();
        let name = line.next().ok_or(SandboxError::NoTests)?;
        spec.program = locate(run.programs, &name, &spec.env["PATH"], &folder)?;
        spec.args = line.collect();
        spec.folder = folder;
        let egress = self.widen(run, &mut spec).await?;
        let result = run.runner.run(&spec, progress, cancel).await;
        drop(egress);
        result
    }

    /// Lets a command do what is granted to its suite: read variables of this machine, and reach hosts as long as the value that is
    /// returned lives.
    async fn widen(&self, run: &CheckRun<'_>, spec: &mut CommandSpec) -> Result<Option<Egress>, SandboxError> {
        let granted = &run.request.suite.granted;
        let value = |name: &String| Some((name.clone(), self.options.host_env.get(name)?.clone()));
        spec.env.extend(granted.env.iter().filter_map(value));
        let is_isolated = run.runner.backend.has_mounts();
        let (false, true, Some(relay)) = (granted.network.is_empty(), is_isolated, &self.options.relay) else {
            return Ok(None);
        };
        let (all, hosts): (Vec<String>, Vec<String>) =
            granted.network.iter().cloned().partition(|host| host == REGISTRIES);
        let registries = if all.is_empty() { &[][..] } else { &self.options.registries };
        let hosts: Vec<String> = hosts.into_iter().chain(registries.iter().cloned()).collect();
        let egress = Egress::open(&hosts).await.map_err(SandboxError::internal)?;
        egress.apply(spec, relay);
        Ok(Some(egress))
    }
}

/// A failed run in which no test failed is a failed build, unless it lists its tests: then a step beside them ended with that
/// code, such as a linter or a limit of the coverage.
fn is_built(result: &CommandResult, parsed: &ParsedReport) -> bool {
    let is_explained =
        result.code == Some(0) || parsed.results.failed > 0 || (result.code.is_some() && !parsed.tests.is_empty());
    !parsed.is_broken && is_explained && result.exceeded.is_none()
}

/// Otherwise the report of the previous run would be read if this one writes none; and with `--lf`, pytest would run only what
/// failed in the previous run.
fn remove_reports(scratch: &Path) {
    for name in ["report.xml", "report.json"] {
        let _ = std::fs::remove_file(scratch.join(name));
    }
    for folder in ["pytest-cache", dotnet::RESULTS] {
        let _ = std::fs::remove_dir_all(scratch.join(folder));
    }
}

/// Formats the command for users, without the arguments that name the scratch folder and without the folders of programs.
fn display(plan: &RunPlan, scratch: &Path) -> String {
    if let Some(shown) = &plan.shown {
        return shown.clone();
    }
    let scratch = scratch.display().to_string();
    let program = plan.program.rsplit('/').next().unwrap_or(&plan.program).to_owned();
    let args = plan.args.iter().filter(|arg| !arg.contains(&scratch)).cloned();
    [program].into_iter().chain(args).collect::<Vec<_>>().join(" ")
}
