//! The implementation of the sandbox port on this machine.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, ProgramReport, ProgramRequest, STRONG_ISOLATION, Sandbox, SandboxError, Suite,
    SuiteQuery,
};
use tokio::time::Instant;

use patchwright_domain::sandbox_grants::REGISTRIES;

use crate::egress::Egress;
use crate::environment::fetch::Fetch;
use crate::environment::{self, Preparation};
use crate::isolation::cgroup::ControlGroups;
use crate::isolation::container::EngineKind;
use crate::isolation::self_test;
use crate::isolation::{Backend, Mount, Network, host_view};
use crate::options::{BackendChoice, SandboxOptions, SandboxPolicy};
use crate::process::{CommandResult, CommandSpec, NO_IMAGE, Runner};
use crate::programs::{self, Programs};
use crate::relay::Outlet;
use crate::report::{ParsedReport, ReportReader};
use crate::suite::{Ecosystem, PythonRunner, RunPlan, SuiteRun, dotnet, python_path, runner_probe};
use crate::tree_snapshot::TreeSnapshot;
use crate::workspace::{Environment, Workspace, input_folders};

/// The length of the log tail in a report, in characters.
const MAX_LOG_TAIL_CHARS: usize = 6_000;
/// How many answers about pytest are kept.
const MAX_KNOWN: usize = 1_000;
/// After this time the isolation is tested again: the machine may have changed.
const SELF_TEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Runs code on this machine, isolated by `bwrap` where it works.
#[derive(Debug)]
pub struct LocalSandbox {
    options: SandboxOptions,
    tested: tokio::sync::Mutex<Option<Tested>>,
    isolation: RwLock<&'static str>,
    /// Whether pytest can be imported, by interpreter and scratch folder: a tree may be pytest itself.
    has_pytest: tokio::sync::Mutex<HashMap<(PathBuf, PathBuf), bool>>,
    /// What the images have that were used.
    images: tokio::sync::Mutex<HashMap<String, Programs>>,
    /// Held while packages are fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Tested {
    at: Instant,
    runner: Option<Runner>,
    diagnosis: Diagnosis,
}

/// How far code is isolated on this machine, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// `strong`, `best-effort` or `none`, as [`Sandbox::isolation`] says.
    pub isolation: &'static str,
    /// What isolates, in a few words.
    pub detail: String,
    /// What keeps this machine from isolating, each with what it would take.
    pub problems: Vec<String>,
}

impl LocalSandbox {
    /// Creates a sandbox with these options. The isolation is tested before the first run.
    pub fn new(options: SandboxOptions) -> Self {
        Self {
            options,
            tested: tokio::sync::Mutex::new(None),
            isolation: RwLock::new("none"),
            has_pytest: tokio::sync::Mutex::new(HashMap::new()),
            images: tokio::sync::Mutex::new(HashMap::new()),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// Tests how far code is isolated on this machine.
    pub async fn diagnose(&self) -> Diagnosis {
        self.test_once_a_day().await.diagnosis
    }

    async fn test_once_a_day(&self) -> Tested {
        let mut tested = self.tested.lock().await;
        if let Some(known) = tested.as_ref().filter(|known| known.at.elapsed() < SELF_TEST_INTERVAL) {
            return known.clone();
        }
        let new = self.test().await;
        *self.isolation.write().unwrap_or_else(PoisonError::into_inner) = new.diagnosis.isolation;
        tested.insert(new).clone()
    }

    async fn test(&self) -> Tested {
        let groups = ControlGroups::detect();
        let (backend, problems) = self.test_backend(&groups).await;
        let (isolation, detail, backend) = match backend {
            Some(backend) => (STRONG_ISOLATION, describe(&backend, &groups), Some(backend)),
            None if self.options.policy == SandboxPolicy::BestEffort => {
                ("best-effort", "processes of this user with resource limits".to_owned(), Some(Backend::Process))
            }
            None => ("none", "a repository's code is not run".to_owned(), None),
        };
        for problem in &problems {
            tracing::info!(isolation, problem, "the sandbox cannot isolate as it could");
        }
        let runner = backend.map(|backend| Runner { backend, groups });
        Tested { at: Instant::now(), runner, diagnosis: Diagnosis { isolation, detail, problems } }
    }

    /// Returns the backend that is chosen, if it isolates, and what it lacks.
    async fn test_backend(&self, groups: &ControlGroups) -> (Option<Backend>, Vec<String>) {
        let path = &self.options.path;
        let kind = match self.options.backend {
            BackendChoice::None => return (None, vec!["isolation is switched off".to_owned()]),
            BackendChoice::Auto | BackendChoice::Bubblewrap => {
                let (bubblewrap, finding) = self_test::test_bubblewrap(path, self.view(), groups).await;
                return (bubblewrap.filter(|_| finding.holds()).map(Backend::Bubblewrap), finding.problems);
            }
            BackendChoice::Podman => EngineKind::Podman,
            BackendChoice::Docker => EngineKind::Docker { is_rootless: false },
        };
        let (engine, finding) = self_test::test_engine(path, &self.options.container, kind, groups).await;
        (engine.filter(|_| finding.holds()).map(Backend::Container), finding.problems)
    }

    /// Returns what commands find that run for an ecosystem, in an image of their own or in that of the ecosystem.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] if there is no image for it, or one that cannot be used.
    async fn programs_for(
        &self,
        (ecosystem, image): (&str, Option<&str>),
        runner: &Runner,
        workspace: &Workspace,
        cancel: &CancellationToken,
    ) -> Result<Programs, SandboxError> {
        let machine = || Programs::Machine { path: self.options.path.clone(), env: self.options.env.clone() };
        let Backend::Container(engine) = &runner.backend else { return Ok(machine()) };
        let refused = |reason: String| SandboxError::Refused { reason };
        let image =
            image.or_else(|| self.options.container.image_of(ecosystem)).ok_or_else(|| refused(NO_IMAGE.to_owned()))?;
        let mut known = self.images.lock().await;
        if let Some(programs) = known.get(image) {
            return Ok(programs.clone());
        }
        if let Some(volumes) = engine.unlimited_volumes(image).await {
            return Err(refused(format!(
                "the image {image} declares volumes ({volumes}), which {} makes writable without a limit; use an image without \
                 them, or SANDBOX_BACKEND=podman",
                engine.kind.name()
            )));
        }
        let args = ["-c".to_owned(), programs::probe_script()].to_vec();
        let mut spec = workspace.command(&self.options, &machine(), "sh".into(), args);
        (spec.image, spec.env) = (Some(image.to_owned()), BTreeMap::new());
        let silent = Progress::silent(patchwright_domain::JobId::from_uuid(uuid::Uuid::nil()));
        let result = runner.run(&spec, &silent, cancel).await?;
        let programs = Programs::of_image(image, &result.output).ok_or_else(|| {
            let name = engine.kind.name();
            refused(format!("{name} cannot run `sh` in the image {image}: {}", result.output.trim()))
        })?;
        known.insert(image.to_owned(), programs.clone());
        Ok(programs)
    }

    /// Returns what every command may read.
    fn view(&self) -> Vec<Mount> {
        let toolchains = host_view::toolchains(&self.options.path, &self.options.env);
        let readable = toolchains.iter().chain(&self.options.readable).filter(|path| path.exists());
        let mut mounts: Vec<Mount> = readable.map(|path| Mount::read(path, path)).collect();
        let shown =
            |path: &Path| mounts.iter().any(|mount| path.starts_with(&mount.target) || path.starts_with("/usr"));
        let private = self.options.private.iter().filter(|path| path.is_dir());
        let hidden: Vec<Mount> = private.filter(|path| shown(path)).map(Mount::hidden).collect();
        mounts.extend(hidden);
        mounts
    }

    async fn runner(&self) -> Result<Runner, SandboxError> {
        let Tested { runner, diagnosis, .. } = self.test_once_a_day().await;
        runner.ok_or_else(|| {
            let problems = diagnosis.problems.join("; ");
            let hint = &self.options.refusal_hint;
            SandboxError::Refused {
                reason: format!(
                    "this machine cannot isolate a repository's code, so it is not run: {problems}; {hint}"
                ),
            }
        })
    }

    async fn python_runner(
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
        let egress = Egress::open(&hosts).await.map_err(|error| SandboxError::Internal { source: Box::new(error) })?;
        egress.apply(spec, relay);
        Ok(Some(egress))
    }
}

/// What the environment of a check depends on.
#[derive(Clone, Copy)]
struct Setting<'a> {
    request: &'a CheckRequest,
    runner: &'a Runner,
    programs: &'a Programs,
    workspace: &'a Workspace,
}

/// What a check runs with.
struct CheckRun<'a> {
    request: &'a CheckRequest,
    runner: &'a Runner,
    programs: &'a Programs,
    workspace: &'a Workspace,
    environment: &'a Environment,
}

impl CheckRun<'_> {
    fn plan(&self, python: PythonRunner) -> Option<RunPlan> {
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

/// Returns the path of a program as a command sees it: programs are searched, first in `path`, others are paths already.
fn locate(programs: &Programs, name: &str, path: &str, folder: &Path) -> Result<PathBuf, SandboxError> {
    if name.starts_with('/') {
        return Ok(name.into());
    }
    if name.contains('/') {
        return Ok(folder.join(name));
    }
    programs.locate(path, name).ok_or_else(|| SandboxError::ToolMissing { program: name.to_owned() })
}

/// Describes what isolates, for an operator.
fn describe(backend: &Backend, groups: &ControlGroups) -> String {
    match backend {
        Backend::Bubblewrap(bubblewrap) => {
            let memory = if groups.limit_memory() { "control groups" } else { "a watch on its processes" };
            let user = if bubblewrap.setpriv.is_some() { "a user of its own" } else { "a user namespace" };
            format!("bubblewrap with {user}; memory is limited by {memory}")
        }
        Backend::Container(engine) => format!("{}, without a network", engine.kind.name()),
        Backend::Process => "processes of this user with resource limits".to_owned(),
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    fn isolation(&self) -> &'static str {
        *self.isolation.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn probe(&self) -> Result<(), SandboxError> {
        self.runner().await.map(|_| ())
    }

    fn input_folder(&self, scratch: &Path) -> PathBuf {
        input_folders(scratch, self.isolation() == STRONG_ISOLATION).1
    }

    async fn find_suites(&self, query: SuiteQuery) -> Result<Vec<Suite>, SandboxError> {
        run_blocking(move || crate::suite::find(&query)).await?
    }

    async fn run(
        &self,
        request: ProgramRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<ProgramReport, SandboxError> {
        let runner = self.runner().await?;
        let outlet = self.open_outlet(&request, &runner)?;
        let workspace = create_workspace(&request.root, &request.scratch, &runner).await?;
        let has_mounts = runner.backend.has_mounts();
        let (inputs, seen) = input_folders(&request.scratch, has_mounts);
        write_inputs(&inputs, &request.inputs).map_err(|error| SandboxError::Internal { source: Box::new(error) })?;
        let mut args = request.args.into_iter();
        let program = args.next().ok_or_else(|| SandboxError::ToolMissing { program: String::new() })?;
        let programs = self.programs_for(("*", None), &runner, &workspace, cancel).await?;
        let program = locate(&programs, &program, "", workspace.tree())?;
        let mut spec = workspace.command(&self.options, &programs, program, args.collect());
        spec.env.extend(request.env);
        spec.timeout = request.timeout;
        if has_mounts {
            spec.mounts.push(Mount::read(inputs, seen));
        }
        if let (Some(outlet), Some(address), Some(relay)) = (&outlet, request.reachable, &self.options.relay) {
            spec.network = Network::Outlet { address, folder: outlet.folder.clone(), relay: relay.clone() };
        }
        let before = TreeSnapshot::capture(request.root.clone()).await?;
        let result = runner.run(&spec, progress, cancel).await?;
        let changed = before.into_changes().await?;
        let CommandResult { code, exceeded, output } = result;
        Ok(ProgramReport { code, exceeded, log_tail: tail(&output), changed })
    }

    async fn check(
        &self,
        request: CheckRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CheckReport, SandboxError> {
        let runner = self.runner().await?;
        let workspace = create_workspace(&request.root, &request.scratch, &runner).await?;
        let programs = self
            .programs_for(
                (&request.suite.ecosystem, request.suite.granted.image.as_deref()),
                &runner,
                &workspace,
                cancel,
            )
            .await?;
        let setting = Setting { request: &request, runner: &runner, programs: &programs, workspace: &workspace };
        let environment = self.find_environment(setting, progress, cancel).await?;
        let run = CheckRun {
            request: &request,
            runner: &runner,
            programs: &programs,
            workspace: &workspace,
            environment: &environment,
        };
        let python = match Ecosystem::of(&request.suite) {
            Some(Ecosystem::Python) => self.python_runner(&run, progress, cancel).await?,
            _ => PythonRunner::Unittest,
        };
        let plan = run.plan(python).ok_or(SandboxError::NoTests)?;
        self.run_plan(&run, plan, python, progress, cancel).await
    }
}

impl LocalSandbox {
    /// Opens the way to the one address that a program may reach, if it is isolated.
    fn open_outlet(&self, request: &ProgramRequest, runner: &Runner) -> Result<Option<Outlet>, SandboxError> {
        let Some(address) = request.reachable.filter(|_| runner.backend.has_mounts()) else { return Ok(None) };
        if self.options.relay.is_none() {
            return Err(SandboxError::Refused {
                reason: "the program cannot reach the model from the sandbox: this program has no relay".to_owned(),
            });
        }
        let outlet = Outlet::open(address);
        outlet.map(Some).map_err(|error| SandboxError::Internal { source: Box::new(error) })
    }

    /// Returns what the run has beside its tree: the environment of the user's working copy, or one that is prepared.
    async fn find_environment(
        &self,
        setting: Setting<'_>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Environment, SandboxError> {
        let Setting { request, runner, programs, workspace } = setting;
        let has_mounts = runner.backend.has_mounts();
        let mut environment = Environment::default();
        // An image has its own interpreters, which those of a working copy do not fit.
        let local_folder = request.local_folder.clone().filter(|_| programs.image().is_none());
        if let Some(folder) = local_folder.clone() {
            let (suite, workspace, home) = (request.suite.clone(), workspace.clone(), self.options.home.clone());
            let take = move || environment::take_local(&folder, home.as_deref(), &suite, &workspace, has_mounts);
            let taken = run_blocking(take).await?;
            environment = taken.map_err(|error| SandboxError::Internal { source: Box::new(error) })?;
        }
        let has_program = |name: &str| programs.has(name);
        let python = programs.locate("", "python3").map(|path| path.display().to_string()).unwrap_or_default();
        let mut salt = format!("{}{python}", programs.image().unwrap_or_default());
        if Ecosystem::of(&request.suite).is_some_and(environment::fetching_runs_code) {
            // Code writes them: they are shared with no other repository.
            salt.push_str(&request.suite.granted.repository);
        }
        let Some(preparation) = Preparation::of(&request.suite, &workspace.host_tree, &salt, &has_program) else {
            return Ok(environment);
        };
        let is_covered = |local: &PathBuf| environment::covers(local, &preparation, &environment, workspace);
        if local_folder.as_ref().is_some_and(is_covered) {
            return Ok(environment);
        }
        if preparation.runs_code() {
            // Once a job, before any code of it has run in the tree.
            if let Some(known) = self.packages_of_base(setting, &preparation) {
                return Ok(known);
            }
            if !request.has_base_manifests || base_packages(request).exists() {
                return Ok(environment);
            }
            std::fs::write(base_packages(request), "")
                .map_err(|error| SandboxError::Internal { source: Box::new(error) })?;
        }
        if let (true, Some(cache), Some(relay)) = (has_mounts, &self.options.cache, &self.options.relay)
            && !self.options.registries.is_empty()
        {
            let fetch = Fetch { options: &self.options, programs, cache, relay, runner, workspace, request };
            let find = |name: &str| locate(programs, name, "", Path::new(""));
            let _one_at_a_time = self.fetching.lock().await;
            let prepared = fetch.prepare(&preparation, find, progress, cancel).await?;
            if preparation.runs_code() {
                let kept = std::fs::write(base_packages(request), preparation.key());
                kept.map_err(|error| SandboxError::Internal { source: Box::new(error) })?;
            }
            return Ok(prepared);
        }
        Ok(environment)
    }

    /// Returns the packages that were fetched for the base of this job, if they were.
    fn packages_of_base(&self, setting: Setting<'_>, preparation: &Preparation) -> Option<Environment> {
        let Setting { request, workspace, .. } = setting;
        let key = std::fs::read_to_string(base_packages(request)).ok()?;
        preparation.clone().with_key(key).find(self.options.cache.as_ref()?, workspace.tree(), workspace.scratch())
    }

    async fn run_plan(
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
}

/// Returns the file that names the packages of the base, out of reach of the repository's code.
fn base_packages(request: &CheckRequest) -> PathBuf {
    let folder = BuildHasherDefault::<DefaultHasher>::default().hash_one(&request.suite.folder);
    request.scratch.join(format!("packages-of-base-{}-{folder:016x}", request.suite.ecosystem))
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

fn write_inputs(folder: &Path, inputs: &BTreeMap<String, String>) -> std::io::Result<()> {
    crate::tree::delete(folder)?;
    std::fs::create_dir_all(folder)?;
    inputs.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

async fn create_workspace(root: &Path, scratch: &Path, runner: &Runner) -> Result<Workspace, SandboxError> {
    let (root, scratch, has_mounts) = (root.to_owned(), scratch.to_owned(), runner.backend.has_mounts());
    let workspace = run_blocking(move || Workspace::create(&root, &scratch, has_mounts)).await?;
    workspace.map_err(|error| SandboxError::Internal { source: Box::new(error) })
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SandboxError::Internal { source: Box::new(error) })
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

fn tail(output: &str) -> String {
    let start = output.char_indices().rev().nth(MAX_LOG_TAIL_CHARS - 1).map_or(0, |(at, _)| at);
    output[start..].to_owned()
}
