//! Issues: what waits, what runs, what waits to be merged.

use actix_web::{HttpResponse, web};
use patchwright_core::query::{IssueFilter, Queries as _};
use patchwright_core::store::Store as _;
use patchwright_domain::job::Priority;
use patchwright_domain::node::{Label, Needs, WorkCommand};
use patchwright_domain::{Issue, IssueId, IssueStatus, Task, UserId};
use patchwright_engine::{NewIssue, Start};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::body::By;
use super::error::ApiError;
use super::nodes::labels;
use super::page::{Page, limit, parsed, word};
use super::tasks::TaskPublic;
use super::words;
use crate::audit::note;
use crate::auth::Caller;

/// The most issues that one batch starts.
const MAX_BATCH: usize = 10_000;
/// The longest title and text, in characters.
const MAX_TITLE: usize = 500;
const MAX_TEXT: usize = 65_536;
/// The longest instructions of a start, in characters.
const MAX_COMMAND: usize = 8_000;

/// An issue.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssueView {
    id: String,
    platform: String,
    repository: String,
    number: u64,
    /// What people call it, where it is an issue of Jira: `PROJ-12`.
    key: Option<String>,
    title: String,
    body: String,
    author: String,
    /// The person who added it here.
    owner_id: Option<String>,
    /// `pending`, `processing`, `pending_merge`, `merged` or `terminated`.
    status: String,
    /// Its page on the forge, or in Jira.
    url: Option<String>,
    created_at: String,
    updated_at: String,
}

/// Which issues.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(schema_with = words::issue_status)]
    status: Option<String>,
    /// `owner/name`
    repository: Option<String>,
    /// Text of the title or body.
    q: Option<String>,
    /// As the page before said.
    #[param(value_type = Option<uuid::Uuid>)]
    cursor: Option<String>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// An issue to open: in a repository that was added, on its forge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueDraft {
    #[schema(value_type = uuid::Uuid)]
    repository_id: String,
    #[schema(min_length = 1, max_length = 500)]
    title: String,
    #[schema(max_length = 65536)]
    body: Option<String>,
}

/// What changes here; the forge's own text stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueChange {
    #[schema(min_length = 1, max_length = 500)]
    title: Option<String>,
    #[schema(max_length = 65536)]
    body: Option<String>,
}

/// How to start.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartBody {
    /// What makes the change in place of the built-in stages: the name of a preset (`docs/nodes.md`), or a command line
    /// where `ALLOW_FREE_COMMANDS` is set and an administrator asks.
    #[schema(max_length = 8000)]
    command: Option<String>,
    /// What else to take into account, in words for the model.
    #[schema(max_length = 8000)]
    instructions: Option<String>,
    /// The node that is to run it.
    #[schema(value_type = Option<uuid::Uuid>)]
    node_id: Option<String>,
    /// What the node that runs it must have.
    #[schema(schema_with = words::labels_or_null)]
    labels: Option<Vec<String>>,
    /// `false`: refuse with 503 when no node is free for it now.
    queue: Option<bool>,
    /// Whether it goes before the others that wait in its repository.
    #[schema(schema_with = words::priority_or_null)]
    priority: Option<String>,
    /// Whether somebody has to approve the plan before anything is changed.
    review_plan: Option<bool>,
}

impl StartBody {
    /// Words for the model, and whether its plan is to be read first.
    pub(super) fn of(instructions: Option<String>, review_plan: bool) -> Self {
        Self { instructions, review_plan: Some(review_plan), ..Self::default() }
    }
}

/// Issues to start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody {
    #[schema(max_items = 10000)]
    ids: Vec<String>,
}

/// What became of each issue of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchResult {
    items: Vec<BatchItem>,
}

/// One issue of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchItem {
    id: String,
    started: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// Why it was not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

fn view(issue: &Issue, state: &State) -> IssueView {
    let url = state.app.engine.issue_url(&issue.source).filter(|url| url.starts_with("http"));
    IssueView {
        id: issue.id.to_string(),
        platform: issue.source.platform.as_str().to_owned(),
        repository: issue.source.repo.to_string(),
        number: issue.source.shown_number(),
        key: issue.source.key().map(str::to_owned),
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        owner_id: issue.owner.map(|id: UserId| id.to_string()),
        status: issue.status.as_str().to_owned(),
        url,
        created_at: issue.created_at.to_string(),
        updated_at: issue.updated_at.to_string(),
    }
}

#[utoipa::path(get, path = "/api/v1/issues", tag = "issues", params(ListQuery),
    responses((status = 200, body = Page<IssueView>), (status = 400, description = "A filter makes no sense"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(
    _: Caller,
    query: web::Query<ListQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(query.limit)?;
    let filter = IssueFilter {
        status: word(query.status.as_ref(), IssueStatus::parse, "status of an issue")?,
        repository: query.repository.clone(),
        text: query.q.clone().filter(|text| !text.is_empty()),
        before: parsed(query.cursor.as_ref(), "bad_cursor")?,
        limit,
    };
    let issues = state.app.store.issues(filter).await?;
    Ok(HttpResponse::Ok().json(Page::new(limit, &issues, |issue| issue.id, |issue| view(issue, &state))))
}

pub(super) async fn find(state: &State, id: &str) -> Result<Issue, ApiError> {
    let id: IssueId = id.parse().map_err(|_| ApiError::NotFound("issue"))?;
    Ok(state.app.store.issue(id).await?.ok_or(ApiError::NotFound("issue"))?.value)
}

/// The issue of a path, when the caller may steer it: its owner, or an administrator.
async fn steerable(caller: &Caller, id: &str, state: &State) -> Result<Issue, ApiError> {
    let issue = find(state, id).await?;
    caller.need_owner(issue.owner)?;
    Ok(issue)
}

#[utoipa::path(get, path = "/api/v1/issues/{id}", tag = "issues",
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such issue")))]
pub(crate) async fn show(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(view(&find(&state, &id).await?, &state)))
}

fn text(text: &str, most: usize, what: &str) -> Result<String, ApiError> {
    let text = text.replace('\0', "\u{fffd}");
    if text.chars().count() > most {
        return Err(ApiError::bad("too_long", format!("the {what} has at most {most} characters")));
    }
    Ok(text)
}

fn title(title: &str) -> Result<String, ApiError> {
    if title.is_empty() {
        return Err(ApiError::bad("no_title", "an issue has a title"));
    }
    let title = text(title, MAX_TITLE, "title")?;
    // Forges refuse one that shows nothing.
    Ok(if title.trim().is_empty() { "(untitled)".to_owned() } else { title })
}

#[utoipa::path(post, path = "/api/v1/issues", tag = "issues", request_body = IssueDraft,
    responses((status = 201, body = IssueView), (status = 400, description = "Title, text or repository cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "The token may only read"),
        (status = 404, description = "There is no such repository"),
        (status = 502, description = "The forge refuses us"), (status = 503, description = "The forge does not answer")))]
pub(crate) async fn open(
    By(caller, body): By<Caller, IssueDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(view(&open_noted(&caller, &state, body).await?, &state)))
}

/// Opens an issue on its forge, with an entry in the audit.
pub(super) async fn open_noted(caller: &Caller, state: &State, body: IssueDraft) -> Result<Issue, ApiError> {
    caller.need_write()?;
    let IssueDraft { repository_id, title: wanted, body } = body;
    let repository = super::repositories::find(state, &repository_id).await?;
    let new = NewIssue {
        platform: repository.platform,
        repository: repository.name,
        title: title(&wanted)?,
        body: text(&body.unwrap_or_default(), MAX_TEXT, "text")?,
        author: caller.login.clone(),
        owner: caller.id,
    };
    let issue = state.app.engine.open_issue(new).await?;
    note(state, &caller.login, "issue.opened", &issue.source.to_string(), "").await?;
    Ok(issue)
}

#[utoipa::path(patch, path = "/api/v1/issues/{id}", tag = "issues", request_body = IssueChange,
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 400, description = "Title or text cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Neither owner nor administrator asks"),
        (status = 404, description = "There is no such issue"), (status = 409, description = "Somebody changed it meanwhile")))]
pub(crate) async fn change(
    id: web::Path<String>,
    By(caller, body): By<Caller, IssueChange>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let issue = steerable(&caller, &id, &state).await?;
    let IssueChange { title: wanted, body } = body;
    let wanted = wanted.as_deref().map(title).transpose()?;
    let body = body.map(|body| text(&body, MAX_TEXT, "text")).transpose()?;
    let issue = state.app.engine.edit_issue(issue.id, wanted, body).await?;
    note(&state, &caller.login, "issue.edited", &issue.source.to_string(), "").await?;
    Ok(HttpResponse::Ok().json(view(&issue, &state)))
}

/// Starts an issue. Whoever calls it writes it to the audit.
async fn start_one(caller: &Caller, state: &State, id: &str, body: StartBody) -> Result<Task, ApiError> {
    let issue = steerable(caller, id, state).await?;
    let instructions = body.instructions.map(|words| text(&words, MAX_COMMAND, "instructions")).transpose()?;
    let mut needs = Needs { labels: labels(&body.labels.unwrap_or_default())?, node: None };
    if let Some(node) = body.node_id {
        needs.node = Some(node.parse().map_err(|_| ApiError::bad("bad_node", "there is no node with this id"))?);
    }
    let command = body.command.map(|command| work_command(caller, state, &command)).transpose()?;
    let priority = word(body.priority.as_ref(), Priority::parse, "priority")?.unwrap_or_default();
    let start = Start {
        actor: caller.login.clone(),
        instructions,
        command,
        needs,
        priority,
        review_plan: body.review_plan == Some(true),
    };
    if body.queue == Some(false) && !state.app.engine.has_room_for(&start).await? {
        return Err(ApiError::Unavailable("no node is free for it now".to_owned()));
    }
    Ok(state.app.engine.start_issue(issue.id, start).await?)
}

/// A preset by its name, or a command line where those are allowed.
fn work_command(caller: &Caller, state: &State, command: &str) -> Result<WorkCommand, ApiError> {
    let command = text(command, MAX_COMMAND, "command")?;
    let command = command.trim();
    if let Some(name) = Label::parse(command).ok().filter(|name| state.config.presets.contains_key(name)) {
        return Ok(WorkCommand::Preset(name));
    }
    if !state.config.allow_free_commands {
        let known: Vec<&str> = state.config.presets.keys().map(Label::as_str).collect();
        return Err(ApiError::Forbidden(format!(
            "`command` names a preset ({}); command lines need ALLOW_FREE_COMMANDS, and words for the model go into \
             `instructions`",
            known.join(", ")
        )));
    }
    caller.need_admin()?;
    if command.is_empty() || command.contains('\n') {
        return Err(ApiError::bad("bad_command", "a command line is one line with something in it"));
    }
    Ok(WorkCommand::Free(command.to_owned()))
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/start", tag = "issues", request_body(content = StartBody, content_type = "application/json"),
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = TaskPublic), (status = 400, description = "The command, node or a label cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Neither owner nor administrator asks, or the command is not allowed"),
        (status = 404, description = "There is no such issue"),
        (status = 409, description = "A job is at work on it, or it is merged")))]
pub(crate) async fn start(
    caller: Caller,
    id: web::Path<String>,
    body: String,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    // The button sends no body.
    let body: StartBody = if body.is_empty() { StartBody::default() } else { super::body::parse(body.as_bytes())? };
    let command = body.command.clone().or_else(|| body.instructions.clone());
    let task = start_noted(&caller, &state, &id, body).await?;
    Ok(HttpResponse::Ok().json(TaskPublic::new(&task, command)))
}

/// Starts an issue, with an entry in the audit.
pub(super) async fn start_noted(caller: &Caller, state: &State, id: &str, body: StartBody) -> Result<Task, ApiError> {
    let task = start_one(caller, state, id, body).await?;
    note(state, &caller.login, "issue.started", &task.issue_id.to_string(), &task.job_id.to_string()).await?;
    Ok(task)
}

#[utoipa::path(post, path = "/api/v1/issues/start-batch", tag = "issues", request_body = BatchBody,
    responses((status = 200, body = BatchResult), (status = 400, description = "There are too many"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "The token may only read")))]
pub(crate) async fn start_batch(
    By(caller, body): By<Caller, BatchBody>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(BatchResult { items: start_all(&caller, &state, body.ids).await? }))
}

/// Starts many issues, with one entry in the audit; what became of each, in their order.
pub(super) async fn start_all(caller: &Caller, state: &State, ids: Vec<String>) -> Result<Vec<BatchItem>, ApiError> {
    use futures_util::StreamExt as _;
    /// How many are started at the same time: their writes share commits, and others find connections free.
    const AT_ONCE: usize = 24;
    caller.need_write()?;
    if ids.len() > MAX_BATCH {
        return Err(ApiError::bad("too_many", format!("a batch starts at most {MAX_BATCH} issues")));
    }
    let starts = ids.into_iter().map(|id| async move {
        match start_one(caller, state, &id, StartBody::default()).await {
            Ok(task) => BatchItem {
                id,
                started: true,
                task_id: Some(task.id.to_string()),
                job_id: Some(task.job_id.to_string()),
                error: None,
            },
            Err(error) => BatchItem { id, started: false, task_id: None, job_id: None, error: Some(error.to_string()) },
        }
    });
    let items: Vec<BatchItem> = futures_util::stream::iter(starts).buffered(AT_ONCE).collect().await;
    // One entry for all: each job says who started it.
    let started = items.iter().filter(|item| item.started).count();
    note(state, &caller.login, "issues.started", &format!("{started} issues"), "by a batch").await?;
    Ok(items)
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/cancel", tag = "issues",
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 401, description = "Nobody asks"),
        (status = 403, description = "Neither owner nor administrator asks"),
        (status = 404, description = "There is no such issue"), (status = 409, description = "No job waits or runs")))]
pub(crate) async fn cancel(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(view(&cancel_noted(&caller, &state, &id).await?, &state)))
}

/// Stops what runs for an issue, with an entry in the audit.
pub(super) async fn cancel_noted(caller: &Caller, state: &State, id: &str) -> Result<Issue, ApiError> {
    let issue = steerable(caller, id, state).await?;
    let issue = state.app.engine.cancel_issue(issue.id).await?;
    note(state, &caller.login, "issue.cancelled", &issue.source.to_string(), "").await?;
    Ok(issue)
}

/// How to merge.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeBody {
    /// Merges the pull request on its forge; without it, it is only noted that somebody has.
    #[serde(default)]
    pull_request: bool,
}

#[utoipa::path(post, path = "/api/v1/issues/{id}/merge", tag = "issues",
    request_body(content = MergeBody, content_type = "application/json"),
    params(("id" = uuid::Uuid, Path, description = "The issue")),
    responses((status = 200, body = IssueView), (status = 400, description = "The body cannot be read"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Neither owner nor administrator asks"),
        (status = 404, description = "There is no such issue"),
        (status = 409, description = "Nothing waits to be merged, or the forge does not merge it"),
        (status = 502, description = "The forge refuses us")))]
pub(crate) async fn merge(
    caller: Caller,
    id: web::Path<String>,
    body: String,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let body: MergeBody = if body.is_empty() { MergeBody::default() } else { super::body::parse(body.as_bytes())? };
    Ok(HttpResponse::Ok().json(view(&merge_noted(&caller, &state, &id, body.pull_request).await?, &state)))
}

/// Merges an issue, on its forge or as it is told, with an entry in the audit.
pub(super) async fn merge_noted(caller: &Caller, state: &State, id: &str, on_forge: bool) -> Result<Issue, ApiError> {
    let issue = steerable(caller, id, state).await?;
    let issue = if on_forge {
        state.app.engine.merge_pull_request(issue.id).await?
    } else {
        state.app.engine.merge_issue(issue.id).await?
    };
    let how = if on_forge { "on the forge" } else { "" };
    note(state, &caller.login, "issue.merged", &issue.source.to_string(), how).await?;
    Ok(issue)
}
