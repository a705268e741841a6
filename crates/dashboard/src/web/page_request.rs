//! The request of a page: who views it, in which language and theme.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use actix_web::cookie::{Cookie, SameSite, time::Duration as CookieDuration};
use actix_web::http::header::RETRY_AFTER;
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use patchwright_core::fault::error_chain;
use patchwright_management::{
    Client, Connection, Management, ManagementError, Principal, RequestIdentity, SESSION_COOKIE,
};
use serde_json::json;
use url::form_urlencoded;

use super::form::Form;
use super::{State, header_of, html_response, redirect};
use crate::page::{DiffLayout, Page as _, Problem};
use crate::{Language, Layout, Theme, Translations, Viewer};

/// The cookies of a browser's preferences.
const LANGUAGE_COOKIE: &str = "patchwright_language";
const THEME_COOKIE: &str = "patchwright_theme";
/// The names under which users keep them, for their other browsers.
const LANGUAGE: &str = "language";
const THEME: &str = "theme";

/// An authenticated request of a page.
pub(super) struct PageRequest {
    pub(super) principal: Principal,
    pub(super) layout: Layout,
    /// Whether the page's own script sent it, which shows a message in place of a page.
    is_script: bool,
    /// Whether a phone sent it, as far as its browser says.
    is_phone: bool,
}

/// The layout that a request asks for, before it is known who views it.
pub(super) fn layout_of(request: &HttpRequest) -> Layout {
    let cookie = |name| request.cookie(name).map(|cookie| cookie.value().to_owned());
    let accepted = header_of(request, "accept-language").unwrap_or_default();
    let language = cookie(LANGUAGE_COOKIE).and_then(|code| Language::parse(&code));
    let theme = cookie(THEME_COOKIE).and_then(|code| Theme::parse(&code));
    // The URL of a form is not a page to return to.
    let path = match (request.method(), request.uri().path_and_query()) {
        (&Method::GET, Some(path)) => path.as_str(),
        _ => "/issues",
    };
    Layout::new(language.unwrap_or_else(|| Language::of(accepted)), theme.unwrap_or_default(), path)
}

/// Applies the language and theme that a user has chosen, in whichever browser. Without one, those of this browser stay.
async fn apply_preferences(state: &State, principal: &Principal, layout: &mut Layout) -> Result<(), ManagementError> {
    let kept = state.management.preferences().list(principal).await?;
    let language = kept.get(LANGUAGE).and_then(|code| Language::parse(code));
    let theme = kept.get(THEME).and_then(|code| Theme::parse(code));
    layout.language = language.unwrap_or(layout.language);
    layout.theme = theme.unwrap_or(layout.theme);
    Ok(())
}

fn is_script(request: &HttpRequest) -> bool {
    header_of(request, "accept") == Some("application/json")
}

/// Returns the client of a request.
pub(super) fn client_of(request: &HttpRequest, management: &Management) -> Client {
    let header = |name: &str| {
        let values: Vec<&str> = request.headers().get_all(name).filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    management.client(&Connection {
        peer: request.peer_addr().map(|peer| peer.ip()),
        host: header_of(request, "host"),
        is_http_1_0: request.version() <= Version::HTTP_10,
        header: &header,
    })
}

/// Returns the principal of a request.
pub(super) async fn authenticate(request: &HttpRequest, management: &Management) -> Result<Principal, ManagementError> {
    let cookie = request.cookie(SESSION_COOKIE);
    let client = client_of(request, management);
    let identity = RequestIdentity {
        authorization: header_of(request, "authorization"),
        session: cookie.as_ref().map(Cookie::value),
        origin: header_of(request, "origin"),
        host: header_of(request, "host"),
        client: Some(&client),
    };
    management.sessions().authenticate(identity).await
}

impl PageRequest {
    pub(super) const fn translations(&self) -> &'static Translations {
        self.layout.translations()
    }

    /// Returns the layout of a diff for whoever has not chosen one: two columns do not fit on a phone.
    pub(super) fn usual_diff_layout(&self) -> DiffLayout {
        if self.is_phone { DiffLayout::Unified } else { DiffLayout::Split }
    }

    /// Returns whether the page's own script sent it.
    pub(super) const fn is_script(&self) -> bool {
        self.is_script
    }

    /// Returns the same for another page than the one of the form's address.
    pub(super) fn at(self, path: &str) -> Self {
        Self { layout: self.layout.at(path), ..self }
    }

    /// Returns the page of an error.
    pub(super) fn error(self, error: ManagementError) -> PageError {
        PageError(Box::new(Failure { layout: self.layout, error, is_script: self.is_script }))
    }

    /// Returns the response with a page.
    pub(super) fn render(self, html: Result<String, ManagementError>) -> Result<HttpResponse, PageError> {
        html.map(|html| html_response(StatusCode::OK, html)).map_err(|error| self.error(error))
    }

    /// Returns the response to a form that is refused: the page that shows it again with what was typed, under the status of the
    /// error. A page that cannot be rendered leaves the error alone.
    pub(super) fn refuse(
        self,
        error: ManagementError,
        html: Result<String, ManagementError>,
    ) -> Result<HttpResponse, PageError> {
        match html {
            Ok(html) => Ok(html_response(status_of(&error), html)),
            Err(_) => Err(self.error(error)),
        }
    }

    /// Returns the response to a form: a redirect to its page, or a message for the script.
    pub(super) fn respond(
        self,
        message: Result<&str, ManagementError>,
        return_to: &str,
    ) -> Result<HttpResponse, PageError> {
        match message {
            Ok(message) if self.is_script => Ok(HttpResponse::Ok().json(json!({ "text": message }))),
            Ok(_) => Ok(redirect(return_to).finish()),
            Err(error) => Err(self.error(error)),
        }
    }
}

impl FromRequest for PageRequest {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request.app_data::<web::Data<State>>().expect("every route has the state").clone();
            match authenticate(&request, &state.management).await {
                Ok(principal) => {
                    let viewer =
                        Viewer { login: principal.login().to_owned(), csrf: principal.csrf().map(str::to_owned) };
                    let mut layout = layout_of(&request).seen_by(viewer);
                    if let Err(error) = apply_preferences(&state, &principal, &mut layout).await {
                        return Err(PageError::new(&request, error));
                    }
                    let model = state.management.engine().model();
                    layout.is_recorded = model.is_some_and(|model| model.is_recorded());
                    let is_phone = header_of(&request, "user-agent").is_some_and(|agent| agent.contains("Mobi"));
                    Ok(Self { principal, layout, is_script: is_script(&request), is_phone })
                }
                Err(error) => Err(PageError::new(&request, error)),
            }
        })
    }
}

/// The error of a page: the viewer has to log in first, or gets an error page.
pub(super) struct PageError(Box<Failure>);

struct Failure {
    layout: Layout,
    error: ManagementError,
    is_script: bool,
}

impl PageError {
    /// An error before it is known who views the page.
    pub(super) fn new(request: &HttpRequest, error: ManagementError) -> Self {
        Self(Box::new(Failure { layout: layout_of(request), error, is_script: is_script(request) }))
    }
}

impl fmt::Debug for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

/// Returns the status of an error.
pub(super) fn status_of(error: &ManagementError) -> StatusCode {
    StatusCode::from_u16(error.http_status()).expect("it is a status")
}

/// Returns the text of an error in a language. The cause of an unexpected one goes to the log, under the id that the text has.
pub(super) fn detail_of(error: &ManagementError, words: &Translations) -> String {
    let ManagementError::Internal(cause) = error else { return words.translate(&error.to_string()) };
    let request_id = uuid::Uuid::now_v7();
    tracing::error!(%request_id, error = %error_chain(cause.as_ref()), "failed to render a page");
    words.translate(&format!("an internal error; the log has the details under the request id {request_id}"))
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        status_of(&self.0.error)
    }

    fn error_response(&self) -> HttpResponse {
        let Failure { layout, error, is_script } = &*self.0;
        let status = status_of(error);
        if !*is_script && status == StatusCode::UNAUTHORIZED {
            let back: String = form_urlencoded::byte_serialize(layout.path.as_bytes()).collect();
            return redirect(&format!("/login?return_to={back}")).finish();
        }
        let detail = detail_of(error, layout.translations());
        let response = if *is_script {
            HttpResponse::build(status).json(json!({ "text": detail }))
        } else {
            let is_missing = status == StatusCode::NOT_FOUND;
            html_response(status, Problem { layout, is_missing, detail: &detail }.html())
        };
        with_retry_after(error, response)
    }
}

/// Returns the page for an address that there is not.
pub(super) fn unknown_page(request: &HttpRequest) -> HttpResponse {
    let layout = layout_of(request).at("/issues");
    let problem = Problem { layout: &layout, is_missing: true, detail: "" };
    html_response(StatusCode::NOT_FOUND, problem.html())
}

/// Adds how long to wait, if the error has a wait.
pub(super) fn with_retry_after(error: &ManagementError, mut response: HttpResponse) -> HttpResponse {
    let Some(seconds) = error.retry_after_seconds() else { return response };
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// Returns the names of the repositories that the viewer sees, and the chosen one.
pub(super) async fn repository_names(
    page: &PageRequest,
    state: &State,
    chosen: &str,
) -> Result<Vec<String>, ManagementError> {
    let known = state.management.repositories().list(&page.principal).await?;
    let mut names: Vec<String> = known.iter().map(|repository| repository.name.to_string()).collect();
    names.extend(Some(chosen.to_owned()).filter(|chosen| !chosen.is_empty()));
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Parses a word of a select; nothing if it is empty.
pub(super) fn parse_word<T>(
    word: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    what: &str,
) -> Result<Option<T>, ManagementError> {
    if word.is_empty() {
        return Ok(None);
    }
    let unknown = || ManagementError::invalid("bad_word", format!("`{word}` is not a {what}"));
    parse(word).map(Some).ok_or_else(unknown)
}

/// Parses the id in a path: what cannot be an id does not exist.
pub(super) fn parse_id<T: FromStr>(text: &str, kind: &str) -> Result<T, ManagementError> {
    text.parse().map_err(|_| ManagementError::not_found(kind))
}

/// Stores a browser's preferences, and those of its user if somebody is logged in.
pub(super) async fn set_preferences(request: HttpRequest, form: Form, state: web::Data<State>) -> HttpResponse {
    let uses_tls = client_of(&request, &state.management).uses_tls;
    let chosen = [
        (LANGUAGE_COOKIE, LANGUAGE, Language::parse(form.get("language")).map(Language::code)),
        (THEME_COOKIE, THEME, Theme::parse(form.get("theme")).map(Theme::code)),
    ];
    let user = authenticate(&request, &state.management).await.ok().filter(|principal| principal.id().is_some());
    let mut response = redirect(form.return_to("/issues"));
    for (cookie, name, code) in chosen {
        let Some(code) = code else { continue };
        if let Some(user) = &user
            && let Err(error) = state.management.preferences().set(user, name, Some(code)).await
        {
            // The browser has it all the same.
            tracing::warn!(%error, "failed to keep a preference");
        }
        let cookie = Cookie::build(cookie, code)
            .path("/")
            .http_only(true)
            .secure(uses_tls)
            .same_site(SameSite::Lax)
            .max_age(CookieDuration::days(365))
            .finish();
        response.cookie(cookie);
    }
    response.finish()
}
