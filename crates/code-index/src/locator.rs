//! Ranking the files of a tree for a text, with an index on disk.

use std::collections::HashSet;
use std::path::PathBuf;

use async_trait::async_trait;
use patchwright_core::code_index::{
    CodeIndex, CodeIndexError, Definition, IndexQuery, RankedFile, RankedFunction, Ranking,
};
use patchwright_core::source_tree::{SourceTree, TreeFile};
use rayon::prelude::*;

use crate::corpus::{Document, MAX_FILE_BYTES, is_indexed};
use crate::features::Feature;
use crate::functions::{self, FunctionRow, FunctionTable, Place};
use crate::history::Changes;
use crate::index::{Index, RankedDocument};
use crate::index_cache::IndexCache;
use crate::language::{Language, is_test};
use crate::outline::{Symbol, outline, skeleton};
use crate::query::{IssueText, Query};
use crate::scan::Scan;
use crate::symbols::{OutlinedFile, rank_symbols};
use crate::words::Splitter;

/// The code index port without a model and a server. With a cache folder, the second ranking of a repository reads only the
/// files that have changed since the first.
#[derive(Debug, Clone, Default)]
pub struct Locator {
    cache: Option<PathBuf>,
}

/// The largest number of files that are indexed. Tests are left out first.
const MAX_FILES: usize = 50_000;
/// The largest number of words (each counted once a chunk) in the index, at 8 bytes each. Further files are indexed without
/// their words, by their paths and definitions.
const MAX_WORDS: usize = 20_000_000;
/// The number of files that are read before the limit of words is checked.
const BATCH_SIZE: usize = 2_048;
/// The number of files that one task of the thread pool reads. They share a cache of split identifiers.
const TASK_SIZE: usize = 32;
/// The number of files whose functions are ranked, and how many functions are returned.
const FUNCTION_FILES: usize = 30;
const MAX_FUNCTIONS: usize = 50;
/// The largest number of symbols of a file.
const MAX_SYMBOLS: usize = 40;
const MAX_SKELETON_CHARS: usize = 2_400;

/// The index of a tree and the parsed text of one query.
struct Search<'a> {
    tree: &'a dyn SourceTree,
    cache: &'a IndexCache,
    index: Index,
    query: Query,
    files: Vec<TreeFile>,
}

impl Locator {
    /// Creates a locator with an optional folder for its index cache.
    pub const fn new(cache: Option<PathBuf>) -> Self {
        Self { cache }
    }

    /// Ranks the files of the query's tree. Blocks, and uses all processors.
    ///
    /// # Errors
    /// [`CodeIndexError`] if the tree's files cannot be listed.
    pub fn locate(&self, query: &IndexQuery) -> Result<Ranking, CodeIndexError> {
        let cache = self.open_cache(query);
        let search = Search::new(query, &cache)?;
        let changes = Changes::read(search.tree, &cache);
        let limit = if query.outlines > 0 { query.limit.max(FUNCTION_FILES) } else { query.limit };
        let mut ranked = search.index.rank_with(&search.query, Some(&changes), query.folder.as_deref(), limit);
        let outlined = search.outline_first(&ranked, query.outlines);
        ranked.truncate(query.limit);
        let (functions, files) = search.describe(ranked, &outlined, query.outlines);
        let ranking = Ranking { files, functions, files_analyzed: search.index.len() };
        drop((search, changes));
        if let Err(error) = cache.save() {
            tracing::warn!(%error, "failed to write the index cache");
        }
        Ok(ranking)
    }

    /// Returns the path and the features of each candidate, for learning the weights.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn feature_rows(&self, query: &IndexQuery) -> Result<Vec<(String, [f64; Feature::ALL.len()])>, CodeIndexError> {
        let cache = self.open_cache(query);
        let search = Search::new(query, &cache)?;
        Ok(search.index.feature_rows(&search.query, Some(&Changes::read(search.tree, &cache))))
    }

    /// Returns path, name and features of the functions in the most likely files, for learning the weights.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn function_rows(&self, query: &IndexQuery) -> Result<Vec<FunctionRow>, CodeIndexError> {
        let cache = self.open_cache(query);
        let search = Search::new(query, &cache)?;
        let changes = Changes::read(search.tree, &cache);
        let ranked = search.index.rank_with(&search.query, Some(&changes), None, FUNCTION_FILES);
        let outlined = search.outline_first(&ranked, FUNCTION_FILES);
        Ok(FunctionTable::new(&search.query, &outlined.files, &outlined.scores).rows())
    }

    fn open_cache(&self, query: &IndexQuery) -> IndexCache {
        match (&self.cache, &query.repository) {
            (Some(folder), Some(repository)) => IndexCache::open(folder, repository),
            _ => IndexCache::default(),
        }
    }
}

/// The outlines of the first files, and their scores.
#[derive(Default)]
struct Outlined {
    files: Vec<OutlinedFile>,
    scores: Vec<f64>,
}

impl<'a> Search<'a> {
    fn new(query: &'a IndexQuery, cache: &'a IndexCache) -> Result<Self, CodeIndexError> {
        let tree = query.tree.as_ref();
        let text = IssueText::new(&query.title, &query.body).with_labels(&query.labels);
        let mut parsed = Query::parse(&text);
        let mut files = tree.files().map_err(|error| CodeIndexError { source: Box::new(error) })?;
        parsed.add_named_files(files.iter().map(|file| file.path.as_str()));
        let is_relevant = |path: &str| Language::of(path).is_some() || parsed.asks_for(path);
        files.retain(|file| is_indexed(&file.path) && is_relevant(&file.path));
        files.sort_by_key(|file| is_test(&file.path));
        files.truncate(MAX_FILES);
        let asked: Vec<TreeFile> = files.iter().filter(|file| parsed.names(&file.path)).cloned().collect();
        let (paths, scans, files) = add_unread(scan_files(tree, cache, &files), asked);
        Ok(Self { tree, cache, index: Index::from_scans(paths, scans), query: parsed, files })
    }

    /// Returns the outlines of the first files, with their scores: of more than are asked for, because their functions tell of
    /// each other, but of none if none are.
    fn outline_first(&self, ranked: &[RankedDocument], outlines: usize) -> Outlined {
        let count = if outlines > 0 { outlines.max(FUNCTION_FILES) } else { 0 };
        let first: Vec<&RankedDocument> = ranked.iter().take(count).collect();
        let outline = |file: &&RankedDocument| {
            let position = self.index.position(&file.path)?;
            Some((self.outline(&self.files[position])?, file.score))
        };
        let (files, scores) = first.par_iter().filter_map(outline).unzip();
        Outlined { files, scores }
    }

    /// Ranks the functions of the outlined files, and adds symbols and skeletons to the first files.
    fn describe(
        &self,
        ranked: Vec<RankedDocument>,
        first: &Outlined,
        outlines: usize,
    ) -> (Vec<RankedFunction>, Vec<RankedFile>) {
        let places = FunctionTable::new(&self.query, &first.files, &first.scores).rank();
        // More files than are asked for are outlined.
        let symbols = rank_symbols(&self.query, &first.files[..outlines.min(first.files.len())]);
        let describe = |(position, file): (usize, RankedDocument)| {
            let known = first.files.iter().position(|other| other.path == file.path);
            let (mut symbols_of, mut text) = (Vec::new(), String::new());
            if let Some(known) = known.filter(|known| position < outlines && *known < symbols.len()) {
                let best = order_functions(&first.files[known], &symbols[known], known, &places);
                let own = &first.files[known].symbols;
                text = skeleton(own, &best, MAX_SKELETON_CHARS);
                symbols_of = best.into_iter().take(MAX_SYMBOLS).map(|symbol| own[symbol].to_ranked()).collect();
            }
            RankedFile {
                path: file.path,
                score: file.score,
                reasons: file.reasons,
                symbols: symbols_of,
                skeleton: text,
            }
        };
        let files = ranked.into_iter().enumerate().map(describe).collect();
        (functions::describe(&first.files, &places, MAX_FUNCTIONS), files)
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
fn order_functions(file: &OutlinedFile, symbols: &[usize], number: usize, places: &[Place]) -> Vec<usize> {
    let is_function = |symbol: &usize| file.symbols[*symbol].kind.is_function();
    let matching: HashSet<usize> = symbols.iter().copied().collect();
    let own = places.iter().filter(|place| place.file == number).map(|place| place.symbol);
    let mut functions = own.filter(|symbol| matching.contains(symbol));
    let put = |symbol: &usize| if is_function(symbol) { functions.next() } else { Some(*symbol) };
    symbols.iter().filter_map(put).collect()
}

/// Scans files, or takes their scans from the cache. Files that are not text are left out.
fn scan_files(
    tree: &dyn SourceTree,
    cache: &IndexCache,
    files: &[TreeFile],
) -> (Vec<String>, Vec<Scan>, Vec<TreeFile>) {
    let mut remaining = MAX_WORDS;
    let mut scanned: Vec<(TreeFile, Scan)> = Vec::with_capacity(files.len());
    for batch in files.chunks(BATCH_SIZE) {
        let scans: Vec<Option<Scan>> =
            batch.par_chunks(TASK_SIZE).flat_map_iter(|files| scan_task(tree, cache, files)).collect();
        for (file, scan) in batch.iter().zip(scans) {
            let Some(scan) = scan else { continue };
            let scan = if scan.words.len() > remaining { scan.without_words() } else { scan };
            remaining -= scan.words.len();
            scanned.push((file.clone(), scan));
        }
    }
    scanned.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let (files, scans): (Vec<TreeFile>, Vec<Scan>) = scanned.into_iter().unzip();
    (files.iter().map(|file| file.path.clone()).collect(), scans, files)
}

type Scanned = (Vec<String>, Vec<Scan>, Vec<TreeFile>);

/// Adds the files that the text names and that were not read, because they are long or no text: by their paths.
fn add_unread((paths, scans, files): Scanned, asked: Vec<TreeFile>) -> Scanned {
    let missing: Vec<TreeFile> = asked.into_iter().filter(|file| paths.binary_search(&file.path).is_err()).collect();
    if missing.is_empty() {
        return (paths, scans, files);
    }
    let read = files.into_iter().zip(scans);
    let mut all: Vec<(TreeFile, Scan)> = read.chain(missing.into_iter().map(|file| (file, Scan::default()))).collect();
    all.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let (files, scans): (Vec<TreeFile>, Vec<Scan>) = all.into_iter().unzip();
    (files.iter().map(|file| file.path.clone()).collect(), scans, files)
}

fn scan_task(tree: &dyn SourceTree, cache: &IndexCache, files: &[TreeFile]) -> Vec<Option<Scan>> {
    let language = |file: &TreeFile| Language::of(&file.path).unwrap_or(Language::Other);
    let key = |file: &TreeFile| file.blob.as_ref().map(|blob| format!("scan {:?} {blob}", language(file)));
    let mut scans: Vec<Option<Option<Scan>>> =
        files.iter().map(|file| key(file).and_then(|key| cache.get(&key))).collect();
    let missing: Vec<usize> = (0..files.len()).filter(|position| scans[*position].is_none()).collect();
    let to_read: Vec<TreeFile> = missing.iter().map(|position| files[*position].clone()).collect();
    let mut splitter = Splitter::default();
    for ((position, file), bytes) in missing.into_iter().zip(&to_read).zip(tree.read(&to_read, MAX_FILE_BYTES)) {
        let document = bytes.and_then(|bytes| Document::from_bytes(&file.path, bytes));
        let scan = document.map(|document| Scan::new(&document.text, language(file), &mut splitter));
        if let Some(key) = key(file) {
            cache.put(&key, &scan);
        }
        scans[position] = Some(scan);
    }
    scans.into_iter().map(Option::flatten).collect()
}

#[async_trait]
impl CodeIndex for Locator {
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError> {
        let this = self.clone();
        let locate = move || this.locate(&query);
        tokio::task::spawn_blocking(locate).await.map_err(|error| CodeIndexError { source: Box::new(error) })?
    }

    fn outline(&self, path: &str, text: &str) -> Vec<Definition> {
        let definition = |symbol: Symbol| Definition {
            name: symbol.name,
            kind: symbol.kind.as_str().to_owned(),
            lines: symbol.lines,
            signature: symbol.signature,
            depth: symbol.depth,
        };
        outline(path, text).into_iter().map(definition).collect()
    }

    fn syntax_errors(&self, path: &str, text: &str) -> Vec<usize> {
        crate::outline::syntax_errors(path, text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use patchwright_core::source_tree::{HistoryEntry, SourceTreeError};

    use super::*;

    /// A commit in memory that counts the reads of files and history.
    #[derive(Debug)]
    struct Commit {
        files: Vec<(&'static str, &'static str)>,
        read: AtomicUsize,
        history_calls: AtomicUsize,
    }

    impl Commit {
        fn new(files: &[(&'static str, &'static str)]) -> Arc<Self> {
            let (read, history_calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Self { files: files.to_vec(), read, history_calls })
        }
    }

    impl SourceTree for Commit {
        fn id(&self) -> Option<String> {
            Some(format!("{:?}", self.files))
        }

        fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
            let file = |(path, text): &(&str, &str)| TreeFile { path: (*path).into(), blob: Some((*text).into()) };
            Ok(self.files.iter().map(file).collect())
        }

        fn read(&self, files: &[TreeFile], max_bytes: u64) -> Vec<Option<Vec<u8>>> {
            self.read.fetch_add(files.len(), Ordering::Relaxed);
            let bytes = |file: &TreeFile| Some(file.blob.as_ref()?.as_bytes().to_vec());
            files.iter().map(|file| bytes(file).filter(|bytes| bytes.len() as u64 <= max_bytes)).collect()
        }

        fn history(&self, _: usize) -> Vec<HistoryEntry> {
            self.history_calls.fetch_add(1, Ordering::Relaxed);
            vec![HistoryEntry { id: "c1".into(), time: 5, message: "Discounts of the cart\n\nMore.".into() }]
        }

        fn list_changed_paths(&self, _: &str) -> Vec<String> {
            vec!["shop/cart.py".into()]
        }
    }

    const CART: (&str, &str) = ("shop/cart.py", "class Cart:\n    def total(self):\n        return sum(self.prices)\n");
    const MAIL: (&str, &str) = ("shop/mail.py", "def send(to):\n    print(to)\n");

    fn query(tree: &Arc<Commit>, outlines: usize) -> IndexQuery {
        let tree = Arc::clone(tree) as Arc<dyn SourceTree>;
        IndexQuery::new(tree, "Cart.total ignores discounts", "")
            .with_repository("acme/shop")
            .with_outlines(outlines)
            .with_limit(5)
    }

    #[test]
    fn a_cached_ranking_reads_only_changed_files_and_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let locator = Locator::new(Some(folder.path().join("index")));
        let count = |tree: &Arc<Commit>| tree.read.swap(0, Ordering::Relaxed);
        let first = Commit::new(&[CART, MAIL]);
        let ranking = locator.locate(&query(&first, 0)).unwrap();
        assert_eq!((count(&first), ranking.files_analyzed), (2, 2));
        assert_eq!(locator.locate(&query(&first, 0)).unwrap(), ranking);
        assert_eq!((count(&first), first.history_calls.load(Ordering::Relaxed)), (0, 1));
        let next = Commit::new(&[CART, ("shop/mail.py", "def send(to, text):\n    print(to, text)\n")]);
        locator.locate(&query(&next, 0)).unwrap();
        assert_eq!((count(&next), next.history_calls.load(Ordering::Relaxed)), (1, 1));
        let without = Locator::new(None);
        assert_eq!(without.locate(&query(&first, 0)).unwrap(), ranking, "the cache does not change the ranking");
    }

    #[test]
    #[cfg(feature = "python")]
    fn the_first_files_have_symbols_and_a_skeleton() {
        let tree = Commit::new(&[CART, MAIL]);
        let ranking = Locator::new(None).locate(&query(&tree, 1)).unwrap();
        let first = &ranking.files[0];
        assert_eq!((first.symbols[0].name.as_str(), first.symbols[0].lines), ("Cart.total", (2, 3)));
        assert_eq!(first.skeleton, "1: class Cart\n  2: def total(self)\n");
        let functions = |ranking: &Ranking| -> Vec<String> {
            ranking.functions.iter().map(|function| format!("{} {}", function.path, function.symbol.name)).collect()
        };
        assert_eq!(functions(&ranking)[0], "shop/cart.py Cart.total");
        assert!(functions(&Locator::new(None).locate(&query(&tree, 0)).unwrap()).is_empty(), "nobody asked");
        let elsewhere = query(&tree, 1).with_folder("docs");
        assert!(Locator::new(None).locate(&elsewhere).unwrap().files.is_empty());
    }

    #[test]
    fn fault_j_a_file_that_the_text_names_is_found_whatever_it_is() {
        let long: &'static str = Box::leak("int f(int a) { return a; }\n".repeat(30_000).into_boxed_str());
        let files = [
            ("Dockerfile", "FROM x\n"),
            ("api/order.proto", "message Order {}\n"),
            ("build.gradle", "apply plugin: 'java'\n"),
            ("sqlite.c", long),
            ("t.tf", "resource \"x\" \"y\" {}\n"),
            CART,
        ];
        let tree = Commit::new(&files);
        for (path, _) in files {
            for body in [format!("The file `{path}` must be changed."), format!("见 {path}。")] {
                let tree = Arc::clone(&tree) as Arc<dyn SourceTree>;
                let query = IndexQuery::new(tree, "It is wrong", body.clone());
                let ranking = Locator::new(None).locate(&query).unwrap();
                assert_eq!(ranking.files[0].path, path, "{body}");
            }
        }
    }

    #[test]
    fn a_file_beyond_the_limit_of_words_is_indexed_by_its_definitions() {
        let scan = Scan::new(CART.1, Language::Python, &mut Splitter::default()).without_words();
        assert!(scan.words.is_empty() && scan.chunks.iter().all(|length| *length == 0));
        let index = Index::from_scans(vec![CART.0.into(), MAIL.0.into()], vec![scan, Scan::default()]);
        assert_eq!(index.rank(&IssueText::new("`Cart.total` is wrong", ""), 1)[0].path, "shop/cart.py");
    }
}
