//! Login at a provider.

use actix_web::cookie::{Cookie, SameSite, time::Duration as CookieTime};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use patchwright_core::accounts::{AccountError, Accounts as _};
use patchwright_core::{Clock as _, Secret};
use patchwright_domain::Role;
use patchwright_domain::user::{Login, User};
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::auth::{is_secure, session};
use super::error::ApiError;
use crate::audit::note;
use crate::auth::oidc::{Identity, OidcError, Provider, Transaction};
use crate::auth::person;
use patchwright_engine::clock::SystemClock;

/// The cookie that a login on its way is kept in. It goes to the way back only.
const COOKIE: &str = "patchwright_login";
const WAY_BACK: &str = "/api/v1/auth/oidc/callback";

/// Where to go then.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StartQuery {
    /// A path of this server.
    return_to: Option<String>,
}

/// What a provider sends a person back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BackQuery {
    code: Option<String>,
    pub(crate) state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

impl BackQuery {
    /// The code, or why there is none.
    pub(crate) fn code(&self) -> Result<&str, String> {
        match (&self.code, &self.error) {
            (Some(code), None) => Ok(code),
            (_, error) => {
                let why = error.as_deref().unwrap_or("no code");
                Err(why.chars().filter(|c| !c.is_control()).take(100).collect())
            }
        }
    }
}

fn provider(state: &State) -> Result<&Provider, ApiError> {
    state.oidc.as_ref().ok_or_else(|| ApiError::NotOnForge("no login provider is configured (OIDC_ISSUER)".to_owned()))
}

fn not_logged_in(error: &OidcError) -> ApiError {
    tracing::warn!(%error, "a login at the provider failed");
    match error {
        OidcError::Unavailable(_) => ApiError::Unavailable(error.to_string()),
        OidcError::Refused(_) => ApiError::bad("login_refused", error.to_string()),
    }
}

#[utoipa::path(get, path = "/api/v1/auth/oidc/start", tag = "auth", params(StartQuery), security(()),
    responses((status = 302, description = "To the provider"), (status = 404, description = "No provider is configured"),
        (status = 400, description = "The provider's description is not accepted")))]
pub(crate) async fn start(query: web::Query<StartQuery>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let provider = provider(&state)?;
    let begun = Transaction::new(query.return_to.as_deref().unwrap_or("/"), state.app.engine.now());
    let url = provider.authorization_url(&begun).await.map_err(|error| not_logged_in(&error))?;
    let cookie = Cookie::build(COOKIE, begun.seal(&state.app.master.present))
        .path(WAY_BACK)
        .http_only(true)
        .secure(is_secure(&state))
        // Lax, and not strict: the provider sends the person back from its own page.
        .same_site(SameSite::Lax)
        .max_age(CookieTime::minutes(10))
        .finish();
    Ok(HttpResponse::Found().cookie(cookie).insert_header(("location", url)).insert_header(no_store()).finish())
}

const fn no_store() -> (&'static str, &'static str) {
    ("cache-control", "no-store")
}

#[utoipa::path(get, path = "/api/v1/auth/oidc/callback", tag = "auth", params(BackQuery), security(()),
    responses((status = 302, description = "The session has begun"),
        (status = 400, description = "The login was not begun in this browser, took too long, or is not accepted"),
        (status = 403, description = "The person is shut out"), (status = 404, description = "No provider is configured")))]
pub(crate) async fn callback(
    request: HttpRequest,
    query: web::Query<BackQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let provider = provider(&state)?;
    let begun = begun(&request, &state).ok_or_else(|| {
        ApiError::bad("no_login", "no login was begun in this browser, or it took too long; begin anew")
    })?;
    let same = query.state.as_ref().is_some_and(|given| Secret::new(begun.state.as_str()).matches(given));
    if !same {
        return Err(ApiError::bad("wrong_state", "the provider's answer belongs to another login; begin anew"));
    }
    // From here on it is spent, whatever comes of it.
    let mut answer = finish(&begun, &query, provider, &state).await.unwrap_or_else(|error| error.error_response());
    let mut spent = Cookie::build(COOKIE, "").path(WAY_BACK).finish();
    spent.make_removal();
    answer.add_cookie(&spent).map_err(|error| ApiError::Unavailable(error.to_string()))?;
    Ok(answer)
}

/// Finishes a login that came back to the browser that began it.
async fn finish(
    begun: &Transaction,
    query: &BackQuery,
    provider: &Provider,
    state: &web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let refused = |why| ApiError::bad("login_refused", format!("the provider did not log you in: {why}"));
    let code = query.code().map_err(refused)?;
    let now = state.app.engine.now();
    let identity = provider.identify(begun, code, now).await.map_err(|error| not_logged_in(&error))?;
    let user = known_or_new(state, provider, &identity).await?;
    if !user.active {
        return Err(ApiError::forbidden("you are shut out here; ask an administrator"));
    }
    note(state, user.login.as_str(), "session.begun", user.login.as_str(), "at the login provider").await?;
    let (_, cookie) = session(state, &user, SystemClock.now()).await?;
    Ok(HttpResponse::Found()
        .cookie(cookie)
        .insert_header(("location", begun.return_to.as_str()))
        .insert_header(no_store())
        .finish())
}

fn begun(request: &HttpRequest, state: &State) -> Option<Transaction> {
    let cookie = request.cookie(COOKIE)?;
    let now = state.app.engine.now();
    state.app.master.all().find_map(|master| Transaction::open(cookie.value(), master, now))
}

/// The person of an identity. One who comes for the first time is added; a login that somebody here has already is not
/// theirs, whatever the provider calls them.
async fn known_or_new(state: &State, provider: &Provider, identity: &Identity) -> Result<User, ApiError> {
    let store = &state.app.store;
    let role = if identity.is_admin { Role::Admin } else { Role::Member };
    if let Some(user) = store.user_by_identity(provider.issuer(), &identity.subject).await? {
        if !provider.names_admins() || user.role == role {
            return Ok(user);
        }
        let changed = User { role, ..user.clone() };
        return match store.change_user(&changed, None).await {
            Ok(()) => {
                note(state, user.login.as_str(), "user.changed", user.login.as_str(), "by the login provider").await?;
                Ok(changed)
            }
            // Somebody must be able to let the others in.
            Err(AccountError::LastAdmin) => Ok(user),
            Err(error) => Err(error.into()),
        };
    }
    let wanted = login(&identity.login);
    for number in 1..100 {
        let name = if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") };
        let new = person::fresh(&name, role)?;
        match store.add_identified_user(&new, provider.issuer(), &identity.subject).await {
            Ok(user) => {
                note(state, user.login.as_str(), "user.added", user.login.as_str(), "by the login provider").await?;
                return Ok(user);
            }
            Err(AccountError::Taken(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("login_taken", format!("the login `{wanted}` and many like it are taken")))
}

/// A login out of what the provider calls somebody.
fn login(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+') { c } else { '-' };
    let name: String = text.chars().map(plain).take(Login::MAX_LEN - 4).collect();
    if name.is_empty() { "somebody".to_owned() } else { name }
}
