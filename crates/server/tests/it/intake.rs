//! The webhook endpoint of the binary: an acknowledged delivery is on disk, even if the process is killed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_http::{HttpClient, HttpError, HttpOptions, Request, Response, Retry};
use serde_json::{Value, json};

const SECRET: &str = "intake-test-webhook-secret";
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that accepts deliveries and runs no jobs.
struct Gateway {
    child: Child,
    address: String,
    http: HttpClient,
}

impl Gateway {
    async fn start(folder: &Path, settings: &[(&str, &str)], before: &[&str]) -> Self {
        patchwright_http::install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let binary = env!("CARGO_BIN_EXE_patchwright");
        let line: Vec<&str> = before.iter().copied().chain([binary, "serve"]).collect();
        let child = Command::new(line[0])
            .args(&line[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("BIND", &address)
            .env("DATA_DIR", folder)
            .env("WEBHOOK_SECRET", SECRET)
            .env("WORKERS", "0")
            .envs(["TRIGGERS_PER_ISSUE", "TRIGGERS_PER_ACTOR", "TRIGGERS_PER_REPOSITORY"].map(|name| (name, "0")))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        let gateway = Self { child, address, http };
        let began = Instant::now();
        while !matches!(gateway.get("/readyz").await, Ok(answer) if answer.status == 200) {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the server does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        gateway
    }

    async fn get(&self, path: &str) -> Result<Response, HttpError> {
        self.http.send(Request::get(format!("http://{}{path}", self.address)), Retry::Never).await
    }

    /// A request for the issue of this number, with its own delivery id.
    async fn deliver(&self, number: usize) -> Result<Response, HttpError> {
        self.http.send(delivery(&self.address, number), Retry::Never).await
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn requests(&self) -> Value {
        let status: Value = self.get("/api/status").await.unwrap().json().unwrap();
        status["queue"]["requests"].clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn body(number: usize) -> String {
    json!({
        "action": "created",
        "issue": {"number": number, "title": "a bug", "body": "x".repeat(4000), "user": {"login": "alice"}},
        "comment": {"id": number, "body": "@patchwright fix", "user": {"login": "alice"}},
        "repository": {"name": "demo", "owner": {"login": "acme"}, "default_branch": "main"},
        "sender": {"login": "alice"},
    })
    .to_string()
}

fn delivery(address: &str, number: usize) -> Request {
    let body = body(number);
    let signature = SigningKeys::new([&Secret::new(SECRET)]).sign(body.as_bytes()).unwrap();
    Request::post(format!("http://{address}/api/webhook"))
        .raw_json(body)
        .header("x-github-event", "issue_comment")
        .header("x-github-delivery", format!("delivery-{number}"))
        .header("x-hub-signature-256", signature)
}

fn job_id(answer: &Response) -> String {
    let reply: Value = answer.json().unwrap();
    reply["job_id"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_it_has_every_job_that_it_accepted_and_none_twice() {
    const CLIENTS: usize = 32;
    const ENOUGH: usize = 600;
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path(), &[], &[]).await;
    let (next, accepted) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (next, accepted) = (Arc::clone(&next), Arc::clone(&accepted));
            let (http, address) = (gateway.http.clone(), gateway.address.clone());
            tokio::spawn(async move {
                let mut reply = BTreeMap::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    match http.send(delivery(&address, number), Retry::Never).await {
                        Ok(answer) if answer.status == 202 => {
                            reply.insert(number, job_id(&answer));
                            accepted.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                        Err(_) => return reply,
                    }
                }
            })
        })
        .collect();
    let began = Instant::now();
    while accepted.load(Ordering::Relaxed) < ENOUGH {
        assert!(began.elapsed() < WAIT_TIMEOUT, "too little is accepted");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gateway.kill();
    let mut reply = BTreeMap::new();
    for client in clients {
        reply.extend(client.await.unwrap());
    }
    assert!(reply.len() >= ENOUGH);

    let gateway = Gateway::start(folder.path(), &[], &[]).await;
    for id in reply.values() {
        let answer = gateway.get(&format!("/api/v1/jobs/{id}")).await.unwrap();
        assert_eq!(answer.status, 200, "the accepted job {id} is lost");
    }
    // The platform sends everything again, including the deliveries without a response.
    let sent = next.load(Ordering::Relaxed) - 1;
    for number in 1..=sent {
        let answer = gateway.deliver(number).await.unwrap();
        assert!(matches!(answer.status, 200 | 202), "{}: {}", answer.status, answer.text());
        let id = job_id(&answer);
        assert_eq!(*reply.entry(number).or_insert_with(|| id.clone()), id, "delivery {number} has two jobs");
    }
    assert_eq!(gateway.requests().await, json!(sent), "every delivery is one request");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_goes_out_before_a_sync() {
    const DELIVERIES: usize = 20;
    let traceable = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !traceable.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is not installed or may not trace here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg";
    // With -D the child is the server and not strace, which ends with it.
    let before = ["strace", "-D", "-f", "-qq", "-e", calls, "-o", trace.to_str().unwrap(), "--"];
    let gateway = Gateway::start(folder.path(), &[], &before).await;
    for number in 1..=DELIVERIES {
        assert_eq!(gateway.deliver(number).await.unwrap().status, 202);
    }
    drop(gateway);
    let trace = std::fs::read_to_string(&trace).unwrap();
    let (mut synced, mut answers) = (false, 0);
    for line in trace.lines() {
        // A call that another thread interrupted ends on a line of its own.
        let is_sync = line.contains("fdatasync(") || line.contains("fsync(") || line.contains("sync resumed");
        if is_sync && line.ends_with("= 0") {
            synced = true;
        } else if line.contains("HTTP/1.1 202") {
            answers += 1;
            assert!(synced, "answer {answers} went out before a sync");
            synced = false;
        }
    }
    assert_eq!(answers, DELIVERIES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_said_and_recovered_from() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), &[], &[]).await;
    let other = rusqlite::Connection::open(folder.path().join("patchwright.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = gateway.deliver(1).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.text());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(gateway.deliver(1).await.unwrap().status, 202, "nothing was half written");
    assert_eq!(gateway.requests().await, json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_told_to_come_again_and_does_not_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("MAX_IN_FLIGHT", "2"), ("MAX_IN_FLIGHT_BYTES", "65536")];
    let gateway = Gateway::start(folder.path(), &settings, &[]).await;
    let slow = |length: usize, sent: usize| {
        let mut stream = TcpStream::connect(&gateway.address).unwrap();
        let head = format!(
            "POST /api/webhook HTTP/1.1\r\nhost: x\r\nx-github-event: issue_comment\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; sent]).unwrap();
        stream
    };
    // If a probe holds a permit when a slow delivery arrives, the slow one is rejected, and others try.
    let fill = async |slow: &dyn Fn() -> Vec<TcpStream>| {
        for _ in 0..200 {
            let held = slow();
            tokio::time::sleep(Duration::from_millis(20)).await;
            let probe = gateway.deliver(1).await.unwrap();
            if probe.status == 503 {
                assert_eq!(probe.header("retry-after"), Some("5"));
                return held;
            }
        }
        panic!("it takes whatever comes");
    };
    let free = async || {
        for _ in 0..200 {
            if matches!(gateway.deliver(1).await.unwrap().status, 200 | 202) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("what left is not free again");
    };
    // Two deliveries that never finish hold both permits.
    drop(fill(&|| vec![slow(1000, 10), slow(1000, 10)]).await);
    free().await;
    // One reserves all the bytes that the deliveries may have together.
    let mut held = fill(&|| vec![slow(70_000, 65_000)]).await.remove(0);
    held.write_all(&[b' '; 5000]).unwrap();
    held.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    let mut answer = [0; 12];
    held.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 503", "it asked for more than there is");
    free().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_swollen_heads_are_cut_off_and_it_still_serves() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), &[], &[]).await;
    let open = |head: String| {
        let mut stream = TcpStream::connect(&gateway.address).unwrap();
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        // The server may end it before all is written.
        let _ = stream.write_all(head.as_bytes());
        stream
    };
    let mut never_ending = open("POST /api/webhook HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned());
    let many: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    for head in [many, format!("x-long: {}\r\n", "x".repeat(300_000))] {
        let mut stream = open(format!("POST /api/webhook HTTP/1.1\r\nhost: x\r\n{head}\r\n"));
        let mut answer = Vec::new();
        // A reset after the response, or instead of it, also ends the connection.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let mut answer = Vec::new();
    let _ = never_ending.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(gateway.deliver(1).await.unwrap().status, 202);
}
