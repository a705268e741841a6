//! The remote task session, over HTTP. Failed requests are retried: the server may restart, and the connection may be
//! lost, while a task is running.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_core::conversation::Conversation;
use patchwright_core::fault::Fault;
use patchwright_core::forge::GitCredential;
use patchwright_core::model_calls::{ModelCall, Transcript};
use patchwright_core::task_session::{Assignment, Refusal, TaskSession, TaskSessionError};
use patchwright_domain::job::WorkerEvent;
use patchwright_domain::{Job, TaskId, Usage};

use crate::client::{ClientError, ServerClient};
use crate::convert;
use patchwright_protocol::node::{LogChunk, Reserve, SaveConversation, Settle, StartTask, TaskProgress};

/// The first and the longest wait before a retry; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// How much of the end of a log is kept here, in bytes.
const RECENT: usize = 256 * 1024;

/// The session of one task.
pub(crate) struct RemoteTaskSession {
    client: ServerClient,
    task: TaskId,
    /// The number of the last reported event.
    reported: AtomicU64,
    /// The branch that was pushed to the forge.
    branch: Mutex<Option<String>>,
    /// The end of the log.
    recent: Mutex<String>,
}

impl RemoteTaskSession {
    pub(crate) const fn new(client: ServerClient, task: TaskId) -> Self {
        Self { client, task, reported: AtomicU64::new(0), branch: Mutex::new(None), recent: Mutex::new(String::new()) }
    }

    /// Returns the branch that was pushed so far.
    pub(crate) fn branch(&self) -> Option<String> {
        self.branch.lock().expect("no holder of this lock can panic").clone()
    }

    /// Returns the end of the log.
    pub(crate) fn recent(&self) -> String {
        self.recent.lock().expect("no holder of this lock can panic").clone()
    }

    fn remember(&self, text: &str) {
        let mut recent = self.recent.lock().expect("no holder of this lock can panic");
        recent.push_str(text);
        let mut from = recent.len().saturating_sub(RECENT);
        while !recent.is_char_boundary(from) {
            from += 1;
        }
        recent.drain(..from);
    }

    fn note(&self, job: &Job) {
        let branch = job.published.pushed.as_ref().map(|_| job.branch.to_string());
        *self.branch.lock().expect("no holder of this lock can panic") = branch;
    }
}

impl From<ClientError> for TaskSessionError {
    fn from(error: ClientError) -> Self {
        match error {
            // A removed node has no tasks.
            ClientError::Gone | ClientError::Unknown(_) => Self::LeaseLost,
            ClientError::Refused(refusal) => Self::Refused(refusal),
            ClientError::Misunderstood(_) => Self::Refused(Refusal::new(
                error.to_string(),
                "Update the node or the server, so that both have the same version; then retry the job.",
                Fault::Internal,
            )),
            error @ ClientError::Unavailable { .. } => Self::Unavailable { source: Box::new(error) },
        }
    }
}

/// Retries until there is a response. The caller is cancelled when the lease is lost.
async fn retry_until_answered<T, F: Future<Output = Result<T, ClientError>>>(
    ask: impl Fn() -> F,
) -> Result<T, TaskSessionError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(ClientError::Unavailable { detail, after }) => {
                tracing::warn!(detail, "failed to reach the server; retrying");
                tokio::time::sleep(after.unwrap_or(pause).min(LAST_PAUSE)).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
            answered => return Ok(answered?),
        }
    }
}

fn unavailable(detail: &str) -> TaskSessionError {
    TaskSessionError::Unavailable { source: detail.to_owned().into() }
}

#[async_trait]
impl TaskSession for RemoteTaskSession {
    async fn start(&self, model: &str) -> Result<Assignment, TaskSessionError> {
        let begin = StartTask { model: model.to_owned() };
        let assignment = convert::assignment(retry_until_answered(|| self.client.start(self.task, &begin)).await?);
        self.note(&assignment.job);
        Ok(assignment)
    }

    async fn renew_lease(&self) -> Result<(), TaskSessionError> {
        // The caller retries the renewal.
        let alive = TaskProgress { number: 0, event: None };
        self.client.progress(self.task, &alive).await?;
        Ok(())
    }

    async fn report(&self, event: WorkerEvent) -> Result<Job, TaskSessionError> {
        let number = self.reported.fetch_add(1, Ordering::Relaxed) + 1;
        let progress = TaskProgress { number, event: Some(event.into()) };
        let response = retry_until_answered(|| self.client.progress(self.task, &progress)).await?;
        let job = response.job.ok_or_else(|| unavailable("the response has no job"))?;
        self.note(&job);
        Ok(job)
    }

    async fn credential(&self) -> Result<Option<GitCredential>, TaskSessionError> {
        retry_until_answered(|| self.client.credential(self.task, false)).await
    }

    async fn renew_credential(&self) -> Result<Option<GitCredential>, TaskSessionError> {
        retry_until_answered(|| self.client.credential(self.task, true)).await
    }

    async fn reserve(&self, most: Usage) -> Result<Date, TaskSessionError> {
        let reserve = Reserve { most };
        let reserved = retry_until_answered(|| self.client.reserve(self.task, &reserve)).await?;
        Ok(reserved.day)
    }

    async fn settle(&self, day: Date, reserved: Usage, spent: Usage) -> Result<(), TaskSessionError> {
        // Without retries, because a second settlement could be applied twice; if this one is lost, the maximum stays
        // reserved.
        Ok(self.client.settle(self.task, &Settle { day, reserved, spent }).await?)
    }

    async fn record_call(&self, call: ModelCall, transcript: Transcript) -> Result<(), TaskSessionError> {
        Ok(self.client.record_call(self.task, &convert::call_to_wire(call, transcript)).await?)
    }

    async fn save_conversation(&self, conversation: Conversation) -> Result<(), TaskSessionError> {
        let conversation = serde_json::to_value(conversation).map_err(|error| unavailable(&error.to_string()))?;
        Ok(self.client.save_conversation(self.task, &SaveConversation { conversation }).await?)
    }

    async fn append_log(&self, chunk: u64, text: String) -> Result<(), TaskSessionError> {
        let chunk = LogChunk { chunk, text };
        self.client.append_log(self.task, &chunk).await?;
        self.remember(&chunk.text);
        Ok(())
    }
}
