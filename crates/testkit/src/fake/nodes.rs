//! The ports of nodes and logs in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::model_calls::{ModelCall, ModelCalls, StoredCall, Transcript};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes, Registration};
use patchwright_core::notifications::Notices;
use patchwright_core::store::StoreError;
use patchwright_core::task_log::{LogPart, MAX_LOG, TaskLogs};
use patchwright_domain::node::{Candidate, Health, Node};
use patchwright_domain::notification::Notice;
use patchwright_domain::{EffectId, JobId, NodeId, Task, TaskId, TaskStatus};

use super::store::{FakeStore, Tables};

/// A node with what only the store knows of it.
#[derive(Debug, Clone)]
pub(super) struct KeptNode {
    node: Node,
    /// What an administrator gave it.
    given: std::collections::BTreeSet<patchwright_domain::node::Label>,
    own: std::collections::BTreeSet<patchwright_domain::node::Label>,
    invitation: Option<Invitation>,
    token: Option<String>,
    instance: Option<String>,
}

impl KeptNode {
    fn seen(&self) -> Node {
        Node { labels: self.given.union(&self.own).cloned().collect(), ..self.node.clone() }
    }
}

fn candidate(tables: &Tables, kept: &KeptNode) -> Candidate {
    let running = open_tasks(tables, kept.node.id).len();
    Candidate { node: kept.seen(), running: u32::try_from(running).unwrap() }
}

fn open_tasks(tables: &Tables, node: NodeId) -> Vec<Task> {
    let node = node.to_string();
    let open = |task: &&Task| task.node == node && matches!(task.status, TaskStatus::Pending | TaskStatus::Running);
    tables.tasks.values().filter(open).cloned().collect()
}

#[async_trait]
impl Nodes for FakeStore {
    async fn add_node(&self, node: &Node, invitation: &Invitation) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if tables.nodes.values().any(|other| other.node.name == node.name) {
            return Ok(false);
        }
        let kept = KeptNode {
            node: node.clone(),
            given: node.labels.clone(),
            own: std::collections::BTreeSet::new(),
            invitation: Some(invitation.clone()),
            token: None,
            instance: None,
        };
        tables.nodes.insert(node.id, kept);
        Ok(true)
    }

    async fn nodes(&self) -> Result<Vec<Candidate>, StoreError> {
        let tables = self.tables();
        let mut all: Vec<Candidate> = tables.nodes.values().map(|kept| candidate(&tables, kept)).collect();
        all.sort_by(|a, b| a.node.name.cmp(&b.node.name));
        Ok(all)
    }

    async fn node(&self, id: NodeId) -> Result<Option<Candidate>, StoreError> {
        let tables = self.tables();
        Ok(tables.nodes.get(&id).map(|kept| candidate(&tables, kept)))
    }

    async fn change_node(&self, id: NodeId, change: NodeChange) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(kept) = tables.nodes.get_mut(&id) else { return Ok(false) };
        kept.given = change.labels.unwrap_or_else(|| kept.given.clone());
        kept.node.mode = change.mode.unwrap_or_else(|| kept.node.mode.clone());
        kept.node.capacity = change.capacity.unwrap_or(kept.node.capacity);
        kept.node.draining = change.draining.unwrap_or(kept.node.draining);
        if let Some(invitation) = change.invitation {
            kept.invitation = Some(invitation);
            kept.token = None;
            kept.node.registered_at = None;
        }
        Ok(true)
    }

    async fn remove_node(&self, id: NodeId) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        tables.successes.retain(|(node, _), _| *node != id);
        Ok(tables.nodes.remove(&id).is_some())
    }

    async fn register_node(
        &self,
        invitation: &str,
        registration: &Registration,
        now: Timestamp,
    ) -> Result<Option<Node>, StoreError> {
        let mut tables = self.tables();
        let invited = |kept: &&mut KeptNode| {
            kept.invitation.as_ref().is_some_and(|own| own.hash == invitation && own.until > now)
        };
        let Some(kept) = tables.nodes.values_mut().find(invited) else { return Ok(None) };
        kept.invitation = None;
        kept.own.clone_from(&registration.labels);
        kept.token = Some(registration.token.clone());
        kept.node.capacity = registration.capacity;
        kept.node.version = Some(registration.version.clone());
        (kept.node.registered_at, kept.node.seen_at) = (Some(now), Some(now));
        Ok(Some(kept.seen()))
    }

    async fn node_by_token(&self, hash: &str) -> Result<Option<Node>, StoreError> {
        let tables = self.tables();
        Ok(tables.nodes.values().find(|kept| kept.token.as_deref() == Some(hash)).map(KeptNode::seen))
    }

    async fn note_health(&self, id: NodeId, health: &Health, now: Timestamp) -> Result<(), StoreError> {
        if let Some(kept) = self.tables().nodes.get_mut(&id) {
            kept.node.health = health.clone();
            kept.node.seen_at = Some(now);
        }
        Ok(())
    }

    async fn note_instance(&self, id: NodeId, instance: &str) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(kept) = tables.nodes.get_mut(&id) else { return Ok(false) };
        Ok(kept.instance.replace(instance.to_owned()).as_deref() != Some(instance))
    }

    async fn note_silent(&self, id: NodeId) -> Result<(), StoreError> {
        if let Some(kept) = self.tables().nodes.get_mut(&id) {
            kept.node.seen_at = None;
        }
        Ok(())
    }

    async fn note_used(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(kept) = self.tables().nodes.get_mut(&id) {
            kept.node.used_at = Some(now);
        }
        Ok(())
    }

    async fn note_success(&self, id: NodeId, repository: &str, now: Timestamp) -> Result<(), StoreError> {
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
    async fn append_log(&self, task: TaskId, piece: u64, text: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let end: usize = tables.logs.range((task, 0)..=(task, u64::MAX)).map(|(_, (text, _))| text.len()).sum();
        if end as u64 + text.len() as u64 <= MAX_LOG && !text.is_empty() {
            tables.logs.entry((task, piece)).or_insert_with(|| (text.to_owned(), now));
        }
        Ok(())
    }

    async fn read_log(&self, task: TaskId, from: u64, _: u64) -> Result<LogPart, StoreError> {
        let tables = self.tables();
        let pieces = tables.logs.range((task, 0)..=(task, u64::MAX));
        let all: String = pieces.map(|(_, (text, _))| text.as_str()).collect();
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
        said: &Transcript,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let kept = || (job, StoredCall { task, at: now, call: call.clone() }, said.clone());
        self.tables().calls.entry((task, call.number)).or_insert_with(kept);
        Ok(())
    }

    async fn calls(&self, job: JobId) -> Result<Vec<StoredCall>, StoreError> {
        let tables = self.tables();
        let of_job = tables.calls.values().filter(|(of, ..)| *of == job);
        let mut calls: Vec<StoredCall> = of_job.map(|(_, kept, _)| kept.clone()).collect();
        calls.sort_by_key(|kept| (kept.at, kept.task, kept.call.number));
        Ok(calls)
    }

    async fn call(&self, task: TaskId, number: u32) -> Result<Option<(StoredCall, Transcript)>, StoreError> {
        Ok(self.tables().calls.get(&(task, number)).map(|(_, kept, said)| (kept.clone(), said.clone())))
    }

    async fn forget_calls(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let count = tables.calls.len();
        tables.calls.retain(|_, (_, kept, _)| kept.at >= before);
        Ok((count - tables.calls.len()) as u64)
    }
}
