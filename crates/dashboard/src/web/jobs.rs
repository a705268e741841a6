//! One job, and what can be done with it.

use std::sync::Arc;

use crate::diff::Diff;
use crate::page::{CallPage, CallRow, DiffLayout, JobPage, ObjectPage, Page as _};
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use patchwright_core::model_calls::StoredCall;
use patchwright_core::query::{JobFilter, TaskFilter};
use patchwright_core::task_log::TaskLogs;
use patchwright_domain::{Job, Task, TaskId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::State;
use super::form::Submission;
use super::page_request::{PageError, PageRequest, parse_id};
use patchwright_management::ManagementError;

/// How many dispatches of a job are offered.
const SHOWN_TASKS: u16 = 20;
/// How much of the end of a log is in the page, in bytes; the page's script loads the rest.
const TAIL_BYTES: u64 = 32 << 10;
/// How much of a log is read at once for a download.
const PART_BYTES: u64 = 1 << 20;
/// The most of a Job object that a page shows, in characters; the whole is in the API.
const MAX_OBJECT_CHARS: usize = 200_000;

/// The options of the page.
#[derive(Deserialize)]
pub(super) struct JobQuery {
    #[serde(default)]
    diff: String,
    #[serde(default)]
    task: String,
}

pub(super) async fn show(
    page: PageRequest,
    id: web::Path<String>,
    query: web::Query<JobQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render(&page, &id, &query, &state).await;
    page.render(html)
}

async fn render(page: &PageRequest, id: &str, query: &JobQuery, state: &State) -> Result<String, ManagementError> {
    let job = state.management.jobs().get(&page.principal, parse_id(id, "job")?).await?;
    let owner = state.management.jobs().owner(&job).await?;
    let calls: Vec<CallRow> = state.management.jobs().model_calls(&job).await?.iter().map(call_row).collect();
    let filter = TaskFilter { job: Some(job.id), limit: SHOWN_TASKS, ..TaskFilter::default() };
    let tasks = state.management.tasks().list(&page.principal, filter).await?;
    let chosen: Option<TaskId> = query.task.parse().ok();
    let log = tasks.iter().find(|task| Some(task.id) == chosen).or_else(|| tasks.first());
    let of_issue = JobFilter { issue: Some(job.issue_id), limit: 1, ..JobFilter::default() };
    let newest = state.management.jobs().list(&page.principal, of_issue).await?;
    let estimate = state.management.jobs().queue_estimate(&job).await?;
    Ok(JobPage {
        layout: &page.layout,
        now: state.management.now(),
        waits: estimate.map(|estimate| (estimate.position, estimate.wait_seconds)),
        calls: &calls,
        log,
        log_tail: &tail(log, state).await?,
        tasks: &tasks,
        diff: &diff(&job),
        diff_layout: DiffLayout::parse(&query.diff).unwrap_or(page.usual_diff_layout()),
        may_steer: page.principal.may_change(owner),
        is_newest: newest.first().is_none_or(|newest| newest.id == job.id),
        job: &job,
    }
    .html())
}

fn diff(job: &Job) -> Diff {
    job.fixed().map(|fixed| Diff::parse(&fixed.diff)).unwrap_or_default()
}

fn call_row(stored: &StoredCall) -> CallRow {
    let call = &stored.call;
    CallRow {
        page: format!("/tasks/{}/calls/{}", stored.task, call.number),
        purpose: call.purpose.clone(),
        model: call.model.clone(),
        usage: call.usage,
        millis: call.millis,
        error: call.error.clone(),
        at: stored.at,
    }
}

/// Returns the end of a task's log as plain text.
async fn tail(task: Option<&Task>, state: &State) -> Result<String, ManagementError> {
    let Some(task) = task else { return Ok(String::new()) };
    let end = state.management.logs().read_log(task.id, u64::MAX >> 1, 1).await?.end;
    let part = state.management.logs().read_log(task.id, end.saturating_sub(TAIL_BYTES), TAIL_BYTES).await?;
    Ok(console::strip_ansi_codes(&part.text).replace('\r', "\n"))
}

fn path_of(id: &str) -> String {
    format!("/jobs/{id}")
}

pub(super) async fn approve(
    Submission { page, .. }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async { state.management.jobs().approve(&page.principal, parse_id(&id, "job")?).await }.await;
    let message = result.map(|_| page.translations().approved);
    page.respond(message, &path_of(&id))
}

pub(super) async fn revise_plan(
    Submission { page, form }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result =
        async { state.management.jobs().revise_plan(&page.principal, parse_id(&id, "job")?, form.get("words")).await }
            .await;
    let message = result.map(|_| page.translations().plan_revised);
    page.respond(message, &path_of(&id))
}

pub(super) async fn retry(
    Submission { page, .. }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async { state.management.jobs().retry(&page.principal, parse_id(&id, "job")?).await }.await;
    let message = result.map(|_| page.translations().retried);
    page.respond(message, &path_of(&id))
}

pub(super) async fn cancel(
    Submission { page, .. }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = async { state.management.jobs().cancel(&page.principal, parse_id(&id, "job")?).await }.await;
    let message = result.map(|_| page.translations().stopped);
    page.respond(message, &path_of(&id))
}

/// Returns a file as a download, which no browser displays as a page.
pub(super) fn download(name: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(StatusCode::OK);
    answer
        .content_type("text/plain; charset=utf-8")
        .insert_header(("content-disposition", format!("attachment; filename=\"{name}\"")))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-content-type-options", "nosniff"));
    answer
}

pub(super) async fn patch(
    page: PageRequest,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let job = async { state.management.jobs().get(&page.principal, parse_id(&id, "job")?).await }.await;
    let patch = job.and_then(|job| {
        let name = format!("{}.patch", job.branch.as_str().replace(['/', '"'], "-"));
        let diff = job.fixed().map(|fixed| fixed.diff.clone()).ok_or_else(|| ManagementError::not_found("patch"))?;
        Ok(download(&name).body(diff))
    });
    patch.map_err(|error| page.error(error))
}

pub(super) async fn object(
    page: PageRequest,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render_object(&page, &id, &state).await;
    page.render(html)
}

async fn render_object(page: &PageRequest, id: &str, state: &State) -> Result<String, ManagementError> {
    let job = state.management.jobs().get(&page.principal, parse_id(id, "job")?).await?;
    let mut json = job_json(&job, state).await?;
    if let Some((end, _)) = json.char_indices().nth(MAX_OBJECT_CHARS) {
        json.truncate(end);
        json.push_str("\n…");
    }
    Ok(ObjectPage { layout: &page.layout, job: &job.id.to_string(), json: &json }.html())
}

/// Returns the Job object (`docs/requirements.md#gateway-5`), indented.
async fn job_json(job: &Job, state: &State) -> Result<String, ManagementError> {
    let delivery = state.management.jobs().delivery(job.id).await?;
    let payload: Option<&RawValue> = delivery.as_ref().and_then(|record| serde_json::from_str(&record.payload).ok());
    Ok(serde_json::to_string_pretty(&job.object(payload)).expect("a job is JSON"))
}

pub(super) async fn call(
    page: PageRequest,
    path: web::Path<(String, u32)>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let (task, number) = path.into_inner();
    let html = render_call(&page, &task, number, &state).await;
    page.render(html)
}

async fn render_call(page: &PageRequest, task: &str, number: u32, state: &State) -> Result<String, ManagementError> {
    let id = parse_id(task, "task")?;
    let (task, stored, transcript) = state.management.tasks().model_call(&page.principal, id, number).await?;
    let role = |role| serde_json::to_value(role).ok().and_then(|name| name.as_str().map(str::to_owned));
    let question: Vec<(String, String)> = transcript
        .question
        .into_iter()
        .map(|message| (role(message.role).unwrap_or_default(), message.content))
        .collect();
    Ok(CallPage {
        layout: &page.layout,
        now: state.management.now(),
        job: &task.job_id.to_string(),
        call: &call_row(&stored),
        question: &question,
        answer: transcript.answer.as_deref(),
    }
    .html())
}

/// Returns the whole log, unchanged.
pub(super) async fn log(
    page: PageRequest,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let task = match find_task(&page, &id, &state).await {
        Ok(task) => task,
        Err(error) => return Err(page.error(error)),
    };
    let start = (Arc::clone(state.management.logs()), 0);
    let parts = futures_util::stream::unfold(start, move |(logs, from)| next_part(logs, task, from));
    Ok(download(&format!("{task}.log.txt")).streaming(parts))
}

async fn find_task(page: &PageRequest, id: &str, state: &State) -> Result<TaskId, ManagementError> {
    Ok(state.management.tasks().get(&page.principal, parse_id(id, "task")?).await?.id)
}

type Part = (Result<Bytes, actix_web::Error>, (Arc<dyn TaskLogs>, u64));

async fn next_part(logs: Arc<dyn TaskLogs>, task: TaskId, from: u64) -> Option<Part> {
    match logs.read_log(task, from, PART_BYTES).await {
        Ok(part) if part.text.is_empty() => None,
        Ok(part) => Some((Ok(Bytes::from(part.text)), (logs, part.next))),
        // The download is aborted, and the browser shows that.
        Err(error) => Some((Err(actix_web::error::ErrorServiceUnavailable(error)), (logs, u64::MAX >> 1))),
    }
}
