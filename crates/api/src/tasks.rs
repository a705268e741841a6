//! Tasks.

use actix_web::{HttpResponse, web};
use patchwright_core::query::TaskFilter;
use patchwright_domain::{JobId, Task, TaskStatus};
use patchwright_management::Principal;
use patchwright_protocol::Page;
use patchwright_protocol::tasks::{TaskPublic, TaskQuery};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Caller, parse_id};
use crate::page::{self, limit, word};

/// Converts a task. `command` is the program that makes the change, or the instructions of the start.
pub(crate) fn task_view(task: &Task, command: Option<String>) -> TaskPublic {
    TaskPublic {
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

/// Returns a task.
pub(crate) async fn find(principal: &Principal, id: &str, state: &State) -> Result<Task, ApiError> {
    Ok(state.management.tasks().get(principal, parse_id(id, "task")?).await?)
}

#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(TaskQuery),
    responses((status = 200, body = Page<TaskPublic>), (status = 400, description = "Invalid filter")))]
pub(crate) async fn list(
    Caller(principal): Caller,
    query: web::Query<TaskQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(query.limit)?;
    let filter = TaskFilter {
        status: word(query.status.as_ref(), TaskStatus::parse, "status of a task")?,
        job: page::parse(query.job.as_ref(), "bad_job")?,
        issue: page::parse(query.issue.as_ref(), "bad_issue")?,
        before: page::parse(query.cursor.as_ref(), "bad_cursor")?,
        limit,
        ..TaskFilter::default()
    };
    let tasks = state.management.tasks().list(&principal, filter).await?;
    let jobs: Vec<JobId> = tasks.iter().map(|task| task.job_id).collect();
    let commands = state.management.tasks().requested_work(&jobs).await?;
    let command = |task: &Task| commands.get(&task.job_id).cloned();
    Ok(HttpResponse::Ok().json(Page::new(limit, &tasks, |task| task.id, |task| task_view(task, command(task)))))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, body = TaskPublic), (status = 404, description = "No such task")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = find(&principal, &id, &state).await?;
    let mut commands = state.management.tasks().requested_work(&[task.job_id]).await?;
    Ok(HttpResponse::Ok().json(task_view(&task, commands.remove(&task.job_id))))
}
