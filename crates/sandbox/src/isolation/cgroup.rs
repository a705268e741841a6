//! Control groups, which limit the memory and the number of all processes of one command together.
//!
//! Both versions are supported. A group is made below that of this process, or beside it where its parent was delegated to
//! this process (systemd's `Delegate=yes` with `DelegateSubgroup=`). Where neither can be written, there are none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Limits;

/// How long the processes of an ended command may take to leave its group.
const REMOVE_TRIES: u32 = 100;
const REMOVE_INTERVAL: Duration = Duration::from_millis(10);

/// The groups in which those of commands are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ControlGroups {
    parents: Vec<Parent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parent {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Version 2, with both controllers.
    Unified,
    /// Version 1.
    Memory,
    Pids,
}

impl ControlGroups {
    /// Finds the groups of this process in which it can make others.
    pub(crate) fn detect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::of(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
    }

    fn of(membership: &str, mounts: &str) -> Self {
        let mut parents = Vec::new();
        for line in membership.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let kinds: &[(Kind, &str)] = match controllers {
                "" => &[(Kind::Unified, "cgroup2")],
                _ => &[(Kind::Memory, "memory"), (Kind::Pids, "pids")],
            };
            for (kind, name) in kinds {
                if *kind != Kind::Unified && !controllers.split(',').any(|controller| controller == *name) {
                    continue;
                }
                let Some(folder) = folder_of(mounts, name, path) else { continue };
                parents.extend(usable_parent(folder, *kind));
            }
        }
        Self { parents }
    }

    /// Returns whether the memory of a command is limited by a group.
    pub(crate) fn limit_memory(&self) -> bool {
        self.parents.iter().any(|parent| matches!(parent.kind, Kind::Unified | Kind::Memory))
    }

    /// Makes a group with these limits.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(&self, limits: &Limits) -> io::Result<Group> {
        let name = format!("patchwright-{:016x}", fastrand::u64(..));
        let mut group = Group { folders: Vec::new() };
        for parent in &self.parents {
            let folder = parent.folder.join(&name);
            std::fs::create_dir(&folder)?;
            group.folders.push((folder.clone(), parent.kind));
            let set = |file: &str, value: u64| std::fs::write(folder.join(file), value.to_string());
            match parent.kind {
                Kind::Unified => {
                    set("memory.max", limits.memory_bytes)?;
                    set("pids.max", limits.processes)?;
                    // Without it, memory is taken from swap beyond the limit. It is missing where there is no swap.
                    let _ = set("memory.swap.max", 0);
                }
                Kind::Memory => {
                    set("memory.limit_in_bytes", limits.memory_bytes)?;
                    let _ = set("memory.memsw.limit_in_bytes", limits.memory_bytes);
                }
                Kind::Pids => set("pids.max", limits.processes)?,
            }
        }
        Ok(group)
    }
}

/// Returns the folder of a group: the mount point of its hierarchy, and its path below what is mounted there.
fn folder_of(mounts: &str, controller: &str, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, filesystem) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, mount_point) = (place.next()?, place.next()?);
        let mut filesystem = filesystem.split(' ');
        let (kind, options) = (filesystem.next()?, filesystem.nth(1)?);
        let fits = match kind {
            "cgroup2" => controller == "cgroup2",
            "cgroup" => options.split(',').any(|option| option == controller),
            _ => false,
        };
        if !fits {
            return None;
        }
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(path));
        Some(Path::new(mount_point).join(below.strip_prefix("/").unwrap_or(below)))
    })
}

/// Returns the group in which others can be made, by making one.
fn usable_parent(own: PathBuf, kind: Kind) -> Option<Parent> {
    let candidates = match kind {
        // Processes are in leaves only, so a group with this process in it has no others below it.
        Kind::Unified => [own.parent().map(Path::to_owned), Some(own)],
        Kind::Memory | Kind::Pids => [Some(own), None],
    };
    candidates.into_iter().flatten().find_map(|folder| {
        let parent = Parent { folder, kind };
        let control = parent.folder.join("cgroup.subtree_control");
        if kind == Kind::Unified && control.exists() {
            let _ = std::fs::write(control, "+memory +pids");
        }
        let probe = parent.folder.join(format!("patchwright-probe-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&probe).ok()?;
        let files: &[&str] = match kind {
            Kind::Unified => &["memory.max", "pids.max"],
            Kind::Memory => &["memory.limit_in_bytes"],
            Kind::Pids => &["pids.max"],
        };
        let has_controllers = files.iter().all(|file| probe.join(file).exists());
        let _ = std::fs::remove_dir(&probe);
        has_controllers.then_some(parent)
    })
}

/// The group of one command. It is removed on drop, when its processes have ended.
#[derive(Debug)]
pub(crate) struct Group {
    folders: Vec<(PathBuf, Kind)>,
}

impl Group {
    /// Moves a process into the group; its later children are in it too.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub(crate) fn add(&self, process: u32) -> io::Result<()> {
        self.folders.iter().try_for_each(|(folder, _)| std::fs::write(folder.join("cgroup.procs"), process.to_string()))
    }

    /// Returns whether the kernel ended a process of the group because its memory was used up.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.folders.iter().any(|(folder, kind)| {
            let file = match kind {
                Kind::Unified => "memory.events",
                Kind::Memory => "memory.oom_control",
                Kind::Pids => return false,
            };
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
        })
    }

    /// Removes the group as soon as its processes are gone.
    pub(crate) async fn remove(mut self) {
        for _ in 0..REMOVE_TRIES {
            self.folders.retain(|(folder, _)| std::fs::remove_dir(folder).is_err() && folder.exists());
            if self.folders.is_empty() {
                return;
            }
            tokio::time::sleep(REMOVE_INTERVAL).await;
        }
        tracing::warn!(groups = ?self.folders, "failed to remove a control group");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (folder, _) in &self.folders {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_what_is_mounted_where() {
        let hybrid = "30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
                      31 25 0:27 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(folder_of(hybrid, "memory", "/job"), Some("/sys/fs/cgroup/memory/job".into()));
        assert_eq!(folder_of(hybrid, "pids", "/docker/abc/x"), Some("/sys/fs/cgroup/pids/x".into()));
        assert_eq!(folder_of(hybrid, "cgroup2", "/"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(folder_of(hybrid, "cpu", "/"), None);
    }

    #[test]
    fn a_hierarchy_that_cannot_be_written_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let mounts = format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw\n", folder.path().join("none").display());
        assert_eq!(ControlGroups::of("0::/", &mounts), ControlGroups::default());
        // A plain folder has no controllers.
        let mounts = format!("1 1 0:1 / {} rw - cgroup cgroup rw,memory\n", folder.path().display());
        assert_eq!(ControlGroups::of("4:memory:/", &mounts), ControlGroups::default());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
