//! Whether the server is alive, and whether it can work.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use patchwright_core::database::Database;
use patchwright_core::store::StoreError;
use serde::Serialize;

use crate::State;
use crate::response::unavailable;

/// The service name that the gateway's contract fixes (`docs/requirements.md#gateway`).
const SERVICE: &str = "agent-gateway";

/// How long the result of a written readiness probe is used again.
const WRITE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

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
    let depth = state.management.queue_depth().await.ok();
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
        Ok(true) | Err(StoreError::NewerSchema { .. }) => ready_to_write(&state, database.as_ref()).await,
        Err(_) => unavailable("the database does not answer"),
    }
}

/// Writes to the database and to the data folder. Answers are kept for some seconds: whoever asks often must not wear out the
/// disk.
async fn ready_to_write(state: &State, database: &dyn Database) -> HttpResponse {
    let mut last = state.last_write_check.lock().await;
    let problem = match *last {
        Some((at, problem)) if at.elapsed() < WRITE_CHECK_INTERVAL => problem,
        _ => {
            let problem = find_write_problem(state, database).await;
            *last = Some((Instant::now(), problem));
            problem
        }
    };
    match problem {
        Some(problem) => unavailable(problem),
        None => HttpResponse::Ok().json(Health { status: "ready", service: SERVICE }),
    }
}

async fn find_write_problem(state: &State, database: &dyn Database) -> Option<&'static str> {
    if let Err(error) = database.check_writable().await {
        tracing::error!(%error, failure.class = "local", "the database cannot be written");
        return Some("the database cannot be written (full or read-only disk?)");
    }
    let folder = state.options.data_dir.clone()?;
    let written = tokio::task::spawn_blocking(move || {
        let file = folder.join(".write-check");
        std::fs::write(&file, [0_u8; 4096])?;
        std::fs::remove_file(&file)
    });
    match written.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::error!(%error, failure.class = "local", "the data folder cannot be written");
            Some("the data folder cannot be written (full or read-only disk?)")
        }
        Err(_) => Some("the data folder cannot be checked"),
    }
}
