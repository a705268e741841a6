//! Issues.

use actix_web::{HttpResponse, web};
use patchwright_core::query::IssueFilter;
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::job::Priority;
use patchwright_domain::{Issue, IssueStatus};
use patchwright_management::{BatchItem as Item, StartOptions};
use patchwright_protocol::Page;
use patchwright_protocol::issues::{
    BatchItem, BatchResult, IssueQuery, IssueUpdate, IssueView, MAX_ISSUE_NUMBER, MergeIssue, NewIssue, StartBatch,
    StartIssue,
};
use patchwright_protocol::tasks::TaskPublic;

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id, parse_optional};
use crate::page::{self, limit, word};
use crate::tasks::task_view;

fn view(issue: &Issue, state: &State) -> IssueView {
    IssueView {
        id: issue.id.to_string(),
        platform: issue.source.platform.as_str().to_owned(),
        repository: issue.source.repo.to_string(),
        number: issue.source.shown_number(),
        key: issue.source.key().map(str::to_owned),
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        owner_id: issue.owner.map(|id| id.to_string()),
        status: issue.status.as_str().to_owned(),
        url: state.management.issues().url(issue),
        created_at: issue.created_at.to_string(),
        updated_at: issue.updated_at.to_string(),
    }
}

#[utoipa::path(get, path = "/api/v1/issues", tag = "issues", params(IssueQuery),
    responses((status = 200, body = Page<IssueView>), (status = 400, description = "Invalid filter")))]
pub(crate) async fn list(
    Caller(principal): Caller,
    query: web::Query<IssueQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(query.limit)?;
    if query.number.is_some_and(|number| number > MAX_ISSUE_NUMBER) {
        return Err(ApiError::invalid("bad_number", format!("`number` is at most {MAX_ISSUE_NUMBER}")));
    }
    let filter = IssueFilter {
        status: word(query.status.as_ref(), IssueStatus::parse, "status of an issue")?,
        repository: query.repository.clone(),
        number: query.number,
        text: query.q.clone().filter(|text| !text.is_empty()),
        order: word(query.order.as_ref(), IssueOrder::parse, "order of issues")?.unwrap_or_default(),
        after: page::parse(query.cursor.as_ref(), "bad_cursor")?,
        limit,
        ..IssueFilter::default()
    };
    let issues = state.management.issues().list(&principal, filter).await?;
    Ok(HttpResponse::Ok().json(Page::new(limit, &issues, |issue| issue.id, |issue| view(issue, &state))))
}

#[utoipa::path(get, path = "/api/v1/issues/{id}", tag = "issues",
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 404, description = "No such issue")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issue = state.management.issues().get(&principal, parse_id(&id, "issue")?).await?;
    Ok(HttpResponse::Ok().json(view(&issue, &state)))
}

#[utoipa::path(post, path = "/api/v1/issues", tag = "issues", request_body = NewIssue,
    responses((status = 201, body = IssueView), (status = 400, description = "Invalid title or text"),
        (status = 403, description = "The caller's token may only read"), (status = 404, description = "No such repository"),
        (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn open(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewIssue>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    let repository = parse_id(&body.repository_id, "repository")?;
    let text = body.body.unwrap_or_default();
    let issue = state.management.issues().open(&principal, repository, &body.title, &text).await?;
    Ok(HttpResponse::Created().json(view(&issue, &state)))
}

#[utoipa::path(patch, path = "/api/v1/issues/{id}", tag = "issues", request_body = IssueUpdate,
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 400, description = "Invalid title or text"),
        (status = 403, description = "Only the owner and administrators may do this"),
        (status = 404, description = "No such issue"), (status = 409, description = "It was changed in the meantime")))]
pub(crate) async fn update(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, IssueUpdate>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = parse_id(&id, "issue")?;
    let issues = state.management.issues();
    let issue = issues.update(&principal, id, body.title.as_deref(), body.body.as_deref()).await?;
    Ok(HttpResponse::Ok().json(view(&issue, &state)))
}

fn start_options(body: StartIssue) -> Result<StartOptions, ApiError> {
    let node = body.node_id.map(|id| id.parse()).transpose();
    Ok(StartOptions {
        command: body.command,
        instructions: body.instructions,
        node: node.map_err(|_| ApiError::invalid("bad_node", "there is no node with this id"))?,
        labels: body.labels.unwrap_or_default(),
        only_if_free: body.queue == Some(false),
        priority: word(body.priority.as_ref(), Priority::parse, "priority")?.unwrap_or_default(),
        review_plan: body.review_plan == Some(true),
    })
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/start", tag = "issues",
    request_body(content = StartIssue, content_type = "application/json"),
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = TaskPublic), (status = 400, description = "Invalid command, node or label"),
        (status = 403, description = "Only the owner and administrators may do this, or the command is not allowed"),
        (status = 404, description = "No such issue"), (status = 409, description = "A job runs for it, or it is merged")))]
pub(crate) async fn start(
    Caller(principal): Caller,
    id: web::Path<String>,
    body: String,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let body: StartIssue = parse_optional(&body)?;
    let command = body.command.clone().or_else(|| body.instructions.clone());
    let (id, options) = (parse_id(&id, "issue")?, start_options(body)?);
    let task = state.management.issues().start(&principal, id, options).await?;
    Ok(HttpResponse::Ok().json(task_view(&task, command)))
}

fn item_view(item: Item) -> BatchItem {
    match item.result {
        Ok(task) => BatchItem {
            id: item.id,
            started: true,
            task_id: Some(task.id.to_string()),
            job_id: Some(task.job_id.to_string()),
            error: None,
        },
        Err(error) => {
            BatchItem { id: item.id, started: false, task_id: None, job_id: None, error: Some(error.to_string()) }
        }
    }
}

#[utoipa::path(post, path = "/api/v1/issues/start-batch", tag = "issues", request_body = StartBatch,
    responses((status = 200, body = BatchResult), (status = 400, description = "Too many issues"),
        (status = 403, description = "The caller's token may only read")))]
pub(crate) async fn start_batch(
    Authenticated(Caller(principal), body): Authenticated<Caller, StartBatch>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let items = state.management.issues().start_batch(&principal, body.ids).await?;
    Ok(HttpResponse::Ok().json(BatchResult { items: items.into_iter().map(item_view).collect() }))
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/cancel", tag = "issues",
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 403, description = "Only the owner and administrators may do this"),
        (status = 404, description = "No such issue"), (status = 409, description = "No job is queued or running")))]
pub(crate) async fn cancel(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issue = state.management.issues().cancel(&principal, parse_id(&id, "issue")?).await?;
    Ok(HttpResponse::Ok().json(view(&issue, &state)))
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/merge", tag = "issues",
    request_body(content = MergeIssue, content_type = "application/json"),
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 400, description = "Invalid body"),
        (status = 403, description = "Only the owner and administrators may do this"),
        (status = 404, description = "No such issue"),
        (status = 409, description = "No pull request waits, or the forge does not merge it"),
        (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn merge(
    Caller(principal): Caller,
    id: web::Path<String>,
    body: String,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let body: MergeIssue = parse_optional(&body)?;
    let issue = state.management.issues().merge(&principal, parse_id(&id, "issue")?, body.pull_request).await?;
    Ok(HttpResponse::Ok().json(view(&issue, &state)))
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/ready", tag = "issues",
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 403, description = "Only the owner and administrators may do this"),
        (status = 404, description = "No such issue"),
        (status = 409, description = "No pull request is open, a job works on it, or the forge does not mark it as ready"),
        (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn mark_ready(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issue = state.management.issues().mark_ready(&principal, parse_id(&id, "issue")?).await?;
    Ok(HttpResponse::Ok().json(view(&issue, &state)))
}
