//! Statistics, as a page and for spreadsheets.

use crate::page::{Page as _, Statistics};
use actix_web::{HttpResponse, web};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use patchwright_core::stats::{GroupBy, GroupStats};
use patchwright_domain::Role;
use patchwright_management::{ManagementError, StatsPeriod};
use serde::Deserialize;

use super::State;
use super::jobs::download;
use super::page_request::{PageError, PageRequest, parse_word};

/// The longest range whose days without a run are shown too.
const MAX_DAYS: i32 = 366;

/// The filter of the runs. A form sends empty fields for inputs that are empty.
#[derive(Deserialize)]
pub(super) struct StatsQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    group_by: String,
}

impl StatsQuery {
    /// Returns the period that was asked for, or else the usual one.
    async fn count(&self, page: &PageRequest, state: &State) -> Result<StatsPeriod, ManagementError> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let day = |text: &str| given(text).map(|day| day.parse()).transpose();
        let invalid = |error: jiff::Error| ManagementError::invalid("bad_day", error.to_string());
        let group_by = parse_word(&self.group_by, GroupBy::parse, "thing to group by")?;
        let (from, to) = (day(&self.from).map_err(invalid)?, day(&self.to).map_err(invalid)?);
        state.management.stats().count(&page.principal, from, to, group_by).await
    }
}

pub(super) async fn show(
    page: PageRequest,
    query: web::Query<StatsQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render(&page, &query, &state).await;
    page.render(html)
}

async fn render(page: &PageRequest, query: &StatsQuery, state: &State) -> Result<String, ManagementError> {
    let StatsPeriod { from, to, group_by, groups } = query.count(page, state).await?;
    let (earlier, yesterday) = period_before(from, to);
    let before =
        state.management.stats().count(&page.principal, Some(earlier), Some(yesterday), Some(group_by)).await?;
    let groups = if group_by == GroupBy::Day { every_day(from, to, groups) } else { groups };
    Ok(Statistics {
        layout: &page.layout,
        from: &from.to_string(),
        to: &to.to_string(),
        group_by,
        sees_all: page.principal.role() == Role::Admin,
        today: state.management.now().to_zoned(TimeZone::UTC).date(),
        groups: &groups,
        before: &before.groups,
    }
    .html())
}

/// Returns the first and the last day of the period that ends before another one and is as long.
fn period_before(from: Date, to: Date) -> (Date, Date) {
    let last = from.saturating_sub(1.day());
    let days = from.until(to).map_or(0, |span| span.get_days().max(0));
    (last.saturating_sub(days.days()), last)
}

/// Adds the days without runs, so that the time axis is uniform. Days before the first run are left out.
fn every_day(from: Date, to: Date, groups: Vec<GroupStats>) -> Vec<GroupStats> {
    let Some(first) = groups.first().and_then(|group| group.key.parse::<Date>().ok()) else { return groups };
    let mut known = groups.into_iter().peekable();
    let mut all = Vec::new();
    let mut day = first.max(from);
    for _ in 0..MAX_DAYS {
        let key = day.to_string();
        if day > to {
            break;
        }
        let group = known.next_if(|group| group.key == key);
        all.push(group.unwrap_or_else(|| GroupStats { key, ..GroupStats::default() }));
        let Ok(next) = day.checked_add(1.day()) else { break };
        day = next;
    }
    all.extend(known);
    all
}

pub(super) async fn csv(
    page: PageRequest,
    query: web::Query<StatsQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    match query.count(&page, &state).await {
        Ok(period) => {
            let name = format!("patchwright-{}-{}-{}.csv", period.group_by.as_str(), period.from, period.to);
            Ok(download(&name).content_type("text/csv; charset=utf-8").body(table(&period)))
        }
        Err(error) => Err(page.error(error)),
    }
}

fn table(period: &StatsPeriod) -> String {
    let mut out = format!(
        "{},succeeded,failed,cancelled,wait_p50_seconds,wait_p95_seconds,run_p50_seconds,run_p95_seconds,model_calls,\
         prompt_tokens,completion_tokens,cost\r\n",
        period.group_by.as_str()
    );
    for group in &period.groups {
        let GroupStats { key, succeeded, failed, cancelled, usage, wait, run } = group;
        #[expect(clippy::cast_precision_loss, reason = "a price has fewer digits")]
        let cost = usage.cost_micros as f64 / 1e6;
        out.push_str(&format!(
            "{},{succeeded},{failed},{cancelled},{:.1},{:.1},{:.1},{:.1},{},{},{},{cost:.6}\r\n",
            field(key),
            wait.p50,
            wait.p95,
            run.p50,
            run.p95,
            usage.calls,
            usage.prompt_tokens,
            usage.completion_tokens
        ));
    }
    out
}

/// Formats a name as a field (RFC 4180). A text that starts like a formula is escaped, so that no spreadsheet evaluates
/// it.
fn field(name: &str) -> String {
    let formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let name = if formula { format!("'{name}") } else { name.to_owned() };
    if name.contains([',', '"', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_field_or_become_formulas() {
        assert_eq!(["acme/demo", "a,b", "x\"y", "=1+1"].map(field), ["acme/demo", "\"a,b\"", "\"x\"\"y\"", "'=1+1"]);
    }

    #[test]
    fn the_period_before_is_as_long_and_ends_the_day_before() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let before = |from, to| period_before(date(from), date(to));
        assert_eq!(before("2026-11-02", "2026-12-01"), (date("2026-10-03"), date("2026-11-01")));
        assert_eq!(before("2026-12-01", "2026-12-01"), (date("2026-11-30"), date("2026-11-30")));
    }

    #[test]
    fn days_without_a_run_are_days_too() {
        let day = |key: &str| GroupStats { key: key.to_owned(), succeeded: 1, ..GroupStats::default() };
        let date = |text: &str| text.parse::<Date>().unwrap();
        let all = every_day(date("2026-10-01"), date("2026-10-09"), vec![day("2026-10-04"), day("2026-10-07")]);
        let shown: Vec<(&str, u64)> = all.iter().map(|group| (group.key.as_str(), group.succeeded)).collect();
        let expected = [("2026-10-04", 1), ("2026-10-05", 0), ("2026-10-06", 0), ("2026-10-07", 1)];
        assert_eq!(shown[..4], expected);
        assert_eq!(shown.len(), 6, "up to the last day that was asked for");
        assert!(every_day(date("2026-10-01"), date("2026-10-09"), vec![]).is_empty());
    }
}
