//! What of a job is outside of this server: its branch, its pull request, its comments.

use serde::{Deserialize, Serialize};

use super::ci::CiReport;
use crate::{CommitSha, RepoName};

/// Which result of a job is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishMode {
    /// A branch, a pull request, comments.
    PullRequest,
    /// A branch only.
    Branch,
    /// Nothing is published; the patch is in the report.
    Patch,
}

/// The external objects that this job created, so that a repeated effect finds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The progress comment on the issue.
    pub comment_id: Option<String>,
    /// The result comment.
    pub result_comment_id: Option<String>,
    /// The commit of the pushed branch.
    pub pushed: Option<CommitSha>,
    /// The fork that holds the branch, if it is not the repository itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<RepoName>,
    /// The pull request.
    pub pull_request: Option<PullRequestRef>,
    /// Whether it was marked ready for review.
    pub ready: bool,
    /// The effects that failed, with the reasons, for the result comment.
    pub problem: Option<String>,
    /// Open pull requests of others that name the issue, as they were when the job was acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherPullRequest>,
    /// What the forge's CI says about the pushed commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<CiReport>,
}

/// An open pull request of somebody else that names the issue of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPullRequest {
    /// The number on the forge.
    pub number: u64,
    /// The URL of its page.
    pub url: String,
    /// One line, as its author wrote it.
    pub title: String,
    /// The login of its author.
    pub author: String,
}

/// A pull request of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestRef {
    /// The number on the forge.
    pub number: u64,
    /// The URL of its page.
    pub url: String,
    /// The platform's second id, if API calls need one (GitHub's GraphQL).
    pub node_id: Option<String>,
    /// Whether the platform opened it as a draft.
    pub draft: bool,
    /// Whether it was merged or closed, once it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<PullRequestEnd>,
}

/// How a pull request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestEnd {
    /// It was merged into its base branch.
    Merged,
    /// It was closed without a merge.
    Closed,
}

impl Published {
    /// Returns the pull request if it is still open.
    pub fn open_pull_request(&self) -> Option<&PullRequestRef> {
        self.pull_request.as_ref().filter(|pull_request| pull_request.end.is_none())
    }

    /// Returns the pull request as it is now: one that was marked ready is no draft any more.
    pub fn current_pull_request(&self) -> Option<PullRequestRef> {
        let pull_request = self.pull_request.clone()?;
        Some(PullRequestRef { draft: pull_request.draft && !self.ready, ..pull_request })
    }
}
