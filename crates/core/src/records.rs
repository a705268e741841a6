//! The comments and pull requests of the built-in forge. Its issues are ordinary issues, and its repositories are folders.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{BranchName, Issue, IssueRef, RepoName};

use crate::store::StoreError;
use crate::tracker::Comment;

/// A pull request of the built-in forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPullRequest {
    /// Its repository.
    pub repo: RepoName,
    /// Its number in the repository.
    pub number: u64,
    /// The branch with the change.
    pub head: BranchName,
    /// The base branch.
    pub base: BranchName,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// `open`, `merged` or `closed`.
    pub state: String,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// The store of the built-in forge.
#[async_trait]
pub trait ForgeRecords: Send + Sync {
    /// Returns an issue of the built-in forge.
    async fn local_issue(&self, issue: &IssueRef) -> Result<Option<Issue>, StoreError>;

    /// Returns the number of the next issue of a repository.
    async fn next_local_issue(&self, repo: &RepoName) -> Result<u64, StoreError>;

    /// Adds an issue; [`StoreError::Stale`] when its number is taken.
    async fn add_local_issue(&self, issue: Issue) -> Result<(), StoreError>;

    /// Returns the comments on an issue or pull request, oldest first.
    async fn local_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, StoreError>;

    /// Adds a comment and returns its id.
    async fn add_local_comment(
        &self,
        repo: &RepoName,
        number: u64,
        author: &str,
        body: &str,
        at: Timestamp,
    ) -> Result<String, StoreError>;

    /// Replaces a comment's text; `false` when it does not exist.
    async fn edit_local_comment(&self, id: &str, body: &str) -> Result<bool, StoreError>;

    /// Returns the pull requests of a repository, oldest first.
    async fn local_pull_requests(&self, repo: &RepoName) -> Result<Vec<LocalPullRequest>, StoreError>;

    /// Adds a pull request under the next number of its repository and returns that number. The number in `new` is
    /// ignored.
    async fn add_local_pull_request(&self, new: LocalPullRequest) -> Result<u64, StoreError>;

    /// Changes text, draft or state of a pull request; `false` when it does not exist.
    async fn change_local_pull_request(&self, changed: LocalPullRequest) -> Result<bool, StoreError>;
}
