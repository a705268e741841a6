//! `patchwright verify`: tests a change without a model and without a server.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use patchwright_core::progress::{Progress, ProgressEvent, ProgressSink};
use patchwright_core::sandbox::{STRONG_ISOLATION, Sandbox as _, SandboxError};
use patchwright_core::source_tree::SourceTree as _;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{JobId, RepoPath};
use patchwright_gitops_gix::Snapshot;
use patchwright_sandbox::{LocalSandbox, SandboxPolicy};
use patchwright_worker::verification::{Side, TreeSource, VerificationRequest, verify};

use super::{CommandResult, print_error};
use crate::cli::VerifyArgs;
use crate::compose::sandbox_options;
use crate::config::Config;
use crate::patch::Patch;
use crate::serve::cancel_on_signal;
use crate::telemetry;
use crate::terminal::{note, print_failure, print_json_value, print_tests, print_verdict};

/// The file in which a repository describes its suites, and its longest size in bytes.
const SETTINGS_FILE: &str = ".patchwright.toml";
const MAX_SETTINGS: u64 = 64 * 1024;
/// The output of how many failed tests is shown.
const SHOWN_FAILURES: usize = 5;

pub(crate) async fn run(mut config: Config, args: VerifyArgs) -> CommandResult {
    config.sandbox.cache = config.sandbox.cache.or_else(|| config.user_cache.clone());
    telemetry::start(&config, true);
    let result = verify_change(&config, &args).await;
    print_error(result, args.json)
}

async fn verify_change(config: &Config, args: &VerifyArgs) -> CommandResult {
    let repo = args
        .repo
        .canonicalize()
        .map_err(|error| format!("the folder {} cannot be opened: {error}", args.repo.display()))?;
    let base = open(&repo, &args.base)?;
    let head = head_of(&repo, &base, args)?;
    let settings = read_settings(&base);
    // Isolation where this machine can, and the user's own rights elsewhere: it is their repository.
    let sandbox = LocalSandbox::new(sandbox_options(config, Some(SandboxPolicy::BestEffort)));
    let diagnosis = sandbox.diagnose().await;
    if diagnosis.isolation != STRONG_ISOLATION {
        note(&format!("The tests run as your user, not isolated: {}.", diagnosis.problems.join("; ")));
    }
    let folder = tempfile::Builder::new().prefix("patchwright-verify-").tempdir()?;
    let request = VerificationRequest {
        near_only: false,
        changed: head.changed.iter().filter_map(|path| RepoPath::parse(path).ok()).collect(),
        folder: folder.path().to_owned(),
        settings,
        test_command: args.test_command.clone(),
        grants: args.grants.read()?,
        repository: repo.display().to_string(),
        reproduction: None,
        local_folder: (!args.clean).then(|| repo.clone()),
        baseline: None,
        timeout: args.timeout.map_or(config.sandbox.verify_timeout, std::time::Duration::from_secs),
    };
    let job = JobId::from_uuid(uuid::Uuid::nil());
    let progress = Progress::new(job, Arc::new(Activities));
    let cancel = cancel_on_signal();
    let source = Commits { base, head: head.tree };
    let found = verify(&source, &sandbox, &request, &progress, &cancel).await;
    patchwright_worker::remove_folder(folder.keep()).await;
    let mut found = found?;
    let failures = std::mem::take(&mut found.failures);
    let seconds = found.first_result.map(|time| time.as_secs_f64());
    let report = found.into_report(None, sandbox.isolation());
    if args.json {
        let mut json = serde_json::to_value(&report)?;
        // Present in every answer, so that scripts need not ask for them.
        json["proof"] = serde_json::to_value(report.proof)?;
        json["compared"] = serde_json::to_value(report.compared)?;
        json["failures"] = serde_json::to_value(failures)?;
        json["first_result_seconds"] = seconds.into();
        print_json_value(&json);
    } else {
        print_tests(&report);
        failures.iter().take(SHOWN_FAILURES).for_each(|(name, text)| print_failure(name, text));
        print_verdict(report.verdict);
    }
    Ok(exit_code(report.verdict))
}

fn open(repo: &Path, rev: &str) -> Result<Snapshot, String> {
    Snapshot::open(repo, rev).map_err(|error| {
        let cause = patchwright_core::fault::error_chain(&error);
        format!("the revision `{rev}` of {} cannot be read: {cause}", repo.display())
    })
}

/// The tree after the change, and what differs.
struct Head {
    tree: HeadTree,
    changed: Vec<String>,
}

enum HeadTree {
    Commit(Box<Snapshot>),
    Patch(Patch),
}

fn head_of(repo: &Path, base: &Snapshot, args: &VerifyArgs) -> Result<Head, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(rev) = &args.head {
        let commit = open(repo, rev)?;
        let changed = base.list_differences(&commit)?;
        return Ok(Head { tree: HeadTree::Commit(Box::new(commit)), changed });
    }
    let file = args.patch.as_deref().unwrap_or(Path::new("-"));
    let mut text = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut text)?;
    } else {
        text = std::fs::read(file).map_err(|error| format!("the patch {} cannot be read: {error}", file.display()))?;
    }
    let patch = Patch::parse(&text).map_err(|error| format!("the patch {} cannot be used: {error}", file.display()))?;
    let changed = patch.paths();
    Ok(Head { tree: HeadTree::Patch(patch), changed })
}

fn read_settings(base: &Snapshot) -> Option<String> {
    let files = base.files().ok()?;
    let file = files.into_iter().find(|file| file.path == SETTINGS_FILE)?;
    let text = base.read(&[file], MAX_SETTINGS).into_iter().next()??;
    String::from_utf8(text).ok()
}

/// The trees of two commits, or of a commit and a patch to it.
struct Commits {
    base: Snapshot,
    head: HeadTree,
}

#[async_trait]
impl TreeSource for Commits {
    async fn export(&self, side: Side, folder: PathBuf) -> Result<(), SandboxError> {
        let (commit, patch) = match (side, &self.head) {
            (Side::Base, _) => (self.base.clone(), None),
            (Side::Head, HeadTree::Commit(commit)) => (commit.as_ref().clone(), None),
            (Side::Head, HeadTree::Patch(patch)) => (self.base.clone(), Some(patch.clone())),
        };
        let write = move || -> Result<(), patchwright_core::fault::Cause> {
            commit.export(&folder)?;
            patch.map_or(Ok(()), |patch| patch.apply(&folder).map_err(Into::into))
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(SandboxError::internal)?;
        written.map_err(SandboxError::internal)
    }
}

/// Shows what is being done.
struct Activities;

impl ProgressSink for Activities {
    fn publish(&self, _: JobId, event: ProgressEvent) {
        if let ProgressEvent::Activity { description } = event {
            note(&description);
        }
    }
}

/// As of `run`.
fn exit_code(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::FixedProven => 0,
        Verdict::NoRegressions | Verdict::NoTests | Verdict::NotRun | Verdict::AnalysisOnly => 3,
        Verdict::StillFailing | Verdict::Regressions | Verdict::CouldNotBuild => 5,
    })
}
