//! What the model was asked for a job and what it said.

use actix_web::{HttpResponse, web};
use patchwright_core::llm::Message;
use patchwright_core::model_calls::{ModelCalls as _, StoredCall, Transcript};
use patchwright_domain::{TaskId, Usage};
use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use super::error::ApiError;
use super::jobs;
use crate::auth::Caller;

/// The calls of the model for a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct Calls {
    items: Vec<CallView>,
}

/// A call of the model.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallView {
    task_id: String,
    /// Its turn in its task, from 0.
    number: u32,
    /// `analyze_bug`, `fix_plan`, `code_fix` or `repair`; `command` when a program asked.
    purpose: String,
    model: String,
    #[schema(value_type = Object)]
    usage: Usage,
    elapsed_ms: u64,
    /// Why there is no answer that can be used.
    error: Option<String>,
    at: String,
    /// Only of a single call.
    #[serde(flatten)]
    said: Option<TranscriptView>,
}

/// What was said in a call; secrets are masked.
#[derive(Serialize, ToSchema)]
pub(crate) struct TranscriptView {
    /// Each with its `role` and `content`.
    #[schema(value_type = Vec<Object>)]
    question: Vec<Message>,
    answer: Option<String>,
}

impl CallView {
    fn new(kept: StoredCall, said: Option<Transcript>) -> Self {
        let StoredCall { task, at, call } = kept;
        Self {
            task_id: task.to_string(),
            number: call.number,
            purpose: call.purpose,
            model: call.model,
            usage: call.usage,
            elapsed_ms: call.millis,
            error: call.error,
            at: at.to_string(),
            said: said.map(|said| TranscriptView { question: said.question, answer: said.answer }),
        }
    }
}

#[utoipa::path(get, path = "/api/v1/jobs/{id}/calls", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Calls, description = "The calls, the oldest first, without what was said"),
        (status = 401, description = "Nobody asks"), (status = 404, description = "There is no such job")))]
pub(crate) async fn list(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let job = jobs::find(&id, &state).await?;
    let calls = state.app.store.calls(job.id).await?;
    Ok(HttpResponse::Ok().json(Calls { items: calls.into_iter().map(|kept| CallView::new(kept, None)).collect() }))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}/calls/{number}", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task"), ("number" = u32, Path, description = "The call's turn, from 0")),
    responses((status = 200, body = CallView, description = "The call with what was said, secrets masked"),
        (status = 400, description = "The number is none"), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such call, or it is not kept any more")))]
pub(crate) async fn show(
    _: Caller,
    path: web::Path<(String, u32)>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (task, number) = path.into_inner();
    let (kept, said) = find(&task, number, &state).await?;
    Ok(HttpResponse::Ok().json(CallView::new(kept, Some(said))))
}

/// A call with what was said.
pub(super) async fn find(task: &str, number: u32, state: &State) -> Result<(StoredCall, Transcript), ApiError> {
    let task: TaskId = task.parse().map_err(|_| ApiError::NotFound("task"))?;
    state.app.store.call(task, number).await?.ok_or(ApiError::NotFound("call"))
}
