//! REST and GraphQL out.

use async_trait::async_trait;
use patchwright_core::Secret;
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, NewPullRequest, Permission, RemoteIssue, Repository, Tracker,
};
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{BranchName, IssueRef, PlatformId, RepoName, RepoPath};
use patchwright_http::{HttpClient, Request, Response, Retry};
use tokio::sync::OnceCell;

use crate::error::{check, nonsense, unreachable};
use crate::{GITHUB, convert, wire};

/// The version of the REST API that this crate was written against.
const API_VERSION: &str = "2022-11-28";
/// GitHub's limit on a comment or pull request text, in characters.
const MAX_COMMENT: usize = 65_536;
/// Pages of a hundred comments that are read at the most.
const MAX_PAGES: u32 = 50;

const MARK_READY: &str = "mutation($id:ID!){markPullRequestReadyForReview(input:{pullRequestId:$id})\
                          {pullRequest{isDraft number}}}";

/// Where GitHub is, and who we are there.
#[derive(Debug, Clone)]
pub struct GithubOptions {
    /// `https://api.github.com`, or `https://HOST/api/v3` on Enterprise Server.
    pub api_url: String,
    /// `https://api.github.com/graphql`, or `https://HOST/api/graphql`.
    pub graphql_url: String,
    /// `https://github.com`, or `https://HOST`: repositories are cloned from `{clone_url}/{owner}/{name}.git`.
    pub clone_url: String,
    /// A personal access token; `None` reads public things only.
    pub token: Option<Secret>,
}

impl Default for GithubOptions {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".to_owned(),
            graphql_url: "https://api.github.com/graphql".to_owned(),
            clone_url: "https://github.com".to_owned(),
            token: None,
        }
    }
}

/// GitHub.
#[derive(Debug)]
pub struct GithubForge {
    http: HttpClient,
    options: GithubOptions,
    own_login: OnceCell<String>,
}

impl GithubForge {
    /// GitHub over this client.
    pub fn new(http: HttpClient, options: GithubOptions) -> Self {
        Self { http, options, own_login: OnceCell::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.api_url.trim_end_matches('/'))
    }

    fn repo_url(&self, repo: &RepoName, path: &str) -> String {
        self.url(&format!("/repos/{repo}{path}"))
    }

    fn dress(&self, request: Request) -> Request {
        let request =
            request.header("accept", "application/vnd.github+json").header("x-github-api-version", API_VERSION);
        match &self.options.token {
            Some(token) => request.bearer(token),
            None => request,
        }
    }

    async fn call(&self, request: Request, retry: Retry, action: &str, what: &str) -> Result<Response, ForgeError> {
        let response = self.http.send(self.dress(request), retry).await.map_err(unreachable)?;
        check(response, action, what)
    }

    async fn read(&self, url: String, what: &str) -> Result<Response, ForgeError> {
        self.call(Request::get(url), Retry::Safe, &format!("read {what}"), what).await
    }
}

fn issue_path(issue: &IssueRef) -> String {
    format!("/issues/{}", issue.number.api)
}

#[async_trait]
impl Tracker for GithubForge {
    fn platform(&self) -> PlatformId {
        GITHUB
    }

    fn max_comment_chars(&self) -> usize {
        MAX_COMMENT
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        let what = format!("the issue {issue}");
        let response = self.read(self.repo_url(&issue.repo, &issue_path(issue)), &what).await?;
        Ok(response.json::<wire::Issue>().map_err(nonsense(&format!("read {what}")))?.into())
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        let what = format!("the comments of {issue}");
        let url = self.repo_url(&issue.repo, &format!("{}/comments", issue_path(issue)));
        let mut comments = Vec::new();
        for page in 1..=MAX_PAGES {
            let request = Request::get(&url).query("per_page", "100").query("page", page.to_string());
            let response = self.call(request, Retry::Safe, &format!("read {what}"), &what).await?;
            let more = response.header("link").is_some_and(|link| link.contains("rel=\"next\""));
            let found: Vec<wire::Comment> = response.json().map_err(nonsense(&format!("read {what}")))?;
            comments.extend(found.into_iter().map(|comment| Comment {
                id: comment.id.map(|id| id.to_string()).unwrap_or_default(),
                author: convert::login(comment.user),
                body: comment.body.unwrap_or_default(),
            }));
            if !more {
                break;
            }
        }
        Ok(comments)
    }

    async fn post_comment(&self, issue: &IssueRef, body: &str) -> Result<String, ForgeError> {
        let action = format!("comment on {issue}");
        let url = self.repo_url(&issue.repo, &format!("{}/comments", issue_path(issue)));
        let request = Request::post(url).json(&wire::Body { body });
        let response = self.call(request, Retry::Never, &action, &format!("the issue {issue}")).await?;
        let comment: wire::Comment = response.json().map_err(nonsense(&action))?;
        comment.id.map(|id| id.to_string()).ok_or_else(|| ForgeError::Nonsense {
            platform: GITHUB,
            action,
            source: "the new comment has no id".into(),
        })
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &str) -> Result<(), ForgeError> {
        let url = self.repo_url(&issue.repo, &format!("/issues/comments/{comment_id}"));
        let request = Request::patch(url).json(&wire::Body { body });
        let what = format!("the comment {comment_id} on {issue}");
        self.call(request, Retry::Safe, &format!("edit {what}"), &what).await.map(|_| ())
    }
}

#[async_trait]
impl Forge for GithubForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        self.own_login
            .get_or_try_init(|| async {
                let response = self.read(self.url("/user"), "the token's own account").await?;
                let user: wire::User = response.json().map_err(nonsense("read the token's own account"))?;
                Ok(user.login)
            })
            .await
            .cloned()
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let what = format!("the repository {repo}");
        let action = format!("read {what}");
        let response = self.read(self.repo_url(repo, ""), &what).await?;
        let found = response.json::<wire::Repository>().map_err(nonsense(&action))?;
        convert::repository(&found, &self.options.clone_url).map_err(|source| ForgeError::Nonsense {
            platform: GITHUB,
            action,
            source,
        })
    }

    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError> {
        let what = format!("the permission of {login} in {repo}");
        // The login came from outside: as one path segment it cannot reach another resource.
        let login: String = login.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        match self.read(self.repo_url(repo, &format!("/collaborators/{login}/permission")), &what).await {
            Ok(response) => {
                let answer = response.json().map_err(nonsense(&format!("read {what}")))?;
                Ok(convert::permission(&answer))
            }
            Err(ForgeError::NotFound { .. }) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }

    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        let what = format!("the pull requests of {repo}");
        let request = Request::get(self.repo_url(repo, "/pulls"))
            .query("state", "open")
            // Without its owner GitHub ignores the filter.
            .query("head", format!("{}:{head}", repo.owner()));
        let response = self.call(request, Retry::Safe, &format!("read {what}"), &what).await?;
        let found: Vec<wire::PullRequest> = response.json().map_err(nonsense(&format!("read {what}")))?;
        if found.is_empty() {
            return Ok(None);
        }
        let own = self.own_login().await?;
        let ours = |pr: &wire::PullRequest| pr.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(&own));
        Ok(found.into_iter().find(ours).map(Into::into))
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        let action = format!("open a pull request for {} in {repo}", new.head);
        let create = |draft: bool| {
            Request::post(self.repo_url(repo, "/pulls")).json(&wire::CreatePullRequest {
                title: &new.title,
                head: new.head.as_str(),
                base: new.base.as_str(),
                body: &new.body,
                draft,
            })
        };
        let what = format!("the repository {repo}");
        let response = match self.call(create(new.draft), Retry::Never, &action, &what).await {
            // Private repositories on free plans have no drafts.
            Err(ForgeError::Refused { detail, .. }) if new.draft && detail.contains("Draft pull requests") => {
                self.call(create(false), Retry::Never, &action, &what).await?
            }
            other => other?,
        };
        Ok(response.json::<wire::PullRequest>().map_err(nonsense(&action))?.into())
    }

    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &str) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}#{number}");
        let request = Request::patch(self.repo_url(repo, &format!("/pulls/{number}"))).json(&wire::Body { body });
        self.call(request, Retry::Safe, &format!("edit {what}"), &what).await.map(|_| ())
    }

    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}#{}", pull_request.number);
        let action = format!("mark {what} ready");
        if !pull_request.draft {
            return Ok(());
        }
        let Some(id) = &pull_request.node_id else {
            let source = "it has no node id".into();
            return Err(ForgeError::Nonsense { platform: GITHUB, action, source });
        };
        // REST cannot: its PATCH ignores `draft`. Marking a ready one again does no harm, so it may be repeated.
        let query = wire::GraphQl { query: MARK_READY, variables: wire::GraphQlId { id } };
        let request = Request::post(&self.options.graphql_url).json(&query);
        let response = self.call(request, Retry::Safe, &action, &what).await?;
        let answer: wire::GraphQlAnswer = response.json().map_err(nonsense(&action))?;
        // GraphQL reports errors with status 200.
        let Some(error) = answer.errors.into_iter().next() else { return Ok(()) };
        let platform = GITHUB;
        let detail = error.message;
        Err(match error.kind.as_str() {
            "RATE_LIMITED" => ForgeError::RateLimited { platform, after: response.wait_hint() },
            "NOT_FOUND" => ForgeError::NotFound { platform, what },
            "FORBIDDEN" => ForgeError::Forbidden { platform, action, detail },
            _ if detail.contains("not a draft") => return Ok(()),
            _ if detail.contains("not accessible") => ForgeError::Forbidden { platform, action, detail },
            _ => ForgeError::Refused { platform, action, detail },
        })
    }

    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError> {
        let what = format!("{path} of {repo}");
        let encoded: Vec<String> = path.as_str().split('/').map(encode_segment).collect();
        let request = Request::get(self.repo_url(repo, &format!("/contents/{}", encoded.join("/")))).query("ref", at);
        match self.call(request, Retry::Safe, &format!("read {what}"), &what).await {
            // A folder answers with an array, which is no file.
            Ok(response) => Ok(response.json().ok().as_ref().and_then(convert::content)),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn git_credential(&self, _: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        let credential = |token: &Secret| GitCredential { username: "x-access-token".into(), password: token.clone() };
        Ok(self.options.token.as_ref().map(credential))
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        let base = self.options.clone_url.trim_end_matches('/');
        format!("{base}/{}/issues/{}", issue.repo, issue.number)
    }
}

/// Percent-encodes one segment of a path.
fn encode_segment(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    out
}
