//! The first steps: from an empty server to the first job.

use std::sync::Mutex;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::query::IssueFilter;
use patchwright_domain::PlatformId;
use patchwright_management::{Finding, ManagementError, Severity};

use super::form::Submission;
use super::page_request::{PageError, PageRequest};
use super::settings::{credential_form, repository_form};
use super::{State, header_of};
use crate::page::{Delivery, IssueRow, Page as _, Refusal, Webhook, Welcome};

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
    let html = render(&page, &request, None, &state).await;
    page.render(html)
}

async fn render(
    page: &PageRequest,
    request: &HttpRequest,
    secret: Option<&Secret>,
    state: &State,
) -> Result<String, ManagementError> {
    page.principal.require_admin()?;
    let (w, management) = (page.translations(), &state.management);
    let filter = IssueFilter { limit: OFFERED_ISSUES, ..IssueFilter::default() };
    let issues = management.issues().list(&page.principal, filter).await?;
    let issues: Vec<IssueRow> = issues.iter().map(|issue| IssueRow::new(issue, true)).collect();
    let is_configured = management.platforms().iter().any(|platform| platform.is_configured);
    let observed = state.options.observations.read();
    let welcome = Welcome {
        layout: &page.layout,
        now: management.now(),
        has_admin: management.sessions().has_users().await?,
        model: management.engine().model().map(|model| model.model()),
        model_finding: observed.model,
        platform_findings: &observed.platforms,
        has_credential: is_configured || !management.credentials().list(&page.principal).await?.is_empty(),
        webhooks: &webhooks(request, state),
        has_secret: state.options.webhook_secret.is_some(),
        secret: secret.map(Secret::expose),
        delivery: last_delivery(observed.delivery, state).await?,
        refusal: observed.refusal,
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
    let base = state.management.options().public_url.clone().unwrap_or_else(|| {
        let host = header_of(request, "host").unwrap_or(&state.options.bind_address);
        format!("http://{host}")
    });
    let base = base.trim_end_matches('/');
    let platforms = state.management.platforms().iter().filter(|platform| platform.credentials.is_some());
    platforms
        .map(|platform| Webhook { platform: platform.name, url: format!("{base}/api/{}/webhook", platform.id) })
        .collect()
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
    let page = page.at("/welcome");
    let html = render_secret(&page, &request, &state).await;
    page.render(html)
}

async fn render_secret(page: &PageRequest, request: &HttpRequest, state: &State) -> Result<String, ManagementError> {
    let secret = state.options.webhook_secret.as_ref().ok_or_else(|| ManagementError::not_found("secret"))?;
    state.management.audit().record_secret_shown(&page.principal, "WEBHOOK_SECRET").await?;
    render(page, request, Some(secret), state).await
}
