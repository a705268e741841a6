//! Changes of jobs as server-sent events, which a client resumes after a break.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_core::CancellationToken;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::{JobId, JobSummary};
use patchwright_engine::runtime::{JobChange, MAX_CHANGES_PER_READ};
use patchwright_management::{Management, Principal};
use patchwright_protocol::events::JobChanged;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::State;
use crate::error::ApiError;
use crate::extract::{Caller, header, parse_id};

/// How often a silent stream sends a comment, so that no proxy closes it.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Sent to a viewer who fell behind.
const RESET: &[u8] = b"event: reset\ndata: {}\n\n";
/// How long one stream lasts. Its viewer reconnects then, and is authorised again.
const STREAM_LIFETIME: Duration = Duration::from_secs(600);

#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses((status = 200, content_type = "text/event-stream", description = "One `job` event for each change; `reset` when the viewer fell behind and should read the lists again. `Last-Event-ID` resumes.")))]
pub(crate) async fn all(
    request: HttpRequest,
    Caller(principal): Caller,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    // Subscribed before the database is read, so that no change is missed between the two.
    let changes = state.changes.subscribe();
    let since = header(&request, "last-event-id").and_then(|value| value.parse().ok());
    let (missed, is_full) = match since {
        Some(since) => state.management.jobs().list_changed(&principal, since, MAX_CHANGES_PER_READ).await?,
        None => (Vec::new(), false),
    };
    let first: Vec<JobChange> = missed.into_iter().map(JobChange::new).collect();
    let viewer = Viewer { principal, management: state.management.clone() };
    Ok(event_stream(frames(ChangeFollower::new((&first, is_full), changes, None, viewer, state.stopping.clone()))))
}

#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "events",
    params(("id" = uuid::Uuid, Path, description = "The job")),
    responses((status = 200, content_type = "text/event-stream", description = "The current state of the job, and then its changes"),
        (status = 404, description = "No such job")))]
pub(crate) async fn of_job(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let changes = state.changes.subscribe();
    let job = state.management.jobs().get(&principal, parse_id(&id, "job")?).await?;
    let (only, first) = (Some(job.id), vec![JobChange::new((&job).into())]);
    let viewer = Viewer { principal, management: state.management.clone() };
    Ok(event_stream(frames(ChangeFollower::new((&first, false), changes, only, viewer, state.stopping.clone()))))
}

/// Returns a response of server-sent events, which no proxy should buffer.
pub(crate) fn event_stream(
    frames: impl futures_util::Stream<Item = Result<Bytes, actix_web::Error>> + 'static,
) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(frames)
}

fn frames(follower: ChangeFollower) -> impl futures_util::Stream<Item = Result<Bytes, actix_web::Error>> {
    futures_util::stream::unfold(follower, |mut follower| async {
        let frame = follower.next().await?;
        Some((Ok(frame), follower))
    })
}

/// The data of an event: the fields of a list. The whole job needs a further request.
fn event_data(job: &JobSummary) -> JobChanged {
    JobChanged {
        job_id: job.id.to_string(),
        issue_id: job.issue_id.to_string(),
        repository: job.source.repo.to_string(),
        issue_number: job.source.shown_number(),
        issue_key: job.source.key().map(str::to_owned),
        status: job.status().as_str().to_owned(),
        stage: job.next_stage().filter(|_| !job.status().is_terminal()).map(StageKind::as_str).map(str::to_owned),
        stages: job.stages.iter().map(|stage| stage.status.as_str().to_owned()).collect(),
        verdict: job.verdict.map(Verdict::as_str).map(str::to_owned),
        pull_request: job.published.pull_request.as_ref().map(|pull_request| pull_request.url.clone()),
        tokens: job.usage().tokens(),
        updated_at: job.updated_at.to_string(),
    }
}

/// The JSON text of an event's data.
pub(crate) fn event_json(change: &JobChange) -> &str {
    change.text(|job| serde_json::to_string(&event_data(job)).expect("an event is only text and numbers"))
}

fn frame(change: &JobChange) -> Bytes {
    Bytes::from(format!("id: {}\nevent: job\ndata: {}\n\n", change.at, event_json(change)))
}

/// The position of one viewer.
struct ChangeFollower {
    /// Frames to send first.
    pending: VecDeque<Bytes>,
    changes: Receiver<JobChange>,
    /// The job that is followed; all without one.
    only: Option<JobId>,
    /// Changes that were read from the database and may arrive again from the feed.
    sent: Vec<(JobId, i64)>,
    until: Instant,
    viewer: Viewer,
    stopping: CancellationToken,
}

/// The user who reads a stream.
pub(crate) struct Viewer {
    pub(crate) principal: Principal,
    pub(crate) management: Management,
}

impl Viewer {
    /// Returns whether the viewer sees the job of a change. What cannot be found out now is not shown.
    pub(crate) async fn sees(&self, change: &JobChange) -> bool {
        self.management.jobs().sees(&self.principal, &change.job).await.unwrap_or(false)
    }
}

impl ChangeFollower {
    fn new(
        (first, is_full): (&[JobChange], bool),
        changes: Receiver<JobChange>,
        only: Option<JobId>,
        viewer: Viewer,
        stopping: CancellationToken,
    ) -> Self {
        let mut pending = VecDeque::new();
        if is_full {
            pending.push_back(Bytes::from_static(RESET));
        }
        pending.extend(first.iter().map(frame));
        let sent = first.iter().map(|change| (change.job.id, change.at)).collect();
        Self { pending, changes, only, sent, until: Instant::now() + STREAM_LIFETIME, viewer, stopping }
    }

    /// Returns the next frame; `None` when the stream's time is over or the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.pending.pop_front() {
            return Some(frame);
        }
        let ping = tokio::time::sleep(PING_INTERVAL);
        tokio::pin!(ping);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                () = &mut ping => return Some(Bytes::from_static(b": ping\n\n")),
                change = self.changes.recv() => match change {
                    Ok(change) => {
                        if self.is_wanted(&change) && self.viewer.sees(&change).await {
                            return Some(frame(&change));
                        }
                    }
                    Err(RecvError::Lagged(_)) => return Some(Bytes::from_static(RESET)),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    fn is_wanted(&self, change: &JobChange) -> bool {
        self.only.is_none_or(|only| only == change.job.id) && !self.sent.contains(&(change.job.id, change.at))
    }
}
