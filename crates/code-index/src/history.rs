//! Features from the history of a repository: earlier changes whose messages resemble the issue.

use std::collections::{HashMap, HashSet};

use patchwright_core::source_tree::{HistoryEntry, SourceTree};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::corpus::MAX_FILE_BYTES;
use crate::index_cache::IndexCache;
use crate::lexical::{document_frequencies, idf};
use crate::words::{Splitter, Word, hash_name};

/// The number of changes whose messages are read.
const MAX_CHANGES: usize = 8_000;
/// The number of newest changes whose files are read for [`History::churn`] and co-changes.
const MAX_RECENT_CHANGES: usize = 1_500;
/// The number of changes with similar messages whose files are read.
const MAX_SIMILAR_CHANGES: usize = 800;
/// The number of changes whose files are compared with those before, and the shortest line that is compared.
const MAX_READ_CHANGES: usize = 60;
const MIN_LINE_BYTES: usize = 10;
/// A change of more files than this is a mass edit and is ignored.
const MAX_CHANGED_FILES: usize = 40;
/// A change of more files than this is not a co-change of its files.
const MAX_CO_CHANGED_FILES: usize = 10;
/// The age at which a change counts 1/e.
const DECAY_DAYS: f64 = 900.0;
/// The number of changes that one task of the thread pool reads.
const BATCH_SIZE: usize = 64;
const MAX_SUBJECT_CHARS: usize = 70;

/// A change as it is cached.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    id: String,
    time: i64,
    pub(crate) subject: String,
    /// The distinct words of the message, sorted.
    words: Vec<Word>,
}

impl Change {
    fn new(entry: &HistoryEntry, splitter: &mut Splitter) -> Self {
        let mut words = Vec::new();
        splitter.for_each_word(&entry.message, |word| words.push(word));
        words.sort_unstable();
        words.dedup();
        let subject = entry.message.lines().next().unwrap_or_default().chars().take(MAX_SUBJECT_CHARS).collect();
        Self { id: entry.id.clone(), time: entry.time, subject, words }
    }

    /// Returns the first characters of the id, for users.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..10).unwrap_or(&self.id)
    }
}

/// A change with the similarity of its message to the text and to the title.
type SimilarChange = (usize, f64, f64);

/// The lines that a change added to a file.
#[derive(Debug)]
pub(crate) struct AddedLines {
    pub(crate) path: String,
    /// How much the change's message resembles the text, compared with the change that does most.
    pub(crate) similarity: f64,
    lines: HashSet<Word>,
}

impl AddedLines {
    /// Returns whether a line is one of them, whatever its indentation. Lines are compared by their hashes.
    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.contains(&hash_name(line.trim()))
    }
}

/// The changes before a tree, newest first.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    tree: &'a dyn SourceTree,
    cache: &'a IndexCache,
    pub(crate) list: Vec<Change>,
}

impl<'a> Changes<'a> {
    /// Reads the changes from the cache, or from the tree.
    pub(crate) fn read(tree: &'a dyn SourceTree, cache: &'a IndexCache) -> Self {
        let list = Self::cached(tree, cache).unwrap_or_else(|| {
            let read = |batch: &[HistoryEntry]| {
                let mut splitter = Splitter::default();
                batch.iter().map(|entry| Change::new(entry, &mut splitter)).collect::<Vec<_>>()
            };
            let list: Vec<Change> = tree.history(MAX_CHANGES).par_chunks(BATCH_SIZE).flat_map_iter(read).collect();
            if let Some(id) = tree.id() {
                cache.put("changes", &(id, &list));
            }
            list
        });
        Self { tree, cache, list }
    }

    /// Returns the cached changes if they are those of the same commit.
    fn cached(tree: &dyn SourceTree, cache: &IndexCache) -> Option<Vec<Change>> {
        let (commit, list): (String, Vec<Change>) = cache.get("changes")?;
        (tree.id()? == commit).then_some(list)
    }

    /// Returns the files of a change; `None` for a mass edit.
    fn list_changed_paths(&self, position: usize) -> Option<Vec<String>> {
        let id = &self.list[position].id;
        let key = format!("list_changed_paths {id}");
        let paths = self.cache.get::<Vec<String>>(&key).unwrap_or_else(|| {
            let mut paths = self.tree.list_changed_paths(id);
            paths.truncate(MAX_CHANGED_FILES + 1);
            self.cache.put(&key, &paths);
            paths
        });
        (paths.len() <= MAX_CHANGED_FILES).then_some(paths)
    }

    /// Returns a weight between 0 and 1 that decreases with the age of a change.
    fn recency(&self, position: usize) -> f64 {
        let newest = self.list.first().map_or(0, |change| change.time);
        let days = (newest - self.list[position].time).max(0) as f64 / 86_400.0;
        (-days / DECAY_DAYS).exp()
    }

    /// Returns the lines that the changes whose messages resemble the text most added to these files.
    pub(crate) fn list_added_lines(&self, similar: &[SimilarChange], paths: &HashSet<&str>) -> Vec<AddedLines> {
        let weigh =
            |(change, to_text, to_title): &SimilarChange| (*change, (to_text + to_title) * self.recency(*change));
        let mut similar: Vec<(usize, f64)> = similar.iter().map(weigh).collect();
        similar.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        similar.truncate(MAX_READ_CHANGES);
        let max = similar.first().map_or(0.0, |(_, similarity)| *similarity).max(f64::MIN_POSITIVE);
        let read = |(change, similarity): &(usize, f64)| -> Vec<AddedLines> {
            let changed = self.list_changed_paths(*change).unwrap_or_default();
            let id = &self.list[*change].id;
            let known = changed.into_iter().filter(|path| paths.contains(path.as_str()));
            known.filter_map(|path| self.compare(id, path, similarity / max)).collect()
        };
        similar.par_iter().flat_map_iter(read).collect()
    }

    /// Returns the lines that a change added to a file.
    fn compare(&self, id: &str, path: String, similarity: f64) -> Option<AddedLines> {
        let after = self.tree.read_at(id, &path, MAX_FILE_BYTES)?;
        let parent = self.tree.first_parent(id);
        // A file without an earlier version is new, as all of its lines.
        let before = parent.and_then(|parent| self.tree.read_at(&parent, &path, MAX_FILE_BYTES)).unwrap_or_default();
        let (before, after) = (String::from_utf8_lossy(&before), String::from_utf8_lossy(&after));
        let known: HashSet<&str> = before.lines().map(str::trim).collect();
        let added = after.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE_BYTES && !known.contains(line));
        let lines = added.map(hash_name).collect();
        Some(AddedLines { path, similarity, lines })
    }

    /// Returns the changes whose messages resemble the text most, each with the similarity to the text and to the title.
    fn find_similar(&self, all: &HashMap<Word, f32>, title: &HashMap<Word, f32>) -> Vec<SimilarChange> {
        let shared = |change: &Change| -> Vec<Word> {
            change.words.iter().copied().filter(|word| all.contains_key(word)).collect()
        };
        let shared: Vec<Vec<Word>> = self.list.par_iter().map(shared).collect();
        let frequencies = document_frequencies(shared.iter().flatten());
        let total = self.list.len() as f64;
        let weight = |word: &Word| idf(total, frequencies[word]);
        let mut similar = Vec::new();
        for (position, shared) in shared.iter().enumerate().filter(|(_, shared)| !shared.is_empty()) {
            let length = 2.0 + (self.list[position].words.len() as f64).sqrt();
            let to_text: f64 = shared.iter().map(weight).sum();
            let to_title: f64 = shared.iter().filter(|word| title.contains_key(word)).map(weight).sum();
            similar.push((position, to_text / length, to_title / length));
        }
        similar.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        similar.truncate(MAX_SIMILAR_CHANGES);
        similar
    }
}

/// The features of each file that come from the history.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The similarity of the change that resembles the text most.
    pub(crate) best: Vec<f64>,
    /// The summed similarities to the title.
    pub(crate) title: Vec<f64>,
    /// The frequency of recent changes.
    pub(crate) churn: Vec<f64>,
    /// The changes whose messages resemble the text most, best first.
    pub(crate) similar: Vec<SimilarChange>,
    /// The change behind [`Self::best`], by file.
    pub(crate) commit: HashMap<usize, usize>,
    /// The files of each small recent change, with its recency.
    co_changes: Vec<(f64, Vec<usize>)>,
}

impl History {
    /// Computes the features. `position` returns the position of a path in the pool.
    pub(crate) fn new(
        changes: &Changes<'_>,
        all: &HashMap<Word, f32>,
        title: &HashMap<Word, f32>,
        files: usize,
        position: impl Fn(&str) -> Option<usize> + Sync,
    ) -> Self {
        let mut history =
            Self { best: vec![0.0; files], title: vec![0.0; files], churn: vec![0.0; files], ..Self::default() };
        let similar = changes.find_similar(all, title);
        let recent = 0..changes.list.len().min(MAX_RECENT_CHANGES);
        let mut relevant: Vec<usize> = recent.clone().chain(similar.iter().map(|(change, ..)| *change)).collect();
        relevant.sort_unstable();
        relevant.dedup();
        let positions = |change: &usize| -> Option<Vec<usize>> {
            Some(changes.list_changed_paths(*change)?.iter().filter_map(|path| position(path)).collect())
        };
        let files: Vec<Option<Vec<usize>>> = relevant.par_iter().with_min_len(BATCH_SIZE).map(positions).collect();
        let files_of: HashMap<usize, Vec<usize>> =
            relevant.into_iter().zip(files).filter_map(|(change, files)| Some((change, files?))).collect();
        for (change, files) in recent.filter_map(|change| Some((change, files_of.get(&change)?))) {
            let recency = changes.recency(change);
            for file in files {
                history.churn[*file] += recency / (files.len() as f64).sqrt();
            }
            if files.len() <= MAX_CO_CHANGED_FILES {
                history.co_changes.push((recency, files.clone()));
            }
        }
        history.churn.iter_mut().for_each(|churn| *churn = churn.ln_1p());
        for &(change, to_text, to_title) in &similar {
            let Some(files) = files_of.get(&change) else { continue };
            let (recency, count) = (changes.recency(change), files.len() as f64);
            for &file in files {
                let value = to_text * recency / count.powf(0.3);
                if value > history.best[file] {
                    history.best[file] = value;
                    history.commit.insert(file, change);
                }
                history.title[file] += to_title.powi(2) * recency / count.sqrt();
            }
        }
        history.similar = similar;
        history
    }

    /// Returns for each file how often it was changed together with the likely files.
    pub(crate) fn score_co_changes(&self, likelihoods: &[f64]) -> Vec<f64> {
        let mut totals = vec![0.0; likelihoods.len()];
        for (recency, files) in &self.co_changes {
            for file in files {
                totals[*file] += recency;
            }
        }
        // Divided by the number of changes, because a file that changes with every other is related to none. The constant keeps
        // files with few changes from dominating.
        let share = |file: usize| likelihoods[file] / (totals[file] + 3.0);
        let mut scores = vec![0.0; likelihoods.len()];
        for (recency, files) in &self.co_changes {
            let sum: f64 = files.iter().map(|file| share(*file)).sum();
            for file in files {
                scores[*file] += recency * (sum - share(*file)).max(0.0);
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use patchwright_core::source_tree::{SourceTreeError, TreeFile};

    use super::*;
    use crate::words::count_words;

    #[derive(Debug)]
    struct FixedHistory(Vec<(HistoryEntry, Vec<String>)>);

    impl SourceTree for FixedHistory {
        fn id(&self) -> Option<String> {
            Some("head".to_owned())
        }

        fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
            Ok(Vec::new())
        }

        fn read(&self, files: &[TreeFile], _: u64) -> Vec<Option<Vec<u8>>> {
            vec![None; files.len()]
        }

        fn history(&self, limit: usize) -> Vec<HistoryEntry> {
            self.0.iter().take(limit).map(|(entry, _)| entry.clone()).collect()
        }

        fn list_changed_paths(&self, commit: &str) -> Vec<String> {
            self.0.iter().find(|(entry, _)| entry.id == commit).map_or_else(Vec::new, |(_, files)| files.clone())
        }

        fn read_at(&self, commit: &str, path: &str, _: u64) -> Option<Vec<u8>> {
            Some(format!("def always(): pass\ndef since(): return {path:?}, {commit:?}\n").into_bytes())
        }

        fn first_parent(&self, commit: &str) -> Option<String> {
            let at = self.0.iter().position(|(entry, _)| entry.id == commit)?;
            Some(self.0.get(at + 1)?.0.id.clone())
        }
    }

    fn change(time: i64, message: &str, files: &[&str]) -> (HistoryEntry, Vec<String>) {
        let entry = HistoryEntry { id: format!("id of {message}"), time, message: message.to_owned() };
        (entry, files.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn earlier_changes_with_similar_messages_count_for_their_files() {
        let many: Vec<String> = (0..50).map(|number| format!("f{number}")).collect();
        let tree = FixedHistory(vec![
            change(1_000_000, "Fixed the colon in header parsing", &["header.py", "body.py"]),
            change(900_000, "Bumped the version", &["setup.py"]),
            change(800_000, "Header parsing again", &many.iter().map(String::as_str).collect::<Vec<_>>()),
        ]);
        let cache = IndexCache::default();
        let changes = Changes::read(&tree, &cache);
        let all = count_words("header parsing drops what is behind a colon");
        let position = |path: &str| ["header.py", "setup.py", "f1", "body.py"].iter().position(|name| *name == path);
        let history = History::new(&changes, &all, &count_words("header parsing"), 4, position);
        assert!(history.best[0] > 0.0 && history.title[0] > 0.0 && history.best[1] == 0.0, "{history:?}");
        assert!(history.best[2] == 0.0, "a mass edit is ignored");
        assert_eq!(history.commit[&0], 0);
        assert!(history.churn[1] > history.churn[2]);
        let scores = history.score_co_changes(&[1.0, 0.0, 0.0, 0.0]);
        assert!(scores[3] > 0.0 && scores[1] == 0.0, "{scores:?}");
    }
}
