//! The overhead of Patchwright: one job without model, clone and tests; the time to the first response; idle memory.
//!
//! `cargo bench -p patchwright-server --bench overhead`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be taken ends here")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use patchwright_domain::BranchName;
use patchwright_gitops_gix::seed_repository;

const FILES: usize = 3_000;
const ROUNDS: usize = 5;
const BINARY: &str = env!("CARGO_BIN_EXE_patchwright");

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mut jobs: Vec<f64> = (0..ROUNDS).map(|round| one_job(folder.path(), round)).collect();
    println!("one job, {FILES} files, instant model, no tests: {} (target: under 1 s)", format_times(&mut jobs, "s"));
    let mut starts = Vec::new();
    let mut memory = Vec::new();
    for round in 0..ROUNDS {
        let (start, rss) = one_start(folder.path(), round);
        starts.push(start * 1000.0);
        memory.push(rss);
    }
    println!("start to the first 200 on /health: {} (target: under 150 ms)", format_times(&mut starts, "ms"));
    println!("idle memory (RSS): {} (target: under 40 MB)", format_times(&mut memory, "MB"));
}

fn format_times(values: &mut [f64], unit: &str) -> String {
    values.sort_by(f64::total_cmp);
    format!("median {:.3} {unit}, worst {:.3} {unit}", values[values.len() / 2], values[values.len() - 1])
}

/// A whole `patchwright run` with recorded answers on a repository without tests.
fn one_job(folder: &Path, round: usize) -> f64 {
    let repository = folder.join(format!("repository-{round}"));
    let texts: Vec<(String, String)> = (0..FILES)
        .map(|n| {
            let path = format!("src/part{:02}/module_{n}.py", n % 40);
            (path, format!("\"\"\"Module {n}.\"\"\"\n\n\ndef compute_{n}(value):\n    return value * {n}\n").repeat(8))
        })
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    seed_repository(&repository, &BranchName::parse("main").unwrap(), &files, jiff::Timestamp::UNIX_EPOCH).unwrap();
    let issue = folder.join("issue.md");
    std::fs::write(&issue, "compute_7 is wrong\n\n`compute_7(2)` in src/part07/module_7.py gives 14.\n").unwrap();
    let recording = folder.join("recording.jsonl");
    let plan = r#"{\"root_cause\":\"x\",\"fix_strategy\":\"x\",\"changes\":[{\"file\":\"src/part07/module_7.py\",\"description\":\"x\"}]}"#;
    let lines = [
        r#"{"purpose":"analyze_bug","answer":"{\"candidate_files\":[\"src/part07/module_7.py\"]}"}"#.to_owned(),
        format!(r#"{{"purpose":"fix_plan","answer":"{plan}"}}"#),
        r#"{"purpose":"code_fix","answer":"```\ndef compute_7(value):\n    return value * 8\n```"}"#.to_owned(),
    ];
    std::fs::write(&recording, lines.join("\n")).unwrap();
    let began = Instant::now();
    let output = Command::new(BINARY)
        .args(["run", "--json", "--patch", "--repo"])
        .arg(&repository)
        .arg("--issue")
        .arg(&issue)
        .env("LLM_REPLAY", &recording)
        .env_remove("LLM_BASE_URL")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"verdict\":\"no_tests\""), "{text}");
    took
}

/// Starts the server, polls it until it responds, and reads its memory.
fn one_start(folder: &Path, round: usize) -> (f64, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let began = Instant::now();
    let mut server = Command::new(BINARY)
        .arg("serve")
        .env("BIND", address.to_string())
        .env("DATA_DIR", folder.join(format!("data-{round}")))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !answers(address) {
        assert!(began.elapsed() < Duration::from_secs(20), "the server does not answer");
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(500));
    let rss = resident(&server);
    server.kill().unwrap();
    server.wait().unwrap();
    (took, rss)
}

fn answers(address: std::net::SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    if stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").is_err() {
        return false;
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200")
}

fn resident(server: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
