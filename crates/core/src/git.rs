//! A working copy of a repository, and the way back to its remote.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::job::report::ChangedFile;
use patchwright_domain::{BranchName, CommitSha, RepoPath};
use tokio_util::sync::CancellationToken;

use crate::fault::{Cause, Fault};
use crate::forge::GitCredential;
use crate::source_tree::SourceTree;

/// Git did not do what was asked. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no such repository, or we may not see it.
    #[error("the repository {url} was not found; check the address, and that the token may read it")]
    RepositoryNotFound {
        /// Where.
        url: String,
    },
    /// It has no commit.
    #[error("the repository {url} is empty; push a first commit")]
    EmptyRepository {
        /// Where.
        url: String,
    },
    /// It has no such branch.
    #[error("the repository {url} has no branch `{branch}`; name another base branch")]
    BranchNotFound {
        /// Where.
        url: String,
        /// Which.
        branch: BranchName,
    },
    /// The credentials were refused.
    #[error("{url} refused the credentials; set a token that may read and write it")]
    Unauthorized {
        /// Where.
        url: String,
    },
    /// The address may not be used.
    #[error("the address {url} cannot be used: {reason}")]
    AddressRefused {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The remote took nothing.
    #[error("the remote refused the push of `{branch}`: {reason}")]
    PushRefused {
        /// Which branch.
        branch: BranchName,
        /// What it said.
        reason: String,
    },
    /// The branch stands elsewhere than we last saw it: somebody else pushed.
    #[error("the branch `{branch}` has moved on the remote; somebody else pushed to it")]
    LeaseLost {
        /// Which branch.
        branch: BranchName,
    },
    /// A path leads out of the working copy, through a symbolic link.
    #[error("the path `{path}` leads out of the working copy through a symbolic link")]
    PathEscape {
        /// Which.
        path: RepoPath,
    },
    /// It took longer than allowed.
    #[error("{action} took longer than {seconds} s")]
    TimedOut {
        /// What.
        action: String,
        /// The limit.
        seconds: u64,
    },
    /// The remote cannot be reached, or fails.
    #[error("{url} cannot be reached or fails ({detail})")]
    Unavailable {
        /// Where.
        url: String,
        /// What was seen.
        detail: String,
    },
    /// The disk or the repository's data.
    #[error("{action} failed")]
    Internal {
        /// What.
        action: String,
        /// Why.
        #[source]
        source: Cause,
    },
}

impl GitError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::RepositoryNotFound { .. } | Self::EmptyRepository { .. } | Self::BranchNotFound { .. } => {
                Fault::Missing
            }
            Self::Unauthorized { .. } | Self::AddressRefused { .. } | Self::PushRefused { .. } => Fault::Denied,
            Self::LeaseLost { .. } | Self::PathEscape { .. } | Self::Internal { .. } => Fault::Internal,
            Self::TimedOut { .. } | Self::Unavailable { .. } => Fault::RETRY,
        }
    }
}

/// A working copy to make.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// `https://…`, `http://…` (rules apply), or a path on this machine.
    pub url: String,
    /// The branch to start from; `None` takes the remote's HEAD.
    pub base: Option<BranchName>,
    /// The branch to work on. It starts at the base.
    pub branch: BranchName,
    /// A commit of ours at the tip of the base branch that is to be made anew.
    pub rework: Option<Rework>,
    /// For this call only; kept nowhere.
    pub credential: Option<GitCredential>,
    /// An empty or absent folder that becomes the working copy.
    pub destination: PathBuf,
}

/// A commit that is to be made anew: where the base branch still stands at `tip`, the working copy begins at `start`
/// instead, the commit before it. Where others have moved the branch, it begins at what they left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rework {
    /// The commit that goes.
    pub tip: CommitSha,
    /// Its first parent.
    pub start: CommitSha,
}

/// Who commits, when and why. Equal ones over equal files make equal commits.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The message.
    pub message: String,
    /// The author's and committer's name.
    pub author_name: String,
    /// The author's and committer's address.
    pub author_email: String,
    /// The author's and committer's time.
    pub at: Timestamp,
}

/// Makes working copies.
#[async_trait]
pub trait Git: Send + Sync {
    /// Clones one branch, shallow where the remote can, and starts `branch` at its tip.
    ///
    /// MUST NOT run anything that the repository brings (hooks, filters, submodules), and MUST NOT leave the
    /// credential in the address, an argument, a file or an error.
    async fn checkout(&self, request: Checkout, cancel: &CancellationToken) -> Result<Box<dyn Workspace>, GitError>;
}

/// A working copy that one job owns. Its folder goes away with the job, not with this handle.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// The folder.
    fn root(&self) -> &Path;

    /// The branch that it started from.
    fn base_branch(&self) -> &BranchName;

    /// The commit that it started from.
    fn base_commit(&self) -> &CommitSha;

    /// The tree of the commit that it started from, with what of its history came along.
    fn tree(&self) -> Arc<dyn SourceTree>;

    /// All tracked files that match the glob (`*` for all), sorted; caches and build folders left out.
    async fn list_files(&self, pattern: &str) -> Result<Vec<RepoPath>, GitError>;

    /// A file's bytes; `None` when it is not there or not a plain file.
    async fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError>;

    /// Writes a file, making its folders. A file that was executable stays so.
    async fn write(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError>;

    /// Removes a file; one that is not there is no error.
    async fn remove(&self, path: &RepoPath) -> Result<(), GitError>;

    /// What differs from the base commit: files added, modified, deleted; sorted by path.
    async fn changed_files(&self) -> Result<Vec<ChangedFile>, GitError>;

    /// Commits these files as they stand, on top of the base commit (replacing an earlier commit of ours on the
    /// branch). With nothing changed it returns the base commit.
    async fn commit(&self, paths: &[RepoPath], request: &CommitRequest) -> Result<CommitSha, GitError>;

    /// Writes the tree of a commit (ours or the base) into an empty folder, without git's own files.
    async fn export(&self, commit: &CommitSha, destination: &Path) -> Result<(), GitError>;

    /// Pushes the branch at this commit. `expected` is where the remote's branch must stand: `None` says that it must
    /// not exist. A remote that already stands at `commit` is success.
    async fn push(
        &self,
        commit: &CommitSha,
        expected: Option<&CommitSha>,
        credential: Option<&GitCredential>,
    ) -> Result<(), GitError>;
}
