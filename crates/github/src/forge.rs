//! The implementation of the forge port.

use async_trait::async_trait;
use patchwright_core::forge::names_issue;
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, IssuePage, MergeState, NewPullRequest, Permission, PullRequestHead,
    RemoteIssue, Repository, Tracker,
};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::webhook::DiffPlace;
use patchwright_domain::job::ci::CiCheck;
use patchwright_domain::job::{OtherPullRequest, PullRequestRef};
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, PlatformId, RepoName, RepoPath};
use patchwright_http::forge::{encode_segment, read_json};
use patchwright_http::{Request, Response, Retry};

use crate::auth::TokenPurpose;
use crate::{GITHUB, GithubForge, convert, wire};

/// GitHub's limit on a comment or pull request text.
const MAX_COMMENT_CHARS: usize = 65_536;
/// The largest number of pages that are read of one list, at 100 entries each.
pub(crate) const MAX_PAGES: u32 = 50;

const MARK_READY: &str = "mutation($id:ID!){markPullRequestReadyForReview(input:{pullRequestId:$id})\
                          {pullRequest{isDraft number}}}";

impl GithubForge {
    /// Reads the login under which comments appear: the App's, which ends in `[bot]`, or that of the token's owner.
    async fn fetch_own_login(&self) -> Result<String, ForgeError> {
        let (path, token) = match self.auth.app_token() {
            Some(token) => ("/app", Some(token)),
            None => ("/user", self.options.token.clone()),
        };
        let what = "the authenticated account";
        let account = crate::auth::Account { installation: None, token };
        let response = self.send(&account, Request::get(self.url(path)), Retry::Safe).await?;
        let response = crate::error::check(response, &format!("read {what}"), what)?;
        if path == "/app" {
            let app: wire::OwnApp = read_json(GITHUB, &response, &format!("read {what}"))?;
            return Ok(format!("{}[bot]", app.slug));
        }
        Ok(read_json::<wire::User>(GITHUB, &response, &format!("read {what}"))?.login)
    }
}

/// Returns whether a list has another page.
pub(crate) fn has_next(response: &Response) -> bool {
    response.header("link").is_some_and(|link| link.contains("rel=\"next\""))
}

pub(crate) fn issue_path(issue: &IssueRef) -> String {
    format!("/issues/{}", issue.number.api)
}

#[async_trait]
impl Tracker for GithubForge {
    fn platform(&self) -> PlatformId {
        GITHUB
    }

    fn max_comment_chars(&self) -> usize {
        MAX_COMMENT_CHARS
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        let what = format!("the issue {issue}");
        let request = Request::get(self.repo_url(&issue.repo, &issue_path(issue)));
        let response = self.read(&issue.repo, request, &what).await?;
        Ok(read_json::<wire::Issue>(GITHUB, &response, &format!("read {what}"))?.into())
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        let what = format!("the comments of {issue}");
        let url = self.repo_url(&issue.repo, &format!("{}/comments", issue_path(issue)));
        let mut comments = Vec::new();
        for page in 1..=MAX_PAGES {
            let request = Request::get(&url).query("per_page", "100").query("page", page.to_string());
            let response = self.read(&issue.repo, request, &what).await?;
            let more = has_next(&response);
            let found: Vec<wire::Comment> = read_json(GITHUB, &response, &format!("read {what}"))?;
            comments.extend(found.into_iter().map(Comment::from));
            if !more {
                break;
            }
        }
        Ok(comments)
    }

    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError> {
        let action = format!("comment on {issue}");
        let url = self.repo_url(&issue.repo, &format!("{}/comments", issue_path(issue)));
        let request = Request::post(url).json(&wire::Body { body: body.as_str() });
        let what = format!("the issue {issue}");
        let response = self.call(&issue.repo, request, Retry::Never, &action, &what).await?;
        let comment: wire::Comment = read_json(GITHUB, &response, &action)?;
        comment.id.map(|id| id.to_string()).ok_or_else(|| ForgeError::InvalidResponse {
            platform: GITHUB,
            action,
            source: "the new comment has no id".into(),
        })
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError> {
        let url = self.repo_url(&issue.repo, &format!("/issues/comments/{comment_id}"));
        let request = Request::patch(url).json(&wire::Body { body: body.as_str() });
        let what = format!("the comment {comment_id} on {issue}");
        self.call(&issue.repo, request, Retry::Safe, &format!("edit {what}"), &what).await.map(|_| ())
    }
}

#[async_trait]
impl Forge for GithubForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        self.own_login_cell().get_or_try_init(|| self.fetch_own_login()).await.cloned()
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let what = format!("the repository {repo}");
        let action = format!("read {what}");
        let response = self.read(repo, Request::get(self.repo_url(repo, "")), &what).await?;
        let found: wire::Repository = read_json(GITHUB, &response, &action)?;
        convert::repository(&found, &self.options.clone_url).map_err(|source| ForgeError::InvalidResponse {
            platform: GITHUB,
            action,
            source,
        })
    }

    async fn open_issues(&self, repo: &RepoName, page: u32) -> Result<IssuePage, ForgeError> {
        let what = format!("the issues of {repo}");
        let request = Request::get(self.repo_url(repo, "/issues"))
            .query("state", "open")
            .query("per_page", "100")
            .query("page", page.to_string());
        let response = self.read(repo, request, &what).await?;
        let more = has_next(&response);
        let found: Vec<wire::Issue> = read_json(GITHUB, &response, &format!("read {what}"))?;
        // GitHub's list of issues includes pull requests.
        let issues = found.into_iter().filter(|issue| issue.pull_request.is_none());
        Ok(IssuePage { issues: issues.map(|issue| (IssueNumber::same(issue.number), issue.into())).collect(), more })
    }

    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError> {
        let action = format!("open an issue in {repo}");
        let request = Request::post(self.repo_url(repo, "/issues")).json(&wire::CreateIssue { title, body });
        let response = self.call(repo, request, Retry::Never, &action, &format!("the repository {repo}")).await?;
        Ok(IssueNumber::same(read_json::<wire::Issue>(GITHUB, &response, &action)?.number))
    }

    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError> {
        let what = format!("the permission of {login} in {repo}");
        // Encoded, not stripped: `x[bot]` and the user `xbot` are different accounts.
        let path = format!("/collaborators/{}/permission", encode_segment(login));
        let request = Request::get(self.repo_url(repo, &path));
        match self.read(repo, request, &what).await {
            Ok(response) => Ok(convert::permission(&read_json(GITHUB, &response, &format!("read {what}"))?)),
            Err(ForgeError::NotFound { .. }) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }

    /// Returns `ID+LOGIN@users.noreply.HOST` (GitHub's "Setting your commit email address"), which stays valid when the
    /// user changes their login.
    async fn commit_address(&self, repo: &RepoName, login: &str) -> Result<Option<String>, ForgeError> {
        let what = format!("the account {login}");
        let request = Request::get(self.url(&format!("/users/{}", encode_segment(login))));
        let response = match self.read(repo, request, &what).await {
            Ok(response) => response,
            Err(ForgeError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let user: wire::Account = read_json(GITHUB, &response, &format!("read {what}"))?;
        let base = self.options.clone_url.split_once("://").map_or("", |(_, rest)| rest);
        let host = base.split(['/', ':']).next().unwrap_or_default();
        Ok(Some(format!("{}+{}@users.noreply.{host}", user.id, user.login)))
    }

    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &PullRequestHead,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        let what = format!("the pull requests of {repo}");
        let request = Request::get(self.repo_url(repo, "/pulls"))
            .query("state", "open")
            // GitHub ignores the filter without the owner.
            .query("head", format!("{}:{}", head.fork.as_ref().unwrap_or(repo).owner(), head.branch));
        let response = self.read(repo, request, &what).await?;
        let found: Vec<wire::PullRequest> = read_json(GITHUB, &response, &format!("read {what}"))?;
        if found.is_empty() {
            return Ok(None);
        }
        let own = self.own_login().await?;
        let ours = |pr: &wire::PullRequest| pr.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(&own));
        Ok(found.into_iter().find(ours).map(Into::into))
    }

    async fn pull_requests_naming(&self, issue: &IssueRef) -> Result<Vec<OtherPullRequest>, ForgeError> {
        let repo = &issue.repo;
        let what = format!("the pull requests of {repo}");
        let request = Request::get(self.repo_url(repo, "/pulls"))
            .query("state", "open")
            .query("per_page", "100")
            .query("sort", "created")
            .query("direction", "desc");
        let response = self.read(repo, request, &what).await?;
        let found: Vec<wire::PullRequest> = read_json(GITHUB, &response, &format!("read {what}"))?;
        let own = self.own_login().await?;
        let others = found.into_iter().filter_map(|pull| {
            let author = pull.user.map(|user| user.login).unwrap_or_default();
            let text = format!("{}\n{}", pull.title, pull.body.unwrap_or_default());
            let is_wanted = !author.eq_ignore_ascii_case(&own) && names_issue(&text, repo, issue.number.display);
            is_wanted.then_some(OtherPullRequest { number: pull.number, url: pull.html_url, title: pull.title, author })
        });
        Ok(others.collect())
    }

    async fn ensure_fork(&self, repo: &RepoName, base: &BranchName) -> Result<Repository, ForgeError> {
        if self.own_login().await?.eq_ignore_ascii_case(repo.owner()) {
            return self.repository(repo).await;
        }
        let (action, what) = (format!("fork {repo}"), format!("the repository {repo}"));
        // Answers with the fork that there is.
        let request = Request::post(self.repo_url(repo, "/forks")).json(&wire::Fork { default_branch_only: false });
        let response = self.call(repo, request, Retry::Safe, &action, &what).await?;
        let found: wire::Repository = read_json(GITHUB, &response, &action)?;
        let fork = convert::repository(&found, &self.options.clone_url)
            .map_err(|source| ForgeError::InvalidResponse { platform: GITHUB, action: action.clone(), source })?;
        let request = Request::post(self.repo_url(&fork.name, "/merge-upstream"))
            .json(&wire::MergeUpstream { branch: base.as_str() });
        let what = format!("the fork {}", fork.name);
        match self.call(repo, request, Retry::Safe, &format!("bring {what} up to date"), &what).await {
            // A base that is not there, has moved on in the fork, or may not be written: what begins at the repository needs none of it.
            Err(error @ (ForgeError::NotFound { .. } | ForgeError::Refused { .. } | ForgeError::Forbidden { .. })) => {
                tracing::warn!(%error, "the fork is not up to date");
                match self.repository(&fork.name).await {
                    // GitHub makes forks in the background.
                    Err(ForgeError::NotFound { .. }) => {
                        Err(ForgeError::Unavailable { platform: GITHUB, detail: format!("{what} is still being made") })
                    }
                    found => found,
                }
            }
            other => other.map(|_| fork),
        }
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        let action = format!("open a pull request for {} in {repo}", new.head);
        let head = new.head.to_string();
        let create = |draft: bool| {
            Request::post(self.repo_url(repo, "/pulls")).json(&wire::CreatePullRequest {
                title: new.title.as_str(),
                head: &head,
                base: new.base.as_str(),
                body: new.body.as_str(),
                draft,
            })
        };
        let what = format!("the repository {repo}");
        let response = match self.call(repo, create(new.draft), Retry::Never, &action, &what).await {
            // Private repositories of free plans have no drafts.
            Err(ForgeError::Refused { detail, .. }) if new.draft && detail.contains("Draft pull requests") => {
                self.call(repo, create(false), Retry::Never, &action, &what).await?
            }
            other => other?,
        };
        Ok(read_json::<wire::PullRequest>(GITHUB, &response, &action)?.into())
    }

    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &OutgoingText) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}#{number}");
        let request =
            Request::patch(self.repo_url(repo, &format!("/pulls/{number}"))).json(&wire::Body { body: body.as_str() });
        self.call(repo, request, Retry::Safe, &format!("edit {what}"), &what).await.map(|_| ())
    }

    /// GitHub numbers pull requests and issues together; their conversations have the same calls.
    async fn pull_request_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, ForgeError> {
        self.comments(&IssueRef::on_forge(GITHUB, repo.clone(), IssueNumber::same(number))).await
    }

    async fn comment_pull_request(
        &self,
        repo: &RepoName,
        number: u64,
        body: &OutgoingText,
    ) -> Result<String, ForgeError> {
        self.post_comment(&IssueRef::on_forge(GITHUB, repo.clone(), IssueNumber::same(number)), body).await
    }

    async fn review_comments(
        &self,
        repo: &RepoName,
        number: u64,
        review: u64,
    ) -> Result<Vec<(DiffPlace, Comment)>, ForgeError> {
        let what = format!("the comments of the review {review} of {repo}#{number}");
        let url = self.repo_url(repo, &format!("/pulls/{number}/reviews/{review}/comments"));
        let mut comments = Vec::new();
        for page in 1..=MAX_PAGES {
            let request = Request::get(&url).query("per_page", "100").query("page", page.to_string());
            let response = self.read(repo, request, &what).await?;
            let more = has_next(&response);
            let found: Vec<wire::ReviewComment> = read_json(GITHUB, &response, &format!("read {what}"))?;
            comments.extend(found.into_iter().map(convert::review_comment));
            if !more {
                break;
            }
        }
        Ok(comments)
    }

    async fn ci_checks(&self, repo: &RepoName, at: &str) -> Result<Option<Vec<CiCheck>>, ForgeError> {
        self.read_ci_checks(repo, at).await.map(Some)
    }

    async fn ci_output(&self, repo: &RepoName, check: &CiCheck) -> Result<String, ForgeError> {
        match check.id {
            Some(id) => self.read_ci_output(repo, id).await,
            // A status has a description of 140 characters and no output.
            None => Ok(String::new()),
        }
    }

    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}#{}", pull_request.number);
        let action = format!("mark {what} ready");
        if !pull_request.draft {
            return Ok(());
        }
        let Some(id) = &pull_request.node_id else {
            let source = "it has no node id".into();
            return Err(ForgeError::InvalidResponse { platform: GITHUB, action, source });
        };
        // By GraphQL, because PATCH of the REST API ignores `draft`. Idempotent, so it may be retried.
        let query = wire::GraphQl { query: MARK_READY, variables: wire::GraphQlId { id } };
        let request = Request::post(&self.options.graphql_url).json(&query);
        let response = self.call(repo, request, Retry::Safe, &action, &what).await?;
        let answer: wire::GraphQlAnswer = read_json(GITHUB, &response, &action)?;
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

    async fn request_review(&self, repo: &RepoName, number: u64, login: &str) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}#{number}");
        let action = format!("ask {login} to review {what}");
        let url = self.repo_url(repo, &format!("/pulls/{number}/requested_reviewers"));
        // Idempotent, so it may be retried.
        let request = Request::post(url).json(&wire::Reviewers { reviewers: [login] });
        match self.call(repo, request, Retry::Safe, &action, &what).await {
            // The author of the pull request, or somebody who is no collaborator.
            Err(ForgeError::Refused { .. }) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn merge_state(&self, repo: &RepoName, number: u64) -> Result<MergeState, ForgeError> {
        let what = format!("the pull request {repo}#{number}");
        let response = self.read(repo, Request::get(self.repo_url(repo, &format!("/pulls/{number}"))), &what).await?;
        let found: wire::PullRequest = read_json(GITHUB, &response, &format!("read {what}"))?;
        Ok(convert::merge_state(found.mergeable, found.mergeable_state.as_deref()))
    }

    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}#{number}");
        let action = format!("merge {what}");
        let url = self.repo_url(repo, &format!("/pulls/{number}"));
        let request = Request::put(format!("{url}/merge")).json(&wire::Merge { sha: head.as_str() });
        match self.call(repo, request, Retry::Never, &action, &what).await {
            Err(refused @ ForgeError::Refused { .. }) => {
                // GitHub refuses to merge a merged pull request as well.
                let response = self.read(repo, Request::get(url), &what).await?;
                let found: wire::PullRequest = read_json(GITHUB, &response, &format!("read {what}"))?;
                if found.merged == Some(true) { Ok(()) } else { Err(refused) }
            }
            other => other.map(|_| ()),
        }
    }

    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError> {
        let what = format!("{path} of {repo}");
        let request = Request::get(self.content_url(repo, path)).query("ref", at);
        match self.read(repo, request, &what).await {
            // The response for a folder is an array, which does not decode as a file.
            Ok(response) => Ok(response.json().ok().as_ref().and_then(convert::content)),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        let credential = |password| GitCredential { username: "x-access-token".into(), password };
        Ok(self.auth.account(repo, TokenPurpose::Git).await?.token.map(credential))
    }

    async fn renew_git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        self.auth.invalidate(repo);
        self.git_credential(repo).await
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        let base = self.options.clone_url.trim_end_matches('/');
        format!("{base}/{}/issues/{}", issue.repo, issue.number)
    }
}
