//! Fetching and checking out in a process of its own, with limits that the operating system keeps.
//!
//! A repository can be made so that reading it takes all memory or fills the disk. The process that serves everybody must not
//! end with it. Request and answer are JSON on standard input and output, so that no credential is in an argument or variable.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;

use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, GitError, Rework};
use patchwright_core::{CancellationToken, Secret};
use patchwright_domain::{BranchName, CommitSha};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::address::Address;
use crate::error::{GixCause, MAX_DETAIL_CHARS};
use crate::options::{GitOptions, Limits};
use crate::prepare::{Prepared, fetch_history, prepare};

/// The argument with which the program is started.
pub const CHILD_COMMAND: &str = "git-child";

/// What the child is to do.
#[derive(Serialize, Deserialize)]
struct Request {
    options: GitOptions,
    work: Work,
    user: Option<(String, String)>,
}

#[derive(Serialize, Deserialize)]
enum Work {
    Prepare(PrepareWork),
    History { url: String, branch: BranchName },
}

#[derive(Serialize, Deserialize)]
struct PrepareWork {
    url: String,
    base: Option<BranchName>,
    branch: BranchName,
    /// Tip and start.
    rework: Option<(CommitSha, CommitSha)>,
    with_branch: bool,
    push_url: Option<String>,
    destination: PathBuf,
}

impl PrepareWork {
    fn new(request: &Checkout) -> Self {
        Self {
            url: request.url.clone(),
            base: request.base.clone(),
            branch: request.branch.clone(),
            rework: request.rework.clone().map(|rework| (rework.tip, rework.start)),
            with_branch: request.with_branch,
            push_url: request.push_url.clone(),
            destination: request.destination.clone(),
        }
    }

    fn into_checkout(self, credential: Option<GitCredential>) -> Checkout {
        Checkout {
            url: self.url,
            base: self.base,
            branch: self.branch,
            rework: self.rework.map(|(tip, start)| Rework { tip, start }),
            with_branch: self.with_branch,
            push_url: self.push_url,
            credential,
            destination: self.destination,
        }
    }
}

/// The child's answer.
#[derive(Serialize, Deserialize)]
enum Answer {
    Prepared(Prepared),
    Fetched,
    Failed(Failure),
}

/// A [`GitError`] that a fetch or a checkout can end with.
#[derive(Debug, Serialize, Deserialize)]
enum Failure {
    RepositoryNotFound { url: String },
    EmptyRepository { url: String },
    BranchNotFound { url: String, branch: BranchName },
    Unauthorized { url: String },
    AddressRefused { url: String, reason: String },
    ClearTextCredential { url: String },
    InvalidOption { detail: String },
    TooLarge { url: String, limit: String },
    ContentRefused { url: String, reason: String },
    FormatUnsupported { url: String, format: String },
    Unavailable { url: String, detail: String },
    Internal { action: String, cause: String },
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        match error {
            GitError::RepositoryNotFound { url } => Self::RepositoryNotFound { url },
            GitError::EmptyRepository { url } => Self::EmptyRepository { url },
            GitError::BranchNotFound { url, branch } => Self::BranchNotFound { url, branch },
            GitError::Unauthorized { url } => Self::Unauthorized { url },
            GitError::AddressRefused { url, reason } => Self::AddressRefused { url, reason },
            GitError::ClearTextCredential { url } => Self::ClearTextCredential { url },
            GitError::InvalidOption { detail, .. } => Self::InvalidOption { detail },
            GitError::TooLarge { url, limit } => Self::TooLarge { url, limit },
            GitError::ContentRefused { url, reason } => Self::ContentRefused { url, reason },
            GitError::FormatUnsupported { url, format } => Self::FormatUnsupported { url, format },
            GitError::Unavailable { url, detail } => Self::Unavailable { url, detail },
            GitError::Internal { action, source } => {
                Self::Internal { action, cause: patchwright_core::fault::error_chain(&*source) }
            }
            other => Self::Internal { action: "preparing the working copy".to_owned(), cause: other.to_string() },
        }
    }
}

impl From<Failure> for GitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::RepositoryNotFound { url } => Self::RepositoryNotFound { url },
            Failure::EmptyRepository { url } => Self::EmptyRepository { url },
            Failure::BranchNotFound { url, branch } => Self::BranchNotFound { url, branch },
            Failure::Unauthorized { url } => Self::Unauthorized { url },
            Failure::AddressRefused { url, reason } => Self::AddressRefused { url, reason },
            Failure::ClearTextCredential { url } => Self::ClearTextCredential { url },
            // The certificates are the one option that a fetch can find unusable.
            Failure::InvalidOption { detail } => Self::InvalidOption { option: "GitOptions::ca_bundle", detail },
            Failure::TooLarge { url, limit } => Self::TooLarge { url, limit },
            Failure::ContentRefused { url, reason } => Self::ContentRefused { url, reason },
            Failure::FormatUnsupported { url, format } => Self::FormatUnsupported { url, format },
            Failure::Unavailable { url, detail } => Self::Unavailable { url, detail },
            Failure::Internal { action, cause } => Self::Internal { action, source: Box::new(GixCause(cause)) },
        }
    }
}

/// Does one piece of work for [`GixGit`](crate::GixGit) and returns the exit code.
///
/// The program of [`GitOptions::child`] calls this when its first argument is [`CHILD_COMMAND`]. It must have installed rustls'
/// provider and started no threads, so that the limits hold for everything. It reads the request from standard input.
pub fn run_child() -> ExitCode {
    let mut text = String::new();
    let request: Option<Request> =
        std::io::stdin().read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
    drop(text);
    let Some(request) = request else {
        complain("this command is started by the program itself");
        return ExitCode::from(2);
    };
    if let Err(error) = set_limits(&request.options.limits) {
        complain(&format!("the limits cannot be set: {error}"));
        return ExitCode::FAILURE;
    }
    let answer = request.execute().unwrap_or_else(|error| Answer::Failed(error.into()));
    let text = serde_json::to_string(&answer).expect("an answer holds strings and numbers");
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The parent reads the standard error.
fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

impl Request {
    fn execute(self) -> Result<Answer, GitError> {
        let credential =
            self.user.map(|(username, password)| GitCredential { username, password: Secret::new(password) });
        // The parent ends this process instead.
        let interrupt = AtomicBool::new(false);
        match self.work {
            Work::Prepare(work) => {
                prepare(&self.options, &work.into_checkout(credential), &interrupt).map(Answer::Prepared)
            }
            Work::History { url, branch } => {
                fetch_history(&self.options, &url, &branch, credential.as_ref(), &interrupt).map(|()| Answer::Fetched)
            }
        }
    }
}

/// Files that are read do not count as memory, so packs may be larger than the limit.
fn set_limits(limits: &Limits) -> rustix::io::Result<()> {
    let limit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Data, limit(limits.memory_bytes))?;
    setrlimit(Resource::Fsize, limit(limits.repository_bytes))?;
    // A dump would hold the credential.
    setrlimit(Resource::Core, limit(0))
}

/// Prepares a working copy in a child.
pub(crate) async fn prepare_in_child(
    program: &Path,
    options: &GitOptions,
    request: &Checkout,
    cancel: &CancellationToken,
) -> Result<Prepared, GitError> {
    let shown = Address::parse(&request.url)?.redacted();
    let work = Work::Prepare(PrepareWork::new(request));
    match run(program, options, work, request.credential.as_ref(), &shown, cancel).await? {
        Answer::Prepared(prepared) => Ok(prepared),
        Answer::Failed(failure) => Err(failure.into()),
        Answer::Fetched => Err(unexpected(&shown, "it gave another answer")),
    }
}

/// Fetches the history in a child.
pub(crate) async fn fetch_history_in_child(
    program: &Path,
    options: &GitOptions,
    url: &str,
    branch: &BranchName,
    credential: Option<&GitCredential>,
) -> Result<(), GitError> {
    let shown = Address::parse(url)?.redacted();
    let work = Work::History { url: url.to_owned(), branch: branch.clone() };
    match run(program, options, work, credential, &shown, &CancellationToken::new()).await? {
        Answer::Fetched => Ok(()),
        Answer::Failed(failure) => Err(failure.into()),
        Answer::Prepared(_) => Err(unexpected(&shown, "it gave another answer")),
    }
}

async fn run(
    program: &Path,
    options: &GitOptions,
    work: Work,
    credential: Option<&GitCredential>,
    shown: &str,
    cancel: &CancellationToken,
) -> Result<Answer, GitError> {
    let user = credential.map(|known| (known.username.clone(), known.password.expose().to_owned()));
    let request = Request { options: GitOptions { child: None, ..options.clone() }, work, user };
    let text = serde_json::to_vec(&request).map_err(|error| unexpected(shown, &error.to_string()))?;
    let action = || format!("cloning {shown}");
    let mut command = options.command(program);
    command.arg(CHILD_COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let work = talk(command, &text);
    tokio::select! {
        ended = work => {
            let (status, output, errors) =
                ended.map_err(|source| GitError::Internal { action: action(), source: Box::new(source) })?;
            if status.success() && let Ok(answer) = serde_json::from_slice(&output) {
                return Ok(answer);
            }
            Err(explain(status, &errors, &options.limits, shown))
        }
        () = tokio::time::sleep(options.timeout) => {
            Err(GitError::TimedOut { action: action(), seconds: options.timeout.as_secs() })
        }
        () = cancel.cancelled() => Err(unexpected(shown, "the job was cancelled")),
    }
}

/// Starts the program, hands it the request and returns how it ended, its answer and its complaints. It is killed if the
/// future is dropped.
async fn talk(command: std::process::Command, request: &[u8]) -> std::io::Result<(ExitStatus, Vec<u8>, String)> {
    /// The longest answer and the longest complaint that are read, in bytes.
    const MAX_ANSWER: u64 = 1 << 20;
    const MAX_WORDS: u64 = 64 << 10;
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).process_group(0).spawn()?;
    let mut group = Group(child.id());
    let mut stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let write = async {
        // A program that ends before it has read everything is explained by its exit status.
        let _ = stdin.write_all(request).await;
        drop(stdin);
    };
    let mut answer = stdout.take(MAX_ANSWER);
    let mut words = stderr.take(MAX_WORDS);
    let ((), read, read_errors) = tokio::join!(write, answer.read_to_end(&mut output), words.read_to_end(&mut errors));
    read.and(read_errors)?;
    let status = child.wait().await?;
    // Its number may belong to another process from now on.
    group.0 = None;
    Ok((status, output, String::from_utf8_lossy(&errors).into_owned()))
}

/// The processes of a child: git and ssh among them. They are killed when this is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// Says why a child ended without an answer.
fn explain(status: ExitStatus, errors: &str, limits: &Limits, shown: &str) -> GitError {
    let is_memory = errors.contains("memory allocation of") || errors.contains("Cannot allocate memory");
    let too_large = |limit: String| GitError::TooLarge { url: shown.to_owned(), limit };
    match status.signal().map(rustix::process::Signal::from_named_raw) {
        Some(Some(rustix::process::Signal::XFSZ)) => {
            too_large(format!("it has more than {} MiB (MAX_REPOSITORY_MB)", limits.repository_bytes >> 20))
        }
        _ if is_memory => {
            too_large(format!("reading it needs more than {} MiB of memory (GIT_MEMORY_MB)", limits.memory_bytes >> 20))
        }
        Some(Some(rustix::process::Signal::KILL)) => {
            too_large("the system ended the process that read it, most likely for its memory".to_owned())
        }
        _ => {
            let detail: String = errors.trim().chars().take(MAX_DETAIL_CHARS).collect();
            unexpected(shown, &format!("the process for git ended with {status}: {detail}"))
        }
    }
}

fn unexpected(shown: &str, cause: &str) -> GitError {
    GitError::Internal { action: format!("cloning {shown}"), source: cause.into() }
}
