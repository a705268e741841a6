//! The registry of remote nodes, their health and their tasks.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::node::{Candidate, Health, Label, Node, NodeMode};
use patchwright_domain::{NodeId, Task};

use crate::accounts::SecretHash;
use crate::audit::AuditEntry;
use crate::store::StoreError;

/// An invitation with which a node registers once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The hash of the join token.
    pub hash: SecretHash,
    /// When it expires.
    pub until: Timestamp,
}

/// What a node reports when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The hash of the token that it authenticates with from then on.
    pub token: SecretHash,
    /// The labels that it detected.
    pub labels: BTreeSet<Label>,
    /// How many tasks it runs at the same time.
    pub capacity: u32,
    /// Its version.
    pub version: String,
}

/// A change of a node by an administrator. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// The labels that are assigned to it, beside those that it detects.
    pub labels: Option<BTreeSet<Label>>,
    /// How it receives its tasks.
    pub mode: Option<NodeMode>,
    /// How many tasks it runs at the same time.
    pub capacity: Option<u32>,
    /// Whether it receives no new tasks.
    pub draining: Option<bool>,
    /// A new invitation; the node's token ends.
    pub invitation: Option<Invitation>,
}

/// The store of nodes. Their tokens are stored as hashes only.
///
/// An implementation MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing
/// changes: an action whose audit entry cannot be written fails.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Adds a node that may register; `false` when the name is taken.
    async fn add_node(&self, node: &Node, invitation: &Invitation, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Returns all nodes by name, with how many tasks each has.
    async fn nodes(&self) -> Result<Vec<Candidate>, StoreError>;

    /// Returns a node by id.
    async fn node(&self, id: NodeId) -> Result<Option<Candidate>, StoreError>;

    /// Changes a node; `false` when it does not exist.
    async fn change_node(&self, id: NodeId, change: NodeChange, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Removes a node; `false` when it does not exist. Its token ends; its tasks are taken over when their leases expire.
    async fn remove_node(&self, id: NodeId, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Registers the node of an invitation, which is used up; `None` when no invitation of this hash is valid at `now`.
    /// The name of the node replaces `actor` and `subject` of the audit entry, because only the transaction knows it.
    async fn register_node(
        &self,
        invitation: &str,
        registration: &Registration,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<Option<Node>, StoreError>;

    /// Returns the node that authenticates with a token.
    async fn node_by_token(&self, hash: &str) -> Result<Option<Node>, StoreError>;

    /// Records the health that a node reported at `now`.
    async fn record_health(&self, id: NodeId, health: &Health, now: Timestamp) -> Result<(), StoreError>;

    /// Records the process that a node runs as; returns `true` if it is not the previous one.
    async fn record_instance(&self, id: NodeId, instance: &str) -> Result<bool, StoreError>;

    /// Records that a lease of a node expired: the node gets no tasks until it reports its health again.
    async fn record_silence(&self, id: NodeId) -> Result<(), StoreError>;

    /// Records that a node got a task.
    async fn record_use(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError>;

    /// Records that a node completed a task of a repository.
    async fn record_success(&self, id: NodeId, repository: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Returns when each node last completed a task, by repository.
    async fn last_successes(&self) -> Result<HashMap<(NodeId, String), Timestamp>, StoreError>;

    /// Returns the tasks of a node that have not ended.
    async fn tasks_of_node(&self, id: NodeId) -> Result<Vec<Task>, StoreError>;
}
