//! Jobs, for people and programs.

use actix_web::{HttpResponse, web};
use patchwright_core::query::{JobFilter, Queries as _};
use patchwright_core::store::Store as _;
use patchwright_domain::job::JobObject;
use patchwright_domain::job::report::{StageReport, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Failure, PullRequestRef};
use patchwright_domain::{Job, JobId, JobStatus, Usage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::error::ApiError;
use super::page::{Page, limit, parsed, word};
use super::{wait, words};
use crate::audit::note;
use crate::auth::Caller;

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(schema_with = words::job_status)]
    status: Option<String>,
    /// `owner/name`
    repository: Option<String>,
    /// Only of this issue.
    #[param(value_type = Option<uuid::Uuid>)]
    issue: Option<String>,
    /// As the page before said.
    #[param(value_type = Option<uuid::Uuid>)]
    cursor: Option<String>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// A job in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobSummary {
    job_id: String,
    status: String,
    platform: String,
    repository: String,
    issue_number: u64,
    /// Where it is an issue of Jira: `PROJ-12`.
    issue_key: Option<String>,
    issue_title: String,
    actor: String,
    branch: String,
    verdict: Option<String>,
    #[schema(value_type = Option<Object>)]
    pull_request: Option<PullRequestRef>,
    created_at: String,
    ended_at: Option<String>,
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
    /// About when it begins, in seconds from now; only where jobs have ended lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_wait_seconds: Option<u64>,
    /// Whether its plan is there and somebody has to approve it.
    awaits_approval: bool,
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

#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, body = Page<JobSummary>), (status = 400, description = "A filter makes no sense"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(
    _: Caller,
    query: web::Query<ListQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(query.limit)?;
    let filter = JobFilter {
        status: word(query.status.as_ref(), JobStatus::parse, "status of a job")?,
        repository: query.repository.clone(),
        issue: parsed(query.issue.as_ref(), "bad_issue")?,
        before: parsed(query.cursor.as_ref(), "bad_cursor")?,
        limit,
    };
    let jobs = state.app.store.jobs(filter).await?;
    Ok(HttpResponse::Ok().json(Page::new(limit, &jobs, |job| job.id, summary)))
}

#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The Job object, its stages, and what has become of it"),
        (status = 401, description = "Nobody asks"), (status = 404, description = "There is no such job")))]
pub(crate) async fn show(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    shown(&find(&id, &state).await?, &state).await
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, as it waits again"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Neither owner nor administrator asks"),
        (status = 404, description = "There is no such job"), (status = 409, description = "It has not failed, or is not the newest of its issue")))]
pub(crate) async fn retry(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    shown(&retry_noted(&caller, &id, &state).await?, &state).await
}

/// Starts a job again, and writes that to the audit.
pub(super) async fn retry_noted(caller: &Caller, id: &str, state: &State) -> Result<Job, ApiError> {
    let id = steerable(caller, id, state).await?;
    let job = state.app.engine.retry(id).await?;
    note(state, &caller.login, "job.retried", &job.id.to_string(), "").await?;
    Ok(job)
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/approve", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, as it goes on"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Neither owner nor administrator asks"),
        (status = 404, description = "There is no such job"), (status = 409, description = "No plan of it waits for approval")))]
pub(crate) async fn approve(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    shown(&approve_noted(&caller, &id, &state).await?, &state).await
}

/// Approves a plan, and writes that to the audit.
pub(super) async fn approve_noted(caller: &Caller, id: &str, state: &State) -> Result<Job, ApiError> {
    let id = steerable(caller, id, state).await?;
    let job = state.app.engine.approve_plan(id, &caller.login).await?;
    note(state, &caller.login, "job.plan_approved", &job.id.to_string(), "").await?;
    Ok(job)
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, stopped"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Neither owner nor administrator asks"),
        (status = 404, description = "There is no such job"), (status = 409, description = "It has ended")))]
pub(crate) async fn cancel(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    shown(&cancel_noted(&caller, &id, &state).await?, &state).await
}

/// Stops a job, and writes that to the audit.
pub(super) async fn cancel_noted(caller: &Caller, id: &str, state: &State) -> Result<Job, ApiError> {
    let id = steerable(caller, id, state).await?;
    let job = state.app.engine.cancel(id).await?;
    note(state, &caller.login, "job.cancelled", &job.id.to_string(), "").await?;
    Ok(job)
}

/// The job of a path.
pub(crate) async fn find(id: &str, state: &State) -> Result<Job, ApiError> {
    let id: JobId = id.parse().map_err(|_| ApiError::NotFound("job"))?;
    state.app.engine.job(id).await?.ok_or(ApiError::NotFound("job"))
}

/// The job of a path, when the caller may steer it: the issue's owner, or an administrator.
async fn steerable(caller: &Caller, id: &str, state: &State) -> Result<JobId, ApiError> {
    let job = find(id, state).await?;
    let issue = state.app.store.issue(job.issue_id).await?;
    caller.need_owner(issue.and_then(|issue| issue.value.owner))?;
    Ok(job.id)
}

/// The job as the API shows it.
async fn shown(job: &Job, state: &State) -> Result<HttpResponse, ApiError> {
    let waits = wait_of(job, state).await?;
    let delivery = state.app.store.delivery(job.id).await?;
    let payload = delivery.as_ref().and_then(|record| serde_json::from_str(&record.payload).ok());
    Ok(HttpResponse::Ok().json(view(job, payload, waits)))
}

/// The turn of a job that waits, and about how many seconds it waits.
pub(super) async fn wait_of(job: &Job, state: &State) -> Result<Option<(u64, Option<u64>)>, ApiError> {
    if job.status() != JobStatus::Queued {
        return Ok(None);
    }
    let Some(position) = state.app.store.queue_position(job.id).await? else { return Ok(None) };
    Ok(Some((position, wait::estimated(position, state).await?)))
}

/// The job as the API shows it, for people to read.
pub(super) async fn pretty(job: &Job, state: &State) -> Result<String, ApiError> {
    let delivery = state.app.store.delivery(job.id).await?;
    let payload = delivery.as_ref().and_then(|record| serde_json::from_str(&record.payload).ok());
    let value = serde_json::to_value(view(job, payload, None)).expect("a job is JSON");
    Ok(serde_json::to_string_pretty(&value).expect("JSON is JSON"))
}

fn summary(job: &Job) -> JobSummary {
    JobSummary {
        job_id: job.id.to_string(),
        status: job.status().as_str().to_owned(),
        platform: job.source.platform.as_str().to_owned(),
        repository: job.source.repo.to_string(),
        issue_number: job.source.shown_number(),
        issue_key: job.source.key().map(str::to_owned),
        issue_title: job.title.clone(),
        actor: job.trigger.actor.clone(),
        branch: job.branch.to_string(),
        verdict: job.verdict.map(|verdict| verdict.as_str().to_owned()),
        pull_request: job.published.pull_request.clone(),
        created_at: job.created_at.to_string(),
        ended_at: job.ended_at.map(|at| at.to_string()),
    }
}

fn view<'a>(job: &'a Job, payload: Option<&'a RawValue>, waits: Option<(u64, Option<u64>)>) -> JobView<'a> {
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
        queue_position: waits.map(|(position, _)| position),
        estimated_wait_seconds: waits.and_then(|(_, wait)| wait),
        awaits_approval: job.awaits_approval(),
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
