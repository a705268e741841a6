//! Recovery of missed events: failed deliveries are requested again, and repositories without a webhook are polled.

use std::collections::HashSet;

use jiff::Timestamp;
use patchwright_core::forge::{Forge as _, ForgeError};
use patchwright_core::webhook::{Delivery, InboundComment, InboundEvent, InboundIssue};
use patchwright_domain::{DeliveryId, IssueNumber, IssueRef, RepoName};
use patchwright_http::forge::read_json;
use patchwright_http::{Request, Response, Retry};

use crate::auth::Account;
use crate::error::check;
use crate::forge::{MAX_PAGES, has_next};
use crate::{GITHUB, GithubForge, convert, wire};

/// A webhook whose delivery log can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// The App's webhook.
    App,
    /// A repository's webhook; the token needs admin access to the repository.
    Repository {
        /// The repository.
        repo: RepoName,
        /// The webhook's id: the last segment of the address of its settings page.
        id: u64,
    },
}

impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::App => f.write_str("the App's webhook"),
            Self::Repository { repo, id } => write!(f, "the webhook {id} of {repo}"),
        }
    }
}

impl GithubForge {
    /// Requests the deliveries again that failed since a time, and returns their number. They arrive at the webhook endpoint
    /// under their old ids.
    ///
    /// # Errors
    /// [`ForgeError::Forbidden`] or [`ForgeError::NotFound`] if the account may not read the delivery log.
    pub async fn redeliver(&self, hook: &Hook, since: Timestamp) -> Result<usize, ForgeError> {
        let failed = self.failed_deliveries(hook, since).await?;
        for id in &failed {
            let request = Request::post(self.hook_url(hook, &format!("/{id}/attempts")));
            self.call_hook(hook, request, "send a delivery again").await?;
        }
        Ok(failed.len())
    }

    /// Returns the newest attempt of each delivery that never succeeded, oldest first.
    async fn failed_deliveries(&self, hook: &Hook, since: Timestamp) -> Result<Vec<u64>, ForgeError> {
        let mut settled = HashSet::new();
        let mut failed: Vec<wire::HookDelivery> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut request = Request::get(self.hook_url(hook, "")).query("per_page", "100");
            if let Some(cursor) = &cursor {
                request = request.query("cursor", cursor.clone());
            }
            let response = self.call_hook(hook, request, "read the delivery log").await?;
            let page: Vec<wire::HookDelivery> = read_json(GITHUB, &response, "read the delivery log")?;
            let is_last = page.last().is_none_or(|oldest| oldest.delivered_at < since);
            for delivery in page.into_iter().filter(|delivery| delivery.delivered_at >= since) {
                // The log is newest first, so a later success is seen before an earlier failure. 4xx is a refusal by this
                // server, which a repetition does not change.
                let is_undelivered = delivery.status_code == 0 || delivery.status_code >= 500;
                if !is_undelivered {
                    settled.insert(delivery.guid);
                } else if !settled.contains(&delivery.guid) {
                    settled.insert(delivery.guid.clone());
                    failed.push(delivery);
                }
            }
            cursor = next_cursor(&response);
            if is_last || cursor.is_none() {
                break;
            }
        }
        Ok(failed.into_iter().rev().map(|delivery| delivery.id).collect())
    }

    fn hook_url(&self, hook: &Hook, path: &str) -> String {
        match hook {
            Hook::App => self.url(&format!("/app/hook/deliveries{path}")),
            Hook::Repository { repo, id } => self.repo_url(repo, &format!("/hooks/{id}/deliveries{path}")),
        }
    }

    async fn call_hook(&self, hook: &Hook, request: Request, action: &str) -> Result<Response, ForgeError> {
        let what = hook.to_string();
        match hook {
            Hook::App => {
                let account = Account { installation: None, token: self.auth.app_token() };
                check(self.send(&account, request, Retry::Safe).await?, action, &what)
            }
            Hook::Repository { repo, .. } => self.call(repo, request, Retry::Safe, action, &what).await,
        }
    }

    /// Returns the comments of a repository since a time that contain `mention` (in lower case), as the deliveries that a
    /// webhook would have sent, oldest first, and the time to continue from.
    ///
    /// # Errors
    /// [`ForgeError`] if a call fails.
    pub async fn comments_since(
        &self,
        repo: &RepoName,
        since: Timestamp,
        mention: &str,
    ) -> Result<(Vec<Delivery>, Timestamp), ForgeError> {
        let what = format!("the new comments of {repo}");
        let (mut deliveries, mut newest) = (Vec::new(), since);
        for page in 1..=MAX_PAGES {
            let request = Request::get(self.repo_url(repo, "/issues/comments"))
                .query("sort", "updated")
                .query("direction", "asc")
                .query("since", since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                .query("per_page", "100")
                .query("page", page.to_string());
            let response = self.read(repo, request, &what).await?;
            let found: Vec<wire::ListedComment> = read_json(GITHUB, &response, &format!("read {what}"))?;
            for comment in found {
                newest = newest.max(comment.updated_at);
                // The list is by time of change; an edited old comment is not a new request.
                let mentions = comment.body.as_ref().is_some_and(|body| body.to_lowercase().contains(mention));
                if mentions && comment.created_at >= since {
                    deliveries.extend(self.to_delivery(repo, comment).await?);
                }
            }
            if !has_next(&response) {
                break;
            }
        }
        Ok((deliveries, newest))
    }

    async fn to_delivery(&self, repo: &RepoName, comment: wire::ListedComment) -> Result<Option<Delivery>, ForgeError> {
        let number = comment.issue_url.rsplit('/').next().and_then(|number| number.parse().ok());
        let Some(number) = number else { return Ok(None) };
        let source = IssueRef::on_forge(GITHUB, repo.clone(), IssueNumber::same(number));
        let what = format!("the issue {source}");
        let request = Request::get(self.repo_url(repo, &crate::forge::issue_path(&source)));
        let response = self.read(repo, request, &what).await?;
        let issue: wire::Issue = read_json(GITHUB, &response, &format!("read {what}"))?;
        let issue = InboundIssue {
            opened_at: issue.created_at,
            source: IssueRef { number: IssueNumber::same(issue.number), ..source },
            labels: issue.labels.into_iter().map(|label| label.name).collect(),
            is_pull_request: issue.pull_request.is_some(),
            title: issue.title,
            body: issue.body.unwrap_or_default(),
            author: convert::login(issue.user),
            default_branch: Some(self.repository(repo).await?.default_branch),
        };
        let kind = comment.user.as_ref().map_or_else(String::new, |user| user.kind.clone());
        let author = crate::event::actor(convert::login(comment.user), &kind);
        let text = InboundComment { id: comment.id.to_string(), body: comment.body.unwrap_or_default(), author };
        let event = if issue.is_pull_request {
            let (repo, number) = (issue.source.repo, issue.source.number.api);
            InboundEvent::PullRequestCommented { repo, number, comment: text, place: None, review: None }
        } else {
            InboundEvent::Commented { issue, comment: text }
        };
        let id = DeliveryId::parse(&format!("poll:comment:{}", comment.id)).expect("a number is printable");
        Ok(Some(Delivery { id, event_type: "issue_comment".to_owned(), event }))
    }
}

/// Returns the cursor of the next page from the `Link` header.
fn next_cursor(response: &Response) -> Option<String> {
    let link = response.header("link")?;
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let url = url::Url::parse(next.split_once('<')?.1.split_once('>')?.0).ok()?;
    url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())
}
