//! How a command is kept apart from this machine: the backends, what they let a command see, and their self-test.

pub(crate) mod bubblewrap;
pub(crate) mod cgroup;
pub(crate) mod container;
pub(crate) mod handover;
pub(crate) mod host_view;
pub(crate) mod process_tree;
pub(crate) mod seccomp;
pub(crate) mod self_test;
pub(crate) mod spawner;

use std::net::SocketAddr;
use std::path::PathBuf;

/// What runs a command.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// `bwrap`, with namespaces.
    Bubblewrap(bubblewrap::Bubblewrap),
    /// A container engine.
    Container(container::ContainerEngine),
    /// A process of this user, which sees this machine as this user does.
    Process,
}

impl Backend {
    /// Returns the name of the program that isolates.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Bubblewrap(_) => "bwrap",
            Self::Container(engine) => engine.kind.name(),
            Self::Process => "none",
        }
    }

    /// Returns whether commands see mounts at the paths of their targets. Otherwise they see the paths of this machine.
    pub(crate) const fn has_mounts(&self) -> bool {
        !matches!(self, Self::Process)
    }
}

/// A folder or file of this machine that a command sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The path on this machine.
    pub(crate) source: PathBuf,
    /// The path that the command sees.
    pub(crate) target: PathBuf,
    pub(crate) access: Access,
}

/// What a command may do with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads it.
    Read,
    /// Reads and writes it.
    Write,
    /// Sees an empty folder of its own in its place, which is gone afterwards. The source is not used.
    Hidden,
}

impl Mount {
    pub(crate) fn read(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), access: Access::Read }
    }

    pub(crate) fn write(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), access: Access::Write }
    }

    pub(crate) fn hidden(target: impl Into<PathBuf>) -> Self {
        Self { source: PathBuf::new(), target: target.into(), access: Access::Hidden }
    }
}

/// Makes the folders on which other mounts lie inside of writable ones. The backends would make them for their own user alone.
pub(crate) fn make_mount_points(mounts: &[&Mount]) -> std::io::Result<()> {
    for (at, mount) in mounts.iter().enumerate() {
        let around = mounts[..at].iter().rev().find(|other| mount.target.starts_with(&other.target));
        let Some(around) = around.filter(|around| around.access == Access::Write) else { continue };
        let below = mount.target.strip_prefix(&around.target).unwrap_or(&mount.target);
        let is_file = mount.source.is_file();
        let folder = if is_file { below.parent().unwrap_or(below) } else { below };
        crate::tree::make_folders_below(&around.source, folder)?;
    }
    Ok(())
}

/// What a command reaches of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    /// Nothing: a network namespace of its own, with its own loopback.
    None,
    /// In addition, one address of its loopback leads out.
    Outlet {
        address: SocketAddr,
        /// The folder with the socket that connections are passed on to.
        folder: PathBuf,
        /// The program that passes them on.
        relay: PathBuf,
    },
}

/// The resource limits of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) output_bytes: usize,
    /// The size of one file.
    pub(crate) file_bytes: u64,
    /// What all folders that the command may write hold together.
    pub(crate) disk_bytes: u64,
    /// The memory of all processes together.
    pub(crate) memory_bytes: u64,
    pub(crate) processes: u64,
    pub(crate) open_files: u64,
}
