//! One ranking: the files by their features, and the functions of the first of them.

use std::collections::HashSet;

use patchwright_core::code_index::{CodeIndexError, IndexQuery, RankedFile, Ranking};
use patchwright_core::source_tree::{SourceTree, TreeFile};
use rayon::prelude::*;

use super::read::IndexedFiles;
use crate::corpus::{Document, MAX_FILE_BYTES, is_indexed};
use crate::features::{Feature, FeatureTable};
use crate::functions::{self, FunctionEvidence, FunctionRow, FunctionTable, Place, score_history, score_positions};
use crate::history::Changes;
use crate::index::Index;
use crate::index_cache::IndexCache;
use crate::language::{Language, is_test};
use crate::outline::{Symbol, outline, skeleton};
use crate::query::{IssueText, Query};
use crate::symbols::{OutlinedFile, rank_symbols};

/// The largest number of files that are indexed. Tests are left out first.
const MAX_FILES: usize = 50_000;
/// The number of files whose functions are ranked, and how many functions are returned.
const FUNCTION_FILES: usize = 40;
const MAX_FUNCTIONS: usize = 50;
/// The largest number of symbols of a file.
const MAX_SYMBOLS: usize = 40;
const MAX_SKELETON_CHARS: usize = 2_400;

/// The index of a tree and the parsed text of one query.
pub(super) struct Search<'a> {
    tree: &'a dyn SourceTree,
    cache: &'a IndexCache,
    index: Index,
    query: Query,
    files: Vec<TreeFile>,
}

/// The first files with their outlines, in the order of their scores.
#[derive(Default)]
struct Outlined {
    files: Vec<OutlinedFile>,
    /// Their positions among the candidates.
    positions: Vec<usize>,
    scores: Vec<f64>,
    /// What is known of each symbol of each file.
    evidence: Vec<Vec<FunctionEvidence>>,
}

/// The ranked files and functions.
struct Ranked {
    /// The positions among the candidates, with the scores, best first.
    order: Vec<(usize, f64)>,
    features: FeatureTable,
    outlined: Outlined,
    places: Vec<Place>,
}

impl<'a> Search<'a> {
    pub(super) fn new(query: &'a IndexQuery, cache: &'a IndexCache) -> Result<Self, CodeIndexError> {
        let tree = query.tree.as_ref();
        let text = IssueText::new(&query.title, &query.body).with_labels(&query.labels);
        let mut parsed = Query::parse(&text);
        parsed.executed.clone_from(&query.executed);
        let mut files = tree.files().map_err(|error| CodeIndexError { source: Box::new(error) })?;
        parsed.add_named_files(files.iter().map(|file| file.path.as_str()));
        let is_relevant = |path: &str| Language::of(path).is_some() || parsed.asks_for(path);
        files.retain(|file| is_indexed(&file.path) && is_relevant(&file.path));
        files.sort_by_key(|file| is_test(&file.path));
        files.truncate(MAX_FILES);
        let named: Vec<TreeFile> = files.iter().filter(|file| parsed.names(&file.path)).cloned().collect();
        let IndexedFiles { files, scans, structures } = IndexedFiles::read(tree, cache, &files, &named);
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Ok(Self { tree, cache, index: Index::from_scans(paths, scans, structures), query: parsed, files })
    }

    /// Ranks the files and the functions of the first of them.
    pub(super) fn rank(&self, changes: &Changes<'_>, query: &IndexQuery) -> Ranking {
        let files_analyzed = self.index.len();
        if self.query.all.is_empty() {
            return Ranking { files: Vec::new(), functions: Vec::new(), files_analyzed };
        }
        let features = self.index.features(&self.query, Some(changes), query.folder.as_deref());
        let mut order = self.index.order(&features);
        let outlined =
            if query.outlines > 0 { self.outline_first(&features, &order, changes) } else { Outlined::default() };
        let places = FunctionTable::new(&self.query, &outlined.files, &outlined.scores, &outlined.evidence).rank();
        order.truncate(query.limit);
        let ranked = Ranked { order, features, outlined, places };
        let files = self.describe(&ranked, changes, query.outlines);
        let functions = functions::describe(&ranked.outlined.files, &ranked.places, MAX_FUNCTIONS);
        Ranking { files, functions, files_analyzed }
    }

    /// Returns the path and the features of each candidate.
    pub(super) fn file_rows(&self, changes: &Changes<'_>) -> Vec<(String, [f64; Feature::ALL.len()])> {
        let features = self.index.features(&self.query, Some(changes), None);
        let row = |position: usize| (self.index.path(&features, position).to_owned(), features.row(position));
        (0..features.pool.len()).map(row).collect()
    }

    /// Returns path, name and features of the functions of the first files.
    pub(super) fn function_rows(&self, changes: &Changes<'_>) -> Vec<FunctionRow> {
        let features = self.index.features(&self.query, Some(changes), None);
        let outlined = self.outline_first(&features, &self.index.order(&features), changes);
        FunctionTable::new(&self.query, &outlined.files, &outlined.scores, &outlined.evidence).rows()
    }

    /// Outlines the first files, and collects what is known of their functions.
    fn outline_first(&self, features: &FeatureTable, order: &[(usize, f64)], changes: &Changes<'_>) -> Outlined {
        let first: Vec<(usize, f64)> = order.iter().take(FUNCTION_FILES).copied().collect();
        let read = |(position, score): &(usize, f64)| {
            let file = &self.files[features.pool[*position]];
            Some((self.outline(file)?, (*position, *score)))
        };
        let (files, places): (Vec<OutlinedFile>, Vec<(usize, f64)>) = first.par_iter().filter_map(read).unzip();
        let (positions, scores) = places.into_iter().unzip();
        let mut outlined = Outlined { files, positions, scores, evidence: Vec::new() };
        outlined.evidence = self.collect_evidence(features, &outlined, changes);
        outlined
    }

    fn collect_evidence(
        &self,
        features: &FeatureTable,
        outlined: &Outlined,
        changes: &Changes<'_>,
    ) -> Vec<Vec<FunctionEvidence>> {
        let files = &outlined.files;
        let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let similar = features.history.as_ref().map_or(&[][..], |history| history.similar.as_slice());
        let history = score_history(files, &changes.list_added_lines(similar, &paths));
        let (modules, all) = (&self.index.modules, &self.index.paths);
        let lines = score_positions(files, &self.query.positions, modules, all, self.tree);
        let of_symbol = |number: usize, symbol: usize| FunctionEvidence {
            definition: features.definitions.get(outlined.positions[number], files[number].symbols[symbol].bytes.start),
            history: history[number][symbol],
            position: lines[number][symbol],
        };
        let of_file =
            |number: usize| (0..files[number].symbols.len()).map(|symbol| of_symbol(number, symbol)).collect();
        (0..files.len()).map(of_file).collect()
    }

    /// Describes the ranked files for users and models; the first of them with symbols and a skeleton.
    fn describe(&self, ranked: &Ranked, changes: &Changes<'_>, count: usize) -> Vec<RankedFile> {
        let Ranked { order, features, outlined, places } = ranked;
        // More files than are asked for are outlined, in the same order.
        let first: HashSet<usize> = order.iter().take(count).map(|(position, _)| *position).collect();
        let shown = outlined.positions.iter().take_while(|position| first.contains(position)).count();
        let symbols = rank_symbols(&self.query, &outlined.files[..shown]);
        let describe = |place: &(usize, f64)| {
            let file = self.index.describe(&self.query, features, Some(changes), *place);
            let (mut of_file, mut text) = (Vec::new(), String::new());
            if let Some(number) = outlined.positions[..shown].iter().position(|own| *own == place.0) {
                let own = &outlined.files[number].symbols;
                let best = order_functions(own, &symbols[number], number, places);
                text = skeleton(own, &best, MAX_SKELETON_CHARS);
                of_file = best.into_iter().take(MAX_SYMBOLS).map(|symbol| own[symbol].to_ranked()).collect();
            }
            RankedFile { path: file.path, score: file.score, reasons: file.reasons, symbols: of_file, skeleton: text }
        };
        order.iter().map(describe).collect()
    }

    fn outline(&self, file: &TreeFile) -> Option<OutlinedFile> {
        let bytes = self.tree.read(std::slice::from_ref(file), MAX_FILE_BYTES).pop()??;
        let document = Document::from_bytes(&file.path, bytes)?;
        let extension = file.path.rsplit('.').next().unwrap_or_default();
        let key = file.blob.as_ref().map(|blob| format!("outline {extension} {blob}"));
        let cached: Option<Vec<Symbol>> = key.as_ref().and_then(|key| self.cache.get(key));
        let symbols = cached.unwrap_or_else(|| {
            let symbols = outline(&file.path, &document.text);
            // A build without the grammar must not hide the symbols from one that has it.
            if let Some(key) = key.filter(|_| !symbols.is_empty()) {
                self.cache.put(&key, &symbols);
            }
            symbols
        });
        Some(OutlinedFile { path: document.path, text: document.text, symbols })
    }
}

/// Puts the functions among the symbols of a file in the order of their ranking; classes and constants keep their places.
fn order_functions(own: &[Symbol], symbols: &[usize], number: usize, places: &[Place]) -> Vec<usize> {
    let is_function = |symbol: &usize| own[*symbol].kind.is_function();
    let matching: HashSet<usize> = symbols.iter().copied().collect();
    let ranked = places.iter().filter(|place| place.file == number).map(|place| place.symbol);
    let mut functions = ranked.filter(|symbol| matching.contains(symbol));
    let put = |symbol: &usize| if is_function(symbol) { functions.next() } else { Some(*symbol) };
    symbols.iter().filter_map(put).collect()
}
