//! Tasks, and the audit.

use actix_web::{HttpResponse, web};
use patchwright_core::audit::Audit as _;
use patchwright_core::query::{Queries as _, TaskFilter};
use patchwright_domain::{JobId, Task, TaskId, TaskStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::error::ApiError;
use super::issues::{limit, parsed};
use crate::auth::Caller;

/// One dispatch of a job to a node (`seeds/001`).
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskPublic {
    id: String,
    issue_id: String,
    job_id: String,
    /// `embedded` for the server itself; absent until a node has it.
    node_id: Option<String>,
    /// `pending`, `running`, `success` or `failed`.
    status: String,
    /// What was asked for beyond the issue.
    command: Option<String>,
    result_branch: Option<String>,
    error_message: Option<String>,
    attempt: u32,
    created_at: String,
    updated_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
}

impl TaskPublic {
    pub(crate) fn new(task: &Task, command: Option<String>) -> Self {
        Self {
            id: task.id.to_string(),
            issue_id: task.issue_id.to_string(),
            job_id: task.job_id.to_string(),
            node_id: Some(task.node.clone()).filter(|node| !node.is_empty()),
            status: task.status.as_str().to_owned(),
            command,
            result_branch: task.result_branch.as_ref().map(ToString::to_string),
            error_message: task.error_message.clone(),
            attempt: task.attempt,
            created_at: task.created_at.to_string(),
            updated_at: task.updated_at.to_string(),
            started_at: task.started_at.map(|at| at.to_string()),
            completed_at: task.completed_at.map(|at| at.to_string()),
        }
    }
}

/// Tasks, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskPage {
    items: Vec<TaskPublic>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which tasks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(inline, value_type = Option<TaskStatusName>)]
    status: Option<String>,
    #[param(value_type = Option<uuid::Uuid>)]
    job: Option<String>,
    #[param(value_type = Option<uuid::Uuid>)]
    issue: Option<String>,
    /// As the page before said.
    #[param(value_type = Option<uuid::Uuid>)]
    cursor: Option<String>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// Where a task stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
enum TaskStatusName {
    Pending,
    Running,
    Success,
    Failed,
}

/// What was asked for beyond the issue.
async fn command(state: &State, task: &Task) -> Result<Option<String>, ApiError> {
    Ok(state.app.engine.job(task.job_id).await?.and_then(|job| job.trigger.instructions))
}

#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(ListQuery),
    responses((status = 200, body = TaskPage), (status = 400, description = "A filter makes no sense"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(
    _: Caller,
    query: web::Query<ListQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let status = query.status.as_ref().map(|status| {
        TaskStatus::parse(status).ok_or_else(|| ApiError::bad("bad_status", "there is no such status of a task"))
    });
    let limit = limit(query.limit)?;
    let filter = TaskFilter {
        status: status.transpose()?,
        job: parsed(query.job.as_ref(), "bad_job")?,
        issue: parsed(query.issue.as_ref(), "bad_issue")?,
        before: parsed(query.cursor.as_ref(), "bad_cursor")?,
        limit,
    };
    let tasks = state.app.store.tasks(filter).await?;
    let last = tasks.last().filter(|_| tasks.len() == usize::from(limit));
    let next_cursor = last.map(|task| task.id.to_string());
    let jobs: Vec<JobId> = tasks.iter().map(|task| task.job_id).collect();
    let triggers = state.app.store.triggers(&jobs).await?;
    let command = |task: &Task| triggers.get(&task.job_id).and_then(|trigger| trigger.instructions.clone());
    let items = tasks.iter().map(|task| TaskPublic::new(task, command(task))).collect();
    Ok(HttpResponse::Ok().json(TaskPage { items, next_cursor }))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, body = TaskPublic), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such task")))]
pub(crate) async fn show(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let id: TaskId = id.parse().map_err(|_| ApiError::NotFound("task"))?;
    let task = state.app.store.task(id).await?.ok_or(ApiError::NotFound("task"))?;
    let command = command(&state, &task).await?;
    Ok(HttpResponse::Ok().json(TaskPublic::new(&task, command)))
}

/// Who did what.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditView {
    id: String,
    at: String,
    actor: String,
    action: String,
    subject: String,
    detail: String,
}

/// The record, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    items: Vec<AuditView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which part of the record.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// As the page before said.
    #[param(value_type = Option<uuid::Uuid>)]
    cursor: Option<String>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditPage), (status = 400, description = "A filter makes no sense"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks")))]
pub(crate) async fn audit(
    caller: Caller,
    query: web::Query<AuditQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let limit = limit(query.limit)?;
    let entries = state.app.store.entries(parsed(query.cursor.as_ref(), "bad_cursor")?, limit).await?;
    let last = entries.last().filter(|_| entries.len() == usize::from(limit));
    let next_cursor = last.map(|entry| entry.id.to_string());
    let items = entries
        .into_iter()
        .map(|entry| AuditView {
            id: entry.id.to_string(),
            at: entry.at.to_string(),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
        })
        .collect();
    Ok(HttpResponse::Ok().json(AuditPage { items, next_cursor }))
}
