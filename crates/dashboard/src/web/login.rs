//! Login, the first administrator, and logout.

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_core::Secret;
use patchwright_domain::user::User;
use patchwright_management::{ManagementError, SESSION_COOKIE, is_local_path, remove_cookie};
use serde::Deserialize;
use url::form_urlencoded;

use super::form::{Form, Submission};
use super::page_request::{PageError, authenticate, client_of, detail_of, layout_of, status_of, with_retry_after};
use super::{State, html_response, redirect};
use crate::page::{Login, Page as _};

#[derive(Deserialize)]
pub(super) struct LoginQuery {
    return_to: Option<String>,
}

pub(super) async fn show(
    request: HttpRequest,
    query: web::Query<LoginQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let return_to = query.return_to.as_deref().filter(|path| is_local_path(path)).unwrap_or("/issues");
    // Before there is a user, everybody on this machine is the operator, and creates the first administrator here.
    let has_users = state.management.sessions().has_users().await.map_err(|error| PageError::new(&request, error))?;
    if has_users && authenticate(&request, &state.management).await.is_ok() {
        return Ok(redirect(return_to).finish());
    }
    render(&request, &state, return_to, "", None).await
}

async fn render(
    request: &HttpRequest,
    state: &State,
    return_to: &str,
    login: &str,
    error: Option<ManagementError>,
) -> Result<HttpResponse, PageError> {
    let mut layout = layout_of(request);
    // A change of the language returns to this page, with the path to go to afterwards.
    let back: String = form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
    layout.path = format!("/login?return_to={back}");
    let w = layout.translations();
    let has_users = state.management.sessions().has_users().await.map_err(|error| PageError::new(request, error))?;
    let problem = match &error {
        None => None,
        Some(ManagementError::Unauthenticated(_)) if has_users => Some(w.wrong_password.to_owned()),
        Some(ManagementError::TooManyAttempts { .. }) => Some(w.wait_to_log_in.to_owned()),
        Some(error) => Some(detail_of(error, w)),
    };
    let provider = state.management.oidc().map(|_| format!("/api/v1/auth/oidc/start?return_to={back}"));
    let html = Login {
        layout: &layout,
        return_to,
        login,
        problem: problem.as_deref(),
        is_first: !has_users,
        provider: provider.as_deref(),
    }
    .html();
    Ok(match error {
        None => html_response(StatusCode::OK, html),
        Some(error) => with_retry_after(&error, html_response(status_of(&error), html)),
    })
}

pub(super) async fn log_in(
    request: HttpRequest,
    form: Form,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let address = client_of(&request, &state.management).address_text();
    let password = Secret::new(form.get("password"));
    let user = state.management.sessions().check_password(form.get("login"), password, &address).await;
    start_session(&request, &state, user, form.return_to("/issues"), form.get("login")).await
}

pub(super) async fn set_up(
    request: HttpRequest,
    form: Form,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let password = Secret::new(form.get("password"));
    let sessions = state.management.sessions();
    let user = sessions.create_first_admin(form.get("token").trim(), form.get("login"), password).await;
    start_session(&request, &state, user, "/welcome", form.get("login")).await
}

/// Starts the session of a user; on an error the page is shown again, with the reason.
async fn start_session(
    request: &HttpRequest,
    state: &State,
    user: Result<User, ManagementError>,
    return_to: &str,
    login: &str,
) -> Result<HttpResponse, PageError> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return render(request, state, return_to, login, Some(error)).await,
    };
    let client = client_of(request, &state.management);
    let session = state.management.sessions().create(user, &client, "").await;
    let session = session.map_err(|error| PageError::new(request, error))?;
    let cookie = session.set_cookie(client.uses_tls);
    Ok(redirect(return_to).insert_header((SET_COOKIE, cookie)).finish())
}

/// Changes the viewer's password; all their sessions end, so they log in again.
pub(super) async fn change_password(
    request: HttpRequest,
    Submission { page, form }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let address = client_of(&request, &state.management).address_text();
    let (current, new) = (Secret::new(form.get("current")), Secret::new(form.get("new")));
    let changed = state.management.users().change_own_password(&page.principal, current, new, &address).await;
    match changed {
        Ok(()) => Ok(redirect("/login").insert_header((SET_COOKIE, remove_cookie())).finish()),
        // A wrong password is an error of the form here, and not a reason to log in.
        Err(ManagementError::Unauthenticated(_)) => {
            let wrong = page.translations().wrong_current_password;
            Err(page.error(ManagementError::invalid("wrong_password", wrong)))
        }
        Err(error) => Err(page.error(error)),
    }
}

pub(super) async fn log_out(
    request: HttpRequest,
    submission: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let page = submission.page;
    if let Some(cookie) = request.cookie(SESSION_COOKIE).filter(|_| page.principal.csrf().is_some())
        && let Err(error) = state.management.sessions().end(cookie.value()).await
    {
        return Err(page.error(error));
    }
    Ok(redirect("/login").insert_header((SET_COOKIE, remove_cookie())).finish())
}

/// Ends all sessions of the viewer but this one.
pub(super) async fn end_other_sessions(
    request: HttpRequest,
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let cookie = request.cookie(SESSION_COOKIE).map(|cookie| cookie.value().to_owned()).unwrap_or_default();
    let ended = state.management.sessions().end_others(&page.principal, &cookie).await;
    let message = ended.map(|_| page.translations().done);
    page.respond(message, "/settings/tokens")
}
