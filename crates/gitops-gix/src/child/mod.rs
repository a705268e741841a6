//! Working on untrusted repositories: in a process of its own, with limits that the operating system keeps, or in this one.
//!
//! A repository can be made so that reading it takes all memory or fills the disk. The process that serves everybody must not
//! end with it. Request and answer are JSON on standard input and output, so that no credential is in an argument or variable.

mod execute;
mod request;
mod serve;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;

use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::GitError;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::execute::execute;
use self::request::Request;
pub(crate) use self::request::{Answer, PrepareWork, PushWork, Work};
pub use self::serve::run_child;
use crate::error::{MAX_DETAIL_CHARS, run_interruptible};
use crate::options::{GitOptions, Limits};

/// The argument with which the program is started.
pub const CHILD_COMMAND: &str = "git-child";

/// A piece of work did not succeed.
#[derive(Debug)]
pub(crate) enum ChildError {
    /// It is known why.
    Failed(GitError),
    /// The child ended without an answer, and not at a limit: it may have met data that it could not bear.
    Crashed(GitError),
}

impl From<ChildError> for GitError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Failed(error) | ChildError::Crashed(error) => error,
        }
    }
}

/// Has work on repositories done: by [`GitOptions::child`], or in this process if there is none.
pub(crate) struct Runner<'a> {
    pub(crate) options: &'a GitOptions,
    /// The address of the repository, for messages.
    pub(crate) shown: &'a str,
    /// What is done, for messages, such as `cloning`.
    pub(crate) verb: &'a str,
}

impl Runner<'_> {
    /// Has a piece of work done, until the time limit or the cancellation.
    pub(crate) async fn run(
        &self,
        work: Work,
        credential: Option<&GitCredential>,
        cancel: &CancellationToken,
    ) -> Result<Answer, ChildError> {
        if let Some(program) = &self.options.child {
            return self.run_child(program, work, credential, cancel).await;
        }
        let (options, credential) = (self.options.clone(), credential.cloned());
        let work = move |interrupt: &AtomicBool| execute(&options, work, credential, interrupt);
        run_interruptible(self.action(), self.options.timeout, cancel, work).await.map_err(ChildError::Failed)
    }

    async fn run_child(
        &self,
        program: &Path,
        work: Work,
        credential: Option<&GitCredential>,
        cancel: &CancellationToken,
    ) -> Result<Answer, ChildError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            ChildError::Failed(GitError::Internal { action: self.action(), source })
        };
        let mut request = serde_json::to_vec(&Request::new(self.options, work, credential))
            .map_err(|error| failed(Box::new(error)))?;
        request.push(b'\n');
        let mut command = self.options.command(program);
        command.arg(CHILD_COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::select! {
            ended = exchange(command, &request) => self.interpret(&ended.map_err(|error| failed(Box::new(error)))?),
            () = tokio::time::sleep(self.options.timeout) => {
                let seconds = self.options.timeout.as_secs();
                Err(ChildError::Failed(GitError::TimedOut { action: self.action(), seconds }))
            }
            () = cancel.cancelled() => Err(failed("the job was cancelled".into())),
        }
    }

    fn action(&self) -> String {
        format!("{} {}", self.verb, self.shown)
    }

    fn interpret(&self, ended: &Ended) -> Result<Answer, ChildError> {
        // The answer counts, however the process ended afterwards.
        if let Ok(answer) = serde_json::from_slice(&ended.output) {
            if !ended.errors.trim().is_empty() {
                tracing::warn!(url = self.shown, messages = ended.errors.trim(), "the process for git had problems");
            }
            return match answer {
                Answer::Failed(failure) => Err(ChildError::Failed(failure.into())),
                answer => Ok(answer),
            };
        }
        if let Some(limit) = exceeded_limit(ended.status, &ended.errors, &self.options.limits) {
            return Err(ChildError::Failed(GitError::TooLarge { url: self.shown.to_owned(), limit }));
        }
        let detail: String = ended.errors.trim().chars().take(MAX_DETAIL_CHARS).collect();
        let source = format!("the process for git ended with {}: {detail}", ended.status).into();
        Err(ChildError::Crashed(GitError::Internal { action: self.action(), source }))
    }
}

/// How a child ended, with its standard output and error.
struct Ended {
    status: ExitStatus,
    output: Vec<u8>,
    errors: String,
}

/// Starts the program and passes the request to it. The program and all that it started are killed if the future is dropped.
async fn exchange(command: std::process::Command, request: &[u8]) -> std::io::Result<Ended> {
    /// The longest answer and the longest messages that are read, in bytes.
    const MAX_ANSWER_BYTES: u64 = 1 << 20;
    const MAX_ERROR_BYTES: u64 = 64 << 10;
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).process_group(0).spawn()?;
    let mut group = Group(child.id());
    // Open until the child has ended: it ends when this process does.
    let mut stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let write = async {
        // A program that ends before it has read everything is explained by its exit status.
        let _ = stdin.write_all(request).await;
    };
    let (mut stdout, mut stderr) = (stdout.take(MAX_ANSWER_BYTES), stderr.take(MAX_ERROR_BYTES));
    let ((), read, read_errors) = tokio::join!(write, stdout.read_to_end(&mut output), stderr.read_to_end(&mut errors));
    read.and(read_errors)?;
    // Its pipes are closed, so it has ended or is about to; programs that it left behind must not go on without its lock.
    group.kill();
    let status = child.wait().await?;
    drop(stdin);
    Ok(Ended { status, output, errors: String::from_utf8_lossy(&errors).into_owned() })
}

/// The processes of a child: git and ssh among them. They are killed when this is dropped, but not once their leader has been
/// waited for: its number may belong to another process then.
struct Group(Option<u32>);

impl Group {
    fn kill(&mut self) {
        let id = self.0.take().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the limit at which a child ended, if it was one.
fn exceeded_limit(status: ExitStatus, errors: &str, limits: &Limits) -> Option<String> {
    if status.signal().and_then(Signal::from_named_raw) == Some(Signal::XFSZ) {
        return Some(limits.file_limit());
    }
    is_out_of_memory(errors).then(|| limits.memory_limit())
}

/// Returns whether a program says that it got no memory.
pub(crate) fn is_out_of_memory(errors: &str) -> bool {
    ["memory allocation of", "Cannot allocate memory", "out of memory", "Out of memory"]
        .iter()
        .any(|part| errors.contains(part))
}
