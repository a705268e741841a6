//! Statistics over a million jobs that ended: two years, 50 repositories, 3 nodes, 2 models.
//!
//! `cargo bench -p patchwright-store-diesel --bench stats`; `BENCH_JOBS` sets how many.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed measurement ends the program")]

use std::sync::Arc;
use std::time::Instant;

use jiff::civil::date;
use jiff::{Span, ToSpan as _};
use patchwright_core::stats::{GroupBy, Stats as _, StatsQuery};
use patchwright_core::store::{Step, Store as _};
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{JobStatus, Usage};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::postgres;

const DAYS: u64 = 730;

fn day(number: u64) -> String {
    let span: Span = i64::try_from(number).unwrap().days();
    date(2025, 1, 1).checked_add(span).unwrap().to_string()
}

/// Returns the record of a run. The distribution is the same for every execution.
fn run(n: u64) -> RunRecord {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    RunRecord {
        day: day(n % DAYS),
        repository: format!("acme/r{}", mixed % 50),
        node: format!("node-{}", mixed / 50 % 3),
        model: format!("model-{}", mixed / 150 % 2),
        outcome: if mixed.is_multiple_of(5) { JobStatus::Failed } else { JobStatus::Succeeded },
        wait: u16::try_from(mixed / 300 % 8).unwrap(),
        run: Some(30 + u16::try_from(mixed / 2400 % 12).unwrap()),
        usage: Usage { calls: 4, prompt_tokens: 9_000, completion_tokens: 900, cost_micros: 1_000 },
    }
}

async fn measure(name: &str, store: DieselStore, jobs: u64) {
    store.migrate().await.unwrap();
    let store = Arc::new(store);
    let began = Instant::now();
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..jobs {
        let (store, ended) = (Arc::clone(&store), Some(run(n)));
        writes.spawn(async move { store.commit(Step { ended, ..Step::default() }).await.unwrap() });
        if writes.len() >= 256 {
            writes.join_next().await.unwrap().unwrap();
        }
    }
    writes.join_all().await;
    println!("{name}: {jobs} ends counted in {:.0} s", began.elapsed().as_secs_f64());
    for (range, from) in [("30 days", DAYS - 30), ("a year", DAYS - 365), ("two years", 0)] {
        for group_by in GroupBy::ALL {
            let query = StatsQuery { from: day(from), to: day(DAYS), group_by, repositories: None };
            let mut times = Vec::new();
            for _ in 0..10 {
                let began = Instant::now();
                assert!(!store.stats(query.clone()).await.unwrap().is_empty());
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            times.sort_by(f64::total_cmp);
            println!("  {range} by {}: median {:.1} ms, worst {:.1} ms", group_by.as_str(), times[5], times[9]);
        }
    }
}

fn main() {
    let jobs = std::env::var("BENCH_JOBS").map_or(1_000_000, |text| text.parse().unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = DieselStore::open(&format!("sqlite://{}/p.db", folder.path().display())).await.unwrap();
        measure("SQLite", store, jobs).await;
        if let Some(cluster) = postgres::cluster().await {
            let store = DieselStore::open(&cluster.database("stats")).await.unwrap();
            measure("PostgreSQL", store, jobs).await;
        }
    });
}
