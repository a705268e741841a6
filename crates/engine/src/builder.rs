//! Building an engine from its ports.

use std::collections::HashMap;
use std::sync::Arc;

use patchwright_core::clock::{Clock, IdSource};
use patchwright_core::forge::Forge;
use patchwright_core::ledger::Ledger;
use patchwright_core::meter::Meter;
use patchwright_core::model_calls::ModelCalls;
use patchwright_core::nodes::Nodes;
use patchwright_core::notifications::Notices;
use patchwright_core::repositories::RepositoryPolicies;
use patchwright_core::store::Store;
use patchwright_core::task_log::TaskLogs;
use patchwright_core::tracker::Tracker;
use patchwright_core::webhook::WebhookDecoder;
use patchwright_worker::Tools;

use crate::clock::{SteadyClock, SystemClock, UuidSource};
use crate::engine::{Engine, Ports, Settings};
use crate::jira::JiraPorts;
use crate::marker::MarkerKey;
use crate::noop::Noop;

/// Builds an [`Engine`]. Only the store and the tools are required; every other port has a default that does nothing:
/// no daily budget, no nodes, no notifications, no task logs, no recorded model calls.
#[must_use]
pub struct EngineBuilder {
    ports: Ports,
    settings: Settings,
    marker: MarkerKey,
}

impl EngineBuilder {
    pub(crate) fn new(store: Arc<dyn Store>, tools: Tools, settings: Settings, marker: MarkerKey) -> Self {
        let clock = Arc::new(SteadyClock::new(SystemClock.now()));
        let noop = Arc::new(Noop);
        let ports = Ports {
            store,
            ledger: noop.clone(),
            notices: noop.clone(),
            nodes: noop.clone(),
            logs: noop.clone(),
            calls: noop.clone(),
            policies: noop.clone(),
            meter: noop,
            forges: HashMap::new(),
            trackers: HashMap::new(),
            jira: None,
            webhooks: HashMap::new(),
            ids: Arc::new(UuidSource::new(Arc::clone(&clock))),
            clock,
            tools,
        };
        Self { ports, settings, marker }
    }

    /// Adds a forge, under its own platform id.
    pub fn forge(mut self, forge: Arc<dyn Forge>) -> Self {
        self.ports.forges.insert(forge.platform(), forge);
        self
    }

    /// Adds a tracker that is not a forge, under its own platform id.
    pub fn tracker(mut self, tracker: Arc<dyn Tracker>) -> Self {
        self.ports.trackers.insert(tracker.platform(), tracker);
        self
    }

    /// Adds a webhook decoder, under its own platform id.
    pub fn webhook(mut self, decoder: Arc<dyn WebhookDecoder>) -> Self {
        self.ports.webhooks.insert(decoder.platform(), decoder);
        self
    }

    /// Sets the ledger of the daily model budgets.
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ports.ledger = ledger;
        self
    }

    /// Sets the port that notifications are posted to.
    pub fn notices(mut self, notices: Arc<dyn Notices>) -> Self {
        self.ports.notices = notices;
        self
    }

    /// Sets the registry of remote nodes.
    pub fn nodes(mut self, nodes: Arc<dyn Nodes>) -> Self {
        self.ports.nodes = nodes;
        self
    }

    /// Sets the store of task logs.
    pub fn logs(mut self, logs: Arc<dyn TaskLogs>) -> Self {
        self.ports.logs = logs;
        self
    }

    /// Sets the store of model calls.
    pub fn model_calls(mut self, calls: Arc<dyn ModelCalls>) -> Self {
        self.ports.calls = calls;
        self
    }

    /// Sets the store of what administrators decided about repositories.
    pub fn repository_policies(mut self, policies: Arc<dyn RepositoryPolicies>) -> Self {
        self.ports.policies = policies;
        self
    }

    /// Sets the counters of what happens.
    pub fn meter(mut self, meter: Arc<dyn Meter>) -> Self {
        self.ports.meter = meter;
        self
    }

    /// Sets the ports of Jira Cloud.
    pub fn jira(mut self, jira: JiraPorts) -> Self {
        self.ports.jira = Some(jira);
        self
    }

    /// Sets the clock of jobs and leases, and the source of ids.
    pub fn clock(mut self, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        (self.ports.clock, self.ports.ids) = (clock, ids);
        self
    }

    /// Builds the engine.
    pub fn build(self) -> Engine {
        Engine::new(self.ports, self.settings, self.marker)
    }
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
