//! The implementation of the forge port.

use async_trait::async_trait;
use patchwright_core::fault::Cause;
use patchwright_core::forge::names_issue;
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, IssuePage, MergeState, NewPullRequest, Permission, PullRequestHead,
    RemoteIssue, Repository, Tracker,
};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_domain::job::{OtherPullRequest, PullRequestRef};
use patchwright_domain::{CommitSha, IssueNumber, IssueRef, PlatformId, RepoName, RepoPath};
use patchwright_http::forge::{encode_path, encode_segment, read_json};
use patchwright_http::{Request, Response, Retry};

use crate::{GITCODE, GitcodeForge, convert, wire};

/// The limit on a comment. The platform documents none; GitHub's is assumed.
const MAX_COMMENT_CHARS: usize = 65_536;
/// The number of entries of a page, the largest that the platform accepts.
const PAGE_LIMIT: usize = 100;
/// The largest number of pages that are read of one list.
const MAX_PAGES: u32 = 50;

fn issue_path(issue: &IssueRef) -> String {
    format!("/issues/{}", issue.number.api)
}

pub(crate) fn invalid_response(action: &str, source: Cause) -> ForgeError {
    ForgeError::InvalidResponse { platform: GITCODE, action: action.to_owned(), source }
}

/// Returns whether a list has another page: by the platform's total, or by whether the page is full.
fn has_next(response: &Response, page: u32, found: usize) -> bool {
    match response.header("total_page").and_then(|total| total.parse::<u32>().ok()) {
        Some(total) => page < total,
        None => found == PAGE_LIMIT,
    }
}

impl GitcodeForge {
    /// Returns the comments of an issue or a pull request.
    async fn list_comments(&self, url: &str, what: &str) -> Result<Vec<Comment>, ForgeError> {
        let mut comments = Vec::new();
        for page in 1..=MAX_PAGES {
            let request = Request::get(url).query("per_page", PAGE_LIMIT.to_string()).query("page", page.to_string());
            let response = self.read(request, what).await?;
            let found: Vec<wire::Comment> = read_json(GITCODE, &response, &format!("read {what}"))?;
            let more = has_next(&response, page, found.len());
            comments.extend(found.into_iter().map(Comment::from));
            if !more {
                break;
            }
        }
        Ok(comments)
    }

    async fn add_comment(
        &self,
        url: String,
        action: &str,
        what: &str,
        body: &OutgoingText,
    ) -> Result<String, ForgeError> {
        let request = Request::post(url).json(&wire::Body { body: body.as_str() });
        let response = self.call(request, Retry::Never, action, what).await?;
        Ok(read_json::<wire::Comment>(GITCODE, &response, action)?.id.to_string())
    }
}

#[async_trait]
impl Tracker for GitcodeForge {
    fn platform(&self) -> PlatformId {
        GITCODE
    }

    fn max_comment_chars(&self) -> usize {
        MAX_COMMENT_CHARS
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        let what = format!("the issue {issue}");
        let response = self.read(Request::get(self.repo_url(&issue.repo, &issue_path(issue))), &what).await?;
        Ok(read_json::<wire::Issue>(GITCODE, &response, &format!("read {what}"))?.into())
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        let url = self.repo_url(&issue.repo, &format!("{}/comments", issue_path(issue)));
        self.list_comments(&url, &format!("the comments of {issue}")).await
    }

    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError> {
        let url = self.repo_url(&issue.repo, &format!("{}/comments", issue_path(issue)));
        self.add_comment(url, &format!("comment on {issue}"), &format!("the issue {issue}"), body).await
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError> {
        let path = format!("/issues/comments/{}", encode_segment(comment_id));
        let request = Request::patch(self.repo_url(&issue.repo, &path)).json(&wire::Body { body: body.as_str() });
        let what = format!("the comment {comment_id} on {issue}");
        self.call(request, Retry::Safe, &format!("edit {what}"), &what).await.map(|_| ())
    }
}

#[async_trait]
impl Forge for GitcodeForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        let fetch = || async {
            let what = "the authenticated account";
            let response = self.read(Request::get(self.url("/user")), what).await?;
            let user: wire::User = read_json(GITCODE, &response, &format!("read {what}"))?;
            user.login.ok_or_else(|| invalid_response(&format!("read {what}"), "it has no login".into()))
        };
        self.own_login.get_or_try_init(fetch).await.cloned()
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let what = format!("the repository {repo}");
        let action = format!("read {what}");
        let response = self.read(Request::get(self.repo_url(repo, "")), &what).await?;
        let found: wire::Repository = read_json(GITCODE, &response, &action)?;
        convert::remote_repository(&found, &self.options.clone_url).map_err(|source| invalid_response(&action, source))
    }

    async fn open_issues(&self, repo: &RepoName, page: u32) -> Result<IssuePage, ForgeError> {
        let what = format!("the issues of {repo}");
        let action = format!("read {what}");
        let request = Request::get(self.repo_url(repo, "/issues"))
            .query("state", "open")
            .query("per_page", PAGE_LIMIT.to_string())
            .query("page", page.to_string());
        let response = self.read(request, &what).await?;
        let found: Vec<wire::Issue> = read_json(GITCODE, &response, &action)?;
        let more = has_next(&response, page, found.len());
        let numbered = found.into_iter().map(|issue| Ok((issue.number(&action)?, issue.into())));
        Ok(IssuePage { issues: numbered.collect::<Result<_, ForgeError>>()?, more })
    }

    /// Unlike other calls, this one has the repository's name in the body and not in the path.
    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError> {
        let action = format!("open an issue in {repo}");
        let url = self.url(&format!("/repos/{}/issues", repo.owner()));
        let request = Request::post(url).json(&wire::CreateIssue { repo: repo.name(), title, body });
        let response = self.call(request, Retry::Never, &action, &format!("the repository {repo}")).await?;
        read_json::<wire::Issue>(GITCODE, &response, &action)?.number(&action)
    }

    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError> {
        let what = format!("the permission of {login} in {repo}");
        // The login comes from a comment; `..` would address another resource in any encoding.
        if login.is_empty() || login.bytes().all(|byte| byte == b'.') {
            return Ok(Permission::None);
        }
        let path = format!("/collaborators/{}/permission", encode_segment(login));
        match self.read(Request::get(self.repo_url(repo, &path)), &what).await {
            Ok(response) => Ok(convert::permission(&read_json(GITCODE, &response, &format!("read {what}"))?)),
            Err(ForgeError::NotFound { .. }) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }

    async fn commit_address(&self, _: &RepoName, _: &str) -> Result<Option<String>, ForgeError> {
        // GitCode documents no such address.
        Ok(None)
    }

    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &PullRequestHead,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        let what = format!("the pull requests of {repo}");
        let action = format!("read {what}");
        let own = self.own_login().await?;
        for page in 1..=MAX_PAGES {
            let request = Request::get(self.repo_url(repo, "/pulls"))
                .query("state", "open")
                .query("head", head.branch.as_str())
                .query("per_page", PAGE_LIMIT.to_string())
                .query("page", page.to_string());
            let response = self.read(request, &what).await?;
            let found: Vec<wire::PullRequest> = read_json(GITCODE, &response, &action)?;
            // Filtered again, because it is not certain that every installation supports the query.
            let ours = |pull: &&wire::PullRequest| {
                let branch = pull.head.as_ref().and_then(|head| head.name.as_deref());
                let author = pull.user.as_ref().and_then(|user| user.login.as_deref());
                branch == Some(head.branch.as_str()) && author.is_some_and(|author| author.eq_ignore_ascii_case(&own))
            };
            if let Some(pull) = found.iter().find(ours) {
                return self.reference(repo, pull, &action).map(Some);
            }
            if !has_next(&response, page, found.len()) {
                break;
            }
        }
        Ok(None)
    }

    async fn pull_requests_naming(&self, issue: &IssueRef) -> Result<Vec<OtherPullRequest>, ForgeError> {
        let repo = &issue.repo;
        let what = format!("the pull requests of {repo}");
        let action = format!("read {what}");
        let request = Request::get(self.repo_url(repo, "/pulls"))
            .query("state", "open")
            .query("per_page", PAGE_LIMIT.to_string());
        let found: Vec<wire::PullRequest> = read_json(GITCODE, &self.read(request, &what).await?, &action)?;
        let own = self.own_login().await?;
        let mut others = Vec::new();
        for pull in found {
            let author = pull.user.as_ref().and_then(|user| user.login.clone()).unwrap_or_default();
            let title = pull.title.clone().unwrap_or_default();
            let text = format!("{title}\n{}", pull.body.as_deref().unwrap_or_default());
            if !author.eq_ignore_ascii_case(&own) && names_issue(&text, repo, issue.number.display) {
                let PullRequestRef { number, url, .. } = self.reference(repo, &pull, &action)?;
                others.push(OtherPullRequest { number, url, title, author });
            }
        }
        Ok(others)
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        let action = format!("open a pull request for {} in {repo}", new.head);
        let request = Request::post(self.repo_url(repo, "/pulls")).json(&wire::CreatePullRequest {
            title: new.title.as_str(),
            head: new.head.branch.as_str(),
            base: new.base.as_str(),
            body: new.body.as_str(),
            draft: new.draft,
        });
        let response = self.call(request, Retry::Never, &action, &format!("the repository {repo}")).await?;
        self.reference(repo, &read_json(GITCODE, &response, &action)?, &action)
    }

    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &OutgoingText) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}!{number}");
        let request = Request::patch(self.pull_url(repo, number)).json(&wire::Body { body: body.as_str() });
        self.call(request, Retry::Safe, &format!("edit {what}"), &what).await.map(|_| ())
    }

    async fn pull_request_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, ForgeError> {
        let url = format!("{}/comments", self.pull_url(repo, number));
        self.list_comments(&url, &format!("the comments of {repo}!{number}")).await
    }

    async fn comment_pull_request(
        &self,
        repo: &RepoName,
        number: u64,
        body: &OutgoingText,
    ) -> Result<String, ForgeError> {
        let url = format!("{}/comments", self.pull_url(repo, number));
        let what = format!("the pull request {repo}!{number}");
        self.add_comment(url, &format!("comment on {what}"), &what, body).await
    }

    /// Reads the pull request back, because the response to the change does not contain its state.
    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        let number = pull_request.number;
        let what = format!("the pull request {repo}!{number}");
        let action = format!("mark {what} ready");
        let title = self.pull(repo, number, &what).await?.title;
        let title = title.as_deref().and_then(convert::without_draft_prefix);
        let request =
            Request::patch(self.pull_url(repo, number)).json(&wire::ChangePullRequest { draft: false, title });
        self.call(request, Retry::Safe, &action, &what).await?;
        if self.pull(repo, number, &what).await?.is_draft() {
            let detail = "it is still a draft".to_owned();
            return Err(ForgeError::Refused { platform: GITCODE, action, detail });
        }
        Ok(())
    }

    async fn merge_state(&self, repo: &RepoName, number: u64) -> Result<MergeState, ForgeError> {
        let found = self.pull(repo, number, &format!("the pull request {repo}!{number}")).await?;
        // `mergeable: false` may also mean a draft, or rules and checks that are not fulfilled.
        let has_conflict = found.mergeable_state.and_then(|state| state.conflict_passed) == Some(false);
        Ok(match found.mergeable {
            _ if has_conflict => MergeState::Conflict,
            Some(true) => MergeState::Clean,
            _ => MergeState::Unknown,
        })
    }

    /// Compares the commit before the merge, because the call has no parameter for it.
    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError> {
        let what = format!("the pull request {repo}!{number}");
        let action = format!("merge {what}");
        let found = self.pull(repo, number, &what).await?;
        if found.state.as_deref() == Some("merged") {
            return Ok(());
        }
        let tip = found.head.and_then(|head| head.sha);
        if tip.is_some_and(|tip| tip != head.as_str()) {
            let detail = "its branch is at another commit".to_owned();
            return Err(ForgeError::Refused { platform: GITCODE, action, detail });
        }
        let request =
            Request::put(format!("{}/merge", self.pull_url(repo, number))).json(&wire::Merge { merge_method: "merge" });
        self.call(request, Retry::Never, &action, &what).await.map(|_| ())
    }

    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError> {
        let what = format!("{path} of {repo}");
        let url = self.repo_url(repo, &format!("/contents/{}", encode_path(path.as_str())));
        match self.read(Request::get(url).query("ref", at), &what).await {
            // The response for a folder is an array, which does not decode as a file.
            Ok(response) => Ok(response.json().ok().as_ref().and_then(convert::content)),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn git_credential(&self, _: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        let credential = |token| GitCredential { username: "oauth2".into(), password: token };
        Ok(self.options.token.clone().map(credential))
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        self.page(&issue.repo, &format!("/issues/{}", issue.number))
    }
}

impl GitcodeForge {
    fn pull_url(&self, repo: &RepoName, number: u64) -> String {
        self.repo_url(repo, &format!("/pulls/{number}"))
    }

    async fn pull(&self, repo: &RepoName, number: u64, what: &str) -> Result<wire::PullRequest, ForgeError> {
        let response = self.read(Request::get(self.pull_url(repo, number)), what).await?;
        read_json(GITCODE, &response, &format!("read {what}"))
    }

    fn reference(&self, repo: &RepoName, pull: &wire::PullRequest, action: &str) -> Result<PullRequestRef, ForgeError> {
        let page = |number| self.page(repo, &format!("/pull/{number}"));
        pull.reference(page).map_err(|source| invalid_response(action, source))
    }
}
