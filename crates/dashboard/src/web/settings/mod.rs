//! The settings: lists of things that users add, change and remove. Every form calls the use case that the API calls too,
//! so that both accept and refuse the same input.

mod audit;
mod channels;
mod configuration;
mod credentials;
mod jira;
mod nodes;
mod repositories;
mod tokens;
mod users;

use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_management::{Management, ManagementError, Principal};
use serde::Deserialize;

use self::configuration::ConfigurationView;
pub(super) use self::configuration::{change, check};
pub(super) use self::credentials::form as credential_form;
pub(super) use self::repositories::form as repository_form;
use super::State;
use super::form::{Form, Submission};
use super::page_request::{PageError, PageRequest, detail_of, parse_id};
use crate::Translations;
use crate::page::{Form as FormView, Listing, ListingPage, Page as _, Revealed, Section};

#[derive(Deserialize)]
pub(super) struct SettingsQuery {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    changed: String,
    #[serde(default)]
    edit: String,
}

/// What a section shows.
#[derive(Default)]
struct SettingsView {
    listings: Vec<Listing>,
    forms: Vec<FormView>,
    /// The address of the next page.
    next: Option<String>,
}

/// The outcome of a form.
enum FormOutcome {
    Message(&'static str),
    /// A generated secret, which is shown only once.
    Revealed(Revealed),
}

impl FormOutcome {
    const fn done(context: &SettingsContext<'_>) -> Self {
        Self::Message(context.translations.done)
    }

    /// Shows a generated secret, if there is one.
    fn revealed(secret: Option<Secret>, label: String, context: &SettingsContext<'_>) -> Self {
        match secret {
            Some(secret) => Self::Revealed(Revealed { label, secret: secret.expose().to_owned() }),
            None => Self::done(context),
        }
    }
}

/// Who views a section, and in which language.
struct SettingsContext<'a> {
    principal: &'a Principal,
    translations: &'static Translations,
    management: &'a Management,
    now: Timestamp,
}

impl<'a> SettingsContext<'a> {
    fn new(page: &'a PageRequest, state: &'a State) -> Self {
        Self {
            principal: &page.principal,
            translations: page.translations(),
            management: &state.management,
            now: state.management.now(),
        }
    }
}

/// Returns the section of a URL, if the viewer may see it.
fn section_of(code: &str, principal: &Principal) -> Result<Section, ManagementError> {
    let section = Section::ALL.into_iter().find(|section| section.code() == code);
    let section = section.ok_or_else(|| ManagementError::not_found("page"))?;
    if section.is_for_admins() {
        principal.require_admin()?;
    }
    Ok(section)
}

fn path_of(section: Section) -> String {
    format!("/settings/{}", section.code())
}

/// Redirects to the first section that everybody sees.
pub(super) async fn redirect_to_first() -> HttpResponse {
    super::redirect(&path_of(Section::Repositories)).finish()
}

pub(super) async fn show(
    page: PageRequest,
    path: web::Path<String>,
    query: web::Query<SettingsQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = match section_of(&path, &page.principal) {
        Ok(Section::Configuration) => {
            let view = ConfigurationView {
                search: &query.q,
                changed_only: query.changed == "true",
                edited: (!query.edit.is_empty()).then_some((query.edit.as_str(), None)),
                findings: None,
            };
            configuration::render(&page, &state, view)
        }
        Ok(section) => render(&page, section, Shown::at(&query.cursor), &state).await,
        Err(error) => Err(error),
    };
    page.render(html)
}

/// What a section shows beside its lists and forms.
#[derive(Default)]
struct Shown<'a> {
    cursor: &'a str,
    revealed: Option<Revealed>,
    /// The form that was refused, by its URL, with what was typed into it and why.
    refused: Option<(&'a str, &'a Form, String)>,
}

impl<'a> Shown<'a> {
    fn at(cursor: &'a str) -> Self {
        Self { cursor, ..Self::default() }
    }
}

async fn render(
    page: &PageRequest,
    section: Section,
    shown: Shown<'_>,
    state: &State,
) -> Result<String, ManagementError> {
    let context = SettingsContext::new(page, state);
    let mut view = match section {
        Section::Repositories => repositories::view(&context).await?,
        Section::Credentials => credentials::view(&context).await?,
        Section::Nodes => nodes::view(&context).await?,
        Section::Users => users::view(&context).await?,
        Section::Tokens => tokens::view(&context).await?,
        Section::Jira => jira::view(&context).await?,
        Section::Notifications => channels::view(&context).await?,
        Section::Audit => audit::view(&context, shown.cursor).await?,
        Section::Configuration => return configuration::render(page, state, ConfigurationView::default()),
    };
    let mut problem = None;
    if let Some((action, form, reason)) = shown.refused {
        let typed = |name: &str| form.all(name).map(str::to_owned).collect();
        match view.forms.iter_mut().find(|view| view.action == action) {
            Some(refused) => {
                refused.refuse(reason, typed);
                // The page begins with what has to be done.
                view.listings.clear();
                view.forms.retain(|view| view.problem.is_some());
            }
            // It was a button.
            None => problem = Some(reason),
        }
    }
    Ok(ListingPage {
        layout: &page.layout,
        now: context.now,
        section,
        is_admin: page.principal.is_admin(),
        listings: &view.listings,
        forms: &view.forms,
        revealed: shown.revealed,
        problem,
        next: view.next,
    }
    .html())
}

pub(super) async fn add(
    Submission { page, form }: Submission,
    path: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let page = page.at(&format!("/settings/{path}"));
    let section = match section_of(&path, &page.principal) {
        Ok(section) => section,
        Err(error) => return Err(page.error(error)),
    };
    let outcome = add_to(&page, section, &form, &state).await;
    respond(page, section, outcome, (&format!("/settings/{path}/add"), &form), &state).await
}

async fn add_to(
    page: &PageRequest,
    section: Section,
    form: &Form,
    state: &State,
) -> Result<FormOutcome, ManagementError> {
    let context = SettingsContext::new(page, state);
    match section {
        Section::Repositories => repositories::add(&context, form).await,
        Section::Credentials => credentials::add(&context, form).await,
        Section::Nodes => nodes::add(&context, form).await,
        Section::Users => users::add(&context, form).await,
        Section::Tokens => tokens::add(&context, form).await,
        Section::Jira => jira::add(&context, form).await,
        Section::Notifications => channels::add(&context, form).await,
        Section::Audit | Section::Configuration => Err(ManagementError::not_found("form")),
    }
}

pub(super) async fn act(
    Submission { page, form }: Submission,
    path: web::Path<(String, String, String)>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let (code, id, action) = path.into_inner();
    let page = page.at(&format!("/settings/{code}"));
    let section = match section_of(&code, &page.principal) {
        Ok(section) => section,
        Err(error) => return Err(page.error(error)),
    };
    let outcome = act_on(&page, section, (&id, &action), &form, &state).await;
    respond(page, section, outcome, (&format!("/settings/{code}/{id}/{action}"), &form), &state).await
}

async fn act_on(
    page: &PageRequest,
    section: Section,
    target: (&str, &str),
    form: &Form,
    state: &State,
) -> Result<FormOutcome, ManagementError> {
    let context = SettingsContext::new(page, state);
    match section {
        Section::Repositories => repositories::act(&context, target, form).await,
        Section::Credentials => credentials::act(&context, target).await,
        Section::Nodes => nodes::act(&context, target).await,
        Section::Users => users::act(&context, target, form).await,
        Section::Tokens => tokens::act(&context, target).await,
        Section::Jira => jira::act(&context, target, form).await,
        Section::Notifications => channels::act(&context, target).await,
        Section::Audit | Section::Configuration => Err(no_such_action()),
    }
}

/// Shows a generated secret in the response itself, because it is stored nowhere, and a form that was refused with what was typed
/// into it; otherwise redirects to the section.
async fn respond(
    page: PageRequest,
    section: Section,
    outcome: Result<FormOutcome, ManagementError>,
    (action, form): (&str, &Form),
    state: &State,
) -> Result<HttpResponse, PageError> {
    match outcome {
        Ok(FormOutcome::Revealed(revealed)) => {
            let html = render(&page, section, Shown { revealed: Some(revealed), ..Shown::default() }, state).await;
            page.render(html)
        }
        Ok(FormOutcome::Message(text)) => page.respond(Ok(text), form.return_to(&path_of(section))),
        Err(
            error @ (ManagementError::Invalid { .. } | ManagementError::Conflict { .. } | ManagementError::Upstream(_)),
        ) if !page.is_script() => {
            let refused = Some((action, form, detail_of(&error, page.translations())));
            let html = render(&page, section, Shown { refused, ..Shown::default() }, state).await;
            page.refuse(error, html)
        }
        Err(error) => page.respond(Err(error), ""),
    }
}

/// Reads a day as the moment at which it ends.
fn end_of_day(form: &Form, name: &str) -> Result<Option<Timestamp>, ManagementError> {
    let end = form.text(name).map(|day| format!("{day}T23:59:59Z").parse()).transpose();
    end.map_err(|error: jiff::Error| ManagementError::invalid("bad_time", error.to_string()))
}

fn no_such_action() -> ManagementError {
    ManagementError::not_found("action")
}

/// The choices of a field whose values are their own labels.
fn choices(words: impl IntoIterator<Item = &'static str>) -> Vec<(String, String)> {
    words.into_iter().map(|word| (word.to_owned(), word.to_owned())).collect()
}
