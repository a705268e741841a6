//! Who looks at a page, and how they want it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::cookie::{Cookie, SameSite, time::Duration as CookieTime};
use actix_web::http::header::RETRY_AFTER;
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use patchwright_dashboard::page::{Page as _, Problem};
use patchwright_dashboard::{Frame, Language, Theme, Viewer, Words};
use serde_json::json;
use url::form_urlencoded;

use super::form::Form;
use super::{page, see};
use crate::auth::{Caller, header, identify};
use crate::route::State;
use crate::route::auth::is_secure;
use crate::route::error::ApiError;

/// The cookies of what a browser's person chose.
const LANGUAGE_COOKIE: &str = "patchwright_language";
const THEME_COOKIE: &str = "patchwright_theme";

/// Somebody who may look at a page.
pub(super) struct Visit {
    pub(super) caller: Caller,
    pub(super) frame: Frame,
    /// Whether the page's own script asks, which shows a few words in place of a page.
    by_script: bool,
}

/// What is around a page that this request asks for, before it is known who asks.
pub(super) fn frame(request: &HttpRequest) -> Frame {
    let cookie = |name| request.cookie(name).map(|cookie| cookie.value().to_owned());
    let accepted = header(request, "accept-language").unwrap_or_default();
    let language = cookie(LANGUAGE_COOKIE).and_then(|code| Language::parse(&code));
    let theme = cookie(THEME_COOKIE).and_then(|code| Theme::parse(&code));
    // A form's own address is no page to come back to.
    let path = match (request.method(), request.uri().path_and_query()) {
        (&Method::GET, Some(path)) => path.as_str(),
        _ => "/issues",
    };
    Frame::new(language.unwrap_or_else(|| Language::of(accepted)), theme.unwrap_or_default(), path)
}

fn by_script(request: &HttpRequest) -> bool {
    header(request, "accept") == Some("application/json")
}

impl Visit {
    pub(super) const fn words(&self) -> &'static Words {
        self.frame.words()
    }

    /// The same on another page than the one that the form's address says.
    pub(super) fn at(self, path: &str) -> Self {
        Self { frame: self.frame.at(path), ..self }
    }

    /// The answer where something went wrong.
    pub(super) fn failed(self, error: ApiError) -> NotShown {
        NotShown(Box::new(Failed { frame: self.frame, error, by_script: self.by_script }))
    }

    /// The answer of a page.
    pub(super) fn shown(self, html: Result<String, ApiError>) -> Result<HttpResponse, NotShown> {
        html.map(|html| page(StatusCode::OK, html)).map_err(|error| self.failed(error))
    }

    /// The answer to a form: its page again, or a few words for the script.
    pub(super) fn done(self, text: Result<&str, ApiError>, return_to: &str) -> Result<HttpResponse, NotShown> {
        match text {
            Ok(text) if self.by_script => Ok(HttpResponse::Ok().json(json!({ "text": text }))),
            Ok(_) => Ok(see(return_to).finish()),
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl FromRequest for Visit {
    type Error = NotShown;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotShown>>>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (frame, by_script) = (frame(&request), by_script(&request));
            match identify(&request).await {
                Ok(caller) => {
                    let viewer = Viewer { login: caller.login.clone(), csrf: caller.csrf.clone() };
                    Ok(Self { caller, frame: frame.seen_by(viewer), by_script })
                }
                Err(error) => Err(NotShown(Box::new(Failed { frame, error, by_script }))),
            }
        })
    }
}

/// A page that cannot be shown: somebody has to log in first, or is told what went wrong.
pub(super) struct NotShown(Box<Failed>);

struct Failed {
    frame: Frame,
    error: ApiError,
    by_script: bool,
}

impl fmt::Debug for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl ResponseError for NotShown {
    fn status_code(&self) -> StatusCode {
        self.0.error.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let Failed { frame, error, by_script } = &*self.0;
        let status = error.status_code();
        if !*by_script && status == StatusCode::UNAUTHORIZED {
            let back: String = form_urlencoded::byte_serialize(frame.path.as_bytes()).collect();
            return see(&format!("/login?return_to={back}")).finish();
        }
        let detail = error.to_string();
        let answer = if *by_script {
            HttpResponse::build(status).json(json!({ "text": detail }))
        } else {
            page(status, Problem { frame, is_missing: status == StatusCode::NOT_FOUND, detail: &detail }.html())
        };
        waiting_as(error, answer)
    }
}

/// An answer that says how long to wait, where the error knows it.
pub(super) fn waiting_as(error: &ApiError, mut answer: HttpResponse) -> HttpResponse {
    if let Some(wait) = error.error_response().headers().get(RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    answer
}

/// Keeps what a person chose in their browser. No session is needed: nothing of the server changes.
pub(super) async fn set_preferences(form: Form, state: web::Data<State>) -> HttpResponse {
    let chosen = [
        (LANGUAGE_COOKIE, Language::parse(form.get("language")).map(Language::code)),
        (THEME_COOKIE, Theme::parse(form.get("theme")).map(Theme::code)),
    ];
    let mut answer = see(form.return_to("/issues"));
    for (name, code) in chosen {
        let Some(code) = code else { continue };
        let cookie = Cookie::build(name, code)
            .path("/")
            .http_only(true)
            .secure(is_secure(&state))
            .same_site(SameSite::Lax)
            .max_age(CookieTime::days(365))
            .finish();
        answer.cookie(cookie);
    }
    answer.finish()
}
