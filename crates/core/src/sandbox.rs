//! Running the build and tests of a repository, which are untrusted code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_domain::job::report::TestResults;
use tokio_util::sync::CancellationToken;

use crate::fault::{Cause, Fault};
use crate::progress::Progress;

/// A tree to build and test.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// The tree, without `.git`. The run may write here.
    pub root: PathBuf,
    /// A folder for caches and build outputs. Two runs of one job share it.
    pub scratch: PathBuf,
}

/// The result of a test run.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// The test runner: `cargo`, `pytest`, …
    pub ecosystem: String,
    /// The command line, for users.
    pub command: String,
    /// Whether the tree was built. A run whose tests started counts as built.
    pub build_success: bool,
    /// The counts of passed, failed and skipped tests.
    pub results: TestResults,
    /// The outcome of every test by name, as far as the runner reports names.
    pub tests: BTreeMap<String, TestOutcome>,
    /// Whether the run was ended by its time limit.
    pub timed_out: bool,
    /// The exit code; `None` if a signal ended the program.
    pub exit_code: Option<i32>,
    /// The last part of the output.
    pub log_tail: String,
}

/// The outcome of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOutcome {
    /// The test passed, or failed as expected.
    Passed,
    /// The test failed or could not be executed.
    Failed,
    /// The test was not executed.
    Skipped,
}

/// A program to run in a tree, which it may change.
#[derive(Debug, Clone)]
pub struct ProgramRequest {
    /// The tree, without `.git`.
    pub root: PathBuf,
    /// A folder for temporary files and the program's home.
    pub scratch: PathBuf,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Environment variables in addition to those that every program gets.
    pub env: BTreeMap<String, String>,
    /// The time after which the program is killed.
    pub timeout: Duration,
}

/// The result of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramReport {
    /// The exit code; `None` if a signal ended the program.
    pub code: Option<i32>,
    /// Whether the program was ended by its time limit.
    pub timed_out: bool,
    /// The last part of the output.
    pub log_tail: String,
    /// The changed files, by path. New files that the repository ignores are left out.
    pub changed: Vec<TreeChange>,
}

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    /// The path relative to the tree's root, with `/`.
    pub path: String,
    /// The current content; `None` for a removed file.
    pub content: Option<Vec<u8>>,
}

/// A run has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The policy does not allow untrusted code to run on this host.
    #[error("{reason}")]
    Refused {
        /// The reason, for users.
        reason: String,
    },
    /// The tree has no test suite of a known kind.
    #[error("no test suite was found (looked for cargo, pytest, unittest, npm and go)")]
    NoTests,
    /// A program that the tests need is not installed.
    #[error("`{program}` is not installed on this machine; install it where Patchwright runs")]
    ToolMissing {
        /// The program's name.
        program: String,
    },
    /// The job was cancelled during the run.
    #[error("the job was cancelled")]
    Cancelled,
    /// The process could not be started or watched.
    #[error("the tests could not be started")]
    Internal {
        /// The cause.
        #[source]
        source: Cause,
    },
}

impl SandboxError {
    /// Returns what the caller can do about the error.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Refused { .. } => Fault::Denied,
            Self::NoTests | Self::ToolMissing { .. } => Fault::Missing,
            Self::Cancelled | Self::Internal { .. } => Fault::Internal,
        }
    }
}

/// Runs untrusted code with limits.
///
/// An implementation MUST NOT pass secrets or its own environment to the code, MUST end all processes of a run before it
/// returns, on every path, and MUST answer [`SandboxError::Refused`] if it cannot enforce its policy.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Returns how far code is isolated from this machine, for users: `none`, `best-effort`, `strong`.
    fn isolation(&self) -> &'static str;

    /// Returns the error that [`Self::check`] would return without running anything: a refusal by the policy, or a tree
    /// without tests. Callers probe before they prepare a copy of the tree.
    fn probe(&self, root: &Path) -> Result<(), SandboxError>;

    /// Runs a program and returns what it changed in the tree.
    async fn run(
        &self,
        request: ProgramRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<ProgramReport, SandboxError>;

    /// Builds the tree and runs its tests.
    async fn check(
        &self,
        request: CheckRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CheckReport, SandboxError>;
}
