//! Statistics.

use actix_web::{HttpResponse, web};
use patchwright_core::stats::{GroupBy, GroupStats, Percentiles};
use patchwright_protocol::stats::{GroupView, PercentilesView, StatsQuery, StatsView};

use crate::State;
use crate::error::ApiError;
use crate::extract::Caller;
use crate::page::{self, word};

fn percentiles_view(percentiles: Percentiles) -> PercentilesView {
    // The further digits of an estimate mean nothing.
    let rounded = |seconds: f64| (seconds * 10.0).round() / 10.0;
    PercentilesView { p50: rounded(percentiles.p50), p95: rounded(percentiles.p95) }
}

#[expect(clippy::cast_precision_loss, reason = "a rate and a sum of money for people")]
fn group_view(group: GroupStats) -> GroupView {
    let ended = group.succeeded + group.failed;
    GroupView {
        success_rate: (ended > 0).then(|| group.succeeded as f64 / ended as f64),
        cost: group.usage.cost_micros as f64 / 1e6,
        key: group.key,
        succeeded: group.succeeded,
        failed: group.failed,
        cancelled: group.cancelled,
        wait_seconds: percentiles_view(group.wait),
        run_seconds: percentiles_view(group.run),
        model_calls: group.usage.calls,
        prompt_tokens: group.usage.prompt_tokens,
        completion_tokens: group.usage.completion_tokens,
    }
}

#[utoipa::path(get, path = "/api/v1/stats", tag = "statistics", params(StatsQuery),
    responses((status = 200, body = StatsView), (status = 400, description = "Invalid day or group"),
        (status = 403, description = "Only administrators see statistics by node and model")))]
pub(crate) async fn get(
    Caller(principal): Caller,
    query: web::Query<StatsQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let from = page::parse(query.from.as_ref(), "bad_day")?;
    let to = page::parse(query.to.as_ref(), "bad_day")?;
    let group_by = word(query.group_by.as_ref(), GroupBy::parse, "thing to group by")?;
    let period = state.management.stats().count(&principal, from, to, group_by).await?;
    Ok(HttpResponse::Ok().json(StatsView {
        from: period.from.to_string(),
        to: period.to.to_string(),
        group_by: period.group_by.as_str().to_owned(),
        groups: period.groups.into_iter().map(group_view).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_every_group() {
        assert_eq!(patchwright_protocol::stats::GROUPS, GroupBy::ALL.map(GroupBy::as_str));
    }
}
