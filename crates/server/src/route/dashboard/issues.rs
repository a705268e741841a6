//! The list of issues, one issue, and what can be done with them.

use actix_web::{HttpResponse, web};
use patchwright_core::Clock as _;
use patchwright_core::query::{IssueFilter, JobFilter, Queries as _};
use patchwright_core::repositories::Repositories as _;
use patchwright_core::tracker::Comment;
use patchwright_dashboard::page::{
    ConversationPage, DraftPage, IssuePage, IssueRow, Issues, JobRow, Page as _, Transcript,
};
use patchwright_domain::{Issue, IssueStatus};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::form::Posted;
use super::visit::{NotShown, Visit};
use crate::auth::Caller;
use crate::route::State;
use crate::route::error::ApiError;
use crate::route::issues::{StartBody, cancel_noted, find, merge_noted, open_noted, start_all, start_noted};
use crate::route::page::{parsed, word};
use crate::route::repositories;
use patchwright_engine::clock::SystemClock;

/// How many issues a page shows.
const PAGE: u16 = 25;
/// How many jobs of an issue are shown.
const JOBS: u16 = 50;

/// Which issues. A form sends empty fields for what was not filled in.
#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    cursor: String,
}

impl Query {
    fn filter(&self) -> Result<IssueFilter, ApiError> {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(IssueFilter {
            status: word(given(&self.status).as_ref(), IssueStatus::parse, "status of an issue")?,
            repository: given(&self.repository),
            text: given(&self.q),
            before: parsed(given(&self.cursor).as_ref(), "bad_cursor")?,
            limit: PAGE,
        })
    }

    /// The address of the page behind this issue.
    fn next(&self, last: &Issue) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("status", &self.status), ("repository", &self.repository)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/issues?{}", query.append_pair("cursor", &last.id.to_string()).finish())
    }
}

fn may_start(caller: &Caller, issue: &Issue) -> bool {
    caller.need_owner(issue.owner).is_ok()
}

pub(super) async fn list(
    visit: Visit,
    query: web::Query<Query>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let html = listed(&visit, &query, &state).await;
    visit.shown(html)
}

async fn listed(visit: &Visit, query: &Query, state: &State) -> Result<String, ApiError> {
    let filter = query.filter()?;
    let status = filter.status;
    let issues = state.app.store.issues(filter).await?;
    let rows: Vec<IssueRow> =
        issues.iter().map(|issue| IssueRow::new(issue, may_start(&visit.caller, issue))).collect();
    let known = state.app.store.repositories().await?;
    let mut repositories: Vec<String> = known.iter().map(|repository| repository.name.to_string()).collect();
    if !query.repository.is_empty() {
        repositories.push(query.repository.clone());
    }
    repositories.sort_unstable();
    repositories.dedup();
    let last = issues.last().filter(|_| issues.len() == usize::from(PAGE));
    Ok(Issues {
        frame: &visit.frame,
        now: SystemClock.now(),
        rows: &rows,
        status,
        repository: &query.repository,
        search: &query.q,
        repositories: &repositories,
        may_open: visit.caller.need_write().is_ok() && visit.caller.id.is_some() || visit.caller.is_admin(),
        may_import: visit.caller.is_admin(),
        next: last.map(|issue| query.next(issue)),
        is_later: !query.cursor.is_empty(),
    }
    .html())
}

pub(super) async fn show(
    visit: Visit,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let html = shown(&visit, &id, &state).await;
    visit.shown(html)
}

async fn shown(visit: &Visit, id: &str, state: &State) -> Result<String, ApiError> {
    let issue = find(state, id).await?;
    let filter = JobFilter { issue: Some(issue.id), limit: JOBS, ..JobFilter::default() };
    let jobs: Vec<JobRow> = state.app.store.jobs(filter).await?.iter().map(JobRow::from).collect();
    Ok(IssuePage {
        frame: &visit.frame,
        now: SystemClock.now(),
        issue: &issue,
        url: state.app.engine.issue_url(&issue.source).filter(|url| url.starts_with("http")),
        jobs: &jobs,
        may_start: may_start(&visit.caller, &issue),
    }
    .html())
}

fn page_of(id: &str) -> String {
    format!("/issues/{id}")
}

pub(super) async fn start(
    Posted { visit, form }: Posted,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let instructions = Some(form.get("instructions").trim().to_owned()).filter(|words| !words.is_empty());
    let body = StartBody::of(instructions, form.get("review_plan") == "true");
    let done = start_noted(&visit.caller, &state, &id, body).await.map(|_| visit.words().started);
    visit.done(done, form.return_to(&page_of(&id)))
}

pub(super) async fn cancel(
    Posted { visit, form }: Posted,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let done = cancel_noted(&visit.caller, &state, &id).await.map(|_| visit.words().stopped);
    visit.done(done, form.return_to(&page_of(&id)))
}

pub(super) async fn merge(
    Posted { visit, form }: Posted,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let done = merge_noted(&visit.caller, &state, &id, true).await.map(|_| visit.words().noted_merged);
    visit.done(done, form.return_to(&page_of(&id)))
}

pub(super) async fn start_batch(
    Posted { visit, form }: Posted,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let ids = form.all("ids").map(str::to_owned).collect();
    let done = start_all(&visit.caller, &state, ids).await.and_then(|items| {
        let why: Vec<&str> = items.iter().filter_map(|item| item.error.as_deref()).collect();
        let Some(first) = why.first() else { return Ok(visit.words().started) };
        let all = items.len();
        Err(ApiError::conflict("not_all_started", format!("{} / {all} · {first}", all - why.len())))
    });
    visit.done(done, form.return_to("/issues"))
}

/// Which repository an issue is opened in.
#[derive(Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    repository: String,
}

pub(super) async fn draft(
    visit: Visit,
    chosen: web::Query<Chosen>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let known = state.app.store.repositories().await;
    let html = known.map_err(ApiError::from).map(|known| {
        let repositories: Vec<(String, String)> =
            known.iter().map(|repository| (repository.id.to_string(), repository.name.to_string())).collect();
        DraftPage { frame: &visit.frame, repositories: &repositories, chosen: &chosen.repository }.html()
    });
    visit.shown(html)
}

pub(super) async fn open(Posted { visit, form }: Posted, state: web::Data<State>) -> Result<HttpResponse, NotShown> {
    let body = json!({"repository_id": form.get("repository"), "title": form.get("title"), "body": form.get("body")});
    let body = serde_json::from_value(body).expect("it is what the API takes");
    let opened = open_noted(&visit.caller, &state, body).await;
    match opened {
        Ok(issue) => {
            let words = visit.words();
            visit.done(Ok(words.done), &page_of(&issue.id.to_string()))
        }
        Err(error) => Err(visit.failed(error)),
    }
}

/// Imports the open issues of one repository, or of all.
pub(super) async fn import(Posted { visit, form }: Posted, state: web::Data<State>) -> Result<HttpResponse, NotShown> {
    let done = imported(&visit.caller, form.get("repository"), &state).await.map(|()| visit.words().done);
    visit.done(done, form.return_to("/issues"))
}

async fn imported(caller: &Caller, only: &str, state: &web::Data<State>) -> Result<(), ApiError> {
    let known = state.app.store.repositories().await?;
    for repository in known.iter().filter(|known| only.is_empty() || known.name.to_string() == only) {
        let id = web::Path::from(repository.id.to_string());
        repositories::sync(caller.clone(), id, state.clone()).await?;
    }
    Ok(())
}

pub(super) async fn conversation(
    visit: Visit,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let html = conversation_shown(&visit, &id, &state).await;
    visit.shown(html)
}

async fn conversation_shown(visit: &Visit, id: &str, state: &State) -> Result<String, ApiError> {
    let issue = find(state, id).await?;
    let said = match state.app.engine.comments(&issue.source).await {
        Ok(comments) => Some(comments),
        Err(error) => {
            tracing::warn!(%error, issue = %issue.source, "the conversation cannot be read");
            None
        }
    };
    let said: Option<Vec<Transcript>> = said.map(|comments| {
        let shown = |(comment, ours): (Comment, bool)| Transcript::new(comment.author, ours, &comment.body);
        comments.into_iter().map(shown).collect()
    });
    Ok(ConversationPage { frame: &visit.frame, issue: &issue, said: said.as_deref() }.html())
}
