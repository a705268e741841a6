//! Running one command with limits. All of its processes have ended when [`Runner::run`] returns, on every path.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use command_fds::CommandFdExt as _;
use patchwright_core::CancellationToken;
use patchwright_core::fault::Cause;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{Exceeded, SandboxError};
use patchwright_core::untrusted_tree::disk_bytes;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::isolation::bubblewrap::Prepared;
use crate::isolation::cgroup::{ControlGroups, Group};
use crate::isolation::container::Container;
use crate::isolation::{Access, Backend, Limits, Mount, Network, process_tree, spawner};

/// A command to run.
#[derive(Debug, Clone)]
pub(crate) struct CommandSpec {
    /// The image that it runs in, if the backend is a container engine.
    pub(crate) image: Option<String>,
    /// The program, as the command sees it.
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// The working folder, as the command sees it.
    pub(crate) folder: PathBuf,
    /// The complete environment; nothing is inherited.
    pub(crate) env: BTreeMap<String, String>,
    /// What the command sees of this machine beside the system and the tool chains.
    pub(crate) mounts: Vec<Mount>,
    pub(crate) network: Network,
    /// Whether it writes what is kept for later commands. Two of them must not run at once.
    pub(crate) writes_cache: bool,
    pub(crate) timeout: Duration,
    pub(crate) limits: Limits,
}

impl CommandSpec {
    /// Returns the folders of this machine that the command may write.
    fn writable_folders(&self) -> Vec<PathBuf> {
        self.mounts.iter().filter(|mount| mount.access == Access::Write).map(|mount| mount.source.clone()).collect()
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct CommandResult {
    /// The exit code; `None` if a signal ended the command.
    pub(crate) code: Option<i32>,
    /// The limit that ended the command.
    pub(crate) exceeded: Option<Exceeded>,
    /// Standard output and error in their order, shortened in the middle beyond the limit.
    pub(crate) output: String,
}

/// How long buffered output is read after the last process has ended.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the usage of a command is measured.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// The least pause between two measurements of the disk.
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// A measurement of the disk takes at most this part of the time.
const DISK_SHARE: u32 = 10;

/// Why a command of an ecosystem without an image is not run.
pub(crate) const NO_IMAGE: &str = "no image is configured for these tests; name one in SANDBOX_IMAGES";

/// The exit codes of a container engine that could not start a command, and of one whose program is not in the image.
const ENGINE_FAILED: i32 = 125;
const NOT_IN_IMAGE: i32 = 127;

/// Runs commands with one backend.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) backend: Backend,
    pub(crate) groups: ControlGroups,
}

impl Runner {
    /// Runs a command and writes its output to the log while it runs.
    pub(crate) async fn run(
        &self,
        spec: &CommandSpec,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CommandResult, SandboxError> {
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        // One pipe for both streams, because their order matters: test runners write the names of suites to the one and the
        // results to the other.
        let (reader, writer) = std::io::pipe().map_err(SandboxError::internal)?;
        let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(SandboxError::internal)?;
        let (mut child, processes) = self.start(spec, writer).await?;
        let output = Arc::new(Mutex::new(BoundedBuffer::new(spec.limits.output_bytes)));
        let reading = tokio::spawn(collect(reader, Arc::clone(&output), progress.clone()));
        let (status, mut exceeded) = tokio::select! {
            status = child.wait() => (Some(status.map_err(SandboxError::internal)?), None),
            () = tokio::time::sleep(spec.timeout) => (None, Some(Exceeded::Time)),
            limit = processes.wait_for_excess(spec, self.watches_memory()) => (None, Some(limit)),
            () = cancel.cancelled() => {
                processes.end(&mut child).await;
                return Err(SandboxError::Cancelled);
            }
        };
        // Kills background processes of the command, which also closes their ends of the pipe.
        if processes.end(&mut child).await && exceeded.is_none() {
            exceeded = Some(Exceeded::Memory);
        }
        // A process that left the group can hold the pipe open; its output is not awaited.
        let _ = tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, reading).await;
        let output = output.lock().expect("the reader does not panic").read_text();
        let result = CommandResult { code: status.and_then(|status| status.code()), exceeded, output };
        self.tell_engine_failure(spec, result)
    }

    /// Returns whether the memory of a command is summed up here, because no control group limits it.
    fn watches_memory(&self) -> bool {
        let is_counted = match &self.backend {
            // Containers are never in the groups of this process.
            Backend::Container(engine) => engine.can_count(),
            _ => true,
        };
        !(is_counted && self.groups.limit_memory())
    }

    /// Tells the failures of a container engine from those of the command.
    fn tell_engine_failure(&self, spec: &CommandSpec, result: CommandResult) -> Result<CommandResult, SandboxError> {
        let Backend::Container(engine) = &self.backend else { return Ok(result) };
        let says = |word: &str| result.output.contains(word);
        match result.code {
            Some(NOT_IN_IMAGE) if says("executable file") || says("no such file") => {
                let image = spec.image.as_deref().unwrap_or_default();
                Err(SandboxError::ToolMissing { program: format!("{} (in the image {image})", spec.program.display()) })
            }
            Some(ENGINE_FAILED) if says("Error:") || says("docker:") => {
                let name = engine.kind.name();
                Err(SandboxError::Refused {
                    reason: format!("{name} cannot start the tests: {}", result.output.trim()),
                })
            }
            _ => Ok(result),
        }
    }

    async fn start(&self, spec: &CommandSpec, output: std::io::PipeWriter) -> Result<(Child, Processes), SandboxError> {
        match &self.backend {
            Backend::Process => {
                let mut command = Command::new(&spec.program);
                command.args(&spec.args).current_dir(&spec.folder).env_clear().envs(&spec.env);
                let child = spawn(command, output).await.map_err(|error| spawn_error(&spec.program, error))?;
                let processes = Processes::of_group(group_of(&child));
                set_limits(processes.group, &spec.limits);
                Ok((child, processes))
            }
            Backend::Container(engine) => {
                let image =
                    spec.image.as_deref().ok_or_else(|| SandboxError::Refused { reason: NO_IMAGE.to_owned() })?;
                let prepared = engine.prepare(image, spec).map_err(SandboxError::internal)?;
                give_folders(spec, prepared.user).await.map_err(SandboxError::internal)?;
                let child = spawn(prepared.command, output).await;
                let child = child.map_err(|error| spawn_error(&engine.program, error))?;
                let mut processes = Processes::of_group(group_of(&child));
                processes.container = Some(prepared.container);
                Ok((child, processes))
            }
            Backend::Bubblewrap(bubblewrap) => {
                let prepared = bubblewrap.prepare(spec).map_err(SandboxError::internal)?;
                give_folders(spec, prepared.user).await.map_err(SandboxError::internal)?;
                self.start_prepared(prepared, spec, output).await
            }
        }
    }

    /// Starts a command that waits until its limits are set.
    async fn start_prepared(
        &self,
        prepared: Prepared,
        spec: &CommandSpec,
        output: std::io::PipeWriter,
    ) -> Result<(Child, Processes), SandboxError> {
        let Prepared { mut command, handover, info, release, user: _ } = prepared;
        command.fd_mappings(handover.into_mappings()).map_err(SandboxError::internal)?;
        let program = command.as_std().get_program().to_owned();
        let mut child = spawn(command, output).await.map_err(|error| spawn_error(program.as_ref(), error))?;
        let group = group_of(&child);
        let started = async {
            let init = read_first_process(info).await?;
            let first = Pid::from_raw(i32::try_from(init)?).ok_or("it has no process")?;
            set_limits(Some(first), &spec.limits);
            set(Some(first), Resource::Nproc, spec.limits.processes);
            // More than the processes may have together: the watch and the control group say why they ended, and a program that
            // asks for twice what it has does not get so far otherwise.
            set(Some(first), Resource::Data, spec.limits.memory_bytes.saturating_mul(4));
            let control_group = self.groups.create(&spec.limits)?;
            control_group.add(init)?;
            rustix::io::write(&release, b"1")?;
            Ok::<_, Cause>(Processes { init: Some(first), control_group: Some(control_group), group, container: None })
        };
        match started.await {
            Ok(processes) => Ok((child, processes)),
            // It ended before it came to the command; its output says why.
            Err(source) => {
                let _ = child.kill().await;
                Err(SandboxError::internal(source))
            }
        }
    }
}

async fn spawn(mut command: Command, output: std::io::PipeWriter) -> std::io::Result<Child> {
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0).kill_on_drop(true);
    spawner::spawn(command).await
}

/// Gives the folders that a command may write to its user, if it is not this process's.
async fn give_folders(spec: &CommandSpec, user: Option<u32>) -> std::io::Result<()> {
    let Some(user) = user else { return Ok(()) };
    let folders: Vec<PathBuf> = spec.writable_folders();
    tokio::task::spawn_blocking(move || folders.iter().try_for_each(|folder| crate::tree::give_to(folder, user)))
        .await
        .map_err(std::io::Error::other)?
}

/// Reads the id of the first process in the sandbox from what `bwrap` tells about itself.
async fn read_first_process(info: OwnedFd) -> Result<u32, Cause> {
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        std::fs::File::from(info).read_to_string(&mut text).map(|_| text)
    })
    .await??;
    let info: serde_json::Value = serde_json::from_str(&text).map_err(|_| "the sandbox could not be set up")?;
    let process = info.get("child-pid").and_then(serde_json::Value::as_u64).ok_or("the sandbox has no process")?;
    Ok(u32::try_from(process)?)
}

fn spawn_error(program: &std::path::Path, error: std::io::Error) -> SandboxError {
    if error.kind() == std::io::ErrorKind::NotFound {
        SandboxError::ToolMissing { program: program.display().to_string() }
    } else {
        SandboxError::internal(error)
    }
}

fn group_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

fn set(process: Option<Pid>, resource: Resource, max: u64) {
    let limit = Rlimit { current: Some(max), maximum: Some(max) };
    if let Err(error) = rustix::process::prlimit(process, resource, limit) {
        tracing::debug!(%error, ?resource, "failed to set a resource limit");
    }
}

/// Sets the limits of a running process, because setting them before `exec` needs unsafe code. Its later children inherit them.
/// In a sandbox the process waits for them; otherwise a child that starts in between has no limits except the time limit.
fn set_limits(process: Option<Pid>, limits: &Limits) {
    if process.is_some() {
        set(process, Resource::Fsize, limits.file_bytes);
        set(process, Resource::Nofile, limits.open_files);
        set(process, Resource::Core, 0);
    }
}

/// The processes of one command. They are killed on drop.
struct Processes {
    group: Option<Pid>,
    /// The first process of the process namespace, if there is one. All others end with it.
    init: Option<Pid>,
    control_group: Option<Group>,
    container: Option<Container>,
}

impl Processes {
    const fn of_group(group: Option<Pid>) -> Self {
        Self { group, init: None, control_group: None, container: None }
    }

    fn kill(&self) {
        if let Some(init) = self.init {
            let _ = rustix::process::kill_process(init, Signal::KILL);
        }
        if let Some(group) = self.group {
            // The error means that the group has no process left.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }

    /// Ends all processes. Returns whether they ran out of memory before.
    async fn end(mut self, child: &mut Child) -> bool {
        // Once the child was awaited, its process id may be another's.
        if child.id().is_some() {
            self.kill();
            let _ = child.wait().await;
        } else if self.init.is_none() {
            self.kill();
        }
        (self.group, self.init) = (None, None);
        if let Some(container) = self.container.take() {
            let out_of_memory = container.ran_out_of_memory().await;
            container.remove().await;
            return out_of_memory;
        }
        let Some(group) = self.control_group.take() else { return false };
        let out_of_memory = group.ran_out_of_memory();
        group.remove().await;
        out_of_memory
    }

    /// Returns when the command uses more than it may. `watches_memory` says that no control group does.
    async fn wait_for_excess(&self, spec: &CommandSpec, watches_memory: bool) -> Exceeded {
        let init = match (&self.init, &self.container) {
            (Some(init), _) => init.as_raw_nonzero().get().cast_unsigned(),
            (None, Some(container)) => container.first_process().await,
            (None, None) => return std::future::pending().await,
        };
        tokio::select! {
            () = wait_for_memory(init, spec.limits.memory_bytes), if watches_memory => Exceeded::Memory,
            () = wait_for_disk(spec.writable_folders(), spec.limits.disk_bytes) => Exceeded::Disk,
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn wait_for_memory(process: u32, limit: u64) {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let usage = tokio::task::spawn_blocking(move || process_tree::usage_of(process)).await.unwrap_or_default();
        if usage.memory_bytes > limit {
            return;
        }
    }
}

async fn wait_for_disk(folders: Vec<PathBuf>, limit: u64) {
    let folders = Arc::new(folders);
    let measure = || {
        let folders = Arc::clone(&folders);
        let started = tokio::time::Instant::now();
        async move {
            let bytes = tokio::task::spawn_blocking(move || disk_bytes(&folders)).await.unwrap_or_default();
            (bytes, started.elapsed())
        }
    };
    let (before, mut took) = measure().await;
    loop {
        tokio::time::sleep(DISK_INTERVAL.max(took * DISK_SHARE)).await;
        let bytes;
        (bytes, took) = measure().await;
        if bytes.saturating_sub(before) > limit {
            return;
        }
    }
}

async fn collect(mut pipe: pipe::Receiver, into: Arc<Mutex<BoundedBuffer>>, progress: Progress) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = pipe.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        into.lock().expect("the reader does not panic").push(&buffer[..count]);
        // Not reading the pipe makes the program wait while the log is behind.
        progress.write_output(&buffer[..count]).await;
    }
}

/// Keeps the first and the last half of its limit, because the first error of a build and the summary of a test run matter.
struct BoundedBuffer {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    half: usize,
    dropped: usize,
}

impl BoundedBuffer {
    fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: std::collections::VecDeque::new(), half: limit / 2, dropped: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let for_head = self.half.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..for_head]);
        self.tail.extend(&bytes[for_head..]);
        let excess = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..excess);
        self.dropped += excess;
    }

    fn read_text(&mut self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n[… {} bytes left out …]\n", self.dropped));
        }
        text.push_str(&String::from_utf8_lossy(self.tail.make_contiguous()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> CommandSpec {
        CommandSpec {
            image: None,
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            folder: std::env::temp_dir(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            mounts: Vec::new(),
            network: Network::None,
            writes_cache: false,
            timeout,
            limits: Limits {
                output_bytes: 1000,
                file_bytes: 1 << 20,
                disk_bytes: 1 << 30,
                memory_bytes: 1 << 30,
                processes: 64,
                open_files: 64,
            },
        }
    }

    async fn run(
        spec: &CommandSpec,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CommandResult, SandboxError> {
        let runner = Runner { backend: Backend::Process, groups: ControlGroups::default() };
        runner.run(spec, progress, cancel).await
    }

    fn silent() -> Progress {
        Progress::silent("00000000-0000-0000-0000-000000000001".parse().unwrap())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_environment_is_not_inherited() {
        let done = run(&shell("env", LONG), &silent(), &CancellationToken::new()).await.unwrap();
        let names: Vec<_> = done.output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| ["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)), "{names:?}");
    }

    #[tokio::test]
    async fn standard_output_and_error_keep_their_order() {
        let script = "for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; done";
        let done = run(&shell(script, LONG), &silent(), &CancellationToken::new()).await.unwrap();
        let expected: Vec<String> = (1..=9).flat_map(|n| [format!("out {n}"), format!("err {n}")]).collect();
        assert_eq!(done.output.lines().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn output_beyond_the_limit_is_shortened_in_the_middle() {
        let done = run(&shell("seq 1 5000; echo the end", LONG), &silent(), &CancellationToken::new()).await.unwrap();
        assert!(done.output.starts_with("1\n2\n") && done.output.ends_with("the end\n"));
        assert!(done.output.contains("bytes left out") && done.output.len() < 1100);
    }

    #[tokio::test]
    async fn the_whole_process_group_is_killed_at_the_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", pid_file.display());
        let done = run(&shell(&script, Duration::from_secs(2)), &silent(), &CancellationToken::new()).await.unwrap();
        assert!(done.exceeded == Some(Exceeded::Time) && done.code.is_none());
        assert_gone(&pid_file).await;
    }

    #[tokio::test]
    async fn background_processes_of_a_finished_command_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}", pid_file.display());
        let done = run(&shell(&script, LONG), &silent(), &CancellationToken::new()).await.unwrap();
        assert_eq!(done.code, Some(0));
        assert_gone(&pid_file).await;
    }

    #[tokio::test]
    async fn a_cancelled_command_is_killed() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let result = run(&shell("sleep 300", LONG), &silent(), &cancel).await;
        assert!(matches!(result, Err(SandboxError::Cancelled)));
    }

    #[tokio::test]
    async fn a_file_cannot_grow_beyond_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big");
        // The limits are set shortly after the start, so the script waits.
        let script = format!("sleep 0.2; head -c 4000000 /dev/zero > {}", file.display());
        run(&shell(&script, LONG), &silent(), &CancellationToken::new()).await.unwrap();
        assert!(std::fs::metadata(&file).unwrap().len() <= 1 << 20);
    }

    async fn assert_gone(pid_file: &std::path::Path) {
        let pid = std::fs::read_to_string(pid_file).unwrap().trim().to_owned();
        for _ in 0..100 {
            // A killed process is a zombie until it is reaped.
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("process {pid} is still running");
    }
}
