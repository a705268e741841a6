//! Confining paths to the working copy.

use std::path::{Path, PathBuf};

use patchwright_core::git::GitError;
use patchwright_domain::RepoPath;

/// Returns the location of a path in the working copy, or [`GitError::PathEscape`] if a part of it is a symbolic link.
///
/// [`RepoPath`] contains no `..`, so only a symbolic link could lead out. Repositories may contain links, but they are
/// neither read nor written through.
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
            let refused = resolve(root, &RepoPath::parse(bad).unwrap());
            assert!(matches!(refused, Err(GitError::PathEscape { .. })), "{bad} was accepted");
        }
        assert!(resolve(root, &RepoPath::parse("real/new/deep.txt").unwrap()).is_ok());
    }
}
