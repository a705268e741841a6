//! The cost of a durable "accepted": real signed deliveries over loopback, compared with minimal prototypes of the same
//! parts in the same run.
//!
//! `cargo bench -p patchwright-server --bench intake` (needs `wrk`; PostgreSQL's programs for its rows). `BENCH_SECONDS`
//! and `BENCH_ROUNDS` set the length, `WEBHOOK_EXAMPLES` names a folder of npm's `@octokit/webhooks-examples` to take the
//! comment from; without it a comment of the same shape and size is made up.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be taken ends here")]

mod body;
mod prototype;
mod server;
mod wrk;

use std::collections::BTreeMap;

use patchwright_testkit::postgres;

use crate::server::{Kind, Sample};

/// Connections of the load.
const CONNECTIONS: u32 = 32;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--prototype") {
        return prototype::run(&args[at + 1], &args[at + 2]);
    }
    let number = |name: &str, usual: u32| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seconds, rounds) = (number("BENCH_SECONDS", 5), number("BENCH_ROUNDS", 3));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(postgres::cluster());
    let body = body::read();
    println!(
        "{} byte bodies, distinct and signed, {CONNECTIONS} connections, {rounds} rounds of {seconds} s in turn, load {}",
        body.len(),
        std::fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    let folder = tempfile::tempdir().unwrap();
    let script = wrk::script(folder.path(), &body);
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| cluster.is_some() || !kind.needs_postgres()).collect();
    let mut samples: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for round in 0..rounds {
        for kind in &kinds {
            let sample = server::measure(*kind, round, folder.path(), cluster.as_deref(), |url, warm| {
                wrk::flat_out(&script, url, if warm { 1 } else { seconds }, CONNECTIONS)
            });
            samples.entry(kind.name()).or_default().push(sample);
        }
    }
    table(&kinds, &samples);
    bars(&samples);
    paced(folder.path(), &script, seconds);
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn table(kinds: &[Kind], samples: &BTreeMap<&str, Vec<Sample>>) {
    println!(
        "\n{:<34}{:>10}{:>10}{:>9}{:>9}{:>9}{:>11}",
        "medians", "accepted/s", "CPU µs", "p50 ms", "p99 ms", "RSS MB", "rows/sync"
    );
    for kind in kinds {
        let all = &samples[kind.name()];
        let rows = median(all, |sample| sample.rows_per_commit);
        println!(
            "{:<34}{:>10.0}{:>10.0}{:>9.2}{:>9.2}{:>9.1}{:>11}",
            kind.name(),
            median(all, |sample| sample.per_second),
            median(all, |sample| sample.cpu_micros),
            median(all, |sample| sample.p50_ms),
            median(all, |sample| sample.p99_ms),
            median(all, |sample| sample.rss_mb),
            if rows > 0.0 { format!("{rows:.1}") } else { String::new() },
        );
    }
}

fn bars(samples: &BTreeMap<&str, Vec<Sample>>) {
    let per_second = |kind: Kind| samples.get(kind.name()).map(|all| median(all, |sample| sample.per_second));
    let cpu = |kind: Kind| samples.get(kind.name()).map_or(0.0, |all| median(all, |sample| sample.cpu_micros));
    let ratio = |ours: Kind, other: Kind| per_second(ours).zip(per_second(other)).map(|(ours, other)| ours / other);
    println!();
    let bar = |what: &str, value: Option<f64>, target: f64| {
        if let Some(value) = value {
            let met = if value >= target { "met" } else { "MISSED" };
            println!("{what}: {value:.2} (target at least {target}): {met}");
        }
    };
    bar("on SQLite, of the group-commit prototype", ratio(Kind::Sqlite, Kind::GroupCommit), 0.8);
    bar("on SQLite, of one commit a request", ratio(Kind::Sqlite, Kind::CommitEach), 2.5);
    bar("on PostgreSQL, of the batching prototype", ratio(Kind::Postgres, Kind::PostgresBatch), 0.8);
    println!("CPU of an accepted delivery on SQLite: {:.0} µs (target at most 200)", cpu(Kind::Sqlite));
}

/// Latency at a fixed rate, which is what a platform sees.
fn paced(folder: &std::path::Path, script: &std::path::Path, seconds: u32) {
    println!();
    for rate in [100, 500] {
        let mut shown = Vec::new();
        for kind in [Kind::GroupCommit, Kind::Sqlite] {
            let sample = server::measure(kind, 100 + rate, folder, None, |url, warm| {
                wrk::paced(script, url, if warm { 1 } else { seconds }, CONNECTIONS, rate)
            });
            shown.push(sample);
        }
        println!(
            "at {rate}/s: prototype p50 {:.2} p99 {:.2} ms, ours p50 {:.2} p99 {:.2} ms, ratio of p50 {:.2}",
            shown[0].p50_ms,
            shown[0].p99_ms,
            shown[1].p50_ms,
            shown[1].p99_ms,
            shown[1].p50_ms / shown[0].p50_ms
        );
    }
}
