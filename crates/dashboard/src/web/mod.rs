//! The pages' handlers on actix-web: a request → calls of the application layer → a page.

mod board;
mod filters;
mod form;
mod issues;
mod job_list;
mod jobs;
mod login;
mod page_request;
mod settings;
mod statistics;
mod welcome;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, AcceptEncoding, ContentType, Encoding, Header as _};
use actix_web::web::{ServiceConfig, get, post, resource};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use patchwright_management::{Diagnostics, Management};

pub use self::welcome::SetupObservations;
use crate::assets;

/// The content security policy: resources and forms of this server only, and nothing inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The response that programs get from `GET /`, byte for byte as from `GET /health`.
const HEALTH: &str = r#"{"status":"healthy","service":"agent-gateway"}"#;

/// The data of the pages beyond the application layer.
pub struct DashboardOptions {
    /// The address that this server listens on: the fallback for a missing public address.
    pub bind_address: String,
    /// The checks that the settings offer.
    pub diagnostics: Arc<dyn Diagnostics>,
    /// Observations since the start; the API reports deliveries to it.
    pub observations: Arc<SetupObservations>,
}

impl std::fmt::Debug for DashboardOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DashboardOptions").field("bind_address", &self.bind_address).finish_non_exhaustive()
    }
}

/// The pages of one server. Cheap to clone.
#[derive(Clone)]
pub struct Dashboard(Arc<State>);

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dashboard")
    }
}

/// The shared state of all handlers.
struct State {
    management: Management,
    options: DashboardOptions,
}

impl Dashboard {
    /// Creates the pages over the application layer.
    pub fn new(management: Management, options: DashboardOptions) -> Self {
        Self(Arc::new(State { management, options }))
    }
}

/// Registers the pages and their assets. `GET /` redirects browsers to the issues and answers programs with the health.
pub fn routes(dashboard: &Dashboard) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let state = web::Data::from(dashboard.0.clone());
    move |services| {
        services
            .app_data(state)
            .service(resource("/").route(get().to(home)))
            .service(resource("/assets/{hash}/{name}").route(get().to(asset)))
            .service(resource("/login").route(get().to(login::show)).route(post().to(login::log_in)))
            .service(resource("/setup").route(post().to(login::set_up)))
            .service(resource("/account/password").route(post().to(login::change_password)))
            .service(resource("/account/sessions/end-others").route(post().to(login::end_other_sessions)))
            .service(resource("/preferences/filters").route(post().to(filters::save)))
            .service(resource("/preferences/filters/remove").route(post().to(filters::remove)))
            .service(resource("/logout").route(post().to(login::log_out)))
            .service(resource("/preferences").route(post().to(page_request::set_preferences)))
            .service(resource("/board").route(get().to(board::show)))
            .service(resource("/nodes/{id}/drain").route(post().to(board::drain)))
            .service(resource("/statistics").route(get().to(statistics::show)))
            .service(resource("/statistics.csv").route(get().to(statistics::csv)))
            .configure(issue_routes)
            .configure(job_routes)
            .configure(settings_routes);
    }
}

fn issue_routes(services: &mut ServiceConfig) {
    services
        .service(resource("/issues").route(get().to(issues::list)).route(post().to(issues::open)))
        .service(resource("/issues/new").route(get().to(issues::draft)))
        .service(resource("/issues/import").route(post().to(issues::import)))
        .service(resource("/issues/start-batch").route(post().to(issues::start_batch)))
        .service(resource("/issues/{id}").route(get().to(issues::show)))
        .service(resource("/issues/{id}/start").route(post().to(issues::start)))
        .service(resource("/issues/{id}/cancel").route(post().to(issues::cancel)))
        .service(resource("/issues/{id}/ready").route(post().to(issues::mark_ready)))
        .service(resource("/issues/{id}/merge").route(post().to(issues::merge)))
        .service(resource("/issues/{id}/conversation").route(get().to(issues::conversation)));
}

fn job_routes(services: &mut ServiceConfig) {
    services
        .service(resource("/jobs").route(get().to(job_list::list)))
        .service(resource("/jobs/{id}").route(get().to(jobs::show)))
        .service(resource("/jobs/{id}/plan").route(post().to(jobs::revise_plan)))
        .service(resource("/jobs/{id}/approve").route(post().to(jobs::approve)))
        .service(resource("/jobs/{id}/retry").route(post().to(jobs::retry)))
        .service(resource("/jobs/{id}/cancel").route(post().to(jobs::cancel)))
        .service(resource("/jobs/{id}/patch").route(get().to(jobs::patch)))
        .service(resource("/jobs/{id}/object").route(get().to(jobs::object)))
        .service(resource("/tasks/{id}/calls/{number}").route(get().to(jobs::call)))
        .service(resource("/tasks/{id}/log.txt").route(get().to(jobs::log)));
}

fn settings_routes(services: &mut ServiceConfig) {
    services
        .service(resource("/welcome").route(get().to(welcome::show)))
        .service(resource("/welcome/model/set").route(post().to(welcome::set_model)))
        .service(resource("/welcome/demo").route(post().to(welcome::open_demo)))
        .service(resource("/welcome/app").route(get().to(welcome::propose_app)))
        .service(resource("/welcome/app/disconnect").route(post().to(welcome::disconnect_app)))
        .service(resource("/welcome/app/done").route(get().to(welcome::finish_app)))
        .service(resource("/welcome/secret/new").route(post().to(welcome::new_secret)))
        .service(resource("/welcome/model").route(post().to(welcome::check_model)))
        .service(resource("/welcome/forge").route(post().to(welcome::check_platforms)))
        .service(resource("/welcome/secret").route(post().to(welcome::show_secret)))
        .service(resource("/settings").route(get().to(settings::redirect_to_first)))
        .service(resource("/settings/configuration/check").route(post().to(settings::check)))
        .service(resource("/settings/configuration/{name}/{action}").route(post().to(settings::change)))
        .service(resource("/settings/{section}").route(get().to(settings::show)))
        .service(resource("/settings/{section}/add").route(post().to(settings::add)))
        .service(resource("/settings/{section}/{id}/{action}").route(post().to(settings::act)));
}

fn header_of<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Returns the page for an unknown address, if a browser asks for a page.
pub fn unknown_address(request: &HttpRequest) -> Option<HttpResponse> {
    let wants_page = header_of(request, "accept").is_some_and(|accepts| accepts.contains("text/html"));
    let is_page = wants_page && !request.path().starts_with("/api/");
    is_page.then(|| page_request::unknown_page(request))
}

/// Redirects browsers to the issues; answers programs with the health (`docs/requirements.md#gateway`).
async fn home(request: HttpRequest) -> HttpResponse {
    if header_of(&request, "accept").is_some_and(|accepts| accepts.contains("text/html")) {
        return redirect("/issues").finish();
    }
    HttpResponse::Ok().content_type(ContentType::json()).body(HEALTH)
}

async fn asset(request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let (hash, name) = path.into_inner();
    let Some(asset) = assets::find(&hash, &name) else { return HttpResponse::NotFound().finish() };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, asset.media_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::VARY, "accept-encoding"));
    let offered = [Encoding::gzip(), Encoding::identity()];
    let accepted = AcceptEncoding::parse(&request);
    if accepted.is_ok_and(|accepted| accepted.negotiate(offered.iter()) == Some(Encoding::gzip())) {
        return response.insert_header((header::CONTENT_ENCODING, "gzip")).body(asset.packed.as_slice());
    }
    response.body(asset.bytes)
}

fn html_response(status: StatusCode, html: String) -> HttpResponse {
    html_response_with(status, html, CONTENT_SECURITY_POLICY)
}

/// Returns a page whose form is sent to the address of a forge.
fn html_response_to_forge(html: String, action: &str) -> HttpResponse {
    let origin = url::Url::parse(action).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"));
    html_response_with(StatusCode::OK, html, &policy)
}

fn html_response_with(status: StatusCode, html: String, policy: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::html())
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .body(html)
}

/// Redirects the browser to another page of this server.
fn redirect(path: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, path)).insert_header((header::CACHE_CONTROL, "no-store"));
    response
}
