//! Statistics over runs. They are summed as jobs end, so that the cost of a query does not grow with the number of
//! jobs.

use async_trait::async_trait;
use patchwright_domain::Usage;

use crate::store::StoreError;

/// What runs are grouped by.
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

    /// Returns the name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Repository => "repository",
            Self::Node => "node",
            Self::Model => "model",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == text)
    }
}

/// A query over the runs that ended in a range of days, both inclusive, such as `2026-11-22`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// What the runs are grouped by.
    pub group_by: GroupBy,
    /// The names of the repositories whose runs count; `None` for all. With it, runs are grouped by day or repository only:
    /// those by node and model are not kept for each repository, and there are no groups of them.
    pub repositories: Option<Vec<String>>,
}

/// The statistics of one group of runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupStats {
    /// The day, repository, node or model; empty for runs without one.
    pub key: String,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that were cancelled.
    pub cancelled: u64,
    /// The model usage of all runs.
    pub usage: Usage,
    /// How long the runs waited.
    pub wait: Percentiles,
    /// How long they ran.
    pub run: Percentiles,
}

/// Percentiles of durations, in seconds; 0 without durations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    /// The 50th.
    pub p50: f64,
    /// The 95th.
    pub p95: f64,
}

/// The query of statistics.
#[async_trait]
pub trait Stats: Send + Sync {
    /// Returns the groups, by key.
    async fn stats(&self, query: StatsQuery) -> Result<Vec<GroupStats>, StoreError>;
}
