//! The same events over a WebSocket, for clients that cannot read server-sent events.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, MessageStream, Session};
use futures_util::StreamExt as _;
use patchwright_engine::runtime::JobChange;
use patchwright_management::check_same_origin;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval, sleep_until};

use crate::State;
use crate::error::ApiError;
use crate::events::{Viewer, event_json};
use crate::extract::{Caller, header};

/// How often the server pings. A client that did not answer the last ping is disconnected.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long one connection lasts. Its viewer reconnects then, and is authorised again.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// A client sends nothing but pongs.
const MAX_MESSAGE_BYTES: usize = 1024;

#[utoipa::path(get, path = "/api/v1/ws", tag = "events",
    responses((status = 101, description = "One text message for each change, as `GET /events` has them: `{\"event\":\"job\",\"data\":…}`; `{\"event\":\"reset\"}` when the viewer fell behind and should read the lists again"),
        (status = 400, description = "Not a WebSocket handshake"),
        (status = 403, description = "Sent by a page of another site")))]
pub(crate) async fn connect(
    request: HttpRequest,
    Caller(principal): Caller,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    // A browser sends cookies along from any page, and its same-origin rules do not cover WebSockets.
    check_same_origin(header(&request, "origin"), header(&request, "host"))?;
    let (response, session, messages) =
        actix_ws::handle(&request, body).map_err(|error| ApiError::invalid("no_websocket", error.to_string()))?;
    let viewer = Viewer { principal, management: state.management.clone() };
    actix_web::rt::spawn(serve(session, messages.max_frame_size(MAX_MESSAGE_BYTES), viewer, state));
    Ok(response)
}

fn message(change: &JobChange) -> String {
    format!(r#"{{"event":"job","id":{},"data":{}}}"#, change.at, event_json(change))
}

async fn serve(mut session: Session, messages: MessageStream, viewer: Viewer, state: web::Data<State>) {
    let mut changes = state.changes.subscribe();
    let mut messages = messages.aggregate_continuations().max_continuation_size(MAX_MESSAGE_BYTES);
    let (mut ping, until) = (interval(PING_INTERVAL), Instant::now() + CONNECTION_LIFETIME);
    let mut has_answered = true;
    let code = loop {
        let sent = tokio::select! {
            () = state.stopping.cancelled() => break CloseCode::Restart,
            () = sleep_until(until) => break CloseCode::Again,
            _ = ping.tick() => {
                if !std::mem::replace(&mut has_answered, false) {
                    break CloseCode::Away;
                }
                session.ping(b"").await
            }
            message = messages.next() => match message {
                Some(Ok(AggregatedMessage::Ping(bytes))) => session.pong(&bytes).await,
                Some(Ok(AggregatedMessage::Pong(_))) => {
                    has_answered = true;
                    Ok(())
                }
                Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Binary(_))) => Ok(()),
                Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => break CloseCode::Normal,
            },
            change = changes.recv() => match change {
                Ok(change) if viewer.sees(&change).await => session.text(message(&change)).await,
                Ok(_) => Ok(()),
                Err(RecvError::Lagged(_)) => session.text(r#"{"event":"reset"}"#).await,
                Err(RecvError::Closed) => break CloseCode::Restart,
            },
        };
        if sent.is_err() {
            return;
        }
    };
    let _ = session.close(Some(CloseReason { code, description: None })).await;
}
