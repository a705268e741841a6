//! Deletes the folders of jobs, in which untrusted code may have taken rights away.

use std::io;
use std::path::PathBuf;

use patchwright_core::untrusted_tree;

/// Deletes the job's folder. A failure is only logged.
pub async fn remove_folder(folder: PathBuf) {
    let shown = folder.display().to_string();
    if let Err(error) = delete_folder(folder).await {
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
