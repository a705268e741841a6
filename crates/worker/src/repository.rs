//! The texts of a repository as the model may see them: the tree of the base commit, with the changes of a draft on top.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use patchwright_core::source_tree::{SourceTree, TreeFile};
use patchwright_domain::RepoPath;

use crate::edit::{Decoded, decode, plain};

/// The largest file that is searched, in bytes. Larger ones are data.
const MAX_SEARCHED_BYTES: u64 = 512 * 1024;
/// The largest file that is read alone, in bytes.
const MAX_READ_BYTES: u64 = 4 << 20;
/// How much is searched in all, in bytes. Code comes first.
const MAX_ALL_BYTES: usize = 96 << 20;
/// How many files are read at once.
const BATCH_SIZE: usize = 512;

/// Folders of other people's code and of build outputs.
const FOREIGN_FOLDERS: [&str; 6] = ["node_modules", "vendor", "third_party", "_vendor", "dist", "site-packages"];

/// Endings of files without text that anybody searches.
const NO_TEXT: [&str; 30] = [
    "png", "jpg", "jpeg", "gif", "ico", "webp", "svg", "pdf", "zip", "gz", "xz", "bz2", "tar", "jar", "so", "dll",
    "exe", "bin", "woff", "woff2", "ttf", "otf", "mo", "po", "lock", "map", "min", "pyc", "npz", "wasm",
];

/// A text of the repository with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceText {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The texts of one commit. Files that may hold secrets are not there. Calls block.
#[derive(Debug)]
pub(crate) struct Repository {
    tree: Arc<dyn SourceTree>,
    files: BTreeMap<String, TreeFile>,
    /// The paths of the files that may hold secrets.
    hidden: Vec<String>,
    /// What is searched, read once.
    searched: OnceLock<Vec<SourceText>>,
}

impl Repository {
    /// Lists the files of a tree; a tree that cannot be listed has none.
    pub(crate) fn open(tree: Arc<dyn SourceTree>) -> Self {
        let files = tree.files().unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to list the files of the tree");
            Vec::new()
        });
        let is_readable = |file: &TreeFile| RepoPath::parse(&file.path).is_ok_and(|path| !path.may_hold_secrets());
        let (files, hidden): (Vec<TreeFile>, Vec<TreeFile>) = files.into_iter().partition(is_readable);
        let files = files.into_iter().map(|file| (file.path.clone(), file)).collect();
        let hidden = hidden.into_iter().map(|file| file.path).collect();
        Self { tree, files, hidden, searched: OnceLock::new() }
    }

    /// Returns the paths of the files that may hold secrets.
    pub(crate) fn hidden(&self) -> &[String] {
        &self.hidden
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Returns a file as it is; `None` if it is missing.
    ///
    /// # Errors
    /// A text for the model, if the file is too large or no text in a known encoding.
    pub(crate) fn decode(&self, path: &str) -> Result<Option<Decoded>, String> {
        let Some(file) = self.files.get(path) else { return Ok(None) };
        let bytes = self.tree.read(std::slice::from_ref(file), MAX_READ_BYTES).pop().flatten();
        decode(&bytes.ok_or_else(|| "it is too large".to_owned())?).map(Some)
    }

    /// Returns the bytes of a file; `None` if it is missing.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.tree.read(std::slice::from_ref(self.files.get(path)?), MAX_READ_BYTES).pop()?
    }

    /// Returns a file with plain line ends; `None` if it is missing, large or no text.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        Some(plain(&self.decode(path).ok()??.text))
    }

    /// Returns the texts that are searched: no large files, no data, no code of others.
    pub(crate) fn searched(&self) -> &[SourceText] {
        self.searched.get_or_init(|| {
            let mut files: Vec<TreeFile> =
                self.files.values().filter(|file| is_searched(&file.path)).cloned().collect();
            files.sort_by_key(|file| !is_code(&file.path));
            let mut texts = Vec::new();
            let mut room = MAX_ALL_BYTES;
            for batch in files.chunks(BATCH_SIZE) {
                for (file, bytes) in batch.iter().zip(self.tree.read(batch, MAX_SEARCHED_BYTES)) {
                    let Some(text) = bytes.and_then(|bytes| decode(&bytes).ok()) else { continue };
                    if text.text.len() > room {
                        return texts;
                    }
                    room -= text.text.len();
                    texts.push(SourceText { path: file.path.clone(), text: plain(&text.text) });
                }
            }
            texts
        })
    }

    /// Returns the paths whose names are most like one that does not exist.
    pub(crate) fn similar_paths(&self, path: &str) -> Vec<&str> {
        let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        let own = |other: &&str| other.rsplit('/').next().unwrap_or(other).to_lowercase() == name;
        let named: Vec<&str> = self.paths().filter(own).take(5).collect();
        if !named.is_empty() {
            return named;
        }
        // `calc2.py` is most like `calc.py`.
        let stem = name
            .split('.')
            .next()
            .unwrap_or(&name)
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == 's')
            .to_owned();
        self.paths().filter(|other| stem.len() > 2 && other.to_lowercase().contains(&stem)).take(5).collect()
    }

    /// Returns the entries of a folder, folders with a `/` at their end; none if there is no such folder.
    pub(crate) fn entries(&self, folder: &str) -> BTreeSet<String> {
        let start = if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
        let below = self.paths().filter_map(|path| path.strip_prefix(start.as_str()));
        below.map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/"))).collect()
    }
}

fn is_searched(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
    let is_foreign = path.split('/').any(|part| FOREIGN_FOLDERS.contains(&part));
    !is_foreign && !NO_TEXT.contains(&extension.as_str()) && !path.ends_with(".min.js") && !path.ends_with("-lock.json")
}

/// Endings of source code, as far as calls and definitions are looked for in it.
const CODE: [&str; 36] = [
    "py", "pyi", "pyx", "js", "mjs", "cjs", "jsx", "ts", "tsx", "mts", "cts", "vue", "svelte", "go", "rs", "java",
    "kt", "scala", "c", "h", "cc", "cpp", "cxx", "hpp", "hh", "cs", "swift", "rb", "php", "lua", "sh", "pl", "zig",
    "dart", "m", "ex",
];

/// Returns whether a file is code, by its ending.
pub(crate) fn is_code(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
    CODE.contains(&extension.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use patchwright_core::source_tree::{HistoryEntry, SourceTreeError};

    use super::*;

    /// A tree in memory.
    #[derive(Debug)]
    pub(crate) struct MemoryTree(Vec<(String, Vec<u8>)>);

    pub(crate) fn tree_of(files: &[(&str, &str)]) -> MemoryTree {
        MemoryTree(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
    }

    impl SourceTree for MemoryTree {
        fn id(&self) -> Option<String> {
            None
        }

        fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
            Ok(self.0.iter().map(|(path, _)| TreeFile { path: path.clone(), blob: None }).collect())
        }

        fn read(&self, files: &[TreeFile], max_bytes: u64) -> Vec<Option<Vec<u8>>> {
            let content = |file: &TreeFile| {
                let (_, bytes) = self.0.iter().find(|(path, _)| *path == file.path)?;
                (bytes.len() as u64 <= max_bytes).then(|| bytes.clone())
            };
            files.iter().map(content).collect()
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

    #[test]
    fn files_with_secrets_are_not_there_and_those_of_others_are_not_searched() {
        let repository = Repository::open(Arc::new(tree_of(&[
            (".env", "KEY=1\n"),
            ("deploy/server.key", "-----BEGIN\n"),
            (".npmrc", "//registry/:_authToken=1\n"),
            ("node_modules/x/index.js", "x\n"),
            ("logo.png", "x"),
            ("src/a.py", "a\r\n"),
            ("src/b.py", "b\n"),
        ])));
        let searched: Vec<&str> = repository.searched().iter().map(|source| source.path.as_str()).collect();
        assert_eq!(searched, ["src/a.py", "src/b.py"]);
        assert_eq!((repository.read(".env"), repository.read("src/a.py").as_deref()), (None, Some("a\n")));
        assert!(!repository.contains("deploy/server.key") && !repository.contains(".npmrc"));
        assert_eq!(repository.entries("src").into_iter().collect::<Vec<_>>(), ["a.py", "b.py"]);
        assert!(repository.entries("").contains("node_modules/"));
        assert_eq!(repository.similar_paths("lib/a.py"), ["src/a.py"]);
    }
}
