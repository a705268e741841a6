//! The implementation of the sandbox port on this machine.

mod check;
mod environment;

use std::collections::{BTreeMap, HashMap};
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

use self::check::CheckRun;
use self::environment::Setting;
use crate::isolation::cgroup::ControlGroups;
use crate::isolation::container::EngineKind;
use crate::isolation::self_test;
use crate::isolation::{Backend, Mount, Network, host_view};
use crate::options::{BackendChoice, SandboxOptions, SandboxPolicy};
use crate::process::{CommandResult, NO_IMAGE, Runner};
use crate::programs::{self, Programs};
use crate::relay::Outlet;
use crate::suite::{Ecosystem, PythonRunner};
use crate::tree_snapshot::TreeSnapshot;
use crate::workspace::{Workspace, input_folders};

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
        ecosystem: &str,
        image: Option<&str>,
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
        write_inputs(&inputs, &request.inputs).map_err(SandboxError::internal)?;
        let mut args = request.args.into_iter();
        let program = args.next().ok_or_else(|| SandboxError::ToolMissing { program: String::new() })?;
        let programs = self.programs_for("*", None, &runner, &workspace, cancel).await?;
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
        let Suite { ecosystem, granted, .. } = &request.suite;
        let programs = self.programs_for(ecosystem, granted.image.as_deref(), &runner, &workspace, cancel).await?;
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
        outlet.map(Some).map_err(SandboxError::internal)
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
    workspace.map_err(SandboxError::internal)
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work).await.map_err(SandboxError::internal)
}

fn tail(output: &str) -> String {
    let start = output.char_indices().rev().nth(MAX_LOG_TAIL_CHARS - 1).map_or(0, |(at, _)| at);
    output[start..].to_owned()
}
