//! `/metrics` for Prometheus: on an address of its own (`METRICS_BIND`), or on the server's with a token (`METRICS_TOKEN`).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::web::ServiceConfig;
use actix_web::{App as ActixApp, Error, HttpRequest, HttpResponse, HttpServer, web};
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::query::{Queries as _, QueueDepth, QueueLag};
use patchwright_core::store::StoreError;
use patchwright_domain::node::Node;
use patchwright_metrics::{MEDIA_TYPE, NodeCounts, Snapshot, WaitingRepository};

use crate::compose::App;

/// How many repositories are named: those with the longest queues.
const MAX_REPOSITORIES: u16 = 20;
/// The methods that requests are told apart by; a client may send any word.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// What the endpoint reads, and the token that it wants.
struct Endpoint {
    app: App,
    token: Option<Secret>,
}

/// Registers `/metrics` behind a token; without one, nothing.
pub(crate) fn behind_token(app: &web::Data<App>, token: Option<&Secret>, services: &mut ServiceConfig) {
    if let Some(token) = token {
        let endpoint = web::Data::new(Endpoint { app: App::clone(app), token: Some(token.clone()) });
        services.service(web::resource("/metrics").app_data(endpoint).route(web::get().to(scrape)));
    }
}

/// Serves `/metrics`, and nothing else, on an address that is not for everybody.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) fn serve(app: &App, bind: &str) -> std::io::Result<(SocketAddr, ServerHandle)> {
    let listener = TcpListener::bind(bind)?;
    let address = listener.local_addr()?;
    let endpoint = web::Data::new(Endpoint { app: app.clone(), token: None });
    let server = HttpServer::new(move || {
        ActixApp::new().app_data(endpoint.clone()).service(web::resource("/metrics").route(web::get().to(scrape)))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok((address, handle))
}

async fn scrape(request: HttpRequest, endpoint: web::Data<Endpoint>) -> HttpResponse {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if endpoint.token.as_ref().is_some_and(|token| !token.matches(given)) {
        return HttpResponse::Unauthorized().insert_header(("www-authenticate", "Bearer")).finish();
    }
    match snapshot(&endpoint.app).await {
        Ok(present) => HttpResponse::Ok().content_type(MEDIA_TYPE).body(endpoint.app.metrics.render(&present)),
        Err(error) => {
            tracing::warn!(%error, "failed to read the metrics");
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}

/// Reads the present state.
async fn snapshot(app: &App) -> Result<Snapshot, StoreError> {
    let now = app.engine.now();
    let QueueDepth { queued, running, effects, requests, events } = app.store.queue_depth().await?;
    let QueueLag { oldest_effect, repositories } = app.store.queue_lag(now, MAX_REPOSITORIES).await?;
    let since = |at: Timestamp| now.duration_since(at).as_secs().max(0);
    let waiting = repositories.into_iter().map(|waiting| WaitingRepository {
        name: waiting.repository,
        jobs: waiting.jobs,
        oldest_seconds: since(waiting.oldest),
    });
    let nodes =
        app.management.nodes().list().await.map_err(|error| StoreError::Unavailable { source: error.into() })?;
    Ok(Snapshot {
        queued,
        running,
        requests,
        effects,
        events,
        effect_lag_seconds: oldest_effect.map_or(0, since),
        waiting: waiting.collect(),
        nodes: count_nodes(
            nodes
                .iter()
                .filter(|found| found.node.registered_at.is_some())
                .map(|found| (&found.node, u64::from(found.running))),
            now,
        ),
        database_connections: app.store.connections(),
    })
}

fn count_nodes<'a>(nodes: impl Iterator<Item = (&'a Node, u64)>, now: Timestamp) -> NodeCounts {
    nodes.fold(NodeCounts::default(), |mut counts, (node, running)| {
        counts.running += running;
        if node.is_ready(now) {
            counts.ready += 1;
            counts.slots += u64::from(node.capacity);
        } else if node.is_online(now) && node.draining {
            counts.draining += 1;
        } else if node.is_online(now) {
            counts.full += 1;
        } else {
            counts.offline += 1;
        }
        counts
    })
}

/// Measures every request by the route that it matched.
pub(crate) async fn measure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let method = METHODS.into_iter().find(|known| *known == request.method().as_str()).unwrap_or("other");
    let metrics = request.app_data::<web::Data<App>>().map(|app| Arc::clone(&app.metrics));
    let response = next.call(request).await?;
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let seconds = started.elapsed().as_secs_f64();
    if let Some(metrics) = metrics {
        metrics.observe_request(method, &route, response.status().as_u16(), seconds);
    }
    Ok(response)
}
