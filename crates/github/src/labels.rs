//! Labels and reactions.

use patchwright_core::forge::ForgeError;
use patchwright_domain::IssueRef;
use patchwright_http::forge::encode_segment;
use patchwright_http::{Request, Retry};

use crate::forge::issue_path;
use crate::{GithubForge, wire};

/// A reaction to an issue or comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// 👍
    ThumbsUp,
    /// 👎
    ThumbsDown,
    /// 😕
    Confused,
    /// 🎉
    Hooray,
    /// 🚀
    Rocket,
    /// 👀
    Eyes,
}

impl Reaction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ThumbsUp => "+1",
            Self::ThumbsDown => "-1",
            Self::Confused => "confused",
            Self::Hooray => "hooray",
            Self::Rocket => "rocket",
            Self::Eyes => "eyes",
        }
    }
}

impl GithubForge {
    /// Adds a reaction to an issue, or to a comment on it. Idempotent.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] if the issue or comment does not exist.
    pub async fn react(
        &self,
        issue: &IssueRef,
        comment_id: Option<&str>,
        reaction: Reaction,
    ) -> Result<(), ForgeError> {
        let (path, what) = match comment_id {
            Some(id) => (format!("/issues/comments/{}", encode_segment(id)), format!("the comment {id} on {issue}")),
            None => (issue_path(issue), format!("the issue {issue}")),
        };
        let request = Request::post(self.repo_url(&issue.repo, &format!("{path}/reactions")))
            .json(&wire::ReactionContent { content: reaction.as_str() });
        self.call(&issue.repo, request, Retry::Safe, &format!("react to {what}"), &what).await.map(|_| ())
    }

    /// Adds labels to an issue. Labels that the repository does not have are created.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] if the issue does not exist.
    pub async fn add_labels(&self, issue: &IssueRef, labels: &[&str]) -> Result<(), ForgeError> {
        let what = format!("the issue {issue}");
        let url = self.repo_url(&issue.repo, &format!("{}/labels", issue_path(issue)));
        let request = Request::post(url).json(&wire::Labels { labels });
        self.call(&issue.repo, request, Retry::Safe, &format!("label {what}"), &what).await.map(|_| ())
    }

    /// Removes a label from an issue. A label that the issue does not have is success.
    ///
    /// # Errors
    /// [`ForgeError`], except for a missing label.
    pub async fn remove_label(&self, issue: &IssueRef, label: &str) -> Result<(), ForgeError> {
        let what = format!("the label {label} of {issue}");
        let path = format!("{}/labels/{}", issue_path(issue), encode_segment(label));
        let request = Request::delete(self.repo_url(&issue.repo, &path));
        match self.call(&issue.repo, request, Retry::Safe, &format!("remove {what}"), &what).await {
            Ok(_) | Err(ForgeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
