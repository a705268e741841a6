//! What the built-in forge keeps: comments and pull requests. (Its issues are ordinary issues, its repositories are
//! folders.)

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{BranchName, Issue, IssueRef, RepoName};

use crate::store::StoreError;
use crate::tracker::Comment;

/// A pull request of the built-in forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPullRequest {
    /// In which repository.
    pub repo: RepoName,
    /// Its number there.
    pub number: u64,
    /// The branch with the change.
    pub head: BranchName,
    /// The branch that it aims at.
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

/// Keeps comments and pull requests of the built-in forge.
#[async_trait]
pub trait ForgeRecords: Send + Sync {
    /// An issue of the built-in forge.
    async fn local_issue(&self, issue: &IssueRef) -> Result<Option<Issue>, StoreError>;

    /// The number that the next issue of a repository gets.
    async fn next_local_issue(&self, repo: &RepoName) -> Result<u64, StoreError>;

    /// Keeps an issue; [`StoreError::Stale`] when its number is taken.
    async fn add_local_issue(&self, issue: Issue) -> Result<(), StoreError>;

    /// Comments on an issue or pull request, oldest first.
    async fn local_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, StoreError>;

    /// Keeps a comment and returns its id.
    async fn add_local_comment(
        &self,
        repo: &RepoName,
        number: u64,
        author: &str,
        body: &str,
        at: Timestamp,
    ) -> Result<String, StoreError>;

    /// Replaces a comment's text; `false` when there is none of this id.
    async fn edit_local_comment(&self, id: &str, body: &str) -> Result<bool, StoreError>;

    /// Pull requests of a repository, oldest first.
    async fn local_pull_requests(&self, repo: &RepoName) -> Result<Vec<LocalPullRequest>, StoreError>;

    /// Keeps a pull request under the next number of its repository and returns that number. The number in `new` is
    /// not looked at.
    async fn add_local_pull_request(&self, new: LocalPullRequest) -> Result<u64, StoreError>;

    /// Changes text, draft or state of a pull request; `false` when there is none of this number.
    async fn change_local_pull_request(&self, changed: LocalPullRequest) -> Result<bool, StoreError>;
}
