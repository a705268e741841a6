//! The HTTP endpoint of a node in push mode (`docs/requirements.md#r144`).

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use patchwright_domain::TaskId;

use crate::convert;
use crate::node::{Node, NodeError, Rejected};
use crate::signature::{SIGNATURE_HEADER, SignatureVerifier, TIMESTAMP_HEADER};
use patchwright_protocol::NODE_PROTOCOL;
use patchwright_protocol::node::{Accepted, ProcessIssue};

/// The largest body, in bytes: an issue's text is far shorter.
const MAX_BODY: usize = 4 << 20;

struct Listener {
    node: Arc<Node>,
    verifier: SignatureVerifier,
}

/// Starts the server.
pub(crate) fn start(node: &Arc<Node>, address: &str) -> Result<ServerHandle, NodeError> {
    let failed = |source| NodeError::Listen { address: address.to_owned(), source };
    let socket = std::net::TcpListener::bind(address).map_err(failed)?;
    let shown = socket.local_addr().map_err(failed)?;
    let verifier = SignatureVerifier::new(node.identity.dispatch_key.clone());
    let listener = web::Data::new(Listener { node: Arc::clone(node), verifier });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(listener.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .route("/health", web::get().to(health))
            .route("/process-issue", web::post().to(process_issue))
            .route("/tasks/{id}/cancel", web::post().to(cancel))
            .route("/tasks/{id}/logs", web::get().to(logs))
    })
    .workers(1)
    .disable_signals()
    .listen(socket)
    .map_err(failed)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    tracing::info!(address = %shown, "listening for tasks");
    Ok(handle)
}

fn answer(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).json(Accepted { status: text.to_owned() })
}

/// Returns the response to a request that the server did not sign.
fn refused(listener: &Listener, request: &HttpRequest, body: &[u8]) -> Option<HttpResponse> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let headers = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
    let admitted = listener.verifier.verify_request(headers, request.path(), body, listener.node.now());
    admitted.err().map(|why| answer(StatusCode::UNAUTHORIZED, why))
}

async fn health(listener: web::Data<Listener>) -> HttpResponse {
    let (health, capacity) = listener.node.health();
    HttpResponse::Ok().json(serde_json::json!({
        "status": "healthy",
        "capacity": capacity,
        "running": listener.node.running_tasks(),
        "load": health.load,
        "disk_free": health.disk_free,
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": NODE_PROTOCOL.to_string(),
    }))
}

async fn process_issue(request: HttpRequest, body: web::Bytes, listener: web::Data<Listener>) -> HttpResponse {
    if let Some(refused) = refused(&listener, &request, &body) {
        return refused;
    }
    let sent: ProcessIssue = match serde_json::from_slice(&body) {
        Ok(sent) => sent,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    // The other fields are for third-party nodes: this node requests them from the server when it needs them.
    let (lease, issue_id) = (convert::lease_of(&sent), sent.issue_id);
    match listener.node.take(lease, issue_id).await {
        Ok(()) => answer(StatusCode::ACCEPTED, "accepted"),
        Err(Rejected::Running) => answer(StatusCode::CONFLICT, "running"),
        Err(Rejected::Full) => answer(StatusCode::TOO_MANY_REQUESTS, "this node has no free slot"),
        Err(Rejected::Stopping) => answer(StatusCode::TOO_MANY_REQUESTS, "this node is stopping"),
        Err(Rejected::NoDisk) => answer(StatusCode::INSUFFICIENT_STORAGE, "this node has no free disk space"),
    }
}

async fn cancel(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    listener: web::Data<Listener>,
) -> HttpResponse {
    if let Some(refused) = refused(&listener, &request, &body) {
        return refused;
    }
    match id.parse::<TaskId>() {
        Ok(task) if listener.node.cancel(task) => answer(StatusCode::ACCEPTED, "stopping"),
        _ => answer(StatusCode::NOT_FOUND, "no such task runs here"),
    }
}

async fn logs(request: HttpRequest, id: web::Path<String>, listener: web::Data<Listener>) -> HttpResponse {
    if let Some(refused) = refused(&listener, &request, b"") {
        return refused;
    }
    match id.parse::<TaskId>().ok().and_then(|task| listener.node.recent_output(task)) {
        Some(text) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text),
        None => answer(StatusCode::NOT_FOUND, "no such task runs here"),
    }
}
