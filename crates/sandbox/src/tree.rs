//! Trees for untrusted code: giving them to its user.

use std::io;
use std::path::Path;

pub(crate) use patchwright_core::untrusted_tree::{delete_folder as delete, make_folders_below, read_below, read_text};
use rustix::fs::{AtFlags, CWD, Gid, Uid};

/// Returns whether a path below a folder is a folder itself, with no link on the way: code may have put one there that leads out.
pub(crate) fn is_folder_below(folder: &Path, path: &Path) -> bool {
    let mut place = folder.to_owned();
    path.iter().all(|part| {
        place.push(part);
        place.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
    })
}

/// Gives a folder and all below it to a user, unless the folder is theirs. Links are given themselves, and not what they lead
/// to.
///
/// # Errors
/// When this process may not, or the folder changes meanwhile.
pub(crate) fn give_to(folder: &Path, user: u32) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (owner, group) = (Uid::from_raw(user), Gid::from_raw(user));
    if folder.symlink_metadata()?.uid() == user {
        return Ok(());
    }
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        rustix::fs::chownat(CWD, &path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(())
}
