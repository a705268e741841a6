//! Statistics.

use serde::{Deserialize, Serialize};

/// The values of `group_by`.
pub const GROUPS: [&str; 4] = ["day", "repository", "node", "model"];

/// Which runs to count.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct StatsQuery {
    /// The first day, UTC; without it 30 days ago.
    #[cfg_attr(feature = "openapi", param(format = Date))]
    pub from: Option<String>,
    /// The last day, UTC; without it today.
    #[cfg_attr(feature = "openapi", param(format = Date))]
    pub to: Option<String>,
    #[cfg_attr(feature = "openapi", param(schema_with = crate::schemas::group))]
    pub group_by: Option<String>,
}

/// Counts of the runs that ended in a period.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsView {
    pub from: String,
    pub to: String,
    pub group_by: String,
    pub groups: Vec<GroupView>,
}

/// The counts of one day, repository, node or model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupView {
    /// Empty for runs without a model or node.
    pub key: String,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// The share of successes among runs that were not cancelled; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    pub wait_seconds: PercentilesView,
    pub run_seconds: PercentilesView,
    pub model_calls: u32,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// In the currency of the configured prices.
    pub cost: f64,
}

/// Percentiles, accurate to within a tenth of their value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PercentilesView {
    pub p50: f64,
    pub p95: f64,
}
