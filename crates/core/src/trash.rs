//! Deleting folders later, slowly, and not in the way of who waits.
//!
//! Deleting the many files of a working copy takes long, and what comes after it is slow as well: ext4 does not give the freed
//! inodes out again for a while and steps over each of them when a file is created, so that a tree that is written straight
//! after another one was deleted takes almost four times as long.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::untrusted_tree::{delete_folder, make_writable};

/// How long a folder is kept before it is deleted.
const MIN_AGE: Duration = Duration::from_secs(60);
/// How often the trash is looked at.
const INTERVAL: Duration = Duration::from_secs(15);
/// How many files are deleted between two pauses, and how long a pause is.
const BATCH_SIZE: usize = 50;
const PAUSE: Duration = Duration::from_millis(50);
/// Below so many free bytes there are no pauses.
const MIN_FREE_BYTES: u64 = 4 << 30;

/// A folder to which others are moved to be deleted. Cheap to clone; it is created when it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trash {
    folder: PathBuf,
}

impl Trash {
    /// Names the folder. It must be on the file system of what is discarded.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Moves a file or folder to the trash. If that is not possible it is deleted in place.
    ///
    /// # Errors
    /// When it cannot be deleted. What does not exist is no error.
    pub fn discard(&self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        let place = self.folder.join(uuid::Uuid::now_v7().simple().to_string());
        if std::fs::create_dir_all(&self.folder).is_ok() && std::fs::rename(path, &place).is_ok() {
            return Ok(());
        }
        if path.symlink_metadata()?.is_dir() { delete_folder(path) } else { std::fs::remove_file(path) }
    }

    /// Deletes what is in the trash, now and in future, in a thread of its own, as long as this process runs.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn empty_in_background(&self) -> io::Result<()> {
        static RUNNING: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);
        if !RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(self.folder.clone()) {
            return Ok(());
        }
        let folder = self.folder.clone();
        let work = move || {
            loop {
                for path in find_old(&folder, MIN_AGE) {
                    delete_slowly(&path, &|| {
                        if free_bytes(&folder).is_none_or(|free| free > MIN_FREE_BYTES) {
                            std::thread::sleep(PAUSE);
                        }
                    });
                }
                std::thread::sleep(INTERVAL);
                // The whole place is gone, as that of a test or of an evaluation.
                if folder.parent().is_some_and(|parent| !parent.exists()) {
                    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&folder);
                    return;
                }
            }
        };
        std::thread::Builder::new().name("trash".to_owned()).spawn(work).map(|_| ())
    }
}

/// Returns what was moved to the trash at least `age` ago. Two processes may delete the same.
fn find_old(folder: &Path, age: Duration) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_old = |entry: &std::fs::DirEntry| {
        // Moving a folder changes its status and nothing else.
        let moved = entry.metadata().ok().and_then(|found| u64::try_from(found.ctime()).ok());
        moved.is_some_and(|seconds| {
            let moved = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            // A clock that was set back must not keep it forever.
            SystemTime::now().duration_since(moved).map_or(true, |passed| passed >= age)
        })
    };
    entries.filter(is_old).map(|entry| entry.path()).collect()
}

/// Deletes a tree without following links. Calls `pause` after each [`BATCH_SIZE`] files.
fn delete_slowly(path: &Path, pause: &dyn Fn()) {
    let mut deleted = 0;
    let mut folders = vec![path.to_owned()];
    let mut seen = Vec::new();
    while let Some(folder) = folders.pop() {
        let is_folder = folder.symlink_metadata().is_ok_and(|found| found.is_dir());
        if !is_folder {
            let _ = std::fs::remove_file(&folder);
            continue;
        }
        if std::fs::read_dir(&folder).is_err() || std::fs::metadata(&folder).is_ok_and(|m| m.permissions().readonly()) {
            let _ = make_writable(&folder);
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
                continue;
            }
            let _ = std::fs::remove_file(entry.path());
            deleted += 1;
            if deleted % BATCH_SIZE == 0 {
                pause();
            }
        }
        seen.push(folder);
    }
    // The inner folders come last.
    for folder in seen.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
    if path.exists() {
        let _ = delete_folder(path);
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail * found.f_frsize)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_discarded_folder_is_gone_at_once_and_deleted_later_without_what_its_links_lead_to() {
        let base = tempfile::tempdir().unwrap();
        let (tree, other) = (base.path().join("tree"), base.path().join("other"));
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("kept"), "x").unwrap();
        for number in 0..120 {
            std::fs::write(tree.join(format!("a/b/{number}")), "x").unwrap();
        }
        std::os::unix::fs::symlink(&other, tree.join("a/link")).unwrap();
        std::fs::set_permissions(tree.join("a/b"), std::fs::Permissions::from_mode(0o500)).unwrap();
        let trash = Trash::new(base.path().join("trash"));
        trash.discard(&tree).unwrap();
        trash.discard(&base.path().join("no such folder")).unwrap();
        assert!(!tree.exists());
        assert!(find_old(&trash.folder, MIN_AGE).is_empty(), "who works now is not disturbed");
        let old = find_old(&trash.folder, Duration::ZERO);
        assert_eq!(old.len(), 1);
        let pauses = Cell::new(0);
        delete_slowly(&old[0], &|| pauses.set(pauses.get() + 1));
        assert_eq!((pauses.get(), old[0].exists(), other.join("kept").exists()), (2, false, true));
    }
}
