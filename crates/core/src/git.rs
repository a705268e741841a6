//! Working copies of repositories: clone, read, write, commit and push.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::job::FailureOrigin;
use patchwright_domain::job::report::ChangedFile;
use patchwright_domain::{BranchName, CommitSha, RepoPath};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fault::{Cause, Fault};
use crate::forge::GitCredential;
use crate::outgoing_text::OutgoingText;
use crate::source_tree::SourceTree;

/// A git operation failed. No message contains a credential; addresses are shown without user, password and query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The repository does not exist, or the credential may not see it.
    #[error("the repository {url} was not found; check the address, and that the token may read it")]
    RepositoryNotFound {
        /// The address of the repository, without a credential.
        url: String,
    },
    /// The repository has no commit.
    #[error("the repository {url} is empty; push a first commit")]
    EmptyRepository {
        /// The address of the repository, without a credential.
        url: String,
    },
    /// The repository has no such branch.
    #[error("the repository {url} has no branch `{branch}`; name another base branch")]
    BranchNotFound {
        /// The address of the repository, without a credential.
        url: String,
        /// The branch that was asked for.
        branch: BranchName,
    },
    /// The remote refused the credential.
    #[error("{url} refused the credentials; set a token that may read and write it")]
    Unauthorized {
        /// The address of the repository, without a credential.
        url: String,
    },
    /// The address is malformed, or its transport is not allowed.
    #[error("the address {url} cannot be used: {reason}")]
    AddressRefused {
        /// The address of the repository, without a credential.
        url: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// The credential would travel unencrypted, which the options do not allow.
    #[error("the address {url} cannot be used: a token would travel in clear text; use https, or allow clear http")]
    ClearTextCredential {
        /// The address of the repository, without a credential.
        url: String,
    },
    /// An option of the implementation cannot be used, such as a file with certificates.
    #[error("the option {option} cannot be used: {detail}")]
    InvalidOption {
        /// The option's stable name, such as `GitOptions::ca_bundle`.
        option: &'static str,
        /// What is wrong with its value.
        detail: String,
    },
    /// The repository, or the branch of it that was asked for, exceeds a limit of the implementation.
    #[error("the repository {url} is too large to work on: {limit}")]
    TooLarge {
        /// The address of the repository, without a credential.
        url: String,
        /// The limit, its value, and what exceeds it.
        limit: String,
    },
    /// The repository holds paths or objects that are not written to a disk, such as a file below `.git`.
    #[error("the repository {url} cannot be checked out: {reason}")]
    ContentRefused {
        /// The address of the repository, without a credential.
        url: String,
        /// What it holds.
        reason: String,
    },
    /// The repository is stored in a format that the implementation cannot read.
    #[error(
        "the repository {url} uses {format}, which is not supported; convert it, or work on a copy in git's default format"
    )]
    FormatUnsupported {
        /// The address of the repository, without a credential.
        url: String,
        /// The format, such as `SHA-256 object ids`.
        format: String,
    },
    /// The rules of the implementation do not allow pushes to this branch.
    #[error("`{branch}` is not pushed: {rule}")]
    BranchRefused {
        /// The branch that was to be pushed.
        branch: BranchName,
        /// The rule that does not allow it, as a clause.
        rule: String,
    },
    /// The credential may read the repository and not write to it.
    #[error("{url} does not allow this token to push ({detail}); give it write access to the repository")]
    PushForbidden {
        /// The address of the repository, without a credential.
        url: String,
        /// The remote's words.
        detail: String,
    },
    /// The remote refused the push, for example through a hook or a protected branch.
    #[error("the remote refused the push of `{branch}`: {reason}{}", refusal.remedy())]
    PushRefused {
        /// The branch.
        branch: BranchName,
        /// What kind of rule refused it, as far as the remote's words tell.
        refusal: PushRefusal,
        /// The remote's reason.
        reason: String,
    },
    /// The commit could not be signed.
    #[error("the commit cannot be signed: {detail}")]
    SigningFailed {
        /// What the signing program said.
        detail: String,
    },
    /// The remote branch is not at the expected commit: someone else pushed to it.
    #[error("the branch `{branch}` has moved on the remote; somebody else pushed to it")]
    LeaseLost {
        /// The branch.
        branch: BranchName,
    },
    /// The branch has too many commits of its own to be rebased.
    #[error("the branch `{branch}` cannot be rebased: it has more than {most} commits of its own")]
    TooManyCommits {
        /// The branch.
        branch: BranchName,
        /// How many are replayed at most.
        most: usize,
    },
    /// A path leaves the working copy through a symbolic link.
    #[error("the path `{path}` leads out of the working copy through a symbolic link")]
    PathEscape {
        /// The path.
        path: RepoPath,
    },
    /// The operation exceeded its time limit.
    #[error("{action} took longer than {seconds} s")]
    TimedOut {
        /// The operation.
        action: String,
        /// The limit.
        seconds: u64,
    },
    /// The remote cannot be reached or fails.
    #[error("{url} cannot be reached or fails ({detail})")]
    Unavailable {
        /// The address of the repository, without a credential.
        url: String,
        /// The failure.
        detail: String,
    },
    /// The file system or the repository's data failed.
    #[error("{action} failed")]
    Internal {
        /// The operation.
        action: String,
        /// The cause.
        #[source]
        source: Cause,
    },
}

impl GitError {
    /// Returns which part failed: the remote, or what was asked of it.
    pub const fn failure_origin(&self) -> FailureOrigin {
        match self {
            Self::RepositoryNotFound { .. }
            | Self::Unauthorized { .. }
            | Self::PushForbidden { .. }
            | Self::PushRefused { .. }
            | Self::TimedOut { .. }
            | Self::Unavailable { .. } => FailureOrigin::Git,
            Self::InvalidOption { .. } | Self::SigningFailed { .. } | Self::Internal { .. } => FailureOrigin::Internal,
            Self::EmptyRepository { .. }
            | Self::BranchNotFound { .. }
            | Self::AddressRefused { .. }
            | Self::ClearTextCredential { .. }
            | Self::TooLarge { .. }
            | Self::ContentRefused { .. }
            | Self::FormatUnsupported { .. }
            | Self::BranchRefused { .. }
            | Self::LeaseLost { .. }
            | Self::TooManyCommits { .. }
            | Self::PathEscape { .. } => FailureOrigin::Request,
        }
    }

    /// Returns what the caller can do about the error.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::RepositoryNotFound { .. } | Self::EmptyRepository { .. } | Self::BranchNotFound { .. } => {
                Fault::Missing
            }
            Self::Unauthorized { .. }
            | Self::AddressRefused { .. }
            | Self::ClearTextCredential { .. }
            | Self::InvalidOption { .. }
            | Self::TooLarge { .. }
            | Self::ContentRefused { .. }
            | Self::FormatUnsupported { .. }
            | Self::BranchRefused { .. }
            | Self::PushForbidden { .. }
            | Self::PushRefused { .. }
            | Self::SigningFailed { .. } => Fault::Denied,
            Self::LeaseLost { .. } | Self::TooManyCommits { .. } | Self::PathEscape { .. } | Self::Internal { .. } => {
                Fault::Internal
            }
            Self::TimedOut { .. } | Self::Unavailable { .. } => Fault::RETRY,
        }
    }
}

/// The kind of rule by which a remote refuses a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PushRefusal {
    /// The branch, or all branches of its pattern, are protected.
    ProtectedBranch,
    /// A hook of the remote, such as a check of messages, signatures or secrets.
    Hook,
    /// The size of a file, of the push or of the repository.
    Quota,
    /// Something else, or the remote does not say.
    Other,
}

impl PushRefusal {
    /// Returns what to do about it, as the end of a sentence.
    const fn remedy(self) -> &'static str {
        match self {
            Self::ProtectedBranch => "; allow this account to push to such branches",
            Self::Quota => "; free space there, or raise the limit",
            Self::Hook | Self::Other => "",
        }
    }
}

/// How much of a repository's history a working copy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryDepth {
    /// Every commit that leads to the tip.
    Complete,
    /// The commits up to this distance from the tip.
    Commits(u32),
}

/// The working copy that [`Git::checkout`] creates.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// `https://…`, `http://…` (credentials are restricted), `ssh://…`, or a path on this machine.
    pub url: String,
    /// The branch to start from; `None` takes the remote's HEAD.
    pub base: Option<BranchName>,
    /// The branch to work on. It is created at the base.
    pub branch: BranchName,
    /// The commit at the tip of the base branch that this working copy replaces.
    pub rework: Option<Rework>,
    /// Whether the remote's `branch` is fetched as well, to be rebased or tested: both come with their history.
    pub with_branch: bool,
    /// The address that the branch is pushed to, if it is another one.
    pub push_url: Option<String>,
    /// Used for this call only and stored nowhere.
    pub credential: Option<GitCredential>,
    /// An empty or absent folder that becomes the working copy.
    pub destination: PathBuf,
}

/// A commit to replace. If the base branch is still at `tip`, the working copy starts at `start`, the commit before it. If
/// the branch has moved, the working copy starts at its new tip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rework {
    /// The commit to replace.
    pub tip: CommitSha,
    /// The first parent of `tip`.
    pub start: CommitSha,
}

/// Author, time and message of a commit. Equal requests over equal files make equal commits.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The whole message.
    pub message: OutgoingText,
    /// The author's and committer's name.
    pub author_name: String,
    /// The author's and committer's mail address.
    pub author_email: String,
    /// The author's and committer's time.
    pub at: Timestamp,
}

/// The result of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// The last commit.
    Done(CommitSha),
    /// A commit that cannot be replayed as it is.
    Conflict(RebaseConflict),
}

/// A commit of a branch that changes what its base has changed as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebaseConflict {
    /// The commit, as it is in the branch.
    pub commit: CommitSha,
    /// The message of the commit, whole.
    pub message: String,
    /// The files that both sides changed, sorted.
    pub files: Vec<ConflictedFile>,
}

/// A file that both sides of a rebase changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictedFile {
    /// The path to which a resolution is written.
    pub path: RepoPath,
    /// The file in parts; empty if it is no text, or was deleted or moved on one side.
    pub parts: Vec<MergedPart>,
}

/// A part of a file that was merged. The texts have their line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergedPart {
    /// Lines on which nothing conflicts.
    Merged(String),
    /// Lines that both sides changed.
    Conflict {
        /// What they changed.
        before: String,
        /// What the base branch has, with the commits that were replayed already.
        base: String,
        /// What the commit has.
        branch: String,
    },
}

/// What a commit makes of the files that conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The commit of a [`RebaseConflict`].
    pub commit: CommitSha,
    /// The whole text of each of its files.
    pub files: BTreeMap<RepoPath, String>,
}

/// Creates working copies.
#[async_trait]
pub trait Git: Send + Sync {
    /// Creates a working copy of one branch, and `branch` at its tip. What is known of the repository is not fetched again.
    ///
    /// MUST NOT execute anything from the repository (hooks, filters, submodules), and MUST NOT leave the credential in the
    /// address, a command line, a file or an error.
    async fn checkout(&self, request: Checkout, cancel: &CancellationToken) -> Result<Box<dyn Workspace>, GitError>;
}

/// An entry of a tree: two are equal if and only if mode and content are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The mode as git writes it: `0o100644`, `0o100755`, `0o120000` for a link, `0o160000` for a submodule.
    pub mode: u32,
    /// The id of the object.
    pub id: String,
}

/// A working copy that one job owns. Dropping the handle without [`Workspace::close`] keeps the folder.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// Returns the folder.
    fn root(&self) -> &Path;

    /// Returns the branch that the working copy started from.
    fn base_branch(&self) -> &BranchName;

    /// Returns the commit that the working copy started from.
    fn base_commit(&self) -> &CommitSha;

    /// Returns the tip of the remote's branch that [`Checkout::with_branch`] named; `None` without it.
    fn branch_tip(&self) -> Option<&CommitSha>;

    /// Returns how much of the history is here. The first working copy of a repository may have the newest commit alone.
    fn history_depth(&self) -> HistoryDepth;

    /// Ends the use of the working copy. Its folder may be kept for the next job on the repository; otherwise it stays where it
    /// is, for the caller to delete.
    async fn close(self: Box<Self>);

    /// Replays the commits of [`Self::branch_tip`] that the base does not have on top of the base commit, writes the result
    /// to the working copy and returns its last commit: the tip itself if the branch is on top of the base already. Authors
    /// and messages stay; committer and time are those of the request.
    ///
    /// The first commit with files that both sides changed in the same lines, and that is not in `resolutions`, ends it:
    /// nothing is written then, and a call with one more resolution goes further.
    async fn rebase(&self, request: &CommitRequest, resolutions: &[Resolution]) -> Result<Rebased, GitError>;

    /// Returns the tree of the base commit, with the history that was cloned.
    fn tree(&self) -> Arc<dyn SourceTree>;

    /// Returns the tracked files that match the glob (`*` for all), sorted, without cache and build folders.
    async fn list_files(&self, pattern: &str) -> Result<Vec<RepoPath>, GitError>;

    /// Returns every entry of the base commit's tree by its path: plain files, links and submodules, also those that
    /// [`Self::list_files`] leaves out. Contents are not read. Bytes of a path that are not UTF-8 are replaced.
    async fn tree_entries(&self) -> Result<BTreeMap<String, TreeEntry>, GitError>;

    /// Returns a file's bytes; `None` if it does not exist or is not a plain file.
    async fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError>;

    /// Writes a file and creates its folders. The executable bit of an existing file is kept.
    async fn write(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError>;

    /// Removes a file. A file that does not exist is not an error.
    async fn remove(&self, path: &RepoPath) -> Result<(), GitError>;

    /// Returns the files that were added, modified or deleted since the base commit, sorted by path.
    async fn list_changed_files(&self) -> Result<Vec<ChangedFile>, GitError>;

    /// Commits these files in their current state on top of the base commit, replacing an earlier commit of this
    /// working copy. Returns the base commit if nothing changed.
    async fn commit(&self, paths: &[RepoPath], request: &CommitRequest) -> Result<CommitSha, GitError>;

    /// Writes the tree of a commit (the base or one made here) into an empty folder, without `.git`.
    async fn export(&self, commit: &CommitSha, destination: &Path) -> Result<(), GitError>;

    /// Pushes the branch at this commit. The remote branch must be at `expected`, or absent for `None`; otherwise the
    /// answer is [`GitError::LeaseLost`]. A remote branch that is already at `commit` is success.
    async fn push(
        &self,
        commit: &CommitSha,
        expected: Option<&CommitSha>,
        credential: Option<&GitCredential>,
    ) -> Result<(), GitError>;
}
