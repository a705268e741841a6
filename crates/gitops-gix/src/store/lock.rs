//! The locks of a repository's folder, which hold across processes.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use patchwright_core::git::GitError;

use super::RepositoryStore;
use crate::error::io_error;
use crate::options::StoreOptions;

/// How often a lock that somebody else holds is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(15);

/// A lock on a file that is held until it is dropped, also by a process that is killed.
#[derive(Debug)]
#[expect(dead_code, reason = "the file is held, not read")]
pub(crate) struct Lock(File);

impl RepositoryStore {
    /// Notes that the repository is used, and keeps it from being deleted while the lock is held.
    pub(crate) fn lock_for_use(options: &StoreOptions, address: &str, shown: &str) -> Result<Lock, GitError> {
        loop {
            let store = Self::open(options, address, shown)?;
            let path = store.folder.join("use.lock");
            let failed = || io_error(format!("locking {}", path.display()));
            let file = match open_lock(&path) {
                Ok(file) => file,
                // The folder was deleted a moment ago.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed()(error)),
            };
            file.lock_shared().map_err(failed())?;
            if is_at(&file, &path) {
                std::fs::write(store.folder.join("used"), "").map_err(failed())?;
                return Ok(Lock(file));
            }
        }
    }

    /// Waits until this process alone fetches into the repository.
    pub(crate) fn lock_for_fetch(&self, interrupt: &AtomicBool) -> Result<Lock, GitError> {
        let path = self.folder.join("fetch.lock");
        let failed = || io_error(format!("locking {}", path.display()));
        let file = open_lock(&path).map_err(failed())?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(std::fs::TryLockError::WouldBlock) if !interrupt.load(Ordering::Relaxed) => {
                    std::thread::sleep(LOCK_INTERVAL);
                }
                Err(error) => return Err(failed()(error.into())),
            }
        }
    }

    /// Lets one process fetch the history. `None` if another one does.
    pub(crate) fn lock_for_history(&self) -> Option<Lock> {
        self.try_lock("history.lock")
    }

    pub(super) fn try_lock(&self, name: &str) -> Option<Lock> {
        let file = open_lock(&self.folder.join(name)).ok()?;
        file.try_lock().ok().map(|()| Lock(file))
    }
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

/// Returns whether a file is still the one of this path: its folder may have been deleted and made anew before it was locked.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(present)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    present.ino() == own.ino() && present.dev() == own.dev()
}
