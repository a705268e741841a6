//! A throwaway PostgreSQL cluster. PostgreSQL refuses root, so root runs it as the user `postgres`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};

use tempfile::TempDir;
use tokio::sync::Mutex;

/// A running cluster. It is stopped and deleted with the last handle.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    port: u16,
    as_postgres: bool,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());

/// Returns the cluster of this process and starts it if necessary. Where PostgreSQL is not installed, returns `None` and
/// prints that the test is skipped; with `REQUIRE_POSTGRES` it panics.
pub async fn cluster() -> Option<Arc<Cluster>> {
    let mut shared = SHARED.lock().await;
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let Some(started) = Cluster::start() else {
        assert!(std::env::var_os("REQUIRE_POSTGRES").is_none(), "PostgreSQL's initdb is not on PATH");
        #[expect(clippy::print_stderr, reason = "a skipped test must be visible in the output")]
        {
            eprintln!("skipped: PostgreSQL's initdb is not on PATH");
        }
        return None;
    };
    let started = Arc::new(started);
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// Starts another cluster, for a test that disturbs others, such as one that restarts it. Returns `None` like
/// [`cluster`].
pub async fn own_cluster() -> Option<Cluster> {
    // It prints why the test is skipped.
    cluster().await?;
    Cluster::start()
}

impl Cluster {
    /// Stops the server without a checkpoint, as a crash does, and starts it again.
    pub fn restart(&self) {
        for arguments in [&["stop", "-m", "immediate"][..], &["start", "-w"]] {
            let mut command = self.pg_ctl().unwrap();
            // Keeps the log of the server that crashed.
            command.arg("-l").arg(self.folder.path().join("log"));
            let options = self.options();
            run(command.args(arguments).args(["-o", &options])).expect("PostgreSQL stops and starts");
        }
    }

    fn options(&self) -> String {
        let port = self.port;
        format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=60")
    }

    fn start() -> Option<Self> {
        let initdb = find("initdb")?;
        let as_postgres = is_root();
        let folder = tempfile::Builder::new().prefix("patchwright-pg-").tempdir().ok()?;
        if as_postgres {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        let data = folder.path().join("data");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
        let port = listener.local_addr().ok()?.port();
        drop(listener);
        run(user(as_postgres, &initdb).args(["--no-sync", "-A", "trust", "-U", "postgres", "-D"]).arg(&data))?;
        let cluster = Self { folder, port, as_postgres };
        let options = cluster.options();
        run(cluster
            .pg_ctl()?
            .args(["start", "-w", "-l"])
            .arg(cluster.folder.path().join("log"))
            .args(["-o", &options]))?;
        Some(cluster)
    }

    /// Returns the address of a database. The database `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the id of the server's main process.
    pub fn pid(&self) -> u32 {
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Creates an empty database and returns its address.
    pub fn database(&self, name: &str) -> String {
        let psql = find("psql").unwrap();
        let made = Command::new(psql)
            .args(["-q", "-c", &format!("CREATE DATABASE {name}"), &self.url("postgres")])
            .status()
            .unwrap();
        assert!(made.success(), "the database {name} cannot be created");
        self.url(name)
    }

    fn pg_ctl(&self) -> Option<Command> {
        let mut command = user(self.as_postgres, &find("pg_ctl")?);
        command.arg("-D").arg(self.folder.path().join("data"));
        Some(command)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut stop) = self.pg_ctl() {
            let _ = run(stop.args(["stop", "-m", "immediate"]));
        }
    }
}

fn user(as_postgres: bool, program: &Path) -> Command {
    if !as_postgres {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

fn run(command: &mut Command) -> Option<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().ok()?.success().then_some(())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().map(|output| output.stdout);
    id.is_ok_and(|id| id.starts_with(b"0\n"))
}

fn find(program: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    // On Debian the server's programs are not on the path.
    for version in (13..20).rev() {
        folders.push(format!("/usr/lib/postgresql/{version}/bin").into());
    }
    folders.into_iter().map(|folder| folder.join(program)).find(|place| place.is_file())
}
