//! Coming in and going out.

use actix_web::cookie::{Cookie, SameSite, time::Duration as CookieTime};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use patchwright_core::accounts::{Accounts as _, Session};
use patchwright_core::{Clock as _, Secret};
use patchwright_domain::Role;
use patchwright_domain::user::{Login, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::Body;
use super::error::ApiError;
use super::users::UserView;
use crate::audit::note;
use crate::auth::{COOKIE, Caller, has_people, password, person, same_origin, secret};
use patchwright_engine::clock::SystemClock;

/// How long a session lasts.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);

/// A person and their password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    login: String,
    password: String,
}

/// The first administrator, and the token that the server printed at its start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    token: String,
    #[schema(pattern = "^[A-Za-z0-9._@+-]{1,64}$")]
    login: String,
    #[schema(min_length = 10, max_length = 256)]
    password: String,
}

/// A session that has begun. Its cookie comes beside this.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    user: UserView,
    /// Unsafe requests carry it as `X-CSRF-Token`.
    csrf_token: String,
    expires_at: String,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// Absent for the operator of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    login: String,
    role: String,
    scope: String,
    /// Of the session, when one asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Credentials, security(()),
    responses((status = 200, body = SessionView), (status = 400, description = "The body is not as described"),
        (status = 401, description = "The login or the password is wrong"),
        (status = 403, description = "A page of another site asks"),
        (status = 429, description = "Too many wrong passwords; wait as `Retry-After` says")))]
pub(crate) async fn login(
    request: HttpRequest,
    Body(body): Body<Credentials>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let user = check(&request, &state, &body.login, Secret::new(body.password)).await?;
    begin(&state, user, SystemClock.now()).await
}

/// The person of a login and a password.
///
/// # Errors
/// [`ApiError::Unauthorized`] when they do not go together, [`ApiError::TooMany`] after too many tries,
/// [`ApiError::Forbidden`] for a page of another site.
pub(super) async fn check(
    request: &HttpRequest,
    state: &State,
    login: &str,
    password: Secret,
) -> Result<User, ApiError> {
    same_origin(request)?;
    let now = SystemClock.now();
    let address = request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    if let Some(after) = state.throttle.wait(login, &address, now) {
        return Err(ApiError::TooMany { after });
    }
    let known = match Login::parse(login) {
        Ok(login) => state.app.store.user_by_login(&login).await?,
        Err(_) => None,
    };
    let hash = known.as_ref().and_then(|(_, hash)| hash.clone());
    let right = password::verify(password, hash).await?;
    let Some((user, _)) = known.filter(|(user, _)| right && user.active) else {
        state.throttle.note_failure(login, &address, now);
        tracing::warn!(address, "a login failed");
        return Err(ApiError::Unauthorized("the login or the password is wrong"));
    };
    state.throttle.note_success(login);
    note(state, user.login.as_str(), "session.begun", user.login.as_str(), "").await?;
    Ok(user)
}

async fn begin(state: &State, user: User, now: Timestamp) -> Result<HttpResponse, ApiError> {
    let (view, cookie) = session(state, &user, now).await?;
    Ok(HttpResponse::Ok().cookie(cookie).insert_header(("cache-control", "no-store")).json(view))
}

/// Whether people reach the server over TLS, so that no cookie goes without it.
pub(crate) fn is_secure(state: &State) -> bool {
    state.config.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
}

/// Begins a session: what its page is told, and the cookie.
pub(crate) async fn session(
    state: &State,
    user: &User,
    now: Timestamp,
) -> Result<(SessionView, Cookie<'static>), ApiError> {
    let (value, csrf) = (secret::fresh("pws_"), secret::fresh(""));
    let expires_at = now.saturating_add(LIFETIME).unwrap_or(now);
    let session =
        Session { hash: secret::hash(&value), user_id: user.id, csrf: csrf.clone(), created_at: now, expires_at };
    state.app.store.add_session(&session).await?;
    let cookie = Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .secure(is_secure(state))
        .same_site(SameSite::Lax)
        .max_age(CookieTime::seconds(LIFETIME.as_secs()))
        .finish();
    let view = SessionView { user: UserView::from(user), csrf_token: csrf, expires_at: expires_at.to_string() };
    Ok((view, cookie))
}

#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 204, description = "The session has ended"), (status = 401, description = "There is none"),
        (status = 403, description = "The CSRF token is missing")))]
pub(crate) async fn logout(
    request: HttpRequest,
    caller: Caller,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::NoContent().cookie(end(&request, &caller, &state).await?).finish())
}

/// Ends the session that asks; the cookie takes the browser's away.
pub(super) async fn end(request: &HttpRequest, caller: &Caller, state: &State) -> Result<Cookie<'static>, ApiError> {
    if let Some(cookie) = request.cookie(COOKIE).filter(|_| caller.csrf.is_some()) {
        state.app.store.end_session(&secret::hash(cookie.value())).await?;
    }
    let mut gone = Cookie::build(COOKIE, "").path("/").finish();
    gone.make_removal();
    Ok(gone)
}

#[utoipa::path(get, path = "/api/v1/me", tag = "auth",
    responses((status = 200, body = Me), (status = 401, description = "Nobody asks")))]
pub(crate) async fn me(caller: Caller) -> HttpResponse {
    HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(Me {
        id: caller.id.map(|id| id.to_string()),
        login: caller.login.clone(),
        role: caller.role().as_str().to_owned(),
        scope: caller.scope().as_str().to_owned(),
        csrf_token: caller.csrf,
    })
}

#[utoipa::path(post, path = "/api/v1/auth/setup", tag = "auth", request_body = Setup, security(()),
    responses((status = 200, body = SessionView), (status = 400, description = "The body is not as described"),
        (status = 401, description = "The token is wrong"), (status = 403, description = "A page of another site asks"),
        (status = 409, description = "There is an administrator already")))]
pub(crate) async fn setup(
    request: HttpRequest,
    Body(body): Body<Setup>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let Setup { token, login, password } = body;
    let user = first_admin(&request, &state, &token, &login, Secret::new(password)).await?;
    begin(&state, user, SystemClock.now()).await
}

/// Adds the first administrator, for whoever has the token that the server printed.
///
/// # Errors
/// [`ApiError::Unauthorized`] for another token, [`ApiError::Conflict`] when somebody was added already,
/// [`ApiError::BadRequest`] for a login or password that cannot be used, [`ApiError::Forbidden`] for a page of another
/// site.
pub(super) async fn first_admin(
    request: &HttpRequest,
    state: &State,
    token: &str,
    login: &str,
    password: Secret,
) -> Result<User, ApiError> {
    same_origin(request)?;
    if has_people(state).await? {
        return Err(ApiError::conflict("set_up_already", "somebody was added already; log in"));
    }
    if state.setup.as_deref() != Some(secret::hash(token).as_str()) {
        return Err(ApiError::Unauthorized("the token is not the one that the server printed at its start"));
    }
    let user = person::add(&state.app.store, login, Role::Admin, Some(password)).await?;
    note(state, user.login.as_str(), "user.added", user.login.as_str(), "the first administrator").await?;
    Ok(user)
}
