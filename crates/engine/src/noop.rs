//! Ports that do nothing, for an engine that is built without them.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::access::RepositoryKey;
use patchwright_core::audit::AuditEntry;
use patchwright_core::conversation::Conversation;
use patchwright_core::ledger::{BudgetAccount, BudgetExceeded, DayBudgets, DaySpending, Ledger};
use patchwright_core::meter::{Meter, MeterEvent};
use patchwright_core::model_calls::{ModelCall, ModelCalls, StoredCall, Transcript};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes, Registration};
use patchwright_core::notifications::Notices;
use patchwright_core::repositories::RepositoryPolicies;
use patchwright_core::store::StoreError;
use patchwright_core::task_log::{LogPart, TaskLogs};
use patchwright_domain::node::{Candidate, Health, Node};
use patchwright_domain::notification::Notice;
use patchwright_domain::{EffectId, JobId, NodeId, RepositorySettings, Task, TaskId, Usage};

pub(crate) struct Noop;

impl Meter for Noop {
    fn count(&self, _: &MeterEvent) {}
}

#[async_trait]
impl Ledger for Noop {
    async fn reserve(
        &self,
        _: &BudgetAccount,
        _: Usage,
        _: DayBudgets,
    ) -> Result<Result<(), BudgetExceeded>, StoreError> {
        Ok(Ok(()))
    }

    async fn settle(&self, _: &BudgetAccount, _: Usage, _: Usage) -> Result<(), StoreError> {
        Ok(())
    }

    async fn spending(&self, _: &BudgetAccount) -> Result<DaySpending, StoreError> {
        Ok(DaySpending::default())
    }
}

#[async_trait]
impl RepositoryPolicies for Noop {
    async fn settings_of(&self, _: &RepositoryKey) -> Result<RepositorySettings, StoreError> {
        Ok(RepositorySettings::default())
    }
}

#[async_trait]
impl Notices for Noop {
    async fn post_notice(&self, _: EffectId, _: &Notice) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl TaskLogs for Noop {
    async fn append_log(&self, _: TaskId, _: u64, _: &str, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_log(&self, _: TaskId, _: u64, _: u64) -> Result<LogPart, StoreError> {
        Ok(LogPart::default())
    }

    async fn forget_logs(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl ModelCalls for Noop {
    async fn add_call(
        &self,
        _: JobId,
        _: TaskId,
        _: &ModelCall,
        _: &Transcript,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn calls(&self, _: JobId) -> Result<Vec<StoredCall>, StoreError> {
        Ok(Vec::new())
    }

    async fn call(&self, _: TaskId, _: u32) -> Result<Option<(StoredCall, Transcript)>, StoreError> {
        Ok(None)
    }

    async fn forget_calls(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn save_conversation(&self, _: JobId, _: &Conversation, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn conversation(&self, _: JobId) -> Result<Option<Conversation>, StoreError> {
        Ok(None)
    }

    async fn delete_conversation(&self, _: JobId) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A registry without nodes: every job runs in this process.
#[async_trait]
impl Nodes for Noop {
    async fn add_node(&self, _: &Node, _: &Invitation, _: AuditEntry) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn nodes(&self) -> Result<Vec<Candidate>, StoreError> {
        Ok(Vec::new())
    }

    async fn node(&self, _: NodeId) -> Result<Option<Candidate>, StoreError> {
        Ok(None)
    }

    async fn change_node(&self, _: NodeId, _: NodeChange, _: AuditEntry) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn remove_node(&self, _: NodeId, _: AuditEntry) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn register_node(
        &self,
        _: &str,
        _: &Registration,
        _: Timestamp,
        _: AuditEntry,
    ) -> Result<Option<Node>, StoreError> {
        Ok(None)
    }

    async fn node_by_token(&self, _: &str) -> Result<Option<Node>, StoreError> {
        Ok(None)
    }

    async fn record_health(&self, _: NodeId, _: &Health, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record_instance(&self, _: NodeId, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn record_silence(&self, _: NodeId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record_use(&self, _: NodeId, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record_success(&self, _: NodeId, _: &str, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn last_successes(&self) -> Result<HashMap<(NodeId, String), Timestamp>, StoreError> {
        Ok(HashMap::new())
    }

    async fn tasks_of_node(&self, _: NodeId) -> Result<Vec<Task>, StoreError> {
        Ok(Vec::new())
    }
}
