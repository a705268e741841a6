//! Sites of Jira: who may use them, what they sign with, where their projects' code is.

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_core::jira::{JiraInbox as _, JiraSites as _, WorkspaceSecrets, Workspaces as _};
use patchwright_core::repositories::Repositories as _;
use patchwright_domain::jira::{Conversation, LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::{PlatformId, RepoName, WorkspaceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::State;
use super::super::body::By;
use super::super::error::ApiError;
use super::super::page::{Page, parsed, word};
use super::super::words;
use crate::audit::note;
use crate::auth::{Caller, secret};

/// How many conversations and failures are shown.
const SHOWN: u16 = 200;

/// A site without its secrets.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkspaceView {
    id: String,
    /// Its host.
    name: String,
    cloud_id: Option<String>,
    /// Who may change it.
    admin_id: String,
    /// `active` or `inactive`.
    status: String,
    /// The account that our comments are written by, as far as it is known.
    account_id: Option<String>,
    /// Whether the caller may change it.
    editable: bool,
    created_at: String,
    updated_at: String,
}

/// A site to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceDraft {
    #[schema(schema_with = words::site)]
    name: String,
    /// What Jira signs its deliveries with. Without one it is made, and shown this once.
    #[schema(schema_with = words::secret_or_null)]
    webhook_secret: Option<String>,
    #[schema(schema_with = words::account_or_null)]
    svc_acc_email: Option<String>,
    #[schema(schema_with = words::secret_or_null)]
    svc_acc_api_key: Option<String>,
    /// Atlassian's id of the site; learnt when somebody links their account.
    #[schema(schema_with = words::cloud_id_or_null)]
    cloud_id: Option<String>,
    #[schema(schema_with = words::link_status_or_null)]
    status: Option<String>,
}

/// What to change of a site; the rest stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceEdit {
    /// Another secret; the one before it stays good until the next one comes.
    #[schema(schema_with = words::secret_or_null)]
    webhook_secret: Option<String>,
    #[schema(schema_with = words::account_or_null)]
    svc_acc_email: Option<String>,
    #[schema(schema_with = words::secret_or_null)]
    svc_acc_api_key: Option<String>,
    #[schema(schema_with = words::cloud_id_or_null)]
    cloud_id: Option<String>,
    #[schema(schema_with = words::link_status_or_null)]
    status: Option<String>,
    /// Who is to look after it from now on.
    #[schema(value_type = Option<uuid::Uuid>)]
    admin_id: Option<String>,
}

/// A site with the secret that was made for it, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeWorkspace {
    #[serde(flatten)]
    workspace: WorkspaceView,
    webhook_secret: Option<String>,
    /// What to enter in Jira as the webhook's address.
    webhook_url: Option<String>,
}

/// Whether a site can be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct Validation {
    name: String,
    /// `active` or `inactive`.
    status: String,
    /// Whether the service account was let in just now.
    valid: bool,
    /// What to do, where it was not.
    message: String,
}

/// Where the code of a project is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectView {
    project: String,
    platform: String,
    repository: String,
}

/// Where the code of a project is from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectDraft {
    #[schema(schema_with = words::platform)]
    platform: String,
    /// `owner/name` of a repository that was added.
    #[schema(min_length = 3, max_length = 201)]
    repository: String,
}

/// What one person and we say to each other on an issue.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationView {
    conversation_id: String,
    workspace_id: String,
    issue_id: String,
    issue_key: String,
    jira_user_id: String,
    platform: Option<String>,
    repository: Option<String>,
    /// Whether the person was asked for the repository.
    asked: bool,
    created_at: String,
    updated_at: String,
}

/// What Jira told and nobody could see to.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadEvent {
    id: String,
    workspace_id: String,
    issue_key: String,
    event_type: String,
    error: String,
    created_at: String,
}

fn view(workspace: &Workspace, caller: &Caller) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id.to_string(),
        name: workspace.name.clone(),
        cloud_id: workspace.cloud_id.clone(),
        admin_id: workspace.admin.to_string(),
        status: workspace.status.as_str().to_owned(),
        account_id: workspace.own_account.clone(),
        editable: may_edit(workspace, caller),
        created_at: workspace.created_at.to_string(),
        updated_at: workspace.updated_at.to_string(),
    }
}

impl From<&Conversation> for ConversationView {
    fn from(conversation: &Conversation) -> Self {
        let (platform, repository) = conversation.repository.clone().unzip();
        Self {
            conversation_id: conversation.id.to_string(),
            workspace_id: conversation.workspace_id.to_string(),
            issue_id: conversation.issue_id.clone(),
            issue_key: conversation.issue_key.clone(),
            jira_user_id: conversation.jira_user_id.to_string(),
            platform: platform.map(|platform| platform.as_str().to_owned()),
            repository: repository.map(|repository| repository.to_string()),
            asked: conversation.asked.is_some(),
            created_at: conversation.created_at.to_string(),
            updated_at: conversation.updated_at.to_string(),
        }
    }
}

/// The administrator of the site, and whoever owns this machine.
fn may_edit(workspace: &Workspace, caller: &Caller) -> bool {
    caller.is_admin() && caller.id.is_none_or(|id| id == workspace.admin)
}

async fn find(id: &str, state: &State) -> Result<Workspace, ApiError> {
    let id: WorkspaceId = id.parse().map_err(|_| ApiError::NotFound("workspace"))?;
    state.app.vault.workspace(id).await?.ok_or(ApiError::NotFound("workspace"))
}

async fn editable(id: &str, caller: &Caller, state: &State) -> Result<Workspace, ApiError> {
    caller.need_admin()?;
    let workspace = find(id, state).await?;
    if may_edit(&workspace, caller) {
        Ok(workspace)
    } else {
        Err(ApiError::forbidden("only the administrator who added this site may change it"))
    }
}

/// A secret from outside, masked wherever it may be told from now on.
fn taken(text: Option<String>, state: &State) -> Result<Option<Secret>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    if !words::is_secret(&text) {
        return Err(ApiError::bad("bad_secret", "a secret is one word of 8 to 1,000 printable characters"));
    }
    let secret = Secret::new(text);
    state.app.redactor.add(&secret);
    Ok(Some(secret))
}

fn account(email: Option<String>) -> Result<Option<String>, ApiError> {
    match email {
        Some(email) if !words::is_account(&email) => {
            Err(ApiError::bad("bad_email", "the service account is named by its e-mail address"))
        }
        other => Ok(other),
    }
}

fn cloud_id(id: Option<String>) -> Result<Option<String>, ApiError> {
    match id {
        Some(id) if !words::is_cloud_id(&id) => {
            Err(ApiError::bad("bad_cloud_id", "a cloud id is a UUID, as https://SITE/_edge/tenant_info tells it"))
        }
        other => Ok(other),
    }
}

fn webhook_url(state: &State) -> Option<String> {
    let url = state.config.public_url.as_ref()?;
    Some(format!("{}/api/jira/webhook", url.trim_end_matches('/')))
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces", tag = "jira",
    responses((status = 200, body = Page<WorkspaceView>), (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let all = state.app.vault.workspaces().await?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(|workspace| view(workspace, &caller)))))
}

#[utoipa::path(post, path = "/api/v1/jira/workspaces", tag = "jira", request_body = WorkspaceDraft,
    responses((status = 201, body = MadeWorkspace), (status = 400, description = "Something of it cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks, or nobody in person"),
        (status = 409, description = "The site was added already")))]
pub(crate) async fn add(
    By(caller, body): By<Caller, WorkspaceDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let admin = caller.id.ok_or_else(|| {
        ApiError::forbidden("a site has an administrator: ask as a person, with a session or a token of theirs")
    })?;
    if !words::is_site(&body.name) {
        return Err(ApiError::bad("bad_site", "a site is a host's name, such as acme.atlassian.net"));
    }
    let made = body.webhook_secret.is_none().then(|| secret::fresh("pwj_"));
    let webhook = taken(body.webhook_secret.or_else(|| made.clone()), &state)?;
    let service_account = match (account(body.svc_acc_email)?, taken(body.svc_acc_api_key, &state)?) {
        (Some(email), Some(key)) => Some((email, key)),
        (None, None) => None,
        _ => return Err(ApiError::bad("half_an_account", "the service account takes an address and an API key")),
    };
    let now = state.app.engine.now();
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(uuid::Uuid::now_v7()),
        name: body.name.to_ascii_lowercase(),
        cloud_id: cloud_id(body.cloud_id)?,
        admin,
        status: word(body.status.as_ref(), LinkStatus::parse, "status")?.unwrap_or(LinkStatus::Active),
        own_account: None,
        created_at: now,
        updated_at: now,
    };
    let secrets = WorkspaceSecrets { webhook: webhook.into_iter().collect(), service_account };
    if !state.app.vault.add_workspace(&workspace, &secrets).await? {
        return Err(ApiError::conflict("added_already", format!("{} was added already", workspace.name)));
    }
    note(&state, &caller.login, "jira_workspace.added", &workspace.name, workspace.status.as_str()).await?;
    let made =
        MadeWorkspace { workspace: view(&workspace, &caller), webhook_secret: made, webhook_url: webhook_url(&state) };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(made))
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces/{id}", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = WorkspaceView), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such site")))]
pub(crate) async fn show(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(view(&find(&id, &state).await?, &caller)))
}

#[utoipa::path(patch, path = "/api/v1/jira/workspaces/{id}", tag = "jira", request_body = WorkspaceEdit,
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = WorkspaceView), (status = 400, description = "Something of it cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Somebody else than its administrator asks"),
        (status = 404, description = "There is no such site, or no such person")))]
pub(crate) async fn change(
    id: web::Path<String>,
    By(caller, body): By<Caller, WorkspaceEdit>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut workspace = editable(&id, &caller, &state).await?;
    workspace.cloud_id = cloud_id(body.cloud_id)?.or(workspace.cloud_id);
    workspace.status = word(body.status.as_ref(), LinkStatus::parse, "status")?.unwrap_or(workspace.status);
    if let Some(admin) = parsed(body.admin_id.as_ref(), "bad_id")? {
        use patchwright_core::accounts::Accounts as _;
        workspace.admin = state.app.store.user(admin).await?.ok_or(ApiError::NotFound("user"))?.id;
    }
    let (webhook, email, key) =
        (taken(body.webhook_secret, &state)?, account(body.svc_acc_email)?, taken(body.svc_acc_api_key, &state)?);
    let mut changed = Vec::new();
    let mut secrets = None;
    if webhook.is_some() || email.is_some() || key.is_some() {
        let (_, known) =
            state.app.vault.open_workspace(&workspace.name).await?.ok_or(ApiError::NotFound("workspace"))?;
        changed.extend(webhook.as_ref().map(|_| "another webhook secret"));
        changed.extend(email.as_ref().map(|_| "another service account"));
        changed.extend(key.as_ref().map(|_| "another API key"));
        secrets = Some(replaced(known, webhook, email, key)?);
        // Whose comments are ours is asked anew.
        workspace.own_account = None;
    }
    workspace.updated_at = state.app.engine.now();
    if !state.app.vault.change_workspace(&workspace, secrets.as_ref()).await? {
        return Err(ApiError::NotFound("workspace"));
    }
    changed.push(workspace.status.as_str());
    note(&state, &caller.login, "jira_workspace.changed", &workspace.name, &changed.join(", ")).await?;
    Ok(HttpResponse::Ok().json(view(&workspace, &caller)))
}

/// The secrets with the new ones in their place.
fn replaced(
    known: WorkspaceSecrets,
    webhook: Option<Secret>,
    email: Option<String>,
    key: Option<Secret>,
) -> Result<WorkspaceSecrets, ApiError> {
    let webhook = match webhook {
        // Jira is told the new one by hand: until then it signs with the old one.
        Some(new) => std::iter::once(new).chain(known.webhook.into_iter().take(1)).collect(),
        None => known.webhook,
    };
    let (old_email, old_key) = known.service_account.unzip();
    let service_account = match (email.or(old_email), key.or(old_key)) {
        (Some(email), Some(key)) => Some((email, key)),
        (None, None) => None,
        _ => return Err(ApiError::bad("half_an_account", "the service account takes an address and an API key")),
    };
    Ok(WorkspaceSecrets { webhook, service_account })
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces/{id}/validate", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = Validation, description = "What came of a real call"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "Somebody else than its administrator asks"), (status = 404, description = "There is no such site")))]
pub(crate) async fn validate(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let workspace = editable(&id, &caller, &state).await?;
    let (valid, message) = match state.app.jira.own_account(&workspace.name).await {
        Ok(own) => {
            state.app.vault.learn(workspace.id, None, Some(&own)).await?;
            (true, "the service account is let in".to_owned())
        }
        Err(error) => (false, state.app.redactor.redact(&error.to_string())),
    };
    let status = workspace.status.as_str().to_owned();
    Ok(HttpResponse::Ok().json(Validation { name: workspace.name, status, valid, message }))
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces/{id}/projects", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = Page<ProjectView>), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such site")))]
pub(crate) async fn projects(
    _: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let workspace = find(&id, &state).await?;
    let projects = state.app.vault.projects(workspace.id).await?;
    Ok(HttpResponse::Ok().json(Page::all(projects.iter().map(project_view))))
}

fn project_view(project: &ProjectRepository) -> ProjectView {
    ProjectView {
        project: project.project.clone(),
        platform: project.platform.as_str().to_owned(),
        repository: project.repo.to_string(),
    }
}

#[utoipa::path(post, path = "/api/v1/jira/workspaces/{id}/projects/{key}", tag = "jira", request_body = ProjectDraft,
    params(("id" = uuid::Uuid, Path, description = "The site"), ("key" = String, Path, description = "The project's key, such as `PROJ`")),
    responses((status = 200, body = ProjectView), (status = 400, description = "The key or the name cannot be used, or the repository was not added"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "Somebody else than its administrator asks"),
        (status = 404, description = "There is no such site")))]
pub(crate) async fn set_project(
    path: web::Path<(String, String)>,
    By(caller, body): By<Caller, ProjectDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let workspace = editable(&id, &caller, &state).await?;
    if !words::is_project(&key) {
        return Err(ApiError::bad("bad_project", "a project's key has capital letters, digits and `_`, such as PROJ"));
    }
    let name: RepoName = parsed(Some(&body.repository), "bad_repository")?.expect("it was given");
    let platform = PlatformId::new(body.platform);
    let known = state.app.store.repositories().await?;
    let same = |name: &RepoName, other: &RepoName| name.to_string().eq_ignore_ascii_case(&other.to_string());
    let known = known.into_iter().find(|known| known.platform == platform && same(&known.name, &name));
    let known = known.ok_or_else(|| {
        ApiError::bad("unknown_repository", format!("{name} was not added to this server; add it first"))
    })?;
    let project = ProjectRepository { project: key, platform, repo: known.name };
    state.app.vault.set_project(workspace.id, &project).await?;
    let detail = format!("{} → {}", project.project, project.repo);
    note(&state, &caller.login, "jira_project.mapped", &workspace.name, &detail).await?;
    Ok(HttpResponse::Ok().json(project_view(&project)))
}

#[utoipa::path(delete, path = "/api/v1/jira/workspaces/{id}/projects/{key}", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site"), ("key" = String, Path, description = "The project's key, such as `PROJ`")),
    responses((status = 204, description = "It is gone"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "Somebody else than its administrator asks"),
        (status = 404, description = "There is no such site, or nothing was said of the project")))]
pub(crate) async fn remove_project(
    caller: Caller,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (id, key) = path.into_inner();
    let workspace = editable(&id, &caller, &state).await?;
    if !words::is_project(&key) || !state.app.vault.remove_project(workspace.id, &key).await? {
        return Err(ApiError::NotFound("project"));
    }
    note(&state, &caller.login, "jira_project.unmapped", &workspace.name, &key).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/jira/conversations", tag = "jira",
    responses((status = 200, body = Page<ConversationView>, description = "The last two hundred"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks")))]
pub(crate) async fn conversations(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let all = state.app.vault.conversations(SHOWN).await?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(ConversationView::from))))
}

#[utoipa::path(get, path = "/api/v1/jira/failed", tag = "jira",
    responses((status = 200, body = Page<DeadEvent>, description = "The last two hundred that were given up"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks")))]
pub(crate) async fn failed(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let dead = state.app.vault.dead_events(SHOWN).await?;
    let views = dead.into_iter().map(|(event, error)| DeadEvent {
        id: event.id.to_string(),
        workspace_id: event.workspace_id.to_string(),
        issue_key: event.event.issue.key,
        event_type: event.event.event_type,
        error,
        created_at: event.created_at.to_string(),
    });
    Ok(HttpResponse::Ok().json(Page::all(views)))
}
