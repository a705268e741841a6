//! Server-sent events: what changes, as it changes, and after a break from where the viewer was.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_core::CancellationToken;
use patchwright_core::query::Queries as _;
use patchwright_domain::JobId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::State;
use super::error::ApiError;
use crate::auth::Caller;
use crate::feed::{JobChanged, MOST};

/// How often a silent stream says that it is there, so that nothing between takes it for dead.
const PING: Duration = Duration::from_secs(15);

/// Told to a viewer who fell behind.
const RESET: &[u8] = b"event: reset\ndata: {}\n\n";

/// How long one stream lasts. Its viewer then asks again, from where they were, and whether they still may is asked too.
const LIFETIME: Duration = Duration::from_secs(600);

/// Which job a viewer wants to see; all without one.
type Only = Option<JobId>;

#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses((status = 200, content_type = "text/event-stream", description = "One `job` event for each change; `reset` when the viewer fell behind and should read the lists again. `Last-Event-ID` resumes."),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn all(request: HttpRequest, _: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    stream(&request, &state, None, Vec::new()).await
}

#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "events",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, content_type = "text/event-stream", description = "The job as it stands, and then as it changes"),
        (status = 401, description = "Nobody asks"), (status = 404, description = "There is no such job")))]
pub(crate) async fn of_job(
    request: HttpRequest,
    _: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let job = super::jobs::find(&id, &state).await?;
    stream(&request, &state, Some(job.id), vec![JobChanged::new(&job)]).await
}

async fn stream(
    request: &HttpRequest,
    state: &web::Data<State>,
    only: Only,
    mut first: Vec<JobChanged>,
) -> Result<HttpResponse, ApiError> {
    // Listening begins before the look back, so that nothing falls between the two.
    let changes = state.feed.subscribe();
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    if let (Some(last), true) = (last, first.is_empty()) {
        let missed = state.app.store.jobs_changed(last, MOST).await?;
        first = missed.iter().map(JobChanged::new).collect();
    }
    let mut pending = VecDeque::new();
    if first.len() == usize::from(MOST) {
        pending.push_back(Bytes::from_static(RESET));
    }
    pending.extend(first.iter().map(|event| event.frame.clone()));
    let told = first.iter().map(|event| (event.id, event.at)).collect();
    let until = tokio::time::Instant::now() + LIFETIME;
    let watch = Watch { pending, changes, only, told, until, stopping: state.stopping.clone() };
    let live = futures_util::stream::unfold(watch, |mut watch| async {
        let frame = watch.next().await?;
        Some((Ok::<_, actix_web::Error>(frame), watch))
    });
    Ok(event_stream(live))
}

/// An answer of server-sent events, which nothing between is to hold back.
pub(crate) fn event_stream(
    frames: impl futures_util::Stream<Item = Result<Bytes, actix_web::Error>> + 'static,
) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(frames)
}

/// One viewer.
struct Watch {
    /// What goes out first.
    pending: VecDeque<Bytes>,
    changes: Receiver<JobChanged>,
    only: Only,
    /// What went out from the database and may come again from the feed.
    told: Vec<(JobId, i64)>,
    until: tokio::time::Instant,
    stopping: CancellationToken,
}

impl Watch {
    /// The next words for the viewer; `None` when the stream's time is over or the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.pending.pop_front() {
            return Some(frame);
        }
        let ping = tokio::time::sleep(PING);
        tokio::pin!(ping);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                () = &mut ping => return Some(Bytes::from_static(b": still here\n\n")),
                change = self.changes.recv() => match change {
                    Ok(event) if self.only.is_some_and(|only| only != event.id) => {}
                    Ok(event) if self.told.contains(&(event.id, event.at)) => {}
                    Ok(event) => return Some(event.frame),
                    Err(RecvError::Lagged(_)) => return Some(Bytes::from_static(RESET)),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}
