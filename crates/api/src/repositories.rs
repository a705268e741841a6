//! Registered repositories.

use actix_web::{HttpResponse, web};
use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::PlatformId;
use patchwright_protocol::Page;
use patchwright_protocol::repositories::{ImportResult, NewRepository, RepositoryView};

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
    }
}

#[utoipa::path(get, path = "/api/v1/repositories", tag = "repositories",
    responses((status = 200, body = Page<RepositoryView>)))]
pub(crate) async fn list(_: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let repositories = state.management.repositories().list().await?;
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
pub(crate) async fn get(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let repository = state.management.repositories().get(parse_id(&id, "repository")?).await?;
    Ok(HttpResponse::Ok().json(view(&repository)))
}

#[utoipa::path(delete, path = "/api/v1/repositories/{id}", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 204, description = "Deleted; its issues and jobs stay"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such repository")))]
pub(crate) async fn delete(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    state.management.repositories().delete(&principal, parse_id(&id, "repository")?).await?;
    Ok(HttpResponse::NoContent().finish())
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
