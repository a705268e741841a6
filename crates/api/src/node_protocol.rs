//! The node protocol (`docs/nodes.md`): registration, leases, and the task session over HTTP.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_core::fault::Fault;
use patchwright_core::task_session::{Refusal, TaskSession as _, TaskSessionError};
use patchwright_domain::{BranchName, IssueId, Task, TaskId, TaskStatus};
use patchwright_engine::BranchReport;
use patchwright_management::{ManagementError, NodeRegistration};
use patchwright_protocol::node::{
    Credential, CredentialQuery, Heartbeat, HeartbeatResponse, LeaseRequest, LeaseResponse, LogChunk, RecordedCall,
    Register, Registered, Report, ReportBody, ReportStatus, Reserve, Reserved, SaveConversation, Settle, StartTask,
    TaskOffer, TaskProgress, TaskProgressResponse,
};
use patchwright_protocol::tasks::TaskPublic;
use patchwright_protocol::{NODE_PROTOCOL, Version, VersionMismatch};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Body, NodeCaller, parse_id};
use crate::node_convert;
use crate::tasks::task_view;

/// The longest wait of a lease request.
const MAX_WAIT: Duration = Duration::from_secs(25);
/// How often tasks that other replicas dispatched are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest time between two reads.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The largest body of a report: a fix contains whole files.
const MAX_REPORT_BYTES: usize = 32 << 20;
/// The longest text of a node's process, in characters.
const MAX_INSTANCE_CHARS: usize = 64;
/// The longest reason of a failure that a third-party node reports, in characters.
const MAX_REASON_CHARS: usize = 2_000;

impl From<TaskSessionError> for ApiError {
    fn from(error: TaskSessionError) -> Self {
        match error {
            TaskSessionError::LeaseLost => Self::conflict("task_gone", "the task does not belong to the node any more"),
            TaskSessionError::Refused(refusal) => Self::Refused(Box::new(refusal)),
            TaskSessionError::Unavailable { source } => {
                ManagementError::Unavailable(format!("it cannot be done now: {source}")).into()
            }
        }
    }
}

fn check_version(text: &str) -> Result<(), ApiError> {
    let mismatch = |error: VersionMismatch| ApiError::conflict("protocol", error.to_string());
    text.parse::<Version>().map_err(mismatch)?.check(NODE_PROTOCOL).map_err(mismatch)
}

/// A task that the node may work on.
async fn open_task(node: &NodeCaller, id: &str, state: &State) -> Result<Task, ApiError> {
    let id: TaskId = parse_id(id, "task")?;
    let task = state.management.nodes().task(&node.0, id).await?;
    match task.status {
        TaskStatus::Pending | TaskStatus::Running => Ok(task),
        TaskStatus::Success | TaskStatus::Failed => Err(TaskSessionError::LeaseLost.into()),
    }
}

#[utoipa::path(post, path = "/api/v1/nodes/register", tag = "node protocol", request_body = Register,
    responses((status = 201, description = "Registered; the token is shown only once"),
        (status = 400, description = "Invalid capacity or labels"),
        (status = 401, description = "The join token is wrong, used or expired"),
        (status = 409, description = "The versions are too far apart")), security(()))]
pub(crate) async fn register(Body(body): Body<Register>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    check_version(&body.protocol)?;
    let registration = NodeRegistration {
        join_token: Secret::new(body.join_token),
        labels: body.labels,
        capacity: body.capacity,
        version: body.version,
    };
    let registered = state.management.nodes().register(registration).await?;
    let response = Registered {
        node_id: registered.node.id.to_string(),
        name: registered.node.name.to_string(),
        token: registered.token.expose().to_owned(),
        dispatch_key: registered.dispatch_key.expose().to_owned(),
        protocol: NODE_PROTOCOL.to_string(),
    };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(response))
}

#[utoipa::path(post, path = "/api/v1/nodes/{id}/heartbeat", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The node itself")),
    responses((status = 200, description = "Recorded"), (status = 400, description = "Invalid body"),
        (status = 404, description = "Another node"), (status = 409, description = "The versions are too far apart")))]
pub(crate) async fn heartbeat(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, Heartbeat>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    node.require_self(&id)?;
    check_version(&body.protocol)?;
    state.management.nodes().record_heartbeat(&node.0, &body.health).await?;
    Ok(HttpResponse::Ok().json(HeartbeatResponse { draining: node.0.draining }))
}

#[utoipa::path(post, path = "/api/v1/nodes/{id}/lease", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The node itself")),
    responses((status = 200, description = "Tasks to start and to stop; none after the wait"),
        (status = 400, description = "Invalid body"), (status = 404, description = "Another node")))]
pub(crate) async fn lease(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, LeaseRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    node.require_self(&id)?;
    let (id, engine) = (node.0.id, state.management.engine());
    let until = Instant::now() + Duration::from_secs(body.wait_seconds).min(MAX_WAIT);
    let instance: String = body.instance.chars().take(MAX_INSTANCE_CHARS).collect();
    engine.node_process(id, &instance, &body.running).await?;
    let mut wake = engine.subscribe();
    loop {
        wake.mark_unchanged();
        let found = engine.news_for_node(id, &body.running).await?;
        let offer = |task: &Task| {
            let lease = node_convert::lease_to_wire(engine.lease_of(task));
            TaskOffer { lease, issue_id: task.issue_id }
        };
        let response = LeaseResponse { offers: found.offers.iter().map(offer).collect(), stop: found.stop };
        let left = until.saturating_duration_since(Instant::now());
        let is_empty = response.offers.is_empty() && response.stop.is_empty();
        if !is_empty || left.is_zero() || state.stopping.is_cancelled() {
            return Ok(HttpResponse::Ok().json(response));
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(POLL_INTERVAL)) => {}
            _ = wake.changed() => tokio::time::sleep(DEBOUNCE).await,
            () = state.stopping.cancelled() => {}
        }
    }
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/begin", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "The job, the issue, the repository's address and the policy"),
        (status = 400, description = "Invalid body"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task does not belong to the node any more"),
        (status = 422, description = "Refused, with the reason")))]
pub(crate) async fn start(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, StartTask>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let assignment = state.management.engine().task_session(task).start(&body.model).await?;
    Ok(HttpResponse::Ok().json(node_convert::assignment_to_wire(assignment)))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/progress", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "The job after an event; nothing after a renewal of the lease"),
        (status = 400, description = "Invalid body"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task does not belong to the node any more")))]
pub(crate) async fn progress(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, TaskProgress, MAX_REPORT_BYTES>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let session = state.management.engine().task_session(task);
    let job = if let Some(event) = body.event {
        Some(session.report_once(body.number, event.into()).await?)
    } else {
        session.renew_lease().await?;
        None
    };
    Ok(HttpResponse::Ok().json(TaskProgressResponse { job }))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/credential", tag = "node protocol",
    params(("id" = uuid::Uuid, Path, description = "The task"), CredentialQuery),
    responses((status = 200, description = "The git credential for the next call, or nothing"),
        (status = 400, description = "Invalid query"),
        (status = 404, description = "The node has no such task"), (status = 409, description = "The task does not belong to the node any more"),
        (status = 422, description = "The forge issues none, with the reason")))]
pub(crate) async fn credential(
    node: NodeCaller,
    id: web::Path<String>,
    query: web::Query<CredentialQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let task_id = task.id;
    let session = state.management.engine().task_session(task);
    let credential = if query.renew { session.renew_credential().await? } else { session.credential().await? };
    state.management.nodes().record_credential_use(&node.0, task_id).await?;
    let credential = credential.map(|credential| Credential {
        username: credential.username,
        password: credential.password.expose().to_owned(),
    });
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(credential))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/reserve", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "The day that the call is charged to"), (status = 400, description = "Invalid body"),
        (status = 404, description = "The node has no such task"), (status = 409, description = "The task does not belong to the node any more"),
        (status = 422, description = "The budget of the day is used up")))]
pub(crate) async fn reserve(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, Reserve>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let day = state.management.engine().task_session(task).reserve(body.most).await?;
    Ok(HttpResponse::Ok().json(Reserved { day }))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/settle", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "Settled"), (status = 400, description = "Invalid body"),
        (status = 404, description = "The node has no such task")))]
pub(crate) async fn settle(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, Settle>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    // Also after the task has ended: the cost has been incurred.
    let task = state.management.nodes().task(&node.0, parse_id(&id, "task")?).await?;
    state.management.engine().task_session(task).settle(body.day, body.reserved, body.spent).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/logs", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "Stored"), (status = 400, description = "Invalid body"),
        (status = 404, description = "The node has no such task"), (status = 409, description = "The task does not belong to the node any more")))]
pub(crate) async fn append_log(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, LogChunk>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    state.management.engine().task_session(task).append_log(body.chunk, body.text).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/calls", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "Stored"), (status = 400, description = "Invalid body"),
        (status = 404, description = "The node has no such task"), (status = 409, description = "The task does not belong to the node any more")))]
pub(crate) async fn record_call(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, RecordedCall, MAX_REPORT_BYTES>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let (call, transcript) = node_convert::recorded_call(body);
    state.management.engine().task_session(task).record_call(call, transcript).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/conversation", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "Stored in place of an earlier one"), (status = 400, description = "Invalid body"),
        (status = 404, description = "The node has no such task"), (status = 409, description = "The task does not belong to the node any more")))]
pub(crate) async fn save_conversation(
    id: web::Path<String>,
    Authenticated(node, body): Authenticated<NodeCaller, SaveConversation, MAX_REPORT_BYTES>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let conversation = serde_json::from_value(body.conversation)
        .map_err(|error| ApiError::invalid("bad_conversation", format!("the conversation cannot be read: {error}")))?;
    state.management.engine().task_session(task).save_conversation(conversation).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/report-branch", tag = "node protocol", request_body = ReportBody,
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = TaskPublic, description = "The report counts, now or since an earlier request"),
        (status = 400, description = "Invalid body"), (status = 404, description = "The node has no such task of this issue"),
        (status = 409, description = "It is late, or contradicts an earlier report"),
        (status = 422, description = "The branch cannot be used")))]
pub(crate) async fn report_branch(
    id: web::Path<String>,
    Authenticated(node, report): Authenticated<NodeCaller, Report>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issue: IssueId = parse_id(&id, "issue")?;
    let task = state.management.nodes().task(&node.0, report.task_id).await?;
    if task.issue_id != issue {
        return Err(ApiError::not_found("task"));
    }
    let task_id = task.id;
    let result = match task.status {
        TaskStatus::Pending | TaskStatus::Running => apply_report(&state, task, report.clone()).await,
        _ => Err(TaskSessionError::LeaseLost),
    };
    let task = state.management.tasks().find(task_id).await?;
    match result {
        // Reported twice, because the first response was lost or is still to come.
        Err(TaskSessionError::LeaseLost) if is_repeated(&task, &report) => {}
        result => result?,
    }
    Ok(HttpResponse::Ok().json(task_view(&task, None)))
}

/// Returns whether the task ended with what the report says. Another branch is another report; our own nodes report an
/// outcome in place of it.
fn is_repeated(task: &Task, report: &Report) -> bool {
    let known = task.result_branch.as_ref().map(ToString::to_string);
    match task.status {
        TaskStatus::Pending | TaskStatus::Running => false,
        TaskStatus::Failed => report.status == ReportStatus::Failed,
        TaskStatus::Success => {
            let is_same_branch = report.branch_name.is_none() || report.branch_name == known;
            report.status == ReportStatus::Success && (report.outcome.is_some() || is_same_branch)
        }
    }
}

async fn apply_report(state: &State, task: Task, report: Report) -> Result<(), TaskSessionError> {
    let engine = state.management.engine();
    match (report.outcome, report.status) {
        (Some(outcome), _) => engine.task_session(task).end(node_convert::outcome(outcome)).await,
        (None, ReportStatus::Failed) => {
            let reason = report.error_message.filter(|text| !text.trim().is_empty());
            let reason = reason.map(|text| text.chars().take(MAX_REASON_CHARS).collect());
            engine.report_branch(task, BranchReport::Failed(reason)).await
        }
        (None, ReportStatus::Success) => {
            let name = report.branch_name.unwrap_or_default();
            let branch = BranchName::parse(&name).map_err(|error| {
                Refusal::new(
                    format!("the branch cannot be used: {error}"),
                    "Report the branch that the task was sent with.",
                    Fault::Internal,
                )
            })?;
            engine.report_branch(task, BranchReport::Pushed(branch)).await
        }
    }
}
