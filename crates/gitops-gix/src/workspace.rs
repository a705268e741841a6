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
use patchwright_core::git::{
    Checkout, CommitRequest, GitError, HistoryDepth, Rebased, Resolution, TreeEntry, Workspace,
};
use patchwright_core::source_tree::SourceTree;
use patchwright_domain::job::report::{ChangeStatus, ChangedFile};
use patchwright_domain::{BranchName, CommitSha, RepoPath};

use crate::GitOptions;
use crate::address::Address;
use crate::child::{PushWork, Runner, Work};
use crate::error::{internal, io_error, run_interruptible};
use crate::objects::{TreeEdit, set_branch, to_commit_sha, to_object_id, write_commit};
use crate::path_guard::{self, resolve};
use crate::prepare::Prepared;
use crate::rebase::{Replay, Replayed};
use crate::snapshot::Snapshot;
use crate::store::{Lock, RepositoryStore};
use crate::work_tree::{change_files, index_of};

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
    options: Arc<GitOptions>,
    /// Where it was fetched from.
    source: Address,
    /// Where it is pushed to.
    target: Address,
    branch: BranchName,
    prepared: Prepared,
    /// Keeps the shared objects.
    lock: Option<Lock>,
}

impl GixWorkspace {
    pub(crate) fn open(
        options: &Arc<GitOptions>,
        source: Address,
        target: Address,
        request: &Checkout,
        prepared: Prepared,
        lock: Option<Lock>,
    ) -> Result<Self, GitError> {
        let root = request.destination.clone();
        // What is larger is read by the child.
        let limits = &options.limits;
        let largest = if options.child.is_some() { limits.shared_object_bytes() } else { limits.object_bytes() };
        let repo = crate::repository::open(&root, largest)?.into_sync();
        let (options, branch) = (Arc::clone(options), request.branch.clone());
        Ok(Self { repo, root, options, source, target, branch, prepared, lock })
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

    /// Has work done that reads much of the repository, or speaks to a remote.
    async fn run_work(&self, verb: &str, work: Work, credential: Option<&GitCredential>) -> Result<(), GitError> {
        let shown = self.target.redacted();
        let runner = Runner { options: &self.options, shown: &shown, verb };
        Ok(runner.run(work, credential, &CancellationToken::new()).await.map(|_| ())?)
    }
}

#[async_trait]
impl Workspace for GixWorkspace {
    fn root(&self) -> &Path {
        &self.root
    }

    fn base_branch(&self) -> &BranchName {
        &self.prepared.base
    }

    fn base_commit(&self) -> &CommitSha {
        &self.prepared.base_commit
    }

    fn branch_tip(&self) -> Option<&CommitSha> {
        self.prepared.branch_tip.as_ref()
    }

    fn history_depth(&self) -> HistoryDepth {
        self.prepared.depth.map_or(HistoryDepth::Complete, HistoryDepth::Commits)
    }

    async fn close(self: Box<Self>) {
        let Some(store) = self.options.store.clone() else { return };
        let Self { root, source, lock, repo, .. } = *self;
        drop(repo);
        let keep = move || {
            if let Ok(repository) = RepositoryStore::open(&store, &source.identity(), &source.redacted()) {
                repository.keep_tree(&root, store.kept_trees);
                drop(lock);
                repository.delete_unused();
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(keep).await {
            tracing::warn!(%error, "failed to keep the working copy");
        }
    }

    async fn rebase(&self, request: &CommitRequest, resolutions: &[Resolution]) -> Result<Rebased, GitError> {
        let (root, onto, branch) = (self.root.clone(), to_object_id(self.base_commit()), self.branch.clone());
        let tip = self.branch_tip().map(to_object_id);
        let tip =
            tip.ok_or_else(|| GitError::BranchNotFound { url: self.source.redacted(), branch: branch.clone() })?;
        let (request, resolutions, options) = (request.clone(), resolutions.to_vec(), Arc::clone(&self.options));
        let url = self.source.redacted();
        self.run_blocking("rebasing the branch", move |repo, interrupt| {
            let (request, resolutions) = (&request, &resolutions);
            let replay = Replay { repo, branch: &branch, url: &url, request, options: &options, resolutions };
            let commit = match replay.run(tip, onto)? {
                Replayed::Done(commit) => commit,
                Replayed::Conflict(conflict) => return Ok(Rebased::Conflict(conflict)),
            };
            let (old, new) = (index_of(repo, onto)?, index_of(repo, commit)?);
            change_files(repo, &root, &old, new, |_| true, interrupt)?;
            set_branch(repo, &branch, commit, gix::refs::transaction::PreviousValue::Any)?;
            Ok(Rebased::Done(to_commit_sha(commit)))
        })
        .await
    }

    fn tree(&self) -> Arc<dyn SourceTree> {
        Arc::new(Snapshot::new(self.repo.clone(), to_object_id(self.base_commit())))
    }

    async fn list_files(&self, pattern: &str) -> Result<Vec<RepoPath>, GitError> {
        let pattern = pattern.to_owned();
        self.run_blocking("listing the files", move |repo, _| list_files_of(repo, &pattern)).await
    }

    async fn tree_entries(&self) -> Result<BTreeMap<String, TreeEntry>, GitError> {
        let commit = self.base_commit().to_string();
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
        self.run_blocking("reading a file", move |_, _| path_guard::read(&root, &path, MAX_FILE_BYTES)).await
    }

    async fn write(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
        let (root, path, content) = (self.root.clone(), path.clone(), content.to_owned());
        self.run_blocking("writing a file", move |_, _| path_guard::write(&root, &path, &content)).await
    }

    async fn remove(&self, path: &RepoPath) -> Result<(), GitError> {
        let (root, path) = (self.root.clone(), path.clone());
        self.run_blocking("removing a file", move |_, _| path_guard::remove(&root, &path)).await
    }

    async fn list_changed_files(&self) -> Result<Vec<ChangedFile>, GitError> {
        let (base, branch) = (to_object_id(self.base_commit()), self.branch.full_ref());
        self.run_blocking("comparing with the base", move |repo, _| {
            // What is committed is known by the ids of its objects, whatever the files look like on the disk.
            match list_committed_changes(repo, base, &branch)? {
                Some(changes) => Ok(changes),
                None => list_worktree_changes(repo),
            }
        })
        .await
    }

    async fn commit(&self, paths: &[RepoPath], request: &CommitRequest) -> Result<CommitSha, GitError> {
        let (root, base, branch) = (self.root.clone(), to_object_id(self.base_commit()), self.branch.clone());
        let (paths, request, options) = (paths.to_vec(), request.clone(), Arc::clone(&self.options));
        self.run_blocking("committing", move |repo, _| {
            let changes = stage(repo, &root, &paths, false)?;
            let commit = write_commit(repo, base, &changes, &request, &options)?;
            set_branch(repo, &branch, commit, gix::refs::transaction::PreviousValue::Any)?;
            Ok(to_commit_sha(commit))
        })
        .await
    }

    async fn export(&self, commit: &CommitSha, destination: &Path) -> Result<(), GitError> {
        tokio::fs::create_dir_all(destination)
            .await
            .map_err(io_error(format!("creating {}", destination.display())))?;
        let (git_dir, destination) = (self.root.join(".git"), destination.to_owned());
        let work = Work::Export { git_dir, commit: commit.clone(), destination };
        self.run_work("writing the files of a commit of", work, None).await
    }

    async fn push(
        &self,
        commit: &CommitSha,
        expected: Option<&CommitSha>,
        credential: Option<&GitCredential>,
    ) -> Result<(), GitError> {
        let work = Work::Push(PushWork {
            git_dir: self.root.join(".git"),
            url: self.target.identity(),
            branch: self.branch.clone(),
            base: Some(self.base_commit().clone()),
            commit: commit.clone(),
            expected: expected.cloned(),
        });
        self.run_work("pushing to", work, credential).await
    }
}

/// Which files are listed: those that match a glob, outside of cache and build folders.
pub(crate) struct FileFilter(globset::GlobMatcher);

impl FileFilter {
    pub(crate) fn new(pattern: &str) -> Result<Self, GitError> {
        let glob = globset::GlobBuilder::new(pattern).build().map_err(|source| GitError::Internal {
            action: format!("parsing the pattern `{pattern}`"),
            source: Box::new(source),
        })?;
        Ok(Self(glob.compile_matcher()))
    }

    pub(crate) fn accepts(&self, path: &RepoPath) -> bool {
        !path.as_str().split('/').any(|part| CACHE_FOLDERS.contains(&part)) && self.0.is_match(path.as_str())
    }
}

/// Lists the plain files in the index, sorted.
pub(crate) fn list_files_of(repo: &gix::Repository, pattern: &str) -> Result<Vec<RepoPath>, GitError> {
    let filter = FileFilter::new(pattern)?;
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
        .filter(|path| filter.accepts(path))
        .collect())
}

/// Lists what differs between the files and the index, which stays at the base, also after a commit.
pub(crate) fn list_worktree_changes(repo: &gix::Repository) -> Result<Vec<ChangedFile>, GitError> {
    let failed = internal("comparing with the base");
    let items = repo
        .status(gix::progress::Discard)
        .map_err(&failed)?
        .untracked_files(UntrackedFiles::Files)
        .index_worktree_rewrites(None)
        .into_index_worktree_iter(Vec::new())
        .map_err(&failed)?;
    let mut changed = Vec::new();
    let mut original = Original::new(repo)?;
    for item in items {
        let item = item.map_err(&failed)?;
        let Some(status) = item.summary().and_then(change_status) else { continue };
        if status == ChangeStatus::Modified && original.is_on_disk(item.rela_path()) {
            continue;
        }
        changed.push(ChangedFile { status, file: parse_path(&item.rela_path().to_string())? });
    }
    changed.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(changed)
}

/// What a checkout writes for the files in the index. A file that is converted, such as one in UTF-16, may not come back from its
/// bytes to the object that it was made from, and would count as changed.
struct Original<'a> {
    repo: &'a gix::Repository,
    pipeline: gix::filter::Pipeline<'a>,
    index: gix::worktree::IndexPersistedOrInMemory,
}

impl<'a> Original<'a> {
    fn new(repo: &'a gix::Repository) -> Result<Self, GitError> {
        let (pipeline, index) = repo.filter_pipeline(None).map_err(internal("comparing with the base"))?;
        Ok(Self { repo, pipeline, index })
    }

    /// Returns whether a plain file has the bytes that a checkout writes.
    fn is_on_disk(&mut self, path: &gix::bstr::BStr) -> bool {
        let Some(entry) = self.index.entry_by_path(path) else { return false };
        let (Some(root), Ok(name)) = (self.repo.workdir(), gix::path::from_bstr(path)) else { return false };
        let file = root.join(name);
        let Ok(metadata) = file.symlink_metadata() else { return false };
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        let is_same_kind = match entry.mode {
            gix::index::entry::Mode::FILE => metadata.is_file() && !is_executable,
            gix::index::entry::Mode::FILE_EXECUTABLE => metadata.is_file() && is_executable,
            _ => false,
        };
        if !is_same_kind || metadata.len() > MAX_FILE_BYTES {
            return false;
        }
        let Ok(blob) = self.repo.find_object(entry.id) else { return false };
        let options = gix::filter::plumbing::pipeline::convert::to_worktree::Options::default();
        let written = self.pipeline.convert_to_worktree(&blob.data, path, options);
        let written = written.ok().and_then(|written| written.as_bytes().map(ToOwned::to_owned));
        written.is_some_and(|bytes| std::fs::read(&file).is_ok_and(|found| found == bytes))
    }
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

/// Writes files as blobs, with the line endings that the repository's attributes define. A path may lead through no symbolic
/// link; one that is a link is [`GitError::PathEscape`] unless `links` are staged as such.
pub(crate) fn stage(
    repo: &gix::Repository,
    root: &Path,
    paths: &[RepoPath],
    links: bool,
) -> Result<Vec<TreeEdit>, GitError> {
    let failed = internal("staging the changed files");
    let (mut pipeline, index) = repo.filter_pipeline(None).map_err(&failed)?;
    let mut changes = Vec::with_capacity(paths.len());
    for path in paths {
        let is_link = links && root.join(path.as_str()).is_symlink();
        let parent = path.as_str().rsplit_once('/').and_then(|(parent, _)| RepoPath::parse(parent).ok());
        match parent.filter(|_| is_link) {
            Some(parent) => drop(resolve(root, &parent)?),
            None if is_link => {}
            None => drop(resolve(root, path)?),
        }
        let entry = pipeline.worktree_file_to_object(path.as_str().into(), &index).map_err(&failed)?;
        let change = entry.map(|(id, _, metadata)| {
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            let kind = match () {
                () if metadata.is_symlink() => EntryKind::Link,
                () if is_executable => EntryKind::BlobExecutable,
                () => EntryKind::Blob,
            };
            (id, kind)
        });
        changes.push((path.to_string(), change));
    }
    Ok(changes)
}
