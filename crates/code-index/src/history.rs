//! What was changed before for reasons that sound alike.

use std::collections::HashMap;

use patchwright_core::source_tree::{PastChange, SourceTree};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::lexical::{frequencies, rarity};
use crate::shelf::Shelf;
use crate::words::{Splitter, Word};

/// How far back changes are looked at: messages of all, and of the newest which files they touched.
const LOOKED_AT: usize = 8_000;
const NEWEST: usize = 1_500;
/// How many of the messages that resemble the issue most are followed to their files.
const FOLLOWED: usize = 800;
/// A change of more files than this is a sweep.
const SWEEP: usize = 40;
/// A change of more files than this says nothing of what belongs together.
const TOGETHER: usize = 10;
/// After so many days a change counts about a third.
const FADE_DAYS: f64 = 900.0;
/// How many changes one worker reads at a time.
const SHARE: usize = 64;
/// The longest subject that is kept, in characters.
const SUBJECT: usize = 70;

/// A change, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    id: String,
    time: i64,
    pub(crate) subject: String,
    /// The words of its message, each once, in order.
    words: Vec<Word>,
}

impl Change {
    fn of(past: &PastChange, splitter: &mut Splitter) -> Self {
        let mut words = Vec::new();
        splitter.each(&past.message, |word| words.push(word));
        words.sort_unstable();
        words.dedup();
        let subject = past.message.lines().next().unwrap_or_default().chars().take(SUBJECT).collect();
        Self { id: past.id.clone(), time: past.time, subject, words }
    }

    /// Its id, shortened for people.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..10).unwrap_or(&self.id)
    }
}

/// The changes that led to a tree, newest first.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    tree: &'a dyn SourceTree,
    shelf: &'a Shelf,
    pub(crate) list: Vec<Change>,
}

impl<'a> Changes<'a> {
    /// Reads them; those that are known already come from the shelf.
    pub(crate) fn read(tree: &'a dyn SourceTree, shelf: &'a Shelf) -> Self {
        let list = Self::known(tree, shelf).unwrap_or_else(|| {
            let read = |share: &[PastChange]| {
                let mut splitter = Splitter::default();
                share.iter().map(|past| Change::of(past, &mut splitter)).collect::<Vec<_>>()
            };
            let list: Vec<Change> = tree.past(LOOKED_AT).par_chunks(SHARE).flat_map_iter(read).collect();
            if let Some(id) = tree.id() {
                shelf.put("changes", &(id, &list));
            }
            list
        });
        Self { tree, shelf, list }
    }

    /// The list as the last look at the same commit left it.
    fn known(tree: &dyn SourceTree, shelf: &Shelf) -> Option<Vec<Change>> {
        let (of, list): (String, Vec<Change>) = shelf.get("changes")?;
        (tree.id()? == of).then_some(list)
    }

    /// The files that a change touched; `None` for a sweep.
    fn touched(&self, place: usize) -> Option<Vec<String>> {
        let id = &self.list[place].id;
        let key = format!("touched {id}");
        let touched = self.shelf.get::<Vec<String>>(&key).unwrap_or_else(|| {
            let mut touched = self.tree.touched(id);
            touched.truncate(SWEEP + 1);
            self.shelf.put(&key, &touched);
            touched
        });
        (touched.len() <= SWEEP).then_some(touched)
    }

    fn freshness(&self, place: usize) -> f64 {
        let newest = self.list.first().map_or(0, |change| change.time);
        let days = (newest - self.list[place].time).max(0) as f64 / 86_400.0;
        (-days / FADE_DAYS).exp()
    }

    /// How much each message resembles the text and its title, most alike first.
    fn alike(&self, all: &HashMap<Word, f32>, title: &HashMap<Word, f32>) -> Vec<(usize, f64, f64)> {
        let shared = |change: &Change| -> Vec<Word> {
            change.words.iter().copied().filter(|word| all.contains_key(word)).collect()
        };
        let shared: Vec<Vec<Word>> = self.list.par_iter().map(shared).collect();
        let known = frequencies(shared.iter().flatten());
        let total = self.list.len() as f64;
        let rare = |word: &Word| rarity(total, known[word]);
        let mut alike = Vec::new();
        for (place, shared) in shared.iter().enumerate().filter(|(_, shared)| !shared.is_empty()) {
            let length = 2.0 + (self.list[place].words.len() as f64).sqrt();
            let sum: f64 = shared.iter().map(rare).sum();
            let of_title: f64 = shared.iter().filter(|word| title.contains_key(word)).map(rare).sum();
            alike.push((place, sum / length, of_title / length));
        }
        alike.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        alike.truncate(FOLLOWED);
        alike
    }
}

/// What the past says of each file.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The most that one change resembles the issue.
    pub(crate) best: Vec<f64>,
    /// All that resemble its title, together.
    pub(crate) title: Vec<f64>,
    /// How often it was changed of late.
    pub(crate) churn: Vec<f64>,
    /// The change behind [`Self::best`].
    pub(crate) commit: HashMap<usize, usize>,
    /// Which files were changed at once, with how fresh that is.
    at_once: Vec<(f64, Vec<usize>)>,
}

impl Past {
    /// Compares. `place` says which file of the pool has a path.
    pub(crate) fn new(
        changes: &Changes<'_>,
        all: &HashMap<Word, f32>,
        title: &HashMap<Word, f32>,
        files: usize,
        place: impl Fn(&str) -> Option<usize> + Sync,
    ) -> Self {
        let mut past =
            Self { best: vec![0.0; files], title: vec![0.0; files], churn: vec![0.0; files], ..Self::default() };
        let alike = changes.alike(all, title);
        let newest = 0..changes.list.len().min(NEWEST);
        let mut followed: Vec<usize> = newest.clone().chain(alike.iter().map(|(change, ..)| *change)).collect();
        followed.sort_unstable();
        followed.dedup();
        let places = |change: &usize| -> Option<Vec<usize>> {
            Some(changes.touched(*change)?.iter().filter_map(|path| place(path)).collect())
        };
        let touched: Vec<Option<Vec<usize>>> = followed.par_iter().with_min_len(SHARE).map(places).collect();
        let touched: HashMap<usize, Vec<usize>> =
            followed.into_iter().zip(touched).filter_map(|(change, files)| Some((change, files?))).collect();
        for (change, files) in newest.filter_map(|change| Some((change, touched.get(&change)?))) {
            let fresh = changes.freshness(change);
            for file in files {
                past.churn[*file] += fresh / (files.len() as f64).sqrt();
            }
            if files.len() <= TOGETHER {
                past.at_once.push((fresh, files.clone()));
            }
        }
        past.churn.iter_mut().for_each(|times| *times = times.ln_1p());
        for (change, sum, of_title) in alike {
            let Some(files) = touched.get(&change) else { continue };
            let (fresh, share) = (changes.freshness(change), files.len() as f64);
            for &file in files {
                let value = sum * fresh / share.powf(0.3);
                if value > past.best[file] {
                    past.best[file] = value;
                    past.commit.insert(file, change);
                }
                past.title[file] += of_title.powi(2) * fresh / share.sqrt();
            }
        }
        past
    }

    /// How often each file was changed at once with those that are likely.
    pub(crate) fn together(&self, likely: &[f64]) -> Vec<f64> {
        let mut times = vec![0.0; likely.len()];
        for (fresh, files) in &self.at_once {
            for file in files {
                times[*file] += fresh;
            }
        }
        // What changes with everything belongs to nothing: a few changes are taken for granted.
        let share = |file: usize| likely[file] / (times[file] + 3.0);
        let mut together = vec![0.0; likely.len()];
        for (fresh, files) in &self.at_once {
            let sum: f64 = files.iter().map(|file| share(*file)).sum();
            for file in files {
                together[*file] += fresh * (sum - share(*file)).max(0.0);
            }
        }
        together
    }
}

#[cfg(test)]
mod tests {
    use patchwright_core::source_tree::{SourceTreeError, TreeFile};

    use super::*;
    use crate::words::count;

    #[derive(Debug)]
    struct Fixed(Vec<(PastChange, Vec<String>)>);

    impl SourceTree for Fixed {
        fn id(&self) -> Option<String> {
            Some("head".to_owned())
        }

        fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
            Ok(Vec::new())
        }

        fn read(&self, files: &[TreeFile], _: u64) -> Vec<Option<Vec<u8>>> {
            vec![None; files.len()]
        }

        fn past(&self, most: usize) -> Vec<PastChange> {
            self.0.iter().take(most).map(|(change, _)| change.clone()).collect()
        }

        fn touched(&self, change: &str) -> Vec<String> {
            self.0.iter().find(|(own, _)| own.id == change).map_or_else(Vec::new, |(_, files)| files.clone())
        }
    }

    fn change(time: i64, message: &str, files: &[&str]) -> (PastChange, Vec<String>) {
        let change = PastChange { id: format!("id of {message}"), time, message: message.to_owned() };
        (change, files.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn a_file_that_was_changed_for_a_reason_that_sounds_alike_counts() {
        let sweep: Vec<String> = (0..50).map(|number| format!("f{number}")).collect();
        let tree = Fixed(vec![
            change(1_000_000, "Fixed the colon in header parsing", &["header.py", "body.py"]),
            change(900_000, "Bumped the version", &["setup.py"]),
            change(800_000, "Header parsing again", &sweep.iter().map(String::as_str).collect::<Vec<_>>()),
        ]);
        let shelf = Shelf::default();
        let changes = Changes::read(&tree, &shelf);
        let all = count("header parsing drops what is behind a colon");
        let place = |path: &str| ["header.py", "setup.py", "f1", "body.py"].iter().position(|name| *name == path);
        let past = Past::new(&changes, &all, &count("header parsing"), 4, place);
        assert!(past.best[0] > 0.0 && past.title[0] > 0.0 && past.best[1] == 0.0, "{past:?}");
        assert!(past.best[2] == 0.0, "a sweep over everything says nothing");
        assert_eq!(past.commit[&0], 0);
        assert!(past.churn[1] > past.churn[2]);
        let together = past.together(&[1.0, 0.0, 0.0, 0.0]);
        assert!(together[3] > 0.0 && together[1] == 0.0, "{together:?}");
    }
}
