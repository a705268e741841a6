//! Deletes the folders of jobs, in which untrusted code may have taken rights away.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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
    let delete = move || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(&folder)?;
            fs::remove_dir_all(&folder)
        }
        result => result,
    };
    tokio::task::spawn_blocking(delete).await.map_err(io::Error::other)?
}

fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // The type is the entry's own: a link to a folder is none.
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_a_test_made_read_only_is_deleted_and_what_its_links_lead_to_is_not() {
        let base = tempfile::tempdir().unwrap();
        let (folder, other) = (base.path().join("tree"), base.path().join("other"));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/file"), "x").unwrap();
        fs::create_dir(&other).unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o500)).unwrap();
        std::os::unix::fs::symlink(&other, folder.join("a/link")).unwrap();
        for path in ["a/b", "a"] {
            fs::set_permissions(folder.join(path), fs::Permissions::from_mode(0o500)).unwrap();
        }
        make_writable(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.join("a/b")), mode(&other)), (0o700, 0o500));
        delete_folder(folder.clone()).await.unwrap();
        delete_folder(folder.clone()).await.unwrap();
        assert!(!folder.exists() && other.exists());
    }
}
