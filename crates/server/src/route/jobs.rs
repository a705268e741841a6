//! Jobs, for people and programs.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use patchwright_core::query::{JobFilter, Queries as _};
use patchwright_core::store::{Store as _, StoreError};
use patchwright_domain::job::JobObject;
use patchwright_domain::job::report::{StageReport, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Failure, PullRequestRef};
use patchwright_domain::{Job, JobId, JobStatus, Usage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::State;
use super::answer::{internal, problem, unavailable};
use super::error::ApiError;
use crate::audit::note;
use crate::auth::Caller;

/// Jobs a page at the most.
const MAX_LIMIT: u16 = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    status: Option<JobStatus>,
    repository: Option<String>,
    cursor: Option<JobId>,
    limit: Option<u16>,
}

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<JobSummary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<JobId>,
}

/// A job in a list.
#[derive(Serialize)]
struct JobSummary<'a> {
    job_id: JobId,
    status: JobStatus,
    platform: &'a str,
    repository: String,
    issue_number: u64,
    issue_title: &'a str,
    actor: &'a str,
    branch: &'a str,
    verdict: Option<Verdict>,
    pull_request: Option<&'a PullRequestRef>,
    created_at: jiff::Timestamp,
    ended_at: Option<jiff::Timestamp>,
}

/// One stage of a job.
#[derive(Serialize)]
struct StageView<'a> {
    name: StageKind,
    status: StageStatus,
    started_at: Option<jiff::Timestamp>,
    ended_at: Option<jiff::Timestamp>,
    seconds: Option<f64>,
    success: bool,
    comment: Option<&'a str>,
    reason: Option<&'a str>,
    usage: Usage,
    #[serde(flatten)]
    report: Option<&'a StageReport>,
}

/// The Job object of `seeds/002 §5` with what has become of it.
#[derive(Serialize)]
struct JobView<'a> {
    #[serde(flatten)]
    object: JobObject<'a, Option<&'a RawValue>>,
    status: JobStatus,
    /// Its turn among the waiting jobs of its repository, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<u64>,
    attempts: u32,
    verdict: Option<Verdict>,
    failure: Option<&'a Failure>,
    pull_request: Option<&'a PullRequestRef>,
    pull_request_ready: bool,
    stages: Vec<StageView<'a>>,
    usage: Usage,
    started_at: Option<jiff::Timestamp>,
    ended_at: Option<jiff::Timestamp>,
}

pub(super) async fn list(_: Caller, query: web::Query<ListQuery>, state: web::Data<State>) -> HttpResponse {
    let query = query.into_inner();
    let limit = query.limit.unwrap_or(50).clamp(1, MAX_LIMIT);
    let filter = JobFilter { status: query.status, repository: query.repository, before: query.cursor, limit };
    match state.app.store.jobs(filter).await {
        Ok(jobs) => {
            let next_cursor = (jobs.len() == usize::from(limit)).then(|| jobs.last().map(|job| job.id)).flatten();
            HttpResponse::Ok().json(Page { items: jobs.iter().map(summary).collect(), next_cursor })
        }
        Err(error) => failed(&error),
    }
}

pub(super) async fn show(_: Caller, id: web::Path<String>, state: web::Data<State>) -> HttpResponse {
    let Ok(id) = id.parse::<JobId>() else { return not_found() };
    match state.app.engine.job(id).await {
        Ok(Some(job)) => shown(&job, &state).await,
        Ok(None) => not_found(),
        Err(error) => failed(&error),
    }
}

pub(super) async fn retry(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = steerable(&caller, &id, &state).await?;
    let job = state.app.engine.retry(id).await?;
    note(&state, &caller.login, "job.retried", &job.id.to_string(), "").await?;
    Ok(shown(&job, &state).await)
}

pub(super) async fn cancel(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = steerable(&caller, &id, &state).await?;
    let job = state.app.engine.cancel(id).await?;
    note(&state, &caller.login, "job.cancelled", &job.id.to_string(), "").await?;
    Ok(shown(&job, &state).await)
}

/// The job of a path, when the caller may steer it: the issue's owner, or an administrator.
async fn steerable(caller: &Caller, id: &str, state: &State) -> Result<JobId, ApiError> {
    let id: JobId = id.parse().map_err(|_| ApiError::NotFound("job"))?;
    let job = state.app.engine.job(id).await?.ok_or(ApiError::NotFound("job"))?;
    let issue = state.app.store.issue(job.issue_id).await?;
    caller.need_owner(issue.and_then(|issue| issue.value.owner))?;
    Ok(id)
}

fn not_found() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "not_found", "there is no job with this id")
}

/// The job as the API shows it.
async fn shown(job: &Job, state: &State) -> HttpResponse {
    let position = match job.status() {
        JobStatus::Queued => state.app.store.queue_position(job.id).await,
        _ => Ok(None),
    };
    let position = match position {
        Ok(position) => position,
        Err(error) => return failed(&error),
    };
    match state.app.store.delivery(job.id).await {
        Ok(delivery) => {
            let payload = delivery.as_ref().and_then(|record| serde_json::from_str(&record.payload).ok());
            HttpResponse::Ok().json(view(job, payload, position))
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &StoreError) -> HttpResponse {
    match error {
        StoreError::Unavailable { .. } => unavailable("the database cannot be used now"),
        error => internal(error),
    }
}

fn summary(job: &Job) -> JobSummary<'_> {
    JobSummary {
        job_id: job.id,
        status: job.status(),
        platform: job.source.platform.as_str(),
        repository: job.source.repo.to_string(),
        issue_number: job.source.number.api,
        issue_title: &job.title,
        actor: &job.trigger.actor,
        branch: job.branch.as_str(),
        verdict: job.verdict,
        pull_request: job.published.pull_request.as_ref(),
        created_at: job.created_at,
        ended_at: job.ended_at,
    }
}

fn view<'a>(job: &'a Job, payload: Option<&'a RawValue>, queue_position: Option<u64>) -> JobView<'a> {
    let stage = |record: &'a patchwright_domain::job::stage::StageRecord| StageView {
        name: record.kind,
        status: record.status,
        started_at: record.started_at,
        ended_at: record.ended_at,
        seconds: record.seconds(),
        success: record.status == StageStatus::Succeeded,
        comment: record.comment.as_deref(),
        reason: record.reason.as_deref(),
        usage: record.usage,
        report: record.report.as_ref(),
    };
    JobView {
        object: job.object(payload),
        status: job.status(),
        queue_position,
        attempts: job.attempts,
        verdict: job.verdict,
        failure: job.failure.as_ref(),
        pull_request: job.published.pull_request.as_ref(),
        pull_request_ready: job.published.ready,
        stages: job.stages.iter().map(stage).collect(),
        usage: job.usage(),
        started_at: job.started_at,
        ended_at: job.ended_at,
    }
}
