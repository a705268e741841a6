//! The load: wrk with a script that makes each body unique and signs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::body::{Body, SECRET};

/// The results of wrk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The bodies differ at their end only, so that the hash of all that stands before is taken once: Lua would otherwise be
/// slower than what is measured. (HMAC is a hash of a hash, and a hash can be stopped after any block and taken up again.)
const SCRIPT: &str = include_str!("load.lua");

/// Writes the script for a body.
pub(crate) fn script(folder: &Path, body: &Body) -> PathBuf {
    let path = folder.join("load.lua");
    let quoted = |text: &str| format!("{text:?}").replace("\\u{", "\\\\u{");
    for text in [&body.start, &body.middle] {
        assert!(text.is_ascii(), "Lua and Rust quote ASCII alike, and nothing else");
    }
    let head = format!(
        "local secret = {}\nlocal start = {}\nlocal middle = {}\n",
        quoted(SECRET),
        quoted(&body.start),
        quoted(&body.middle)
    );
    std::fs::write(&path, head + SCRIPT).unwrap();
    path
}

/// Runs at full speed.
pub(crate) fn flat_out(script: &Path, url: &str, seconds: u32, connections: u32) -> Seen {
    run(script, url, seconds, connections, 0)
}

/// Runs at a fixed rate, spread over the connections.
pub(crate) fn paced(script: &Path, url: &str, seconds: u32, connections: u32, rate: u32) -> Seen {
    run(script, url, seconds, connections, 1000 * connections / rate)
}

fn run(script: &Path, url: &str, seconds: u32, connections: u32, pause_ms: u32) -> Seen {
    // A different start for each run, so that no delivery is repeated.
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() % 10_000;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "10s", "-s"])
        .arg(script)
        .args([url, "--", &seed.to_string(), &pause_ms.to_string()])
        .output()
        .expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("{text}"));
    let result: Value = serde_json::from_str(line).unwrap();
    let number = |name: &str| result[name].as_f64().unwrap();
    assert!(number("errors") == 0.0, "not every delivery was accepted: {line}");
    Seen {
        requests: number("requests"),
        per_second: number("requests") / number("seconds"),
        p50_ms: number("p50"),
        p99_ms: number("p99"),
    }
}
