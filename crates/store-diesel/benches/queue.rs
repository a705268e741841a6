//! The queue alone: jobs that are accepted, claimed and completed at once, and the cost of a claim behind a long queue.
//!
//! `cargo bench -p patchwright-store-diesel --bench queue`; `BENCH_JOBS` sets how many.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed measurement ends the program")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use patchwright_core::store::{ConcurrencyLimits, JobWrite, Step, Store, Write};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::{JobState, Lease};
use patchwright_domain::{Issue, Job, JobEvent};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::{build, postgres};

/// Workers that claim jobs at the same time.
const WORKERS: usize = 16;

fn job(n: u32, repo: &str) -> Step {
    let (mut issue, mut job): (Issue, Job) = (build::issue(n), build::job(n));
    issue.source.repo = repo.parse().unwrap();
    job.source.repo = issue.source.repo.clone();
    // The builder's jobs wait from a fixed time on.
    job.state = JobState::Queued { not_before: build::start_of_time() };
    Step { issue: Some(Write::Insert(issue)), job: Some(JobWrite::Insert(job)), ..Step::default() }
}

fn lease(worker: usize) -> Arc<Lease> {
    let until = Timestamp::now() + Duration::from_secs(300);
    Arc::new(Lease { holder: format!("w{worker}"), task_id: build::task_id(1), until })
}

async fn enqueue(store: &Arc<DieselStore>, jobs: std::ops::Range<u32>, repo: &str) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in jobs {
        let (store, step) = (Arc::clone(store), job(n, repo));
        tasks.spawn(async move { store.commit(step).await.unwrap() });
        if tasks.len() >= 64 {
            tasks.join_next().await.unwrap().unwrap();
        }
    }
    tasks.join_all().await;
}

/// Claims and completes jobs until none is left; returns how many.
async fn work(store: Arc<DieselStore>, worker: usize) -> u32 {
    let mut done = 0;
    while let Some(claimed) =
        store.claim_job(Timestamp::now(), lease(worker), ConcurrencyLimits::default()).await.unwrap()
    {
        let event = JobEvent::Completed { epoch: claimed.value.epoch, verdict: Verdict::NoTests };
        let (job, _) = claimed.value.clone().advance(event, Timestamp::now()).unwrap();
        let step = Step { job: Some(JobWrite::update(&claimed, job)), ..Step::default() };
        store.commit(step).await.unwrap();
        done += 1;
    }
    done
}

/// Measures with one store for each server that uses the database.
async fn measure(name: &str, stores: Vec<DieselStore>, jobs: u32) -> f64 {
    stores[0].migrate().await.unwrap();
    let stores: Vec<_> = stores.into_iter().map(Arc::new).collect();
    let store = &stores[0];
    let began = Instant::now();
    enqueue(store, 1..jobs + 1, "acme/large").await;
    let enqueued = f64::from(jobs) / began.elapsed().as_secs_f64();

    // Behind all of them, the first job of another repository: it is claimed at once.
    let mut claims = Vec::new();
    for n in 0..100 {
        enqueue(store, jobs + 1 + n..jobs + 2 + n, "acme/small").await;
        let began = Instant::now();
        let claimed = store.claim_job(Timestamp::now(), lease(0), ConcurrencyLimits::default()).await.unwrap().unwrap();
        claims.push(began.elapsed().as_secs_f64() * 1000.0);
        if n == 1 {
            assert_eq!(claimed.value.source.repo.to_string(), "acme/small");
        }
    }
    claims.sort_by(f64::total_cmp);

    let began = Instant::now();
    let store_of = |worker: usize| Arc::clone(&stores[worker % stores.len()]);
    let workers: Vec<_> = (0..WORKERS).map(|worker| tokio::spawn(work(store_of(worker), worker))).collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    let ended = f64::from(done) / began.elapsed().as_secs_f64();
    println!(
        "{name}: {jobs} jobs enqueued at {enqueued:.0}/s, taken and ended at {ended:.0}/s by {WORKERS} workers; \
         a claim behind all of them p50 {:.2} ms, p99 {:.2} ms",
        claims[claims.len() / 2],
        claims[claims.len() * 99 / 100]
    );
    ended
}

/// Runs another queue with as many jobs and workers; the program prints its jobs per second.
fn peer(name: &str, ours: f64, program: &str, args: &[&str]) {
    let output = std::process::Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match text.parse::<f64>() {
        Ok(theirs) => println!("  {name}: {theirs:.0}/s; ours is {:.2} of it", ours / theirs),
        Err(_) => println!("  {name}: it gave no number ({text:.200})"),
    }
}

fn main() {
    let number = |name: &str, default: u32| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let jobs = number("BENCH_JOBS", 10_000);
    // The folder of the built programs in benches/queue-peers.
    let peers = std::env::var("QUEUE_PEERS").ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let count = jobs.to_string();
    for round in 1..=number("BENCH_ROUNDS", 1) {
        println!("round {round}");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let ours = runtime.block_on(async {
            let store = DieselStore::open(&format!("sqlite://{}", file("p.db"))).await.unwrap();
            measure("SQLite", vec![store], jobs).await
        });
        if let Some(peers) = &peers {
            let apalis = format!("{peers}/target/release/queue-peers");
            peer("apalis-sqlite", ours, &apalis, &["sqlite", &file("apalis.db"), &count]);
        }
        let Some(cluster) = runtime.block_on(postgres::cluster()) else { continue };
        let ours = runtime.block_on(async {
            let url = cluster.database(&format!("queue{round}"));
            let two = vec![DieselStore::open(&url).await.unwrap(), DieselStore::open(&url).await.unwrap()];
            measure("PostgreSQL, two servers", two, jobs).await;
            let url = cluster.database(&format!("single{round}"));
            measure("PostgreSQL, one server", vec![DieselStore::open(&url).await.unwrap()], jobs).await
        });
        if let Some(peers) = &peers {
            let database = |name: &str| cluster.database(&format!("{name}{round}"));
            let (apalis, script) = (format!("{peers}/target/release/queue-peers"), format!("{peers}/graphile.mjs"));
            peer("apalis-postgres", ours, &apalis, &["postgres", &database("apalis"), &count]);
            peer("graphile-worker", ours, "node", &[&script, &database("graphile"), &count]);
            peer("graphile-worker, local queue", ours, "node", &[&script, &database("local"), &count, "local"]);
        }
    }
}
