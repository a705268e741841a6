//! Selecting the files of a tree that are indexed, and decoding them.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use patchwright_core::source_tree::{HistoryEntry, SourceTree, SourceTreeError, TreeFile};

/// A file with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The path relative to the tree's root, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Document {
    /// Creates a document from text in memory.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Decodes a file. Returns `None` for binary, oversized and minified files.
    pub(crate) fn from_bytes(path: &str, bytes: Vec<u8>) -> Option<Self> {
        if bytes.len() as u64 > MAX_FILE_BYTES || bytes.iter().take(8_000).any(|byte| *byte == 0) {
            return None;
        }
        let lines = bytes.split(|byte| *byte == b'\n').count();
        if bytes.len() / lines > MAX_AVERAGE_LINE_BYTES {
            return None;
        }
        // Source in another encoding is mostly ASCII; other bytes become replacement characters.
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Some(Self { path: path.to_owned(), text })
    }
}

/// The largest file that is indexed. Larger files are data or generated.
pub(crate) const MAX_FILE_BYTES: u64 = 512 * 1024;
/// The longest average line. Files with longer lines are minified or data.
const MAX_AVERAGE_LINE_BYTES: usize = 300;

/// Extensions of files that are not edited by hand.
const SKIPPED_EXTENSIONS: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "ico", "svg", "pdf", "zip", "gz", "tgz", "bz2", "xz", "jar", "woff", "woff2", "ttf",
    "eot", "mp3", "mp4", "wasm", "so", "a", "o", "pyc", "class", "lock", "map", "min.js", "min.css", "po", "mo", "csv",
    "parquet", "snap",
];
/// Folders with installed packages and files of tools.
const SKIPPED_FOLDERS: &[&str] = &["node_modules", "__pycache__", ".venv", "site-packages", "bower_components", ".git"];

/// Returns whether a file is indexed, by its path.
pub(crate) fn is_indexed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_skipped = |extension: &&str| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'));
    !SKIPPED_EXTENSIONS.iter().any(is_skipped) && !path.split('/').any(|part| SKIPPED_FOLDERS.contains(&part))
}

/// The tree of a folder, without the files that `.gitignore` excludes. It has no ids and no history.
#[derive(Debug, Clone)]
pub struct FolderTree {
    root: PathBuf,
}

impl FolderTree {
    /// Creates the tree of the files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn read_file(&self, path: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let file = self.root.join(path);
        // Links are not followed: they could lead out of the tree.
        let metadata = std::fs::symlink_metadata(&file).ok()?;
        if !metadata.is_file() || metadata.len() > max_bytes {
            return None;
        }
        std::fs::read(&file).ok()
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

    fn read(&self, files: &[TreeFile], max_bytes: u64) -> Vec<Option<Vec<u8>>> {
        files.iter().map(|file| self.read_file(&file.path, max_bytes)).collect()
    }

    fn history(&self, _: usize) -> Vec<HistoryEntry> {
        Vec::new()
    }

    fn list_changed_paths(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn read_at(&self, _: &str, _: &str, _: u64) -> Option<Vec<u8>> {
        None
    }

    fn first_parent(&self, _: &str) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_minified_and_installed_files_are_not_indexed() {
        for path in ["a/logo.png", "web/app.min.js", "node_modules/x/index.js", "Cargo.lock"] {
            assert!(!is_indexed(path), "{path}");
        }
        assert!(is_indexed("src/a.py") && is_indexed("png") && is_indexed("src/snap/b.rs"));
        assert!(Document::from_bytes("a.js", vec![b'x'; 5_000]).is_none(), "minified");
        assert!(Document::from_bytes("a.py", b"x = '\0'\n".to_vec()).is_none(), "data");
        assert!(Document::from_bytes("a.py", b"# caf\xe9\n".to_vec()).is_some(), "another encoding");
    }

    #[test]
    fn a_folder_is_read_without_ignored_files_and_links() {
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
