//! The pages. They ask the same functions as the API does; nothing is decided here but how it looks.

mod board;
mod form;
mod issues;
mod jobs;
mod login;
mod settings;
mod statistics;
mod visit;
mod welcome;

pub(crate) use welcome::Seen;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder as _, web};
use patchwright_dashboard::assets;

use super::health;
use crate::auth;

/// What pages may load and where they may send something: only this server, and nothing that stands in the page itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Registers the pages and what they need.
pub(super) fn register(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/").route(web::get().to(home)))
        .service(web::resource("/assets/{hash}/{name}").route(web::get().to(asset)))
        .service(web::resource("/login").route(web::get().to(login::show)).route(web::post().to(login::log_in)))
        .service(web::resource("/setup").route(web::post().to(login::set_up)))
        .service(web::resource("/logout").route(web::post().to(login::log_out)))
        .service(web::resource("/preferences").route(web::post().to(visit::set_preferences)))
        .service(web::resource("/issues").route(web::get().to(issues::list)).route(web::post().to(issues::open)))
        .service(web::resource("/issues/new").route(web::get().to(issues::draft)))
        .service(web::resource("/issues/import").route(web::post().to(issues::import)))
        .service(web::resource("/issues/start-batch").route(web::post().to(issues::start_batch)))
        .service(web::resource("/issues/{id}").route(web::get().to(issues::show)))
        .service(web::resource("/issues/{id}/start").route(web::post().to(issues::start)))
        .service(web::resource("/issues/{id}/cancel").route(web::post().to(issues::cancel)))
        .service(web::resource("/issues/{id}/merge").route(web::post().to(issues::merge)))
        .service(web::resource("/issues/{id}/conversation").route(web::get().to(issues::conversation)))
        .service(web::resource("/board").route(web::get().to(board::show)))
        .service(web::resource("/nodes/{id}/drain").route(web::post().to(board::drain)))
        .service(web::resource("/statistics").route(web::get().to(statistics::show)))
        .service(web::resource("/statistics.csv").route(web::get().to(statistics::csv)))
        .configure(of_jobs)
        .configure(of_settings);
}

fn of_jobs(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/jobs/{id}").route(web::get().to(jobs::show)))
        .service(web::resource("/jobs/{id}/approve").route(web::post().to(jobs::approve)))
        .service(web::resource("/jobs/{id}/retry").route(web::post().to(jobs::retry)))
        .service(web::resource("/jobs/{id}/cancel").route(web::post().to(jobs::cancel)))
        .service(web::resource("/jobs/{id}/patch").route(web::get().to(jobs::patch)))
        .service(web::resource("/jobs/{id}/object").route(web::get().to(jobs::object)))
        .service(web::resource("/tasks/{id}/calls/{number}").route(web::get().to(jobs::call)))
        .service(web::resource("/tasks/{id}/log.txt").route(web::get().to(jobs::log)));
}

fn of_settings(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/welcome").route(web::get().to(welcome::show)))
        .service(web::resource("/welcome/model").route(web::post().to(welcome::ask_model)))
        .service(web::resource("/welcome/forge").route(web::post().to(welcome::ask_forges)))
        .service(web::resource("/welcome/secret").route(web::post().to(welcome::secret)))
        .service(web::resource("/settings").route(web::get().to(settings::first)))
        .service(web::resource("/settings/configuration/check").route(web::post().to(settings::check)))
        .service(web::resource("/settings/{section}").route(web::get().to(settings::show)))
        .service(web::resource("/settings/{section}/add").route(web::post().to(settings::add)))
        .service(web::resource("/settings/{section}/{id}/{verb}").route(web::post().to(settings::act)));
}

/// People are led to the issues; programs are told that the server lives (`seeds/002 §4`).
async fn home(request: HttpRequest) -> HttpResponse {
    if auth::header(&request, "accept").is_some_and(|accepts| accepts.contains("text/html")) {
        return see("/issues").finish();
    }
    health::health().await.respond_to(&request).map_into_boxed_body()
}

async fn asset(request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let (hash, name) = path.into_inner();
    let Some(asset) = assets::find(&hash, &name) else { return HttpResponse::NotFound().finish() };
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, asset.media_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::VARY, "accept-encoding"));
    if auth::header(&request, "accept-encoding").is_some_and(takes_gzip) {
        return answer.insert_header((header::CONTENT_ENCODING, "gzip")).body(asset.packed.as_slice());
    }
    answer.body(asset.bytes)
}

/// Whether a browser takes gzip; one that names it with `q=0` does not.
fn takes_gzip(accepts: &str) -> bool {
    let mut names = accepts.split(',').map(|entry| entry.split(';').map(str::trim));
    names.any(|mut entry| entry.next() == Some("gzip") && !entry.any(|weight| matches!(weight, "q=0" | "q=0.0")))
}

/// A page.
fn page(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::html())
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .body(html)
}

/// Leads the browser to another page of ours.
fn see(path: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((header::LOCATION, path)).insert_header((header::CACHE_CONTROL, "no-store"));
    answer
}
