//! The folders of one run, on this machine and as its commands see them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::isolation::{Limits, Mount, Network};
use crate::options::SandboxOptions;
use crate::process::CommandSpec;
use crate::programs::Programs;

/// The tree, as a command sees it where it sees mounts. It is the same for every tree: some tests have the path in their names.
const TREE: &str = "/workspace";
const SCRATCH: &str = "/scratch";
const HOME: &str = "/home/sandbox";
const INPUTS: &str = "/inputs";

const OUTPUT_BYTES: usize = 16 << 20;
const FILE_BYTES: u64 = 4 << 30;
const OPEN_FILES: u64 = 4096;

/// The folders of one run.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The tree on this machine.
    pub(crate) host_tree: PathBuf,
    /// The folder for build outputs and reports on this machine.
    pub(crate) host_scratch: PathBuf,
    host_home: PathBuf,
    host_temporary: PathBuf,
    has_mounts: bool,
}

impl Workspace {
    /// Makes the folders. The home and the folder for temporary files are new for every run.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) fn create(root: &Path, scratch: &Path, has_mounts: bool) -> io::Result<Self> {
        let workspace = Self {
            host_tree: root.to_owned(),
            host_scratch: scratch.join("out"),
            host_home: scratch.join("home"),
            host_temporary: scratch.join("tmp"),
            has_mounts,
        };
        std::fs::create_dir_all(&workspace.host_scratch)?;
        for folder in [&workspace.host_home, &workspace.host_temporary] {
            crate::tree::delete(folder)?;
            std::fs::create_dir_all(folder)?;
        }
        Ok(workspace)
    }

    /// Returns the tree, as commands see it.
    pub(crate) fn tree(&self) -> &Path {
        if self.has_mounts { Path::new(TREE) } else { &self.host_tree }
    }

    /// Returns the folder for build outputs and reports, as commands see it.
    pub(crate) fn scratch(&self) -> &Path {
        if self.has_mounts { Path::new(SCRATCH) } else { &self.host_scratch }
    }

    fn home(&self) -> &Path {
        if self.has_mounts { Path::new(HOME) } else { &self.host_home }
    }

    fn temporary(&self) -> &Path {
        if self.has_mounts { Path::new("/tmp") } else { &self.host_temporary }
    }

    fn mounts(&self) -> Vec<Mount> {
        vec![
            Mount::write(&self.host_tree, TREE),
            Mount::write(&self.host_scratch, SCRATCH),
            Mount::write(&self.host_home, HOME),
            Mount::write(&self.host_temporary, "/tmp"),
        ]
    }

    /// Returns a command in the tree without network.
    pub(crate) fn command(
        &self,
        options: &SandboxOptions,
        programs: &Programs,
        program: PathBuf,
        args: Vec<String>,
    ) -> CommandSpec {
        let mut env = programs.env();
        let own = [("HOME", self.home()), ("TMPDIR", self.temporary())];
        env.extend(own.map(|(name, path)| (name.to_owned(), path.display().to_string())));
        env.insert("PATH".to_owned(), programs.path().to_owned());
        env.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        CommandSpec {
            image: programs.image().map(str::to_owned),
            program,
            args,
            folder: self.tree().to_owned(),
            env,
            mounts: if self.has_mounts { self.mounts() } else { Vec::new() },
            network: Network::None,
            writes_cache: false,
            timeout: options.timeout,
            limits: limits(options),
        }
    }
}

pub(crate) fn limits(options: &SandboxOptions) -> Limits {
    Limits {
        output_bytes: OUTPUT_BYTES,
        file_bytes: FILE_BYTES.min(options.disk_bytes),
        disk_bytes: options.disk_bytes,
        memory_bytes: options.memory_bytes,
        processes: options.processes,
        open_files: OPEN_FILES,
    }
}

/// Returns the folder of a program's input files on this machine, and as the program sees it.
pub(crate) fn input_folders(scratch: &Path, has_mounts: bool) -> (PathBuf, PathBuf) {
    let folder = scratch.join("inputs");
    let seen = if has_mounts { PathBuf::from(INPUTS) } else { folder.clone() };
    (folder, seen)
}

/// What a run has beside its tree: mounts, variables, and the programs that come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) env: BTreeMap<String, String>,
    /// A virtual environment, as commands see it.
    pub(crate) python: Option<PathBuf>,
}

impl Environment {
    /// Adds this to a command.
    pub(crate) fn apply(&self, spec: &mut CommandSpec, has_mounts: bool, timeout: Duration) {
        if has_mounts {
            spec.mounts.extend(self.mounts.iter().cloned());
        }
        spec.env.extend(self.env.clone());
        if let Some(python) = &self.python {
            let path = spec.env.entry("PATH".to_owned()).or_default();
            *path = format!("{}:{path}", python.join("bin").display());
        }
        spec.timeout = spec.timeout.min(timeout);
    }
}
