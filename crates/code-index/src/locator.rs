//! Ranking the files of a tree for a text, with an index on disk.

mod read;
mod search;

use std::path::PathBuf;

use async_trait::async_trait;
use patchwright_core::code_index::{CodeIndex, CodeIndexError, Definition, IndexQuery, Ranking};

use self::search::Search;
use crate::features::Feature;
use crate::functions::FunctionRow;
use crate::history::Changes;
use crate::index_cache::IndexCache;
use crate::outline::{Symbol, outline};

/// The code index port without a model and a server. With a cache folder, the second ranking of a repository reads only the
/// files that have changed since the first.
#[derive(Debug, Clone, Default)]
pub struct Locator {
    cache: Option<PathBuf>,
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
        let changes = Changes::read(query.tree.as_ref(), &cache);
        let ranking = search.rank(&changes, query);
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
        Ok(search.file_rows(&Changes::read(query.tree.as_ref(), &cache)))
    }

    /// Returns path, name and features of the functions in the most likely files, for learning the weights.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn function_rows(&self, query: &IndexQuery) -> Result<Vec<FunctionRow>, CodeIndexError> {
        let cache = self.open_cache(query);
        let search = Search::new(query, &cache)?;
        Ok(search.function_rows(&Changes::read(query.tree.as_ref(), &cache)))
    }

    fn open_cache(&self, query: &IndexQuery) -> IndexCache {
        match (&self.cache, &query.repository) {
            (Some(folder), Some(repository)) => IndexCache::open(folder, repository),
            _ => IndexCache::default(),
        }
    }
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

    use patchwright_core::source_tree::{HistoryEntry, SourceTree, SourceTreeError, TreeFile};

    use super::*;
    use crate::index::Index;
    use crate::language::Language;
    use crate::query::IssueText;
    use crate::scan::Scan;
    use crate::structure::Structure;
    use crate::words::Splitter;

    /// A commit in memory that counts the reads of files and history.
    #[derive(Debug)]
    struct Commit {
        files: Vec<(&'static str, &'static str)>,
        read: AtomicUsize,
        history_calls: AtomicUsize,
        /// Files of other commits: commit, path, text.
        earlier: Vec<(&'static str, &'static str, &'static str)>,
    }

    impl Commit {
        fn new(files: &[(&'static str, &'static str)]) -> Arc<Self> {
            let (read, history_calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Self { files: files.to_vec(), read, history_calls, earlier: Vec::new() })
        }

        fn with_earlier(
            files: &[(&'static str, &'static str)],
            earlier: &[(&'static str, &'static str, &'static str)],
        ) -> Arc<Self> {
            let commit = Arc::into_inner(Self::new(files)).unwrap();
            Arc::new(Self { earlier: earlier.to_vec(), ..commit })
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

        fn read_at(&self, commit: &str, path: &str, _: u64) -> Option<Vec<u8>> {
            let (.., text) = self.earlier.iter().find(|(own, name, _)| (*own, *name) == (commit, path))?;
            Some(text.as_bytes().to_vec())
        }

        fn first_parent(&self, commit: &str) -> Option<String> {
            (commit == "c1").then(|| "c0".to_owned())
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

    /// Returns the functions of a ranking, best first.
    #[cfg(feature = "python")]
    fn functions(tree: &Arc<Commit>, title: &str, body: &str) -> Vec<String> {
        let tree = Arc::clone(tree) as Arc<dyn SourceTree>;
        let query = IndexQuery::new(tree, title, body).with_outlines(5);
        let ranking = Locator::new(None).locate(&query).unwrap();
        ranking.functions.into_iter().map(|function| function.symbol.name).collect()
    }

    #[cfg(feature = "python")]
    const PRICES: (&str, &str) = (
        "shop/prices.py",
        "import shop\n\n\ndef net(price):\n    return price.net\n\n\ndef gross(price):\n    return price.gross\n\n\ndef round_up(price):\n    return price.up\n",
    );

    #[test]
    #[cfg(feature = "python")]
    fn a_link_to_a_line_of_an_earlier_commit_leads_to_the_function_that_was_there() {
        const COMMIT: &str = "3be7110d2650bbe78eda673001a7adeba62575b0";
        let before = "def gross(price):\n    return price.gross\n\n\ndef net(price):\n    return price.net\n";
        let tree = Commit::with_earlier(&[PRICES, CART], &[(COMMIT, "shop/prices.py", before)]);
        let link =
            |commit: &str, line: u32| format!("See https://git.example/acme/shop/blob/{commit}/shop/prices.py#L{line}");
        assert_eq!(functions(&tree, "Prices are wrong", &link(COMMIT, 2))[0], "gross");
        assert_eq!(functions(&tree, "Prices are wrong", &link(COMMIT, 5))[0], "net");
        assert_eq!(functions(&tree, "Prices are wrong", &link("main", 9))[0], "gross", "as the file is now");
        assert_eq!(functions(&tree, "Prices are wrong", "shop/prices.py:13: warning: up")[0], "round_up");
    }

    #[test]
    #[cfg(feature = "python")]
    fn a_link_to_another_repository_says_nothing_about_this_one() {
        let tree = Commit::new(&[PRICES, CART]);
        let link = "See https://git.example/other/repo/blob/main/lib/prices.py#L13 for how others do it.";
        assert_eq!(
            functions(&tree, "Prices are wrong", link),
            functions(&tree, "Prices are wrong", "See for how others do it.")
        );
    }

    #[test]
    #[cfg(feature = "python")]
    fn the_functions_of_a_cached_ranking_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let locator = Locator::new(Some(folder.path().join("index")));
        let tree = Commit::new(&[PRICES, CART, MAIL]);
        let first = locator.locate(&query(&tree, 3)).unwrap();
        assert!(!first.functions.is_empty());
        assert_eq!(locator.locate(&query(&tree, 3)).unwrap(), first);
        assert_eq!(Locator::new(None).locate(&query(&tree, 3)).unwrap(), first);
    }

    #[test]
    #[cfg(feature = "python")]
    fn a_function_that_an_earlier_change_with_a_similar_message_touched_comes_first() {
        let before =
            "import shop\n\n\ndef net(price):\n    return price.net\n\n\ndef gross(price):\n    return price.gross\n";
        let (after, path) = (CHANGED.1, "shop/cart.py");
        let tree = Commit::with_earlier(&[CHANGED, MAIL], &[("c1", path, after), ("c0", path, before)]);
        assert_eq!(functions(&tree, "Discounts of the cart are lost", "")[0], "late");
        let without = Commit::new(&[CHANGED, MAIL]);
        assert_eq!(functions(&without, "Discounts of the cart are lost", "")[0], "net");
    }

    #[cfg(feature = "python")]
    const CHANGED: (&str, &str) = (
        "shop/cart.py",
        "import shop\n\n\ndef net(price):\n    return price.net\n\n\ndef gross(price):\n    return price.gross\n\n\ndef late(price):\n    return price.late\n",
    );

    #[test]
    #[cfg(feature = "python")]
    fn a_helper_in_another_file_that_the_named_function_calls_is_found_and_the_reason_says_so() {
        let simplify = "from .tools import expand_all\n\n\ndef simplify(term):\n    return expand_all(term)\n";
        let tools = "def expand_all(term):\n    return term.parts\n";
        let other = "def other_things(term):\n    return term.parts\n";
        let tree = Commit::new(&[("math/simplify.py", simplify), ("math/aaa.py", other), ("math/tools.py", tools)]);
        let tree = Arc::clone(&tree) as Arc<dyn SourceTree>;
        let query = IndexQuery::new(tree, "`simplify` loses a term", "").with_outlines(3);
        let ranking = Locator::new(None).locate(&query).unwrap();
        let paths: Vec<&str> = ranking.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths[..2], ["math/simplify.py", "math/tools.py"]);
        let reasons = &ranking.files[1].reasons;
        assert!(reasons.contains(&"`simplify` calls `expand_all`, defined here".to_owned()), "{reasons:?}");
        assert_eq!(ranking.functions[1].symbol.name, "expand_all");
    }

    #[test]
    fn a_file_beyond_the_limit_of_words_is_indexed_by_its_definitions() {
        let scan = Scan::new(CART.1, Language::Python, &mut Splitter::default()).without_words();
        assert!(scan.words.is_empty() && scan.chunks.iter().all(|length| *length == 0));
        let index = Index::from_scans(
            vec![CART.0.into(), MAIL.0.into()],
            vec![scan, Scan::default()],
            vec![Structure::default(), Structure::default()],
        );
        assert_eq!(index.rank(&IssueText::new("`Cart.total` is wrong", ""), 1)[0].path, "shop/cart.py");
    }
}
