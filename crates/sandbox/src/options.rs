//! The options of a sandbox.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The isolation that untrusted code must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxPolicy {
    /// Untrusted code runs only where a backend keeps it apart from this machine; otherwise every run is refused.
    Require,
    /// Untrusted code runs as well as this machine can isolate it, at least with resource limits.
    BestEffort,
}

/// What isolates commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// `bwrap` where it works, otherwise nothing.
    #[default]
    Auto,
    /// `bwrap` (bubblewrap).
    Bubblewrap,
    /// `podman`, with the images of [`SandboxOptions::container`].
    Podman,
    /// `docker`, likewise.
    Docker,
    /// Nothing: commands are processes of this user. Refused by [`SandboxPolicy::Require`].
    None,
}

/// Configures a container engine.
#[derive(Debug, Clone, Default)]
pub struct ContainerOptions {
    /// Arguments of the engine before its command, such as `--runtime`.
    pub args: Vec<String>,
    /// The complete environment of the engine, such as `HOME`, `XDG_RUNTIME_DIR` and `DOCKER_HOST`. Commands do not see it.
    pub env: BTreeMap<String, String>,
    /// The images, by ecosystem (`python`, `cargo`, `npm`, …); that of `*` is for all others. They must be on this machine: none
    /// is fetched.
    pub images: BTreeMap<String, String>,
}

impl ContainerOptions {
    /// Returns the image for an ecosystem.
    pub fn image_of(&self, ecosystem: &str) -> Option<&str> {
        self.images.get(ecosystem).or_else(|| self.images.get("*")).map(String::as_str)
    }
}

/// Configures a [`crate::LocalSandbox`].
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The isolation that untrusted code must have.
    pub policy: SandboxPolicy,
    /// What isolates commands.
    pub backend: BackendChoice,
    /// The container engine, if that is the backend.
    pub container: ContainerOptions,
    /// The folders in which programs are searched, as in `PATH`. Commands see them, and the tool chains that they are part
    /// of, read-only.
    pub path: String,
    /// Variables that tool chains need, such as `RUSTUP_HOME`. They must not contain secrets. Folders in them are readable.
    pub env: BTreeMap<String, String>,
    /// The home of the user who runs commands on a working copy of their own. Such commands may read the packages that build tools
    /// have put there: those of Maven and Gradle.
    pub home: Option<PathBuf>,
    /// Further folders that commands may read.
    pub readable: Vec<PathBuf>,
    /// Folders that commands never see, such as the data of the embedding program, also if they are below a readable one.
    pub private: Vec<PathBuf>,
    /// Where environments and the packages of registries are kept between runs; none are kept without it.
    pub cache: Option<PathBuf>,
    /// How many bytes of environments are kept; what was not used for the longest time is deleted first.
    pub cache_bytes: u64,
    /// The variables of this machine that an administrator may grant to a repository
    /// ([`SandboxGrants::env`](patchwright_domain::SandboxGrants::env)).
    pub host_env: BTreeMap<String, String>,
    /// Variables for package managers alone, such as the address of a mirror.
    pub fetch_env: BTreeMap<String, String>,
    /// The embedding program, if it calls [`relay()`](crate::relay()) when it is started as `PROGRAM sandbox-relay ADDRESS SOCKET COMMAND…`.
    /// Without it, a command in a network namespace reaches nothing: packages are not fetched, and
    /// [`ProgramRequest::reachable`](patchwright_core::sandbox::ProgramRequest::reachable) is refused.
    pub relay: Option<PathBuf>,
    /// The hosts of package registries, from which environments may be prepared. None are prepared if it is empty.
    pub registries: Vec<String>,
    /// The time limit for one run.
    pub timeout: Duration,
    /// The memory of all processes of a run together, in bytes.
    pub memory_bytes: u64,
    /// The number of processes and threads of a run.
    pub processes: u64,
    /// What a run may write, in bytes.
    pub disk_bytes: u64,
    /// The remedy that a refusal by [`SandboxPolicy::Require`] names, such as the setting of the embedding program.
    pub refusal_hint: String,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            policy: SandboxPolicy::Require,
            backend: BackendChoice::Auto,
            container: ContainerOptions::default(),
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            env: BTreeMap::new(),
            home: None,
            readable: Vec::new(),
            private: Vec::new(),
            cache: None,
            cache_bytes: 20 << 30,
            host_env: BTreeMap::new(),
            fetch_env: BTreeMap::new(),
            relay: None,
            registries: Vec::new(),
            timeout: Duration::from_secs(15 * 60),
            memory_bytes: 4 << 30,
            processes: 1024,
            disk_bytes: 10 << 30,
            refusal_hint: "set SandboxOptions::policy to SandboxPolicy::BestEffort for code that you trust as far as \
                           your own"
                .to_owned(),
        }
    }
}
