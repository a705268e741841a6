//! Sends tasks to nodes that listen for them (push mode). Nodes in pull mode ask for theirs.

use async_trait::async_trait;
use patchwright_domain::{IssueId, NodeId, TaskId};

use crate::secret::Secret;
use crate::task_session::TaskLease;

/// A task as it is sent to a node (`docs/requirements.md#r144`), with everything that the node needs.
#[derive(Debug, Clone)]
pub struct PushedTask {
    /// The lease that the node holds.
    pub lease: TaskLease,
    /// The id of the issue.
    pub issue_id: IssueId,
    /// The issue's number on its forge.
    pub issue_number: u64,
    /// The issue's title.
    pub issue_title: String,
    /// The issue's text.
    pub issue_description: String,
    /// The clone address, without credentials.
    pub repository_url: String,
    /// The git password; short-lived where the forge can issue such ones.
    pub credential: Option<Secret>,
    /// The command: the name of a preset or a command line.
    pub command: String,
    /// The address that the branch is reported to.
    pub callback_url: String,
    /// The branch to push.
    pub branch: String,
    /// The branch that it starts from.
    pub base_branch: String,
}

/// A node's response to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushOutcome {
    /// The node has the task, now or since an earlier request.
    Accepted,
    /// The node has no free slot or no disk space.
    Full,
    /// The node does not accept the signature: it has another key, or the clocks differ.
    Denied,
    /// The node answered with a status that the protocol does not know.
    Refused(u16),
}

/// What a node that listens answers when it is asked how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeProbe {
    /// It is healthy.
    Healthy,
    /// It answers, and does not know the question.
    Silent,
}

/// The node cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("the node cannot be reached: {detail}")]
pub struct NodeUnreachable {
    /// The failure.
    pub detail: String,
}

/// A client of the protocol of listening nodes.
///
/// An implementation MUST sign every request with the node's own key, and MUST NOT follow redirects with a credential.
#[async_trait]
pub trait NodeClient: Send + Sync {
    /// Returns the key that a node verifies requests with, for the answer to its registration.
    fn dispatch_key(&self, node: NodeId) -> Secret;

    /// Sends a task.
    async fn push_task(&self, node: NodeId, url: &str, task: &PushedTask) -> Result<PushOutcome, NodeUnreachable>;

    /// Asks a node how it is, with `GET /health`.
    async fn probe(&self, url: &str) -> Result<NodeProbe, NodeUnreachable>;

    /// Cancels a task on a node; returns `false` if the node is not running it.
    async fn cancel_task(&self, node: NodeId, url: &str, task: TaskId) -> Result<bool, NodeUnreachable>;
}
