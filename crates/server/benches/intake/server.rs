//! The measured servers, each a separate process, and their cost per request.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use patchwright_testkit::postgres::Cluster;

use crate::body::SECRET;
use crate::wrk::Seen;

/// The measured server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello,
    Parse,
    CommitEach,
    GroupCommit,
    PostgresBatch,
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Hello,
        Self::Parse,
        Self::CommitEach,
        Self::GroupCommit,
        Self::Sqlite,
        Self::PostgresBatch,
        Self::Postgres,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hello => "actix: reads and answers",
            Self::Parse => "+ HMAC, typed parse, keeps nothing",
            Self::CommitEach => "+ SQLite, one commit a request",
            Self::GroupCommit => "+ SQLite, one writer, group commit",
            Self::PostgresBatch => "+ PostgreSQL, one writer, unnest",
            Self::Sqlite => "patchwright on SQLite",
            Self::Postgres => "patchwright on PostgreSQL",
        }
    }

    pub(crate) const fn needs_postgres(self) -> bool {
        matches!(self, Self::PostgresBatch | Self::Postgres)
    }

    const fn prototype(self) -> Option<&'static str> {
        match self {
            Self::Hello => Some("hello"),
            Self::Parse => Some("parse"),
            Self::CommitEach => Some("each"),
            Self::GroupCommit => Some("group"),
            Self::PostgresBatch => Some("postgres"),
            Self::Sqlite | Self::Postgres => None,
        }
    }
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_micros: f64,
    pub(crate) rss_mb: f64,
    /// 0 if it is unknown.
    pub(crate) rows_per_commit: f64,
}

/// Starts a server on an empty database, warms it up, loads it and stops it.
pub(crate) fn measure(
    kind: Kind,
    round: u32,
    folder: &Path,
    cluster: Option<&Cluster>,
    load: impl Fn(&str, bool) -> Seen,
) -> Sample {
    let name = format!("{}_{round}", format!("{kind:?}").to_lowercase());
    let place = folder.join(&name);
    std::fs::create_dir_all(&place).unwrap();
    let database = match cluster {
        Some(cluster) if kind.needs_postgres() => cluster.database(&name),
        _ => format!("sqlite://{}/p.db", place.display()),
    };
    let (child, address) = start(kind, &place, &database);
    let server = Running(child);
    wait(&address);
    let url = format!("http://{address}/api/webhook");
    load(&url, true);
    let before = cpu_ticks(server.0.id(), cluster.filter(|_| kind.needs_postgres()));
    let seen = load(&url, false);
    let ticks = cpu_ticks(server.0.id(), cluster.filter(|_| kind.needs_postgres())) - before;
    let rss_mb = status(server.0.id(), "VmHWM:") / 1024.0;
    drop(server);
    Sample {
        per_second: seen.per_second,
        p50_ms: seen.p50_ms,
        p99_ms: seen.p99_ms,
        // The kernel counts hundredths of seconds.
        cpu_micros: ticks * 10_000.0 / seen.requests,
        rss_mb,
        rows_per_commit: rows_per_commit(&place.join("log")),
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(kind: Kind, place: &Path, database: &str) -> (Child, String) {
    let log = std::fs::File::create(place.join("log")).unwrap();
    if let Some(prototype) = kind.prototype() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--prototype", prototype, database])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        return (child, line.trim().to_owned());
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let limits = ["TRIGGERS_PER_ISSUE", "TRIGGERS_PER_ACTOR", "TRIGGERS_PER_REPOSITORY"];
    let child = Command::new(env!("CARGO_BIN_EXE_patchwright"))
        .arg("serve")
        .env_clear()
        .envs([("BIND", address.as_str()), ("DATABASE_URL", database), ("WEBHOOK_SECRET", SECRET)])
        .env("DATA_DIR", place)
        // The load comes from one user in one repository, and no jobs run here.
        .env("WORKERS", "0")
        .envs(limits.map(|limit| (limit, "0")))
        .env("LOG_FILTER", "info,patchwright_store_diesel::queue=debug")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    (child, address)
}

fn wait(address: &str) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "{address} does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// User and system time of a process, and of all of PostgreSQL's if it takes part.
fn cpu_ticks(pid: u32, cluster: Option<&Cluster>) -> f64 {
    let mut ticks = stat(pid).map_or(0.0, |(ticks, _)| ticks);
    let Some(cluster) = cluster else { return ticks };
    let root = cluster.pid();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(other) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some((more, parent)) = stat(other)
            && (parent == root || other == root)
        {
            ticks += more;
        }
    }
    ticks
}

/// Ticks and parent of a process.
fn stat(pid: u32) -> Option<(f64, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may contain anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((number(11)? + number(12)?, fields.get(1)?.parse().ok()?))
}

fn status(pid: u32, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Read from the server's log, which has the size of each batch; it includes the single writes of the warm-up.
fn rows_per_commit(log: &Path) -> f64 {
    let text = std::fs::read_to_string(log).unwrap();
    let sizes =
        text.lines().filter_map(|line| line.split_once("batch.size=")?.1.split_whitespace().next()?.parse().ok());
    let sizes: Vec<f64> = sizes.collect();
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand lines")]
    let batches = sizes.len() as f64;
    if sizes.is_empty() { 0.0 } else { sizes.iter().sum::<f64>() / batches }
}
