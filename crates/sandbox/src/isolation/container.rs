//! Isolation by a container engine, `podman` or `docker`: the tool chains are those of an image, and not this machine's.
//!
//! The rules are those of the other backend: no network, a read-only root, no capabilities, a user of its own, and nothing of this
//! machine but what is mounted, and the same filter of system calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::fault::Cause;
use rustix::process::{getegid, geteuid};
use tokio::process::Command;

use super::{Access, Mount, Network};
use crate::process::CommandSpec;
use crate::relay;

/// The user that code runs as if this process is root; one for each command.
const FIRST_USER: u32 = 61_184;
const USERS: u32 = 4_000;
/// How long the engine may take to tell about a container, or to remove it.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the engine is asked for the first process of a container.
const PROCESS_INTERVAL: Duration = Duration::from_millis(300);
/// The size of `/dev/shm`, which is memory.
const SHARED_MEMORY: &str = "256m";

/// A container engine.
#[derive(Debug, Clone)]
pub(crate) struct ContainerEngine {
    pub(crate) program: PathBuf,
    /// Arguments before its command.
    pub(crate) args: Vec<String>,
    /// Its complete environment.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) kind: EngineKind,
    /// The filters of system calls, with memory that is counted and without.
    pub(crate) profiles: Arc<Profiles>,
}

/// The filters of system calls, as files that the engine reads. They are deleted on drop.
#[derive(Debug)]
pub(crate) struct Profiles {
    folder: PathBuf,
}

impl Profiles {
    /// Writes the files.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let folder = std::env::temp_dir().join(format!("patchwright-seccomp-{:016x}", fastrand::u64(..)));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let profiles = Self { folder };
        for counts_all_memory in [true, false] {
            let text = super::seccomp::profile(counts_all_memory).to_string();
            std::fs::write(profiles.path(counts_all_memory), text)?;
        }
        Ok(profiles)
    }

    fn path(&self, counts_all_memory: bool) -> PathBuf {
        self.folder.join(if counts_all_memory { "counted.json" } else { "uncounted.json" })
    }
}

impl Drop for Profiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The engines, as far as they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Podman,
    Docker {
        /// Whether its daemon runs as an ordinary user.
        is_rootless: bool,
    },
}

impl EngineKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker { .. } => "docker",
        }
    }
}

/// A container that is ready to start.
pub(crate) struct PreparedContainer {
    pub(crate) command: Command,
    pub(crate) container: Container,
    /// The user that the code runs as, if it is not this process's user.
    pub(crate) user: Option<u32>,
}

impl ContainerEngine {
    /// Builds the command line.
    ///
    /// # Errors
    /// When a path cannot be mounted, or the place of a mount cannot be made.
    pub(crate) fn prepare(&self, image: &str, spec: &CommandSpec) -> Result<PreparedContainer, Cause> {
        let name = format!("patchwright-{:016x}", fastrand::u64(..));
        let owner = geteuid().is_root().then(|| {
            // What is kept between commands belongs to one user.
            if spec.writes_cache { FIRST_USER } else { FIRST_USER + 1 + fastrand::u32(..USERS) }
        });
        let mut command = self.command();
        command.args(["run", "--name", &name, "--pull", "never", "--network", "none", "--read-only"]);
        command.args(["--cap-drop", "all", "--security-opt", "no-new-privileges", "--shm-size", SHARED_MEMORY]);
        if self.kind == EngineKind::Podman {
            // Otherwise there are places to write to, in memory and without a limit.
            command.args(["--read-only-tmpfs=false", "--image-volume", "ignore", "--http-proxy=false"]);
        }
        command.arg(format!("--security-opt=seccomp={}", self.profiles.path(self.can_count()).display()));
        command.args(["--user", &self.user(owner), "--hostname", "sandbox", "--entrypoint", ""]);
        self.add_limits(&mut command, spec);
        let outlet = match &spec.network {
            Network::None => Vec::new(),
            Network::Outlet { folder, relay, .. } => {
                vec![Mount::read(folder, relay::FOLDER), Mount::read(relay, relay::PROGRAM)]
            }
        };
        let mut mounts: Vec<&Mount> = spec.mounts.iter().chain(&outlet).collect();
        mounts.sort_by_key(|mount| mount.target.components().count());
        super::make_mount_points(&mounts)?;
        for mount in mounts {
            command.args(mount_argument(mount)?);
        }
        for (name, value) in &spec.env {
            // Arguments can be read by every user of this machine. The other names are not given to the engine itself.
            if is_secret(name) {
                command.arg("--env").arg(name).env(name, value);
            } else {
                command.arg("--env").arg(format!("{name}={value}"));
            }
        }
        command.arg("--workdir").arg(&spec.folder).arg(image);
        if let Network::Outlet { address, .. } = &spec.network {
            command.args([relay::PROGRAM, relay::COMMAND, &address.to_string()]);
            command.arg(Path::new(relay::FOLDER).join(relay::SOCKET));
        }
        command.arg(&spec.program).args(&spec.args);
        let container = Container { engine: self.clone(), name, is_removed: false };
        Ok(PreparedContainer { command, container, user: owner })
    }

    fn add_limits(&self, command: &mut Command, spec: &CommandSpec) {
        let limits = &spec.limits;
        command.arg(format!("--ulimit=nofile={0}:{0}", limits.open_files));
        command.arg(format!("--ulimit=fsize={0}:{0}", limits.file_bytes));
        command.arg("--ulimit=core=0:0");
        let is_shared = !geteuid().is_root() && self.can_count();
        // Counted for a user, who runs this container alone, unless a daemon of root runs it as the user of this process.
        // Without it, engines ask for more than this process may have.
        if !is_shared {
            command.arg(format!("--ulimit=nproc={0}:{0}", limits.processes));
        }
        if self.can_count() {
            command.arg(format!("--memory={}", limits.memory_bytes));
            command.arg(format!("--memory-swap={}", limits.memory_bytes));
            command.arg(format!("--pids-limit={}", limits.processes));
        }
    }

    /// Returns whether the engine limits memory and processes by control groups. An ordinary user may have none: the watch on the
    /// processes limits their memory then.
    pub(crate) fn can_count(&self) -> bool {
        geteuid().is_root() || self.kind == EngineKind::Docker { is_rootless: false }
    }

    /// Returns the user inside of the container, who can write the folders that are mounted.
    fn user(&self, owner: Option<u32>) -> String {
        match (owner, self.kind) {
            (Some(owner), _) => format!("{owner}:{owner}"),
            // A daemon of root maps nothing.
            (None, EngineKind::Docker { is_rootless: false }) => {
                format!("{}:{}", geteuid().as_raw(), getegid().as_raw())
            }
            // The user namespace maps its root to this process's user. It has no capabilities.
            (None, _) => "0:0".to_owned(),
        }
    }

    /// Returns the volumes that the image declares, if the engine makes folders for them, which are written to without a limit.
    pub(crate) async fn unlimited_volumes(&self, image: &str) -> Option<String> {
        if self.kind == EngineKind::Podman {
            // It is told to ignore them.
            return None;
        }
        let mut command = self.command();
        command.args(["image", "inspect", "--format", "{{json .Config.Volumes}}", image]).kill_on_drop(true);
        let output = tokio::time::timeout(REMOVAL_TIMEOUT, command.output()).await.ok()?.ok()?;
        let volumes = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Some(volumes).filter(|volumes| !matches!(volumes.as_str(), "" | "null" | "{}"))
    }

    /// Returns a call of the engine without a command.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(&self.env).current_dir("/").stdin(Stdio::null());
        command
    }
}

/// Returns whether a variable of the environment holds a secret, by its name.
fn is_secret(name: &str) -> bool {
    ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD"].iter().any(|end| name.ends_with(end))
}

fn mount_argument(mount: &Mount) -> Result<[String; 2], Cause> {
    let text = |path: &Path| {
        // The form with `:` has no way to quote it, nor this one a comma.
        let text = path.to_str().filter(|text| !text.contains([',', '"', '\n']));
        text.map(str::to_owned).ok_or_else(|| format!("the path {} cannot be mounted", path.display()))
    };
    let target = text(&mount.target)?;
    Ok(match mount.access {
        Access::Hidden => ["--tmpfs".to_owned(), format!("{target}:rw,nosuid,nodev,size=64m,mode=0777")],
        access => {
            let source = text(&mount.source)?;
            let read_only = if access == Access::Read { ",readonly" } else { "" };
            ["--mount".to_owned(), format!("type=bind,source={source},target={target}{read_only}")]
        }
    })
}

/// A container, which is removed with all of its processes: by [`Self::remove`], else on drop.
pub(crate) struct Container {
    engine: ContainerEngine,
    name: String,
    is_removed: bool,
}

impl Container {
    /// Returns the first process of the container, as this machine sees it, as soon as there is one.
    pub(crate) async fn first_process(&self) -> u32 {
        loop {
            let found = self.inspect("{{.State.Pid}}").await.and_then(|text| text.parse().ok()).filter(|pid| *pid > 0);
            if let Some(process) = found {
                return process;
            }
            tokio::time::sleep(PROCESS_INTERVAL).await;
        }
    }

    /// Returns whether the kernel ended it because its memory was used up.
    pub(crate) async fn ran_out_of_memory(&self) -> bool {
        self.inspect("{{.State.OOMKilled}}").await.is_some_and(|text| text == "true")
    }

    async fn inspect(&self, format: &str) -> Option<String> {
        let mut command = self.engine.command();
        command.args(["inspect", "--format", format, &self.name]).kill_on_drop(true);
        let output = tokio::time::timeout(REMOVAL_TIMEOUT, command.output()).await.ok()?.ok()?;
        let output = Some(output).filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Ends all processes, and waits until they are gone.
    pub(crate) async fn remove(mut self) {
        let mut command = self.removal();
        match tokio::time::timeout(REMOVAL_TIMEOUT, command.output()).await {
            Ok(Ok(output)) if output.status.success() => self.is_removed = true,
            Ok(Ok(output)) => {
                let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                tracing::warn!(container = self.name, error, "failed to remove a container");
            }
            Ok(Err(error)) => tracing::warn!(container = self.name, %error, "failed to remove a container"),
            Err(_) => tracing::warn!(container = self.name, "the container engine does not remove a container"),
        }
    }

    fn removal(&self) -> Command {
        let mut command = self.engine.command();
        // Without a time for an orderly end.
        match self.engine.kind {
            EngineKind::Podman => command.args(["rm", "--force", "--ignore", "--volumes", "--time", "0", &self.name]),
            EngineKind::Docker { .. } => command.args(["rm", "--force", "--volumes", &self.name]),
        };
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.is_removed {
            // Nobody waits for it: the caller is gone.
            let mut command = self.removal();
            let child = command.as_std_mut().stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            if let Ok(mut child) = child {
                std::thread::spawn(move || child.wait());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_what_it_says_and_a_path_that_would_say_more_is_refused() {
        let read = mount_argument(&Mount::read("/a b", "/workspace")).unwrap();
        assert_eq!(read, ["--mount", "type=bind,source=/a b,target=/workspace,readonly"]);
        let write = mount_argument(&Mount::write("/a", "/b")).unwrap();
        assert_eq!(write[1], "type=bind,source=/a,target=/b");
        assert!(mount_argument(&Mount::read("/a,target=/etc", "/b")).is_err());
        assert!(mount_argument(&Mount::hidden("/tmp")).unwrap()[1].starts_with("/tmp:rw,nosuid"));
    }
}
