//! Model calls.

use actix_web::{HttpResponse, web};
use patchwright_core::model_calls::{StoredCall, Transcript};
use patchwright_domain::TaskId;
use patchwright_protocol::calls::{CallList, CallView, TranscriptView};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Caller, parse_id};
use crate::node_convert::message_view;

fn view(stored: StoredCall, transcript: Option<Transcript>) -> CallView {
    let StoredCall { task, at, call } = stored;
    let transcript = transcript.map(|transcript| TranscriptView {
        question: transcript.question.into_iter().map(message_view).collect(),
        answer: transcript.answer,
    });
    CallView {
        task_id: task.to_string(),
        number: call.number,
        purpose: call.purpose,
        model: call.model,
        usage: call.usage,
        elapsed_ms: call.millis,
        error: call.error,
        at: at.to_string(),
        transcript,
    }
}

#[utoipa::path(get, path = "/api/v1/jobs/{id}/calls", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = CallList, description = "The calls, oldest first, without their texts"),
        (status = 404, description = "No such job")))]
pub(crate) async fn list(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let job = state.management.jobs().get(&principal, parse_id(&id, "job")?).await?;
    let calls = state.management.jobs().model_calls(&job).await?;
    Ok(HttpResponse::Ok().json(CallList { items: calls.into_iter().map(|stored| view(stored, None)).collect() }))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}/calls/{number}", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task"), ("number" = u32, Path, description = "The position of the call, from 0")),
    responses((status = 200, body = CallView, description = "The call with its texts, secrets masked"),
        (status = 400, description = "Invalid number"), (status = 404, description = "No such call, or it was deleted")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    path: web::Path<(String, u32)>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (task, number) = path.into_inner();
    let task: TaskId = parse_id(&task, "task")?;
    let (_, stored, transcript) = state.management.tasks().model_call(&principal, task, number).await?;
    Ok(HttpResponse::Ok().json(view(stored, Some(transcript))))
}
