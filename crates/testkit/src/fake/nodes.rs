//! The ports of nodes, notices, logs and model calls in memory.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::audit::AuditEntry;
use patchwright_core::conversation::Conversation;
use patchwright_core::model_calls::{ModelCall, ModelCalls, StoredCall, Transcript};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes, Registration};
use patchwright_core::notifications::Notices;
use patchwright_core::store::StoreError;
use patchwright_core::task_log::{LogPart, MAX_LOG, TaskLogs};
use patchwright_domain::node::{Candidate, Health, Label, Node};
use patchwright_domain::notification::Notice;
use patchwright_domain::{EffectId, JobId, NodeId, Task, TaskId, TaskStatus};

use super::store::{FakeStore, Tables};

/// A node with the fields that only the store reads.
#[derive(Debug, Clone)]
pub(super) struct StoredNode {
    node: Node,
    /// The labels that an administrator assigned.
    assigned: BTreeSet<Label>,
    /// The labels that the node detected.
    detected: BTreeSet<Label>,
    invitation: Option<Invitation>,
    token: Option<String>,
    instance: Option<String>,
}

impl StoredNode {
    fn to_node(&self) -> Node {
        Node { labels: self.assigned.union(&self.detected).cloned().collect(), ..self.node.clone() }
    }
}

fn candidate(tables: &Tables, stored: &StoredNode) -> Candidate {
    let running = open_tasks(tables, stored.node.id).len();
    Candidate { node: stored.to_node(), running: u32::try_from(running).unwrap() }
}

fn open_tasks(tables: &Tables, node: NodeId) -> Vec<Task> {
    let node = node.to_string();
    let open = |task: &&Task| task.node == node && matches!(task.status, TaskStatus::Pending | TaskStatus::Running);
    tables.tasks.values().filter(open).cloned().collect()
}

#[async_trait]
impl Nodes for FakeStore {
    async fn add_node(&self, node: &Node, invitation: &Invitation, audit: AuditEntry) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if tables.nodes.values().any(|other| other.node.name == node.name) {
            return Ok(false);
        }
        tables.audit.record(audit)?;
        let stored = StoredNode {
            node: node.clone(),
            assigned: node.labels.clone(),
            detected: BTreeSet::new(),
            invitation: Some(invitation.clone()),
            token: None,
            instance: None,
        };
        tables.nodes.insert(node.id, stored);
        Ok(true)
    }

    async fn nodes(&self) -> Result<Vec<Candidate>, StoreError> {
        let tables = self.tables();
        let mut all: Vec<Candidate> = tables.nodes.values().map(|stored| candidate(&tables, stored)).collect();
        all.sort_by(|a, b| a.node.name.cmp(&b.node.name));
        Ok(all)
    }

    async fn node(&self, id: NodeId) -> Result<Option<Candidate>, StoreError> {
        let tables = self.tables();
        Ok(tables.nodes.get(&id).map(|stored| candidate(&tables, stored)))
    }

    async fn change_node(&self, id: NodeId, change: NodeChange, audit: AuditEntry) -> Result<bool, StoreError> {
        let tables = &mut *self.tables();
        let Some(stored) = tables.nodes.get_mut(&id) else { return Ok(false) };
        tables.audit.record(audit)?;
        stored.assigned = change.labels.unwrap_or_else(|| stored.assigned.clone());
        stored.node.mode = change.mode.unwrap_or_else(|| stored.node.mode.clone());
        stored.node.capacity = change.capacity.unwrap_or(stored.node.capacity);
        stored.node.draining = change.draining.unwrap_or(stored.node.draining);
        if let Some(invitation) = change.invitation {
            stored.invitation = Some(invitation);
            stored.token = None;
            stored.node.registered_at = None;
        }
        Ok(true)
    }

    async fn remove_node(&self, id: NodeId, audit: AuditEntry) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if !tables.nodes.contains_key(&id) {
            return Ok(false);
        }
        tables.audit.record(audit)?;
        tables.successes.retain(|(node, _), _| *node != id);
        tables.nodes.remove(&id);
        Ok(true)
    }

    async fn register_node(
        &self,
        invitation: &str,
        registration: &Registration,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<Option<Node>, StoreError> {
        let tables = &mut *self.tables();
        let is_invited = |stored: &&mut StoredNode| {
            stored.invitation.as_ref().is_some_and(|own| own.hash == invitation && own.until > now)
        };
        let Some(stored) = tables.nodes.values_mut().find(is_invited) else { return Ok(None) };
        let name = stored.node.name.to_string();
        tables.audit.record(AuditEntry { actor: name.clone(), subject: name, ..audit })?;
        stored.invitation = None;
        stored.detected.clone_from(&registration.labels);
        stored.token = Some(registration.token.clone());
        stored.node.capacity = registration.capacity;
        stored.node.version = Some(registration.version.clone());
        (stored.node.registered_at, stored.node.seen_at) = (Some(now), Some(now));
        Ok(Some(stored.to_node()))
    }

    async fn node_by_token(&self, hash: &str) -> Result<Option<Node>, StoreError> {
        let tables = self.tables();
        Ok(tables.nodes.values().find(|stored| stored.token.as_deref() == Some(hash)).map(StoredNode::to_node))
    }

    async fn record_health(&self, id: NodeId, health: &Health, now: Timestamp) -> Result<(), StoreError> {
        if let Some(stored) = self.tables().nodes.get_mut(&id) {
            stored.node.health = health.clone();
            stored.node.seen_at = Some(now);
        }
        Ok(())
    }

    async fn record_instance(&self, id: NodeId, instance: &str) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(stored) = tables.nodes.get_mut(&id) else { return Ok(false) };
        Ok(stored.instance.replace(instance.to_owned()).as_deref() != Some(instance))
    }

    async fn record_silence(&self, id: NodeId) -> Result<(), StoreError> {
        if let Some(stored) = self.tables().nodes.get_mut(&id) {
            stored.node.seen_at = None;
        }
        Ok(())
    }

    async fn record_use(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(stored) = self.tables().nodes.get_mut(&id) {
            stored.node.used_at = Some(now);
        }
        Ok(())
    }

    async fn record_success(&self, id: NodeId, repository: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if tables.nodes.contains_key(&id) {
            tables.successes.insert((id, repository.to_owned()), now);
        }
        Ok(())
    }

    async fn last_successes(&self) -> Result<HashMap<(NodeId, String), Timestamp>, StoreError> {
        Ok(self.tables().successes.clone())
    }

    async fn tasks_of_node(&self, id: NodeId) -> Result<Vec<Task>, StoreError> {
        Ok(open_tasks(&self.tables(), id))
    }
}

#[async_trait]
impl Notices for FakeStore {
    async fn post_notice(&self, cause: EffectId, notice: &Notice) -> Result<(), StoreError> {
        self.tables().notices.insert(cause, notice.clone());
        Ok(())
    }
}

#[async_trait]
impl TaskLogs for FakeStore {
    async fn append_log(&self, task: TaskId, chunk: u64, text: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let end: usize = tables.logs.range((task, 0)..=(task, u64::MAX)).map(|(_, (text, _))| text.len()).sum();
        if end as u64 + text.len() as u64 <= MAX_LOG && !text.is_empty() {
            tables.logs.entry((task, chunk)).or_insert_with(|| (text.to_owned(), now));
        }
        Ok(())
    }

    async fn read_log(&self, task: TaskId, from: u64, _: u64) -> Result<LogPart, StoreError> {
        let tables = self.tables();
        let chunks = tables.logs.range((task, 0)..=(task, u64::MAX));
        let all: String = chunks.map(|(_, (text, _))| text.as_str()).collect();
        let end = all.len() as u64;
        let text = all.get(usize::try_from(from).unwrap()..).unwrap_or_default().to_owned();
        Ok(LogPart { text, next: end, end })
    }

    async fn forget_logs(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let count = tables.logs.len();
        tables.logs.retain(|_, (_, at)| *at >= before);
        Ok((count - tables.logs.len()) as u64)
    }
}

#[async_trait]
impl ModelCalls for FakeStore {
    async fn add_call(
        &self,
        job: JobId,
        task: TaskId,
        call: &ModelCall,
        transcript: &Transcript,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let stored = || (job, StoredCall { task, at: now, call: call.clone() }, transcript.clone());
        self.tables().calls.entry((task, call.number)).or_insert_with(stored);
        Ok(())
    }

    async fn calls(&self, job: JobId) -> Result<Vec<StoredCall>, StoreError> {
        let tables = self.tables();
        let of_job = tables.calls.values().filter(|(of, ..)| *of == job);
        let mut calls: Vec<StoredCall> = of_job.map(|(_, stored, _)| stored.clone()).collect();
        calls.sort_by_key(|stored| (stored.at, stored.task, stored.call.number));
        Ok(calls)
    }

    async fn call(&self, task: TaskId, number: u32) -> Result<Option<(StoredCall, Transcript)>, StoreError> {
        Ok(self.tables().calls.get(&(task, number)).map(|(_, stored, transcript)| (stored.clone(), transcript.clone())))
    }

    async fn forget_calls(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let count = tables.calls.len();
        tables.calls.retain(|_, (_, stored, _)| stored.at >= before);
        Ok((count - tables.calls.len()) as u64)
    }

    async fn save_conversation(&self, job: JobId, conversation: &Conversation, _: Timestamp) -> Result<(), StoreError> {
        self.tables().conversations.insert(job, conversation.clone());
        Ok(())
    }

    async fn conversation(&self, job: JobId) -> Result<Option<Conversation>, StoreError> {
        Ok(self.tables().conversations.get(&job).cloned())
    }

    async fn delete_conversation(&self, job: JobId) -> Result<(), StoreError> {
        self.tables().conversations.remove(&job);
        Ok(())
    }
}
