//! The Atlassian accounts of users: the redirects to Atlassian and back (OAuth 2.0).

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_domain::WorkspaceId;
use patchwright_domain::jira::JiraUser;
use patchwright_management::ManagementError;
use patchwright_protocol::Page;
use patchwright_protocol::auth::OidcCallbackQuery;
use patchwright_protocol::jira::{JiraStatus, LinkQuery, LinkView};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Caller, parse_id};
use crate::oidc::code;
use patchwright_management::SESSION_COOKIE;

fn view(link: &JiraUser, sites: &HashMap<WorkspaceId, String>) -> LinkView {
    LinkView {
        id: link.id.to_string(),
        user_id: link.user_id.to_string(),
        account_id: link.account.clone(),
        display_name: link.display_name.clone(),
        workspace_id: link.workspace_id.to_string(),
        workspace: sites.get(&link.workspace_id).cloned().unwrap_or_default(),
        status: link.status.as_str().to_owned(),
        created_at: link.created_at.to_string(),
        updated_at: link.updated_at.to_string(),
    }
}

#[utoipa::path(get, path = "/api/v1/jira/status", tag = "jira", responses((status = 200, body = JiraStatus)))]
pub(crate) async fn status(_: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let jira = state.management.jira()?;
    let oauth = jira.settings().oauth.as_ref();
    Ok(HttpResponse::Ok().json(JiraStatus {
        configured: oauth.is_some(),
        redirect_uri: oauth.map(|oauth| oauth.redirect_uri().to_owned()),
        scopes: oauth.map(|oauth| oauth.scopes().to_owned()),
        write_as: jira.settings().write_as.to_owned(),
        webhook_path: "/api/jira/webhook".to_owned(),
    }))
}

#[utoipa::path(get, path = "/api/v1/jira/link", tag = "jira", params(LinkQuery),
    responses((status = 302, description = "Redirect to Atlassian, or to the login provider without a session"),
        (status = 400, description = "There are several sites; name one"), (status = 403, description = "A session is required"),
        (status = 404, description = "No such site, or no application at Atlassian is configured"),
        (status = 502, description = "The application is not configured correctly")))]
pub(crate) async fn start(
    caller: Result<Caller, ApiError>,
    request: HttpRequest,
    query: web::Query<LinkQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let Caller(principal) = match caller {
        // Users who follow the link in a Jira comment may have to log in first.
        Err(ApiError::Management(ManagementError::Unauthenticated(_))) if state.management.oidc().is_some() => {
            return Ok(redirect_to_login(&request));
        }
        other => other?,
    };
    let cookie = request.cookie(SESSION_COOKIE);
    let cookie = cookie.as_ref().map(actix_web::cookie::Cookie::value);
    let (site, return_to) = (query.workspace.as_deref(), query.return_to.as_deref());
    let url = state.management.jira()?.start_link(&principal, cookie, site, return_to).await?;
    Ok(HttpResponse::Found().insert_header(("location", url)).insert_header(("cache-control", "no-store")).finish())
}

/// Redirects to the login provider, which returns here.
fn redirect_to_login(request: &HttpRequest) -> HttpResponse {
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", here).finish();
    HttpResponse::Found().insert_header(("location", format!("/api/v1/auth/oidc/start?{query}"))).finish()
}

#[utoipa::path(get, path = "/api/v1/jira/callback", tag = "jira", params(OidcCallbackQuery),
    responses((status = 200, body = LinkView, description = "Linked"), (status = 302, description = "Linked, and redirected to where the user came from"),
        (status = 400, description = "The link was not started in this session, took too long, was finished already, or was not accepted"),
        (status = 403, description = "The account has no access to the site, or a session is required"),
        (status = 404, description = "No such site, or no application at Atlassian is configured"),
        (status = 409, description = "The account is linked to another user, or another account to this user"),
        (status = 502, description = "The application is not configured correctly")))]
pub(crate) async fn callback(
    Caller(principal): Caller,
    request: HttpRequest,
    query: web::Query<OidcCallbackQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let cookie = request.cookie(SESSION_COOKIE);
    let cookie = cookie.as_ref().map(actix_web::cookie::Cookie::value);
    let jira = state.management.jira()?;
    let (link, site, return_to) = jira.finish_link(&principal, cookie, query.state.as_deref(), code(&query)).await?;
    match return_to {
        Some(path) => Ok(HttpResponse::Found().insert_header(("location", path)).finish()),
        None => Ok(HttpResponse::Ok().json(view(&link, &HashMap::from([(site.id, site.name)])))),
    }
}

#[utoipa::path(get, path = "/api/v1/jira/links", tag = "jira",
    responses((status = 200, body = Page<LinkView>, description = "The caller's links; all for an administrator")))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let jira = state.management.jira()?;
    let links = jira.links(&principal).await?;
    let sites: HashMap<WorkspaceId, String> =
        jira.sites().await?.into_iter().map(|site| (site.id, site.name)).collect();
    Ok(HttpResponse::Ok().json(Page::all(links.iter().map(|link| view(link, &sites)))))
}

#[utoipa::path(delete, path = "/api/v1/jira/links/{id}", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The link")),
    responses((status = 204, description = "Ended, and its tokens deleted"), (status = 403, description = "The caller's token may only read"),
        (status = 404, description = "The caller has no such active link")))]
pub(crate) async fn unlink(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    state.management.jira()?.unlink(&principal, parse_id(&id, "link")?).await?;
    Ok(HttpResponse::NoContent().finish())
}
