//! Runs all tests of a folder, isolated where this machine can: `run_tests FOLDER [COMMAND]`. Nothing in the folder is changed.

#![expect(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::path::Path;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckRequest, Sandbox as _, Selection, SuiteQuery};
use patchwright_sandbox::{LocalSandbox, SandboxOptions, SandboxPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: run_tests FOLDER [COMMAND]")?;
    let scratch = tempfile::tempdir()?;
    let root = scratch.path().join("tree");
    copy(Path::new(&folder), &root)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let env = ["RUSTUP_HOME"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    let options =
        SandboxOptions { policy: SandboxPolicy::BestEffort, path, env: env.collect(), ..SandboxOptions::default() };
    let sandbox = LocalSandbox::new(options);
    println!("{:?}", sandbox.diagnose().await);
    let query = SuiteQuery { root: root.clone(), test_command: args.next(), ..SuiteQuery::default() };
    for suite in sandbox.find_suites(query).await? {
        println!("== {}", suite.name());
        let request = CheckRequest {
            root: root.clone(),
            scratch: scratch.path().join("scratch"),
            suite,
            selection: Selection::All,
            local_folder: Some(folder.clone().into()),
            has_base_manifests: true,
            timeout: Duration::from_secs(900),
        };
        let job = "00000000-0000-0000-0000-000000000001".parse()?;
        let report = sandbox.check(request, &Progress::silent(job), &CancellationToken::new()).await?;
        println!("{}: {:?}", report.command, report.results);
        for (name, text) in &report.failures {
            println!("-- {name}\n{text}");
        }
        if !report.build_success {
            println!("{}", report.log_tail);
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() && entry.file_name() != ".git" {
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
