//! Ten thousand issues started in one request, and what the lists cost meanwhile.
//!
//! `cargo bench -p patchwright-server --bench batch`; `BENCH_ISSUES` sets how many.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be taken ends here")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use patchwright_core::Secret;
use patchwright_core::store::{Step, Store as _, Write};
use patchwright_domain::IssueStatus;
use patchwright_http::{HttpClient, HttpOptions, Request, Retry};
use patchwright_server::compose::Overrides;
use patchwright_server::config::{Config, Layers};
use patchwright_server::serve::Server;
use patchwright_testkit::{build, postgres};
use serde_json::{Value, json};

const TOKEN: &str = "bench-token-0123456789-abcdef";

async fn measure(name: &str, database: &str, issues: u32) {
    let folder = tempfile::tempdir().unwrap();
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let env = vec![
        own("BIND", "127.0.0.1:0"),
        own("DATA_DIR", &folder.path().display().to_string()),
        own("DATABASE_URL", &database.replace("FOLDER", &folder.path().display().to_string())),
        own("API_TOKEN", TOKEN),
        own("WEBHOOK_SECRET", "bench-webhook-secret-0123456789"),
        own("WORKERS", "0"),
        own("LOG_LEVEL", "error"),
    ];
    let config = Config::load(&Layers { env, ..Layers::default() }).unwrap();
    let server = Server::start(config, Overrides::default()).await.unwrap();
    let store = server.app().store.clone();
    let mut writes = tokio::task::JoinSet::new();
    for n in 1..=issues {
        let store = store.clone();
        let mut issue = build::issue(n);
        issue.status = IssueStatus::Pending;
        writes.spawn(async move {
            store.commit(Step { issue: Some(Write::Insert(issue)), ..Step::default() }).await.unwrap();
        });
        if writes.len() >= 256 {
            writes.join_next().await.unwrap().unwrap();
        }
    }
    writes.join_all().await;

    let options = HttpOptions { timeout: Duration::from_secs(120), ..HttpOptions::default() };
    let http = Arc::new(HttpClient::new(&options).unwrap());
    let base = format!("http://{}/api/v1", server.address());
    let done = Arc::new(AtomicBool::new(false));
    let lister = tokio::spawn({
        let (http, base, done) = (Arc::clone(&http), base.clone(), Arc::clone(&done));
        async move {
            let mut times = Vec::new();
            let lists = ["/issues?limit=50", "/issues?status=processing", "/jobs?limit=50", "/tasks?limit=50"];
            for list in lists.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let began = Instant::now();
                let request = Request::get(format!("{base}{list}")).bearer(&Secret::new(TOKEN));
                assert_eq!(http.send(request, Retry::Never).await.unwrap().status, 200);
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            times
        }
    });
    let ids: Vec<String> = (1..=issues).map(|n| build::issue_id(n).to_string()).collect();
    let began = Instant::now();
    let request = Request::post(format!("{base}/issues/start-batch")).bearer(&Secret::new(TOKEN));
    let answer = http.send(request.json(&json!({"ids": ids})), Retry::Never).await.unwrap();
    let seconds = began.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    let items = answer.json::<Value>().unwrap()["items"].as_array().unwrap().clone();
    assert!(
        items.iter().all(|item| item["started"] == true),
        "{:?}",
        items.iter().find(|item| item["started"] != true)
    );
    let mut times = lister.await.unwrap();
    times.sort_by(f64::total_cmp);
    println!(
        "{name}: {issues} issues started in {seconds:.1} s; {} lists meanwhile, p50 {:.1} ms, p99 {:.1} ms",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    server.stop().await.unwrap();
}

fn main() {
    let issues = std::env::var("BENCH_ISSUES").map_or(10_000, |text| text.parse().unwrap());
    patchwright_http::install_tls();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        measure("SQLite", "sqlite://FOLDER/p.db", issues).await;
        if let Some(cluster) = postgres::cluster().await {
            measure("PostgreSQL", &cluster.database("batch"), issues).await;
        }
    });
}
