//! The nodes that were added, and what they are at.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::node::{Candidate, Health, Label, Node, NodeMode};
use patchwright_domain::{NodeId, Task};

use crate::accounts::SecretHash;
use crate::store::StoreError;

/// An invitation that a node registers with, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Of the join token.
    pub hash: SecretHash,
    /// Until when it holds.
    pub until: Timestamp,
}

/// What a node tells when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Of the token that it comes in with from then on.
    pub token: SecretHash,
    /// What it found itself to have.
    pub labels: BTreeSet<Label>,
    /// How many tasks it runs at the same time.
    pub capacity: u32,
    /// Its version.
    pub version: String,
}

/// What an administrator changes; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// The labels that are given to it, beside those that it finds itself.
    pub labels: Option<BTreeSet<Label>>,
    /// How it gets its tasks.
    pub mode: Option<NodeMode>,
    /// How many tasks it runs at the same time.
    pub capacity: Option<u32>,
    /// Whether it is given nothing more.
    pub draining: Option<bool>,
    /// A new invitation: the token that it had ends.
    pub invitation: Option<Invitation>,
}

/// Keeps nodes. Their tokens are kept as hashes only.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Adds a node that may register; `false` when the name is taken.
    async fn add_node(&self, node: &Node, invitation: &Invitation) -> Result<bool, StoreError>;

    /// All of them, by name, with how many tasks each has.
    async fn nodes(&self) -> Result<Vec<Candidate>, StoreError>;

    /// One of them.
    async fn node(&self, id: NodeId) -> Result<Option<Candidate>, StoreError>;

    /// Changes one; `false` when it is not there.
    async fn change_node(&self, id: NodeId, change: NodeChange) -> Result<bool, StoreError>;

    /// Removes one; `false` when it is not there. Its token ends; what it ran is taken over when its leases run out.
    async fn remove_node(&self, id: NodeId) -> Result<bool, StoreError>;

    /// Lets a node in with its invitation, which is used up; `None` when there is no such one at `now`.
    async fn register_node(
        &self,
        invitation: &str,
        registration: &Registration,
        now: Timestamp,
    ) -> Result<Option<Node>, StoreError>;

    /// The node with a token.
    async fn node_by_token(&self, hash: &str) -> Result<Option<Node>, StoreError>;

    /// Notes that a node is there, and how it is.
    async fn note_health(&self, id: NodeId, health: &Health, now: Timestamp) -> Result<(), StoreError>;

    /// Notes the process that a node runs as; `true` when it is another one than before.
    async fn note_instance(&self, id: NodeId, instance: &str) -> Result<bool, StoreError>;

    /// Notes that a node let a lease run out: until it is heard of again it is given nothing.
    async fn note_silent(&self, id: NodeId) -> Result<(), StoreError>;

    /// Notes that a node was given a task.
    async fn note_used(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError>;

    /// Notes that a node ended a task of a repository well.
    async fn note_success(&self, id: NodeId, repository: &str, now: Timestamp) -> Result<(), StoreError>;

    /// When each node last ended a task well, by repository.
    async fn last_successes(&self) -> Result<HashMap<(NodeId, String), Timestamp>, StoreError>;

    /// The tasks of a node that have not ended.
    async fn tasks_of_node(&self, id: NodeId) -> Result<Vec<Task>, StoreError>;
}
