//! Whether the server is alive, and whether it can work.

use actix_web::{HttpResponse, web};
use patchwright_core::store::StoreError;
use serde::Serialize;

use crate::State;
use crate::response::unavailable;

/// The service name that the gateway's contract fixes (`docs/requirements.md#gateway`).
const SERVICE: &str = "agent-gateway";

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
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
    requests: u64,
    queued: u64,
    running: u64,
    effects: u64,
    events: u64,
}

pub(crate) async fn health() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "healthy", service: SERVICE })
}

pub(crate) async fn status(state: web::Data<State>) -> HttpResponse {
    let depth = state.management.queries().queue_depth().await.ok();
    HttpResponse::Ok().json(Status {
        service: SERVICE,
        state: "running",
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.started.elapsed().as_secs(),
        model_configured: state.management.engine().has_model(),
        queue: depth.map(|d| Queue {
            requests: d.requests,
            queued: d.queued,
            running: d.running,
            effects: d.effects,
            events: d.events,
        }),
    })
}

pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "alive", service: SERVICE })
}

pub(crate) async fn ready(state: web::Data<State>) -> HttpResponse {
    if state.stopping.is_cancelled() {
        return unavailable("shutting down");
    }
    let Some(database) = &state.options.database else {
        return HttpResponse::Ok().json(Health { status: "ready", service: SERVICE });
    };
    match database.is_migrated().await {
        Ok(false) => unavailable("the database's schema is not up to date; run `patchwright migrate`"),
        // A newer server may have migrated the database; this one goes on until it is replaced.
        Ok(true) | Err(StoreError::NewerSchema { .. }) => {
            HttpResponse::Ok().json(Health { status: "ready", service: SERVICE })
        }
        Err(_) => unavailable("the database does not answer"),
    }
}
