//! How the server sends tasks to a node that listens.

use std::sync::Arc;
use std::time::Duration;

use patchwright_core::Clock;
use patchwright_domain::TaskId;
use patchwright_http::{HttpClient, HttpError, Request, Retry};

use crate::signature::{DispatchKey, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::wire::ProcessIssue;

/// What a node said to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushAnswer {
    /// It has it, now or since before.
    Taken,
    /// It has no room: no slot or no disk.
    Full,
    /// It does not know us: the key is another one, or the clocks are far apart.
    Denied,
    /// It does not understand.
    Refused(u16),
}

/// Sends tasks to nodes.
#[derive(Clone)]
pub struct PushClient {
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for PushClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushClient")
    }
}

impl PushClient {
    /// One that uses this client.
    pub const fn new(http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// Sends a task.
    ///
    /// # Errors
    /// [`HttpError`] when the node cannot be reached.
    pub async fn send(&self, url: &str, key: &DispatchKey, task: &ProcessIssue) -> Result<PushAnswer, HttpError> {
        let body = serde_json::to_vec(task).expect("a task is only text and numbers");
        let status = self.signed(url, key, "/process-issue".to_owned(), body).await?;
        Ok(match status {
            200..=299 | 409 => PushAnswer::Taken,
            429 | 507 => PushAnswer::Full,
            401 | 403 => PushAnswer::Denied,
            status => PushAnswer::Refused(status),
        })
    }

    /// Tells a node to stop a task; `false` when it does not run there.
    ///
    /// # Errors
    /// [`HttpError`] when the node cannot be reached.
    pub async fn cancel(&self, url: &str, key: &DispatchKey, task: TaskId) -> Result<bool, HttpError> {
        let status = self.signed(url, key, format!("/tasks/{task}/cancel"), Vec::new()).await?;
        Ok((200..300).contains(&status))
    }

    async fn signed(&self, url: &str, key: &DispatchKey, path: String, body: Vec<u8>) -> Result<u16, HttpError> {
        let now = self.clock.now();
        let request = Request::post(format!("{}{path}", url.trim_end_matches('/')))
            .header(TIMESTAMP_HEADER, now.as_second().to_string())
            .header(SIGNATURE_HEADER, key.sign(now, &path, &body))
            .header("content-type", "application/json")
            .body(body);
        let answer = tokio::time::timeout(PATIENCE, self.http.send(request, Retry::Never)).await;
        answer.unwrap_or(Err(HttpError::TimedOut)).map(|answer| answer.status)
    }
}

/// How long a node may take to say whether it takes a task.
const PATIENCE: Duration = Duration::from_secs(15);
