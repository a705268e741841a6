//! Reading a tree: what is source, and what is not worth a look.

use std::path::Path;

use ignore::WalkBuilder;
use rayon::prelude::*;

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

    /// A file as it was read; `None` for what is no text, or data, generated or minified.
    pub fn of_bytes(path: impl Into<String>, bytes: Vec<u8>) -> Option<Self> {
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
        Some(Self { path: path.into(), text })
    }
}

/// Larger files are data or generated; in bytes.
pub const MAX_BYTES: u64 = 512 * 1024;
/// A longer average line is minified or data.
const MAX_AVERAGE_LINE: usize = 300;
/// Files beyond this number are not looked at.
const MAX_FILES: usize = 50_000;

/// Endings of what nobody fixes by hand.
const SKIPPED: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "ico", "svg", "pdf", "zip", "gz", "tgz", "bz2", "xz", "jar", "woff", "woff2", "ttf",
    "eot", "mp3", "mp4", "wasm", "so", "a", "o", "pyc", "class", "lock", "map", "min.js", "min.css", "po", "mo", "csv",
    "parquet", "snap",
];

/// Reads the files of a folder: the listed ones, or all that `.gitignore` leaves.
pub(crate) fn read(root: &Path, files: Option<Vec<String>>) -> Vec<Document> {
    let mut paths = files.unwrap_or_else(|| walk(root));
    paths.retain(|path| !SKIPPED.iter().any(|ending| path.ends_with(&format!(".{ending}"))));
    paths.truncate(MAX_FILES);
    let mut documents: Vec<Document> = paths.into_par_iter().filter_map(|path| read_one(root, path)).collect();
    documents.sort_by(|a, b| a.path.cmp(&b.path));
    documents
}

fn walk(root: &Path) -> Vec<String> {
    WalkBuilder::new(root)
        .hidden(true)
        .follow_links(false)
        .build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .filter_map(|entry| Some(entry.path().strip_prefix(root).ok()?.to_str()?.replace('\\', "/")))
        .collect()
}

fn read_one(root: &Path, path: String) -> Option<Document> {
    let place = root.join(&path);
    // A link could lead out of the tree.
    let metadata = std::fs::symlink_metadata(&place).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    Document::of_bytes(path, std::fs::read(&place).ok()?)
}
