//! Tasks: dispatches of jobs to nodes.

use actix_web::{HttpResponse, web};
use patchwright_core::query::{Queries as _, TaskFilter};
use patchwright_domain::{JobId, Task, TaskId, TaskStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::error::ApiError;
use super::page::{Page, limit, parsed, word};
use super::words;
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
    /// What makes the change in place of the built-in stages, or what was asked for beyond the issue.
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

/// Which tasks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(schema_with = words::task_status)]
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

/// What was asked for beyond the issue.
async fn command(state: &State, task: &Task) -> Result<Option<String>, ApiError> {
    let job = state.app.engine.job(task.job_id).await?;
    Ok(job.and_then(|job| job.command.map(|command| command.to_string()).or(job.trigger.instructions)))
}

#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(ListQuery),
    responses((status = 200, body = Page<TaskPublic>), (status = 400, description = "A filter makes no sense"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(
    _: Caller,
    query: web::Query<ListQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(query.limit)?;
    let filter = TaskFilter {
        status: word(query.status.as_ref(), TaskStatus::parse, "status of a task")?,
        job: parsed(query.job.as_ref(), "bad_job")?,
        issue: parsed(query.issue.as_ref(), "bad_issue")?,
        before: parsed(query.cursor.as_ref(), "bad_cursor")?,
        limit,
    };
    let tasks = state.app.store.tasks(filter).await?;
    let jobs: Vec<JobId> = tasks.iter().map(|task| task.job_id).collect();
    let wishes = state.app.store.wishes(&jobs).await?;
    let command = |task: &Task| wishes.get(&task.job_id).cloned();
    let page = Page::new(limit, &tasks, |task| task.id, |task| TaskPublic::new(task, command(task)));
    Ok(HttpResponse::Ok().json(page))
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
