//! Running the build and tests of a repository, which are untrusted code.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_domain::job::report::TestResults;
use patchwright_domain::{RepoPath, SandboxGrants};
use tokio_util::sync::CancellationToken;

use crate::fault::{Cause, Fault};
use crate::progress::Progress;

/// Asks for the test suites that judge a change.
#[derive(Debug, Clone, Default)]
pub struct SuiteQuery {
    /// The tree after the change, without `.git`.
    pub root: PathBuf,
    /// The changed files, relative to the root. If there are none, every suite is found.
    pub changed: Vec<RepoPath>,
    /// The text of the repository's `.patchwright.toml`, from a branch that the change does not write.
    pub settings: Option<String>,
    /// A command that runs all tests, in place of what would be found.
    pub test_command: Option<String>,
    /// What an administrator lets the repository's code do.
    pub grants: SandboxGrants,
    /// What tells the repository from all others.
    pub repository: String,
}

/// A test suite.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suite {
    /// The test runner: `cargo`, `pytest`, …
    pub ecosystem: String,
    /// The folder in which it runs, relative to the root; empty for the root.
    pub folder: String,
    /// The parts of the suite that the change brings or that are near to it: files relative to the root, or packages. They
    /// are what [`Selection::Parts`] takes.
    pub near: Vec<String>,
    /// The features of packages without which changed code would not be compiled.
    pub features: Vec<String>,
    /// What the repository or a person says about the suite.
    pub settings: Option<SuiteSettings>,
    /// What its commands may do beyond the rules.
    pub granted: Granted,
}

/// What the commands of a suite may do beyond the rules: what the repository asks for and an administrator grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// The hosts that they may reach with TLS; `registries` stands for those that the sandbox knows.
    pub network: Vec<String>,
    /// The container image in which they run, in place of the one for their ecosystem.
    pub image: Option<String>,
    /// The variables of this machine that they see.
    pub env: Vec<String>,
    /// Whether packages may be fetched where that runs code.
    pub packages_with_code: bool,
    /// What tells the repository from all others: packages that code wrote are its own.
    pub repository: String,
    /// What the repository asks for and nobody granted, in words for users.
    pub missing: Vec<String>,
}

impl Suite {
    /// Returns the name for users.
    pub fn name(&self) -> String {
        if self.folder.is_empty() { self.ecosystem.clone() } else { format!("{} in {}", self.ecosystem, self.folder) }
    }
}

/// What a repository or a person says about a suite (`[[suite]]` in `.patchwright.toml`). The commands are for a shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuiteSettings {
    /// Prepares the environment, before the build.
    pub setup: Option<String>,
    /// Builds the tree before its tests.
    pub build: Option<String>,
    /// Runs the tests.
    pub test: Option<String>,
    /// A file or a pattern with `*`, relative to the folder, of `JUnit` XML that the tests write.
    pub report: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The time limit of one run.
    pub timeout: Option<Duration>,
}

/// A run of a test suite on a tree.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// The tree, without `.git`. The run may write here.
    pub root: PathBuf,
    /// A folder for build outputs and environments. The runs of one job share it.
    pub scratch: PathBuf,
    /// The suite.
    pub suite: Suite,
    /// What of the suite to run.
    pub selection: Selection,
    /// A folder of this machine whose environment and ignored files the run may use: a working copy of the user who asks.
    pub local_folder: Option<PathBuf>,
    /// Whether the manifests of packages are those of the base commit. Packages whose fetching runs code are fetched for no other
    /// tree, which then runs with those of the base.
    pub has_base_manifests: bool,
    /// The time limit. The sandbox may have a lower one.
    pub timeout: Duration,
}

/// What of a suite to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All tests.
    All,
    /// The tests in these parts of [`Suite::near`].
    Parts(Vec<String>),
    /// These tests, by the names that a report had. A runner that cannot select them runs more.
    Tests(Vec<String>),
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
    /// The limit that ended the run.
    pub exceeded: Option<Exceeded>,
    /// The exit code; `None` if a signal ended the program.
    pub exit_code: Option<i32>,
    /// The last part of the output.
    pub log_tail: String,
    /// The output of failed tests by name, as far as the runner reports it apart.
    pub failures: BTreeMap<String, String>,
}

impl CheckReport {
    /// Returns whether the run was ended by its time limit.
    pub fn timed_out(&self) -> bool {
        self.exceeded == Some(Exceeded::Time)
    }
}

/// A limit that ends a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// The time limit.
    Time,
    /// The memory of all its processes together.
    Memory,
    /// What it may write.
    Disk,
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Time => "ran out of time",
            Self::Memory => "ran out of memory",
            Self::Disk => "used more disk space than allowed",
        })
    }
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
    /// Files for the program in the folder [`Sandbox::input_folder`], by name.
    pub inputs: BTreeMap<String, String>,
    /// The one address of this machine's loopback that the program may reach, at the same address.
    pub reachable: Option<SocketAddr>,
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
    /// The limit that ended the program.
    pub exceeded: Option<Exceeded>,
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
    #[error("no test suite was found that owns the changed files; name one in `.patchwright.toml`")]
    NoTests,
    /// The repository's settings cannot be used.
    #[error("`.patchwright.toml` cannot be used: {detail}")]
    InvalidSettings {
        /// The reason, for users.
        detail: String,
    },
    /// The environment of the tests could not be prepared.
    #[error("{step} failed, so that the tests could not be run; its log says why")]
    NotPrepared {
        /// The failed step: `installing the packages (npm ci)`.
        step: String,
        /// The last part of its output.
        log_tail: String,
    },
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
    /// Wraps a fault of this machine as [`SandboxError::Internal`].
    pub fn internal(source: impl Into<Cause>) -> Self {
        Self::Internal { source: source.into() }
    }

    /// Returns what the caller can do about the error.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Refused { .. } | Self::InvalidSettings { .. } => Fault::Denied,
            Self::NoTests | Self::ToolMissing { .. } | Self::NotPrepared { .. } => Fault::Missing,
            Self::Cancelled | Self::Internal { .. } => Fault::Internal,
        }
    }
}

/// The isolation of a sandbox that keeps code apart from this machine.
pub const STRONG_ISOLATION: &str = "strong";

/// Runs untrusted code with limits.
///
/// An implementation MUST NOT pass secrets or its own environment to the code, MUST end all processes of a run before it
/// returns, on every path, and MUST answer [`SandboxError::Refused`] if it cannot enforce its policy.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Returns how far code is isolated from this machine, as far as it is known: `none`, `best-effort`, `strong`.
    fn isolation(&self) -> &'static str;

    /// Finds out how far code is isolated, and returns the error that every run would: a refusal by the policy. Callers probe
    /// before they prepare a copy of the tree.
    async fn probe(&self) -> Result<(), SandboxError>;

    /// Finds the test suites that own the changed files, most specific first. Runs no code.
    ///
    /// # Errors
    /// [`SandboxError::NoTests`] if there is none, [`SandboxError::InvalidSettings`].
    async fn find_suites(&self, query: SuiteQuery) -> Result<Vec<Suite>, SandboxError>;

    /// Returns the folder of a program's input files, as the program sees it. Meaningful after [`Self::probe`].
    fn input_folder(&self, scratch: &Path) -> PathBuf;

    /// Runs a program and returns what it changed in the tree.
    async fn run(
        &self,
        request: ProgramRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<ProgramReport, SandboxError>;

    /// Builds the tree and runs tests of a suite.
    async fn check(
        &self,
        request: CheckRequest,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<CheckReport, SandboxError>;
}
