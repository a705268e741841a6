//! Check runs: results at a commit, as continuous integration shows them. Only Apps may write them.

use patchwright_core::forge::ForgeError;
use patchwright_domain::{CommitSha, RepoName};
use patchwright_http::forge::read_json;
use patchwright_http::{Request, Retry};

use crate::auth::TokenPurpose;
use crate::{GITHUB, GithubForge, wire};

/// The conclusion of a check run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Passed.
    Success,
    /// Failed; can block a merge.
    Failure,
    /// Neither passed nor failed; does not block a merge.
    Neutral,
    /// Cancelled before it was complete.
    Cancelled,
}

impl Conclusion {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Neutral => "neutral",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The content of a check run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckState<'a> {
    /// The conclusion; `None` while the check runs.
    pub conclusion: Option<Conclusion>,
    /// One line.
    pub title: &'a str,
    /// Markdown.
    pub summary: &'a str,
}

impl<'a> CheckState<'a> {
    const fn wire(self, name: Option<&'a str>, head_sha: Option<&'a str>) -> wire::Check<'a> {
        let (status, conclusion) = match self.conclusion {
            // GitHub accepts `completed` without a conclusion and then shows a check that never ends.
            Some(conclusion) => ("completed", Some(conclusion.as_str())),
            None => ("in_progress", None),
        };
        let output = wire::CheckOutput { title: self.title, summary: self.summary };
        wire::Check { name, head_sha, status, conclusion, output }
    }
}

impl GithubForge {
    /// Creates a check run at a commit and returns its id.
    ///
    /// # Errors
    /// [`ForgeError::Forbidden`] with a personal access token: only Apps may write check runs.
    pub async fn create_check(
        &self,
        repo: &RepoName,
        commit: &CommitSha,
        name: &str,
        state: CheckState<'_>,
    ) -> Result<u64, ForgeError> {
        let action = format!("write the check {name} of {repo}");
        let request =
            Request::post(self.repo_url(repo, "/check-runs")).json(&state.wire(Some(name), Some(commit.as_str())));
        let response = self
            .call_for(TokenPurpose::Checks, repo, request, Retry::Never, &action, &format!("{commit} of {repo}"))
            .await?;
        Ok(read_json::<wire::Id>(GITHUB, &response, &action)?.id)
    }

    /// Replaces the content of a check run.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] if there is no check run with this id.
    pub async fn update_check(&self, repo: &RepoName, id: u64, state: CheckState<'_>) -> Result<(), ForgeError> {
        let what = format!("the check {id} of {repo}");
        let request = Request::patch(self.repo_url(repo, &format!("/check-runs/{id}"))).json(&state.wire(None, None));
        self.call_for(TokenPurpose::Checks, repo, request, Retry::Safe, &format!("change {what}"), &what)
            .await
            .map(|_| ())
    }
}
