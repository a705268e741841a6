//! The routes: bytes or DTO → engine call → DTO.

mod answer;
mod health;
mod jobs;
mod webhook;

use std::sync::Arc;
use std::time::Instant;

use actix_web::web;

use crate::compose::App;
use crate::config::Config;
use crate::door::Door;

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
    pub(crate) stopping: patchwright_core::CancellationToken,
}

/// Registers all routes.
pub(crate) fn register(services: &mut web::ServiceConfig, state: Arc<State>) {
    let limit = state.config.door.max_body_bytes;
    services
        .app_data(web::Data::from(state))
        .app_data(web::PayloadConfig::new(limit))
        .service(web::resource("/").route(web::get().to(health::health)))
        .service(web::resource("/health").route(web::get().to(health::health)))
        .service(web::resource("/livez").route(web::get().to(health::live)))
        .service(web::resource("/readyz").route(web::get().to(health::ready)))
        .service(web::resource("/api/status").route(web::get().to(health::status)))
        .service(web::resource("/api/webhook").route(web::post().to(webhook::any)))
        .service(web::resource("/api/github/webhook").route(web::post().to(webhook::github)))
        .service(web::resource("/api/gitcode/webhook").route(web::post().to(webhook::gitcode)))
        .service(web::resource("/api/local/webhook").route(web::post().to(webhook::local)))
        .service(web::resource("/api/v1/jobs").route(web::get().to(jobs::list)))
        .service(web::resource("/api/v1/jobs/{id}").route(web::get().to(jobs::show)))
        .service(web::resource("/api/v1/jobs/{id}/retry").route(web::post().to(jobs::retry)))
        .service(web::resource("/api/v1/jobs/{id}/cancel").route(web::post().to(jobs::cancel)))
        .default_service(web::to(answer::not_found));
}
