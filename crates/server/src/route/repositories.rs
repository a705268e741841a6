//! The repositories that people have added.

use actix_web::{HttpResponse, web};
use patchwright_core::Clock as _;
use patchwright_core::repositories::{RegisteredRepository, Repositories as _};
use patchwright_domain::{PlatformId, RepoName, RepositoryId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::By;
use super::error::ApiError;
use super::page::Page;
use super::words;
use crate::audit::note;
use crate::auth::Caller;
use patchwright_engine::clock::SystemClock;

/// A repository that people have added.
#[derive(Serialize, ToSchema)]
pub(crate) struct RepositoryView {
    id: String,
    platform: String,
    name: String,
    created_at: String,
    /// When its issues were last imported.
    synced_at: Option<String>,
}

impl From<&RegisteredRepository> for RepositoryView {
    fn from(repository: &RegisteredRepository) -> Self {
        Self {
            id: repository.id.to_string(),
            platform: repository.platform.as_str().to_owned(),
            name: repository.name.to_string(),
            created_at: repository.created_at.to_string(),
            synced_at: repository.synced_at.map(|at| at.to_string()),
        }
    }
}

/// A repository to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRepository {
    #[schema(schema_with = words::platform)]
    platform: String,
    /// `owner/name`
    #[schema(pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$", example = "acme/demo")]
    name: String,
}

/// What an import has done.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncResult {
    /// Issues that were not known before.
    imported: u64,
    /// Known issues whose title or text had changed.
    updated: u64,
}

#[utoipa::path(get, path = "/api/v1/repositories", tag = "repositories",
    responses((status = 200, body = Page<RepositoryView>), (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(_: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let repositories = state.app.store.repositories().await?;
    Ok(HttpResponse::Ok().json(Page::all(repositories.iter().map(RepositoryView::from))))
}

#[utoipa::path(post, path = "/api/v1/repositories", tag = "repositories", request_body = NewRepository,
    responses((status = 201, body = RepositoryView),
        (status = 400, description = "The platform or the name cannot be used"),
        (status = 404, description = "The forge does not show it to us"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 409, description = "It was added already"),
        (status = 502, description = "The forge refuses us"), (status = 503, description = "The forge does not answer")))]
pub(crate) async fn add(
    By(caller, body): By<Caller, NewRepository>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let NewRepository { platform, name } = body;
    let name: RepoName = name
        .parse()
        .map_err(|error: patchwright_domain::id::InvalidId| ApiError::bad("bad_name", error.to_string()))?;
    let platform = PlatformId::new(platform);
    let forge = state.app.engine.forge(&platform);
    let forge = forge.ok_or_else(|| ApiError::bad("bad_platform", "a platform is `github`, `gitcode` or `local`"))?;
    // Asked now, so that a wrong name or token is found here and not in the first job.
    let found = forge.repository(&name).await?;
    let id = RepositoryId::from_uuid(uuid::Uuid::now_v7());
    let repository =
        RegisteredRepository { id, platform, name: found.name, created_at: SystemClock.now(), synced_at: None };
    if !state.app.store.add_repository(&repository).await? {
        return Err(ApiError::conflict("added_already", format!("{} was added already", repository.name)));
    }
    note(&state, &caller.login, "repository.added", &repository.name.to_string(), repository.platform.as_str()).await?;
    Ok(HttpResponse::Created().json(RepositoryView::from(&repository)))
}

/// The repository of a path.
pub(crate) async fn find(state: &State, id: &str) -> Result<RegisteredRepository, ApiError> {
    let id: RepositoryId = id.parse().map_err(|_| ApiError::NotFound("repository"))?;
    state.app.store.repository(id).await?.ok_or(ApiError::NotFound("repository"))
}

#[utoipa::path(get, path = "/api/v1/repositories/{id}", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = RepositoryView), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such repository")))]
pub(crate) async fn show(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(RepositoryView::from(&find(&state, &id).await?)))
}

#[utoipa::path(delete, path = "/api/v1/repositories/{id}", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 204, description = "It is gone; its issues and jobs stay"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 404, description = "There is no such repository")))]
pub(crate) async fn remove(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let repository = find(&state, &id).await?;
    if !state.app.store.remove_repository(repository.id).await? {
        return Err(ApiError::NotFound("repository"));
    }
    note(&state, &caller.login, "repository.removed", &repository.name.to_string(), "").await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/repositories/{id}/sync", tag = "repositories",
    params(("id" = uuid::Uuid, Path, description = "The repository")),
    responses((status = 200, body = SyncResult), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks"), (status = 404, description = "There is no such repository"),
        (status = 502, description = "The forge refuses us"), (status = 503, description = "The forge does not answer")))]
pub(crate) async fn sync(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let repository = find(&state, &id).await?;
    let (imported, updated) = state.app.engine.import_issues(&repository.platform, &repository.name).await?;
    state.app.store.note_synced(repository.id, SystemClock.now()).await?;
    let detail = format!("{imported} imported, {updated} updated");
    note(&state, &caller.login, "repository.synced", &repository.name.to_string(), &detail).await?;
    Ok(HttpResponse::Ok().json(SyncResult { imported, updated }))
}
