//! Jira sites and the repositories of their projects.

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_domain::PlatformId;
use patchwright_domain::jira::{LinkStatus, ProjectRepository, Workspace};
use patchwright_management::{Jira, NewWorkspace as New, Principal, WorkspaceUpdate as Update};
use patchwright_protocol::Page;
use patchwright_protocol::jira::{
    ConversationView, CreatedWorkspace, FailedJiraEvent, NewProjectMapping, NewWorkspace, ProjectMapping,
    WorkspaceUpdate, WorkspaceValidation, WorkspaceView,
};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id};
use crate::page::{self, word};

fn view(workspace: &Workspace, principal: &Principal, jira: &Jira<'_>) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id.to_string(),
        name: workspace.name.clone(),
        cloud_id: workspace.cloud_id.clone(),
        admin_id: workspace.admin.to_string(),
        status: workspace.status.as_str().to_owned(),
        account_id: workspace.own_account.clone(),
        editable: jira.may_change_site(principal, workspace),
        created_at: workspace.created_at.to_string(),
        updated_at: workspace.updated_at.to_string(),
    }
}

fn project_view(project: &ProjectRepository) -> ProjectMapping {
    ProjectMapping {
        project: project.project.clone(),
        platform: project.platform.as_str().to_owned(),
        repository: project.repo.to_string(),
    }
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces", tag = "jira",
    responses((status = 200, body = Page<WorkspaceView>)))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let jira = state.management.jira()?;
    let sites = jira.sites().await?;
    Ok(HttpResponse::Ok().json(Page::all(sites.iter().map(|site| view(site, &principal, &jira)))))
}

#[utoipa::path(post, path = "/api/v1/jira/workspaces", tag = "jira", request_body = NewWorkspace,
    responses((status = 201, body = CreatedWorkspace), (status = 400, description = "Invalid field"),
        (status = 403, description = "Administrator role of a user required"),
        (status = 409, description = "The site is linked already")))]
pub(crate) async fn create(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewWorkspace>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let jira = state.management.jira()?;
    let new = New {
        name: body.name,
        webhook_secret: body.webhook_secret.map(Secret::new),
        account_email: body.svc_acc_email,
        account_key: body.svc_acc_api_key.map(Secret::new),
        cloud_id: body.cloud_id,
        status: word(body.status.as_ref(), LinkStatus::parse, "status")?,
    };
    let created = jira.add_site(&principal, new).await?;
    let view = CreatedWorkspace {
        workspace: view(&created.workspace, &principal, &jira),
        webhook_secret: created.webhook_secret.map(|secret| secret.expose().to_owned()),
        webhook_url: created.webhook_url,
    };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(view))
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces/{id}", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = WorkspaceView), (status = 404, description = "No such site")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let jira = state.management.jira()?;
    let site = jira.site(parse_id(&id, "workspace")?).await?;
    Ok(HttpResponse::Ok().json(view(&site, &principal, &jira)))
}

#[utoipa::path(patch, path = "/api/v1/jira/workspaces/{id}", tag = "jira", request_body = WorkspaceUpdate,
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = WorkspaceView), (status = 400, description = "Invalid field"),
        (status = 403, description = "Only the site's administrator may do this"),
        (status = 404, description = "No such site or user")))]
pub(crate) async fn update(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, WorkspaceUpdate>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let jira = state.management.jira()?;
    let id = parse_id(&id, "workspace")?;
    let update = Update {
        webhook_secret: body.webhook_secret.map(Secret::new),
        account_email: body.svc_acc_email,
        account_key: body.svc_acc_api_key.map(Secret::new),
        cloud_id: body.cloud_id,
        status: word(body.status.as_ref(), LinkStatus::parse, "status")?,
        admin: page::parse(body.admin_id.as_ref(), "bad_id")?,
    };
    let site = jira.update_site(&principal, id, update).await?;
    Ok(HttpResponse::Ok().json(view(&site, &principal, &jira)))
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces/{id}/validate", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = WorkspaceValidation, description = "The result of a call to the site"),
        (status = 403, description = "Only the site's administrator may do this"), (status = 404, description = "No such site")))]
pub(crate) async fn validate(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let check = state.management.jira()?.check_site(&principal, parse_id(&id, "workspace")?).await?;
    Ok(HttpResponse::Ok().json(WorkspaceValidation {
        name: check.workspace.name,
        status: check.workspace.status.as_str().to_owned(),
        valid: check.problem.is_none(),
        message: check.problem.unwrap_or_else(|| "the service account is accepted".to_owned()),
    }))
}

#[utoipa::path(get, path = "/api/v1/jira/workspaces/{id}/projects", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site")),
    responses((status = 200, body = Page<ProjectMapping>), (status = 404, description = "No such site")))]
pub(crate) async fn projects(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let projects = state.management.jira()?.projects(&principal, parse_id(&id, "workspace")?).await?;
    Ok(HttpResponse::Ok().json(Page::all(projects.iter().map(project_view))))
}

#[utoipa::path(post, path = "/api/v1/jira/workspaces/{id}/projects/{key}", tag = "jira", request_body = NewProjectMapping,
    params(("id" = uuid::Uuid, Path, description = "The site"), ("key" = String, Path, description = "The key of the project, such as `PROJ`")),
    responses((status = 200, body = ProjectMapping), (status = 400, description = "Invalid key or name, or the repository is not registered"),
        (status = 403, description = "Only the site's administrator may do this"), (status = 404, description = "No such site")))]
pub(crate) async fn map_project(
    path: web::Path<(String, String)>,
    Authenticated(Caller(principal), body): Authenticated<Caller, NewProjectMapping>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let (id, key) = path.into_inner();
    let platform = PlatformId::new(body.platform);
    let jira = state.management.jira()?;
    let project = jira.map_project(&principal, parse_id(&id, "workspace")?, &key, platform, &body.repository).await?;
    Ok(HttpResponse::Ok().json(project_view(&project)))
}

#[utoipa::path(delete, path = "/api/v1/jira/workspaces/{id}/projects/{key}", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The site"), ("key" = String, Path, description = "The key of the project, such as `PROJ`")),
    responses((status = 204, description = "Deleted"), (status = 403, description = "Only the site's administrator may do this"),
        (status = 404, description = "No such site or mapping")))]
pub(crate) async fn unmap_project(
    Caller(principal): Caller,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let (id, key) = path.into_inner();
    state.management.jira()?.unmap_project(&principal, parse_id(&id, "workspace")?, &key).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/jira/conversations", tag = "jira",
    responses((status = 200, body = Page<ConversationView>, description = "The last two hundred"),
        (status = 403, description = "Administrator role required")))]
pub(crate) async fn conversations(
    Caller(principal): Caller,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let all = state.management.jira()?.conversations(&principal).await?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(ConversationView::from))))
}

#[utoipa::path(get, path = "/api/v1/jira/failed", tag = "jira",
    responses((status = 200, body = Page<FailedJiraEvent>, description = "The last two hundred that were given up"),
        (status = 403, description = "Administrator role required")))]
pub(crate) async fn failed(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let failed = state.management.jira()?.failed_events(&principal).await?;
    let views = failed.into_iter().map(|(event, error)| FailedJiraEvent {
        id: event.id.to_string(),
        workspace_id: event.workspace_id.to_string(),
        issue_key: event.event.issue.key,
        event_type: event.event.event_type,
        error,
        created_at: event.created_at.to_string(),
    });
    Ok(HttpResponse::Ok().json(Page::all(views)))
}
