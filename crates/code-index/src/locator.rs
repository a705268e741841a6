//! From a tree and a text to the files that the text is about.

use std::path::PathBuf;

use async_trait::async_trait;
use patchwright_core::code_index::{CodeIndex, CodeIndexError, IndexQuery, RankedFile, Ranking};
use patchwright_core::source_tree::{SourceTree, TreeFile};
use rayon::prelude::*;

use crate::corpus::{Document, MAX_BYTES, is_read};
use crate::features::Sign;
use crate::history::Changes;
use crate::index::{Index, Ranked};
use crate::language::{Language, is_test};
use crate::outline::{Symbol, outline, skeleton};
use crate::query::{IssueText, Query};
use crate::scan::Scan;
use crate::shelf::Shelf;
use crate::symbols::{Outlined, rank_symbols};
use crate::words::Splitter;

/// Finds the files that a text is about, by itself: no model, no server. With a folder to keep things in, the second look at a
/// repository reads only what has changed since the first.
#[derive(Debug, Clone, Default)]
pub struct Locator {
    cache: Option<PathBuf>,
}

/// Files beyond this number are not looked at: code that is no test goes first.
const MAX_FILES: usize = 50_000;
/// How many words, each counted once a piece, the index holds at most: 8 bytes each. Files beyond that are known by their names
/// and what they define.
const MAX_WORDS: usize = 20_000_000;
/// How many files are read before their words are counted against that, and how many one worker reads at a time: those share
/// what is known of identifiers.
const BATCH: usize = 2_048;
const SHARE: usize = 32;
/// How many symbols a file is given: as many as a model may reasonably choose from.
const SYMBOLS: usize = 40;
/// The longest skeleton, in characters.
const SKELETON: usize = 2_400;

/// What is known of a tree for one question.
struct Look<'a> {
    tree: &'a dyn SourceTree,
    shelf: &'a Shelf,
    index: Index,
    query: Query,
    files: Vec<TreeFile>,
}

impl Locator {
    /// One that keeps what it read in a folder, or nothing.
    pub const fn new(cache: Option<PathBuf>) -> Self {
        Self { cache }
    }

    /// Ranks. Blocks while it reads.
    ///
    /// # Errors
    /// [`CodeIndexError`] when the tree's files cannot be listed.
    pub fn locate(&self, query: &IndexQuery) -> Result<Ranking, CodeIndexError> {
        let kept = self.shelf(query);
        let look = Look::new(query, &kept)?;
        let changes = Changes::read(look.tree, &kept);
        let ranked = look.index.rank_with(&look.query, Some(&changes), query.folder.as_deref(), query.limit);
        let ranking = Ranking { files: look.describe(ranked, query.outlined), files_analyzed: look.index.len() };
        drop((look, changes));
        if let Err(error) = kept.save() {
            tracing::warn!(%error, "what was read of the repository could not be kept; the next look reads it again");
        }
        Ok(ranking)
    }

    /// The numbers behind the ranks, for those who learn the weights: path, and one number a sign.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn rows(&self, query: &IndexQuery) -> Result<Vec<(String, [f64; Sign::ALL.len()])>, CodeIndexError> {
        let kept = self.shelf(query);
        let look = Look::new(query, &kept)?;
        Ok(look.index.rows(&look.query, Some(&Changes::read(look.tree, &kept))))
    }

    fn shelf(&self, query: &IndexQuery) -> Shelf {
        match (&self.cache, &query.repository) {
            (Some(folder), Some(repository)) => Shelf::open(folder, repository),
            _ => Shelf::default(),
        }
    }
}

impl<'a> Look<'a> {
    fn new(query: &'a IndexQuery, shelf: &'a Shelf) -> Result<Self, CodeIndexError> {
        let tree = query.tree.as_ref();
        let text = IssueText::new(&query.title, &query.body).with_labels(&query.labels);
        let asked = Query::read(&text);
        let mut files = tree.files().map_err(|error| CodeIndexError { source: Box::new(error) })?;
        files.retain(|file| is_read(&file.path) && (Language::of(&file.path).is_some() || asked.means(&file.path)));
        files.sort_by_key(|file| is_test(&file.path));
        files.truncate(MAX_FILES);
        let (paths, scans, files) = read(tree, shelf, &files);
        Ok(Self { tree, shelf, index: Index::of(paths, scans), query: asked, files })
    }

    /// Tells of the first files what is in them.
    fn describe(&self, ranked: Vec<Ranked>, outlined: usize) -> Vec<RankedFile> {
        let places: Vec<usize> = ranked.iter().take(outlined).filter_map(|file| self.index.place(&file.path)).collect();
        let read: Vec<Outlined> = places.par_iter().filter_map(|place| self.outline(&self.files[*place])).collect();
        let best = rank_symbols(&self.query, &read);
        let mut files: Vec<RankedFile> = ranked
            .into_iter()
            .map(|file| RankedFile {
                path: file.path,
                score: file.score,
                reasons: file.reasons,
                symbols: Vec::new(),
                skeleton: String::new(),
            })
            .collect();
        for (outlined, best) in read.iter().zip(best) {
            let Some(file) = files.iter_mut().find(|file| file.path == outlined.path) else { continue };
            file.skeleton = skeleton(&outlined.symbols, &best, SKELETON);
            file.symbols = best.iter().take(SYMBOLS).map(|place| outlined.symbols[*place].told()).collect();
        }
        files
    }

    fn outline(&self, file: &TreeFile) -> Option<Outlined> {
        let bytes = self.tree.read(std::slice::from_ref(file), MAX_BYTES).pop()??;
        let document = Document::of_bytes(&file.path, bytes)?;
        let ending = file.path.rsplit('.').next().unwrap_or_default();
        let key = file.blob.as_ref().map(|blob| format!("outline {ending} {blob}"));
        let known: Option<Vec<Symbol>> = key.as_ref().and_then(|key| self.shelf.get(key));
        let symbols = known.unwrap_or_else(|| {
            let symbols = outline(&file.path, &document.text);
            if let Some(key) = key {
                self.shelf.put(&key, &symbols);
            }
            symbols
        });
        Some(Outlined { path: document.path, text: document.text, symbols })
    }
}

/// Reads files, those that are known from the shelf; what is no text is left out.
fn read(tree: &dyn SourceTree, shelf: &Shelf, files: &[TreeFile]) -> (Vec<String>, Vec<Scan>, Vec<TreeFile>) {
    let mut left = MAX_WORDS;
    let mut taken: Vec<(TreeFile, Scan)> = Vec::with_capacity(files.len());
    for batch in files.chunks(BATCH) {
        let scans: Vec<Option<Scan>> =
            batch.par_chunks(SHARE).flat_map_iter(|share| read_share(tree, shelf, share)).collect();
        for (file, scan) in batch.iter().zip(scans) {
            let Some(scan) = scan else { continue };
            let scan = if scan.words.len() > left { scan.without_words() } else { scan };
            left -= scan.words.len();
            taken.push((file.clone(), scan));
        }
    }
    taken.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let (files, scans): (Vec<TreeFile>, Vec<Scan>) = taken.into_iter().unzip();
    (files.iter().map(|file| file.path.clone()).collect(), scans, files)
}

fn read_share(tree: &dyn SourceTree, shelf: &Shelf, share: &[TreeFile]) -> Vec<Option<Scan>> {
    let language = |file: &TreeFile| Language::of(&file.path).unwrap_or(Language::Other);
    let key = |file: &TreeFile| file.blob.as_ref().map(|blob| format!("scan {:?} {blob}", language(file)));
    let mut found: Vec<Option<Option<Scan>>> =
        share.iter().map(|file| key(file).and_then(|key| shelf.get(&key))).collect();
    let missing: Vec<usize> = (0..share.len()).filter(|place| found[*place].is_none()).collect();
    let files: Vec<TreeFile> = missing.iter().map(|place| share[*place].clone()).collect();
    let mut splitter = Splitter::default();
    for ((place, file), bytes) in missing.into_iter().zip(&files).zip(tree.read(&files, MAX_BYTES)) {
        let document = bytes.and_then(|bytes| Document::of_bytes(&file.path, bytes));
        let scan = document.map(|document| Scan::of(&document.text, language(file), &mut splitter));
        if let Some(key) = key(file) {
            shelf.put(&key, &scan);
        }
        found[place] = Some(scan);
    }
    found.into_iter().map(Option::flatten).collect()
}

#[async_trait]
impl CodeIndex for Locator {
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError> {
        let this = self.clone();
        let work = move || this.locate(&query);
        tokio::task::spawn_blocking(work).await.map_err(|error| CodeIndexError { source: Box::new(error) })?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use patchwright_core::source_tree::{PastChange, SourceTreeError};

    use super::*;

    /// A commit in memory that counts how much of it is read.
    #[derive(Debug)]
    struct Commit {
        files: Vec<(&'static str, &'static str)>,
        read: AtomicUsize,
        asked_for_past: AtomicUsize,
    }

    impl Commit {
        fn new(files: &[(&'static str, &'static str)]) -> Arc<Self> {
            let (read, asked_for_past) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Self { files: files.to_vec(), read, asked_for_past })
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

        fn read(&self, files: &[TreeFile], _: u64) -> Vec<Option<Vec<u8>>> {
            self.read.fetch_add(files.len(), Ordering::Relaxed);
            files.iter().map(|file| Some(file.blob.as_ref()?.as_bytes().to_vec())).collect()
        }

        fn past(&self, _: usize) -> Vec<PastChange> {
            self.asked_for_past.fetch_add(1, Ordering::Relaxed);
            vec![PastChange { id: "c1".into(), time: 5, message: "Discounts of the cart\n\nMore.".into() }]
        }

        fn touched(&self, _: &str) -> Vec<String> {
            vec!["shop/cart.py".into()]
        }
    }

    const CART: (&str, &str) = ("shop/cart.py", "class Cart:\n    def total(self):\n        return sum(self.prices)\n");
    const MAIL: (&str, &str) = ("shop/mail.py", "def send(to):\n    print(to)\n");

    fn query(tree: &Arc<Commit>, outlined: usize) -> IndexQuery {
        IndexQuery {
            tree: Arc::clone(tree) as Arc<dyn SourceTree>,
            repository: Some("acme/shop".into()),
            title: "Cart.total ignores discounts".into(),
            body: String::new(),
            labels: Vec::new(),
            folder: None,
            outlined,
            limit: 5,
        }
    }

    #[test]
    fn a_second_look_reads_only_what_has_changed_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let locator = Locator::new(Some(folder.path().join("index")));
        let count = |tree: &Arc<Commit>| tree.read.swap(0, Ordering::Relaxed);
        let first = Commit::new(&[CART, MAIL]);
        let ranking = locator.locate(&query(&first, 0)).unwrap();
        assert_eq!((count(&first), ranking.files_analyzed), (2, 2));
        assert_eq!(locator.locate(&query(&first, 0)).unwrap(), ranking);
        assert_eq!((count(&first), first.asked_for_past.load(Ordering::Relaxed)), (0, 1));
        let next = Commit::new(&[CART, ("shop/mail.py", "def send(to, text):\n    print(to, text)\n")]);
        locator.locate(&query(&next, 0)).unwrap();
        assert_eq!((count(&next), next.asked_for_past.load(Ordering::Relaxed)), (1, 1));
        let without = Locator::new(None);
        assert_eq!(without.locate(&query(&first, 0)).unwrap(), ranking, "what was kept changes nothing");
    }

    #[test]
    fn the_first_files_are_told_with_what_they_define() {
        let tree = Commit::new(&[CART, MAIL]);
        let ranking = Locator::new(None).locate(&query(&tree, 1)).unwrap();
        let first = &ranking.files[0];
        assert_eq!((first.symbols[0].name.as_str(), first.symbols[0].lines), ("Cart.total", (2, 3)));
        assert_eq!(first.skeleton, "1: class Cart\n  2: def total(self)\n");
        let elsewhere = IndexQuery { folder: Some("docs".into()), ..query(&tree, 1) };
        assert!(Locator::new(None).locate(&elsewhere).unwrap().files.is_empty());
    }

    #[test]
    fn beyond_the_room_for_words_a_file_is_known_by_what_it_defines() {
        let scan = Scan::of(CART.1, Language::Python, &mut Splitter::default()).without_words();
        assert!(scan.words.is_empty() && scan.pieces.iter().all(|length| *length == 0));
        let index = Index::of(vec![CART.0.into(), MAIL.0.into()], vec![scan, Scan::default()]);
        assert_eq!(index.rank(&IssueText::new("`Cart.total` is wrong", ""), 1)[0].path, "shop/cart.py");
    }
}
