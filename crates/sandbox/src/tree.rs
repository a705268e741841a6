//! What a program changed in a tree.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use patchwright_core::sandbox::{SandboxError, TreeChange};

/// The largest file that is looked at whole, in bytes; of a larger one only the size counts.
const LARGE: u64 = 64 << 20;

/// What tools leave behind also where no repository ignores it.
const LITTER: [&str; 10] = [
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

fn is_litter(path: &Path) -> bool {
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        LITTER.contains(&part.as_ref()) || part.starts_with(".aider") || part.ends_with(".pyc")
    })
}

/// A tree as it was: a keyed hash of each file, so that no program can make two files look alike.
pub(crate) struct Tree {
    root: PathBuf,
    files: HashMap<PathBuf, u64>,
    hasher: RandomState,
}

/// Looks at a tree.
pub(crate) async fn look(root: PathBuf) -> Result<Tree, SandboxError> {
    blocking(move || {
        let hasher = RandomState::new();
        let mut files = HashMap::new();
        for path in all(&root, false)? {
            if let Some(hash) = hash(&root.join(&path), &hasher)? {
                files.insert(path, hash);
            }
        }
        Ok(Tree { root, files, hasher })
    })
    .await
}

impl Tree {
    /// What differs now. New files that the repository ignores, litter and folders of version control are left out.
    pub(crate) async fn changes(self) -> Result<Vec<TreeChange>, SandboxError> {
        blocking(move || {
            let Self { root, files, hasher } = self;
            let mut changed = Vec::new();
            for path in all(&root, true)?.into_iter().filter(|path| !files.contains_key(path) && !is_litter(path)) {
                changed.push(change(&root, &path)?);
            }
            for (path, before) in &files {
                if hash(&root.join(path), &hasher)? != Some(*before) {
                    changed.push(change(&root, path)?);
                }
            }
            changed.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(changed)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SandboxError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other);
    done.and_then(|done| done).map_err(|error| SandboxError::Internal { source: Box::new(error) })
}

/// All files below the root; the ones that the repository ignores only on demand.
fn all(root: &Path, without_ignored: bool) -> std::io::Result<Vec<PathBuf>> {
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

/// The hash of a plain file or of where a link leads to; `None` when it is not there.
fn hash(path: &Path, hasher: &RandomState) -> std::io::Result<Option<u64>> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // A folder on the way is a file now.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        return Ok(Some(hasher.hash_one(("link", std::fs::read_link(path)?))));
    }
    if !metadata.is_file() {
        return Ok(Some(hasher.hash_one("something else")));
    }
    if metadata.len() > LARGE {
        return Ok(Some(hasher.hash_one(("large", metadata.len()))));
    }
    Ok(Some(hasher.hash_one(("file", std::fs::read(path)?))))
}

fn change(root: &Path, path: &Path) -> std::io::Result<TreeChange> {
    let place = root.join(path);
    let shown = path.to_str().ok_or_else(|| std::io::Error::other("a file has a name that is no text"))?.to_owned();
    let content = match place.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= LARGE => Some(std::fs::read(&place)?),
        Ok(metadata) if metadata.is_file() => {
            return Err(std::io::Error::other(format!("{shown} has {} bytes now", metadata.len())));
        }
        Ok(_) => return Err(std::io::Error::other(format!("{shown} is no plain file now"))),
        Err(_) => None,
    };
    Ok(TreeChange { path: shown, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let place = folder.path().join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn what_was_added_changed_and_removed_is_told_and_what_is_ignored_is_not() {
        let files =
            [("a.py", "a"), ("b.py", "b"), ("c/d.py", "d"), (".gitignore", "build/\n*.log\n"), ("kept.log", "x")];
        let folder = tree(&files);
        let root = folder.path().to_owned();
        let before = look(root.clone()).await.unwrap();
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
        let changes = before.changes().await.unwrap();
        let told: Vec<_> = changes.iter().map(|change| (change.path.as_str(), change.content.as_deref())).collect();
        let wanted: [(&str, Option<&[u8]>); 5] = [
            ("a.py", Some(b"A")),
            ("b.py", None),
            ("c", Some(b"a file now")),
            ("c/d.py", None),
            ("kept.log", Some(b"y")),
        ];
        assert_eq!(told, wanted);
    }

    #[tokio::test]
    async fn a_link_in_the_place_of_a_file_is_refused() {
        let folder = tree(&[("a.py", "a")]);
        let root = folder.path().to_owned();
        let before = look(root.clone()).await.unwrap();
        std::fs::remove_file(root.join("a.py")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("a.py")).unwrap();
        let error = before.changes().await.unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("no plain file"), "{error}");
    }
}
