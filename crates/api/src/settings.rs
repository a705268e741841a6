//! The settings that administrators change while the server runs.

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_management::{Changeable, EffectiveSetting, ManagementError, Principal};
use patchwright_protocol::Page;
use patchwright_protocol::settings::{NewValue, SettingChanges, SettingView};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller};

fn view(setting: &EffectiveSetting) -> SettingView {
    SettingView {
        name: setting.name.to_owned(),
        value: setting.value.clone(),
        source: setting.source.clone(),
        secret: setting.is_secret,
        changeable: match setting.changeable {
            Changeable::AtRuntime => "runtime",
            Changeable::Elsewhere => "elsewhere",
            Changeable::AtStart => "start",
        }
        .to_owned(),
        changed_by: setting.changed.as_ref().map(|(login, _)| login.clone()),
        changed_at: setting.changed.as_ref().map(|(_, at)| at.to_string()),
    }
}

fn find(state: &State, principal: &Principal, name: &str) -> Result<SettingView, ApiError> {
    let all = state.management.settings().list(principal)?;
    let found = all.iter().find(|setting| setting.name == name).map(view);
    found.ok_or_else(|| ManagementError::NotFound(format!("there is no setting `{name}`")).into())
}

#[utoipa::path(get, path = "/api/v1/settings", tag = "settings",
    responses((status = 200, body = Page<SettingView>), (status = 403, description = "Administrator role required")))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let all = state.management.settings().list(&principal)?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(view))))
}

#[utoipa::path(patch, path = "/api/v1/settings", tag = "settings", request_body = SettingChanges,
    responses((status = 200, body = Page<SettingView>), (status = 400, description = "Invalid body"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such setting"),
        (status = 409, description = "The server cannot run with these values, or one is set by the environment or read at the start only")))]
pub(crate) async fn change(
    Authenticated(Caller(principal), body): Authenticated<Caller, SettingChanges>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let changes = body.changes.into_iter().map(|change| (change.name, change.value.map(Secret::new)));
    state.management.settings().change(&principal, changes.collect()).await?;
    let all = state.management.settings().list(&principal)?;
    Ok(HttpResponse::Ok().json(Page::all(all.iter().map(view))))
}

#[utoipa::path(put, path = "/api/v1/settings/{name}", tag = "settings", request_body = NewValue,
    params(("name" = String, Path, description = "The name of the setting, such as `LLM_MODEL`", pattern = "^[A-Z][A-Z_]{1,63}$")),
    responses((status = 200, body = SettingView), (status = 400, description = "Invalid body"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such setting"),
        (status = 409, description = "The server cannot run with it, or it is set by the environment or read at the start only")))]
pub(crate) async fn set(
    name: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, NewValue>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let change = vec![(name.to_string(), Some(Secret::new(body.value)))];
    state.management.settings().change(&principal, change).await?;
    Ok(HttpResponse::Ok().json(find(&state, &principal, &name)?))
}

#[utoipa::path(delete, path = "/api/v1/settings/{name}", tag = "settings",
    params(("name" = String, Path, description = "The name of the setting, such as `LLM_MODEL`", pattern = "^[A-Z][A-Z_]{1,63}$")),
    responses((status = 200, description = "The setting without the stored value", body = SettingView),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such setting"),
        (status = 409, description = "The server cannot run with it, or it is set by the environment or read at the start only")))]
pub(crate) async fn unset(
    Caller(principal): Caller,
    name: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    state.management.settings().change(&principal, vec![(name.to_string(), None)]).await?;
    Ok(HttpResponse::Ok().json(find(&state, &principal, &name)?))
}
