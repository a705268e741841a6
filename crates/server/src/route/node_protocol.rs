//! What nodes ask: to be let in, for tasks, and at the session of a task (`docs/nodes.md`).

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use patchwright_core::fault::Fault;
use patchwright_core::nodes::{Nodes as _, Registration};
use patchwright_core::query::Queries as _;
use patchwright_core::task_session::{Refusal, TaskSession as _, TaskSessionError};
use patchwright_domain::{BranchName, IssueId, Task, TaskStatus};
use patchwright_engine::BranchReport;
use patchwright_node::wire::{
    Credential, Heartbeat, HeartbeatResponse, LeaseRequest, LeaseResponse, LogChunk, RecordedCall, Register,
    Registered, Report, ReportStatus, Reserve, Reserved, Settle, StartTask, TaskOffer, TaskProgress,
};
use patchwright_node::{DispatchKey, PROTOCOL, Protocol};
use utoipa::ToSchema;

use super::State;
use super::body::{Body, By};
use super::error::ApiError;
use super::nodes::{MAX_CAPACITY, labels};
use super::tasks::TaskPublic;
use super::words;
use crate::audit::note;
use crate::auth::node::NodeCaller;
use crate::auth::secret;

/// The longest that a node waits for a task.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How often is looked for what other servers gave it.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks at the least.
const REST: Duration = Duration::from_millis(50);
/// What a node tells at once: a fix holds whole files.
const LARGE: usize = 32 << 20;

/// As a node registers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the wire type, which knows nothing of this description")]
pub(crate) struct RegisterBody {
    join_token: String,
    /// The node's version of the protocol.
    #[schema(pattern = "^[0-9]{1,3}\\.[0-9]{1,3}$", example = "1.0")]
    protocol: String,
    version: String,
    #[schema(minimum = 1, maximum = 1000)]
    capacity: u32,
    #[schema(schema_with = words::labels)]
    labels: Vec<String>,
}

/// The end of a task (`seeds/001`).
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the wire type, which knows nothing of this description")]
pub(crate) struct ReportBody {
    task_id: uuid::Uuid,
    branch_name: Option<String>,
    #[schema(schema_with = words::report_status)]
    status: String,
    error_message: Option<String>,
}

fn refusal(error: TaskSessionError) -> ApiError {
    match error {
        TaskSessionError::LeaseLost => ApiError::conflict("task_gone", "the task is not this node's any more"),
        TaskSessionError::Refused(refusal) => ApiError::Refused(Box::new(refusal)),
        TaskSessionError::Unavailable { source } => ApiError::Unavailable(format!("it cannot be done now: {source}")),
    }
}

fn checked_protocol(text: &str) -> Result<Protocol, ApiError> {
    let mismatch = |error: patchwright_node::ProtocolError| ApiError::conflict("protocol", error.to_string());
    let protocol: Protocol = text.parse().map_err(mismatch)?;
    protocol.check(PROTOCOL).map_err(mismatch)?;
    Ok(protocol)
}

#[utoipa::path(post, path = "/api/v1/nodes/register", tag = "node protocol", request_body = RegisterBody,
    responses((status = 201, description = "The node is let in; the token is shown this once"),
        (status = 400, description = "Capacity or labels cannot be used"),
        (status = 401, description = "The join token is wrong, used up or too old"),
        (status = 409, description = "The versions are too far apart")), security(()))]
pub(crate) async fn register(Body(body): Body<Register>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if !(1..=MAX_CAPACITY).contains(&body.capacity) {
        return Err(ApiError::bad("bad_capacity", format!("a node runs 1 to {MAX_CAPACITY} tasks at the same time")));
    }
    checked_protocol(&body.protocol)?;
    let token = secret::fresh("pwn_");
    let registration = Registration {
        token: secret::hash(&token),
        labels: labels(&body.labels)?,
        capacity: body.capacity,
        version: body.version.chars().filter(|c| !c.is_control()).take(40).collect(),
    };
    let now = state.app.engine.now();
    let node = state.app.store.register_node(&secret::hash(&body.join_token), &registration, now).await?;
    let node = node.ok_or(ApiError::Unauthorized("the join token is wrong, used up or too old; make a new one"))?;
    note(&state, node.name.as_str(), "node.registered", node.name.as_str(), &registration.version).await?;
    let registered = Registered {
        node_id: node.id.to_string(),
        name: node.name.to_string(),
        token,
        dispatch_key: DispatchKey::text_of_node(&state.app.master.present, node.id),
        protocol: PROTOCOL.to_string(),
    };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(registered))
}

#[utoipa::path(post, path = "/api/v1/nodes/{id}/heartbeat", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The node that asks")),
    responses((status = 200, description = "It is heard"), (status = 400, description = "It makes no sense"),
        (status = 401, description = "No node asks"), (status = 404, description = "Another node asks"),
        (status = 409, description = "The versions are too far apart")))]
pub(crate) async fn heartbeat(
    id: web::Path<String>,
    By(node, body): By<NodeCaller, Heartbeat>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = node.is(&id)?;
    checked_protocol(&body.protocol)?;
    let before = node.0.is_ready(state.app.engine.now());
    state.app.store.note_health(id, &body.health, state.app.engine.now()).await?;
    if !before {
        // What waits may be for it.
        state.app.engine.notice();
    }
    Ok(HttpResponse::Ok().json(HeartbeatResponse { draining: node.0.draining }))
}

#[utoipa::path(post, path = "/api/v1/nodes/{id}/lease", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The node that asks")),
    responses((status = 200, description = "Tasks to begin and to stop; nothing after a while"),
        (status = 400, description = "It makes no sense"), (status = 401, description = "No node asks"),
        (status = 404, description = "Another node asks")))]
pub(crate) async fn lease(
    id: web::Path<String>,
    By(node, ask): By<NodeCaller, LeaseRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = node.is(&id)?;
    let until = Instant::now() + Duration::from_secs(ask.wait_seconds).min(LONGEST_WAIT);
    let instance: String = ask.instance.chars().take(64).collect();
    state.app.engine.node_process(id, &instance, &ask.running).await?;
    let mut news = state.app.engine.subscribe();
    loop {
        news.mark_unchanged();
        let found = state.app.engine.news_for_node(id, &ask.running).await?;
        let offer = |task: &Task| TaskOffer { lease: state.app.engine.lease_of(task), issue_id: task.issue_id };
        let told = LeaseResponse { offers: found.offers.iter().map(offer).collect(), stop: found.stop };
        let left = until.saturating_duration_since(Instant::now());
        if !told.offers.is_empty() || !told.stop.is_empty() || left.is_zero() || state.stopping.is_cancelled() {
            return Ok(HttpResponse::Ok().json(told));
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(LOOK)) => {}
            _ = news.changed() => tokio::time::sleep(REST).await,
            () = state.stopping.cancelled() => {}
        }
    }
}

/// A task that may be worked on.
async fn open_task(node: &NodeCaller, id: &str, state: &State) -> Result<Task, ApiError> {
    let task = node.task(id, state).await?;
    match task.status {
        TaskStatus::Pending | TaskStatus::Running => Ok(task),
        TaskStatus::Success | TaskStatus::Failed => Err(refusal(TaskSessionError::LeaseLost)),
    }
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/begin", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "The job, the issue, the repository's address and the rules"),
        (status = 400, description = "It makes no sense"), (status = 401, description = "No node asks"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task is not the node's any more"),
        (status = 422, description = "It may not or cannot be done, with why")))]
pub(crate) async fn begin(
    id: web::Path<String>,
    By(node, body): By<NodeCaller, StartTask>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let given = state.app.engine.task_session(task).start(&body.model).await.map_err(refusal)?;
    Ok(HttpResponse::Ok().json(given))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/progress", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "The job, as it stands now"), (status = 400, description = "It makes no sense"),
        (status = 401, description = "No node asks"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task is not the node's any more")))]
pub(crate) async fn progress(
    id: web::Path<String>,
    By(node, body): By<NodeCaller, TaskProgress, LARGE>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let job_id = task.job_id;
    let session = state.app.engine.task_session(task);
    let job = if let Some(event) = body.event {
        session.report_once(body.number, event).await.map_err(refusal)?
    } else {
        session.renew_lease().await.map_err(refusal)?;
        state.app.engine.job(job_id).await?.ok_or(ApiError::NotFound("job"))?
    };
    Ok(HttpResponse::Ok().json(job))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/credential", tag = "node protocol",
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "What git needs for the next call, or nothing"),
        (status = 401, description = "No node asks"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task is not the node's any more"),
        (status = 422, description = "The forge gives none, with why")))]
pub(crate) async fn credential(
    node: NodeCaller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let given = state.app.engine.task_session(task).credential().await.map_err(refusal)?;
    note(&state, node.0.name.as_str(), "credential.lent", &id, "to the node of the task").await?;
    let given =
        given.map(|given| Credential { username: given.username, password: given.password.expose().to_owned() });
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(given))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/reserve", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, description = "The day that the call is booked on"),
        (status = 400, description = "It makes no sense"), (status = 401, description = "No node asks"),
        (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task is not the node's any more"),
        (status = 422, description = "The budget of the day is used up")))]
pub(crate) async fn reserve(
    id: web::Path<String>,
    By(node, body): By<NodeCaller, Reserve>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    let day = state.app.engine.task_session(task).reserve(body.most).await.map_err(refusal)?;
    Ok(HttpResponse::Ok().json(Reserved { day }))
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/settle", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "It is booked"), (status = 400, description = "It makes no sense"),
        (status = 401, description = "No node asks"), (status = 404, description = "The node has no such task")))]
pub(crate) async fn settle(
    id: web::Path<String>,
    By(node, body): By<NodeCaller, Settle>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    // Also after the end: what was spent was spent.
    let task = node.task(&id, &state).await?;
    state.app.engine.task_session(task).settle(body.day, body.reserved, body.spent).await.map_err(refusal)?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/logs", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "It is kept"), (status = 400, description = "It makes no sense"),
        (status = 401, description = "No node asks"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task is not the node's any more")))]
pub(crate) async fn add_log(
    id: web::Path<String>,
    By(node, body): By<NodeCaller, LogChunk>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    state.app.engine.task_session(task).append_log(body.piece, body.text).await.map_err(refusal)?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/tasks/{id}/calls", tag = "node protocol", request_body = Object,
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 204, description = "It is kept"), (status = 400, description = "It makes no sense"),
        (status = 401, description = "No node asks"), (status = 404, description = "The node has no such task"),
        (status = 409, description = "The task is not the node's any more")))]
pub(crate) async fn record_call(
    id: web::Path<String>,
    By(node, noted): By<NodeCaller, RecordedCall, LARGE>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = open_task(&node, &id, &state).await?;
    state.app.engine.task_session(task).record_call(noted.call, noted.said).await.map_err(refusal)?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/report-branch", tag = "node protocol", request_body = ReportBody,
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = TaskPublic, description = "The report counts, now or since before"),
        (status = 400, description = "It makes no sense"), (status = 401, description = "No node asks"),
        (status = 404, description = "The node has no such task of this issue"),
        (status = 409, description = "It comes too late, or says the contrary of an earlier one"),
        (status = 422, description = "The branch is not what it should be")))]
pub(crate) async fn report_branch(
    id: web::Path<String>,
    By(node, report): By<NodeCaller, Report>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issue: IssueId = id.parse().map_err(|_| ApiError::NotFound("issue"))?;
    let task = node.task(&report.task_id.to_string(), &state).await?;
    if task.issue_id != issue {
        return Err(ApiError::NotFound("task"));
    }
    let (task_id, success) = (task.id, report.status == ReportStatus::Success);
    match task.status {
        TaskStatus::Pending | TaskStatus::Running => take(&state, task, report).await.map_err(refusal)?,
        // LeaseResponse twice, because the first answer was lost.
        ended if (ended == TaskStatus::Success) == success => {}
        _ => return Err(refusal(TaskSessionError::LeaseLost)),
    }
    let task = state.app.store.task(task_id).await?.ok_or(ApiError::NotFound("task"))?;
    Ok(HttpResponse::Ok().json(TaskPublic::new(&task, None)))
}

async fn take(state: &State, task: Task, report: Report) -> Result<(), TaskSessionError> {
    let engine = &state.app.engine;
    match (report.end, report.status) {
        (Some(end), _) => engine.task_session(task).end(end).await,
        (None, ReportStatus::Failed) => {
            let reason = report.error_message.filter(|text| !text.trim().is_empty());
            let reason = reason.map(|text| text.chars().take(2_000).collect());
            engine.report_branch(task, BranchReport::Failed(reason)).await
        }
        (None, ReportStatus::Success) => {
            let name = report.branch_name.unwrap_or_default();
            let branch = BranchName::parse(&name).map_err(|error| {
                TaskSessionError::Refused(Refusal {
                    reason: format!("the branch cannot be used: {error}"),
                    remedy: "Report the branch that the task was sent with.".to_owned(),
                    fault: Fault::Internal,
                    out_of_budget: false,
                })
            })?;
            engine.report_branch(task, BranchReport::Pushed(branch)).await
        }
    }
}
