//! The settings: things that people add, change and remove. What a form says is handed to the same function that the API
//! calls with a body, so that both take and refuse the same.

mod audit;
mod configuration;
mod credentials;
mod jira;
mod nodes;
mod notifications;
mod repositories;
mod tokens;
mod users;

use actix_web::http::header;
use actix_web::{HttpResponse, body, web};
use jiff::Timestamp;
use patchwright_core::Clock as _;
use patchwright_dashboard::Words;
use patchwright_dashboard::page::{Form as FormView, Listing, ListingPage, Page as _, Revealed, Section};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) use configuration::check;
pub(super) use credentials::form as credential_form;
pub(super) use repositories::form as repository_form;

use super::form::{Form, Posted};
use super::visit::{NotShown, Visit};
use crate::auth::Caller;
use crate::route::State;
use crate::route::error::ApiError;
use patchwright_engine::clock::SystemClock;

type Server = web::Data<State>;

/// Where the next page begins.
#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    cursor: String,
}

/// What a page shows.
#[derive(Default)]
struct Parts {
    listings: Vec<Listing>,
    forms: Vec<FormView>,
    next: Option<String>,
}

/// What came of a form.
enum Done {
    /// Nothing more is to say.
    Transcript(&'static str),
    /// Something was made that is shown this once.
    Revealed(Revealed),
}

impl Done {
    const fn plain(words: &Words) -> Self {
        Self::Transcript(words.done)
    }

    /// A secret out of an answer, where one is in it.
    fn secret(answer: &Value, field: &str, label: String, words: &Words) -> Self {
        match answer[field].as_str() {
            Some(secret) => Self::Revealed(Revealed { label, secret: secret.to_owned() }),
            None => Self::plain(words),
        }
    }
}

/// Who looks at which part, in which words.
struct Look<'a> {
    caller: &'a Caller,
    words: &'static Words,
    server: &'a Server,
    now: Timestamp,
}

impl<'a> Look<'a> {
    fn new(visit: &'a Visit, server: &'a Server) -> Self {
        Self { caller: &visit.caller, words: visit.words(), server, now: SystemClock.now() }
    }
}

/// The section of an address, where whoever looks may see it.
fn section(code: &str, caller: &Caller) -> Result<Section, ApiError> {
    let section = Section::ALL.into_iter().find(|section| section.code() == code).ok_or(ApiError::NotFound("page"))?;
    if section.is_for_admins() {
        caller.need_admin()?;
    }
    Ok(section)
}

fn page_of(section: Section) -> String {
    format!("/settings/{}", section.code())
}

/// To the first part that everybody sees.
pub(super) async fn first() -> HttpResponse {
    super::see(&page_of(Section::Repositories)).finish()
}

pub(super) async fn show(
    visit: Visit,
    path: web::Path<String>,
    query: web::Query<Query>,
    state: Server,
) -> Result<HttpResponse, NotShown> {
    let html = match section(&path, &visit.caller) {
        Ok(section) => shown(&visit, section, &query.cursor, None, &state).await,
        Err(error) => Err(error),
    };
    visit.shown(html)
}

async fn shown(
    visit: &Visit,
    section: Section,
    cursor: &str,
    revealed: Option<Revealed>,
    server: &Server,
) -> Result<String, ApiError> {
    let look = Look::new(visit, server);
    let parts = match section {
        Section::Repositories => repositories::page(&look).await?,
        Section::Credentials => credentials::page(&look).await?,
        Section::Nodes => nodes::page(&look).await?,
        Section::Users => users::page(&look).await?,
        Section::Tokens => tokens::page(&look).await?,
        Section::Jira => jira::page(&look).await?,
        Section::Notifications => notifications::page(&look).await?,
        Section::Audit => audit::page(&look, cursor).await?,
        Section::Configuration => return configuration::page(visit, server, None),
    };
    Ok(ListingPage {
        frame: &visit.frame,
        now: look.now,
        section,
        is_admin: visit.caller.is_admin(),
        listings: &parts.listings,
        forms: &parts.forms,
        revealed,
        next: parts.next,
    }
    .html())
}

pub(super) async fn add(
    Posted { visit, form }: Posted,
    path: web::Path<String>,
    state: Server,
) -> Result<HttpResponse, NotShown> {
    let visit = visit.at(&format!("/settings/{path}"));
    let found = section(&path, &visit.caller);
    let done = match found {
        Ok(section) => added(&visit, section, &form, &state).await.map(|done| (section, done)),
        Err(error) => Err(error),
    };
    answer(visit, done, &form, &state).await
}

async fn added(visit: &Visit, section: Section, form: &Form, server: &Server) -> Result<Done, ApiError> {
    let look = Look::new(visit, server);
    match section {
        Section::Repositories => repositories::add(&look, form).await,
        Section::Credentials => credentials::add(&look, form).await,
        Section::Nodes => nodes::add(&look, form).await,
        Section::Users => users::add(&look, form).await,
        Section::Tokens => tokens::add(&look, form).await,
        Section::Jira => jira::add(&look, form).await,
        Section::Notifications => notifications::add(&look, form).await,
        Section::Audit | Section::Configuration => Err(ApiError::NotFound("form")),
    }
}

pub(super) async fn act(
    Posted { visit, form }: Posted,
    path: web::Path<(String, String, String)>,
    state: Server,
) -> Result<HttpResponse, NotShown> {
    let (code, id, verb) = path.into_inner();
    let visit = visit.at(&format!("/settings/{code}"));
    let done = match section(&code, &visit.caller) {
        Ok(section) => acted(&visit, section, (&id, &verb), &form, &state).await.map(|done| (section, done)),
        Err(error) => Err(error),
    };
    answer(visit, done, &form, &state).await
}

async fn acted(
    visit: &Visit,
    section: Section,
    what: (&str, &str),
    form: &Form,
    server: &Server,
) -> Result<Done, ApiError> {
    let look = Look::new(visit, server);
    match section {
        Section::Repositories => repositories::act(&look, what).await,
        Section::Credentials => credentials::act(&look, what).await,
        Section::Nodes => nodes::act(&look, what).await,
        Section::Users => users::act(&look, what, form).await,
        Section::Tokens => tokens::act(&look, what).await,
        Section::Jira => jira::act(&look, what, form).await,
        Section::Notifications => notifications::act(&look, what).await,
        Section::Audit | Section::Configuration => Err(ApiError::NotFound("action")),
    }
}

/// What cannot be shown again is shown in the answer itself; else the page is asked for anew.
async fn answer(
    visit: Visit,
    done: Result<(Section, Done), ApiError>,
    form: &Form,
    server: &Server,
) -> Result<HttpResponse, NotShown> {
    match done {
        Ok((section, Done::Revealed(revealed))) => {
            let html = shown(&visit, section, "", Some(revealed), server).await;
            visit.shown(html)
        }
        Ok((section, Done::Transcript(text))) => visit.done(Ok(text), form.return_to(&page_of(section))),
        Err(error) => visit.done(Err(error), ""),
    }
}

/// What a form says as the body that the API takes: fields that were left empty are left out.
fn body_of<T: DeserializeOwned>(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Result<T, ApiError> {
    let said = |(_, value): &(&str, Value)| !value.is_null() && value.as_str() != Some("");
    let object: Map<String, Value> =
        fields.into_iter().filter(said).map(|(name, value)| (name.to_owned(), value)).collect();
    serde_json::from_value(Value::Object(object)).map_err(|error| ApiError::bad("bad_form", error.to_string()))
}

impl Form {
    /// A field as the API's bodies have it.
    fn value(&self, name: &str) -> Value {
        Value::from(self.get(name).trim())
    }

    /// A day as the moment at which it ends.
    fn end_of(&self, name: &str) -> Value {
        match self.get(name) {
            "" => Value::Null,
            day => Value::from(format!("{day}T23:59:59Z")),
        }
    }
}

/// What the API answers, read as its callers read it.
async fn read(answer: HttpResponse) -> Result<Value, ApiError> {
    debug_assert!(answer.headers().get(header::CONTENT_TYPE).is_some(), "it answers with JSON");
    let bytes = body::to_bytes(answer.into_body()).await;
    let bytes = bytes.map_err(|_| ApiError::Unavailable("the answer was cut off".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(ApiError::internal)
}

fn no_such_action() -> ApiError {
    ApiError::NotFound("action")
}

/// The choices of a field whose words stand for themselves.
fn choices(words: impl IntoIterator<Item = &'static str>) -> Vec<(String, String)> {
    words.into_iter().map(|word| (word.to_owned(), word.to_owned())).collect()
}
