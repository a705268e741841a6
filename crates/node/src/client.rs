//! The client of the server's node protocol.

use std::time::Duration;

use patchwright_core::Secret;
use patchwright_core::forge::GitCredential;
use patchwright_core::task_session::Refusal;
use patchwright_domain::{IssueId, NodeId, TaskId};
use patchwright_http::{HttpClient, Request, Response, Retry};
use patchwright_protocol::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use patchwright_protocol::node::{
    Assignment, Credential, Heartbeat, HeartbeatResponse, LeaseRequest, LeaseResponse, LogChunk, RecordedCall,
    Register, Registered, Report, Reserve, Reserved, SaveConversation, Settle, StartTask, TaskProgress,
    TaskProgressResponse,
};

/// The error of a request to the server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token has expired, or the node was removed.
    #[error("the server does not know this node ({0}); register it again with a new join token")]
    Unknown(String),
    /// The task does not belong to this node any more.
    #[error("the task is not this node's any more")]
    Gone,
    /// The request was refused, with a reason for users.
    #[error(transparent)]
    Refused(Refusal),
    /// The server rejected the request as invalid.
    #[error("the server does not understand this node: {0}")]
    Misunderstood(String),
    /// The server cannot be reached, or cannot answer now.
    #[error("the server cannot be reached or cannot answer now ({detail})")]
    Unavailable {
        /// The failure.
        detail: String,
        /// The wait that the server requested.
        after: Option<Duration>,
    },
}

/// The client of the server's node protocol.
#[derive(Debug, Clone)]
pub struct ServerClient {
    http: HttpClient,
    server: String,
    token: Secret,
}

impl ServerClient {
    /// Creates a client of the server at an address, with the node's token.
    pub fn new(http: HttpClient, server: &str, token: Secret) -> Self {
        Self { http, server: server.trim_end_matches('/').to_owned(), token }
    }

    /// Registers a node with a join token.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] when the join token is invalid, used or expired, [`ClientError::Misunderstood`] when
    /// the versions are incompatible, [`ClientError::Unavailable`].
    pub async fn register(http: &HttpClient, server: &str, register: &Register) -> Result<Registered, ClientError> {
        let nobody = Self::new(http.clone(), server, Secret::new(""));
        let request = Request::post(nobody.url("/nodes/register")).json(register);
        // A retry would find the token used by the first request.
        read(nobody.http.send(request, Retry::Never).await)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let request = Request::post(self.url(path)).bearer(&self.token).json(body);
        read(self.http.send(request, Retry::Never).await)
    }

    async fn task<T: DeserializeOwned>(
        &self,
        task: TaskId,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.post(&format!("/tasks/{task}/{verb}"), body).await
    }

    pub(crate) async fn heartbeat(
        &self,
        node: NodeId,
        heartbeat: &Heartbeat,
    ) -> Result<HeartbeatResponse, ClientError> {
        self.post(&format!("/nodes/{node}/heartbeat"), heartbeat).await
    }

    pub(crate) async fn lease(&self, node: NodeId, request: &LeaseRequest) -> Result<LeaseResponse, ClientError> {
        self.post(&format!("/nodes/{node}/lease"), request).await
    }

    pub(crate) async fn start(&self, task: TaskId, begin: &StartTask) -> Result<Assignment, ClientError> {
        self.task(task, "begin", begin).await
    }

    pub(crate) async fn progress(
        &self,
        task: TaskId,
        progress: &TaskProgress,
    ) -> Result<TaskProgressResponse, ClientError> {
        self.task(task, "progress", progress).await
    }

    pub(crate) async fn credential(&self, task: TaskId, renew: bool) -> Result<Option<GitCredential>, ClientError> {
        let path = if renew { "credential?renew=true" } else { "credential" };
        let given: Option<Credential> = self.task(task, path, &serde_json::json!({})).await?;
        Ok(given.map(|given| GitCredential { username: given.username, password: Secret::new(given.password) }))
    }

    pub(crate) async fn reserve(&self, task: TaskId, reserve: &Reserve) -> Result<Reserved, ClientError> {
        self.task(task, "reserve", reserve).await
    }

    pub(crate) async fn settle(&self, task: TaskId, settle: &Settle) -> Result<(), ClientError> {
        self.task::<serde_json::Value>(task, "settle", settle).await.map(|_| ())
    }

    pub(crate) async fn append_log(&self, task: TaskId, chunk: &LogChunk) -> Result<(), ClientError> {
        self.task::<serde_json::Value>(task, "logs", chunk).await.map(|_| ())
    }

    pub(crate) async fn record_call(&self, task: TaskId, noted: &RecordedCall) -> Result<(), ClientError> {
        self.task::<serde_json::Value>(task, "calls", noted).await.map(|_| ())
    }

    pub(crate) async fn save_conversation(&self, task: TaskId, saved: &SaveConversation) -> Result<(), ClientError> {
        self.task::<serde_json::Value>(task, "conversation", saved).await.map(|_| ())
    }

    pub(crate) async fn report(&self, issue: IssueId, report: &Report) -> Result<(), ClientError> {
        self.post::<serde_json::Value>(&format!("/issues/{issue}/report-branch"), report).await.map(|_| ())
    }
}

fn read<T: DeserializeOwned>(answer: Result<Response, patchwright_http::HttpError>) -> Result<T, ClientError> {
    let answer = answer.map_err(|error| ClientError::Unavailable { detail: error.to_string(), after: None })?;
    if answer.is_success() {
        let invalid = |error: serde_json::Error| ClientError::Misunderstood(format!("its answer: {error}"));
        let text = if answer.status == 204 { "null".to_owned() } else { answer.text() };
        return serde_json::from_str(&text).map_err(invalid);
    }
    let problem: Problem = answer.json().unwrap_or_else(|_| Problem {
        detail: format!("it answered with status {}", answer.status),
        ..Problem::default()
    });
    Err(match (answer.status, problem.code.as_str(), problem.refusal) {
        (_, "task_gone", _) | (404, _, _) => ClientError::Gone,
        (_, _, Some(refusal)) => ClientError::Refused(crate::convert::refusal(refusal)),
        (401 | 403, _, _) => ClientError::Unknown(problem.detail),
        (408 | 429 | 500.., _, _) => ClientError::Unavailable { detail: problem.detail, after: answer.wait_hint() },
        _ => ClientError::Misunderstood(problem.detail),
    })
}
