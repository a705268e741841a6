//! Keeping the store below its size.

use std::fs::File;
use std::path::PathBuf;
use std::time::SystemTime;

use patchwright_core::trash::Trash;
use patchwright_core::untrusted_tree::disk_bytes;

use super::lock::is_at;
use super::{RepositoryStore, discard};
use crate::options::StoreOptions;

/// Deletes the repositories that were used longest ago, until the folder has at most `max_bytes`.
pub(crate) fn trim(options: &StoreOptions) {
    let trash = Trash::new(options.folder.join("trash"));
    let entries = std::fs::read_dir(&options.folder).into_iter().flatten().flatten();
    let mut found: Vec<(SystemTime, PathBuf, u64)> = entries
        .filter_map(|entry| {
            let used = entry.path().join("used").metadata().ok()?.modified().ok()?;
            RepositoryStore { folder: entry.path(), trash: trash.clone() }.delete_unused();
            Some((used, entry.path(), disk_bytes(&[entry.path()])))
        })
        .collect();
    found.sort();
    let mut bytes: u64 = found.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, folder, own) in found {
        if bytes <= options.max_bytes {
            break;
        }
        let path = folder.join("use.lock");
        let Ok(lock) = File::options().write(true).open(&path) else { continue };
        if lock.try_lock().is_err() || !is_at(&lock, &path) {
            continue;
        }
        tracing::info!(folder = %folder.display(), bytes = own, "deleting a repository from the store, which is full");
        discard(&trash, &folder);
        bytes = bytes.saturating_sub(own);
    }
}
