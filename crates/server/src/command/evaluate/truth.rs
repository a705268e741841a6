//! The truth about a fix: its own tests, before it, after it, and after the change that the pipeline made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::SandboxError;
use patchwright_core::source_tree::SourceTree as _;
use patchwright_domain::job::report::{FileContent, FixReport, Verdict};
use patchwright_domain::{JobId, RepoPath, SandboxGrants};
use patchwright_gitops_gix::Snapshot;
use patchwright_sandbox::{LocalSandbox, SandboxPolicy};
use patchwright_worker::edit::encode;
use patchwright_worker::verification::{Side, TreeSource, Verification, VerificationRequest, verify};

use super::attempt::Setting;
use super::instance::Instance;
use crate::compose::sandbox_options;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The largest test file that is copied.
const MAX_BYTES: u64 = 4 << 20;

/// Returns the tests that fail before a fix and pass after it; or why the fix cannot be repeated here.
pub(super) async fn expected_tests(
    setting: &Setting,
    instance: &Instance,
    cancel: &CancellationToken,
) -> Result<Result<BTreeSet<String>, String>, Failure> {
    let (Ok(base), Ok(head)) = (parent(setting, instance), Snapshot::open(&setting.repo, &instance.commit)) else {
        return Ok(Err("the commit before it is not there".to_owned()));
    };
    let changed = instance.files.iter().chain(&instance.tests).cloned().collect();
    let found = check(setting, &Trees { base, head: Head::Commit(head) }, changed, cancel).await?;
    if found.verdict == Verdict::FixedProven {
        return Ok(Ok(found.fixed.into_iter().collect()));
    }
    Ok(Err(format!("its own tests do not show it here: {}", found.explanation)))
}

/// Returns whether the tests of the fix pass with the change of the pipeline.
pub(super) async fn is_resolved(
    setting: &Setting,
    instance: &Instance,
    fix: &FixReport,
    expected: &BTreeSet<String>,
    cancel: &CancellationToken,
) -> Result<bool, Failure> {
    let (base, head) = (parent(setting, instance)?, Snapshot::open(&setting.repo, &instance.commit)?);
    let mut changed = instance.tests.clone();
    changed.extend(fix.contents.iter().map(|file| file.path.clone()).filter(|path| !instance.tests.contains(path)));
    let head = Head::Change { contents: fix.contents.clone(), tests: head, paths: instance.tests.clone() };
    let found = check(setting, &Trees { base, head }, changed, cancel).await?;
    Ok(found.broken.is_empty() && expected.iter().all(|test| found.fixed.iter().any(|fixed| is_same(fixed, test))))
}

/// Compares two names of tests, of which either may have the name of its suite in front.
fn is_same(a: &str, b: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|suite| suite.is_empty() || suite.ends_with(": "))
    };
    ends(a, b) || ends(b, a)
}

fn parent(setting: &Setting, instance: &Instance) -> Result<Snapshot, patchwright_core::git::GitError> {
    Snapshot::open(&setting.repo, &format!("{}^", instance.commit))
}

async fn check(
    setting: &Setting,
    trees: &Trees,
    changed: Vec<RepoPath>,
    cancel: &CancellationToken,
) -> Result<Verification, Failure> {
    let sandbox = LocalSandbox::new(sandbox_options(&setting.config, Some(SandboxPolicy::BestEffort)));
    sandbox.diagnose().await;
    let folder = tempfile::Builder::new().prefix("patchwright-truth-").tempdir()?;
    let request = VerificationRequest {
        changed,
        folder: folder.path().to_owned(),
        settings: None,
        test_command: None,
        grants: SandboxGrants::default(),
        repository: String::new(),
        reproduction: None,
        local_folder: Some(setting.repo.clone()),
        baseline: None,
        timeout: setting.config.sandbox.verify_timeout,
        near_only: true,
    };
    let progress = Progress::silent(JobId::from_uuid(uuid::Uuid::nil()));
    let found = verify(trees, &sandbox, &request, &progress, cancel).await;
    patchwright_worker::remove_folder(folder.keep()).await;
    Ok(found?)
}

/// The commit before a fix, and what it is compared with.
struct Trees {
    base: Snapshot,
    head: Head,
}

#[derive(Clone)]
enum Head {
    /// The fix itself.
    Commit(Snapshot),
    /// The change of the pipeline, with the tests of the fix.
    Change { contents: Vec<FileContent>, tests: Snapshot, paths: Vec<RepoPath> },
}

#[async_trait]
impl TreeSource for Trees {
    async fn export(&self, side: Side, folder: PathBuf) -> Result<(), SandboxError> {
        let (base, head) = (self.base.clone(), self.head.clone());
        let write = move || match (side, head) {
            (Side::Base, _) => base.export(&folder).map_err(Into::into),
            (Side::Head, Head::Commit(commit)) => commit.export(&folder).map_err(Into::into),
            (Side::Head, Head::Change { contents, tests, paths }) => {
                base.export(&folder)?;
                write_change(&folder, &contents, &tests, &paths)
            }
        };
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(SandboxError::internal)?;
        written.map_err(SandboxError::internal)
    }
}

/// Writes a change, and above it the tests of the fix, into a tree in which no code has run.
fn write_change(
    folder: &std::path::Path,
    contents: &[FileContent],
    tests: &Snapshot,
    paths: &[RepoPath],
) -> Result<(), Failure> {
    let known = tests.files()?;
    let truth = |path: &RepoPath| {
        let file = known.iter().find(|file| file.path == path.as_str())?.clone();
        tests.read(&[file], MAX_BYTES).pop()?
    };
    for file in contents.iter().filter(|file| !paths.contains(&file.path)) {
        let bytes = file.text.as_deref().map(|text| encode(text, file.encoding.as_deref())).transpose()?;
        write(folder, &file.path, bytes)?;
    }
    for path in paths {
        write(folder, path, truth(path))?;
    }
    Ok(())
}

fn write(folder: &std::path::Path, path: &RepoPath, bytes: Option<Vec<u8>>) -> std::io::Result<()> {
    let place = patchwright_worker::verification::make_place(folder, path)?;
    match bytes {
        Some(bytes) => std::fs::write(place, bytes),
        None if place.exists() => std::fs::remove_file(place),
        None => Ok(()),
    }
}
