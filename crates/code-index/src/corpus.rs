//! Reading a tree: what is source, and what is not worth a look.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use patchwright_core::source_tree::{PastChange, SourceTree, SourceTreeError, TreeFile};

/// A file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Relative, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Document {
    /// A file from memory.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// A file as it was read; `None` for what is no text, or data or minified.
    pub(crate) fn of_bytes(path: &str, bytes: Vec<u8>) -> Option<Self> {
        if bytes.len() as u64 > MAX_BYTES || bytes.iter().take(8_000).any(|byte| *byte == 0) {
            return None;
        }
        let lines = bytes.split(|byte| *byte == b'\n').count();
        if bytes.len() / lines > MAX_AVERAGE_LINE {
            return None;
        }
        // Source in another encoding is still mostly ASCII; what is not becomes a replacement character.
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Some(Self { path: path.to_owned(), text })
    }
}

/// Larger files are data or generated; in bytes.
pub(crate) const MAX_BYTES: u64 = 512 * 1024;
/// A longer average line is minified or data.
const MAX_AVERAGE_LINE: usize = 300;

/// Endings of what nobody fixes by hand.
const SKIPPED: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "ico", "svg", "pdf", "zip", "gz", "tgz", "bz2", "xz", "jar", "woff", "woff2", "ttf",
    "eot", "mp3", "mp4", "wasm", "so", "a", "o", "pyc", "class", "lock", "map", "min.js", "min.css", "po", "mo", "csv",
    "parquet", "snap",
];
/// Folders of what others wrote and tools put there.
const SKIPPED_FOLDERS: &[&str] = &["node_modules", "__pycache__", ".venv", "site-packages", "bower_components", ".git"];

/// Whether a file is worth a look, by its path.
pub(crate) fn is_read(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let has_skipped_ending =
        SKIPPED.iter().any(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')));
    !has_skipped_ending && !path.split('/').any(|part| SKIPPED_FOLDERS.contains(&part))
}

/// A folder as it stands: its files, without those that `.gitignore` names. It has no ids and no history.
#[derive(Debug, Clone)]
pub struct FolderTree {
    root: PathBuf,
}

impl FolderTree {
    /// The tree below a folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn read_one(&self, path: &str, most: u64) -> Option<Vec<u8>> {
        let place = self.root.join(path);
        // A link could lead out of the tree.
        let metadata = std::fs::symlink_metadata(&place).ok()?;
        if !metadata.is_file() || metadata.len() > most {
            return None;
        }
        std::fs::read(&place).ok()
    }
}

impl SourceTree for FolderTree {
    fn id(&self) -> Option<String> {
        None
    }

    fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
        std::fs::read_dir(&self.root).map_err(|error| SourceTreeError { source: Box::new(error) })?;
        let path = |path: &Path| Some(path.strip_prefix(&self.root).ok()?.to_str()?.replace('\\', "/"));
        let mut paths: Vec<String> = WalkBuilder::new(&self.root)
            .follow_links(false)
            .build()
            .flatten()
            .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
            .filter_map(|entry| path(entry.path()))
            .collect();
        paths.sort();
        Ok(paths.into_iter().map(|path| TreeFile { path, blob: None }).collect())
    }

    fn read(&self, files: &[TreeFile], most: u64) -> Vec<Option<Vec<u8>>> {
        files.iter().map(|file| self.read_one(&file.path, most)).collect()
    }

    fn past(&self, _: usize) -> Vec<PastChange> {
        Vec::new()
    }

    fn touched(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_mends_by_hand_is_not_read() {
        for path in ["a/logo.png", "web/app.min.js", "node_modules/x/index.js", "Cargo.lock"] {
            assert!(!is_read(path), "{path}");
        }
        assert!(is_read("src/a.py") && is_read("png") && is_read("src/snap/b.rs"));
        assert!(Document::of_bytes("a.js", vec![b'x'; 5_000]).is_none(), "minified");
        assert!(Document::of_bytes("a.py", b"x = '\0'\n".to_vec()).is_none(), "data");
        assert!(Document::of_bytes("a.py", b"# caf\xe9\n".to_vec()).is_some(), "another encoding");
    }

    #[test]
    fn a_folder_is_read_without_what_git_ignores_and_without_following_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        for (path, text) in [(".gitignore", "made/\n"), ("src.py", "x = 1\n"), ("made/out.py", "y = 2\n")] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/hostname", root.join("link.py")).unwrap();
        let tree = FolderTree::new(root);
        let files = tree.files().unwrap();
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["src.py"]);
        assert_eq!(tree.read(&files, 100), [Some(b"x = 1\n".to_vec())]);
        let link = TreeFile { path: "link.py".to_owned(), blob: None };
        assert_eq!(tree.read(&[link], 100), [None]);
        assert!(FolderTree::new(root.join("nowhere")).files().is_err());
    }
}
