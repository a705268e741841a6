//! Single files through the contents API, one commit each, for changes that need no clone.

use base64::Engine as _;
use patchwright_core::forge::ForgeError;
use patchwright_domain::{BranchName, CommitSha, RepoName, RepoPath};
use patchwright_http::forge::{encode_path, read_json};
use patchwright_http::{Request, Retry};

use crate::{GITHUB, GithubForge, wire};

impl GithubForge {
    pub(crate) fn content_url(&self, repo: &RepoName, path: &RepoPath) -> String {
        self.repo_url(repo, &format!("/contents/{}", encode_path(path.as_str())))
    }

    /// Creates or replaces a file on a branch with one commit and returns the commit.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] if the file changes at the same time (GitHub's 409), [`ForgeError::NotFound`] without the
    /// branch.
    pub async fn write_file(
        &self,
        repo: &RepoName,
        branch: &BranchName,
        path: &RepoPath,
        content: &[u8],
        message: &str,
    ) -> Result<CommitSha, ForgeError> {
        let what = format!("{path} on {branch} of {repo}");
        let action = format!("write {what}");
        let sha = self.content_sha(repo, branch, path, &what).await?;
        let body = wire::WriteContent {
            message,
            content: base64::engine::general_purpose::STANDARD.encode(content),
            branch: branch.as_str(),
            sha: sha.as_deref(),
        };
        let request = Request::put(self.content_url(repo, path)).json(&body);
        // Not retried: GitHub refuses the second request, because the file no longer has the hash that it names.
        let response = self.call(repo, request, Retry::Never, &action, &what).await?;
        let written: wire::WrittenContent = read_json(GITHUB, &response, &action)?;
        CommitSha::parse(&written.commit.sha).map_err(|source| ForgeError::InvalidResponse {
            platform: GITHUB,
            action,
            source: Box::new(source),
        })
    }

    /// Returns the present hash of the file, which GitHub requires for a replacement.
    async fn content_sha(
        &self,
        repo: &RepoName,
        branch: &BranchName,
        path: &RepoPath,
        what: &str,
    ) -> Result<Option<String>, ForgeError> {
        let request = Request::get(self.content_url(repo, path)).query("ref", branch.as_str());
        match self.read(repo, request, what).await {
            Ok(response) => Ok(Some(read_json::<wire::ContentSha>(GITHUB, &response, &format!("read {what}"))?.sha)),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
