//! Runs a repository's build and tests, which nobody trusts.

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
    /// The tree, without git's own files. The run may write here.
    pub root: PathBuf,
    /// A folder for caches and build outputs that two runs of one job share.
    pub scratch: PathBuf,
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// `cargo`, `pytest`, …
    pub ecosystem: String,
    /// The command, for people.
    pub command: String,
    /// Whether it built: tests that ran at all count as built.
    pub build_success: bool,
    /// Counts.
    pub results: TestResults,
    /// Every test by name, as far as the runner names them.
    pub tests: BTreeMap<String, TestOutcome>,
    /// Whether the time ran out.
    pub timed_out: bool,
    /// The end of the output.
    pub log_tail: String,
}

/// How one test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOutcome {
    /// It passed.
    Passed,
    /// It failed, or broke down.
    Failed,
    /// It did not run.
    Skipped,
}

/// A program to run in a tree, which it may change.
#[derive(Debug, Clone)]
pub struct ProgramRequest {
    /// The tree, without git's own files.
    pub root: PathBuf,
    /// A folder for whatever it leaves beside the tree.
    pub scratch: PathBuf,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Variables beside those that every program gets.
    pub env: BTreeMap<String, String>,
    /// The longest time.
    pub timeout: Duration,
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramReport {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Whether the time ran out.
    pub timed_out: bool,
    /// The end of its output.
    pub log_tail: String,
    /// What differs in the tree, by path. What the repository ignores is left out where it is new.
    pub changed: Vec<TreeChange>,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    /// From the tree's root, `/` between the parts.
    pub path: String,
    /// Its bytes now; `None` when it is gone.
    pub content: Option<Vec<u8>>,
}

/// The run gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Untrusted code may not run here.
    #[error("{reason}")]
    Refused {
        /// Why, and what to set.
        reason: String,
    },
    /// The tree has no tests that we know how to run.
    #[error("no test suite was found (looked for cargo, pytest, unittest, npm and go)")]
    NoTests,
    /// A program that the tests need is not installed.
    #[error("`{program}` is not installed on this machine; install it where Patchwright runs")]
    ToolMissing {
        /// Which.
        program: String,
    },
    /// The job was cancelled meanwhile.
    #[error("the job was cancelled")]
    Cancelled,
    /// The process could not be started or watched.
    #[error("the tests could not be started")]
    Internal {
        /// Why.
        #[source]
        source: Cause,
    },
}

impl SandboxError {
    /// What the caller can do about it.
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
/// An implementation MUST give the code no secret and nothing of our environment, MUST end all of its processes when
/// it returns, on every path, and MUST refuse when it cannot keep what its policy promises.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// How far code is kept away from this machine, for people: `none`, `best-effort`, `strong`.
    fn isolation(&self) -> &'static str;

    /// Whether [`Self::check`] would run anything for a tree, found out without running any of it: a refusal of the
    /// policy or a tree without tests is told here, before copies are made for nothing.
    fn probe(&self, root: &Path) -> Result<(), SandboxError>;

    /// Runs a program.
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
