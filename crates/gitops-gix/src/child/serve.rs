//! The child's side.

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use patchwright_core::git::GitError;
use rustix::process::{Resource, Rlimit, Signal, kill_current_process_group, setrlimit};

use super::request::{Answer, PushWork, Request, Work};
use crate::address::Address;
use crate::options::{GitOptions, Limits};
use crate::prepare::{fetch_history, prepare};
use crate::push::Push;
use crate::repository::open;
use crate::work_tree::write_files;
use crate::workspace::to_object_id;

/// Does one piece of work for [`GixGit`](crate::GixGit) and returns the exit code.
///
/// The program of [`GitOptions::child`] calls this when its first argument is [`CHILD_COMMAND`](crate::CHILD_COMMAND). It must
/// have installed rustls' provider and started no threads, so that the limits hold for everything. It reads the request from
/// standard input, and ends with the programs that it started as soon as that is closed.
pub fn run_child() -> ExitCode {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let request: Option<Request> = read.ok().and_then(|_| serde_json::from_str(&line).ok());
    drop(line);
    let Some(request) = request else {
        report_error("this command is started by the program itself");
        return ExitCode::from(2);
    };
    if let Err(error) = set_limits(&request.options.limits) {
        report_error(&format!("the limits cannot be set: {error}"));
        return ExitCode::FAILURE;
    }
    std::thread::spawn(end_with_parent);
    let answer = execute(request).unwrap_or_else(|error| Answer::Failed(error.into()));
    let text = serde_json::to_string(&answer).expect("an answer holds strings and numbers");
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Ends this process group when the parent is gone: its locks must not be held by work that nobody waits for.
fn end_with_parent() {
    let _ = std::io::stdin().lock().read(&mut [0]);
    let _ = kill_current_process_group(Signal::KILL);
}

/// The parent reads the standard error.
fn report_error(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

fn execute(request: Request) -> Result<Answer, GitError> {
    let credential = request.credential();
    // The parent ends this process instead.
    let interrupt = AtomicBool::new(false);
    let options = &request.options;
    match request.work {
        Work::Prepare(work) => {
            return prepare(options, &work.into_checkout(credential), &interrupt).map(Answer::Prepared);
        }
        Work::FetchHistory { url, branch } => {
            fetch_history(options, &url, &branch, credential.as_ref(), &interrupt)?;
        }
        Work::Export { git_dir, commit, destination } => {
            let repo = open(&git_dir, options.limits.object_bytes())?;
            write_files(&repo, to_object_id(&commit), &destination, &interrupt)?;
        }
        Work::Push(work) => push(options, &work, credential.as_ref())?,
    }
    Ok(Answer::Done)
}

fn push(
    options: &GitOptions,
    work: &PushWork,
    credential: Option<&patchwright_core::forge::GitCredential>,
) -> Result<(), GitError> {
    let repo = open(&work.git_dir, options.limits.object_bytes())?;
    let push = Push {
        branch: &work.branch,
        base: work.base.as_ref().map(to_object_id),
        commit: to_object_id(&work.commit),
        expected: work.expected.as_ref().map(to_object_id),
    };
    push.send(&repo, options, &Address::parse(&work.url)?, credential)
}

/// Files that are read do not count as memory, so packs may be larger than the limit.
fn set_limits(limits: &Limits) -> rustix::io::Result<()> {
    let limit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Data, limit(limits.memory_bytes))?;
    setrlimit(Resource::Fsize, limit(limits.repository_bytes))?;
    // A dump would hold the credential.
    setrlimit(Resource::Core, limit(0))
}
