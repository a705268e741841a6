//! The time that the sandbox adds to a command, beside `bwrap` called by hand with the same isolation:
//! `cargo bench -p patchwright-sandbox`.

#![expect(clippy::print_stdout, reason = "a benchmark shows its result")]

use std::time::{Duration, Instant};

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{ProgramRequest, Sandbox as _};
use patchwright_sandbox::{LocalSandbox, SandboxOptions};

const RUNS: u32 = 50;

const PLAIN: &[&str] = &[
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-net",
    "--unshare-cgroup-try",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--cap-drop",
    "ALL",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--",
    "/bin/true",
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree)?;
    let sandbox = LocalSandbox::new(SandboxOptions::default());
    println!("{:?}", sandbox.diagnose().await);
    let progress = Progress::silent("00000000-0000-0000-0000-000000000001".parse()?);
    let request = ProgramRequest {
        root: tree,
        scratch: folder.path().join("scratch"),
        inputs: std::collections::BTreeMap::new(),
        reachable: None,
        args: vec!["true".to_owned()],
        env: std::collections::BTreeMap::new(),
        timeout: Duration::from_secs(10),
    };
    // In turns, so that both see the same load.
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        std::process::Command::new("bwrap").args(PLAIN).status()?;
        plain.push(started.elapsed());
        let started = Instant::now();
        let report = sandbox.run(request.clone(), &progress, &CancellationToken::new()).await?;
        ours.push(started.elapsed());
        assert_eq!(report.code, Some(0), "{}", report.log_tail);
    }
    let (plain, ours) = (median(plain), median(ours));
    println!(
        "bwrap by hand: {plain:?}; the sandbox: {ours:?}; more: {:?} ({:.2} times)",
        ours.saturating_sub(plain),
        ours.as_secs_f64() / plain.as_secs_f64()
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
