//! Coming in and going out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use patchwright_core::{Clock as _, Secret};
use patchwright_dashboard::page::{Login, Page as _};
use patchwright_domain::user::User;
use serde::Deserialize;
use url::form_urlencoded;

use super::form::{Form, Posted};
use super::visit::{NotShown, frame, waiting_as};
use super::{page, see};
use crate::auth::{has_people, identify};
use crate::route::State;
use crate::route::answer::is_path_of_ours;
use crate::route::auth::{check, end, first_admin, session};
use crate::route::error::ApiError;
use patchwright_engine::clock::SystemClock;

/// Where to go then.
#[derive(Deserialize)]
pub(super) struct Query {
    return_to: Option<String>,
}

pub(super) async fn show(
    request: HttpRequest,
    query: web::Query<Query>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let return_to = query.return_to.as_deref().filter(|path| is_path_of_ours(path)).unwrap_or("/issues");
    if identify(&request).await.is_ok() {
        return Ok(see(return_to).finish());
    }
    shown(&request, &state, return_to, None).await
}

async fn shown(
    request: &HttpRequest,
    state: &State,
    return_to: &str,
    error: Option<ApiError>,
) -> Result<HttpResponse, ApiError> {
    let mut frame = frame(request);
    // A choice of language leads back to this page, which still knows where to go then.
    let back: String = form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
    frame.path = format!("/login?return_to={back}");
    let words = frame.words();
    let said = match &error {
        None => None,
        Some(ApiError::Unauthorized(_)) if has_people(state).await? => Some(words.wrong_password.to_owned()),
        Some(ApiError::TooMany { .. }) => Some(words.wait_to_log_in.to_owned()),
        Some(error) => Some(error.to_string()),
    };
    let provider = state.oidc.as_ref().map(|_| format!("/api/v1/auth/oidc/start?return_to={back}"));
    let html = Login {
        frame: &frame,
        return_to,
        problem: said.as_deref(),
        is_first: !has_people(state).await?,
        provider: provider.as_deref(),
    }
    .html();
    Ok(match error {
        None => page(StatusCode::OK, html),
        Some(error) => waiting_as(&error, page(error.status_code(), html)),
    })
}

pub(super) async fn log_in(
    request: HttpRequest,
    form: Form,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let user = check(&request, &state, form.get("login"), Secret::new(form.get("password"))).await;
    came_in(&request, &state, user, form.return_to("/issues")).await
}

pub(super) async fn set_up(
    request: HttpRequest,
    form: Form,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let password = Secret::new(form.get("password"));
    let user = first_admin(&request, &state, form.get("token").trim(), form.get("login"), password).await;
    came_in(&request, &state, user, "/welcome").await
}

/// Begins the session of who may come in; others see the page again, and why.
async fn came_in(
    request: &HttpRequest,
    state: &State,
    user: Result<User, ApiError>,
    return_to: &str,
) -> Result<HttpResponse, ApiError> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return shown(request, state, return_to, Some(error)).await,
    };
    let (_, cookie) = session(state, &user, SystemClock.now()).await?;
    Ok(see(return_to).cookie(cookie).finish())
}

pub(super) async fn log_out(
    request: HttpRequest,
    posted: Posted,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    match end(&request, &posted.visit.caller, &state).await {
        Ok(cookie) => Ok(see("/login").cookie(cookie).finish()),
        Err(error) => Err(posted.visit.failed(error)),
    }
}
