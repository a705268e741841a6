//! The first steps: from an empty server to the first job.

use std::sync::Mutex;

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::query::IssueFilter;
use patchwright_domain::PlatformId;
use patchwright_management::{AppProposal, AppSetup, Finding, Management, ManagementError, Platform, Severity};
use serde::Deserialize;

use super::form::{Form as SubmittedForm, Submission};
use super::page_request::{PageError, PageRequest, detail_of};
use super::settings::{credential_form, repository_form};
use super::{State, header_of, html_response, html_response_to_forge, redirect};
use crate::Translations;
use crate::page::{
    AppDonePage, AppFormPage, Delivery, Field, Form, Input, IssueRow, Page as _, Refusal, Webhook, Welcome,
};

/// How many issues are offered.
const OFFERED_ISSUES: u16 = 5;
/// The most characters of an event's name that are kept.
const MAX_EVENT_CHARS: usize = 60;

/// Observations since the server started: the results of checks, and the newest delivery.
#[derive(Debug, Default)]
pub struct SetupObservations(Mutex<Observed>);

#[derive(Debug, Clone, Default)]
struct Observed {
    model: Option<Finding>,
    platforms: Vec<Finding>,
    /// The newest delivery with a valid signature, including those that start nothing.
    delivery: Option<(String, String, Timestamp)>,
    /// The newest delivery that was refused.
    refusal: Option<Refusal>,
}

impl SetupObservations {
    fn read(&self) -> Observed {
        self.0.lock().expect("no holder of this lock panics").clone()
    }

    fn update(&self, change: impl FnOnce(&mut Observed)) {
        change(&mut self.0.lock().expect("no holder of this lock panics"));
    }

    /// Records a refused delivery.
    pub fn record_refusal(&self, platform: &PlatformId, status: u16, reason: &str, at: Timestamp) {
        let refusal = Refusal { platform: platform.to_string(), status, reason: reason.to_owned(), at };
        self.update(|observed| observed.refusal = Some(refusal));
    }

    /// Records a delivery with a valid signature.
    pub fn record_delivery(&self, platform: &PlatformId, event: &str, at: Timestamp) {
        let event: String = event.chars().filter(char::is_ascii_graphic).take(MAX_EVENT_CHARS).collect();
        self.update(|observed| observed.delivery = Some((platform.to_string(), event, at)));
    }
}

pub(super) async fn show(
    page: PageRequest,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render(&page, &request, WelcomeView::default(), &state).await;
    page.render(html)
}

/// What the page shows beside the steps.
#[derive(Default)]
struct WelcomeView<'a> {
    /// The webhook's secret.
    secret: Option<&'a Secret>,
    /// The form of the model that was refused, and why.
    refused: Option<(&'a SubmittedForm, String)>,
}

async fn render(
    page: &PageRequest,
    request: &HttpRequest,
    view: WelcomeView<'_>,
    state: &State,
) -> Result<String, ManagementError> {
    page.principal.require_admin()?;
    let (w, management) = (page.translations(), &state.management);
    let filter = IssueFilter { limit: OFFERED_ISSUES, ..IssueFilter::default() };
    let issues = management.issues().list(&page.principal, filter).await?;
    let issues: Vec<IssueRow> = issues.iter().map(|issue| IssueRow::new(issue, None, true)).collect();
    let is_configured = management.platforms().iter().any(Platform::is_configured);
    let model = management.engine().model();
    let mut model_form = model_form(w, management, page);
    if let Some((form, problem)) = view.refused {
        model_form.refuse(problem, |name| form.all(name).map(str::to_owned).collect());
    }
    let observed = state.options.observations.read();
    let welcome = Welcome {
        layout: &page.layout,
        now: management.now(),
        has_admin: management.sessions().has_users().await?,
        model: model.as_ref().map(|model| model.model()),
        model_finding: observed.model,
        platform_findings: &observed.platforms,
        has_credential: is_configured || !management.credentials().list(&page.principal).await?.is_empty(),
        webhooks: &webhooks(request, state),
        has_secret: management.settings().has_webhook_secret(),
        secret: view.secret.map(Secret::expose),
        delivery: last_delivery(observed.delivery, state).await?,
        refusal: observed.refusal,
        model_form,
        is_recorded: model.is_some_and(|model| model.is_recorded()),
        offers_demo: management.demo().is_offered(),
        has_app_registration: management.app_setup().is_some(),
        has_app: management.app_setup().is_some_and(|setup| setup.is_connected()),
        nodes_ask_model: management.options().embedded_slots == 0,
        credential_form: credential_form(w, management),
        repository_form: repository_form(w, management),
        repositories: management.repositories().list(&page.principal).await?.len(),
        issues: &issues,
    };
    Ok(welcome.html())
}

/// The newest delivery, to this server or to one that shares its database.
async fn last_delivery(
    own: Option<(String, String, Timestamp)>,
    state: &State,
) -> Result<Option<Delivery>, ManagementError> {
    let stored = state.management.last_delivery().await?;
    let newest = [own, stored].into_iter().flatten().max_by_key(|(_, _, at)| *at);
    Ok(newest.map(|(platform, event, at)| Delivery { platform, event, at }))
}

/// Returns the URLs for the deliveries of platforms: below the public URL, or else below the one of this request.
fn webhooks(request: &HttpRequest, state: &State) -> Vec<Webhook> {
    let base = server_url(request, state);
    let platforms = state.management.platforms().iter().filter(|platform| platform.credentials.is_some());
    platforms
        .map(|platform| Webhook { platform: platform.name, url: format!("{base}/api/{}/webhook", platform.id) })
        .collect()
}

/// The address of this server without a trailing slash: the public one, or else the one of this request.
fn server_url(request: &HttpRequest, state: &State) -> String {
    let url = state.management.options().public_url.clone().unwrap_or_else(|| {
        let host = header_of(request, "host").unwrap_or(&state.options.bind_address);
        format!("http://{host}")
    });
    url.trim_end_matches('/').to_owned()
}

pub(super) async fn check_model(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = match page.principal.require_admin() {
        Ok(()) => {
            let finding = state.options.diagnostics.check_model().await;
            let result = first_error(std::slice::from_ref(&finding), page.translations().done);
            state.options.observations.update(|observed| observed.model = Some(finding));
            result
        }
        Err(error) => Err(error),
    };
    page.respond(result, "/welcome")
}

pub(super) async fn check_platforms(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let result = match page.principal.require_admin() {
        Ok(()) => {
            let findings = state.options.diagnostics.check_platforms().await;
            let result = first_error(&findings, page.translations().done);
            state.options.observations.update(|observed| observed.platforms = findings);
            result
        }
        Err(error) => Err(error),
    };
    page.respond(result, "/welcome")
}

/// Returns the message of findings: the first error, if there is one.
fn first_error<'a>(findings: &[Finding], success: &'a str) -> Result<&'a str, ManagementError> {
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(error) => Err(ManagementError::Upstream(error.detail.clone())),
        None => Ok(success),
    }
}

/// Shows the webhook secret, and records the viewer in the audit log.
pub(super) async fn show_secret(
    Submission { page, .. }: Submission,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let secret = state.management.settings().reveal_webhook_secret(&page.principal).await;
    show_once(page, &request, secret, &state).await
}

/// Generates the webhook secret, stores it and shows it.
pub(super) async fn new_secret(
    Submission { page, .. }: Submission,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let secret = state.management.settings().generate_webhook_secret(&page.principal).await;
    show_once(page, &request, secret, &state).await
}

async fn show_once(
    page: PageRequest,
    request: &HttpRequest,
    secret: Result<Secret, ManagementError>,
    state: &State,
) -> Result<HttpResponse, PageError> {
    let page = page.at("/welcome");
    match secret {
        Ok(secret) => {
            let view = WelcomeView { secret: Some(&secret), ..WelcomeView::default() };
            let html = render(&page, request, view, state).await;
            page.render(html)
        }
        Err(error) => Err(page.error(error)),
    }
}

/// The form that connects a model. The key is not shown; left empty, it stays.
fn model_form(w: &'static Translations, management: &Management, page: &PageRequest) -> Form {
    let settings = management.settings().list(&page.principal).unwrap_or_default();
    let present = |name: &str| {
        let found = settings.iter().find(|setting| setting.name == name && !setting.is_secret);
        found.map(|setting| setting.value.clone()).into_iter().collect::<Vec<_>>()
    };
    let field = |field: Field, name: &str| Field { values: present(name), ..field };
    Form {
        title: w.set_model,
        action: "/welcome/model/set".to_owned(),
        fields: vec![
            field(Field::text("base_url", w.model_address, "https://api.openai.com/v1"), "LLM_BASE_URL"),
            field(Field::text("model", w.model_name, ""), "LLM_MODEL"),
            Field::text("api_key", w.model_key, "").of(Input::Secret).optional(),
        ],
        submit: w.save_and_ask,
        problem: None,
    }
}

/// Stores the model, puts it into effect, and sends it a test prompt.
pub(super) async fn set_model(
    Submission { page, form }: Submission,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let page = page.at("/welcome");
    let value = |field: &str| form.text(field).map(Secret::new);
    let mut changes = vec![("LLM_BASE_URL".to_owned(), value("base_url")), ("LLM_MODEL".to_owned(), value("model"))];
    changes.extend(value("api_key").map(|key| ("LLM_API_KEY".to_owned(), Some(key))));
    if let Err(error) = state.management.settings().change(&page.principal, changes).await {
        if !matches!(error, ManagementError::Invalid { .. } | ManagementError::Conflict { .. }) {
            return Err(page.error(error));
        }
        let refused = Some((&form, detail_of(&error, page.translations())));
        let html = render(&page, &request, WelcomeView { refused, ..WelcomeView::default() }, &state).await;
        return page.refuse(error, html);
    }
    let finding = state.options.diagnostics.check_model().await;
    state.options.observations.update(|observed| observed.model = Some(finding));
    let done = page.translations().done;
    page.respond(Ok(done), "/welcome")
}

/// Creates the demo repository, and goes to its issue.
pub(super) async fn open_demo(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    match state.management.demo().open(&page.principal).await {
        Ok(issue) => Ok(redirect(&format!("/issues/{}", issue.id)).finish()),
        Err(error) => Err(page.error(error)),
    }
}

/// The path that the forge sends the browser back to.
const APP_DONE: &str = "/welcome/app/done";
/// The cookie that binds the forge's answer to the browser that began the registration.
const NONCE_COOKIE: &str = "patchwright_app_registration";
/// How long a registration may take, in seconds. GitHub's codes are valid as long.
const NONCE_SECONDS: u32 = 3600;

fn nonce_cookie(nonce: &str, uses_tls: bool, seconds: u32) -> HeaderValue {
    let secure = if uses_tls { "; Secure" } else { "" };
    let cookie =
        format!("{NONCE_COOKIE}={nonce}; HttpOnly; SameSite=Lax{secure}; Path=/welcome/app; Max-Age={seconds}");
    HeaderValue::try_from(cookie).expect("a generated secret is printable")
}

fn app_setup(management: &Management) -> Result<AppSetup<'_>, ManagementError> {
    management.app_setup().ok_or_else(|| ManagementError::NotFound("no forge here has applications".to_owned()))
}

#[derive(Deserialize)]
pub(super) struct AppQuery {
    #[serde(default)]
    organization: String,
}

/// Shows the form that registers an application on a forge.
pub(super) async fn propose_app(
    page: PageRequest,
    request: HttpRequest,
    query: web::Query<AppQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let proposal = AppProposal {
        organization: Some(query.organization.trim().to_owned()).filter(|name| !name.is_empty()),
        server_url: server_url(&request, &state),
        return_path: APP_DONE.to_owned(),
    };
    match app_setup(&state.management).and_then(|setup| setup.form(&page.principal, &proposal)) {
        Ok((form, nonce)) => {
            let html = AppFormPage { layout: &page.layout, form: &form, has_webhook: proposal.has_webhook() }.html();
            let mut response = html_response_to_forge(html, &form.action);
            let cookie = nonce_cookie(nonce.expose(), proposal.server_url.starts_with("https://"), NONCE_SECONDS);
            response.headers_mut().insert(SET_COOKIE, cookie);
            Ok(response)
        }
        Err(error) => Err(page.error(error)),
    }
}

#[derive(Deserialize)]
pub(super) struct AppAnswer {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

/// Finishes the registration of an application: the forge has sent the browser back.
pub(super) async fn finish_app(
    page: PageRequest,
    request: HttpRequest,
    query: web::Query<AppAnswer>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let nonce = request.cookie(NONCE_COOKIE);
    let nonce = nonce.as_ref().map(Cookie::value);
    let answer = (query.code.as_str(), query.state.as_str());
    let finished = match app_setup(&state.management) {
        Ok(setup) => setup.finish(&page.principal, nonce, answer).await,
        Err(error) => Err(error),
    };
    match finished {
        Ok(install_url) => {
            let html = AppDonePage { layout: &page.layout, install_url: &install_url }.html();
            let mut response = html_response(StatusCode::OK, html);
            response.headers_mut().insert(SET_COOKIE, nonce_cookie("", false, 0));
            Ok(response)
        }
        Err(error) => Err(page.error(error)),
    }
}

/// Removes the keys of the application that was registered here.
pub(super) async fn disconnect_app(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let removed = match app_setup(&state.management) {
        Ok(setup) => setup.disconnect(&page.principal).await,
        Err(error) => Err(error),
    };
    let done = page.translations().done;
    page.respond(removed.map(|()| done), "/welcome")
}
