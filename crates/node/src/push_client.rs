//! The server's client for nodes in push mode.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::node_client::{NodeClient, NodeProbe, NodeUnreachable, PushOutcome, PushedTask};
use patchwright_core::{Clock, Secret};
use patchwright_domain::{NodeId, TaskId};
use patchwright_http::{HttpClient, HttpError, Request, Retry};
use patchwright_protocol::node::ProcessIssue;

use crate::convert;
use crate::signature::{DispatchKey, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// The timeout of a request to a node.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The timeout of a question for a node's health.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends tasks to nodes over HTTP.
///
/// A node has the key that was derived from the master key at the time of its registration, so older master keys are
/// tried when a node denies the current one.
#[derive(Clone)]
pub struct HttpNodeClient {
    http: HttpClient,
    clock: Arc<dyn Clock>,
    /// The current master key first.
    master_keys: Vec<Secret>,
}

impl HttpNodeClient {
    /// Creates a client.
    ///
    /// # Panics
    /// Without a master key.
    pub fn new(http: HttpClient, clock: Arc<dyn Clock>, master_keys: Vec<Secret>) -> Self {
        assert!(!master_keys.is_empty(), "dispatch keys are derived from a master key");
        Self { http, clock, master_keys }
    }

    fn keys(&self, node: NodeId) -> impl Iterator<Item = DispatchKey> {
        self.master_keys.iter().map(move |master| DispatchKey::of_node(master, node))
    }

    async fn send(&self, url: &str, key: &DispatchKey, path: &str, body: Vec<u8>) -> Result<u16, NodeUnreachable> {
        let now = self.clock.now();
        let request = Request::post(format!("{}{path}", url.trim_end_matches('/')))
            .header(TIMESTAMP_HEADER, now.as_second().to_string())
            .header(SIGNATURE_HEADER, key.sign(now, path, &body))
            .header("content-type", "application/json")
            .body(body);
        let response = tokio::time::timeout(REQUEST_TIMEOUT, self.http.send(request, Retry::Never)).await;
        match response.unwrap_or(Err(HttpError::TimedOut)) {
            Ok(response) => Ok(response.status),
            Err(error) => Err(NodeUnreachable { detail: error.to_string() }),
        }
    }
}

impl std::fmt::Debug for HttpNodeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpNodeClient")
    }
}

const fn outcome(status: u16) -> PushOutcome {
    match status {
        200..=299 | 409 => PushOutcome::Accepted,
        429 | 507 => PushOutcome::Full,
        401 | 403 => PushOutcome::Denied,
        status => PushOutcome::Refused(status),
    }
}

fn process_issue(task: &PushedTask) -> ProcessIssue {
    ProcessIssue {
        issue_id: task.issue_id,
        task_id: task.lease.task,
        repository_url: task.repository_url.clone(),
        issue_number: task.issue_number,
        issue_title: task.issue_title.clone(),
        issue_description: task.issue_description.clone(),
        credential_token: task.credential.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default(),
        command: task.command.clone(),
        callback_url: Some(task.callback_url.clone()),
        job_id: Some(task.lease.job),
        branch: Some(task.branch.clone()),
        base_branch: Some(task.base_branch.clone()),
        lease: Some(convert::lease_to_wire(task.lease)),
    }
}

#[async_trait]
impl NodeClient for HttpNodeClient {
    fn dispatch_key(&self, node: NodeId) -> Secret {
        Secret::new(DispatchKey::text_of_node(&self.master_keys[0], node))
    }

    async fn push_task(&self, node: NodeId, url: &str, task: &PushedTask) -> Result<PushOutcome, NodeUnreachable> {
        let body = serde_json::to_vec(&process_issue(task)).expect("a task is only text and numbers");
        let mut last = PushOutcome::Denied;
        for key in self.keys(node) {
            last = outcome(self.send(url, &key, "/process-issue", body.clone()).await?);
            if last != PushOutcome::Denied {
                break;
            }
        }
        Ok(last)
    }

    async fn probe(&self, url: &str) -> Result<NodeProbe, NodeUnreachable> {
        let request = Request::get(format!("{}/health", url.trim_end_matches('/')));
        let response = tokio::time::timeout(PROBE_TIMEOUT, self.http.send(request, Retry::Never)).await;
        match response.unwrap_or(Err(HttpError::TimedOut)) {
            Ok(response) if (200..300).contains(&response.status) => Ok(NodeProbe::Healthy),
            Ok(response) if (400..500).contains(&response.status) => Ok(NodeProbe::Silent),
            Ok(response) => Err(NodeUnreachable { detail: format!("its health is answered {}", response.status) }),
            Err(error) => Err(NodeUnreachable { detail: error.to_string() }),
        }
    }

    async fn cancel_task(&self, node: NodeId, url: &str, task: TaskId) -> Result<bool, NodeUnreachable> {
        for key in self.keys(node) {
            let status = self.send(url, &key, &format!("/tasks/{task}/cancel"), Vec::new()).await?;
            if (200..300).contains(&status) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
