//! Credentials of forges. A secret goes in and never comes out.

use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::credentials::{CredentialChange, Credentials as _, NewCredential};
use patchwright_core::fault::Fault;
use patchwright_domain::credential::{Credential, CredentialScope};
use patchwright_domain::{CredentialId, PlatformId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::By;
use super::error::ApiError;
use super::page::{Page, parsed};
use super::words;
use crate::audit::note;
use crate::auth::Caller;

/// The longest secret.
const MAX_SECRET: usize = 8_192;

/// A credential without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialView {
    id: String,
    name: String,
    platform: String,
    /// `*`, an owner, or `owner/name`.
    scope: String,
    /// Whose it is on the forge.
    login: String,
    /// The same secret has the same one.
    fingerprint: String,
    created_by: String,
    created_at: String,
    changed_at: String,
    expires_at: Option<String>,
    /// It ends within two weeks, or has ended.
    expires_soon: bool,
    last_used_at: Option<String>,
}

/// A credential to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialDraft {
    /// What you call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(schema_with = words::keyed_platform)]
    platform: String,
    /// `*`, an owner, or `owner/name`; of several that fit a repository the narrowest is used.
    #[schema(pattern = "^(\\*|[A-Za-z0-9_][A-Za-z0-9_-]{0,98}(/[A-Za-z0-9_][A-Za-z0-9_-]{0,98})?)$")]
    scope: String,
    /// A token of the forge. It is asked whose it is before it is kept.
    #[schema(min_length = 6, max_length = 8192, pattern = "^[!-~]+$")]
    secret: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
}

/// What changes; the rest stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialEdit {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Takes the place of the secret that is there.
    #[schema(min_length = 6, max_length = 8192, pattern = "^[!-~]+$")]
    secret: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
}

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

fn name(text: &str) -> Result<String, ApiError> {
    let text: String = text.replace('\0', "\u{fffd}");
    if text.is_empty() || text.chars().count() > 100 {
        return Err(ApiError::bad("bad_name", "a name has 1 to 100 characters"));
    }
    Ok(text)
}

fn secret(text: String) -> Result<Secret, ApiError> {
    if (6..=MAX_SECRET).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err(ApiError::bad("bad_secret", "a secret is one word of 6 to 8,192 printable characters"))
    }
}

/// Whose the secret is; one that the forge refuses is not kept.
async fn owner(state: &State, platform: &PlatformId, secret: &Secret) -> Result<String, ApiError> {
    let keyed = state.app.keyed(platform);
    let keyed = keyed.ok_or_else(|| ApiError::bad("bad_platform", "credentials are for `github` and `gitcode`"))?;
    keyed.owner_of(secret.clone()).await.map_err(|error| match error.fault() {
        Fault::Denied => ApiError::conflict("refused_by_forge", error.to_string()),
        _ => error.into(),
    })
}

async fn find(id: &str, state: &State) -> Result<Credential, ApiError> {
    let id: CredentialId = id.parse().map_err(|_| ApiError::NotFound("credential"))?;
    state.app.vault.credential(id).await?.ok_or(ApiError::NotFound("credential"))
}

async fn changed(state: &State) {
    for forge in &state.app.keyed {
        forge.forget().await;
    }
}

#[utoipa::path(get, path = "/api/v1/credentials", tag = "credentials",
    responses((status = 200, body = Page<CredentialView>), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks")))]
pub(crate) async fn list(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let now = state.app.engine.now();
    let all = state.app.vault.credentials().await?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(|credential| view(credential, now)))))
}

#[utoipa::path(post, path = "/api/v1/credentials", tag = "credentials", request_body = CredentialDraft,
    responses((status = 201, body = CredentialView), (status = 400, description = "Name, platform, scope, secret or time cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 409, description = "There is one for the same place, or the forge refuses the secret")))]
pub(crate) async fn add(
    By(caller, body): By<Caller, CredentialDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let platform = PlatformId::new(body.platform);
    let scope: CredentialScope = body
        .scope
        .parse()
        .map_err(|error: patchwright_domain::id::InvalidId| ApiError::bad("bad_scope", error.to_string()))?;
    let (name, secret) = (name(&body.name)?, secret(body.secret)?);
    let expires_at = parsed(body.expires_at.as_ref(), "bad_time")?;
    let new = NewCredential {
        id: CredentialId::from_uuid(uuid::Uuid::now_v7()),
        name,
        login: owner(&state, &platform, &secret).await?,
        platform,
        scope,
        created_by: caller.login.clone(),
        now: state.app.engine.now(),
        expires_at,
    };
    let added = state.app.vault.add_credential(new, &secret).await?;
    let added = added.ok_or_else(|| {
        ApiError::conflict("scope_taken", "there is a credential for the same place; change that one")
    })?;
    changed(&state).await;
    note(&state, &caller.login, "credential.added", &added.id.to_string(), &added.scope.to_string()).await?;
    Ok(HttpResponse::Created().json(view(&added, state.app.engine.now())))
}

#[utoipa::path(get, path = "/api/v1/credentials/{id}", tag = "credentials",
    params(("id" = uuid::Uuid, Path, description = "The credential")),
    responses((status = 200, body = CredentialView), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks"), (status = 404, description = "There is no such credential")))]
pub(crate) async fn show(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    Ok(HttpResponse::Ok().json(view(&find(&id, &state).await?, state.app.engine.now())))
}

#[utoipa::path(patch, path = "/api/v1/credentials/{id}", tag = "credentials", request_body = CredentialEdit,
    params(("id" = uuid::Uuid, Path, description = "The credential")),
    responses((status = 200, body = CredentialView), (status = 400, description = "Name, secret or time cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 404, description = "There is no such credential"), (status = 409, description = "The forge refuses the secret")))]
pub(crate) async fn change(
    id: web::Path<String>,
    By(caller, body): By<Caller, CredentialEdit>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let known = find(&id, &state).await?;
    let name = body.name.as_deref().map(name).transpose()?;
    let expires_at = parsed(body.expires_at.as_ref(), "bad_time")?;
    let secret = match body.secret.map(secret).transpose()? {
        Some(secret) => {
            let login = owner(&state, &known.platform, &secret).await?;
            Some((secret, login))
        }
        None => None,
    };
    let what = if secret.is_some() { "another secret" } else { "" };
    let change = CredentialChange { name, secret, expires_at };
    if !state.app.vault.change_credential(known.id, change, state.app.engine.now()).await? {
        return Err(ApiError::NotFound("credential"));
    }
    changed(&state).await;
    note(&state, &caller.login, "credential.changed", &known.id.to_string(), what).await?;
    Ok(HttpResponse::Ok().json(view(&find(&id, &state).await?, state.app.engine.now())))
}

#[utoipa::path(delete, path = "/api/v1/credentials/{id}", tag = "credentials",
    params(("id" = uuid::Uuid, Path, description = "The credential")),
    responses((status = 204, description = "It is gone"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks"), (status = 404, description = "There is no such credential")))]
pub(crate) async fn remove(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let known = find(&id, &state).await?;
    state.app.vault.remove_credential(known.id).await?;
    changed(&state).await;
    note(&state, &caller.login, "credential.removed", &known.id.to_string(), &known.scope.to_string()).await?;
    Ok(HttpResponse::NoContent().finish())
}
