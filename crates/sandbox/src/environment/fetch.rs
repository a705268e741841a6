//! Running a package manager, with the registries as all that it reaches.

use std::io;
use std::path::{Path, PathBuf};

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{CheckRequest, SandboxError};

use super::packages::{READY, is_ready};
use super::{Preparation, cache};
use crate::egress::Egress;
use crate::options::SandboxOptions;
use crate::process::{CommandSpec, Runner};
use crate::programs::Programs;
use crate::workspace::{Environment, Workspace};

/// How much of the output of a failed package manager is kept, in characters.
const MAX_LOG_CHARS: usize = 6_000;

/// What a fetch runs with.
pub(crate) struct Fetch<'a> {
    pub(crate) options: &'a SandboxOptions,
    pub(crate) programs: &'a Programs,
    pub(crate) cache: &'a Path,
    pub(crate) relay: &'a Path,
    pub(crate) runner: &'a Runner,
    pub(crate) workspace: &'a Workspace,
    pub(crate) request: &'a CheckRequest,
}

impl Fetch<'_> {
    /// Returns the environment, and prepares it if it is not in the cache. Two must not run at once.
    ///
    /// # Errors
    /// [`SandboxError::NotPrepared`] if the package manager fails.
    pub(crate) async fn prepare(
        &self,
        preparation: &Preparation,
        find_program: impl Fn(&str) -> Result<PathBuf, SandboxError>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Environment, SandboxError> {
        let folder = preparation.folder(self.cache);
        if is_ready(&folder) {
            // What is used last is deleted last.
            let _ = std::fs::File::open(&folder).and_then(|folder| folder.set_modified(std::time::SystemTime::now()));
        } else {
            progress.set_activity(preparation.step.clone());
            self.fetch(preparation, &folder, find_program, progress, cancel).await?;
        }
        self.copy_generated(preparation, &folder).map_err(SandboxError::internal)?;
        Ok(preparation.environment(&folder, self.cache, self.workspace.tree(), self.workspace.scratch()))
    }

    async fn fetch(
        &self,
        preparation: &Preparation,
        folder: &Path,
        find_program: impl Fn(&str) -> Result<PathBuf, SandboxError>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<(), SandboxError> {
        let building = folder.with_extension(format!("{:016x}", fastrand::u64(..)));
        let suite = &self.request.suite;
        self.create_folders(preparation, folder, &building).map_err(SandboxError::internal)?;
        preparation.copy_manifests(&self.workspace.host_tree, suite, &building).map_err(SandboxError::internal)?;
        let egress = Egress::open(&self.options.registries).await.map_err(SandboxError::internal)?;
        let mut spec = self.command(preparation, &building);
        egress.apply(&mut spec, self.relay);
        spec.env.extend(preparation.env.clone());
        spec.env.insert("GIT_ALLOW_PROTOCOL".to_owned(), "https".to_owned());
        spec.env.extend(self.options.fetch_env.clone());
        spec.program = find_program(&preparation.line[0])?;
        spec.args = preparation.line[1..].to_vec();
        let result = self.runner.run(&spec, progress, cancel).await;
        let failed = match &result {
            Ok(result) if result.code == Some(0) && result.exceeded.is_none() => None,
            Ok(result) => {
                let start = result.output.char_indices().rev().nth(MAX_LOG_CHARS - 1).map_or(0, |(at, _)| at);
                let log_tail = result.output[start..].to_owned();
                Some(SandboxError::NotPrepared { step: preparation.step.clone(), log_tail })
            }
            Err(_) => None,
        };
        if failed.is_some() || result.is_err() {
            let _ = crate::tree::delete(&building);
            result?;
            return failed.map_or(Ok(()), Err);
        }
        // Code may have left a link by this name.
        std::fs::File::create_new(building.join(READY)).map_err(SandboxError::internal)?;
        crate::tree::delete(folder).map_err(SandboxError::internal)?;
        std::fs::rename(&building, folder).map_err(SandboxError::internal)
    }

    fn create_folders(&self, preparation: &Preparation, folder: &Path, building: &Path) -> io::Result<()> {
        std::fs::create_dir_all(building)?;
        std::fs::create_dir_all(preparation.packages(self.cache))?;
        folder.parent().map_or(Ok(()), |environments| cache::shrink(environments, self.options.cache_bytes))
    }

    fn command(&self, preparation: &Preparation, building: &Path) -> CommandSpec {
        let mut spec = self.workspace.command(self.options, self.programs, PathBuf::new(), Vec::new());
        let tree = self.workspace.tree();
        // Not the tree itself: its settings could name programs.
        spec.mounts.retain(|mount| mount.target != tree);
        spec.mounts.extend(preparation.mounts(building, self.cache, tree));
        spec.folder = preparation.working_folder(&self.request.suite, tree);
        spec.writes_cache = true;
        spec.timeout = spec.timeout.min(self.request.timeout);
        spec
    }

    /// Copies lock files that the package manager made to a tree without them.
    fn copy_generated(&self, preparation: &Preparation, folder: &Path) -> io::Result<()> {
        for name in preparation.generated() {
            let path = Path::new(&self.request.suite.folder).join(name);
            let (from, to) = (folder.join(&path), self.workspace.host_tree.join(&path));
            let folder = Path::new(&self.request.suite.folder);
            // Code may have run in the tree, and left links in it that lead out.
            let is_inside = crate::tree::make_folders_below(&self.workspace.host_tree, folder).is_ok();
            if from.is_file() && is_inside && to.symlink_metadata().is_err() {
                std::fs::copy(from, to)?;
            }
        }
        Ok(())
    }
}
