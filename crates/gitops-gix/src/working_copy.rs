//! A working copy with git's own index, for programs that need git and not a job: the operations of
//! `docs/requirements.md#r262` and following.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gix::bstr::BStr;
use gix::index::entry::{Flags, Mode, Stage, Stat};
use gix::objs::tree::EntryKind;
use gix::refs::transaction::PreviousValue;
use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, CommitRequest, Git as _, GitError};
use patchwright_domain::job::report::ChangedFile;
use patchwright_domain::{BranchName, CommitSha, RepoPath};

use crate::GixGit;
use crate::address::Address;
use crate::child::{PushWork, Runner, Work};
use crate::error::{internal, io_error, run_interruptible};
use crate::local::head_branch;
use crate::objects::{new_commit, set_branch, signature, to_commit_sha, tree_of, write_signed};
use crate::options::GitOptions;
use crate::path_guard;
use crate::prepare::start_branch;
use crate::work_tree::{change_files, index_of};
use crate::workspace::{FileFilter, list_files_of, list_worktree_changes, stage};

/// The branch of a clone until its base is known.
const TEMPORARY_BRANCH: &str = "patchwright-clone";

/// A working copy on a disk. Its branch is the one that is checked out; what is staged is in its index.
#[derive(Debug, Clone)]
pub struct WorkingCopy {
    root: PathBuf,
    options: Arc<GitOptions>,
}

impl WorkingCopy {
    /// Clones the default branch, or `branch`, into a folder that is empty or absent. [`GitOptions::store`] is not used: the
    /// working copy stands alone.
    ///
    /// # Errors
    /// Those of [`Git::checkout`](patchwright_core::git::Git::checkout); [`GitError::TimedOut`] after [`GitOptions::timeout`].
    pub async fn clone_repo(
        options: GitOptions,
        url: &str,
        branch: Option<BranchName>,
        credential: Option<GitCredential>,
        destination: &Path,
    ) -> Result<Self, GitError> {
        let options = GitOptions { store: None, ..options };
        let address = Address::parse(url)?;
        let request = Checkout {
            url: url.to_owned(),
            base: branch,
            branch: BranchName::parse(TEMPORARY_BRANCH).expect("the name is valid"),
            rework: None,
            with_branch: false,
            push_url: None,
            credential,
            destination: destination.to_owned(),
        };
        let git = GixGit::new(options.clone());
        let workspace = git.checkout(request, &CancellationToken::new()).await?;
        let copy = Self { root: destination.to_owned(), options: Arc::new(options) };
        let base = workspace.base_branch().clone();
        copy.run("completing the clone", move |copy, _| copy.complete_clone(&base, &address)).await?;
        Ok(copy)
    }

    /// Names the branch after its base, and the remote.
    fn complete_clone(&self, base: &BranchName, origin: &Address) -> Result<(), GitError> {
        let repo = self.repository()?;
        let tip = repo.head_id().map_err(internal("reading the cloned branch"))?.detach();
        start_branch(&repo, tip, base)?;
        std::fs::remove_file(repo.git_dir().join("refs/heads").join(TEMPORARY_BRANCH))
            .map_err(io_error("removing the temporary branch"))?;
        let config = repo.git_dir().join("config");
        let mut text = std::fs::read_to_string(&config).map_err(io_error("reading the configuration"))?;
        // The address has no credential; one is given to each push.
        text.push_str(&format!("[remote \"origin\"]\n\turl = {}\n", origin.identity()));
        std::fs::write(&config, text).map_err(io_error("writing the configuration"))
    }

    /// Opens a working copy.
    ///
    /// # Errors
    /// [`GitError::RepositoryNotFound`] if the folder is none.
    pub fn open(options: GitOptions, folder: &Path) -> Result<Self, GitError> {
        let address = Address::Local(folder.to_owned());
        let repo = crate::local::open(folder, &address)?;
        let Some(root) = repo.workdir() else { return Err(GitError::RepositoryNotFound { url: address.redacted() }) };
        Ok(Self { root: root.to_owned(), options: Arc::new(options) })
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the branch that is checked out; `None` if HEAD is detached.
    ///
    /// # Errors
    /// [`GitError::Internal`] if the repository cannot be read.
    pub fn branch(&self) -> Result<Option<BranchName>, GitError> {
        Ok(head_branch(&self.repository()?))
    }

    /// Creates a branch at the tip of another one, replacing a local branch of the same name, and checks it out. Files that are
    /// not committed are not kept if the two differ in them.
    ///
    /// # Errors
    /// [`GitError::BranchNotFound`] if there is no such base branch.
    pub async fn create_branch(&self, name: &BranchName, base: &BranchName) -> Result<(), GitError> {
        let (name, base) = (name.clone(), base.clone());
        self.run("creating the branch", move |copy, interrupt| {
            let repo = copy.repository()?;
            let url = copy.root.display().to_string();
            let tip = crate::local::find_tip(&repo, &base)?;
            let tip = tip.ok_or_else(|| GitError::BranchNotFound { url, branch: base.clone() })?;
            let head = repo.head_id().map_err(internal("reading HEAD"))?.detach();
            let (old, new) = (index_of(&repo, head)?, index_of(&repo, tip)?);
            if head != tip {
                let mut index = change_files(&repo, &copy.root, &old, new, |_| true, interrupt)?;
                index.set_path(repo.index_path());
                index.write(gix::index::write::Options::default()).map_err(internal("writing the index"))?;
            }
            start_branch(&repo, tip, &name)
        })
        .await
    }

    /// Stages a file in its present state: a file that does not exist is staged as deleted.
    ///
    /// # Errors
    /// [`GitError::PathEscape`] if the path leads through a symbolic link.
    pub async fn add_file(&self, path: &RepoPath) -> Result<(), GitError> {
        let paths = vec![path.clone()];
        self.run("staging a file", move |copy, _| copy.add(&paths)).await
    }

    /// Stages every change, without ignored files.
    ///
    /// # Errors
    /// [`GitError::Internal`] if the files cannot be compared.
    pub async fn add_all(&self) -> Result<(), GitError> {
        self.run("staging the changes", |copy, _| copy.add_all_now()).await
    }

    /// Commits what is staged. Returns the present commit if nothing is.
    ///
    /// # Errors
    /// [`GitError::SigningFailed`] if there is a key that cannot be used.
    pub async fn commit(&self, request: &CommitRequest) -> Result<CommitSha, GitError> {
        let request = request.clone();
        self.run("committing", move |copy, _| copy.commit_now(&request)).await
    }

    /// Stages every change and commits: [`Self::add_all`], then [`Self::commit`].
    ///
    /// # Errors
    /// Those of both.
    pub async fn commit_changes(&self, request: &CommitRequest) -> Result<CommitSha, GitError> {
        let request = request.clone();
        self.run("committing", move |copy, _| {
            copy.add_all_now()?;
            copy.commit_now(&request)
        })
        .await
    }

    /// Pushes the branch that is checked out to `origin`. The remote branch must be at `expected`, or absent for `None`
    /// (`--force-with-lease` with an explicit value).
    ///
    /// # Errors
    /// [`GitError::LeaseLost`] if it is not; [`GitError::BranchRefused`] for a branch without [`GitOptions::push_prefix`].
    pub async fn push(&self, expected: Option<&CommitSha>, credential: Option<&GitCredential>) -> Result<(), GitError> {
        let expected = expected.cloned();
        let push = self.run("pushing the branch", move |copy, _| copy.head_push(expected)).await?;
        let shown = Address::parse(&push.url)?.redacted();
        let runner = Runner { options: &self.options, shown: &shown, verb: "pushing to" };
        Ok(runner.run(Work::Push(push), credential, &CancellationToken::new()).await.map(|_| ())?)
    }

    /// Pushes the branch that is checked out, which must be new to the remote: [`Self::push`] without an expected commit.
    ///
    /// # Errors
    /// Those of [`Self::push`].
    pub async fn push_branch(&self, credential: Option<&GitCredential>) -> Result<(), GitError> {
        self.push(None, credential).await
    }

    /// Returns the files that were added, modified or deleted since they were staged or committed, sorted by path.
    ///
    /// # Errors
    /// [`GitError::Internal`] if the files cannot be compared.
    pub async fn list_changed_files(&self) -> Result<Vec<ChangedFile>, GitError> {
        self.run("comparing the files", |copy, _| list_worktree_changes(&copy.repository()?)).await
    }

    /// Writes a file and creates its folders.
    ///
    /// # Errors
    /// [`GitError::PathEscape`] if the path leads through a symbolic link.
    pub async fn write_file(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
        let (path, content) = (path.clone(), content.to_owned());
        self.run("writing a file", move |copy, _| path_guard::write(&copy.root, &path, &content)).await
    }

    /// Appends to a file; one that does not exist is created.
    ///
    /// # Errors
    /// [`GitError::PathEscape`] if the path leads through a symbolic link.
    pub async fn append_file(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
        let (path, content) = (path.clone(), content.to_owned());
        self.run("appending to a file", move |copy, _| path_guard::append(&copy.root, &path, &content)).await
    }

    /// Returns whether there is a plain file of this path.
    ///
    /// # Errors
    /// [`GitError::PathEscape`] if the path leads through a symbolic link.
    pub async fn file_exists(&self, path: &RepoPath) -> Result<bool, GitError> {
        let path = path.clone();
        self.run("looking for a file", move |copy, _| path_guard::exists(&copy.root, &path)).await
    }

    /// Returns the files that match a glob (`*` for all), tracked or new, without ignored ones and without cache and build
    /// folders, sorted (`docs/requirements.md#r275`).
    ///
    /// # Errors
    /// [`GitError::Internal`] for a pattern that is no glob.
    pub async fn list_files(&self, pattern: &str) -> Result<Vec<RepoPath>, GitError> {
        let pattern = pattern.to_owned();
        self.run("listing the files", move |copy, _| {
            let repo = copy.repository()?;
            let mut files = list_files_of(&repo, &pattern)?;
            let changes = list_worktree_changes(&repo)?;
            let deleted = |path: &RepoPath| changes.iter().any(|c| c.file == *path && c.status.letter() == 'D');
            files.retain(|path| !deleted(path));
            let matcher = FileFilter::new(&pattern)?;
            files.extend(
                changes.into_iter().filter(|c| c.status.letter() == 'A').map(|c| c.file).filter(|p| matcher.accepts(p)),
            );
            files.sort();
            files.dedup();
            Ok(files)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        action: &str,
        work: impl FnOnce(&Self, &AtomicBool) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let copy = self.clone();
        let timeout = self.options.timeout;
        run_interruptible(action.to_owned(), timeout, &CancellationToken::new(), move |interrupt| {
            work(&copy, interrupt)
        })
        .await
    }

    fn repository(&self) -> Result<gix::Repository, GitError> {
        crate::repository::open(&self.root, self.options.limits.object_bytes())
    }

    /// Returns the push of the branch that is checked out.
    fn head_push(&self, expected: Option<CommitSha>) -> Result<PushWork, GitError> {
        let repo = self.repository()?;
        let refused =
            |reason: &str| GitError::AddressRefused { url: self.root.display().to_string(), reason: reason.to_owned() };
        let branch = head_branch(&repo).ok_or_else(|| refused("no branch is checked out"))?;
        let commit = to_commit_sha(repo.head_id().map_err(internal("reading HEAD"))?.detach());
        let url = origin_of(&repo).ok_or_else(|| refused("it has no remote `origin`"))?;
        Ok(PushWork { git_dir: repo.git_dir().to_owned(), url, branch, base: None, commit, expected })
    }

    fn add_all_now(&self) -> Result<(), GitError> {
        let changed = list_worktree_changes(&self.repository()?)?;
        let paths: Vec<RepoPath> = changed.into_iter().map(|change| change.file).collect();
        self.add(&paths)
    }

    fn add(&self, paths: &[RepoPath]) -> Result<(), GitError> {
        let repo = self.repository()?;
        let staged = stage(&repo, &self.root, paths, true)?;
        let mut index = repo.open_index().map_err(internal("reading the index"))?;
        index.remove_tree();
        index.remove_resolve_undo();
        let names: HashSet<&BStr> = staged.iter().map(|(path, _)| path.as_str().into()).collect();
        index.remove_entries(|_, known, _| names.contains(known));
        for (path, entry) in &staged {
            let Some((id, kind)) = entry else { continue };
            let metadata = gix::index::fs::Metadata::from_path_no_follow(&self.root.join(path));
            let stat = metadata.ok().and_then(|found| Stat::from_fs(&found).ok()).unwrap_or_default();
            let mode = match kind {
                EntryKind::Link => Mode::SYMLINK,
                EntryKind::BlobExecutable => Mode::FILE_EXECUTABLE,
                _ => Mode::FILE,
            };
            index.dangerously_push_entry(stat, *id, Flags::empty(), mode, path.as_str().into());
        }
        index.sort_entries();
        index.write(gix::index::write::Options::default()).map_err(internal("writing the index"))
    }

    fn commit_now(&self, request: &CommitRequest) -> Result<CommitSha, GitError> {
        let failed = internal("committing");
        let repo = self.repository()?;
        let parent = repo.head_id().map_err(&failed)?.detach();
        let empty = repo.write_object(gix::objs::Tree::empty()).map_err(&failed)?.detach();
        let mut editor = repo.edit_tree(empty).map_err(&failed)?;
        let index = repo.open_index().map_err(internal("reading the index"))?;
        for entry in index.entries().iter().filter(|entry| entry.stage() == Stage::Unconflicted) {
            let Some(mode) = entry.mode.to_tree_entry_mode() else { continue };
            editor.upsert(entry.path(&index), mode.kind(), entry.id).map_err(&failed)?;
        }
        let tree = editor.write().map_err(&failed)?.detach();
        if tree == tree_of(&repo, parent)? {
            return Ok(to_commit_sha(parent));
        }
        let commit = new_commit(tree, Some(parent), signature(request), request.message.as_str());
        let id = write_signed(&repo, commit, &self.options)?;
        if let Some(branch) = head_branch(&repo) {
            set_branch(&repo, &branch, id, PreviousValue::Any)?;
        }
        Ok(to_commit_sha(id))
    }
}

/// Returns the address in the repository's own configuration, of which nothing else counts.
fn origin_of(repo: &gix::Repository) -> Option<String> {
    let config = repo.config_snapshot();
    let url = config.string("remote.origin.pushurl").or_else(|| config.string("remote.origin.url"))?;
    Some(url.to_string())
}
