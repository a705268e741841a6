//! Trivial jobs through apalis: all are enqueued first, then one worker with 16 at a time takes and ends them.
//!
//! `queue-peers sqlite FILE JOBS`, `queue-peers postgres URL JOBS`: prints jobs a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apalis::layers::WorkerBuilderExt as _;
use apalis::prelude::*;
use apalis_postgres::{PgPool, PostgresStorage};
use apalis_sqlite::{SqliteConnectOptions, SqlitePool, SqliteStorage};
use futures::stream;

/// As many as the other queues work on at once.
const CONCURRENCY: usize = 16;
/// Its fastest setting in our trials.
const BATCH: usize = 100;
const POLL: Duration = Duration::from_millis(5);

#[derive(Clone)]
struct Count {
    done: Arc<AtomicUsize>,
    jobs: usize,
    began: Instant,
}

async fn trivial(_: String, count: Data<Count>) -> Result<(), BoxDynError> {
    if count.done.fetch_add(1, Ordering::Relaxed) + 1 == count.jobs {
        // Its last acknowledgements are not waited for.
        println!("{:.0}", count.jobs as f64 / count.began.elapsed().as_secs_f64());
        std::process::exit(0);
    }
    Ok(())
}

macro_rules! measure {
    ($backend:expr, $jobs:expr) => {{
        let mut backend = $backend;
        let mut payloads = stream::iter((0..$jobs).map(|n| Task::new(format!("{n:01000}"))));
        backend.push_all(&mut payloads).await.unwrap();
        let count = Count { done: Arc::default(), jobs: $jobs, began: Instant::now() };
        let worker = WorkerBuilder::new("bench").backend(backend).concurrency(CONCURRENCY).data(count).build(trivial);
        worker.run().await.unwrap();
    }};
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let jobs: usize = args[3].parse().unwrap();
    let strategy = || Strategy::new().interval(POLL);
    if args[1] == "sqlite" {
        let options: SqliteConnectOptions = format!("sqlite://{}", args[2]).parse().unwrap();
        let options = options
            .create_if_missing(true)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePool::connect_with(options).await.unwrap();
        SqliteStorage::setup(&pool).await.unwrap();
        let config = apalis_sqlite::Config::default().queue("bench").batch_size(BATCH);
        measure!(SqliteStorage::new(&pool).with_config(config).poll_with_strategy(strategy()), jobs);
    } else {
        let pool = PgPool::connect(&args[2]).await.unwrap();
        PostgresStorage::setup(&pool).await.unwrap();
        let config = apalis_postgres::Config::default().queue("bench").batch_size(BATCH);
        measure!(PostgresStorage::new(&pool).with_config(config).poll_with_strategy(strategy()), jobs);
    }
}
