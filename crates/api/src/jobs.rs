//! Jobs.

use actix_web::{HttpResponse, web};
use patchwright_core::query::JobFilter;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::{StageRecord, StageStatus};
use patchwright_domain::{self as domain, Job, JobStatus, Request};
use patchwright_management::{JobOrRequest, QueueEstimate};
use patchwright_protocol::Page;
use patchwright_protocol::jobs::{CiView, JobQuery, JobSummary, JobView, RevisePlan, StageView};
use serde_json::value::RawValue;

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id};
use crate::page::{self, limit, word};

fn summary(job: &domain::JobSummary) -> JobSummary {
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
        pull_request: job.published.current_pull_request(),
        created_at: job.created_at.to_string(),
        ended_at: job.ended_at.map(|at| at.to_string()),
    }
}

fn stage_view(record: &StageRecord) -> StageView<'_> {
    StageView {
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
    }
}

fn view<'a>(job: &'a Job, payload: Option<&'a RawValue>, estimate: Option<QueueEstimate>) -> JobView<'a> {
    JobView {
        object: job.object(payload),
        status: job.status().as_str(),
        queue_position: estimate.map(|estimate| estimate.position),
        estimated_wait_seconds: estimate.and_then(|estimate| estimate.wait_seconds),
        awaits_approval: job.awaits_approval(),
        attempts: job.attempts,
        verdict: job.verdict,
        failure: job.failure.as_ref(),
        pull_request: job.published.current_pull_request(),
        pull_request_ready: job.published.ready,
        ci: job.published.ci.as_ref().map(|report| CiView {
            state: report.state(),
            commit: &report.commit,
            checks: &report.checks,
        }),
        stages: job.stages.iter().map(stage_view).collect(),
        usage: job.usage(),
        started_at: job.started_at,
        ended_at: job.ended_at,
    }
}

async fn response(job: &Job, state: &State) -> Result<HttpResponse, ApiError> {
    let estimate = state.management.jobs().queue_estimate(job).await?;
    let delivery = state.management.jobs().delivery(job.id).await?;
    let payload = delivery.as_ref().and_then(|record| serde_json::from_str(&record.payload).ok());
    Ok(HttpResponse::Ok().json(view(job, payload, estimate)))
}

/// The Job object of a request that is not a job (yet), with its own status.
async fn request_response(request: &Request, state: &State) -> Result<HttpResponse, ApiError> {
    let delivery = state.management.jobs().delivery(request.id).await?;
    let payload = delivery.as_ref().and_then(|record| serde_json::from_str(&record.payload).ok());
    let job = request.preview();
    let view = JobView { status: request.state.status().as_str(), ..view(&job, payload, None) };
    Ok(HttpResponse::Ok().json(view))
}

#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(JobQuery),
    responses((status = 200, body = Page<JobSummary>), (status = 400, description = "Invalid filter")))]
pub(crate) async fn list(
    Caller(principal): Caller,
    query: web::Query<JobQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(query.limit)?;
    let filter = JobFilter {
        status: word(query.status.as_ref(), JobStatus::parse, "status of a job")?,
        repository: query.repository.clone(),
        issue: page::parse(query.issue.as_ref(), "bad_issue")?,
        verdict: word(query.verdict.as_ref(), Verdict::parse, "verdict")?,
        actor: query.actor.clone(),
        before: page::parse(query.cursor.as_ref(), "bad_cursor")?,
        limit,
        ..JobFilter::default()
    };
    let jobs = state.management.jobs().list(&principal, filter).await?;
    Ok(HttpResponse::Ok().json(Page::new(limit, &jobs, |job| job.id, summary)))
}

#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The Job object, its stages, and its results. The id of a delivery's answer is a request until it is admitted: its status is `requested` or `refused` then"),
        (status = 404, description = "No such job")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    match state.management.jobs().find(&principal, parse_id(&id, "job")?).await? {
        JobOrRequest::Job(job) => response(&job, &state).await,
        JobOrRequest::Request(request) => request_response(&request, &state).await,
    }
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, queued again"),
        (status = 403, description = "Only the owner and administrators may do this"), (status = 404, description = "No such job"),
        (status = 409, description = "It has not failed, or is not the newest of its issue")))]
pub(crate) async fn retry(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let job = state.management.jobs().retry(&principal, parse_id(&id, "job")?).await?;
    response(&job, &state).await
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/approve", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, which continues"),
        (status = 403, description = "Only the owner and administrators may do this"), (status = 404, description = "No such job"),
        (status = 409, description = "No plan waits for approval")))]
pub(crate) async fn approve(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let job = state.management.jobs().approve(&principal, parse_id(&id, "job")?).await?;
    response(&job, &state).await
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/plan", tag = "jobs", request_body = RevisePlan,
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, which makes another plan"),
        (status = 400, description = "No words, or too many"),
        (status = 403, description = "Only the owner and administrators may do this"), (status = 404, description = "No such job"),
        (status = 409, description = "No plan waits for approval")))]
pub(crate) async fn revise_plan(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, RevisePlan>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let job = state.management.jobs().revise_plan(&principal, parse_id(&id, "job")?, &body.words).await?;
    response(&job, &state).await
}

#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, body = Object, description = "The job, cancelled"),
        (status = 403, description = "Only the owner and administrators may do this"), (status = 404, description = "No such job"),
        (status = 409, description = "It has ended")))]
pub(crate) async fn cancel(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let job = state.management.jobs().cancel(&principal, parse_id(&id, "job")?).await?;
    response(&job, &state).await
}
