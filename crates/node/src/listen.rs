//! Where a node that is pushed to listens (`seeds/001`, "Node端要求").

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use patchwright_domain::TaskId;

use crate::node::{Node, NodeError, NotTaken};
use crate::protocol::PROTOCOL;
use crate::signature::{Gate, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::wire::{Accepted, ProcessIssue, TaskOffer};

/// The largest body: an issue's text is far shorter.
const MAX_BODY: usize = 4 << 20;

struct Listener {
    node: Arc<Node>,
    gate: Gate,
}

/// Begins to listen.
pub(crate) fn start(node: &Arc<Node>, address: &str) -> Result<ServerHandle, NodeError> {
    let failed = |source| NodeError::Listen { address: address.to_owned(), source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    let shown = listener.local_addr().map_err(failed)?;
    let gate = Gate::new(node.identity.dispatch_key.clone());
    let door = web::Data::new(Listener { node: Arc::clone(node), gate });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(door.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .route("/health", web::get().to(health))
            .route("/process-issue", web::post().to(process_issue))
            .route("/tasks/{id}/cancel", web::post().to(cancel))
            .route("/tasks/{id}/logs", web::get().to(logs))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .map_err(failed)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    tracing::info!(address = %shown, "the node listens for tasks");
    Ok(handle)
}

fn answer(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).json(Accepted { status: text.to_owned() })
}

/// The answer to what the server did not send.
fn refused(door: &Listener, request: &HttpRequest, body: &[u8]) -> Option<HttpResponse> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let headers = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
    let admitted = door.gate.admit(headers, request.path(), body, door.node.now());
    admitted.err().map(|why| answer(StatusCode::UNAUTHORIZED, why))
}

async fn health(door: web::Data<Listener>) -> HttpResponse {
    let (health, capacity) = door.node.health();
    HttpResponse::Ok().json(serde_json::json!({
        "status": "healthy",
        "capacity": capacity,
        "running": door.node.running_tasks(),
        "load": health.load,
        "disk_free": health.disk_free,
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": PROTOCOL.to_string(),
    }))
}

async fn process_issue(request: HttpRequest, body: web::Bytes, door: web::Data<Listener>) -> HttpResponse {
    if let Some(refused) = refused(&door, &request, &body) {
        return refused;
    }
    let sent: ProcessIssue = match serde_json::from_slice(&body) {
        Ok(sent) => sent,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    // The rest of what was sent is for nodes of another make: ours asks the server for it, each thing when it is needed.
    let offer = TaskOffer { lease: sent.lease, issue_id: sent.issue_id };
    match door.node.take(offer).await {
        Ok(()) => answer(StatusCode::ACCEPTED, "accepted"),
        Err(NotTaken::Running) => answer(StatusCode::CONFLICT, "running"),
        Err(NotTaken::Full) => answer(StatusCode::TOO_MANY_REQUESTS, "this node runs as many tasks as it can"),
        Err(NotTaken::Stopping) => answer(StatusCode::TOO_MANY_REQUESTS, "this node is stopping"),
        Err(NotTaken::NoDisk) => answer(StatusCode::INSUFFICIENT_STORAGE, "there is no room on this node's disk"),
    }
}

async fn cancel(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    door: web::Data<Listener>,
) -> HttpResponse {
    if let Some(refused) = refused(&door, &request, &body) {
        return refused;
    }
    match id.parse::<TaskId>() {
        Ok(task) if door.node.cancel(task) => answer(StatusCode::ACCEPTED, "stopping"),
        _ => answer(StatusCode::NOT_FOUND, "no such task runs here"),
    }
}

async fn logs(request: HttpRequest, id: web::Path<String>, door: web::Data<Listener>) -> HttpResponse {
    if let Some(refused) = refused(&door, &request, b"") {
        return refused;
    }
    match id.parse::<TaskId>().ok().and_then(|task| door.node.recent_output(task)) {
        Some(text) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text),
        None => answer(StatusCode::NOT_FOUND, "no such task runs here"),
    }
}
