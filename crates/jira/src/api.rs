//! The calls to a site, and the port for sites.

use std::collections::HashMap;

use patchwright_core::forge::ForgeError;
use patchwright_core::jira::JiraSites;
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::tracker::{Comment, RemoteIssue};
use patchwright_domain::TrackerRef;
use patchwright_http::forge::read_json;
use patchwright_http::{Request, Retry};

use crate::JIRA;
use crate::client::ApiVersion;
use crate::cloud::{Account, JiraCloud, WriteAs};
use crate::comment::{encode_comment, find_marker};
use crate::convert;
use crate::inbound::{decode_text, inert_mention};
use crate::payload::User;
use crate::wire::{self, CommentIds, CommentList, Comments, DoTransition, Id, RemoteLink, RemoteObject, Transitions};

const FIELDS: &str = "summary,description,labels,status,reporter,created";
/// The number of comments of a page, and the largest number of pages that are read.
const PAGE_LIMIT: usize = 100;
const MAX_PAGES: usize = 50;
/// The largest number of comments whose properties one call returns.
const MAX_IDS_PER_CALL: usize = 1_000;
/// The longest global id and the longest title of a link.
const MAX_LINK_CHARS: usize = 255;
/// The largest number of states that an error lists.
const MAX_LISTED_STATES: usize = 10;

impl JiraCloud {
    pub(crate) async fn read_issue(&self, at: &TrackerRef) -> Result<(TrackerRef, RemoteIssue), ForgeError> {
        let issue = self.fetch_issue(at, FIELDS).await?;
        convert::issue(&at.site, issue)
    }

    /// Reads an issue by its id, because the key changes when the issue is moved.
    async fn fetch_issue(&self, at: &TrackerRef, fields: &str) -> Result<wire::Issue, ForgeError> {
        let build = |client: &crate::JiraClient| Request::get(client.url(&["issue", &at.id])).query("fields", fields);
        let response = self.call(at, build, Retry::Safe, "read the issue", &at.key).await?;
        read_json(JIRA, &response, "read the issue")
    }

    /// Reads the comments with their markers. Those are properties, which Jira returns only for comments by id.
    pub(crate) async fn read_comments(&self, at: &TrackerRef) -> Result<Vec<Comment>, ForgeError> {
        let mut found: Vec<wire::Comment> = Vec::new();
        for _ in 0..MAX_PAGES {
            let start = found.len();
            let build = |client: &crate::JiraClient| {
                Request::get(client.url(&["issue", &at.id, "comment"]))
                    .query("startAt", start.to_string())
                    .query("maxResults", PAGE_LIMIT.to_string())
                    .query("orderBy", "created")
            };
            let response = self.call(at, build, Retry::Safe, "read the comments", &at.key).await?;
            let page: Comments = read_json(JIRA, &response, "read the comments")?;
            let is_last = page.comments.is_empty() || start + page.comments.len() >= page.total;
            found.extend(page.comments);
            if is_last {
                break;
            }
        }
        let markers = self.read_markers(at, &found).await?;
        let comment = |comment: wire::Comment| {
            let body = decode_text(&comment.body, &inert_mention);
            let marker = markers.get(&comment.id).map(|marker| format!("\n\n{marker}")).unwrap_or_default();
            Comment {
                author: comment.author.map(|author| author.account_id).unwrap_or_default(),
                body: body + &marker,
                id: comment.id,
            }
        };
        Ok(found.into_iter().map(comment).collect())
    }

    async fn read_markers(
        &self,
        at: &TrackerRef,
        comments: &[wire::Comment],
    ) -> Result<HashMap<String, String>, ForgeError> {
        let ids: Vec<u64> = comments.iter().filter_map(|comment| comment.id.parse().ok()).collect();
        let mut markers = HashMap::new();
        for ids in ids.chunks(MAX_IDS_PER_CALL) {
            let build = |client: &crate::JiraClient| {
                let body = CommentIds { ids: ids.to_vec() };
                Request::post(client.url(&["comment", "list"])).query("expand", "properties").json(&body)
            };
            let response = self.call(at, build, Retry::Safe, "read the comments", &at.key).await?;
            let list: CommentList = read_json(JIRA, &response, "read the comments")?;
            markers.extend(list.values.into_iter().filter_map(|comment| {
                let marker = find_marker(comment.properties.as_deref()?)?.to_owned();
                Some((comment.id, marker))
            }));
        }
        Ok(markers)
    }

    pub(crate) async fn add_comment(&self, at: &TrackerRef, body: &str) -> Result<String, ForgeError> {
        let build = |client: &crate::JiraClient| {
            Request::post(client.url(&["issue", &at.id, "comment"])).json(&encode_comment(body, client.version()))
        };
        let response = self.call(at, build, Retry::Never, "write a comment", &at.key).await?;
        Ok(read_json::<wire::Comment>(JIRA, &response, "write a comment")?.id)
    }

    pub(crate) async fn change_comment(&self, at: &TrackerRef, id: &str, body: &str) -> Result<(), ForgeError> {
        let what = format!("the comment {id} on {}", at.key);
        let account = match self.options.write_as {
            WriteAs::ServiceAccount => Account::Service,
            // Jira lets only the author edit a comment.
            WriteAs::Person => {
                let build = |client: &crate::JiraClient| Request::get(client.url(&["issue", &at.id, "comment", id]));
                let service = Some(Account::Service);
                let response = self.call_as(service, at, build, Retry::Safe, "read a comment", &what).await?;
                let comment: wire::Comment = read_json(JIRA, &response, "read a comment")?;
                self.select_author(at, &comment.author.unwrap_or_default().account_id).await?
            }
        };
        let build = |client: &crate::JiraClient| {
            // Watchers are notified of new comments only, not of every progress update.
            Request::put(client.url(&["issue", &at.id, "comment", id]))
                .query("notifyUsers", "false")
                .json(&encode_comment(body, client.version()))
        };
        self.call_as(Some(account), at, build, Retry::Safe, "edit a comment", &what).await.map(|_| ())
    }

    /// Moves the issue to a state by a transition of that target or name. The ids of transitions depend on the workflow
    /// and on the issue's current state, so they are read each time.
    pub(crate) async fn move_to_state(&self, at: &TrackerRef, state: &str) -> Result<(), ForgeError> {
        let status = self.fetch_issue(at, "status").await?.fields.status.map(|status| status.name).unwrap_or_default();
        let is_state = |name: &str| name.eq_ignore_ascii_case(state);
        if is_state(&status) {
            return Ok(());
        }
        let list = |client: &crate::JiraClient| Request::get(client.url(&["issue", &at.id, "transitions"]));
        let response = self.call(at, list, Retry::Safe, "read the transitions", &at.key).await?;
        let Transitions { transitions } = read_json(JIRA, &response, "read the transitions")?;
        let by_target = |transition: &&wire::Transition| transition.to.as_ref().is_some_and(|to| is_state(&to.name));
        let by_name = |transition: &&wire::Transition| is_state(&transition.name);
        let action = format!("move {} to `{state}`", at.key);
        let Some(found) = transitions.iter().find(by_target).or_else(|| transitions.iter().find(by_name)) else {
            let targets = transitions.iter().filter_map(|known| Some(known.to.as_ref()?.name.as_str()));
            let targets: Vec<&str> = targets.take(MAX_LISTED_STATES).collect();
            let detail = format!("its workflow leads from `{status}` to {} only", targets.join(", "));
            return Err(ForgeError::Refused { platform: JIRA, action, detail });
        };
        let transition = |client: &crate::JiraClient| {
            let body = DoTransition { transition: Id { id: &found.id } };
            Request::post(client.url(&["issue", &at.id, "transitions"])).json(&body)
        };
        self.call(at, transition, Retry::Never, &action, &at.key).await.map(|_| ())
    }

    /// Links the issue to a page. The same address is linked once.
    pub(crate) async fn add_link(&self, at: &TrackerRef, url: &str, title: &str) -> Result<(), ForgeError> {
        let global_id: String = format!("patchwright:{url}").chars().take(MAX_LINK_CHARS).collect();
        let title: String = title.chars().take(MAX_LINK_CHARS).collect();
        let build = |client: &crate::JiraClient| {
            let object = RemoteObject { url, title: &title };
            let link = RemoteLink { global_id: global_id.clone(), relationship: "fixed by", object };
            Request::post(client.url(&["issue", &at.id, "remotelink"])).json(&link)
        };
        self.call(at, build, Retry::Safe, "link the pull request", &at.key).await.map(|_| ())
    }

    /// Returns whether texts are written as documents ([`ApiVersion::V3`]).
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

    async fn post_comment_at(&self, at: &TrackerRef, body: &OutgoingText) -> Result<String, ForgeError> {
        self.add_comment(at, body.as_str()).await
    }

    async fn own_account(&self, site: &str) -> Result<String, ForgeError> {
        let action = "read the service account";
        let response = self.call_site(site, |client| Request::get(client.url(&["myself"])), action).await?;
        Ok(read_json::<User>(JIRA, &response, action)?.account_id)
    }
}
