//! People and their tokens.

use actix_web::{HttpResponse, web};
use jiff::SignedDuration;
use patchwright_core::accounts::{Accounts as _, ApiToken};
use patchwright_core::{Clock as _, Secret};
use patchwright_domain::user::{Scope, User};
use patchwright_domain::{Role, TokenId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::By;
use super::error::ApiError;
use super::page::Page;
use super::words;
use crate::audit::note;
use crate::auth::{Caller, password, person, secret};
use patchwright_engine::clock::SystemClock;

/// A person.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserView {
    id: String,
    login: String,
    role: String,
    active: bool,
    created_at: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            login: user.login.to_string(),
            role: user.role.as_str().to_owned(),
            active: user.active,
            created_at: user.created_at.to_string(),
        }
    }
}

/// A person to add. Without a password they cannot log in with one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    #[schema(pattern = "^[A-Za-z0-9._@+-]{1,64}$", example = "alice")]
    login: String,
    #[schema(schema_with = words::role)]
    role: String,
    #[schema(min_length = 10, max_length = 256)]
    password: Option<String>,
}

/// What changes; the rest stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    #[schema(schema_with = words::role_or_null)]
    role: Option<String>,
    active: Option<bool>,
    #[schema(min_length = 10, max_length = 256)]
    password: Option<String>,
}

fn role(text: &str) -> Result<Role, ApiError> {
    Role::parse(text).ok_or_else(|| ApiError::bad("bad_role", "a role is `admin` or `member`"))
}

#[utoipa::path(get, path = "/api/v1/users", tag = "users",
    responses((status = 200, body = Page<UserView>), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks")))]
pub(crate) async fn list(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let users = state.app.store.users().await?;
    Ok(HttpResponse::Ok().json(Page::all(users.iter().map(UserView::from))))
}

#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = UserView), (status = 400, description = "Login, role or password cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 409, description = "Somebody has the login")))]
pub(crate) async fn add(
    By(caller, body): By<Caller, NewUser>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let NewUser { login, role: wanted, password } = body;
    let user = person::add(&state.app.store, &login, role(&wanted)?, password.map(Secret::new)).await?;
    note(&state, &caller.login, "user.added", user.login.as_str(), user.role.as_str()).await?;
    Ok(HttpResponse::Created().json(UserView::from(&user)))
}

async fn find(id: &str, state: &State) -> Result<User, ApiError> {
    let id: UserId = id.parse().map_err(|_| ApiError::NotFound("user"))?;
    state.app.store.user(id).await?.ok_or(ApiError::NotFound("user"))
}

#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The person")),
    responses((status = 200, body = UserView), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks"), (status = 404, description = "There is no such person")))]
pub(crate) async fn show(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    Ok(HttpResponse::Ok().json(UserView::from(&find(&id, &state).await?)))
}

#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", request_body = UserChange,
    params(("id" = uuid::Uuid, Path, description = "The person")),
    responses((status = 200, body = UserView), (status = 400, description = "Role or password cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 404, description = "There is no such person"),
        (status = 409, description = "It is the last administrator")))]
pub(crate) async fn change(
    id: web::Path<String>,
    By(caller, body): By<Caller, UserChange>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let mut user = find(&id, &state).await?;
    let UserChange { role: wanted, active, password } = body;
    if let Some(wanted) = wanted {
        user.role = role(&wanted)?;
    }
    user.active = active.unwrap_or(user.active);
    let hash = match password {
        Some(password) => Some(password::hash(Secret::new(password)).await?),
        None => None,
    };
    let detail = format!(
        "{}{}{}",
        user.role.as_str(),
        if user.active { "" } else { ", shut out" },
        if hash.is_some() { ", new password" } else { "" }
    );
    state.app.store.change_user(&user, hash).await?;
    note(&state, &caller.login, "user.changed", user.login.as_str(), &detail).await?;
    Ok(HttpResponse::Ok().json(UserView::from(&user)))
}

/// A token without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenView {
    id: String,
    name: String,
    scope: String,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

impl From<&ApiToken> for TokenView {
    fn from(token: &ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scope: token.scope.as_str().to_owned(),
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.map(|at| at.to_string()),
            last_used_at: token.last_used_at.map(|at| at.to_string()),
        }
    }
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What you call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    // Never more than the caller has.
    #[schema(schema_with = words::scope)]
    scope: String,
    /// Days until it ends; without it 90.
    #[schema(minimum = 1, maximum = 3650)]
    #[serde(default, deserialize_with = "super::body::whole")]
    expires_in_days: Option<u16>,
}

/// A token with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    token: TokenView,
    /// Send it as `Authorization: Bearer …`.
    secret: String,
}

fn own(caller: &Caller) -> Result<UserId, ApiError> {
    caller.id.ok_or_else(|| ApiError::forbidden("the operator has no tokens of its own; log in as a person"))
}

#[utoipa::path(get, path = "/api/v1/tokens", tag = "users",
    responses((status = 200, body = Page<TokenView>), (status = 401, description = "Nobody asks"),
        (status = 403, description = "The operator asks, who has none")))]
pub(crate) async fn tokens(caller: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let tokens = state.app.store.tokens(own(&caller)?).await?;
    Ok(HttpResponse::Ok().json(Page::all(tokens.iter().map(TokenView::from))))
}

#[utoipa::path(post, path = "/api/v1/tokens", tag = "users", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 400, description = "Name, scope or days cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "The scope is more than the caller's")))]
pub(crate) async fn add_token(
    By(caller, body): By<Caller, NewToken>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    let user_id = own(&caller)?;
    let NewToken { name, scope, expires_in_days } = body;
    let name = name.replace('\0', "\u{fffd}");
    if name.is_empty() || name.chars().count() > 100 {
        return Err(ApiError::bad("bad_name", "a name has 1 to 100 characters"));
    }
    let scope =
        Scope::parse(&scope).ok_or_else(|| ApiError::bad("bad_scope", "a scope is `read`, `write` or `admin`"))?;
    if scope > caller.scope() {
        return Err(ApiError::forbidden("a token cannot make one that may do more"));
    }
    let days = expires_in_days.unwrap_or(90);
    if !(1..=3650).contains(&days) {
        return Err(ApiError::bad("bad_days", "a token ends after 1 to 3650 days"));
    }
    let now = SystemClock.now();
    let expires_at = now.saturating_add(SignedDuration::from_hours(24 * i64::from(days))).ok();
    let id = TokenId::from_uuid(uuid::Uuid::now_v7());
    let token = ApiToken { id, user_id, name, scope, created_at: now, expires_at, last_used_at: None };
    let secret = secret::fresh("pwt_");
    state.app.store.add_token(&token, &secret::hash(&secret)).await?;
    note(&state, &caller.login, "token.added", &token.name, scope.as_str()).await?;
    let made = MadeToken { token: TokenView::from(&token), secret };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(made))
}

#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The token")),
    responses((status = 204, description = "It has ended"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "The token that asks may only read"),
        (status = 404, description = "The caller has no such token")))]
pub(crate) async fn end_token(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_write()?;
    let id: TokenId = id.parse().map_err(|_| ApiError::NotFound("token"))?;
    if !state.app.store.end_token(own(&caller)?, id).await? {
        return Err(ApiError::NotFound("token"));
    }
    note(&state, &caller.login, "token.ended", &id.to_string(), "").await?;
    Ok(HttpResponse::NoContent().finish())
}
