//! Login, logout, and the first administrator.

use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_core::Secret;
use patchwright_management::{Client, NewSession, SESSION_COOKIE, check_same_origin, remove_cookie};
use patchwright_protocol::auth::{Login, Me, SessionView, Setup};
use patchwright_protocol::users::UserView;

use crate::State;
use crate::error::ApiError;
use crate::extract::{Body, Caller, client_of, header};

fn session_response(session: &NewSession, client: &Client) -> HttpResponse {
    let view = SessionView {
        user: UserView::from(&session.user),
        csrf_token: session.csrf.clone(),
        expires_at: session.expires_at.to_string(),
    };
    HttpResponse::Ok()
        .insert_header((SET_COOKIE, session.set_cookie(client.uses_tls)))
        .insert_header(("cache-control", "no-store"))
        .json(view)
}

#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Login, security(()),
    responses((status = 200, body = SessionView), (status = 400, description = "Invalid body"),
        (status = 401, description = "Wrong login or password"), (status = 403, description = "Sent by a page of another site"),
        (status = 429, description = "Too many failed logins; wait as `Retry-After` says")))]
pub(crate) async fn login(
    request: HttpRequest,
    Body(body): Body<Login>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    check_same_origin(header(&request, "origin"), header(&request, "host"))?;
    let client = client_of(&request, &state.management);
    let sessions = state.management.sessions();
    let user = sessions.check_password(&body.login, Secret::new(body.password), &client.address_text()).await?;
    let session = sessions.create(user, &client, "").await?;
    Ok(session_response(&session, &client))
}

#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 204, description = "The session has ended"), (status = 403, description = "The CSRF token is missing")))]
pub(crate) async fn logout(
    request: HttpRequest,
    Caller(principal): Caller,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    if let Some(cookie) = request.cookie(SESSION_COOKIE).filter(|_| principal.csrf().is_some()) {
        state.management.sessions().end(cookie.value()).await?;
    }
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, remove_cookie())).finish())
}

#[utoipa::path(get, path = "/api/v1/me", tag = "auth", responses((status = 200, body = Me)))]
pub(crate) async fn me(Caller(principal): Caller) -> HttpResponse {
    HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(Me {
        id: principal.id().map(|id| id.to_string()),
        login: principal.login().to_owned(),
        role: principal.role().as_str().to_owned(),
        scope: principal.scope().as_str().to_owned(),
        csrf_token: principal.csrf().map(str::to_owned),
    })
}

#[utoipa::path(post, path = "/api/v1/auth/setup", tag = "auth", request_body = Setup, security(()),
    responses((status = 200, body = SessionView), (status = 400, description = "Invalid body"),
        (status = 401, description = "Wrong token"), (status = 403, description = "Sent by a page of another site"),
        (status = 409, description = "There is a user already")))]
pub(crate) async fn setup(
    request: HttpRequest,
    Body(body): Body<Setup>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    check_same_origin(header(&request, "origin"), header(&request, "host"))?;
    let sessions = state.management.sessions();
    let user = sessions.create_first_admin(&body.token, &body.login, Secret::new(body.password)).await?;
    let client = client_of(&request, &state.management);
    let session = sessions.create(user, &client, "").await?;
    Ok(session_response(&session, &client))
}
