//! The dashboard under load: the lists of ten thousand issues and their jobs, the size of the first page, and a thousand viewers
//! of the live feed.
//!
//! `cargo bench -p patchwright-server --bench pages`; `BENCH_ISSUES` and `BENCH_VIEWERS` set how many, `BENCH_PROGRAM` another
//! program than the one that cargo has built for it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be taken ends here")]
#![expect(clippy::cast_precision_loss, reason = "figures are shown with one digit")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use patchwright_core::Secret;
use patchwright_core::store::{JobWrite, Step, Store as _, Write};
use patchwright_domain::IssueStatus;
use patchwright_domain::job::JobState;
use patchwright_domain::job::report::Verdict;
use patchwright_http::{HttpClient, HttpOptions, Request, Response, Retry};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, mpsc};

/// The program that is measured.
fn program() -> std::ffi::OsString {
    std::env::var_os("BENCH_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_patchwright").into())
}

const TOKEN: &str = "bench-token-0123456789-abcdef";
/// How often each page is requested.
const LOOKS: usize = 300;
/// How many changes the viewers receive, and the time between two.
const EVENTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

struct Served {
    process: Child,
    address: String,
    http: HttpClient,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    async fn start(folder: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let process = Command::new(program())
            .arg("serve")
            .env("BIND", &address)
            .env("DATA_DIR", folder)
            .env("API_TOKEN", TOKEN)
            .env("WEBHOOK_SECRET", "bench-webhook-secret-0123456789")
            .env("WORKERS", "0")
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        let served = Self { process, address, http };
        let began = Instant::now();
        while TcpStream::connect(&served.address).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the server does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        served
    }

    async fn get(&self, path: &str) -> Response {
        let request = Request::get(format!("http://{}{path}", self.address)).header("accept", "text/html");
        let answer = self.http.send(request.bearer(&Secret::new(TOKEN)), Retry::Never).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    }

    /// In kilobytes.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

async fn fill(folder: &Path, issues: u32) {
    let store = DieselStore::open(&format!("sqlite://{}/patchwright.db", folder.display())).await.unwrap();
    store.migrate().await.unwrap();
    for n in 1..=issues {
        let mut issue = build::issue(n);
        issue.status = IssueStatus::ALL[n as usize % IssueStatus::ALL.len()];
        if n <= EVENTS {
            issue.status = IssueStatus::Pending;
        }
        issue.updated_at = build::after(i64::from(n * 7919 % issues));
        let mut job = build::job_for(n, n, build::after(i64::from(n)));
        let is_proven = n > EVENTS && n % 3 == 0;
        job.state = if is_proven { JobState::Succeeded } else { JobState::Cancelled };
        job.verdict = is_proven.then_some(Verdict::FixedProven);
        let step = Step { issue: Some(Write::Insert(issue)), job: Some(JobWrite::Insert(job)), ..Step::default() };
        store.commit(step).await.unwrap();
    }
}

/// Returns percentiles of times, in milliseconds.
fn format_times(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |hundredth: usize| times[(times.len() - 1) * hundredth / 100];
    format!("p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", at(50), at(95), at(99))
}

async fn pages(served: &Served, issues: u32) {
    for path in [
        "/issues",
        "/issues?status=pending",
        "/issues?q=add",
        "/issues?order=updated",
        "/jobs",
        "/jobs?status=succeeded",
        "/jobs?verdict=fixed_proven",
        "/board",
        "/statistics",
    ] {
        let mut times = Vec::new();
        for _ in 0..LOOKS {
            let began = Instant::now();
            served.get(path).await;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        println!("{path} over {issues} issues: {}", format_times(&mut times));
    }
    let page = served.get("/issues").await.text();
    let mut bytes = page.len();
    for asset in page.split('"').filter(|part| part.starts_with("/assets/")).collect::<std::collections::BTreeSet<_>>()
    {
        bytes += served.get(asset).await.text().len();
    }
    println!("the first page with all that it needs, not packed: {:.1} KB (target: 60 KB)", bytes as f64 / 1000.0);
}

/// Subscribes and returns when it received each job's change.
async fn watch(address: String, ready: Arc<Barrier>, received: mpsc::UnboundedSender<(String, Instant)>) {
    let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
    let ask = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.contains("200"), "{line}");
    ready.wait().await;
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let job = line.split_once("\"issue_id\":\"").and_then(|(_, rest)| rest.split('"').next());
        if let Some(issue) = job.filter(|_| line.starts_with("data: "))
            && received.send((issue.to_owned(), Instant::now())).is_err()
        {
            return;
        }
    }
}

async fn viewers(served: &Served, count: usize) {
    let before = served.memory();
    let (ready, (tell, mut replies)) = (Arc::new(Barrier::new(count + 1)), mpsc::unbounded_channel());
    let mut watching = tokio::task::JoinSet::new();
    for _ in 0..count {
        watching.spawn(watch(served.address.clone(), Arc::clone(&ready), tell.clone()));
    }
    ready.wait().await;
    let (with_viewers, mut begun) = (served.memory(), std::collections::HashMap::new());
    for n in 1..=EVENTS {
        let id = build::issue_id(n).to_string();
        let request = Request::post(format!("http://{}/api/v1/issues/{id}/start", served.address));
        begun.insert(id, Instant::now());
        let answer = served.http.send(request.bearer(&Secret::new(TOKEN)), Retry::Never).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        tokio::time::sleep(PAUSE).await;
    }
    let expected = count * EVENTS as usize;
    let mut delays = Vec::with_capacity(expected);
    while delays.len() < expected {
        let (issue, at) = tokio::time::timeout(Duration::from_secs(30), replies.recv()).await.unwrap().unwrap();
        delays.push((at - begun[&issue]).as_secs_f64() * 1000.0);
    }
    let after = served.memory();
    println!(
        "{count} viewers: {:.1} KB of memory each ({:.1} KB after {EVENTS} events); from the request that starts a job to \
         each viewer: {}",
        (with_viewers - before) / count as f64,
        (after - before) / count as f64,
        format_times(&mut delays)
    );
    watching.abort_all();
}

fn main() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (issues, count) = (number("BENCH_ISSUES", 10_000), number("BENCH_VIEWERS", 1_000));
    patchwright_http::install_tls();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), issues).await;
        let served = Served::start(folder.path()).await;
        pages(&served, issues).await;
        viewers(&served, count as usize).await;
    });
}
