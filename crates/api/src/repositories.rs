//! Registered repositories.

use actix_web::{HttpResponse, web};
use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::PlatformId;
use patchwright_protocol::Page;
use patchwright_protocol::repositories::{
    DeleteRepository, ImportResult, Members, NewRepository, RepositorySettings, RepositoryView,
};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id};

fn view(repository: &RegisteredRepository) -> RepositoryView {
    RepositoryView {
        id: repository.id.to_string(),
        platform: repository.platform.as_str().to_owned(),
        name: repository.name.to_string(),
        created_at: repository.created_at.to_string(),
        synced_at: repository.synced_at.map(|at| at.to_string()),
        settings: RepositorySettings {
            test_command: repository.settings.test_command.clone(),
            ci_rounds: repository.settings.ci_rounds,
            sandbox: repository.settings.sandbox.clone().into(),
        },
    }
}

#[utoipa::path(get, path = "/api/v1/repositories", tag = "repositories",
    responses((status = 200, body = Page<RepositoryView>)))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let repositories = state.management.repositories().list(&principal).await?;
    Ok(HttpResponse::Ok().json(Page::all(repositories.iter().map(view))))
}

#[utoipa::path(post, path = "/api/v1/repositories", tag = "repositories", request_body = NewRepository,
    responses((status = 201, body = RepositoryView), (status = 400, description = "Invalid platform or name"),
        (status = 403, description = "Administrator role required"),
        (status = 404, description = "The forge does not show the repository"),
        (status = 409, description = "The repository is registered already"),
        (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn create(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewRepository>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let platform = PlatformId::new(body.platform);
    let repository = state.management.repositories().create(&principal, platform, &body.name).await?;
    Ok(HttpResponse::Created().json(view(&repository)))
}

#[utoipa::path(get, path = "/api/v1/repositories/{id}", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = RepositoryView), (status = 404, description = "No such repository")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let repository = state.management.repositories().get(&principal, parse_id(&id, "repository")?).await?;
    Ok(HttpResponse::Ok().json(view(&repository)))
}

#[utoipa::path(delete, path = "/api/v1/repositories/{id}", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository"), DeleteRepository),
    responses((status = 204, description = "Deleted; its issues and jobs stay, unless `data` is `true`"),
        (status = 400, description = "Invalid option"), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such repository"),
        (status = 409, description = "A job of it has not ended, so its data stays")))]
pub(crate) async fn delete(
    Caller(principal): Caller,
    id: web::Path<String>,
    query: web::Query<DeleteRepository>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let (id, repositories) = (parse_id(&id, "repository")?, state.management.repositories());
    if query.data == Some(true) {
        repositories.delete_with_data(&principal, id).await?;
    } else {
        repositories.delete(&principal, id).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/repositories/{id}/members", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = Members), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such repository")))]
pub(crate) async fn members(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let members = state.management.repositories().members(&principal, parse_id(&id, "repository")?).await?;
    Ok(HttpResponse::Ok().json(Members { user_ids: members.iter().map(ToString::to_string).collect() }))
}

#[utoipa::path(put, path = "/api/v1/repositories/{id}/members", tag = "repositories", request_body = Members,
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = Members), (status = 400, description = "Invalid id"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such repository or user")))]
pub(crate) async fn set_members(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, Members>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let id = parse_id(&id, "repository")?;
    let users = body.user_ids.iter().map(|id| parse_id(id, "user")).collect::<Result<Vec<_>, _>>()?;
    state.management.repositories().set_members(&principal, id, &users).await?;
    Ok(HttpResponse::Ok().json(body))
}

#[utoipa::path(put, path = "/api/v1/repositories/{id}/settings", tag = "repositories", request_body = RepositorySettings,
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = RepositoryView), (status = 400, description = "A setting cannot be used"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such repository")))]
pub(crate) async fn set_settings(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, RepositorySettings>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let RepositorySettings { test_command, ci_rounds, sandbox } = body;
    let settings = patchwright_domain::RepositorySettings { test_command, ci_rounds, sandbox: sandbox.into() };
    let id = parse_id(&id, "repository")?;
    let repository = state.management.repositories().set_settings(&principal, id, settings).await?;
    Ok(HttpResponse::Ok().json(view(&repository)))
}

#[utoipa::path(post, path = "/api/v1/repositories/{id}/sync", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = ImportResult), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such repository"), (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn import_issues(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let id = parse_id(&id, "repository")?;
    let counts = state.management.repositories().import_issues(&principal, id).await?;
    Ok(HttpResponse::Ok().json(ImportResult { imported: counts.imported, updated: counts.updated }))
}
