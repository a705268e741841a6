//! Credentials of forges. Secrets are write-only.

use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_domain::PlatformId;
use patchwright_domain::credential::Credential;
use patchwright_management::{CredentialUpdate as Update, NewCredential as New};
use patchwright_protocol::Page;
use patchwright_protocol::credentials::{CredentialUpdate, CredentialView, NewCredential};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id};
use crate::page;

fn view(credential: &Credential, now: Timestamp) -> CredentialView {
    CredentialView {
        id: credential.id.to_string(),
        name: credential.name.clone(),
        platform: credential.platform.as_str().to_owned(),
        scope: credential.scope.to_string(),
        login: credential.login.clone(),
        fingerprint: credential.fingerprint.clone(),
        created_by: credential.created_by.clone(),
        created_at: credential.created_at.to_string(),
        changed_at: credential.changed_at.to_string(),
        expires_at: credential.expires_at.map(|at| at.to_string()),
        expires_soon: credential.expires_soon(now),
        last_used_at: credential.last_used_at.map(|at| at.to_string()),
    }
}

#[utoipa::path(get, path = "/api/v1/credentials", tag = "credentials",
    responses((status = 200, body = Page<CredentialView>), (status = 403, description = "Administrator role required")))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let now = state.management.now();
    let all = state.management.credentials().list(&principal).await?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(|credential| view(credential, now)))))
}

#[utoipa::path(post, path = "/api/v1/credentials", tag = "credentials", request_body = NewCredential,
    responses((status = 201, body = CredentialView), (status = 400, description = "Invalid name, platform, scope, secret or time"),
        (status = 403, description = "Administrator role required"),
        (status = 409, description = "There is a credential with this scope, or the forge refuses the secret"),
        (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn create(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewCredential>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let new = New {
        name: body.name,
        platform: PlatformId::new(body.platform),
        scope: body.scope,
        secret: Secret::new(body.secret),
        expires_at: page::parse(body.expires_at.as_ref(), "bad_time")?,
    };
    let created = state.management.credentials().create(&principal, new).await?;
    Ok(HttpResponse::Created().json(view(&created, state.management.now())))
}

#[utoipa::path(get, path = "/api/v1/credentials/{id}", tag = "credentials",
    params(("id" = uuid::Uuid, Path, description = "The credential")),
    responses((status = 200, body = CredentialView), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such credential")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let found = state.management.credentials().get(&principal, parse_id(&id, "credential")?).await?;
    Ok(HttpResponse::Ok().json(view(&found, state.management.now())))
}

#[utoipa::path(patch, path = "/api/v1/credentials/{id}", tag = "credentials", request_body = CredentialUpdate,
    params(("id" = uuid::Uuid, Path, description = "The credential")),
    responses((status = 200, body = CredentialView), (status = 400, description = "Invalid name, secret or time"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such credential"),
        (status = 409, description = "The forge refuses the secret"), (status = 502, description = "The forge refuses the request")))]
pub(crate) async fn update(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, CredentialUpdate>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let id = parse_id(&id, "credential")?;
    let update = Update {
        name: body.name,
        secret: body.secret.map(Secret::new),
        expires_at: page::parse(body.expires_at.as_ref(), "bad_time")?,
    };
    let updated = state.management.credentials().update(&principal, id, update).await?;
    Ok(HttpResponse::Ok().json(view(&updated, state.management.now())))
}

#[utoipa::path(delete, path = "/api/v1/credentials/{id}", tag = "credentials",
    params(("id" = uuid::Uuid, Path, description = "The credential")),
    responses((status = 204, description = "Deleted"), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such credential")))]
pub(crate) async fn delete(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    state.management.credentials().delete(&principal, parse_id(&id, "credential")?).await?;
    Ok(HttpResponse::NoContent().finish())
}
