//! The statistics on both databases.

use std::sync::Arc;

use patchwright_core::stats::{GroupBy, Stats as _, StatsQuery};
use patchwright_core::store::{Step, Store as _};
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{JobStatus, Usage};
use patchwright_store_diesel::DieselStore;

use crate::on_both_databases;
use crate::sql::Sql;

fn run(n: u64) -> RunRecord {
    let usage = Usage { calls: 3, prompt_tokens: 100, completion_tokens: 10, cost_micros: 5 };
    RunRecord {
        day: format!("2026-01-{:02}", n % 2 + 1),
        repository: if n.is_multiple_of(4) { "acme/other" } else { "acme/demo" }.to_owned(),
        node: "embedded".to_owned(),
        model: "m".to_owned(),
        outcome: if n.is_multiple_of(10) { JobStatus::Failed } else { JobStatus::Succeeded },
        wait: 0,
        run: Some(if n % 100 < 90 { 20 } else { 40 }),
        usage,
    }
}

async fn every_run_is_counted_once(store: DieselStore, _: Sql) {
    let store = Arc::new(store);
    // Concurrently, so that several runs of one key share a statement.
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = Arc::clone(&store);
        let ended = Some(run(n));
        writes.spawn(async move { store.commit(Step { ended, ..Step::default() }).await.unwrap() });
    }
    writes.join_all().await;
    let query = async |from: &str, to: &str, group_by| {
        store
            .stats(StatsQuery { from: from.to_owned(), to: to.to_owned(), group_by, repositories: None })
            .await
            .unwrap()
    };
    let days = query("2026-01-01", "2026-01-31", GroupBy::Day).await;
    assert_eq!(days.iter().map(|day| day.key.as_str()).collect::<Vec<_>>(), ["2026-01-01", "2026-01-02"]);
    assert_eq!((days[0].failed, days[0].succeeded, days[1].failed, days[1].succeeded), (20, 80, 0, 100));
    let repositories = query("2026-01-01", "2026-01-01", GroupBy::Repository).await;
    assert_eq!(repositories.len(), 2);
    assert_eq!(repositories.iter().map(|group| group.succeeded + group.failed).sum::<u64>(), 100);
    let models = query("2026-01-01", "2026-01-31", GroupBy::Model).await;
    assert_eq!((models[0].usage.calls, models[0].usage.prompt_tokens), (600, 20_000));
    assert!(models[0].run.p50 > 30.0 && models[0].run.p50 < 36.0, "{:?}", models[0].run);
    assert!(models[0].run.p95 > 1_000.0 && models[0].run.p95 < 1_200.0, "{:?}", models[0].run);
    assert!(models[0].wait.p95 < 1.0);
    assert_eq!(
        query("2025-12-15", "2026-02-02", GroupBy::Model).await,
        models,
        "the sum of a month is that of its days"
    );
    assert_eq!(query("2026-02-01", "2026-02-02", GroupBy::Node).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_is_counted_once_on_both_databases() {
    on_both_databases(every_run_is_counted_once).await;
}
