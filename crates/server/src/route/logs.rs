//! What tasks said while they ran.

use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_core::CancellationToken;
use patchwright_core::query::Queries as _;
use patchwright_core::task_log::TaskLogs as _;
use patchwright_domain::{TaskId, TaskStatus};
use patchwright_store_diesel::DieselStore;
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::error::ApiError;
use super::events::event_stream;
use crate::auth::Caller;

/// How much of a log one answer holds, in bytes, about.
const MOST: u64 = 1 << 20;
/// How often a stream looks for more.
const LOOK: Duration = Duration::from_secs(1);
/// How often a silent stream says that it is there.
const PING: Duration = Duration::from_secs(15);
/// How long one stream lasts. Its viewer then asks again from where they were, and whether they may is asked too.
const LIFETIME: Duration = Duration::from_secs(600);

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// Where to begin, in bytes.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    from: Option<u64>,
}

pub(super) async fn find(id: &str, state: &State) -> Result<TaskId, ApiError> {
    let id: TaskId = id.parse().map_err(|_| ApiError::NotFound("task"))?;
    state.app.store.task(id).await?.map(|task| task.id).ok_or(ApiError::NotFound("task"))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task"), Range),
    responses((status = 200, content_type = "text/plain; charset=utf-8", description = "About a megabyte of the log; the header X-Next says where the next part begins, X-End how long the log is"),
        (status = 400, description = "The place is no number"), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such task")))]
pub(crate) async fn show(
    _: Caller,
    id: web::Path<String>,
    range: web::Query<Range>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = find(&id, &state).await?;
    let part = state.app.store.read_log(id, range.from.unwrap_or(0), MOST).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("x-next", part.next.to_string()))
        .insert_header(("x-end", part.end.to_string()))
        // Whatever a program wrote, no browser is to take it for a page.
        .insert_header(("x-content-type-options", "nosniff"))
        .body(part.text))
}

#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs/stream", tag = "tasks",
    params(("id" = uuid::Uuid, Path, description = "The task")),
    responses((status = 200, content_type = "text/event-stream", description = "`log` events as lines come, with the place behind them as id; `end` when the task has ended. `Last-Event-ID` resumes."),
        (status = 401, description = "Nobody asks"), (status = 404, description = "There is no such task")))]
pub(crate) async fn stream(
    request: HttpRequest,
    _: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let task = find(&id, &state).await?;
    let header = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let from = header.and_then(|value| value.parse().ok()).unwrap_or(0);
    let now = Instant::now();
    let reader = Reader {
        store: state.app.store.clone(),
        task,
        from,
        until: now + LIFETIME,
        said: now,
        over: false,
        stopping: state.stopping.clone(),
    };
    Ok(event_stream(futures_util::stream::unfold(reader, Reader::next)))
}

struct Reader {
    store: DieselStore,
    task: TaskId,
    from: u64,
    until: Instant,
    said: Instant,
    over: bool,
    stopping: CancellationToken,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, actix_web::Error>, Self)> {
        loop {
            if self.over || Instant::now() > self.until {
                return None;
            }
            // Before the log is read: what is written last is not missed.
            let task = self.store.task(self.task).await.ok()??;
            let ended = matches!(task.status, TaskStatus::Success | TaskStatus::Failed);
            let part = self.store.read_log(self.task, self.from, MOST).await.ok()?;
            if !part.text.is_empty() {
                self.from = part.next;
                self.said = Instant::now();
                return Some((Ok(frame(part.next, &part.text)), self));
            }
            if ended {
                self.over = true;
                let end = format!("event: end\ndata: {}\n\n", task.status.as_str());
                return Some((Ok(Bytes::from(end)), self));
            }
            if self.said.elapsed() > PING {
                self.said = Instant::now();
                return Some((Ok(Bytes::from_static(b": still there\n\n")), self));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
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
