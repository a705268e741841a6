//! Who is asking: a session's cookie, a token, or the operator of this machine.

pub(crate) mod node;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod person;
pub(crate) mod secret;
pub(crate) mod throttle;

use std::future::Future;
use std::pin::Pin;

use actix_web::http::Method;
use actix_web::{FromRequest, HttpRequest, web};
use patchwright_core::Clock as _;
use patchwright_core::accounts::Accounts as _;
use patchwright_domain::user::{Scope, User};
use patchwright_domain::{Role, UserId};

use crate::audit::OPERATOR;
use crate::route::State;
use crate::route::error::ApiError;
use patchwright_engine::clock::SystemClock;

/// The cookie that a session is known by.
pub(crate) const COOKIE: &str = "patchwright_session";
/// What unsafe requests of a session carry beside it: a page of another site can send the cookie, but not this.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";
/// Who asks, and what they may.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// None for the operator.
    pub(crate) id: Option<UserId>,
    pub(crate) login: String,
    role: Role,
    scope: Scope,
    /// Of the session, for its page to send along.
    pub(crate) csrf: Option<String>,
}

impl Caller {
    fn operator() -> Self {
        Self { id: None, login: OPERATOR.to_owned(), role: Role::Admin, scope: Scope::Admin, csrf: None }
    }

    fn person(user: &User, scope: Scope, csrf: Option<String>) -> Self {
        Self { id: Some(user.id), login: user.login.to_string(), role: user.role, scope, csrf }
    }

    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    pub(crate) const fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin && self.scope == Scope::Admin
    }

    /// # Errors
    /// [`ApiError::Forbidden`] for a session whose token was not sent along: a page of another site may have asked.
    pub(crate) fn need_csrf(&self, given: Option<&str>) -> Result<(), ApiError> {
        let Some(own) = &self.csrf else { return Ok(()) };
        // Hashes are compared: how long that takes tells nothing about the token.
        if given.map(secret::hash) == Some(secret::hash(own)) {
            Ok(())
        } else {
            Err(ApiError::forbidden("the request lacks the session's CSRF token (header X-CSRF-Token)"))
        }
    }

    /// # Errors
    /// [`ApiError::Forbidden`] for a token that may only look.
    pub(crate) fn need_write(&self) -> Result<(), ApiError> {
        if self.scope >= Scope::Write { Ok(()) } else { Err(ApiError::forbidden("this token may only read")) }
    }

    /// # Errors
    /// [`ApiError::Forbidden`] for whoever is no administrator, or asks with a token that does not say so.
    pub(crate) fn need_admin(&self) -> Result<(), ApiError> {
        if self.is_admin() {
            Ok(())
        } else if self.role == Role::Admin {
            Err(ApiError::forbidden("this takes a token of the scope `admin`"))
        } else {
            Err(ApiError::forbidden("this takes an administrator"))
        }
    }

    /// # Errors
    /// [`ApiError::Forbidden`] for whoever neither owns the thing nor is an administrator.
    pub(crate) fn need_owner(&self, owner: Option<UserId>) -> Result<(), ApiError> {
        self.need_write()?;
        if self.is_admin() || (owner.is_some() && owner == self.id) {
            Ok(())
        } else {
            Err(ApiError::forbidden("this takes an administrator, or the person who added the issue"))
        }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let caller = identify(&request).await?;
            if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
                caller.need_csrf(header(&request, CSRF_HEADER))?;
            }
            Ok(caller)
        })
    }
}

/// A header of a request, where it is text.
pub(crate) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Who asks. What they ask counts only after [`Caller::need_csrf`], where it changes something.
///
/// # Errors
/// [`ApiError::Unauthorized`] for nobody.
pub(crate) async fn identify(request: &HttpRequest) -> Result<Caller, ApiError> {
    let state = request.app_data::<web::Data<State>>().expect("every route has the state");
    if let Some(authorization) = header(request, "authorization") {
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        return by_token(state, token).await;
    }
    if let Some(cookie) = request.cookie(COOKIE) {
        let found = state.app.store.session(&secret::hash(cookie.value()), SystemClock.now()).await?;
        let Some((session, user)) = found else {
            return Err(ApiError::Unauthorized("the session has ended; log in again"));
        };
        return Ok(Caller::person(&user, Scope::Admin, Some(session.csrf)));
    }
    if !state.loopback || state.config.api_token.is_some() || has_people(state).await? {
        return Err(ApiError::Unauthorized("log in, or send a token as `Authorization: Bearer …`"));
    }
    // Nobody was added yet, and only this machine can ask: a page in its browser cannot ask in its owner's place.
    same_origin(request)?;
    Ok(Caller::operator())
}

async fn by_token(state: &State, token: &str) -> Result<Caller, ApiError> {
    if state.config.api_token.as_ref().is_some_and(|own| own.matches(token)) {
        return Ok(Caller::operator());
    }
    match state.app.store.token(&secret::hash(token), SystemClock.now()).await? {
        Some((token, user)) => Ok(Caller::person(&user, token.scope, None)),
        None => Err(ApiError::Unauthorized("the bearer token is missing or wrong, or has ended")),
    }
}

/// Whether anybody was added. Once somebody was, that stays so.
pub(crate) async fn has_people(state: &State) -> Result<bool, ApiError> {
    use std::sync::atomic::Ordering::Relaxed;
    if state.has_people.load(Relaxed) {
        return Ok(true);
    }
    let has = !state.app.store.users().await?.is_empty();
    state.has_people.store(has, Relaxed);
    Ok(has)
}

/// A browser says which page sends a request; one of another site is refused.
pub(crate) fn same_origin(request: &HttpRequest) -> Result<(), ApiError> {
    let Some(origin) = header(request, "origin") else { return Ok(()) };
    let host = origin.split_once("://").map(|(_, host)| host);
    if host.is_some() && host == header(request, "host") {
        Ok(())
    } else {
        Err(ApiError::forbidden("a page of another site may not ask this"))
    }
}
