//! Runs a shell script isolated from this machine, and prints its output: `isolate FOLDER SCRIPT [MEMORY_MIB [SECONDS]]`. The
//! script may change the folder.

#![expect(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{ProgramRequest, Sandbox as _};
use patchwright_sandbox::{LocalSandbox, SandboxOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, script, limits @ ..] = args.as_slice() else { return Err("usage: isolate FOLDER SCRIPT".into()) };
    let number = |at: usize, default: u64| limits.get(at).map_or(Ok(default), |text| text.parse());
    let options = SandboxOptions {
        path: std::env::var("PATH").unwrap_or_default(),
        env: std::env::vars().filter(|(name, _)| name.starts_with("RUSTUP")).collect(),
        memory_bytes: number(0, 1024)? << 20,
        processes: 200,
        disk_bytes: 256 << 20,
        private: vec![std::env::temp_dir().join("patchwright-private")],
        ..SandboxOptions::default()
    };
    let scratch = tempfile::tempdir()?;
    let request = ProgramRequest {
        root: folder.into(),
        scratch: scratch.path().to_owned(),
        inputs: std::collections::BTreeMap::new(),
        reachable: None,
        args: vec!["sh".to_owned(), "-c".to_owned(), script.clone()],
        env: std::collections::BTreeMap::new(),
        timeout: Duration::from_secs(number(1, 60)?),
    };
    let progress = Progress::silent("00000000-0000-0000-0000-000000000001".parse()?);
    let report = LocalSandbox::new(options).run(request, &progress, &CancellationToken::new()).await?;
    println!("{}", report.log_tail);
    println!("code {:?}, limit {:?}", report.code, report.exceeded);
    Ok(())
}
