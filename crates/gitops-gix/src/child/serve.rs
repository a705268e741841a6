//! The child's side.

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, Signal, kill_current_process_group, setrlimit};

use super::execute::execute;
use super::request::{Answer, Request};
use crate::options::Limits;

/// Does one piece of work for [`GixGit`](crate::GixGit) and returns the exit code.
///
/// The program of [`GitOptions::child`](crate::GitOptions::child) calls this when its first argument is [`CHILD_COMMAND`](crate::CHILD_COMMAND). It must
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
    let credential = request.credential();
    // The parent ends this process instead.
    let never = AtomicBool::new(false);
    let done = execute(&request.options, request.work, credential, &never);
    let answer = done.unwrap_or_else(|error| Answer::Failed(error.into()));
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

/// Files that are read do not count as memory, so packs may be larger than the limit.
fn set_limits(limits: &Limits) -> rustix::io::Result<()> {
    let limit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Data, limit(limits.memory_bytes))?;
    setrlimit(Resource::Fsize, limit(limits.repository_bytes))?;
    // A dump would hold the credential.
    setrlimit(Resource::Core, limit(0))
}
