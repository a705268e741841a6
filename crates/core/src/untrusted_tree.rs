//! Access to trees that untrusted code has written to, or that a repository describes: nobody is led out by their links.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// Opens a plain file below a folder. Links on the way to it, or in its place, are not followed.
///
/// # Errors
/// When there is a link, or no such file, or something else than a plain file; it is not opened then, since opening a FIFO
/// would wait.
pub fn open_below(folder: &Path, path: &Path) -> io::Result<File> {
    let root = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file: OwnedFd = rustix::fs::openat2(&root, path, flags, Mode::empty(), rules)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other(format!("{} is not a plain file", path.display())));
    }
    Ok(file.into())
}

/// Reads a plain file below a folder, up to a number of bytes.
///
/// # Errors
/// Those of [`open_below`], and when the file is longer.
pub fn read_below(folder: &Path, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open_below(folder, path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("{} now has more than {max_bytes} bytes", path.display())));
    }
    Ok(bytes)
}

/// The largest file whose text is read.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// Returns the text of a plain file below a folder; empty if there is none or it is long. A repository may have a link to
/// `/dev/zero` in place of a manifest.
pub fn read_text(folder: &Path, path: impl AsRef<Path>) -> String {
    let bytes = read_below(folder, path.as_ref(), MAX_TEXT_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes the folders of a path below another one. A link on the way is an error: it may lead out.
///
/// # Errors
/// When one cannot be made.
pub fn make_folders_below(root: &Path, path: &Path) -> io::Result<()> {
    let mut folder = root.to_owned();
    for part in path {
        folder.push(part);
        match folder.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(io::Error::other(format!("{} is not a folder", folder.display()))),
            Err(_) => std::fs::create_dir(&folder)?,
        }
    }
    Ok(())
}

/// Deletes a folder, also if folders in it cannot be written: tests and package managers make such folders.
///
/// # Errors
/// The error of the operating system. A folder that does not exist is none.
pub fn delete_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(folder)?;
            std::fs::remove_dir_all(folder)
        }
        result => result,
    }
}

/// Returns the bytes that the files below some folders occupy on the disk. Links are not followed, and what cannot be read does not
/// count.
pub fn disk_bytes(folders: &[PathBuf]) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut open = folders.to_vec();
    let mut total: u64 = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            // The entry's own metadata: that of a link and not of its target.
            let Ok(metadata) = entry.metadata() else { continue };
            total = total.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    total
}

pub(crate) fn make_writable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(folder)? {
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
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn a_file_is_not_read_through_a_link_or_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("a")).unwrap();
        std::fs::write(root.join("a/file"), "text").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let fifo = FileType::Fifo;
        rustix::fs::mknodat(CWD, root.join("fifo"), fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(read_below(root, Path::new("a/file"), 4).unwrap(), b"text");
        assert_eq!((read_text(root, "a/file"), read_text(root, "link")), ("text".to_owned(), String::new()));
        for path in ["etc/passwd", "link", "fifo", "a", "../x", "/etc/passwd", "missing"] {
            assert!(read_below(root, Path::new(path), 1 << 20).is_err(), "{path}");
        }
        assert!(read_below(root, Path::new("a/file"), 3).unwrap_err().to_string().contains("more than 3 bytes"));
    }

    #[test]
    fn a_folder_that_a_test_made_read_only_is_deleted_and_what_its_links_lead_to_is_not() {
        let base = tempfile::tempdir().unwrap();
        let (folder, other) = (base.path().join("tree"), base.path().join("other"));
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        std::fs::write(folder.join("a/b/file"), "x").unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o500)).unwrap();
        std::os::unix::fs::symlink(&other, folder.join("a/link")).unwrap();
        for path in ["a/b", "a"] {
            std::fs::set_permissions(folder.join(path), std::fs::Permissions::from_mode(0o500)).unwrap();
        }
        make_writable(&folder).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.join("a/b")), mode(&other)), (0o700, 0o500));
        delete_folder(&folder).unwrap();
        delete_folder(&folder).unwrap();
        assert!(!folder.exists() && other.exists());
    }

    #[test]
    fn links_are_not_followed_when_the_disk_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("usr")).unwrap();
        let bytes = disk_bytes(&[folder.path().to_owned()]);
        assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
    }
}
