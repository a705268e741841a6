//! The first steps: from nothing to the first job.

use std::sync::Mutex;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use patchwright_core::credentials::Credentials as _;
use patchwright_core::query::{IssueFilter, Queries as _};
use patchwright_core::repositories::Repositories as _;
use patchwright_core::{Clock as _, Secret};
use patchwright_dashboard::page::{Delivery, Finding, IssueRow, Page as _, Subject, Verdict, Webhook, Welcome};

use super::form::Posted;
use super::settings::{credential_form, repository_form};
use super::visit::{NotShown, Visit};
use crate::audit::note;
use crate::auth::{has_people, header};
use crate::doctor;
use crate::route::State;
use crate::route::error::ApiError;
use patchwright_engine::clock::SystemClock;

/// How many issues are offered.
const ISSUES: u16 = 5;

/// What was seen since the server started.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Sights>);

#[derive(Debug, Clone, Default)]
struct Sights {
    model: Option<Finding>,
    forges: Vec<Finding>,
    /// The newest delivery whose signature was right, also one that asks for nothing.
    delivery: Option<(String, String, Timestamp)>,
}

impl Seen {
    fn sights(&self) -> Sights {
        self.0.lock().expect("no holder of this lock can panic").clone()
    }

    fn note(&self, change: impl FnOnce(&mut Sights)) {
        change(&mut self.0.lock().expect("no holder of this lock can panic"));
    }

    /// Notes a delivery whose signature was right.
    pub(crate) fn note_delivery(&self, platform: &str, event: &str) {
        let event: String = event.chars().filter(char::is_ascii_graphic).take(60).collect();
        let seen = (platform.to_owned(), event, SystemClock.now());
        self.note(|sights| sights.delivery = Some(seen));
    }
}

pub(super) async fn show(
    visit: Visit,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let html = shown(&visit, &request, None, &state).await;
    visit.shown(html)
}

async fn shown(
    visit: &Visit,
    request: &HttpRequest,
    secret: Option<&Secret>,
    state: &State,
) -> Result<String, ApiError> {
    visit.caller.need_admin()?;
    let words = visit.words();
    let filter = IssueFilter { limit: ISSUES, ..IssueFilter::default() };
    let issues = state.app.store.issues(filter).await?;
    let issues: Vec<IssueRow> = issues.iter().map(|issue| IssueRow::new(issue, true)).collect();
    let github = state.config.github.token.is_some() || state.config.github.app_id.is_some();
    let configured = github || state.config.gitcode.token.is_some();
    let sights = state.seen.sights();
    let page = Welcome {
        frame: &visit.frame,
        now: SystemClock.now(),
        has_admin: has_people(state).await?,
        model: state.app.engine.model().map(|model| model.model()),
        model_found: sights.model,
        forges_found: &sights.forges,
        has_credential: configured || !state.app.vault.credentials().await?.is_empty(),
        webhooks: &webhooks(request, state),
        has_secret: !state.config.webhook_secrets.is_empty(),
        secret: secret.map(Secret::expose),
        delivery: last_delivery(sights.delivery, state).await?,
        credential_form: credential_form(words),
        repository_form: repository_form(words),
        repositories: state.app.store.repositories().await?.len(),
        issues: &issues,
    };
    Ok(page.html())
}

/// The newest delivery, of this server or of one that shares its database.
async fn last_delivery(own: Option<(String, String, Timestamp)>, state: &State) -> Result<Option<Delivery>, ApiError> {
    let kept = state.app.store.last_delivery().await?;
    let newest = [own, kept].into_iter().flatten().max_by_key(|(_, _, at)| *at);
    Ok(newest.map(|(platform, event, at)| Delivery { platform, event, at }))
}

/// Where forges are to send: the public address, or else the one that this page was asked for at.
fn webhooks(request: &HttpRequest, state: &State) -> [Webhook; 2] {
    let base = state.config.public_url.clone().unwrap_or_else(|| {
        let host = header(request, "host").unwrap_or(&state.config.bind);
        format!("http://{host}")
    });
    let base = base.trim_end_matches('/');
    [("GitHub", "github"), ("GitCode", "gitcode")]
        .map(|(platform, code)| Webhook { platform, url: format!("{base}/api/{code}/webhook") })
}

pub(super) async fn ask_model(Posted { visit, .. }: Posted, state: web::Data<State>) -> Result<HttpResponse, NotShown> {
    let done = match visit.caller.need_admin() {
        Ok(()) => {
            let finding = doctor::model(&state.app).await;
            let done = told(std::slice::from_ref(&finding), visit.words().done);
            state.seen.note(|sights| sights.model = Some(finding));
            done
        }
        Err(error) => Err(error),
    };
    visit.done(done, "/welcome")
}

pub(super) async fn ask_forges(
    Posted { visit, .. }: Posted,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let done = match visit.caller.need_admin() {
        Ok(()) => {
            let (github, gitcode) = tokio::join!(
                doctor::forge(&state.app, &state.config, Subject::GitHub),
                doctor::forge(&state.app, &state.config, Subject::GitCode)
            );
            let findings: Vec<Finding> = [github, gitcode].into_iter().flatten().collect();
            let done = told(&findings, visit.words().done);
            state.seen.note(|sights| sights.forges = findings);
            done
        }
        Err(error) => Err(error),
    };
    visit.done(done, "/welcome")
}

/// What is said of findings: the first bad one.
fn told<'a>(findings: &[Finding], well: &'a str) -> Result<&'a str, ApiError> {
    match findings.iter().find(|finding| finding.verdict == Verdict::Bad) {
        Some(bad) => Err(ApiError::Upstream(bad.said.clone())),
        None => Ok(well),
    }
}

/// Shows the secret that deliveries are signed with, once, and notes who saw it.
pub(super) async fn secret(
    Posted { visit, .. }: Posted,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let visit = visit.at("/welcome");
    let html = secret_shown(&visit, &request, &state).await;
    visit.shown(html)
}

async fn secret_shown(visit: &Visit, request: &HttpRequest, state: &State) -> Result<String, ApiError> {
    visit.caller.need_admin()?;
    let secret = state.config.webhook_secrets.first().ok_or(ApiError::NotFound("secret"))?;
    note(state, &visit.caller.login, "webhook_secret.shown", "WEBHOOK_SECRET", "").await?;
    shown(visit, request, Some(secret), state).await
}
