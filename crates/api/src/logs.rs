//! Task logs: read in parts, or streamed as server-sent events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_core::CancellationToken;
use patchwright_core::task_log::TaskLogs;
use patchwright_domain::{TaskId, TaskStatus};
use patchwright_management::Management;
use patchwright_protocol::logs::LogRange;

use crate::State;
use crate::error::ApiError;
use crate::events::event_stream;
use crate::extract::{Caller, header};
use crate::tasks::find;

/// About how many bytes of a log one response has.
const MAX_PART_BYTES: u64 = 1 << 20;
/// How often a stream reads new output.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often a silent stream sends a comment.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long one stream lasts. Its viewer reconnects then, and is authorised again.
const STREAM_LIFETIME: Duration = Duration::from_secs(600);

#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task"), LogRange),
    responses((status = 200, content_type = "text/plain; charset=utf-8", description = "About a megabyte of the log; the header X-Next is the offset of the next part, X-End the length of the log"),
        (status = 400, description = "Invalid offset"), (status = 404, description = "No such task")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    id: web::Path<String>,
    range: web::Query<LogRange>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = find(&principal, &id, &state).await?;
    let part = state.management.logs().read_log(task.id, range.from.unwrap_or(0), MAX_PART_BYTES).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("x-next", part.next.to_string()))
        .insert_header(("x-end", part.end.to_string()))
        .body(part.text))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs/stream", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, content_type = "text/event-stream", description = "`log` events with the output, then `end`. `Last-Event-ID` resumes."),
        (status = 404, description = "No such task")))]
pub(crate) async fn stream(
    request: HttpRequest,
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = find(&principal, &id, &state).await?.id;
    let from = header(&request, "last-event-id").and_then(|value| value.parse().ok()).unwrap_or(0);
    let now = Instant::now();
    let follower = LogFollower {
        management: state.management.clone(),
        logs: Arc::clone(state.management.logs()),
        task,
        from,
        until: now + STREAM_LIFETIME,
        last_sent: now,
        has_ended: false,
        stopping: state.stopping.clone(),
    };
    Ok(event_stream(futures_util::stream::unfold(follower, LogFollower::next)))
}

struct LogFollower {
    management: Management,
    logs: Arc<dyn TaskLogs>,
    task: TaskId,
    from: u64,
    until: Instant,
    last_sent: Instant,
    has_ended: bool,
    stopping: CancellationToken,
}

impl LogFollower {
    async fn next(mut self) -> Option<(Result<Bytes, actix_web::Error>, Self)> {
        loop {
            if self.has_ended || Instant::now() > self.until {
                return None;
            }
            // Read before the log, so that the last output is not missed.
            let task = self.management.tasks().find(self.task).await.ok()?;
            let has_ended = matches!(task.status, TaskStatus::Success | TaskStatus::Failed);
            let part = self.logs.read_log(self.task, self.from, MAX_PART_BYTES).await.ok()?;
            if !part.text.is_empty() {
                self.from = part.next;
                self.last_sent = Instant::now();
                return Some((Ok(frame(part.next, &part.text)), self));
            }
            if has_ended {
                self.has_ended = true;
                let end = format!("event: end\ndata: {}\n\n", task.status.as_str());
                return Some((Ok(Bytes::from(end)), self));
            }
            if self.last_sent.elapsed() > PING_INTERVAL {
                self.last_sent = Instant::now();
                return Some((Ok(Bytes::from_static(b": ping\n\n")), self));
            }
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = self.stopping.cancelled() => return None,
            }
        }
    }
}

/// Lines as one event: each line of text is a line of data.
fn frame(next: u64, text: &str) -> Bytes {
    let mut out = format!("id: {next}\nevent: log\n");
    // A lone carriage return ends a line of an event stream too; progress bars write them.
    for line in text.trim_end_matches('\n').split(['\n', '\r']) {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_cannot_break_out_of_its_event() {
        let frame = frame(9, "a\n\nevent: end\rdata: x\n");
        assert_eq!(
            frame,
            Bytes::from_static(b"id: 9\nevent: log\ndata: a\ndata: \ndata: event: end\ndata: data: x\n\n")
        );
    }
}
