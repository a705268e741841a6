//! How it goes: counted as jobs end, so that a look costs the same after a million of them.

use async_trait::async_trait;
use patchwright_domain::Usage;

use crate::store::StoreError;

/// What to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// Days, UTC.
    Day,
    /// Repositories.
    Repository,
    /// Nodes.
    Node,
    /// Models.
    Model,
}

impl GroupBy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Repository, Self::Node, Self::Model];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Repository => "repository",
            Self::Node => "node",
            Self::Model => "model",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == text)
    }
}

/// Which runs: those that ended from one day to another, both counted, `2026-11-22`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// What to tell apart.
    pub group_by: GroupBy,
}

/// What is known of a group of runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupStats {
    /// The day, repository, node or model; empty where there is none.
    pub key: String,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that people stopped.
    pub cancelled: u64,
    /// What the model cost.
    pub usage: Usage,
    /// Half of the runs waited no longer, and 95 of 100, in seconds.
    pub wait: Percentiles,
    /// The same for how long they ran.
    pub run: Percentiles,
}

/// Two of a hundred places in a row of durations, in seconds; 0 where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// The 50th.
    pub p50: f64,
    /// The 95th.
    pub p95: f64,
}

/// Tells them.
#[async_trait]
pub trait Stats: Send + Sync {
    /// Each group, by key.
    async fn stats(&self, query: StatsQuery) -> Result<Vec<GroupStats>, StoreError>;
}
