//! Code hosts: issue trackers that have repositories and pull requests too.

use async_trait::async_trait;
use patchwright_domain::job::ci::CiCheck;
use patchwright_domain::job::{OtherPullRequest, PullRequestRef};
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, RepoName, RepoPath};

use crate::outgoing_text::OutgoingText;
use crate::secret::Secret;
pub use crate::tracker::{Comment, ForgeError, RemoteIssue, Tracker};
use crate::webhook::DiffPlace;

/// A repository as its forge describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The current name; it differs from the requested one after a rename.
    pub name: RepoName,
    /// The branch that pull requests target.
    pub default_branch: BranchName,
    /// The address for git, without credentials.
    pub clone_url: String,
    /// Whether only members see it.
    pub private: bool,
    /// Whether it is read-only.
    pub archived: bool,
}

/// One page of the open issues of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuePage {
    /// The issues with their numbers.
    pub issues: Vec<(IssueNumber, RemoteIssue)>,
    /// Whether another page follows.
    pub more: bool,
}

/// The access of a user to a repository, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// No access, or an account that the platform does not have.
    None,
    /// May read.
    Read,
    /// May push.
    Write,
    /// May change settings.
    Admin,
}

/// The branch with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestHead {
    /// The fork that holds it, if it is not the repository itself.
    pub fork: Option<RepoName>,
    /// The branch, without the owner of the fork.
    pub branch: BranchName,
}

impl From<BranchName> for PullRequestHead {
    fn from(branch: BranchName) -> Self {
        Self { fork: None, branch }
    }
}

impl std::fmt::Display for PullRequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fork {
            Some(fork) => write!(f, "{}:{}", fork.owner(), self.branch),
            None => self.branch.fmt(f),
        }
    }
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPullRequest {
    /// The branch with the change.
    pub head: PullRequestHead,
    /// The branch to merge into.
    pub base: BranchName,
    /// One line.
    pub title: OutgoingText,
    /// Markdown.
    pub body: OutgoingText,
    /// Whether to open a draft. Without drafts the platform opens an ordinary pull request and the result says so.
    pub draft: bool,
}

/// A user name and password for git over HTTP.
#[derive(Debug, Clone)]
pub struct GitCredential {
    /// The user name that the platform expects with a token. Empty: the token is sent as `Authorization: Bearer`.
    pub username: String,
    /// The token.
    pub password: Secret,
}

/// How the branch of a pull request relates to its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeState {
    /// It can be merged, as far as its base is concerned.
    Clean,
    /// Its base has newer commits, and the platform wants the branch to have them.
    Behind,
    /// Both changed the same lines.
    Conflict,
    /// The platform does not say.
    Unknown,
}

/// A code host.
///
/// Beside the rules of [`Tracker`], an implementation
/// * MUST answer [`ForgeError::Refused`] for a second open pull request of one branch: the caller looks with
///   [`Forge::find_pull_request`] first;
/// * MUST treat `mark_ready` on a ready pull request as success;
/// * MUST return [`Permission::None`] for an account that the platform does not have.
#[async_trait]
pub trait Forge: Tracker {
    /// Returns the login under which this server comments.
    async fn own_login(&self) -> Result<String, ForgeError>;

    /// Returns a repository's description.
    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError>;

    /// Returns one page of the open issues of a repository, without pull requests. Pages count from 1.
    async fn open_issues(&self, repo: &RepoName, page: u32) -> Result<IssuePage, ForgeError>;

    /// Opens an issue with this server's account. MUST NOT be repeated after an unknown outcome.
    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError>;

    /// Returns a user's access to a repository.
    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError>;

    /// Returns the e-mail address by which the platform attributes commits to a user and that reveals only their login;
    /// `None` if the platform has no such address or no such user.
    async fn commit_address(&self, repo: &RepoName, login: &str) -> Result<Option<String>, ForgeError>;

    /// Returns the open pull request from a branch that this server's account opened. A pull request of another account MUST NOT
    /// be returned.
    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &PullRequestHead,
    ) -> Result<Option<PullRequestRef>, ForgeError>;

    /// Returns the open pull requests that name an issue in their title or text, as far as the newest hundred tell; those of this
    /// server's account are left out. Platforms that cannot tell return none.
    async fn pull_requests_naming(&self, issue: &IssueRef) -> Result<Vec<OtherPullRequest>, ForgeError> {
        let _ = issue;
        Ok(Vec::new())
    }

    /// Returns this account's fork of a repository, in which `base` is as it is in the repository. It is made if there is none; the
    /// repository itself is returned if it is this account's. A fork that is still being made is [`ForgeError::Unavailable`]. Platforms
    /// that cannot bring a fork up to date answer [`ForgeError::Refused`]; so does this default.
    async fn ensure_fork(&self, repo: &RepoName, base: &BranchName) -> Result<Repository, ForgeError> {
        let _ = base;
        Err(ForgeError::Refused {
            platform: self.platform(),
            action: format!("fork {repo}"),
            detail: "this server cannot keep forks up to date there; set PUSH_TO=branch".to_owned(),
        })
    }

    /// Opens a pull request. MUST NOT be repeated after an unknown outcome.
    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError>;

    /// Replaces a pull request's text.
    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &OutgoingText) -> Result<(), ForgeError>;

    /// Returns all comments in the conversation of a pull request, oldest first.
    async fn pull_request_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, ForgeError>;

    /// Writes a comment in the conversation of a pull request and returns its id. MUST NOT be repeated after an unknown
    /// outcome.
    async fn comment_pull_request(
        &self,
        repo: &RepoName,
        number: u64,
        body: &OutgoingText,
    ) -> Result<String, ForgeError>;

    /// Returns the comments on lines of the diff that belong to a review. Platforms without reviews return none.
    async fn review_comments(
        &self,
        repo: &RepoName,
        number: u64,
        review: u64,
    ) -> Result<Vec<(DiffPlace, Comment)>, ForgeError> {
        let _ = (repo, number, review);
        Ok(Vec::new())
    }

    /// Returns what the platform's CI says about a commit, tag or branch; `None` if the platform has no such thing.
    async fn ci_checks(&self, repo: &RepoName, at: &str) -> Result<Option<Vec<CiCheck>>, ForgeError> {
        let _ = (repo, at);
        Ok(None)
    }

    /// Returns what a failed check printed or noted, as far as the platform tells it. Whoever may run the repository's CI
    /// writes this text.
    async fn ci_output(&self, repo: &RepoName, check: &CiCheck) -> Result<String, ForgeError> {
        let _ = (repo, check);
        Ok(String::new())
    }

    /// Marks a draft ready for review.
    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError>;

    /// Asks a person to review a pull request. One who is asked already, or cannot be asked (its author, somebody without access),
    /// is success; so is a platform that has no such thing.
    async fn request_review(&self, repo: &RepoName, number: u64, login: &str) -> Result<(), ForgeError> {
        let _ = (repo, number, login);
        Ok(())
    }

    /// Returns how the branch of a pull request relates to its base. A platform that does not say it answers
    /// [`MergeState::Unknown`], and so does one that is still working it out.
    async fn merge_state(&self, repo: &RepoName, number: u64) -> Result<MergeState, ForgeError> {
        let _ = (repo, number);
        Ok(MergeState::Unknown)
    }

    /// Merges a pull request whose branch is at this commit. A pull request that is merged already is success; a draft, a
    /// conflict, failing checks or other commits on the branch are [`ForgeError::Refused`].
    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError>;

    /// Returns a file's content at a branch, tag or commit; `None` if it does not exist or is not UTF-8.
    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError>;

    /// Returns the credential with which git reads and writes the repository; `None` if it needs none.
    async fn git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError>;

    /// Returns a new credential after the git server refused the last one; the same one where the platform issues none.
    async fn renew_git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        self.git_credential(repo).await
    }

    /// Returns the address of the issue's page. Makes no call.
    fn issue_url(&self, issue: &IssueRef) -> String;
}

/// Returns whether a text names an issue by its number: `#42`, `owner/name#42`, or its address.
pub fn names_issue(text: &str, repo: &RepoName, number: u64) -> bool {
    let digits = number.to_string();
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
    let short = format!("#{digits}");
    let by_number = text.match_indices(&short).any(|(at, _)| {
        let before = &text[..at];
        let is_mark = |c: char| c.is_whitespace() || matches!(c, '(' | '[' | ',' | ':' | '*' | '_' | '"' | '`');
        let word = before.rsplit(is_mark).next().unwrap_or_default();
        // `other/repo#42` is another issue, and `abc#42` is none.
        let is_ours = word.is_empty() || word.eq_ignore_ascii_case(&repo.to_string());
        is_ours && is_end(&text[at + short.len()..])
    });
    let address = format!("{repo}/issues/{digits}");
    let lower = text.to_lowercase();
    let is_own = |at: usize| lower[..at].ends_with('/');
    by_number
        || lower
            .match_indices(&address.to_lowercase())
            .any(|(at, found)| is_own(at) && is_end(&lower[at + found.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_named_by_its_number_its_full_name_or_its_address() {
        let repo = RepoName::new("acme", "shop").unwrap();
        let named = |text: &str| names_issue(text, &repo, 42);
        for text in [
            "Fixes #42",
            "fix(#42): x",
            "see acme/shop#42.",
            "https://github.com/acme/shop/issues/42",
            "closes: #42, #43",
            "**#42**",
        ] {
            assert!(named(text), "{text}");
        }
        for text in [
            "#421",
            "other/repo#42",
            "abc#42",
            "https://github.com/acme/shop/issues/421",
            "https://x.example/notacme/shop/issues/42",
            "42",
        ] {
            assert!(!named(text), "{text}");
        }
    }
}
