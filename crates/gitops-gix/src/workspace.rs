//! The implementation of the workspace port over gix.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use gix::objs::tree::EntryKind;
use gix::status::UntrackedFiles;
use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{CommitRequest, GitError, TreeEntry, Workspace};
use patchwright_core::source_tree::SourceTree;
use patchwright_domain::job::report::{ChangeStatus, ChangedFile};
use patchwright_domain::{BranchName, CommitSha, RepoPath};

use crate::GitOptions;
use crate::address::Address;
use crate::clone::to_commit_sha;
use crate::error::{internal, io_error, run_interruptible};
use crate::export::checkout_tree;
use crate::objects::{TreeEdit, set_branch, write_commit};
use crate::path_guard::resolve;
use crate::push::{Push, push_http, push_local};
use crate::rebase::{change_files, replay};
use crate::snapshot::Snapshot;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Cache and build folders, which are left out of listings (`docs/requirements.md#r275`).
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

/// A working copy and where it came from.
pub(crate) struct GixWorkspace {
    repo: gix::ThreadSafeRepository,
    root: PathBuf,
    options: GitOptions,
    address: Address,
    base_branch: BranchName,
    base_commit: CommitSha,
    branch: BranchName,
    /// The tip of the remote's branch, to rebase.
    tip: Option<CommitSha>,
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
        let (root, repo) = (root.to_owned(), repo.into_sync());
        Ok(Self { root, repo, options, address, base_branch, base_commit, branch, tip: None })
    }

    pub(crate) fn with_tip(self, tip: Option<CommitSha>) -> Self {
        Self { tip, ..self }
    }

    async fn run_blocking<T: Send + 'static>(
        &self,
        action: &str,
        work: impl FnOnce(&gix::Repository, &AtomicBool) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let repo = self.repo.clone();
        run_interruptible(action.to_owned(), self.options.timeout, &CancellationToken::new(), move |interrupt| {
            work(&repo.to_thread_local(), interrupt)
        })
        .await
    }
}

fn to_object_id(commit: &CommitSha) -> gix::ObjectId {
    gix::ObjectId::from_hex(commit.as_str().as_bytes()).expect("a CommitSha holds only full hexadecimal ids")
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

    fn branch_tip(&self) -> Option<&CommitSha> {
        self.tip.as_ref()
    }

    async fn rebase(&self, request: &CommitRequest) -> Result<CommitSha, GitError> {
        let (root, onto, branch) = (self.root.clone(), to_object_id(&self.base_commit), self.branch.clone());
        let tip = self.tip.as_ref().map(to_object_id);
        let tip =
            tip.ok_or_else(|| GitError::BranchNotFound { url: self.address.redacted(), branch: branch.clone() })?;
        let request = request.clone();
        self.run_blocking("rebasing the branch", move |repo, interrupt| {
            let commit = replay(repo, &branch, tip, onto, &request)?;
            change_files(repo, &root, onto, commit, interrupt)?;
            set_branch(repo, &branch, commit, gix::refs::transaction::PreviousValue::Any)?;
            Ok(to_commit_sha(commit))
        })
        .await
    }

    fn tree(&self) -> Arc<dyn SourceTree> {
        Arc::new(Snapshot::new(self.repo.clone(), to_object_id(&self.base_commit)))
    }

    async fn list_files(&self, pattern: &str) -> Result<Vec<RepoPath>, GitError> {
        let glob = globset::GlobBuilder::new(pattern)
            .build()
            .map_err(|source| GitError::Internal {
                action: format!("parsing the pattern `{pattern}`"),
                source: Box::new(source),
            })?
            .compile_matcher();
        self.run_blocking("listing the files", move |repo, _| {
            let index = repo.index().map_err(internal("reading the index"))?;
            let is_file = |entry: &&gix::index::Entry| {
                matches!(entry.mode, gix::index::entry::Mode::FILE | gix::index::entry::Mode::FILE_EXECUTABLE)
            };
            Ok(index
                .entries()
                .iter()
                .filter(is_file)
                // Files whose name is not UTF-8 or not a valid `RepoPath` can be neither read nor changed.
                .filter_map(|entry| std::str::from_utf8(entry.path(&index)).ok())
                .filter_map(|path| RepoPath::parse(path).ok())
                .filter(|path| !path.as_str().split('/').any(|part| CACHE_FOLDERS.contains(&part)))
                .filter(|path| glob.is_match(path.as_str()))
                .collect())
        })
        .await
    }

    async fn tree_entries(&self) -> Result<BTreeMap<String, TreeEntry>, GitError> {
        let commit = self.base_commit.to_string();
        self.run_blocking("listing the tree", move |repo, _| {
            let failed = internal("listing the tree");
            let commit = repo.rev_parse_single(commit.as_str()).map_err(&failed)?;
            let tree = commit.object().and_then(gix::Object::peel_to_tree).map_err(&failed)?;
            let entries = tree.traverse().breadthfirst.files().map_err(&failed)?;
            let entry = |entry: gix::traverse::tree::recorder::Entry| {
                let found = TreeEntry { mode: u32::from(entry.mode.value()), id: entry.oid.to_string() };
                (entry.filepath.to_string(), found)
            };
            Ok(entries.into_iter().map(entry).collect())
        })
        .await
    }

    async fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        let (root, path) = (self.root.clone(), path.clone());
        self.run_blocking("reading a file", move |_, _| {
            let file = resolve(&root, &path)?;
            match std::fs::symlink_metadata(&file) {
                Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_FILE_BYTES => {
                    std::fs::read(&file).map(Some).map_err(io_error(format!("reading `{path}`")))
                }
                Ok(metadata) if metadata.is_file() => Err(GitError::Internal {
                    action: format!("reading `{path}`"),
                    source: format!("it is larger than {MAX_FILE_BYTES} bytes").into(),
                }),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(io_error(format!("reading `{path}`"))(error)),
            }
        })
        .await
    }

    async fn write(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
        let (root, path, content) = (self.root.clone(), path.clone(), content.to_owned());
        self.run_blocking("writing a file", move |_, _| {
            let file = resolve(&root, &path)?;
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).map_err(io_error(format!("creating the folder of `{path}`")))?;
            }
            std::fs::write(&file, &content).map_err(io_error(format!("writing `{path}`")))
        })
        .await
    }

    async fn remove(&self, path: &RepoPath) -> Result<(), GitError> {
        let (root, path) = (self.root.clone(), path.clone());
        self.run_blocking("removing a file", move |_, _| match std::fs::remove_file(resolve(&root, &path)?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error(format!("removing `{path}`"))(error))
            }
            _ => Ok(()),
        })
        .await
    }

    async fn changed_files(&self) -> Result<Vec<ChangedFile>, GitError> {
        let (base, branch) = (to_object_id(&self.base_commit), self.branch.full_ref());
        self.run_blocking("comparing with the base", move |repo, _| {
            list_worktree_changes(repo).or_else(|error| {
                // A file that cannot be converted to what the repository stores, such as one in UTF-16, hides what else changed.
                list_committed_changes(repo, base, &branch)?.ok_or(error)
            })
        })
        .await
    }

    async fn commit(&self, paths: &[RepoPath], request: &CommitRequest) -> Result<CommitSha, GitError> {
        let (root, base, branch) = (self.root.clone(), to_object_id(&self.base_commit), self.branch.clone());
        let (paths, request) = (paths.to_vec(), request.clone());
        self.run_blocking("committing", move |repo, _| {
            let changes = stage(repo, &root, &paths)?;
            let commit = write_commit(repo, base, &changes, &request)?;
            set_branch(repo, &branch, commit, gix::refs::transaction::PreviousValue::Any)?;
            Ok(to_commit_sha(commit))
        })
        .await
    }

    async fn export(&self, commit: &CommitSha, destination: &Path) -> Result<(), GitError> {
        let (commit, destination) = (to_object_id(commit), destination.to_owned());
        self.run_blocking("writing the files of a commit", move |repo, interrupt| {
            std::fs::create_dir_all(&destination).map_err(io_error(format!("creating {}", destination.display())))?;
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
            (self.branch.clone(), to_object_id(&self.base_commit), to_object_id(commit), expected.map(to_object_id));
        let (options, address, credential) = (self.options.clone(), self.address.clone(), credential.cloned());
        self.run_blocking("pushing the branch", move |repo, _| {
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

/// Lists what differs between the files and the index, which stays at the base, also after a commit.
fn list_worktree_changes(repo: &gix::Repository) -> Result<Vec<ChangedFile>, GitError> {
    let failed = internal("comparing with the base");
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
        changed.push(ChangedFile { status, file: parse_path(&item.rela_path().to_string())? });
    }
    changed.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(changed)
}

/// Lists what differs between the trees of the base and the branch, by the ids of their objects; nothing if the branch has no commit.
fn list_committed_changes(
    repo: &gix::Repository,
    base: gix::ObjectId,
    branch: &str,
) -> Result<Option<Vec<ChangedFile>>, GitError> {
    let failed = internal("comparing with the base");
    let Some(mut reference) = repo.try_find_reference(branch).map_err(&failed)? else { return Ok(None) };
    let tip = reference.peel_to_id().map_err(&failed)?.detach();
    if tip == base {
        return Ok(None);
    }
    let snapshot = |commit| Snapshot::new(repo.clone().into_sync(), commit);
    let tree = |commit| repo.find_commit(commit).map_err(&failed)?.tree().map_err(&failed);
    let (old, new) = (tree(base)?, tree(tip)?);
    let mut changed = Vec::new();
    for path in snapshot(base).list_differences(&snapshot(tip))? {
        let is_in =
            |tree: &gix::Tree<'_>| tree.lookup_entry_by_path(&path).map(|entry| entry.is_some()).map_err(&failed);
        let status = match (is_in(&old)?, is_in(&new)?) {
            (false, _) => ChangeStatus::Added,
            (true, false) => ChangeStatus::Deleted,
            (true, true) => ChangeStatus::Modified,
        };
        changed.push(ChangedFile { status, file: parse_path(&path)? });
    }
    changed.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(Some(changed))
}

fn parse_path(path: &str) -> Result<RepoPath, GitError> {
    RepoPath::parse(path)
        .map_err(|source| GitError::Internal { action: "comparing with the base".to_owned(), source: Box::new(source) })
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

/// Writes files as blobs, with the line endings that the repository's attributes define.
fn stage(repo: &gix::Repository, root: &Path, paths: &[RepoPath]) -> Result<Vec<TreeEdit>, GitError> {
    let failed = internal("staging the changed files");
    let (mut pipeline, index) = repo.filter_pipeline(None).map_err(&failed)?;
    let mut changes = Vec::with_capacity(paths.len());
    for path in paths {
        let file = resolve(root, path)?;
        let entry = pipeline.worktree_file_to_object(path.as_str().into(), &index).map_err(&failed)?;
        let change = entry.map(|(id, _, metadata)| {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            (id, if executable { EntryKind::BlobExecutable } else { EntryKind::Blob })
        });
        debug_assert!(change.is_some() || !file.exists(), "a file that exists is staged");
        changes.push((path.to_string(), change));
    }
    Ok(changes)
}
