//! Running one command with limits. All of its processes have ended when [`run`] returns, on every path.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::SandboxError;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// A command to run.
#[derive(Debug, Clone)]
pub(crate) struct CommandSpec {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) folder: PathBuf,
    /// The complete environment; nothing is inherited.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) limits: Limits,
}

/// The resource limits of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) output_bytes: usize,
    pub(crate) file_bytes: u64,
    pub(crate) open_files: u64,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct CommandResult {
    /// The exit code; `None` if a signal ended the command.
    pub(crate) code: Option<i32>,
    pub(crate) timed_out: bool,
    /// Standard output and error in their order, shortened in the middle beyond the limit.
    pub(crate) output: String,
}

/// How long buffered output is read after the last process has ended.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a command and writes its output to the log while it runs.
pub(crate) async fn run(
    spec: &CommandSpec,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<CommandResult, SandboxError> {
    // One pipe for both streams, because their order matters: test runners write the names of suites to the one and the
    // results to the other.
    let (reader, writer) = std::io::pipe().map_err(internal_error)?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(internal_error)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .current_dir(&spec.folder)
        .env_clear()
        .envs(&spec.env)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(internal_error)?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| spawn_error(&spec.program, error))?;
    // The command holds the write end of the pipe, which must be closed for the reader to end.
    drop(command);
    let group = ProcessGroup::of(&child);
    group.set_limits(spec.limits);

    let output = Arc::new(Mutex::new(BoundedBuffer::new(spec.limits.output_bytes)));
    let reading = tokio::spawn(collect(reader, Arc::clone(&output), progress.clone()));
    let status = tokio::select! {
        status = child.wait() => Some(status.map_err(internal_error)?),
        () = tokio::time::sleep(spec.timeout) => None,
        () = cancel.cancelled() => {
            drop(group);
            return Err(SandboxError::Cancelled);
        }
    };
    // Kills background processes of the command, which also closes their ends of the pipe.
    drop(group);
    // A process that left the group can hold the pipe open; its output is not awaited.
    let _ = tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, reading).await;
    let output = output.lock().expect("the reader does not panic").read_text();
    Ok(CommandResult { code: status.and_then(|status| status.code()), timed_out: status.is_none(), output })
}

fn internal_error(error: std::io::Error) -> SandboxError {
    SandboxError::Internal { source: Box::new(error) }
}

fn spawn_error(program: &std::path::Path, error: std::io::Error) -> SandboxError {
    if error.kind() == std::io::ErrorKind::NotFound {
        SandboxError::ToolMissing { program: program.display().to_string() }
    } else {
        internal_error(error)
    }
}

/// A process group that is killed on drop.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Sets the limits of the running process right after its start, because setting them before `exec` needs unsafe code.
    /// Later child processes inherit them. A child process that starts in between has no limits except the time limit.
    fn set_limits(&self, limits: Limits) {
        let set = |resource, max: u64| {
            let limit = Rlimit { current: Some(max), maximum: Some(max) };
            if let Err(error) = rustix::process::prlimit(self.0, resource, limit) {
                tracing::debug!(%error, ?resource, "failed to set a resource limit");
            }
        };
        if self.0.is_some() {
            set(Resource::Fsize, limits.file_bytes);
            set(Resource::Nofile, limits.open_files);
            set(Resource::Core, 0);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The error means that the group has no process left.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
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
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            folder: std::env::temp_dir(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            timeout,
            limits: Limits { output_bytes: 1000, file_bytes: 1 << 20, open_files: 64 },
        }
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
        assert!(done.timed_out && done.code.is_none());
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
