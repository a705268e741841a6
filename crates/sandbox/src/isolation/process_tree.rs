//! What the processes of a command use, for machines without control groups.

use std::path::{Path, PathBuf};

/// What a process and all that it started use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) processes: u64,
    pub(crate) memory_bytes: u64,
}

/// Reads the usage of a process and its descendants. In a process namespace, nobody leaves the tree of its first process.
pub(crate) fn usage_of(root: u32) -> Usage {
    let mut usage = Usage::default();
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let Some(bytes) = own_bytes(&folder) else { continue };
        usage.processes += 1;
        usage.memory_bytes += bytes;
        for thread in std::fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    usage
}

/// Returns the memory that a process wrote, its own and what it shares. Pages of files are not counted: many processes map the same
/// libraries, and the kernel can take them back.
fn own_bytes(process: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(process.join("status")).ok()?;
    let kibibytes = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    Some((kibibytes("RssAnon:") + kibibytes("RssShmem:")) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_counted_with_those_that_it_started() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let counted = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            usage_of(child.id()).processes == 3
        });
        let usage = usage_of(child.id());
        let _ = std::process::Command::new("pkill").args(["-P", &child.id().to_string()]).status();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(counted && usage.memory_bytes > 0, "{usage:?}");
        assert_eq!(usage_of(child.id()), Usage::default());
    }
}
