//! The same events over a WebSocket, for those who cannot read server-sent events.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, MessageStream, Session};
use futures_util::StreamExt as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval, sleep_until};

use super::State;
use super::error::ApiError;
use crate::auth::{Caller, same_origin};

/// How often is looked whether the viewer is still there.
const PING: Duration = Duration::from_secs(15);
/// How long one connection lasts. Its viewer then connects anew, and whether they still may is asked too.
const LIFETIME: Duration = Duration::from_secs(600);
/// A viewer says nothing but pongs.
const MAX_MESSAGE: usize = 1024;

#[utoipa::path(get, path = "/api/v1/ws", tag = "events",
    responses((status = 101, description = "One text message for each change, as `GET /events` has them: `{\"event\":\"job\",\"data\":…}`; `{\"event\":\"reset\"}` when the viewer fell behind and should read the lists again"),
        (status = 400, description = "It is no WebSocket handshake"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "A page of another site asks")))]
pub(crate) async fn connect(
    request: HttpRequest,
    _: Caller,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    // Browsers send cookies along from anywhere, and no rule of theirs stops a WebSocket.
    same_origin(&request)?;
    let (answer, session, messages) =
        actix_ws::handle(&request, body).map_err(|error| ApiError::bad("no_websocket", error.to_string()))?;
    actix_web::rt::spawn(serve(session, messages.max_frame_size(MAX_MESSAGE), state));
    Ok(answer)
}

async fn serve(mut session: Session, messages: MessageStream, state: web::Data<State>) {
    let mut changes = state.feed.subscribe();
    let mut messages = messages.aggregate_continuations().max_continuation_size(MAX_MESSAGE);
    let (mut ping, until) = (interval(PING), Instant::now() + LIFETIME);
    let mut heard = true;
    let code = loop {
        let sent = tokio::select! {
            () = state.stopping.cancelled() => break CloseCode::Restart,
            () = sleep_until(until) => break CloseCode::Again,
            // Who has not answered the last ping is gone.
            _ = ping.tick() => {
                if !std::mem::replace(&mut heard, false) {
                    break CloseCode::Away;
                }
                session.ping(b"").await
            }
            message = messages.next() => match message {
                Some(Ok(AggregatedMessage::Ping(bytes))) => session.pong(&bytes).await,
                Some(Ok(AggregatedMessage::Pong(_))) => {
                    heard = true;
                    Ok(())
                }
                Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Binary(_))) => Ok(()),
                Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => break CloseCode::Normal,
            },
            change = changes.recv() => match change {
                Ok(event) => session.text(event.message).await,
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
