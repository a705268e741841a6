//! The environment in which a suite runs: packages, tool chains and generated files beside its tree.

mod cache;
mod code_packages;
pub(crate) mod fetch;
mod local;
mod packages;
mod python_packages;

use std::path::Path;

use patchwright_core::sandbox::Suite;

pub(crate) use packages::{ENVIRONMENT, Preparation};

use crate::suite::Ecosystem;
use crate::workspace::{Environment, Workspace};

/// Returns what a user's working copy has for a suite.
///
/// # Errors
/// When ignored files cannot be copied.
pub(crate) fn take_local(
    folder: &Path,
    home: Option<&Path>,
    suite: &Suite,
    workspace: &Workspace,
    has_mounts: bool,
) -> std::io::Result<Environment> {
    local::take(folder, home, suite, workspace, has_mounts)
}

/// Returns whether fetching the packages of a kind of suite runs code, so that it has to be granted.
pub(crate) const fn fetching_runs_code(ecosystem: Ecosystem) -> bool {
    code_packages::runs_code(ecosystem)
}

/// Returns whether the working copy has the packages that a tree of its history needs.
pub(crate) fn covers(
    local: &Path,
    preparation: &Preparation,
    environment: &Environment,
    workspace: &Workspace,
) -> bool {
    preparation.is_covered_by(local, environment, &workspace.host_tree)
}
