//! One job, and what can be done with it.

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use patchwright_core::Clock as _;
use patchwright_core::model_calls::{ModelCalls as _, StoredCall};
use patchwright_core::query::{Queries as _, TaskFilter};
use patchwright_core::store::Store as _;
use patchwright_core::task_log::TaskLogs as _;
use patchwright_dashboard::diff::Diff;
use patchwright_dashboard::page::{CallPage, CallRow, JobPage, Layout, ObjectPage, Page as _};
use patchwright_domain::{Job, Task, TaskId};
use patchwright_store_diesel::DieselStore;
use serde::Deserialize;

use super::form::Posted;
use super::visit::{NotShown, Visit};
use crate::route::error::ApiError;
use crate::route::jobs::{approve_noted, cancel_noted, find, pretty, retry_noted, wait_of};
use crate::route::{State, calls, logs};
use patchwright_engine::clock::SystemClock;

/// How many dispatches of a job are offered.
const TASKS: u16 = 20;
/// How much of a log's end stands in the page, in bytes; the rest comes with the page's script.
const TAIL: u64 = 32 << 10;
/// How much of a log is read at once for a download.
const PART: u64 = 1 << 20;
/// The most of a Job object that a page shows, in characters; the whole is in the API.
const MAX_OBJECT: usize = 200_000;

/// What to show of the job.
#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    diff: String,
    #[serde(default)]
    task: String,
}

pub(super) async fn show(
    visit: Visit,
    id: web::Path<String>,
    query: web::Query<Query>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let html = shown(&visit, &id, &query, &state).await;
    visit.shown(html)
}

async fn shown(visit: &Visit, id: &str, query: &Query, state: &State) -> Result<String, ApiError> {
    let job = find(id, state).await?;
    let owner = state.app.store.issue(job.issue_id).await?.and_then(|issue| issue.value.owner);
    let calls: Vec<CallRow> = state.app.store.calls(job.id).await?.iter().map(call_row).collect();
    let filter = TaskFilter { job: Some(job.id), limit: TASKS, ..TaskFilter::default() };
    let tasks = state.app.store.tasks(filter).await?;
    let asked: Option<TaskId> = query.task.parse().ok();
    let log = tasks.iter().find(|task| Some(task.id) == asked).or_else(|| tasks.first());
    Ok(JobPage {
        frame: &visit.frame,
        now: SystemClock.now(),
        waits: wait_of(&job, state).await?,
        calls: &calls,
        log,
        log_tail: &tail(log, state).await?,
        tasks: &tasks,
        diff: &diff(&job),
        layout: Layout::parse(&query.diff).unwrap_or_default(),
        may_steer: visit.caller.need_owner(owner).is_ok(),
        job: &job,
    }
    .html())
}

fn diff(job: &Job) -> Diff {
    job.fixed().map(|fixed| Diff::parse(&fixed.diff)).unwrap_or_default()
}

fn call_row(kept: &StoredCall) -> CallRow {
    let call = &kept.call;
    CallRow {
        page: format!("/tasks/{}/calls/{}", kept.task, call.number),
        purpose: call.purpose.clone(),
        model: call.model.clone(),
        usage: call.usage,
        millis: call.millis,
        error: call.error.clone(),
        at: kept.at,
    }
}

/// The end of a task's log as plain text.
async fn tail(task: Option<&Task>, state: &State) -> Result<String, ApiError> {
    let Some(task) = task else { return Ok(String::new()) };
    let end = state.app.store.read_log(task.id, u64::MAX >> 1, 1).await?.end;
    let part = state.app.store.read_log(task.id, end.saturating_sub(TAIL), TAIL).await?;
    Ok(console::strip_ansi_codes(&part.text).replace('\r', "\n"))
}

fn page_of(id: &str) -> String {
    format!("/jobs/{id}")
}

pub(super) async fn approve(
    Posted { visit, .. }: Posted,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let done = approve_noted(&visit.caller, &id, &state).await.map(|_| visit.words().approved);
    visit.done(done, &page_of(&id))
}

pub(super) async fn retry(
    Posted { visit, .. }: Posted,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let done = retry_noted(&visit.caller, &id, &state).await.map(|_| visit.words().retried);
    visit.done(done, &page_of(&id))
}

pub(super) async fn cancel(
    Posted { visit, .. }: Posted,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let done = cancel_noted(&visit.caller, &id, &state).await.map(|_| visit.words().stopped);
    visit.done(done, &page_of(&id))
}

/// A file to keep: no browser is to take it for a page.
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
    visit: Visit,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let found = find(&id, &state).await;
    let patch = found.and_then(|job| {
        let name = format!("{}.patch", job.branch.as_str().replace(['/', '"'], "-"));
        let diff = job.fixed().map(|fixed| fixed.diff.clone()).ok_or(ApiError::NotFound("patch"))?;
        Ok(download(&name).body(diff))
    });
    patch.map_err(|error| visit.failed(error))
}

pub(super) async fn object(
    visit: Visit,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let html = object_shown(&visit, &id, &state).await;
    visit.shown(html)
}

async fn object_shown(visit: &Visit, id: &str, state: &State) -> Result<String, ApiError> {
    let job = find(id, state).await?;
    let mut json = pretty(&job, state).await?;
    if let Some((end, _)) = json.char_indices().nth(MAX_OBJECT) {
        json.truncate(end);
        json.push_str("\n…");
    }
    Ok(ObjectPage { frame: &visit.frame, job: &job.id.to_string(), json: &json }.html())
}

pub(super) async fn call(
    visit: Visit,
    path: web::Path<(String, u32)>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let (task, number) = path.into_inner();
    let html = call_shown(&visit, &task, number, &state).await;
    visit.shown(html)
}

async fn call_shown(visit: &Visit, task: &str, number: u32, state: &State) -> Result<String, ApiError> {
    let (kept, said) = calls::find(task, number, state).await?;
    let task = state.app.store.task(kept.task).await?.ok_or(ApiError::NotFound("task"))?;
    let role = |role| serde_json::to_value(role).ok().and_then(|name| name.as_str().map(str::to_owned));
    let question: Vec<(String, String)> =
        said.question.into_iter().map(|message| (role(message.role).unwrap_or_default(), message.content)).collect();
    Ok(CallPage {
        frame: &visit.frame,
        now: SystemClock.now(),
        job: &task.job_id.to_string(),
        call: &call_row(&kept),
        question: &question,
        answer: said.answer.as_deref(),
    }
    .html())
}

/// The whole log, as it was written.
pub(super) async fn log(
    visit: Visit,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let task = match logs::find(&id, &state).await {
        Ok(task) => task,
        Err(error) => return Err(visit.failed(error)),
    };
    let begin = (state.app.store.clone(), 0);
    let parts = futures_util::stream::unfold(begin, move |(store, from)| next_part(store, task, from));
    Ok(download(&format!("{task}.log.txt")).streaming(parts))
}

type Part = (Result<Bytes, actix_web::Error>, (DieselStore, u64));

async fn next_part(store: DieselStore, task: TaskId, from: u64) -> Option<Part> {
    match store.read_log(task, from, PART).await {
        Ok(part) if part.text.is_empty() => None,
        Ok(part) => Some((Ok(Bytes::from(part.text)), (store, part.next))),
        // The download breaks off, and the browser says so.
        Err(error) => Some((Err(ApiError::from(error).into()), (store, u64::MAX >> 1))),
    }
}
