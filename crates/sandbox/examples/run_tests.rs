//! Runs the tests of a folder: `cargo run -p patchwright-sandbox --example run_tests -- [FOLDER]`.
//!
//! The code runs as your user. Without a folder, a small Python project is tested.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::path::PathBuf;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckRequest, Sandbox as _, TestOutcome};
use patchwright_sandbox::{ProcessSandbox, SandboxOptions, SandboxPolicy};

const TEST: &str = "import unittest

class Calc(unittest.TestCase):
    def test_add(self):
        self.assertEqual(1 + 2, 3)
    def test_divide(self):
        self.assertEqual(1 / 2, 0)
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let root = if let Some(path) = std::env::args().nth(1) {
        PathBuf::from(path).canonicalize()?
    } else {
        let root = folder.path().join("demo");
        std::fs::create_dir_all(&root)?;
        std::fs::write(root.join("test_calc.py"), TEST)?;
        root
    };
    let options = SandboxOptions { policy: SandboxPolicy::BestEffort, ..SandboxOptions::default() };
    let request = CheckRequest { root, scratch: folder.path().join("scratch") };
    let progress = Progress::silent("00000000-0000-0000-0000-000000000001".parse()?);
    let report = ProcessSandbox::new(options).check(request, &progress, &CancellationToken::new()).await?;

    println!("{} ({})", report.command, report.ecosystem);
    for (name, outcome) in &report.tests {
        let outcome = match outcome {
            TestOutcome::Passed => "passed",
            TestOutcome::Failed => "failed",
            TestOutcome::Skipped => "skipped",
        };
        println!("{outcome:8}{name}");
    }
    println!("built: {}, {} of {} passed", report.build_success, report.results.passed, report.results.total);
    Ok(())
}
