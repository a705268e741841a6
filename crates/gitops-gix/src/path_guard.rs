//! Confining paths to the working copy.
//!
//! [`RepoPath`] contains no `..`, so only a symbolic link could lead out. Repositories may contain links, but they are neither
//! read nor written through: every folder on the way is opened by itself, relative to the one before, and never through a link.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use patchwright_core::git::GitError;
use patchwright_domain::RepoPath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::io_error;

/// The folder of a file, and the file's name in it.
struct Place<'a> {
    folder: OwnedFd,
    name: &'a str,
}

/// Opens the folder of a file. Returns `None` if it does not exist and is not to be created.
fn open_folder<'a>(root: &Path, path: &'a RepoPath, create: bool) -> Result<Option<Place<'a>>, GitError> {
    const FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let failed = |error: Errno| io_error(format!("opening the folder of `{path}`"))(error.into());
    let mut folder = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let (folders, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        let mut opened = rustix::fs::openat(&folder, part, FLAGS, Mode::empty());
        if create && matches!(opened, Err(Errno::NOENT)) {
            rustix::fs::mkdirat(&folder, part, Mode::from_bits_truncate(0o755)).map_err(failed)?;
            opened = rustix::fs::openat(&folder, part, FLAGS, Mode::empty());
        }
        folder = match opened {
            Ok(opened) => opened,
            // What is no folder is a link, or a file; only the latter is somebody's mistake.
            Err(Errno::LOOP | Errno::NOTDIR) if is_link(&folder, part) => {
                return Err(GitError::PathEscape { path: path.clone() });
            }
            Err(Errno::NOENT | Errno::NOTDIR) if !create => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
    }
    if is_link(&folder, name) {
        return Err(GitError::PathEscape { path: path.clone() });
    }
    Ok(Some(Place { folder, name }))
}

fn is_link(folder: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

/// Returns the bytes of a plain file; `None` if there is none.
pub(crate) fn read(root: &Path, path: &RepoPath, max_bytes: u64) -> Result<Option<Vec<u8>>, GitError> {
    let failed = || io_error(format!("reading `{path}`"));
    let Some(place) = open_folder(root, path, false)? else { return Ok(None) };
    // Opening a FIFO would wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&place.folder, place.name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed()(error.into())),
    };
    let metadata = file.metadata().map_err(failed())?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed())?;
    if bytes.len() as u64 > max_bytes {
        let action = format!("reading `{path}`");
        return Err(GitError::Internal { action, source: format!("it is larger than {max_bytes} bytes").into() });
    }
    Ok(Some(bytes))
}

/// Writes a file and creates its folders. The mode of an existing file is kept.
pub(crate) fn write(root: &Path, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
    write_with(root, path, content, OFlags::TRUNC)
}

/// Appends to a file, or creates it.
pub(crate) fn append(root: &Path, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
    write_with(root, path, content, OFlags::APPEND)
}

fn write_with(root: &Path, path: &RepoPath, content: &[u8], how: OFlags) -> Result<(), GitError> {
    let failed = || io_error(format!("writing `{path}`"));
    let place = open_folder(root, path, true)?.expect("folders are created");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | how;
    let file = rustix::fs::openat(&place.folder, place.name, flags, Mode::from_bits_truncate(0o644));
    let mut file = File::from(file.map_err(|error| failed()(error.into()))?);
    if !file.metadata().map_err(failed())?.is_file() {
        return Err(failed()(ErrorKind::InvalidInput.into()));
    }
    file.write_all(content).map_err(failed())
}

/// Removes a file. One that does not exist is no error.
pub(crate) fn remove(root: &Path, path: &RepoPath) -> Result<(), GitError> {
    let Some(place) = open_folder(root, path, false)? else { return Ok(()) };
    match rustix::fs::unlinkat(&place.folder, place.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(io_error(format!("removing `{path}`"))(error.into())),
    }
}

/// Returns whether there is a plain file.
pub(crate) fn exists(root: &Path, path: &RepoPath) -> Result<bool, GitError> {
    let Some(place) = open_folder(root, path, false)? else { return Ok(false) };
    let found = rustix::fs::statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW);
    Ok(found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile))
}

/// Returns the location of a path in the working copy for gix, which takes no open folders, or [`GitError::PathEscape`] if a
/// part of it is a symbolic link.
///
/// The path could change between this check and its use. That does not matter here, because no other process writes to a
/// working copy: builds and tests run in exported copies.
pub(crate) fn resolve(root: &Path, path: &RepoPath) -> Result<PathBuf, GitError> {
    let mut at = root.to_owned();
    for part in path.as_str().split('/') {
        at.push(part);
        match std::fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_symlink() => return Err(GitError::PathEscape { path: path.clone() }),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(GitError::Internal { action: format!("inspecting `{path}`"), source: Box::new(source) });
            }
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_any_part_of_the_path_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        std::os::unix::fs::symlink("real", root.join("in")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("real/file")).unwrap();
        for bad in ["out/passwd", "out", "in/x", "real/file"] {
            let path = RepoPath::parse(bad).unwrap();
            let refused = resolve(root, &path);
            assert!(matches!(refused, Err(GitError::PathEscape { .. })), "{bad} was accepted");
            let refused = [read(root, &path, 9).err(), write(root, &path, b"x").err(), remove(root, &path).err()];
            assert!(
                refused.iter().all(|error| matches!(error, Some(GitError::PathEscape { .. }))),
                "{bad}: {refused:?}"
            );
        }
        let (file, missing) = (RepoPath::parse("real/new/deep.txt").unwrap(), RepoPath::parse("no/such").unwrap());
        append(root, &file, b"a").unwrap();
        append(root, &file, b"b").unwrap();
        assert_eq!(read(root, &file, 2).unwrap().unwrap(), b"ab");
        assert!(read(root, &file, 1).is_err() && exists(root, &file).unwrap());
        assert!(read(root, &missing, 1).unwrap().is_none() && !exists(root, &missing).unwrap());
        remove(root, &file).unwrap();
        remove(root, &missing).unwrap();
        assert!(!exists(root, &file).unwrap());
        assert!(resolve(root, &RepoPath::parse("real/new/deep.txt").unwrap()).is_ok());
    }
}
