//! The calls.

use std::collections::HashMap;

use patchwright_core::forge::ForgeError;
use patchwright_core::jira::JiraSites;
use patchwright_core::tracker::{Comment, RemoteIssue};
use patchwright_domain::TrackerRef;
use patchwright_http::forge::read_json;
use patchwright_http::{Request, Retry};

use crate::JIRA;
use crate::client::ApiVersion;
use crate::cloud::{Account, JiraCloud, WriteAs};
use crate::comment::{mark_of, read_text, written};
use crate::convert::{self, quiet_mention};
use crate::wire::{self, CommentIds, CommentList, Comments, DoTransition, Id, RemoteLink, RemoteObject, Transitions};

const FIELDS: &str = "summary,description,labels,status,reporter";
/// How many comments one page holds, and how many pages are read.
const PAGE: usize = 100;
const MAX_PAGES: usize = 50;
/// The longest global id of a link.
const MAX_GLOBAL_ID: usize = 255;

impl JiraCloud {
    pub(crate) async fn read_issue(&self, at: &TrackerRef) -> Result<(TrackerRef, RemoteIssue), ForgeError> {
        let issue = self.fetch_issue(at, FIELDS).await?;
        convert::issue(&at.site, issue)
    }

    /// By its id: the key changes when the issue is moved.
    async fn fetch_issue(&self, at: &TrackerRef, fields: &str) -> Result<wire::Issue, ForgeError> {
        let build = |client: &crate::JiraClient| Request::get(client.url(&["issue", &at.id])).query("fields", fields);
        let response = self.call(at, build, Retry::Safe, "read the issue", &at.key).await?;
        read_json(JIRA, &response, "read the issue")
    }

    /// The comments with the marks of ours. Those are properties, which Jira tells for comments by id only.
    pub(crate) async fn read_comments(&self, at: &TrackerRef) -> Result<Vec<Comment>, ForgeError> {
        let mut found: Vec<wire::Comment> = Vec::new();
        for _ in 0..MAX_PAGES {
            let start = found.len();
            let build = |client: &crate::JiraClient| {
                Request::get(client.url(&["issue", &at.id, "comment"]))
                    .query("startAt", start.to_string())
                    .query("maxResults", PAGE.to_string())
                    .query("orderBy", "created")
            };
            let response = self.call(at, build, Retry::Safe, "read the comments", &at.key).await?;
            let page: Comments = read_json(JIRA, &response, "read the comments")?;
            let last = page.comments.is_empty() || start + page.comments.len() >= page.total;
            found.extend(page.comments);
            if last {
                break;
            }
        }
        let marks = self.marks(at, &found).await?;
        let comment = |comment: wire::Comment| {
            let body = read_text(&comment.body, &quiet_mention);
            let mark = marks.get(&comment.id).map(|mark| format!("\n\n{mark}")).unwrap_or_default();
            Comment {
                author: comment.author.map(|author| author.account_id).unwrap_or_default(),
                body: body + &mark,
                id: comment.id,
            }
        };
        Ok(found.into_iter().map(comment).collect())
    }

    async fn marks(&self, at: &TrackerRef, comments: &[wire::Comment]) -> Result<HashMap<String, String>, ForgeError> {
        let ids: Vec<u64> = comments.iter().filter_map(|comment| comment.id.parse().ok()).collect();
        let mut marks = HashMap::new();
        for ids in ids.chunks(1_000) {
            let build = |client: &crate::JiraClient| {
                let body = CommentIds { ids: ids.to_vec() };
                Request::post(client.url(&["comment", "list"])).query("expand", "properties").json(&body)
            };
            let response = self.call(at, build, Retry::Safe, "read the comments", &at.key).await?;
            let list: CommentList = read_json(JIRA, &response, "read the comments")?;
            marks.extend(list.values.into_iter().filter_map(|comment| {
                let mark = mark_of(comment.properties.as_deref()?)?.to_owned();
                Some((comment.id, mark))
            }));
        }
        Ok(marks)
    }

    pub(crate) async fn add_comment(&self, at: &TrackerRef, body: &str) -> Result<String, ForgeError> {
        let build = |client: &crate::JiraClient| {
            Request::post(client.url(&["issue", &at.id, "comment"])).json(&written(body, client.version()))
        };
        let response = self.call(at, build, Retry::Never, "write a comment", &at.key).await?;
        Ok(read_json::<wire::Comment>(JIRA, &response, "write a comment")?.id)
    }

    pub(crate) async fn change_comment(&self, at: &TrackerRef, id: &str, body: &str) -> Result<(), ForgeError> {
        let what = format!("the comment {id} on {}", at.key);
        let account = match self.options.write_as {
            WriteAs::ServiceAccount => Account::Service,
            // Only its author may edit it, whoever has spoken since.
            WriteAs::Person => {
                let build = |client: &crate::JiraClient| Request::get(client.url(&["issue", &at.id, "comment", id]));
                let service = Some(Account::Service);
                let response = self.call_as(service, at, build, Retry::Safe, "read a comment", &what).await?;
                let comment: wire::Comment = read_json(JIRA, &response, "read a comment")?;
                self.author(at, &comment.author.unwrap_or_default().account_id).await?
            }
        };
        let build = |client: &crate::JiraClient| {
            // People are told when it ends, and not at every step.
            Request::put(client.url(&["issue", &at.id, "comment", id]))
                .query("notifyUsers", "false")
                .json(&written(body, client.version()))
        };
        self.call_as(Some(account), at, build, Retry::Safe, "edit a comment", &what).await.map(|_| ())
    }

    /// Moves the issue to a state, by the transition that leads there now: their ids depend on the workflow and on where
    /// the issue stands.
    pub(crate) async fn move_to(&self, at: &TrackerRef, state: &str) -> Result<(), ForgeError> {
        let status = self.fetch_issue(at, "status").await?.fields.status.map(|status| status.name).unwrap_or_default();
        let same = |name: &str| name.eq_ignore_ascii_case(state);
        if same(&status) {
            return Ok(());
        }
        let list = |client: &crate::JiraClient| Request::get(client.url(&["issue", &at.id, "transitions"]));
        let response = self.call(at, list, Retry::Safe, "read the transitions", &at.key).await?;
        let Transitions { transitions } = read_json(JIRA, &response, "read the transitions")?;
        let leads = |transition: &&wire::Transition| transition.to.as_ref().is_some_and(|to| same(&to.name));
        let found = transitions.iter().find(leads).or_else(|| transitions.iter().find(|known| same(&known.name)));
        let Some(found) = found else {
            let known: Vec<&str> =
                transitions.iter().filter_map(|known| Some(known.to.as_ref()?.name.as_str())).take(10).collect();
            return Err(ForgeError::Refused {
                platform: JIRA,
                action: format!("move {} to `{state}`", at.key),
                detail: format!("its workflow leads from `{status}` to {} only", known.join(", ")),
            });
        };
        let go = |client: &crate::JiraClient| {
            let body = DoTransition { transition: Id { id: &found.id } };
            Request::post(client.url(&["issue", &at.id, "transitions"])).json(&body)
        };
        let action = format!("move {} to `{state}`", at.key);
        self.call(at, go, Retry::Never, &action, &at.key).await.map(|_| ())
    }

    /// Links the issue to a page. The same address links once.
    pub(crate) async fn add_link(&self, at: &TrackerRef, url: &str, title: &str) -> Result<(), ForgeError> {
        let global_id: String = format!("patchwright:{url}").chars().take(MAX_GLOBAL_ID).collect();
        let title: String = title.chars().take(255).collect();
        let build = |client: &crate::JiraClient| {
            let object = RemoteObject { url, title: &title };
            let link = RemoteLink { global_id: global_id.clone(), relationship: "fixed by", object };
            Request::post(client.url(&["issue", &at.id, "remotelink"])).json(&link)
        };
        self.call(at, build, Retry::Safe, "link the pull request", &at.key).await.map(|_| ())
    }

    /// Whether the interface in use writes documents.
    pub const fn writes_documents(&self) -> bool {
        matches!(self.options.version, ApiVersion::V3)
    }
}

#[async_trait::async_trait]
impl JiraSites for JiraCloud {
    async fn issue_at(&self, at: &TrackerRef) -> Result<(TrackerRef, RemoteIssue), ForgeError> {
        self.read_issue(at).await
    }

    async fn comments_at(&self, at: &TrackerRef) -> Result<Vec<Comment>, ForgeError> {
        self.read_comments(at).await
    }

    async fn post_comment_at(&self, at: &TrackerRef, body: &str) -> Result<String, ForgeError> {
        self.add_comment(at, body).await
    }

    async fn own_account(&self, site: &str) -> Result<String, ForgeError> {
        let response = self.call_site(site, |client| Request::get(client.url(&["myself"])), "ask who we are").await?;
        Ok(read_json::<wire::User>(JIRA, &response, "ask who we are")?.account_id)
    }
}
