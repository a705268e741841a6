//! Deletes the folders of jobs, in which untrusted code may have taken rights away.

use std::io;
use std::path::{Path, PathBuf};

use patchwright_core::trash::Trash;
use patchwright_core::untrusted_tree;

/// Deletes the job's folder. A failure is only logged.
pub async fn remove_folder(folder: PathBuf) {
    let shown = folder.display().to_string();
    if let Err(error) = delete_folder(folder).await {
        tracing::warn!(%error, folder = shown, "failed to delete the job's folder");
    }
}

/// Takes away the folders that an ended process left below `work_dir`, if their name is one of those that `is_leftover`.
pub async fn discard_leftovers(work_dir: &Path, is_leftover: impl Fn(&str) -> bool) {
    let entries = std::fs::read_dir(work_dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_str().is_none_or(&is_leftover)) {
        discard_folder(work_dir, entry.path()).await;
    }
}

/// Takes a job's folder below `work_dir` away at once; its files are deleted later, when no other job waits for the disk. A failure
/// is only logged.
pub async fn discard_folder(work_dir: &Path, folder: PathBuf) {
    // Beside the folder, which then holds what is worked on and nothing else.
    let trash = Trash::new(work_dir.with_extension("trash"));
    let shown = folder.display().to_string();
    let discard = move || trash.discard(&folder).and_then(|()| trash.empty_in_background());
    let discarded = tokio::task::spawn_blocking(discard).await.map_err(io::Error::other);
    if let Err(error) = discarded.and_then(|result| result) {
        tracing::warn!(%error, folder = shown, "failed to delete the job's folder");
    }
}

/// Deletes a folder, also if folders in it cannot be written: tests and package managers make such folders.
///
/// # Errors
/// The error of the operating system. A folder that does not exist is none.
pub(crate) async fn delete_folder(folder: PathBuf) -> io::Result<()> {
    let delete = move || untrusted_tree::delete_folder(&folder);
    tokio::task::spawn_blocking(delete).await.map_err(io::Error::other)?
}
