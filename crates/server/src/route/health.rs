//! Whether the server lives, and whether it can work.

use actix_web::{HttpResponse, Responder, web};
use patchwright_core::query::Queries as _;
use patchwright_core::store::Store as _;
use serde::Serialize;

use super::State;
use super::answer::unavailable;

/// The name of `seeds/002 §4`.
const SERVICE: &str = "agent-gateway";

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
}

pub(super) async fn health() -> impl Responder {
    HttpResponse::Ok().json(Health { status: "healthy", service: SERVICE })
}

#[derive(Serialize)]
struct Status {
    service: &'static str,
    #[serde(rename = "status")]
    state: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    model_configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue>,
}

#[derive(Serialize)]
struct Queue {
    queued: u64,
    running: u64,
    effects: u64,
    events: u64,
}

pub(super) async fn status(state: web::Data<State>) -> impl Responder {
    let depth = state.app.store.queue_depth().await.ok();
    HttpResponse::Ok().json(Status {
        service: SERVICE,
        state: "running",
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.started.elapsed().as_secs(),
        model_configured: state.app.engine.has_model(),
        queue: depth.map(|d| Queue { queued: d.queued, running: d.running, effects: d.effects, events: d.events }),
    })
}

pub(super) async fn live() -> impl Responder {
    HttpResponse::Ok().json(Health { status: "alive", service: SERVICE })
}

pub(super) async fn ready(state: web::Data<State>) -> impl Responder {
    if state.stopping.is_cancelled() {
        return unavailable("shutting down");
    }
    if state.app.store.ping().await.is_err() {
        return unavailable("the database does not answer");
    }
    match state.app.store.is_migrated().await {
        Ok(true) => HttpResponse::Ok().json(Health { status: "ready", service: SERVICE }),
        Ok(false) => unavailable("the database's schema is not up to date; run `patchwright migrate`"),
        Err(_) => unavailable("the database does not answer"),
    }
}
