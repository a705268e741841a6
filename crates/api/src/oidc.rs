//! Login at the provider (`OpenID` Connect).

use actix_web::cookie::{Cookie, SameSite, time::Duration as CookieDuration};
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use patchwright_management::{Client, ManagementError, Oidc};
use patchwright_protocol::auth::{OidcCallbackQuery, OidcStartQuery};

use crate::State;
use crate::error::ApiError;
use crate::extract::client_of;

/// The cookie of a login in progress; it is sent to the callback only.
const LOGIN_COOKIE: &str = "patchwright_login";
const CALLBACK_PATH: &str = "/api/v1/auth/oidc/callback";
/// How long a user may take at the provider, in minutes.
const LOGIN_MINUTES: i64 = 10;
/// The longest error text of a provider that is repeated, in characters.
const MAX_ERROR_CHARS: usize = 100;

/// Returns the code of a callback, or why there is none.
pub(crate) fn code(query: &OidcCallbackQuery) -> Result<&str, String> {
    match (&query.code, &query.error) {
        (Some(code), None) => Ok(code),
        (_, error) => {
            let reason = error.as_deref().unwrap_or("no code");
            Err(reason.chars().filter(|c| !c.is_control()).take(MAX_ERROR_CHARS).collect())
        }
    }
}

fn provider(state: &State) -> Result<Oidc<'_>, ApiError> {
    let missing = || ManagementError::NotFound("no login provider is configured (OIDC_ISSUER)".to_owned());
    Ok(state.management.oidc().ok_or_else(missing)?)
}

#[utoipa::path(get, path = "/api/v1/auth/oidc/start", tag = "auth", params(OidcStartQuery), security(()),
    responses((status = 302, description = "Redirect to the provider"), (status = 404, description = "No provider is configured"),
        (status = 400, description = "The provider's metadata is not valid")))]
pub(crate) async fn start(
    request: HttpRequest,
    query: web::Query<OidcStartQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (url, transaction) = provider(&state)?.start(query.return_to.as_deref().unwrap_or("/")).await?;
    let cookie = Cookie::build(LOGIN_COOKIE, transaction)
        .path(CALLBACK_PATH)
        .http_only(true)
        .secure(client_of(&request, &state.management).uses_tls)
        // Lax, and not strict: the provider's page sends the user back.
        .same_site(SameSite::Lax)
        .max_age(CookieDuration::minutes(LOGIN_MINUTES))
        .finish();
    Ok(redirect(&url).cookie(cookie).finish())
}

fn redirect(location: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Found();
    response.insert_header(("location", location)).insert_header(("cache-control", "no-store"));
    response
}

#[utoipa::path(get, path = "/api/v1/auth/oidc/callback", tag = "auth", params(OidcCallbackQuery), security(()),
    responses((status = 302, description = "Logged in"),
        (status = 400, description = "The login was not started in this browser, took too long, or is not accepted"),
        (status = 403, description = "The account is deactivated"), (status = 404, description = "No provider is configured")))]
pub(crate) async fn callback(
    request: HttpRequest,
    query: web::Query<OidcCallbackQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let provider = provider(&state)?;
    let cookie = request.cookie(LOGIN_COOKIE);
    let cookie = cookie.as_ref().map(Cookie::value);
    provider.check(cookie, query.state.as_deref())?;
    // From here on the transaction is used up, whether or not the login succeeds.
    let finished = finish(&provider, cookie, &query, &client_of(&request, &state.management), &state).await;
    let mut response = finished.unwrap_or_else(|error| error.error_response());
    let mut spent = Cookie::build(LOGIN_COOKIE, "").path(CALLBACK_PATH).finish();
    spent.make_removal();
    response.add_cookie(&spent).map_err(|error| ManagementError::Unavailable(error.to_string()))?;
    Ok(response)
}

async fn finish(
    provider: &Oidc<'_>,
    cookie: Option<&str>,
    query: &OidcCallbackQuery,
    client: &Client,
    state: &State,
) -> Result<HttpResponse, ApiError> {
    let refused = |reason| ApiError::invalid("login_refused", format!("the provider did not log you in: {reason}"));
    let code = code(query).map_err(refused)?;
    let (user, return_to) = provider.finish(cookie, query.state.as_deref(), code).await?;
    let session = state.management.sessions().create(user, client, "at the login provider").await?;
    Ok(redirect(&return_to).insert_header((SET_COOKIE, session.set_cookie(client.uses_tls))).finish())
}
