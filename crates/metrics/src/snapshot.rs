//! The present state of the queue and the nodes, read when the metrics are.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::{Labels, label};

/// A repository whose jobs wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRepository {
    /// `owner/name`; repositories of two forges with the same name are one.
    pub name: String,
    /// How many of its jobs wait.
    pub jobs: u64,
    /// How long the oldest of them has been waiting, in seconds.
    pub oldest_seconds: i64,
}

/// How many nodes are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Nodes that take tasks.
    pub ready: u64,
    /// Nodes that finish their tasks and take no more.
    pub draining: u64,
    /// Nodes without enough free disk for a task.
    pub full: u64,
    /// Nodes without a heartbeat.
    pub offline: u64,
    /// The tasks that the nodes run.
    pub running: u64,
    /// The tasks that the ready nodes can run at once.
    pub slots: u64,
}

/// The present state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Jobs that wait for a worker.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// Requests that are not decided.
    pub requests: u64,
    /// Messages to forges and trackers that are not delivered.
    pub effects: u64,
    /// Events of trackers that are not processed.
    pub events: u64,
    /// How old the oldest message is that is due, or that failed and is tried again, in seconds.
    pub effect_lag_seconds: i64,
    /// The repositories with the longest queues.
    pub waiting: Vec<WaitingRepository>,
    /// How many remote nodes there are, and what they can take.
    pub nodes: NodeCounts,
    /// The connections of the database's pool that are in use, and all of them.
    pub database_connections: (u32, u32),
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn gauges(values: impl IntoIterator<Item = (Labels, i64)>) -> Family<Labels, Gauge> {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    family
}

impl Snapshot {
    pub(crate) fn register(&self, state: &mut Registry) {
        let depth = [
            ("requests", self.requests),
            ("queued", self.queued),
            ("running", self.running),
            ("effects", self.effects),
            ("events", self.events),
        ];
        let depth = depth.map(|(name, count)| (vec![label("state", name)], signed(count)));
        state.register("queue_jobs", "What waits or runs, by state", gauges(depth));
        let lag = gauges([(vec![], self.effect_lag_seconds)]);
        state.register_with_unit(
            "effects_lag",
            "How old the oldest message is that is due or tried again",
            Unit::Seconds,
            lag,
        );
        let of = |repository: &WaitingRepository| vec![label("repository", &repository.name)];
        let jobs = gauges(self.waiting.iter().map(|one| (of(one), signed(one.jobs))));
        state.register("queue_waiting", "Jobs that wait, of the repositories with the longest queues", jobs);
        let oldest = gauges(self.waiting.iter().map(|one| (of(one), one.oldest_seconds)));
        let help = "How long the oldest waiting job of a repository has been waiting";
        state.register_with_unit("queue_oldest", help, Unit::Seconds, oldest);
        let NodeCounts { ready, draining, full, offline, running, slots } = self.nodes;
        let nodes = [("ready", ready), ("draining", draining), ("full", full), ("offline", offline)];
        let nodes = nodes.map(|(name, count)| (vec![label("state", name)], signed(count)));
        state.register("nodes", "Remote nodes, by state", gauges(nodes));
        let load = [("running", running), ("slots", slots)].map(|(name, n)| (vec![label("kind", name)], signed(n)));
        state.register("node_tasks", "Tasks that remote nodes run, and can run at once", gauges(load));
        let (used, all) = self.database_connections;
        let pool = [("used", used), ("all", all)].map(|(name, n)| (vec![label("state", name)], i64::from(n)));
        state.register("database_connections", "Connections of the database's pool", gauges(pool));
    }
}
