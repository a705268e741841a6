//! The smallest program for `GitOptions::child`: it fetches and checks out repositories for another process, with limits.

use std::process::ExitCode;

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match std::env::args().nth(1).as_deref() {
        Some(patchwright_gitops_gix::CHILD_COMMAND) => patchwright_gitops_gix::run_child(),
        _ => ExitCode::from(2),
    }
}
