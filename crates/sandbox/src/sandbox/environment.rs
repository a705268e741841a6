//! What a suite runs with beside its tree: packages of the user's working copy, or fetched ones.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckRequest, SandboxError};

use super::{LocalSandbox, locate, run_blocking};
use crate::environment::fetch::Fetch;
use crate::environment::{self, Preparation};
use crate::process::Runner;
use crate::programs::Programs;
use crate::suite::Ecosystem;
use crate::workspace::{Environment, Workspace};

/// What the environment of a check depends on.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) request: &'a CheckRequest,
    pub(super) runner: &'a Runner,
    pub(super) programs: &'a Programs,
    pub(super) workspace: &'a Workspace,
}

impl LocalSandbox {
    /// Returns what the run has beside its tree: the environment of the user's working copy, or one that is prepared.
    pub(super) async fn find_environment(
        &self,
        setting: Setting<'_>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Environment, SandboxError> {
        let Setting { request, runner, programs, workspace } = setting;
        let has_mounts = runner.backend.has_mounts();
        let mut environment = Environment::default();
        // An image has its own interpreters, which those of a working copy do not fit.
        let local_folder = request.local_folder.clone().filter(|_| programs.image().is_none());
        if let Some(folder) = local_folder.clone() {
            let (suite, workspace, home) = (request.suite.clone(), workspace.clone(), self.options.home.clone());
            let take = move || environment::take_local(&folder, home.as_deref(), &suite, &workspace, has_mounts);
            let taken = run_blocking(take).await?;
            environment = taken.map_err(SandboxError::internal)?;
        }
        let has_program = |name: &str| programs.has(name);
        let python = programs.locate("", "python3").map(|path| path.display().to_string()).unwrap_or_default();
        let mut salt = format!("{}{python}", programs.image().unwrap_or_default());
        if Ecosystem::of(&request.suite).is_some_and(environment::fetching_runs_code) {
            // Code writes them: they are shared with no other repository.
            salt.push_str(&request.suite.granted.repository);
        }
        let Some(preparation) = Preparation::of(&request.suite, &workspace.host_tree, &salt, &has_program) else {
            return Ok(environment);
        };
        let is_covered = |local: &PathBuf| environment::covers(local, &preparation, &environment, workspace);
        if local_folder.as_ref().is_some_and(is_covered) {
            return Ok(environment);
        }
        if preparation.runs_code() {
            // Once a job, before any code of it has run in the tree.
            if let Some(known) = self.packages_of_base(setting, &preparation) {
                return Ok(known);
            }
            if !request.has_base_manifests || base_packages(request).exists() {
                return Ok(environment);
            }
            std::fs::write(base_packages(request), "").map_err(SandboxError::internal)?;
        }
        if let (true, Some(cache), Some(relay)) = (has_mounts, &self.options.cache, &self.options.relay)
            && !self.options.registries.is_empty()
        {
            let fetch = Fetch { options: &self.options, programs, cache, relay, runner, workspace, request };
            let find = |name: &str| locate(programs, name, "", Path::new(""));
            let _one_at_a_time = self.fetching.lock().await;
            let prepared = fetch.prepare(&preparation, find, progress, cancel).await?;
            if preparation.runs_code() {
                let kept = std::fs::write(base_packages(request), preparation.key());
                kept.map_err(SandboxError::internal)?;
            }
            return Ok(prepared);
        }
        Ok(environment)
    }

    /// Returns the packages that were fetched for the base of this job, if they were.
    fn packages_of_base(&self, setting: Setting<'_>, preparation: &Preparation) -> Option<Environment> {
        let Setting { request, workspace, .. } = setting;
        let key = std::fs::read_to_string(base_packages(request)).ok()?;
        preparation.clone().with_key(key).find(self.options.cache.as_ref()?, workspace.tree(), workspace.scratch())
    }
}

/// Returns the file that names the packages of the base, out of reach of the repository's code.
fn base_packages(request: &CheckRequest) -> PathBuf {
    let folder = BuildHasherDefault::<DefaultHasher>::default().hash_one(&request.suite.folder);
    request.scratch.join(format!("packages-of-base-{}-{folder:016x}", request.suite.ecosystem))
}
