//! Reading the files of a tree that are indexed, or taking what was read of them from the cache.

use patchwright_core::source_tree::{SourceTree, TreeFile};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::corpus::{Document, MAX_FILE_BYTES};
use crate::index_cache::IndexCache;
use crate::language::Language;
use crate::outline::has_grammar;
use crate::scan::Scan;
use crate::structure::Structure;
use crate::words::Splitter;

/// The largest number of words (each counted once a chunk) in the index, at 8 bytes each. Further files are indexed without
/// their words, by their paths and definitions.
const MAX_WORDS: usize = 20_000_000;
/// The largest number of definitions and references in the index. Further files are indexed without those that only a grammar shows.
const MAX_STRUCTURE: usize = 10_000_000;
/// The number of files that are read before the limits are checked.
const BATCH_SIZE: usize = 2_048;
/// The number of files that one task of the thread pool reads. They share a cache of split identifiers.
const TASK_SIZE: usize = 32;

/// What is kept of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    scan: Scan,
    structure: Structure,
}

/// The indexed files, sorted by path, with what is kept of each.
#[derive(Debug, Default)]
pub(super) struct IndexedFiles {
    pub(super) files: Vec<TreeFile>,
    pub(super) scans: Vec<Scan>,
    pub(super) structures: Vec<Structure>,
}

impl IndexedFiles {
    /// Reads files, or takes them from the cache. Files that are not text are left out, except those of `named`: they are indexed
    /// by their paths.
    pub(super) fn read(tree: &dyn SourceTree, cache: &IndexCache, files: &[TreeFile], named: &[TreeFile]) -> Self {
        let (mut remaining, mut remaining_structure) = (MAX_WORDS, MAX_STRUCTURE);
        let mut read: Vec<(TreeFile, Content)> = Vec::with_capacity(files.len());
        for batch in files.chunks(BATCH_SIZE) {
            let contents: Vec<Option<Content>> =
                batch.par_chunks(TASK_SIZE).flat_map_iter(|files| read_task(tree, cache, files)).collect();
            for (file, content) in batch.iter().zip(contents) {
                let Some(Content { scan, structure }) = content else { continue };
                let scan = if scan.words.len() > remaining { scan.without_words() } else { scan };
                remaining -= scan.words.len();
                let structure = if structure.size() > remaining_structure { Structure::default() } else { structure };
                remaining_structure -= structure.size();
                read.push((file.clone(), Content { scan, structure }));
            }
        }
        read.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        let is_missing = |file: &&TreeFile| read.binary_search_by(|(own, _)| own.path.cmp(&file.path)).is_err();
        let missing: Vec<TreeFile> = named.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            read.extend(missing.into_iter().map(|file| (file, Content::default())));
            read.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        }
        let mut indexed = Self::default();
        for (file, Content { scan, structure }) in read {
            indexed.files.push(file);
            indexed.scans.push(scan);
            indexed.structures.push(structure);
        }
        indexed
    }
}

fn read_task(tree: &dyn SourceTree, cache: &IndexCache, files: &[TreeFile]) -> Vec<Option<Content>> {
    let language = |file: &TreeFile| Language::of(&file.path).unwrap_or(Language::Other);
    // The extension chooses the grammar, which a build may not have.
    let key = |file: &TreeFile| {
        let extension = file.path.rsplit('.').next().unwrap_or_default();
        let parsed = if has_grammar(&file.path) { "parsed" } else { "plain" };
        file.blob.as_ref().map(|blob| format!("file {:?} {extension} {parsed} {blob}", language(file)))
    };
    let mut contents: Vec<Option<Option<Content>>> =
        files.iter().map(|file| key(file).and_then(|key| cache.get(&key))).collect();
    let missing: Vec<usize> = (0..files.len()).filter(|position| contents[*position].is_none()).collect();
    let to_read: Vec<TreeFile> = missing.iter().map(|position| files[*position].clone()).collect();
    let mut splitter = Splitter::default();
    for ((position, file), bytes) in missing.into_iter().zip(&to_read).zip(tree.read(&to_read, MAX_FILE_BYTES)) {
        let document = bytes.and_then(|bytes| Document::from_bytes(&file.path, bytes));
        let content = document.map(|document| Content {
            scan: Scan::new(&document.text, language(file), &mut splitter),
            structure: Structure::new(&file.path, &document.text),
        });
        if let Some(key) = key(file) {
            cache.put(&key, &content);
        }
        contents[position] = Some(content);
    }
    contents.into_iter().map(Option::flatten).collect()
}
