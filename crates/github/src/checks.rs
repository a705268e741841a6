//! Check runs: a result at a commit, as continuous integration shows it. Only Apps may write them.

use patchwright_core::forge::ForgeError;
use patchwright_domain::{CommitSha, RepoName};
use patchwright_http::forge::read_json;
use patchwright_http::{Request, Retry};

use crate::{GITHUB, GithubForge, wire};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// All is well.
    Success,
    /// Something is wrong.
    Failure,
    /// Nothing can be said.
    Neutral,
    /// It was stopped.
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

/// What a check shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckState<'a> {
    /// How it ended; `None` while it runs.
    pub conclusion: Option<Conclusion>,
    /// One line.
    pub title: &'a str,
    /// Markdown.
    pub summary: &'a str,
}

impl<'a> CheckState<'a> {
    const fn wire(self, name: Option<&'a str>, head_sha: Option<&'a str>) -> wire::Check<'a> {
        let (status, conclusion) = match self.conclusion {
            // GitHub takes `completed` without a conclusion and then shows a check that never ends.
            Some(conclusion) => ("completed", Some(conclusion.as_str())),
            None => ("in_progress", None),
        };
        let output = wire::CheckOutput { title: self.title, summary: self.summary };
        wire::Check { name, head_sha, status, conclusion, output }
    }
}

impl GithubForge {
    /// Makes a check at a commit and returns its number.
    ///
    /// # Errors
    /// [`ForgeError::Forbidden`] with a personal token: only Apps have checks.
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
        let response = self.call(repo, request, Retry::Never, &action, &format!("{commit} of {repo}")).await?;
        Ok(read_json::<wire::Id>(GITHUB, &response, &action)?.id)
    }

    /// Changes a check.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] when there is none of this number.
    pub async fn update_check(&self, repo: &RepoName, id: u64, state: CheckState<'_>) -> Result<(), ForgeError> {
        let what = format!("the check {id} of {repo}");
        let request = Request::patch(self.repo_url(repo, &format!("/check-runs/{id}"))).json(&state.wire(None, None));
        self.call(repo, request, Retry::Safe, &format!("change {what}"), &what).await.map(|_| ())
    }
}
