//! Isolation by `bwrap` (bubblewrap): namespaces of its own, no capabilities, a read-only system.
//!
//! An ordinary user gets a user namespace. For root there is none: in one, the code would still be root for the files of this
//! machine. Instead the mounts are made as root, and the command runs as a user of its own (see `docs/sandbox.md`).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use patchwright_core::fault::Cause;
use tokio::process::Command;

use super::handover::Handover;
use super::host_view::{self, SystemPart};
use super::{Access, Mount, Network, seccomp};
use crate::process::CommandSpec;
use crate::relay;

/// The user that code runs as if this process is root. One for each command, so that two cannot reach each other.
const FIRST_USER: u32 = 61_184;
/// How many such users there are: those that systemd reserves for services without an account.
const USERS: u32 = 4_000;
/// The user in a user namespace.
const MAPPED_USER: u32 = 1_000;
/// The size of `/dev/shm`, which is memory.
const SHARED_MEMORY_BYTES: u64 = 256 << 20;

/// How commands are isolated by `bwrap`.
#[derive(Debug, Clone)]
pub(crate) struct Bubblewrap {
    /// The program.
    pub(crate) program: PathBuf,
    /// `setpriv`, if this process is root.
    pub(crate) setpriv: Option<PathBuf>,
    /// Whether the program can forbid nested user namespaces (version 0.8).
    pub(crate) disables_nesting: bool,
    /// The programs' `PATH`, and folders that commands may read in addition.
    pub(crate) view: Vec<Mount>,
    /// Whether a control group limits the memory.
    pub(crate) counts_all_memory: bool,
}

/// A command that is ready to start, and the ends of its control pipes.
pub(crate) struct Prepared {
    pub(crate) command: Command,
    pub(crate) handover: Handover,
    /// Receives the process id of the first process in the sandbox.
    pub(crate) info: OwnedFd,
    /// Holds the command back until something is written.
    pub(crate) release: OwnedFd,
    /// The user that the code runs as, if it is not this process's user.
    pub(crate) user: Option<u32>,
}

impl Bubblewrap {
    /// Builds the command line.
    ///
    /// # Errors
    /// When a pipe or the filter cannot be made.
    pub(crate) fn prepare(&self, spec: &CommandSpec) -> Result<Prepared, Cause> {
        let mut handover = Handover::default();
        let user = self.setpriv.as_ref().map(|_| {
            // What is kept between commands belongs to one user.
            if spec.writes_cache { FIRST_USER } else { FIRST_USER + 1 + fastrand::u32(..USERS) }
        });
        let mut arguments = Arguments::default();
        self.add_namespaces(&mut arguments, user.is_some());
        add_system(&mut arguments);
        add_accounts(&mut arguments, &mut handover, user.unwrap_or(MAPPED_USER))?;
        let outlet = match &spec.network {
            Network::None => Vec::new(),
            Network::Outlet { folder, relay, .. } => {
                vec![Mount::read(folder, relay::FOLDER), Mount::read(relay, relay::PROGRAM)]
            }
        };
        let mut mounts: Vec<&Mount> = self.view.iter().chain(&spec.mounts).chain(&outlet).collect();
        // A mount inside of another comes after it.
        mounts.sort_by_key(|mount| mount.target.components().count());
        super::make_mount_points(&mounts)?;
        for mount in mounts {
            arguments.mount(mount);
        }
        for filter in seccomp::filters(self.counts_all_memory)? {
            let descriptor = handover.add_bytes(&filter)?;
            arguments.push(["--add-seccomp-fd".into(), descriptor.to_string()]);
        }
        let (info, info_writer) = pipe()?;
        let (release_reader, release) = pipe()?;
        arguments.push(["--info-fd".into(), handover.add(info_writer).to_string()]);
        arguments.push(["--block-fd".into(), handover.add(release_reader).to_string()]);
        arguments.push(["--remount-ro", "/"]);
        arguments.push([OsStr::new("--chdir"), spec.folder.as_os_str()]);
        for (name, value) in &spec.env {
            arguments.push(["--setenv", name, value]);
        }
        // The arguments are handed over, because /proc/1/cmdline would show the paths of this machine to the command.
        let descriptor = handover.add_bytes(&arguments.bytes)?;
        let mut command = Command::new(&self.program);
        command.args(["--args", &descriptor.to_string(), "--"]);
        if let (Some(setpriv), Some(user)) = (&self.setpriv, user) {
            let user = user.to_string();
            command.arg(setpriv).args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
            command.args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]);
        }
        if let Network::Outlet { address, .. } = &spec.network {
            command.args([relay::PROGRAM, relay::COMMAND, &address.to_string()]);
            command.arg(Path::new(relay::FOLDER).join(relay::SOCKET));
        }
        command.arg(&spec.program).args(&spec.args).env_clear().current_dir("/");
        Ok(Prepared { command, handover, info, release, user })
    }

    fn add_namespaces(&self, arguments: &mut Arguments, is_root: bool) {
        if is_root {
            // What `setpriv` needs to become the user; it gives them away.
            arguments.push(["--cap-drop", "ALL"]);
            for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
                arguments.push(["--cap-add", capability]);
            }
        } else {
            let user = MAPPED_USER.to_string();
            arguments.push(["--unshare-user", "--cap-drop", "ALL", "--uid", &user, "--gid", &user]);
            if self.disables_nesting {
                arguments.push(["--disable-userns"]);
            }
        }
        arguments.push(["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net"]);
        arguments.push(["--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv"]);
    }
}

fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader.into(), writer.into()))
}

fn add_system(arguments: &mut Arguments) {
    for part in host_view::system() {
        match part {
            SystemPart::Folder(path) => arguments.mount(&Mount::read(path.clone(), path)),
            SystemPart::Link { path, target } => {
                arguments.push([OsStr::new("--symlink"), target.as_os_str(), path.as_os_str()]);
            }
        }
    }
    arguments.push(["--proc", "/proc", "--ro-bind-try", "/proc/sys", "/proc/sys", "--dev", "/dev"]);
    let bytes = SHARED_MEMORY_BYTES.to_string();
    arguments.push(["--perms", "1777", "--size", &bytes, "--tmpfs", "/dev/shm"]);
    // Otherwise it would be a place to write to, in memory and without a limit.
    arguments.push(["--remount-ro", "/dev"]);
}

/// Adds the account that programs look themselves up in, and the name of the loopback address.
fn add_accounts(arguments: &mut Arguments, handover: &mut Handover, user: u32) -> std::io::Result<()> {
    let files = [
        ("/etc/passwd", format!("root:x:0:0::/:/usr/sbin/nologin\nsandbox:x:{user}:{user}::/tmp:/bin/sh\n")),
        ("/etc/group", format!("root:x:0:\nsandbox:x:{user}:\n")),
        ("/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n".to_owned()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
    ];
    for (path, text) in files {
        arguments.make_parents(Path::new(path));
        let descriptor = handover.add_bytes(text.as_bytes())?.to_string();
        arguments.push(["--perms", "0444", "--ro-bind-data", &descriptor, path]);
    }
    Ok(())
}

/// The arguments of `bwrap`, as it reads them from a descriptor.
#[derive(Default)]
struct Arguments {
    bytes: Vec<u8>,
    mounted: BTreeSet<PathBuf>,
    made: BTreeSet<PathBuf>,
}

impl Arguments {
    fn push<const N: usize, T: AsRef<OsStr>>(&mut self, words: [T; N]) {
        for word in words {
            self.bytes.extend(word.as_ref().as_bytes());
            self.bytes.push(0);
        }
    }

    fn mount(&mut self, mount: &Mount) {
        let target = mount.target.as_os_str();
        self.make_parents(&mount.target);
        match mount.access {
            Access::Read => self.push([OsStr::new("--ro-bind"), mount.source.as_os_str(), target]),
            Access::Write => self.push([OsStr::new("--bind"), mount.source.as_os_str(), target]),
            Access::Hidden => {
                self.push(["--perms", "0777", "--size", "67108864"]);
                self.push([OsStr::new("--tmpfs"), target]);
            }
        }
        self.mounted.insert(mount.target.clone());
    }

    /// Makes the folders above a target. `bwrap` would make them for its own user alone.
    fn make_parents(&mut self, target: &Path) {
        let mut parents: Vec<PathBuf> = target.ancestors().skip(1).map(Path::to_owned).collect();
        parents.pop();
        for parent in parents.into_iter().rev() {
            // Below a mount, the folder is part of what is mounted.
            let is_mounted = parent.ancestors().any(|folder| self.mounted.contains(folder));
            if !is_mounted && self.made.insert(parent.clone()) {
                self.push(["--perms", "0755"]);
                self.push([OsStr::new("--dir"), parent.as_os_str()]);
            }
        }
    }
}
