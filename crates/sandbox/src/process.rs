//! One command with limits. All of its processes are gone when this returns, on every path.

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
    /// The whole environment: nothing of ours is inherited.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) limits: Limits,
}

/// What one command may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) output_bytes: usize,
    pub(crate) file_bytes: u64,
    pub(crate) open_files: u64,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) timed_out: bool,
    /// Standard output and error as they came, cut in the middle when there is too much.
    pub(crate) output: String,
}

/// How long output that is on its way may take after the last process has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs a command; what it writes is passed on as it comes.
pub(crate) async fn run(
    spec: &CommandSpec,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Finished, SandboxError> {
    // One pipe for both: a runner says on the one which suite it runs and on the other how its tests end, and their
    // order is the meaning.
    let (reader, writer) = std::io::pipe().map_err(broken)?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(broken)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .current_dir(&spec.folder)
        .env_clear()
        .envs(&spec.env)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(broken)?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| not_started(&spec.program, error))?;
    // It holds the pipe's other end, which must be closed for the reading to end.
    drop(command);
    let group = Group::of(&child);
    group.limit(spec.limits);

    let output = Arc::new(Mutex::new(BudgetExceeded::new(spec.limits.output_bytes)));
    let reading = tokio::spawn(collect(reader, Arc::clone(&output), progress.clone()));
    let ended = tokio::select! {
        status = child.wait() => Some(status.map_err(broken)?),
        () = tokio::time::sleep(spec.timeout) => None,
        () = cancel.cancelled() => {
            drop(group);
            return Err(SandboxError::Cancelled);
        }
    };
    // What the command left behind in its group ends with it; only then do its pipes close for sure.
    drop(group);
    // A process that left the group may hold the pipe open; its output is not waited for.
    let _ = tokio::time::timeout(DRAIN, reading).await;
    let output = output.lock().expect("the reader does not panic").text();
    Ok(Finished { code: ended.and_then(|status| status.code()), timed_out: ended.is_none(), output })
}

fn broken(error: std::io::Error) -> SandboxError {
    SandboxError::Internal { source: Box::new(error) }
}

fn not_started(program: &std::path::Path, error: std::io::Error) -> SandboxError {
    if error.kind() == std::io::ErrorKind::NotFound {
        SandboxError::ToolMissing { program: program.display().to_string() }
    } else {
        broken(error)
    }
}

/// A process group that is killed when this goes.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Sets the limits from outside, right after the start: setting them in the child before `exec` needs unsafe code.
    /// A process that the child starts later has them too; one that it starts in this very moment may not, and then
    /// the time limit still holds.
    fn limit(&self, limits: Limits) {
        let set = |resource, most: u64| {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            if let Err(error) = rustix::process::prlimit(self.0, resource, limit) {
                tracing::debug!(%error, ?resource, "a limit could not be set");
            }
        };
        if self.0.is_some() {
            set(Resource::Fsize, limits.file_bytes);
            set(Resource::Nofile, limits.open_files);
            set(Resource::Core, 0);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nobody is left in it.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

async fn collect(mut pipe: pipe::Receiver, into: Arc<Mutex<BudgetExceeded>>, progress: Progress) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = pipe.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        into.lock().expect("the reader does not panic").push(&buffer[..count]);
        // While whoever reads the log is behind, the program waits too.
        progress.output(&buffer[..count]).await;
    }
}

/// Keeps the first and the last half of too much output: a build's first error and a test run's summary.
struct BudgetExceeded {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    half: usize,
    dropped: usize,
}

impl BudgetExceeded {
    fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: std::collections::VecDeque::new(), half: limit / 2, dropped: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend(&bytes[room..]);
        let over = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..over);
        self.dropped += over;
    }

    fn text(&mut self) -> String {
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
    async fn nothing_of_our_environment_is_inherited() {
        let done = run(&shell("env", LONG), &silent(), &CancellationToken::new()).await.unwrap();
        let names: Vec<_> = done.output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| ["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)), "{names:?}");
    }

    #[tokio::test]
    async fn standard_output_and_error_keep_their_order() {
        let script = "for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; done";
        let done = run(&shell(script, LONG), &silent(), &CancellationToken::new()).await.unwrap();
        let wanted: Vec<String> = (1..=9).flat_map(|n| [format!("out {n}"), format!("err {n}")]).collect();
        assert_eq!(done.output.lines().collect::<Vec<_>>(), wanted);
    }

    #[tokio::test]
    async fn too_much_output_loses_its_middle() {
        let done = run(&shell("seq 1 5000; echo the end", LONG), &silent(), &CancellationToken::new()).await.unwrap();
        assert!(done.output.starts_with("1\n2\n") && done.output.ends_with("the end\n"));
        assert!(done.output.contains("bytes left out") && done.output.len() < 1100);
    }

    #[tokio::test]
    async fn when_the_time_is_over_the_whole_group_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", pid_file.display());
        let done = run(&shell(&script, Duration::from_secs(2)), &silent(), &CancellationToken::new()).await.unwrap();
        assert!(done.timed_out && done.code.is_none());
        assert_gone(&pid_file).await;
    }

    #[tokio::test]
    async fn what_a_finished_command_left_behind_is_gone_too() {
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
    async fn a_file_cannot_grow_past_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big");
        // The limits are set a moment after the start, so the script waits that moment.
        let script = format!("sleep 0.2; head -c 4000000 /dev/zero > {}", file.display());
        run(&shell(&script, LONG), &silent(), &CancellationToken::new()).await.unwrap();
        assert!(std::fs::metadata(&file).unwrap().len() <= 1 << 20);
    }

    async fn assert_gone(pid_file: &std::path::Path) {
        let pid = std::fs::read_to_string(pid_file).unwrap().trim().to_owned();
        for _ in 0..100 {
            // A killed process may be a zombie until init has seen it.
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("process {pid} is still there");
    }
}
