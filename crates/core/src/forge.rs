//! A code host: repositories, branches and pull requests beside the issues.

use async_trait::async_trait;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, RepoName, RepoPath};

use crate::secret::Secret;
pub use crate::tracker::{Comment, ForgeError, RemoteIssue, Tracker};

/// A repository as its forge tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name now; another one than was asked for when it was renamed.
    pub name: RepoName,
    /// The branch that pull requests aim at.
    pub default_branch: BranchName,
    /// Where git finds it; never with credentials in it.
    pub clone_url: String,
    /// Whether only members see it.
    pub private: bool,
    /// Whether it takes no changes any more.
    pub archived: bool,
}

/// Some open issues of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuePage {
    /// Each with its number.
    pub issues: Vec<(IssueNumber, RemoteIssue)>,
    /// Whether another page follows.
    pub more: bool,
}

/// What a person may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// Look.
    Read,
    /// Push.
    Write,
    /// Everything.
    Admin,
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPullRequest {
    /// The branch with the change.
    pub head: BranchName,
    /// The branch that it aims at.
    pub base: BranchName,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Whether it is a draft. A platform without drafts opens an ordinary one and says so in the answer.
    pub draft: bool,
}

/// A user name and password for git over HTTP.
#[derive(Debug, Clone)]
pub struct GitCredential {
    /// The user name that the platform wants beside a token.
    pub username: String,
    /// The token.
    pub password: Secret,
}

/// A code host.
///
/// Beside the rules of [`Tracker`], an implementation
/// * MUST answer [`ForgeError::Refused`] for a second open pull request of one branch: the caller looks with
///   [`Forge::find_pull_request`] first;
/// * MUST take `mark_ready` on a ready pull request as success;
/// * MUST say [`Permission::None`] for a person that the platform does not know.
#[async_trait]
pub trait Forge: Tracker {
    /// The login that our own comments carry.
    async fn own_login(&self) -> Result<String, ForgeError>;

    /// The repository.
    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError>;

    /// One page of the open issues of a repository, from page 1 on, pull requests left out; and whether more follow.
    async fn open_issues(&self, repo: &RepoName, page: u32) -> Result<IssuePage, ForgeError>;

    /// Opens an issue as our own account. An unknown outcome is not repeated.
    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError>;

    /// What a person may do there.
    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError>;

    /// The mail address that the platform takes for a person's in commits and that shows nothing of them but their login;
    /// `None` where it has none, or does not know them.
    async fn commit_address(&self, repo: &RepoName, login: &str) -> Result<Option<String>, ForgeError>;

    /// The open pull request of a branch of the repository itself that we wrote, if there is one. One that another
    /// account opened from that branch is not ours to adopt and MUST NOT be returned.
    async fn find_pull_request(&self, repo: &RepoName, head: &BranchName)
    -> Result<Option<PullRequestRef>, ForgeError>;

    /// Opens a pull request.
    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError>;

    /// Replaces a pull request's text.
    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &str) -> Result<(), ForgeError>;

    /// Marks a draft ready for review.
    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError>;

    /// Merges a pull request whose branch stands at this commit; one that is merged already is success. What the platform
    /// does not merge (a draft, a conflict, failing checks, other commits) is [`ForgeError::Refused`].
    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError>;

    /// A file's content at a branch, tag or commit; `None` when it is not there or not text.
    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError>;

    /// What git needs to read and write the repository; `None` when it needs nothing.
    async fn git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError>;

    /// The issue's page, for links. Needs no call.
    fn issue_url(&self, issue: &IssueRef) -> String;
}
