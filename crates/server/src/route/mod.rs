//! The routes: bytes or DTO → engine call → DTO.

mod again;
pub(crate) mod answer;
mod audit;
mod auth;
mod body;
mod calls;
mod credentials;
mod dashboard;
mod draft;
pub(crate) mod error;
mod events;
mod health;
mod issues;
pub(crate) mod jira;
mod jobs;
mod logs;
mod node_protocol;
mod nodes;
mod notifications;
mod oidc;
mod openapi;
mod page;
mod repositories;
mod socket;
mod stats;
mod tasks;
mod users;
mod wait;
mod webhook;
mod words;

pub(crate) use dashboard::Seen;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use actix_web::web;

use crate::auth::oidc::Provider;
use crate::auth::throttle::Throttle;
use crate::compose::App;
use crate::config::Config;
use crate::door::Door;
use crate::feed::Feed;
use crate::route::error::ApiError;

/// What every route can reach.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) app: App,
    pub(crate) config: Config,
    /// How much comes in at once.
    pub(crate) door: Door,
    /// Whether only this machine can reach the server.
    pub(crate) loopback: bool,
    pub(crate) started: Instant,
    /// What changes, for those who watch.
    pub(crate) feed: Feed,
    /// How often passwords were guessed.
    pub(crate) throttle: Throttle,
    /// Where people may log in, too.
    pub(crate) oidc: Option<Provider>,
    /// What was seen of the surroundings, for the first steps.
    pub(crate) seen: dashboard::Seen,
    /// The hash of the token that makes the first administrator.
    pub(crate) setup: Option<String>,
    /// Whether anybody was added; once true it stays so.
    pub(crate) has_people: AtomicBool,
    pub(crate) stopping: patchwright_core::CancellationToken,
}

/// Registers all routes.
pub(crate) fn register(services: &mut web::ServiceConfig, state: Arc<State>) {
    let limit = state.config.door.max_body_bytes;
    services
        .app_data(web::Data::from(state))
        .app_data(web::PayloadConfig::new(limit))
        .configure(dashboard::register)
        .service(web::resource("/health").route(web::get().to(health::health)))
        .service(web::resource("/livez").route(web::get().to(health::live)))
        .service(web::resource("/readyz").route(web::get().to(health::ready)))
        .service(web::resource("/api/status").route(web::get().to(health::status)))
        .service(web::resource("/api/webhook").route(web::post().to(webhook::any)))
        .service(web::resource("/api/github/webhook").route(web::post().to(webhook::github)))
        .service(web::resource("/api/gitcode/webhook").route(web::post().to(webhook::gitcode)))
        .service(web::resource("/api/jira/webhook").route(web::post().to(jira::webhook::receive)))
        .service(web::resource("/api/v1/jira/events").route(web::post().to(jira::webhook::receive)))
        .service(web::resource("/api/local/webhook").route(web::post().to(webhook::local)))
        .configure(management)
        .default_service(web::to(answer::not_found));
}

/// Everything under `/api/v1`. What cannot be read is answered as the rest is.
fn management(services: &mut web::ServiceConfig) {
    let unreadable = |code| move |error: String| -> actix_web::Error { ApiError::bad(code, error).into() };
    let (query, path) = (unreadable("bad_query"), unreadable("bad_path"));
    services
        .app_data(web::QueryConfig::default().error_handler(move |error, _| query(error.to_string())))
        .app_data(web::PathConfig::default().error_handler(move |error, _| path(error.to_string())))
        .route("/api/openapi.json", web::get().to(openapi::document))
        .route("/api/docs", web::get().to(openapi::to_pages))
        .service(openapi::pages())
        .service(
            web::scope("/api/v1")
                .wrap(actix_web::middleware::from_fn(again::middleware))
                .configure(people)
                .configure(work)
                .configure(live)
                .configure(settings)
                .configure(jira_sites)
                .configure(nodes_and_their_tasks)
                .default_service(web::to(answer::no_such_route)),
        );
}

fn people(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/auth/login").route(web::post().to(auth::login)))
        .service(web::resource("/auth/logout").route(web::post().to(auth::logout)))
        .service(web::resource("/auth/setup").route(web::post().to(auth::setup)))
        .service(web::resource("/auth/oidc/start").route(web::get().to(oidc::start)))
        .service(web::resource("/auth/oidc/callback").route(web::get().to(oidc::callback)))
        .service(web::resource("/me").route(web::get().to(auth::me)))
        .service(web::resource("/users").route(web::get().to(users::list)).route(web::post().to(users::add)))
        .service(web::resource("/users/{id}").route(web::get().to(users::show)).route(web::patch().to(users::change)))
        .service(web::resource("/tokens").route(web::get().to(users::tokens)).route(web::post().to(users::add_token)))
        .service(web::resource("/tokens/{id}").route(web::delete().to(users::end_token)))
        .service(web::resource("/audit").route(web::get().to(audit::list)));
}

fn work(services: &mut web::ServiceConfig) {
    services
        .service(
            web::resource("/repositories")
                .route(web::get().to(repositories::list))
                .route(web::post().to(repositories::add)),
        )
        .service(
            web::resource("/repositories/{id}")
                .route(web::get().to(repositories::show))
                .route(web::delete().to(repositories::remove)),
        )
        .service(web::resource("/repositories/{id}/sync").route(web::post().to(repositories::sync)))
        .service(web::resource("/issues").route(web::get().to(issues::list)).route(web::post().to(issues::open)))
        .service(web::resource("/issues/start-batch").route(web::post().to(issues::start_batch)))
        .service(
            web::resource("/issues/{id}").route(web::get().to(issues::show)).route(web::patch().to(issues::change)),
        )
        .service(web::resource("/issues/{id}/start").route(web::post().to(issues::start)))
        .service(web::resource("/issues/{id}/cancel").route(web::post().to(issues::cancel)))
        .service(web::resource("/issues/{id}/merge").route(web::post().to(issues::merge)))
        .service(web::resource("/tasks").route(web::get().to(tasks::list)))
        .service(web::resource("/tasks/{id}").route(web::get().to(tasks::show)))
        .service(web::resource("/jobs").route(web::get().to(jobs::list)))
        .service(web::resource("/jobs/{id}").route(web::get().to(jobs::show)))
        .service(web::resource("/jobs/{id}/retry").route(web::post().to(jobs::retry)))
        .service(web::resource("/jobs/{id}/calls").route(web::get().to(calls::list)))
        .service(web::resource("/jobs/{id}/approve").route(web::post().to(jobs::approve)))
        .service(web::resource("/jobs/{id}/cancel").route(web::post().to(jobs::cancel)))
        .service(web::resource("/stats").route(web::get().to(stats::show)));
}

fn live(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/events").route(web::get().to(events::all)))
        .service(web::resource("/jobs/{id}/events").route(web::get().to(events::of_job)))
        .service(web::resource("/tasks/{id}/logs/stream").route(web::get().to(logs::stream)))
        .service(web::resource("/ws").route(web::get().to(socket::connect)));
}

fn settings(services: &mut web::ServiceConfig) {
    services
        .service(
            web::resource("/credentials")
                .route(web::get().to(credentials::list))
                .route(web::post().to(credentials::add)),
        )
        .service(
            web::resource("/credentials/{id}")
                .route(web::get().to(credentials::show))
                .route(web::patch().to(credentials::change))
                .route(web::delete().to(credentials::remove)),
        )
        .service(
            web::resource("/notifications")
                .route(web::get().to(notifications::list))
                .route(web::post().to(notifications::add)),
        )
        .service(web::resource("/notifications/failed").route(web::get().to(notifications::failed)))
        .service(
            web::resource("/notifications/{id}")
                .route(web::get().to(notifications::show))
                .route(web::patch().to(notifications::change))
                .route(web::delete().to(notifications::remove)),
        )
        .service(web::resource("/notifications/{id}/test").route(web::post().to(notifications::trial)));
}

fn jira_sites(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/jira/status").route(web::get().to(jira::links::status)))
        .service(web::resource("/jira/link").route(web::get().to(jira::links::start)))
        .service(web::resource("/jira/callback").route(web::get().to(jira::links::callback)))
        .service(web::resource("/jira/links").route(web::get().to(jira::links::list)))
        .service(web::resource("/jira/links/{id}").route(web::delete().to(jira::links::unlink)))
        .service(web::resource("/jira/conversations").route(web::get().to(jira::workspaces::conversations)))
        .service(web::resource("/jira/failed").route(web::get().to(jira::workspaces::failed)))
        .service(
            web::resource("/jira/workspaces")
                .route(web::get().to(jira::workspaces::list))
                .route(web::post().to(jira::workspaces::add)),
        )
        .service(
            web::resource("/jira/workspaces/{id}")
                .route(web::get().to(jira::workspaces::show))
                .route(web::patch().to(jira::workspaces::change)),
        )
        .service(web::resource("/jira/workspaces/{id}/validate").route(web::get().to(jira::workspaces::validate)))
        .service(web::resource("/jira/workspaces/{id}/projects").route(web::get().to(jira::workspaces::projects)))
        .service(
            web::resource("/jira/workspaces/{id}/projects/{key}")
                .route(web::post().to(jira::workspaces::set_project))
                .route(web::delete().to(jira::workspaces::remove_project)),
        );
}

fn nodes_and_their_tasks(services: &mut web::ServiceConfig) {
    services
        .service(web::resource("/nodes").route(web::get().to(nodes::list)).route(web::post().to(nodes::add)))
        .service(web::resource("/nodes/register").route(web::post().to(node_protocol::register)))
        .service(
            web::resource("/nodes/{id}")
                .route(web::get().to(nodes::show))
                .route(web::patch().to(nodes::change))
                .route(web::delete().to(nodes::remove)),
        )
        .service(web::resource("/nodes/{id}/drain").route(web::post().to(nodes::drain)))
        .service(web::resource("/nodes/{id}/heartbeat").route(web::post().to(node_protocol::heartbeat)))
        .service(web::resource("/nodes/{id}/lease").route(web::post().to(node_protocol::lease)))
        .service(
            web::resource("/tasks/{id}/logs")
                .route(web::get().to(logs::show))
                .route(web::post().to(node_protocol::add_log)),
        )
        .service(web::resource("/tasks/{id}/calls").route(web::post().to(node_protocol::record_call)))
        .service(web::resource("/tasks/{id}/calls/{number}").route(web::get().to(calls::show)))
        .service(web::resource("/issues/{id}/report-branch").route(web::post().to(node_protocol::report_branch)))
        .service(web::resource("/tasks/{id}/begin").route(web::post().to(node_protocol::begin)))
        .service(web::resource("/tasks/{id}/progress").route(web::post().to(node_protocol::progress)))
        .service(web::resource("/tasks/{id}/credential").route(web::post().to(node_protocol::credential)))
        .service(web::resource("/tasks/{id}/reserve").route(web::post().to(node_protocol::reserve)))
        .service(web::resource("/tasks/{id}/settle").route(web::post().to(node_protocol::settle)));
}
