//! Users and their API tokens.

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_core::access::ForgeAccount as Account;
use patchwright_core::accounts::ApiToken;
use patchwright_domain::PlatformId;
use patchwright_domain::user::{Role, Scope};
use patchwright_management::{NewToken as Token, NewUser as User, UserUpdate as Update};
use patchwright_protocol::Page;
use patchwright_protocol::users::{
    CreatedToken, ForgeAccount, ForgeAccounts, NewToken, NewUser, TokenView, UserUpdate, UserView,
};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id, parse_word};

fn role(text: &str) -> Result<Role, ApiError> {
    parse_word(text, Role::parse, "bad_role", "a role is `admin` or `member`")
}

#[utoipa::path(get, path = "/api/v1/users", tag = "users",
    responses((status = 200, body = Page<UserView>), (status = 403, description = "Administrator role required")))]
pub(crate) async fn list(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let users = state.management.users().list(&principal).await?;
    Ok(HttpResponse::Ok().json(Page::all(users.iter().map(UserView::from))))
}

#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = UserView), (status = 400, description = "Invalid login, role or password"),
        (status = 403, description = "Administrator role required"), (status = 409, description = "The login is taken")))]
pub(crate) async fn create(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewUser>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let new = User { login: body.login, role: role(&body.role)?, password: body.password.map(Secret::new) };
    let user = state.management.users().create(&principal, new).await?;
    Ok(HttpResponse::Created().json(UserView::from(&user)))
}

#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The user")),
    responses((status = 200, body = UserView), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such user")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let user = state.management.users().get(&principal, parse_id(&id, "user")?).await?;
    Ok(HttpResponse::Ok().json(UserView::from(&user)))
}

#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", request_body = UserUpdate,
    params(("id" = uuid::Uuid, Path, description = "The user")),
    responses((status = 200, body = UserView), (status = 400, description = "Invalid role or password"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such user"),
        (status = 409, description = "The user is the last administrator")))]
pub(crate) async fn update(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, UserUpdate>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let id = parse_id(&id, "user")?;
    let update = Update {
        role: body.role.as_deref().map(role).transpose()?,
        active: body.active,
        password: body.password.map(Secret::new),
    };
    let user = state.management.users().update(&principal, id, update).await?;
    Ok(HttpResponse::Ok().json(UserView::from(&user)))
}

#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The user")),
    responses((status = 204, description = "Deleted with sessions, tokens, links and assignments"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such user"),
        (status = 409, description = "The user is the last administrator, or administers a Jira site")))]
pub(crate) async fn delete(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    state.management.users().delete(&principal, parse_id(&id, "user")?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/users/{id}/accounts", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The user")),
    responses((status = 200, body = ForgeAccounts), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such user")))]
pub(crate) async fn forge_accounts(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let grants = state.management.users().grants(&principal, parse_id(&id, "user")?).await?;
    let view = |account: Account| ForgeAccount { platform: account.platform.as_str().to_owned(), login: account.login };
    Ok(HttpResponse::Ok().json(ForgeAccounts { accounts: grants.accounts.into_iter().map(view).collect() }))
}

#[utoipa::path(put, path = "/api/v1/users/{id}/accounts", tag = "users", request_body = ForgeAccounts,
    params(("id" = uuid::Uuid, Path, description = "The user")),
    responses((status = 200, body = ForgeAccounts), (status = 400, description = "Invalid platform or login"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such user"),
        (status = 409, description = "Another user has one of the accounts")))]
pub(crate) async fn set_forge_accounts(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, ForgeAccounts>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let account = |account: &ForgeAccount| Account {
        platform: PlatformId::new(account.platform.clone()),
        login: account.login.to_lowercase(),
    };
    let accounts = body.accounts.iter().map(account).collect();
    state.management.users().set_forge_accounts(&principal, parse_id(&id, "user")?, accounts).await?;
    Ok(HttpResponse::Ok().json(body))
}

fn token_view(token: &ApiToken) -> TokenView {
    TokenView {
        id: token.id.to_string(),
        name: token.name.clone(),
        scope: token.scope.as_str().to_owned(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        last_used_at: token.last_used_at.map(|at| at.to_string()),
    }
}

#[utoipa::path(get, path = "/api/v1/tokens", tag = "users",
    responses((status = 200, body = Page<TokenView>), (status = 403, description = "The operator has no tokens")))]
pub(crate) async fn list_tokens(Caller(principal): Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let tokens = state.management.tokens().list(&principal).await?;
    Ok(HttpResponse::Ok().json(Page::all(tokens.iter().map(token_view))))
}

#[utoipa::path(post, path = "/api/v1/tokens", tag = "users", request_body = NewToken,
    responses((status = 201, body = CreatedToken), (status = 400, description = "Invalid name, scope or days"),
        (status = 403, description = "The scope is wider than the caller's")))]
pub(crate) async fn create_token(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewToken>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let expected = "a scope is `read`, `write` or `admin`";
    let scope = parse_word(&body.scope, Scope::parse, "bad_scope", expected)?;
    let new = Token { name: body.name, scope, expires_in_days: body.expires_in_days };
    let created = state.management.tokens().create(&principal, new).await?;
    let view = CreatedToken { token: token_view(&created.token), secret: created.secret.expose().to_owned() };
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(view))
}

#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "users",
    params(("id" = uuid::Uuid, Path, description = "The token")),
    responses((status = 204, description = "Revoked"), (status = 403, description = "The caller's token may only read"),
        (status = 404, description = "The caller has no such token")))]
pub(crate) async fn revoke_token(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_write()?;
    state.management.tokens().revoke(&principal, parse_id(&id, "token")?).await?;
    Ok(HttpResponse::NoContent().finish())
}
