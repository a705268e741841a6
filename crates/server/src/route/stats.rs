//! How it goes.

use actix_web::{HttpResponse, web};
use jiff::SignedDuration;
use jiff::civil::Date;
use patchwright_core::Clock as _;
use patchwright_core::stats::{GroupBy, GroupStats, Percentiles, Stats as _, StatsQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::error::ApiError;
use super::page::{parsed, word};
use super::words;
use crate::auth::Caller;
use patchwright_engine::clock::SystemClock;

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// The first day, UTC; without it 30 days ago.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day, UTC; without it today.
    #[param(format = Date)]
    to: Option<String>,
    #[param(schema_with = words::group)]
    group_by: Option<String>,
}

/// Runs that ended in some days.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatsView {
    from: String,
    to: String,
    group_by: String,
    groups: Vec<GroupView>,
}

/// A day, repository, node or model.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupView {
    /// Empty where there is none: no model was asked, no node had the job.
    key: String,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    /// Of those that were not cancelled; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
    wait_seconds: PercentilesView,
    run_seconds: PercentilesView,
    model_calls: u32,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// In the unit of the configured prices.
    cost: f64,
}

/// To within a tenth.
#[derive(Serialize, ToSchema)]
pub(crate) struct PercentilesView {
    p50: f64,
    p95: f64,
}

impl From<Percentiles> for PercentilesView {
    fn from(percentiles: Percentiles) -> Self {
        // The last digits of an estimate say nothing.
        let short = |seconds: f64| (seconds * 10.0).round() / 10.0;
        Self { p50: short(percentiles.p50), p95: short(percentiles.p95) }
    }
}

impl From<GroupStats> for GroupView {
    #[expect(clippy::cast_precision_loss, reason = "a rate and a sum of money for people")]
    fn from(group: GroupStats) -> Self {
        let ended = group.succeeded + group.failed;
        Self {
            success_rate: (ended > 0).then(|| group.succeeded as f64 / ended as f64),
            cost: group.usage.cost_micros as f64 / 1e6,
            key: group.key,
            succeeded: group.succeeded,
            failed: group.failed,
            cancelled: group.cancelled,
            wait_seconds: group.wait.into(),
            run_seconds: group.run.into(),
            model_calls: group.usage.calls,
            prompt_tokens: group.usage.prompt_tokens,
            completion_tokens: group.usage.completion_tokens,
        }
    }
}

#[utoipa::path(get, path = "/api/v1/stats", tag = "statistics", params(Query),
    responses((status = 200, body = StatsView), (status = 400, description = "A day makes no sense"),
        (status = 401, description = "Nobody asks")))]
pub(crate) async fn show(
    _: Caller,
    query: web::Query<Query>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let Query { from, to, group_by } = query.into_inner();
    let Asked { from, to, group_by, groups } = asked(&state, from, to, group_by).await?;
    Ok(HttpResponse::Ok().json(StatsView {
        from: from.to_string(),
        to: to.to_string(),
        group_by: group_by.as_str().to_owned(),
        groups: groups.into_iter().map(GroupView::from).collect(),
    }))
}

/// What was asked for, and the answer.
pub(super) struct Asked {
    pub(super) from: Date,
    pub(super) to: Date,
    pub(super) group_by: GroupBy,
    pub(super) groups: Vec<GroupStats>,
}

/// Counts runs. What is left out is the last 30 days, by day.
pub(super) async fn asked(
    state: &State,
    from: Option<String>,
    to: Option<String>,
    group_by: Option<String>,
) -> Result<Asked, ApiError> {
    let now = SystemClock.now();
    let day = |back: i64| {
        let at = now.saturating_sub(SignedDuration::from_hours(24 * back)).unwrap_or(now);
        at.to_zoned(jiff::tz::TimeZone::UTC).date()
    };
    let from: Date = parsed(from.as_ref(), "bad_day")?.unwrap_or_else(|| day(30));
    let to: Date = parsed(to.as_ref(), "bad_day")?.unwrap_or_else(|| day(0));
    let group_by = word(group_by.as_ref(), GroupBy::parse, "thing to group by")?.unwrap_or(GroupBy::Day);
    let query = StatsQuery { from: from.to_string(), to: to.to_string(), group_by };
    let groups = state.app.store.stats(query).await?;
    Ok(Asked { from, to, group_by, groups })
}
