//! People and their Atlassian accounts: there and back through Atlassian's pages (OAuth 2.0).

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::SignedDuration;
use patchwright_core::Secret;
use patchwright_core::jira::{JiraSites as _, JiraUsers as _, LinkError, Workspaces as _};
use patchwright_domain::jira::{JiraUser, LinkStatus, Workspace};
use patchwright_domain::{JiraUserId, UserId, WorkspaceId};
use patchwright_jira::{JiraOauth, OauthError, WriteAs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::State;
use super::super::answer::is_path_of_ours;
use super::super::error::ApiError;
use super::super::oidc::BackQuery;
use super::super::page::Page;
use crate::audit::note;
use crate::auth::{COOKIE, Caller, secret};

/// How long a person may take on Atlassian's pages.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// A person's link to their account in a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkView {
    id: String,
    user_id: String,
    /// The Atlassian account.
    account_id: String,
    /// Its name when the link was made.
    display_name: String,
    workspace_id: String,
    /// The site's host.
    workspace: String,
    /// `active` or `inactive`.
    status: String,
    created_at: String,
    updated_at: String,
}

/// How Jira is set up here.
#[derive(Serialize, ToSchema)]
pub(crate) struct JiraStatus {
    /// Whether people can link their accounts.
    configured: bool,
    /// What to enter at Atlassian as the callback of the application.
    redirect_uri: Option<String>,
    /// What people are asked to allow.
    scopes: Option<String>,
    /// `service` or `user`: whose name comments carry.
    write_as: String,
    /// What to enter in Jira as the webhook's address.
    webhook_path: String,
}

/// Which site.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinkQuery {
    /// Its host; may be left out where there is one only.
    workspace: Option<String>,
    /// A path of this server to go to then.
    return_to: Option<String>,
}

/// What belongs to a state while the person is away. Sealed where it is kept.
#[derive(Serialize, Deserialize)]
struct Begun {
    user: UserId,
    workspace: WorkspaceId,
    /// The hash of the session's cookie: another session cannot finish it.
    session: String,
    return_to: Option<String>,
}

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

impl From<OauthError> for ApiError {
    fn from(error: OauthError) -> Self {
        tracing::warn!(%error, "an Atlassian account could not be linked");
        match error {
            OauthError::Denied(_) => Self::bad("not_accepted", error.to_string()),
            OauthError::Application(_) => Self::Upstream(error.to_string()),
            OauthError::Unavailable(_) => Self::Unavailable(error.to_string()),
            _ => Self::Upstream(error.to_string()),
        }
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Store(error) => error.into(),
            LinkError::AccountTaken => Self::conflict("account_taken", error.to_string()),
            LinkError::OtherAccount => Self::conflict("other_account", error.to_string()),
        }
    }
}

fn oauth(state: &State) -> Result<&JiraOauth, ApiError> {
    state.app.jira.oauth().ok_or_else(|| {
        ApiError::NotOnForge(
            "no application at Atlassian is configured (JIRA_CLIENT_ID, JIRA_CLIENT_SECRET)".to_owned(),
        )
    })
}

/// The session that a request comes from. A token has none: linking takes the browser in which the person has logged in.
fn session(request: &HttpRequest, caller: &Caller) -> Result<(UserId, String), ApiError> {
    let cookie = request.cookie(COOKIE).filter(|_| caller.csrf.is_some());
    caller
        .id
        .zip(cookie.map(|cookie| secret::hash(cookie.value())))
        .ok_or_else(|| ApiError::forbidden("open this address in the browser in which you have logged in here"))
}

#[utoipa::path(get, path = "/api/v1/jira/status", tag = "jira",
    responses((status = 200, body = JiraStatus), (status = 401, description = "Nobody asks")))]
pub(crate) async fn status(_: Caller, state: web::Data<State>) -> HttpResponse {
    let options = state.app.jira.oauth().map(JiraOauth::options);
    let write_as = match state.config.jira.write_as {
        WriteAs::ServiceAccount => "service",
        WriteAs::Person => "user",
    };
    HttpResponse::Ok().json(JiraStatus {
        configured: options.is_some(),
        redirect_uri: options.map(|options| options.redirect_uri.clone()),
        scopes: options.map(|options| options.scopes.clone()),
        write_as: write_as.to_owned(),
        webhook_path: "/api/jira/webhook".to_owned(),
    })
}

#[utoipa::path(get, path = "/api/v1/jira/link", tag = "jira", params(LinkQuery),
    responses((status = 302, description = "To Atlassian; to the login provider, where nobody is logged in"), (status = 400, description = "The site was not named"),
        (status = 401, description = "Nobody asks"),
        (status = 403, description = "No session asks"),
        (status = 404, description = "There is no such site, or no application at Atlassian is configured"),
        (status = 502, description = "The application is not set up rightly")))]
pub(crate) async fn start(
    caller: Result<Caller, ApiError>,
    request: HttpRequest,
    query: web::Query<LinkQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let caller = match caller {
        // Whoever comes from a comment in Jira logs in on the way.
        Err(ApiError::Unauthorized(_)) if state.oidc.is_some() => return Ok(log_in_first(&request)),
        other => other?,
    };
    let (user, session) = session(&request, &caller)?;
    let oauth = oauth(&state)?;
    let workspace = named(query.workspace.as_deref(), &state).await?;
    let token = secret::fresh("");
    let begun = Begun {
        user,
        workspace: workspace.id,
        session,
        return_to: query.return_to.clone().filter(|path| is_path_of_ours(path)),
    };
    let sealed = Secret::new(serde_json::to_string(&begun).expect("it is only text"));
    let now = state.app.engine.now();
    let until = now.saturating_add(PATIENCE).unwrap_or(now);
    state.app.vault.keep_state(&secret::hash(&token), &sealed, until).await?;
    let url = oauth.authorization_url(&token)?;
    Ok(HttpResponse::Found().insert_header(("location", url)).insert_header(("cache-control", "no-store")).finish())
}

/// To the login provider, and back here.
fn log_in_first(request: &HttpRequest) -> HttpResponse {
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", here).finish();
    HttpResponse::Found().insert_header(("location", format!("/api/v1/auth/oidc/start?{query}"))).finish()
}

/// The site of that name, or the only one.
async fn named(name: Option<&str>, state: &State) -> Result<Workspace, ApiError> {
    let all = state.app.vault.workspaces().await?;
    match name {
        Some(name) => {
            let same = |workspace: &Workspace| workspace.name.eq_ignore_ascii_case(name);
            all.into_iter().find(same).ok_or(ApiError::NotFound("workspace"))
        }
        None if all.len() == 1 => Ok(all.into_iter().next().expect("there is one")),
        None if all.is_empty() => Err(ApiError::NotFound("workspace")),
        None => Err(ApiError::bad("which_site", "there are several sites; name one with `?workspace=`")),
    }
}

#[utoipa::path(get, path = "/api/v1/jira/callback", tag = "jira", params(BackQuery),
    responses((status = 200, body = LinkView, description = "The account is linked"), (status = 302, description = "The same, back to where the person came from"),
        (status = 400, description = "The link was not begun in this session, took too long, was finished already, or was not accepted"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "The account has no access to the site, or no session asks"),
        (status = 404, description = "The site is gone, or no application at Atlassian is configured"),
        (status = 409, description = "The account is linked to somebody else, or another one to this person"),
        (status = 502, description = "The application is not set up rightly")))]
pub(crate) async fn callback(
    caller: Caller,
    request: HttpRequest,
    query: web::Query<BackQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (user, session) = session(&request, &caller)?;
    let oauth = oauth(&state)?;
    let begun = begun(query.state.as_deref(), user, &session, &state).await?;
    let refused = |why| ApiError::bad("link_refused", format!("Atlassian did not link the account: {why}"));
    let code = query.code().map_err(refused)?;
    let workspace = state.app.vault.workspace(begun.workspace).await?.ok_or(ApiError::NotFound("workspace"))?;
    let now = state.app.engine.now();
    let tokens = oauth.exchange(code, now).await?;
    state.app.redactor.add(&tokens.access);
    let sites = oauth.sites(&tokens.access).await?;
    let site = sites.into_iter().find(|site| site.host == workspace.name).ok_or_else(|| {
        ApiError::forbidden(&format!("your Atlassian account has no access to {}, or did not allow it", workspace.name))
    })?;
    let workspace = learn_cloud_id(workspace, site.cloud_id, &state).await?;
    let person = oauth.person(&tokens.access).await?;
    let link = JiraUser {
        id: JiraUserId::from_uuid(uuid::Uuid::now_v7()),
        user_id: user,
        account: person.account,
        workspace_id: workspace.id,
        display_name: person.name.chars().filter(|c| !c.is_control()).take(200).collect(),
        status: LinkStatus::Active,
        created_at: now,
        updated_at: now,
    };
    let link = state.app.vault.link(&link, Some(&tokens)).await?;
    note(&state, &caller.login, "jira_user.linked", &workspace.name, &link.account).await?;
    learn_own_account(&workspace, &state).await;
    match begun.return_to {
        Some(path) => Ok(HttpResponse::Found().insert_header(("location", path)).finish()),
        None => Ok(HttpResponse::Ok().json(view(&link, &HashMap::from([(workspace.id, workspace.name)])))),
    }
}

/// What was begun under a state. It is spent by being asked for, whatever comes of it.
async fn begun(given: Option<&str>, user: UserId, session: &str, state: &State) -> Result<Begun, ApiError> {
    let gone = || ApiError::bad("no_link", "no link was begun with this state, or it took too long; begin anew");
    let given = given.ok_or_else(gone)?;
    let now = state.app.engine.now();
    let kept = state.app.vault.consume_state(&secret::hash(given), now).await?.ok_or_else(gone)?;
    let begun: Begun = serde_json::from_str(kept.expose()).map_err(|_| gone())?;
    if begun.user == user && begun.session == session {
        Ok(begun)
    } else {
        Err(ApiError::bad("wrong_state", "the link was begun in another session; begin anew in this one"))
    }
}

/// The site's cloud id is learnt from the first person who is let in there; another one later is another site.
async fn learn_cloud_id(workspace: Workspace, cloud_id: String, state: &State) -> Result<Workspace, ApiError> {
    match &workspace.cloud_id {
        Some(known) if *known == cloud_id => Ok(workspace),
        Some(_) => Err(ApiError::conflict(
            "other_site",
            format!("{} has another cloud id now; its administrator sets it anew", workspace.name),
        )),
        None => {
            state.app.vault.learn(workspace.id, Some(&cloud_id), None).await?;
            Ok(Workspace { cloud_id: Some(cloud_id), ..workspace })
        }
    }
}

/// Whose comments are ours, so that they are known from the first one on. When it fails now, it is asked again with the
/// first event.
async fn learn_own_account(workspace: &Workspace, state: &State) {
    if workspace.own_account.is_some() {
        return;
    }
    match state.app.jira.own_account(&workspace.name).await {
        Ok(own) => {
            if let Err(error) = state.app.vault.learn(workspace.id, None, Some(&own)).await {
                tracing::warn!(site = workspace.name, %error, "our account there could not be kept");
            }
        }
        Err(error) => tracing::warn!(site = workspace.name, %error, "our account there is not known yet"),
    }
}

#[utoipa::path(get, path = "/api/v1/jira/links", tag = "jira",
    responses((status = 200, body = Page<LinkView>, description = "The caller's; all for an administrator"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let of = if caller.is_admin() { None } else { caller.id };
    let links = if of.is_none() && !caller.is_admin() { Vec::new() } else { state.app.vault.links(of).await? };
    let sites: HashMap<WorkspaceId, String> =
        state.app.vault.workspaces().await?.into_iter().map(|workspace| (workspace.id, workspace.name)).collect();
    Ok(HttpResponse::Ok().json(Page::all(links.iter().map(|link| view(link, &sites)))))
}

#[utoipa::path(delete, path = "/api/v1/jira/links/{id}", tag = "jira",
    params(("id" = uuid::Uuid, Path, description = "The link")),
    responses((status = 204, description = "It is ended, and its tokens are forgotten"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "The token may only read"), (status = 404, description = "The caller has no such link that is active")))]
pub(crate) async fn unlink(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    let gone = || ApiError::NotFound("link");
    let id: JiraUserId = id.parse().map_err(|_| gone())?;
    let link = state.app.vault.jira_user(id).await?.ok_or_else(gone)?;
    if !caller.is_admin() && caller.id != Some(link.user_id) {
        return Err(gone());
    }
    if !state.app.vault.unlink(id, state.app.engine.now()).await? {
        return Err(gone());
    }
    note(&state, &caller.login, "jira_user.unlinked", &link.account, "").await?;
    Ok(HttpResponse::NoContent().finish())
}
