//! The port of statistics: sums by day, repository, node and model, updated with the end of each job.

use std::collections::BTreeMap;

use async_trait::async_trait;
use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Text};
use diesel::upsert::excluded;
use jiff::civil::Date;
use patchwright_core::stats::{GroupBy, GroupStats, Percentiles, Stats, StatsQuery};
use patchwright_core::store::StoreError;
use patchwright_domain::run_record::{RunRecord, bucket_seconds};
use patchwright_domain::{JobStatus, Usage};
use serde::Serialize;

use crate::DieselStore;
use crate::db::{in_read_tx, statements, store_error};
use crate::row::{signed, unsigned};
use crate::schema::{run_bucket, run_sum};

#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = run_sum)]
pub(crate) struct SumRow {
    dimension: String,
    day: String,
    name: String,
    succeeded: i64,
    failed: i64,
    cancelled: i64,
    calls: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cost_micros: i64,
}

#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = run_bucket)]
pub(crate) struct BucketRow {
    dimension: String,
    day: String,
    name: String,
    kind: String,
    bucket: i64,
    runs: i64,
}

const WAIT: &str = "wait";
const RUN: &str = "run";

/// The rows that a run adds to: a sum and two buckets for each dimension. A query then reads only the rows of its
/// dimension, however many repositories, nodes and models there are.
pub(crate) struct Counted {
    sums: Vec<SumRow>,
    buckets: Vec<BucketRow>,
}

/// Returns the rows of one run: for its day, and in all dimensions but the day also for its month.
pub(crate) fn rows(end: &RunRecord) -> Counted {
    let mut counted = Counted { sums: Vec::new(), buckets: Vec::new() };
    for group_by in GroupBy::ALL {
        let name = match group_by {
            GroupBy::Day => "",
            GroupBy::Repository => &end.repository,
            GroupBy::Node => &end.node,
            GroupBy::Model => &end.model,
        };
        counted.add(end, group_by.as_str(), &end.day, name);
        if let (Some(dimension), Some(month)) = (months(group_by), end.day.get(..MONTH_LENGTH)) {
            counted.add(end, dimension, month, name);
        }
    }
    counted
}

impl Counted {
    fn add(&mut self, end: &RunRecord, dimension: &str, day: &str, name: &str) {
        let one = |outcome: JobStatus| i64::from(end.outcome == outcome);
        self.sums.push(SumRow {
            dimension: dimension.to_owned(),
            day: day.to_owned(),
            name: name.to_owned(),
            succeeded: one(JobStatus::Succeeded),
            failed: one(JobStatus::Failed),
            cancelled: one(JobStatus::Cancelled),
            calls: i64::from(end.usage.calls),
            prompt_tokens: signed(end.usage.prompt_tokens),
            completion_tokens: signed(end.usage.completion_tokens),
            cost_micros: signed(end.usage.cost_micros),
        });
        for (kind, bucket) in [Some((WAIT, end.wait)), end.run.map(|run| (RUN, run))].into_iter().flatten() {
            self.buckets.push(BucketRow {
                dimension: dimension.to_owned(),
                day: day.to_owned(),
                name: name.to_owned(),
                kind: kind.to_owned(),
                bucket: i64::from(bucket),
                runs: 1,
            });
        }
    }
}

/// The length of the month in `2026-11-22`.
const MONTH_LENGTH: usize = 7;

/// The dimension of the monthly sums; a query over two years reads them and not 730 days.
const fn months(group_by: GroupBy) -> Option<&'static str> {
    match group_by {
        GroupBy::Day => None,
        GroupBy::Repository => Some("repository/month"),
        GroupBy::Node => Some("node/month"),
        GroupBy::Model => Some("model/month"),
    }
}

/// Splits a range of days into ranges of rows: the days before the first whole month, the whole months, and the days after
/// them.
fn ranges(query: &StatsQuery) -> [(&'static str, String, String); 3] {
    // The days of some repositories are summed from the rows of repositories.
    let days = if query.repositories.is_some() { GroupBy::Repository } else { query.group_by }.as_str();
    let nothing = || (days, String::new(), String::new());
    let all = || [(days, query.from.clone(), query.to.clone()), nothing(), nothing()];
    let Some(by_month) = months(query.group_by) else { return all() };
    let (Ok(from), Ok(to)) = (query.from.parse::<Date>(), query.to.parse::<Date>()) else { return all() };
    let first = if from.day() == 1 { Ok(from) } else { from.last_of_month().tomorrow() };
    let last = if to == to.last_of_month() { Ok(to) } else { to.first_of_month().yesterday() };
    let (Ok(first), Ok(last)) = (first, last) else { return all() };
    if last < first {
        return all();
    }
    let month = |date: Date| date.to_string()[..MONTH_LENGTH].to_owned();
    let before = first.yesterday().map_or_else(|_| nothing(), |day| (days, from.to_string(), day.to_string()));
    let behind = last.tomorrow().map_or_else(|_| nothing(), |day| (days, day.to_string(), to.to_string()));
    [before, (by_month, month(first), month(last)), behind]
}

impl SumRow {
    fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.calls += other.calls;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cost_micros += other.cost_micros;
    }
}

/// Merges rows of one key, because a statement may add to a row only once. The result is sorted by key, so that two
/// statements lock rows in the same order.
pub(crate) fn merged<'a>(ends: impl Iterator<Item = &'a Counted>) -> (Vec<SumRow>, Vec<BucketRow>) {
    let (mut sums, mut buckets) = (BTreeMap::new(), BTreeMap::new());
    for counted in ends {
        for row in &counted.sums {
            let key = [&row.dimension, &row.day, &row.name].map(String::clone);
            sums.entry(key).and_modify(|known: &mut SumRow| known.add(row)).or_insert_with(|| row.clone());
        }
        for row in &counted.buckets {
            let key = ([&row.dimension, &row.day, &row.name, &row.kind].map(String::clone), row.bucket);
            buckets.entry(key).and_modify(|known: &mut BucketRow| known.runs += 1).or_insert_with(|| row.clone());
        }
    }
    (sums.into_values().collect(), buckets.into_values().collect())
}

/// The columns of a sum, for SQL text.
pub(crate) const SUMS: [&str; 7] =
    ["succeeded", "failed", "cancelled", "calls", "prompt_tokens", "completion_tokens", "cost_micros"];
/// The key of a sum, for SQL text.
pub(crate) const SUM_KEY: &str = "dimension, day, name";
/// The key of a bucket, for SQL text.
pub(crate) const BUCKET_KEY: &str = "dimension, day, name, kind, bucket";

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = BigInt)]
    succeeded: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = BigInt)]
    cancelled: i64,
    #[diesel(sql_type = BigInt)]
    calls: i64,
    #[diesel(sql_type = BigInt)]
    prompt_tokens: i64,
    #[diesel(sql_type = BigInt)]
    completion_tokens: i64,
    #[diesel(sql_type = BigInt)]
    cost_micros: i64,
}

#[derive(QueryableByName)]
struct BucketCount {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    bucket: i64,
    #[diesel(sql_type = BigInt)]
    runs: i64,
}

/// The condition for the three ranges of [`ranges`].
const RANGES: &str = "(dimension = $1 AND day >= $2 AND day <= $3) OR (dimension = $4 AND day >= $5 AND day <= $6)
    OR (dimension = $7 AND day >= $8 AND day <= $9)";

const fn column(group_by: GroupBy) -> &'static str {
    match group_by {
        GroupBy::Day => "day",
        GroupBy::Repository | GroupBy::Node | GroupBy::Model => "name",
    }
}

statements! {
    pub(crate) trait StatsStatements {
        fn count_run(conn, counted: &Counted) -> QueryResult<()> {
            for sum in &counted.sums {
            diesel::insert_into(run_sum::table)
                .values(sum.clone())
                .on_conflict((run_sum::dimension, run_sum::day, run_sum::name))
                .do_update()
                .set((
                    run_sum::succeeded.eq(run_sum::succeeded + excluded(run_sum::succeeded)),
                    run_sum::failed.eq(run_sum::failed + excluded(run_sum::failed)),
                    run_sum::cancelled.eq(run_sum::cancelled + excluded(run_sum::cancelled)),
                    run_sum::calls.eq(run_sum::calls + excluded(run_sum::calls)),
                    run_sum::prompt_tokens.eq(run_sum::prompt_tokens + excluded(run_sum::prompt_tokens)),
                    run_sum::completion_tokens.eq(run_sum::completion_tokens + excluded(run_sum::completion_tokens)),
                    run_sum::cost_micros.eq(run_sum::cost_micros + excluded(run_sum::cost_micros)),
                ))
                .execute(conn)?;
            }
            for row in &counted.buckets {
                diesel::insert_into(run_bucket::table)
                    .values(row.clone())
                    .on_conflict((
                        run_bucket::dimension,
                        run_bucket::day,
                        run_bucket::name,
                        run_bucket::kind,
                        run_bucket::bucket,
                    ))
                    .do_update()
                    .set(run_bucket::runs.eq(run_bucket::runs + excluded(run_bucket::runs)))
                    .execute(conn)?;
            }
            Ok(())
        }
    }
}

statements! {
    trait SumStatements {
        fn sums(conn, query: &StatsQuery) -> QueryResult<Vec<Sum>> {
            let key = column(query.group_by);
            let sums = SUMS.map(|column| format!("CAST(sum({column}) AS BIGINT) AS {column}")).join(", ");
            let condition = condition(query);
            let sql = format!("SELECT {key} AS key, {sums} FROM run_sum WHERE {condition} GROUP BY {key}");
            within(diesel::sql_query(sql).into_boxed(), query).load(conn)
        }

        fn buckets(conn, query: &StatsQuery) -> QueryResult<Vec<BucketCount>> {
            let key = column(query.group_by);
            let condition = condition(query);
            let sql = format!(
                "SELECT {key} AS key, kind, bucket, CAST(sum(runs) AS BIGINT) AS runs FROM run_bucket
                WHERE {condition} GROUP BY {key}, kind, bucket ORDER BY {key}, kind, bucket"
            );
            within(diesel::sql_query(sql).into_boxed(), query).load(conn)
        }
    }
}

/// Returns the condition for the ranges and the repositories.
fn condition(query: &StatsQuery) -> String {
    match &query.repositories {
        None => RANGES.to_owned(),
        Some(names) => {
            let places: Vec<String> = (0..names.len()).map(|n| format!("${}", FIRST_NAME + n)).collect();
            format!("({RANGES}) AND name IN ({})", places.join(", "))
        }
    }
}

/// The number of the first parameter behind those of [`RANGES`].
const FIRST_NAME: usize = 10;

/// Binds the three ranges and the repositories.
fn within<'f, DB>(sql: BoxedSqlQuery<'f, DB, SqlQuery>, query: &StatsQuery) -> BoxedSqlQuery<'f, DB, SqlQuery>
where
    DB: Backend + HasSqlType<Text>,
    String: ToSql<Text, DB>,
{
    let sql = ranges(query).into_iter().fold(sql, |sql, (dimension, from, to)| {
        sql.bind::<Text, _>(dimension.to_owned()).bind::<Text, _>(from).bind::<Text, _>(to)
    });
    let names = query.repositories.clone().unwrap_or_default();
    names.into_iter().fold(sql, BoxedSqlQuery::bind::<Text, _>)
}

/// Returns the percentiles of a sorted list of buckets.
fn percentiles(buckets: &[(u16, u64)]) -> Percentiles {
    let all: u64 = buckets.iter().map(|(_, runs)| runs).sum();
    let place = |hundredths: u64| {
        let rank = (all * hundredths).div_ceil(100);
        let mut passed = 0;
        let found = buckets.iter().find(|(_, runs)| {
            passed += runs;
            passed >= rank
        });
        found.filter(|_| all > 0).map_or(0.0, |(bucket, _)| bucket_seconds(*bucket))
    };
    Percentiles { p50: place(50), p95: place(95) }
}

#[async_trait]
impl Stats for DieselStore {
    async fn stats(&self, query: StatsQuery) -> Result<Vec<GroupStats>, StoreError> {
        let is_kept = matches!(query.group_by, GroupBy::Day | GroupBy::Repository);
        if query.repositories.as_ref().is_some_and(|names| names.is_empty() || !is_kept) {
            return Ok(Vec::new());
        }
        self.blocking(move |db| {
            let sums = in_read_tx!(db, conn => conn.sums(&query).map_err(store_error))?;
            let buckets = in_read_tx!(db, conn => conn.buckets(&query).map_err(store_error))?;
            let mut rows: BTreeMap<(String, String), Vec<(u16, u64)>> = BTreeMap::new();
            for BucketCount { key, kind, bucket, runs } in buckets {
                let place = (unsigned("run_bucket", &key, bucket)?, unsigned("run_bucket", &key, runs)?);
                rows.entry((key, kind)).or_default().push(place);
            }
            let mut groups = Vec::with_capacity(sums.len());
            for sum in sums {
                let number = |number| unsigned("run_sum", &sum.key, number);
                let of = |kind: &str| rows.get(&(sum.key.clone(), kind.to_owned()));
                groups.push(GroupStats {
                    succeeded: number(sum.succeeded)?,
                    failed: number(sum.failed)?,
                    cancelled: number(sum.cancelled)?,
                    usage: Usage {
                        calls: unsigned("run_sum", &sum.key, sum.calls)?,
                        prompt_tokens: number(sum.prompt_tokens)?,
                        completion_tokens: number(sum.completion_tokens)?,
                        cost_micros: number(sum.cost_micros)?,
                    },
                    wait: of(WAIT).map(|row| percentiles(row)).unwrap_or_default(),
                    run: of(RUN).map(|row| percentiles(row)).unwrap_or_default(),
                    key: sum.key,
                });
            }
            groups.sort_by(|one, other| one.key.cmp(&other.key));
            Ok(groups)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_range_of_days_is_read_by_whole_months() {
        let ask = |from: &str, to: &str, group_by| {
            let query = StatsQuery { from: from.to_owned(), to: to.to_owned(), group_by, repositories: None };
            ranges(&query).map(|(dimension, from, to)| format!("{dimension} {from}..{to}"))
        };
        assert_eq!(
            ask("2025-01-15", "2026-03-10", GroupBy::Repository),
            [
                "repository 2025-01-15..2025-01-31",
                "repository/month 2025-02..2026-02",
                "repository 2026-03-01..2026-03-10"
            ]
        );
        assert_eq!(ask("2026-01-15", "2026-02-10", GroupBy::Node)[0], "node 2026-01-15..2026-02-10");
        // Whole months alone: the ranges around them hold nothing.
        assert_eq!(
            ask("2026-01-01", "2026-02-28", GroupBy::Model),
            ["model 2026-01-01..2025-12-31", "model/month 2026-01..2026-02", "model 2026-03-01..2026-02-28"]
        );
        assert_eq!(ask("2025-01-15", "2026-03-10", GroupBy::Day)[0], "day 2025-01-15..2026-03-10");
    }
}
