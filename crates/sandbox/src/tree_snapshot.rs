//! Finding the files that a program changed in a tree.

use std::collections::HashMap;
use std::fs::Metadata;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use patchwright_core::sandbox::{SandboxError, TreeChange};

use crate::tree::read_below;

/// The largest file whose content is compared. For a larger one only the size is compared, and a change to it is an error.
const MAX_HASHED_BYTES: u64 = 64 << 20;

/// Folders that tools create and that are never part of a change, even if the repository does not ignore them.
const TOOL_ARTIFACTS: [&str; 10] = [
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".venv",
    "node_modules",
    "target",
    ".claude",
    ".codex",
    ".opencode",
];

fn is_tool_artifact(path: &Path) -> bool {
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        TOOL_ARTIFACTS.contains(&part.as_ref()) || part.starts_with(".aider") || part.ends_with(".pyc")
    })
}

/// The hashes of all files of a tree at one time. They are keyed at random, so that a program cannot construct a collision.
pub(crate) struct TreeSnapshot {
    root: PathBuf,
    files: HashMap<PathBuf, u64>,
    hasher: RandomState,
}

impl TreeSnapshot {
    /// Hashes the files of a tree.
    pub(crate) async fn capture(root: PathBuf) -> Result<Self, SandboxError> {
        run_blocking(move || {
            let hasher = RandomState::new();
            let mut files = HashMap::new();
            for path in list_files(&root, false)? {
                if let Some(hash) = hash_file(&root, &path, &hasher)? {
                    files.insert(path, hash);
                }
            }
            Ok(Self { root, files, hasher })
        })
        .await
    }

    /// Returns the files that differ from the snapshot. New files that the repository ignores, artifacts of tools and `.git`
    /// are left out. A change that is not a plain file of up to 64 MiB is an error.
    pub(crate) async fn into_changes(self) -> Result<Vec<TreeChange>, SandboxError> {
        run_blocking(move || {
            let Self { root, files, hasher } = self;
            let mut changed = Vec::new();
            let is_new = |path: &PathBuf| !files.contains_key(path) && !is_tool_artifact(path);
            for path in list_files(&root, true)?.into_iter().filter(is_new) {
                changed.push(read_change(&root, &path)?);
            }
            for (path, before) in &files {
                if hash_file(&root, path, &hasher)? != Some(*before) {
                    changed.push(read_change(&root, path)?);
                }
            }
            changed.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(changed)
        })
        .await
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SandboxError> {
    let result = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other);
    result.and_then(|result| result).map_err(SandboxError::internal)
}

/// Returns all files below the root except for `.git`, with or without those that the repository ignores.
fn list_files(root: &Path, without_ignored: bool) -> std::io::Result<Vec<PathBuf>> {
    let mut walk = WalkBuilder::new(root);
    walk.hidden(false).parents(false).git_global(false).git_exclude(false).ignore(false).require_git(false);
    walk.git_ignore(without_ignored).follow_links(false).filter_entry(|entry| entry.file_name() != ".git");
    let mut found = Vec::new();
    for entry in walk.build() {
        let entry = entry.map_err(std::io::Error::other)?;
        if entry.file_type().is_some_and(|kind| !kind.is_dir())
            && let Ok(path) = entry.path().strip_prefix(root)
        {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

/// Returns the hash of a file's content or of a link's target; `None` if the file does not exist.
fn hash_file(root: &Path, path: &Path, hasher: &RandomState) -> std::io::Result<Option<u64>> {
    let Some(metadata) = metadata_below(root, path)? else { return Ok(None) };
    if metadata.is_symlink() {
        return Ok(Some(hasher.hash_one(("link", std::fs::read_link(root.join(path))?))));
    }
    if !metadata.is_file() {
        return Ok(Some(hasher.hash_one("special file")));
    }
    if metadata.len() > MAX_HASHED_BYTES {
        return Ok(Some(hasher.hash_one(("large", metadata.len()))));
    }
    Ok(Some(hasher.hash_one(("file", read_below(root, path, MAX_HASHED_BYTES)?))))
}

fn read_change(root: &Path, path: &Path) -> std::io::Result<TreeChange> {
    let name = path.to_str().ok_or_else(|| std::io::Error::other("the name of a file is not UTF-8"))?.to_owned();
    let content = match metadata_below(root, path)? {
        Some(metadata) if metadata.is_file() => Some(read_below(root, path, MAX_HASHED_BYTES)?),
        Some(_) => return Err(std::io::Error::other(format!("{name} is not a plain file"))),
        None => None,
    };
    Ok(TreeChange { path: name, content })
}

/// Returns the metadata of what is at a path of the tree; `None` if there is nothing. A file behind a link is not in the tree: the
/// program may have put the link in place of a folder, and what it leads to is none of its changes.
fn metadata_below(root: &Path, path: &Path) -> std::io::Result<Option<Metadata>> {
    if path.ancestors().skip(1).any(|folder| root.join(folder).is_symlink() && folder != Path::new("")) {
        return Ok(None);
    }
    match root.join(path).symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        // A parent folder has been replaced by a file.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::tree_of;

    #[tokio::test]
    async fn added_changed_and_removed_files_are_found_and_ignored_ones_are_not() {
        let files =
            [("a.py", "a"), ("b.py", "b"), ("c/d.py", "d"), (".gitignore", "build/\n*.log\n"), ("kept.log", "x")];
        let folder = tree_of(&files);
        let root = folder.path().to_owned();
        let before = TreeSnapshot::capture(root.clone()).await.unwrap();
        std::fs::write(root.join("a.py"), "A").unwrap();
        std::fs::remove_file(root.join("b.py")).unwrap();
        std::fs::remove_dir_all(root.join("c")).unwrap();
        std::fs::write(root.join("c"), "a file now").unwrap();
        std::fs::create_dir_all(root.join("build")).unwrap();
        std::fs::write(root.join("build/out.o"), "junk").unwrap();
        std::fs::write(root.join("new.log"), "junk").unwrap();
        std::fs::write(root.join(".aider.tags"), "junk").unwrap();
        std::fs::write(root.join("kept.log"), "y").unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::write(root.join(".git/config"), "junk").unwrap();
        let changes = before.into_changes().await.unwrap();
        let found: Vec<_> = changes.iter().map(|change| (change.path.as_str(), change.content.as_deref())).collect();
        let expected: [(&str, Option<&[u8]>); 5] = [
            ("a.py", Some(b"A")),
            ("b.py", None),
            ("c", Some(b"a file now")),
            ("c/d.py", None),
            ("kept.log", Some(b"y")),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_link_that_replaces_a_file_is_refused() {
        let folder = tree_of(&[("a.py", "a")]);
        let root = folder.path().to_owned();
        let before = TreeSnapshot::capture(root.clone()).await.unwrap();
        std::fs::remove_file(root.join("a.py")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("a.py")).unwrap();
        let error = before.into_changes().await.unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("not a plain file"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_became_a_link_shows_nothing_of_where_it_leads() {
        let outside = tree_of(&[("a.py", "a secret")]);
        // A tool's folder is never listed itself, so that only the files in it speak of it.
        for name in ["folder", "node_modules"] {
            let folder = tree_of(&[(&format!("{name}/a.py"), "a")]);
            let root = folder.path().to_owned();
            let before = TreeSnapshot::capture(root.clone()).await.unwrap();
            std::fs::remove_dir_all(root.join(name)).unwrap();
            std::os::unix::fs::symlink(outside.path(), root.join(name)).unwrap();
            match before.into_changes().await {
                Ok(changes) => assert!(changes.iter().all(|change| change.content.is_none()), "{changes:?}"),
                Err(error) => assert!(!format!("{error:?}").contains("a secret"), "{error:?}"),
            }
        }
    }
}
