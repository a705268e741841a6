#![doc = include_str!("../README.md")]

mod admission;
mod audit;
mod auth;
mod calls;
mod channels;
mod credentials;
mod docs_pages;
mod error;
mod events;
mod extract;
mod health;
mod idempotency;
mod issues;
mod jira_links;
mod jira_sites;
mod jira_webhook;
mod jobs;
mod limits;
mod logs;
mod node_convert;
mod node_protocol;
mod nodes;
mod oidc;
mod openapi;
mod page;
mod refusals;
mod repositories;
mod response;
mod routes;
mod settings;
mod socket;
mod stats;
mod tasks;
mod users;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse};
use patchwright_core::CancellationToken;
use patchwright_core::database::Database;
use patchwright_core::meter::MeterEvent;
use patchwright_domain::PlatformId;
use patchwright_engine::runtime::{Changes, RunningRuntime};
use patchwright_management::Management;

use self::admission::AdmissionLimiter;
use self::refusals::RefusalLog;

pub use limits::{answer_head, limit_body_time};
pub use openapi::openapi;
pub use response::not_found;
pub use routes::{node_protocol, routes, webhooks};

/// Called with the platform and the event's name for every delivery with a valid signature.
pub type DeliveryObserver = dyn Fn(&PlatformId, &str) + Send + Sync;

/// Called with the platform, the status and the reason for every refused delivery.
pub type RefusalObserver = dyn Fn(&PlatformId, u16, &str) + Send + Sync;

/// Options of the API.
#[derive(Clone)]
pub struct ApiOptions {
    /// The largest body of a webhook delivery, in bytes.
    pub max_body_bytes: usize,
    /// How many deliveries are read and written at the same time.
    pub max_deliveries_in_flight: usize,
    /// How many bytes their bodies may take together.
    pub max_bytes_in_flight: usize,
    /// The platform of deliveries to `/api/webhook` without an event header.
    pub default_platform: PlatformId,
    /// Whether unsigned deliveries are accepted. For tests on a loopback address only.
    pub accept_unsigned: bool,
    /// The database, whose state `/readyz` reports.
    pub database: Option<Arc<dyn Database>>,
    /// The folder that `/readyz` tries to write to, if the server has one.
    pub data_dir: Option<PathBuf>,
    /// Called for every delivery with a valid signature.
    pub on_delivery: Option<Arc<DeliveryObserver>>,
    /// Called for every refused delivery.
    pub on_refusal: Option<Arc<RefusalObserver>>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            max_body_bytes: 25 << 20,
            max_deliveries_in_flight: 512,
            max_bytes_in_flight: 256 << 20,
            default_platform: PlatformId::from_static("github"),
            accept_unsigned: false,
            database: None,
            data_dir: None,
            on_delivery: None,
            on_refusal: None,
        }
    }
}

impl std::fmt::Debug for ApiOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiOptions").field("max_body_bytes", &self.max_body_bytes).finish_non_exhaustive()
    }
}

/// The HTTP API of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api(Arc<State>);

/// The shared state of all handlers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) management: Management,
    pub(crate) changes: Changes,
    pub(crate) stopping: CancellationToken,
    pub(crate) admission: AdmissionLimiter,
    pub(crate) options: ApiOptions,
    pub(crate) started: Instant,
    refusals: RefusalLog,
    /// The time and the result of the last write of a readiness probe.
    pub(crate) last_write_check: tokio::sync::Mutex<Option<(Instant, Option<&'static str>)>>,
}

impl State {
    pub(crate) fn report_refusal(&self, platform: &PlatformId, response: &HttpResponse, request: &HttpRequest) {
        if response.status().is_client_error() {
            let client = extract::client_of(request, &self.management);
            let status = response.status().as_u16();
            self.management.engine().meter().count(&MeterEvent::DeliveryRefused { platform: platform.clone(), status });
            self.refusals.record(platform, response, client.address, self.options.on_refusal.as_deref());
        }
    }
}

impl Api {
    /// Creates the API over the application layer and the running loops.
    pub fn new(management: Management, runtime: &RunningRuntime, options: ApiOptions) -> Self {
        Self(Arc::new(State {
            management,
            changes: runtime.changes().clone(),
            stopping: runtime.stopping().clone(),
            admission: AdmissionLimiter::new(options.max_deliveries_in_flight, options.max_bytes_in_flight),
            options,
            started: Instant::now(),
            refusals: RefusalLog::default(),
            last_write_check: tokio::sync::Mutex::default(),
        }))
    }
}
