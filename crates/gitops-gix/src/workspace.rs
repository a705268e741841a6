//! The working copy.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use gix::objs::tree::EntryKind;
use gix::status::UntrackedFiles;
use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{CommitRequest, GitError, Workspace};
use patchwright_core::source_tree::SourceTree;
use patchwright_domain::job::report::{ChangeStatus, ChangedFile};
use patchwright_domain::{BranchName, CommitSha, RepoPath};

use crate::GitOptions;
use crate::address::Address;
use crate::clone::sha;
use crate::error::{broken, interruptible, io};
use crate::export::checkout_tree;
use crate::jail::resolve;
use crate::objects::{TreeChange, set_branch, write_commit};
use crate::push::{Push, push_http, push_local};
use crate::snapshot::Snapshot;

/// The largest file that is read whole.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Folders that hold no source of the repository's own (`seeds/002 §8`: caches and build folders are left out).
const CACHE_FOLDERS: &[&str] = &[
    "node_modules",
    "target",
    "dist",
    "build",
    "vendor",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".idea",
    ".vscode",
    ".cache",
];

/// A working copy over gix.
pub(crate) struct GixWorkspace {
    repo: gix::ThreadSafeRepository,
    root: PathBuf,
    options: GitOptions,
    address: Address,
    base_branch: BranchName,
    base_commit: CommitSha,
    branch: BranchName,
}

impl GixWorkspace {
    pub(crate) fn new(
        repo: gix::Repository,
        options: GitOptions,
        address: Address,
        base_branch: BranchName,
        base_commit: CommitSha,
        branch: BranchName,
    ) -> Result<Self, GitError> {
        let root = repo.workdir().ok_or_else(|| GitError::Internal {
            action: "opening the working copy".to_owned(),
            source: "it has no working tree".into(),
        })?;
        Ok(Self { root: root.to_owned(), repo: repo.into_sync(), options, address, base_branch, base_commit, branch })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        action: &str,
        work: impl FnOnce(&gix::Repository, &AtomicBool) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let repo = self.repo.clone();
        interruptible(action.to_owned(), self.options.timeout, &CancellationToken::new(), move |interrupt| {
            work(&repo.to_thread_local(), interrupt)
        })
        .await
    }
}

/// A commit id as gix has it.
fn oid(sha: &CommitSha) -> gix::ObjectId {
    gix::ObjectId::from_hex(sha.as_str().as_bytes()).expect("a CommitSha holds only full hexadecimal ids")
}

#[async_trait]
impl Workspace for GixWorkspace {
    fn root(&self) -> &Path {
        &self.root
    }

    fn base_branch(&self) -> &BranchName {
        &self.base_branch
    }

    fn base_commit(&self) -> &CommitSha {
        &self.base_commit
    }

    fn tree(&self) -> Arc<dyn SourceTree> {
        Arc::new(Snapshot::of(self.repo.clone(), oid(&self.base_commit)))
    }

    async fn list_files(&self, pattern: &str) -> Result<Vec<RepoPath>, GitError> {
        let glob = globset::GlobBuilder::new(pattern)
            .build()
            .map_err(|source| GitError::Internal {
                action: format!("reading the pattern `{pattern}`"),
                source: Box::new(source),
            })?
            .compile_matcher();
        self.blocking("listing the files", move |repo, _| {
            let index = repo.index().map_err(broken("reading the index"))?;
            let plain = |entry: &&gix::index::Entry| {
                matches!(entry.mode, gix::index::entry::Mode::FILE | gix::index::entry::Mode::FILE_EXECUTABLE)
            };
            Ok(index
                .entries()
                .iter()
                .filter(plain)
                // A name that is not UTF-8 or that we refuse can be neither read nor changed; leave it out.
                .filter_map(|entry| std::str::from_utf8(entry.path(&index)).ok())
                .filter_map(|path| RepoPath::parse(path).ok())
                .filter(|path| !path.as_str().split('/').any(|part| CACHE_FOLDERS.contains(&part)))
                .filter(|path| glob.is_match(path.as_str()))
                .collect())
        })
        .await
    }

    async fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        let (root, path) = (self.root.clone(), path.clone());
        self.blocking("reading a file", move |_, _| {
            let place = resolve(&root, &path)?;
            match std::fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_FILE => {
                    std::fs::read(&place).map(Some).map_err(io(format!("reading `{path}`")))
                }
                Ok(metadata) if metadata.is_file() => Err(GitError::Internal {
                    action: format!("reading `{path}`"),
                    source: format!("it is larger than {MAX_FILE} bytes").into(),
                }),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(io(format!("reading `{path}`"))(error)),
            }
        })
        .await
    }

    async fn write(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
        let (root, path, content) = (self.root.clone(), path.clone(), content.to_owned());
        self.blocking("writing a file", move |_, _| {
            let place = resolve(&root, &path)?;
            if let Some(folder) = place.parent() {
                std::fs::create_dir_all(folder).map_err(io(format!("making the folder of `{path}`")))?;
            }
            std::fs::write(&place, &content).map_err(io(format!("writing `{path}`")))
        })
        .await
    }

    async fn remove(&self, path: &RepoPath) -> Result<(), GitError> {
        let (root, path) = (self.root.clone(), path.clone());
        self.blocking("removing a file", move |_, _| match std::fs::remove_file(resolve(&root, &path)?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(format!("removing `{path}`"))(error)),
            _ => Ok(()),
        })
        .await
    }

    async fn changed_files(&self) -> Result<Vec<ChangedFile>, GitError> {
        self.blocking("comparing with the base", |repo, _| {
            let failed = broken("comparing with the base");
            // The index stays at the base commit, also after our commit: what differs from it is the change.
            let items = repo
                .status(gix::progress::Discard)
                .map_err(&failed)?
                .untracked_files(UntrackedFiles::Files)
                .index_worktree_rewrites(None)
                .into_index_worktree_iter(Vec::new())
                .map_err(&failed)?;
            let mut changed = Vec::new();
            for item in items {
                let item = item.map_err(&failed)?;
                let Some(status) = item.summary().and_then(change_status) else { continue };
                let path = item.rela_path().to_string();
                let file = RepoPath::parse(&path).map_err(|source| GitError::Internal {
                    action: "comparing with the base".to_owned(),
                    source: Box::new(source),
                })?;
                changed.push(ChangedFile { status, file });
            }
            changed.sort_by(|a, b| a.file.cmp(&b.file));
            Ok(changed)
        })
        .await
    }

    async fn commit(&self, paths: &[RepoPath], request: &CommitRequest) -> Result<CommitSha, GitError> {
        let (root, base, branch) = (self.root.clone(), oid(&self.base_commit), self.branch.clone());
        let (paths, request) = (paths.to_vec(), request.clone());
        self.blocking("committing", move |repo, _| {
            let changes = stage(repo, &root, &paths)?;
            let commit = write_commit(repo, base, &changes, &request)?;
            set_branch(repo, &branch, commit, gix::refs::transaction::PreviousValue::Any)?;
            Ok(sha(commit))
        })
        .await
    }

    async fn export(&self, commit: &CommitSha, destination: &Path) -> Result<(), GitError> {
        let (commit, destination) = (oid(commit), destination.to_owned());
        self.blocking("writing the files of a commit", move |repo, interrupt| {
            std::fs::create_dir_all(&destination).map_err(io(format!("making {}", destination.display())))?;
            checkout_tree(repo, commit, &destination, interrupt).map(|_| ())
        })
        .await
    }

    async fn push(
        &self,
        commit: &CommitSha,
        expected: Option<&CommitSha>,
        credential: Option<&GitCredential>,
    ) -> Result<(), GitError> {
        let (branch, base, commit, expected) =
            (self.branch.clone(), oid(&self.base_commit), oid(commit), expected.map(oid));
        let (options, address, credential) = (self.options.clone(), self.address.clone(), credential.cloned());
        self.blocking("pushing the branch", move |repo, _| {
            let push = Push { branch: &branch, base, commit, expected };
            match &address {
                Address::Http(_) => push_http(repo, &options, &address, &push, credential.as_ref()),
                Address::Local(path) => push_local(repo, path, &push),
                Address::Ssh(url) => crate::command::push(&options, url, repo, &push),
            }
        })
        .await
    }
}

fn change_status(summary: gix::status::index_worktree::iter::Summary) -> Option<ChangeStatus> {
    use gix::status::index_worktree::iter::Summary;
    match summary {
        Summary::Added | Summary::Copied | Summary::IntentToAdd => Some(ChangeStatus::Added),
        Summary::Modified | Summary::TypeChange | Summary::Renamed => Some(ChangeStatus::Modified),
        Summary::Removed => Some(ChangeStatus::Deleted),
        Summary::Conflict => None,
    }
}

/// Turns files into blobs, with the repository's own line-ending rules.
fn stage(repo: &gix::Repository, root: &Path, paths: &[RepoPath]) -> Result<Vec<TreeChange>, GitError> {
    let failed = broken("staging the changed files");
    let (mut pipeline, index) = repo.filter_pipeline(None).map_err(&failed)?;
    let mut changes = Vec::with_capacity(paths.len());
    for path in paths {
        let place = resolve(root, path)?;
        let entry = pipeline.worktree_file_to_object(path.as_str().into(), &index).map_err(&failed)?;
        let change = entry.map(|(id, _, metadata)| {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            (id, if executable { EntryKind::BlobExecutable } else { EntryKind::Blob })
        });
        debug_assert!(change.is_some() || !place.exists(), "a file that exists is staged");
        changes.push((path.to_string(), change));
    }
    Ok(changes)
}
