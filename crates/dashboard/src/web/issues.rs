//! The list of issues, one issue, and what can be done with them.

use crate::page::{CommentRow, ConversationPage, DraftPage, IssuePage, IssueRow, Issues, JobRow, Page as _};
use actix_web::{HttpResponse, web};
use patchwright_core::query::{IssueFilter, JobFilter};
use patchwright_core::tracker::Comment;
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::{Issue, IssueStatus};
use patchwright_management::{ManagementError, Principal, StartOptions};
use serde::Deserialize;

use super::State;
use super::filters::{list_saved, query_of};
use super::form::Submission;
use super::page_request::{PageError, PageRequest, parse_id, parse_word, repository_names};

/// How many issues a page shows.
const PAGE_SIZE: u16 = 25;
/// How many jobs of an issue are shown.
const SHOWN_JOBS: u16 = 50;

/// The filter of the list. A form sends empty fields for inputs that are empty.
#[derive(Deserialize)]
pub(super) struct IssueQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    order: String,
    #[serde(default)]
    cursor: String,
}

impl IssueQuery {
    fn filter(&self) -> Result<IssueFilter, ManagementError> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let after = given(&self.cursor).map(|cursor| cursor.parse()).transpose();
        Ok(IssueFilter {
            status: parse_word(&self.status, IssueStatus::parse, "status of an issue")?,
            repository: given(&self.repository),
            text: given(&self.q),
            order: parse_word(&self.order, IssueOrder::parse, "order of issues")?.unwrap_or_default(),
            after: after.map_err(|_| ManagementError::invalid("bad_cursor", "there is no such page"))?,
            limit: PAGE_SIZE,
            ..IssueFilter::default()
        })
    }

    fn fields(&self) -> [(&str, &str); 4] {
        // The form sends the usual order too.
        let order = if self.order == IssueOrder::default().as_str() { "" } else { &self.order };
        [("q", &self.q), ("status", &self.status), ("repository", &self.repository), ("order", order)]
    }

    /// Returns the URL of the next page after this issue.
    fn next(&self, last: &Issue) -> String {
        let last = last.id.to_string();
        format!("/issues?{}", query_of(&[&self.fields()[..], &[("cursor", &last)]].concat()))
    }
}

fn may_start(principal: &Principal, issue: &Issue) -> bool {
    principal.may_change(issue.owner)
}

pub(super) async fn list(
    page: PageRequest,
    query: web::Query<IssueQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render_list(&page, &query, &state).await;
    page.render(html)
}

async fn render_list(page: &PageRequest, query: &IssueQuery, state: &State) -> Result<String, ManagementError> {
    let filter = query.filter()?;
    let (status, order) = (filter.status, filter.order);
    let issues = state.management.issues().list(&page.principal, filter).await?;
    let jobs = state.management.issues().latest_jobs(&issues).await?;
    let row = |issue: &Issue| IssueRow::new(issue, jobs.get(&issue.id), may_start(&page.principal, issue));
    let rows: Vec<IssueRow> = issues.iter().map(row).collect();
    let repositories = repository_names(page, state, &query.repository).await?;
    let last = issues.last().filter(|_| issues.len() == usize::from(PAGE_SIZE));
    Ok(Issues {
        layout: &page.layout,
        now: state.management.now(),
        rows: &rows,
        status,
        repository: &query.repository,
        search: &query.q,
        order,
        repositories: &repositories,
        may_open: page.principal.require_write().is_ok() && page.principal.id().is_some() || page.principal.is_admin(),
        may_import: page.principal.is_admin(),
        next: last.map(|issue| query.next(issue)),
        is_later: !query.cursor.is_empty(),
        saved: &list_saved(page, state, "/issues").await?,
        query: &query_of(&query.fields()),
    }
    .html())
}

pub(super) async fn show(
    page: PageRequest,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render(&page, &id, &state).await;
    page.render(html)
}

async fn render(page: &PageRequest, id: &str, state: &State) -> Result<String, ManagementError> {
    let issue = state.management.issues().get(&page.principal, parse_id(id, "issue")?).await?;
    let filter = JobFilter { issue: Some(issue.id), limit: SHOWN_JOBS, ..JobFilter::default() };
    let jobs: Vec<JobRow> =
        state.management.jobs().list(&page.principal, filter).await?.iter().map(JobRow::from).collect();
    Ok(IssuePage {
        layout: &page.layout,
        now: state.management.now(),
        issue: &issue,
        url: state.management.issues().url(&issue),
        jobs: &jobs,
        may_start: may_start(&page.principal, &issue),
    }
    .html())
}

fn path_of(id: &str) -> String {
    format!("/issues/{id}")
}

pub(super) async fn start(
    Submission { page, form }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let options = StartOptions {
        instructions: form.text("instructions"),
        review_plan: form.get("review_plan") == "true",
        command: form.text("command"),
        ..StartOptions::default()
    };
    let result =
        async { state.management.issues().start(&page.principal, parse_id(&id, "issue")?, options).await }.await;
    let message = result.map(|_| page.translations().started);
    page.respond(message, form.return_to(&path_of(&id)))
}

pub(super) async fn cancel(
    Submission { page, form }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async { state.management.issues().cancel(&page.principal, parse_id(&id, "issue")?).await }.await;
    let message = result.map(|_| page.translations().stopped);
    page.respond(message, form.return_to(&path_of(&id)))
}

pub(super) async fn mark_ready(
    Submission { page, form }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async { state.management.issues().mark_ready(&page.principal, parse_id(&id, "issue")?).await }.await;
    let message = result.map(|_| page.translations().marked_ready);
    page.respond(message, form.return_to(&path_of(&id)))
}

pub(super) async fn merge(
    Submission { page, form }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async { state.management.issues().merge(&page.principal, parse_id(&id, "issue")?, true).await }.await;
    let message = result.map(|_| page.translations().noted_merged);
    page.respond(message, form.return_to(&path_of(&id)))
}

pub(super) async fn start_batch(
    Submission { page, form }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let ids = form.all("ids").map(str::to_owned).collect();
    let result = state.management.issues().start_batch(&page.principal, ids).await.and_then(|items| {
        let errors: Vec<String> =
            items.iter().filter_map(|item| item.result.as_ref().err()).map(ToString::to_string).collect();
        let Some(first) = errors.first() else { return Ok(page.translations().started) };
        let (started, all) = (items.len() - errors.len(), items.len());
        let first = page.translations().translate(first);
        Err(ManagementError::conflict("not_all_started", format!("{started} / {all} · {first}")))
    });
    page.respond(result, form.return_to("/issues"))
}

/// The repository of the new issue.
#[derive(Deserialize)]
pub(super) struct DraftQuery {
    #[serde(default)]
    repository: String,
}

pub(super) async fn draft(
    page: PageRequest,
    chosen: web::Query<DraftQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let known = state.management.repositories().list(&page.principal).await;
    let html = known.map(|known| {
        let repositories: Vec<(String, String)> =
            known.iter().map(|repository| (repository.id.to_string(), repository.name.to_string())).collect();
        DraftPage { layout: &page.layout, repositories: &repositories, chosen: &chosen.repository }.html()
    });
    page.render(html)
}

pub(super) async fn open(
    Submission { page, form }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async {
        let repository = parse_id(form.get("repository"), "repository")?;
        state.management.issues().open(&page.principal, repository, form.get("title"), form.get("body")).await
    }
    .await;
    match result {
        Ok(issue) => {
            let message = page.translations().done;
            page.respond(Ok(message), &path_of(&issue.id.to_string()))
        }
        Err(error) => Err(page.error(error)),
    }
}

/// Imports the open issues of one repository, or of all.
pub(super) async fn import(
    Submission { page, form }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = import_from(&page.principal, form.get("repository"), &state).await;
    let message = result.map(|()| page.translations().done);
    page.respond(message, form.return_to("/issues"))
}

async fn import_from(principal: &Principal, name: &str, state: &State) -> Result<(), ManagementError> {
    let repositories = state.management.repositories();
    let known = repositories.list(principal).await?;
    for repository in known.iter().filter(|known| name.is_empty() || known.name.to_string() == name) {
        repositories.import_issues(principal, repository.id).await?;
    }
    Ok(())
}

pub(super) async fn conversation(
    page: PageRequest,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render_conversation(&page, &id, &state).await;
    page.render(html)
}

async fn render_conversation(page: &PageRequest, id: &str, state: &State) -> Result<String, ManagementError> {
    let issue = state.management.issues().get(&page.principal, parse_id(id, "issue")?).await?;
    let comments = match state.management.engine().comments(&issue.source).await {
        Ok(comments) => Some(comments),
        Err(error) => {
            tracing::warn!(%error, issue = %issue.source, "failed to read the conversation");
            None
        }
    };
    let comments: Option<Vec<CommentRow>> = comments.map(|comments| {
        let row = |(comment, is_ours): (Comment, bool)| CommentRow::new(comment.author, is_ours, &comment.body);
        comments.into_iter().map(row).collect()
    });
    Ok(ConversationPage { layout: &page.layout, issue: &issue, comments: comments.as_deref() }.html())
}
