//! What was changed before for reasons that sound alike.

use std::collections::{BTreeSet, HashMap};

use crate::words::{Word, count};

/// A change of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its short id, for people.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Its message.
    pub message: String,
}

/// The changes that led to a tree, newest first, none later than the tree itself. Which files a change touched is asked only
/// of those whose messages resemble the issue.
pub trait History: Send + Sync {
    /// The changes.
    fn commits(&self) -> &[Commit];

    /// The files that one of them touched, by its place in [`Self::commits`]; nothing where that cannot be told.
    fn files(&self, place: usize) -> Vec<String>;
}

/// How many of the messages that resemble the issue most are followed to their files.
const FOLLOWED: usize = 160;
/// A change of more files than this is a sweep.
const SWEEP: usize = 40;
/// After so many days a change counts about a third.
const FADE_DAYS: f64 = 900.0;

/// What the past says of each file.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The most that one change resembles the issue.
    pub(crate) best: Vec<f64>,
    /// All that resemble its title, together.
    pub(crate) title: Vec<f64>,
    /// The change behind [`Self::best`].
    pub(crate) commit: HashMap<usize, usize>,
}

impl Past {
    /// Compares. `place` says which file of the pool has a path.
    pub(crate) fn new(
        history: &dyn History,
        all: &HashMap<Word, f32>,
        title: &HashMap<Word, f32>,
        files: usize,
        place: impl Fn(&str) -> Option<usize>,
    ) -> Self {
        let mut past = Self { best: vec![0.0; files], title: vec![0.0; files], commit: HashMap::new() };
        let commits = history.commits();
        let newest = commits.iter().map(|commit| commit.time).max().unwrap_or_default();
        let messages: Vec<BTreeSet<Word>> =
            commits.iter().map(|commit| count(&commit.message).into_keys().collect()).collect();
        let mut known: HashMap<Word, f64> = HashMap::new();
        for word in messages.iter().flatten().filter(|word| all.contains_key(word)) {
            *known.entry(*word).or_default() += 1.0;
        }
        let total = messages.len() as f64;
        let rarity = |word: &Word| known.get(word).map_or(0.0, |df| (1.0 + (total - df + 0.5) / (df + 0.5)).ln());
        let mut alike: Vec<(usize, f64, f64)> = Vec::new();
        for (place, words) in messages.iter().enumerate() {
            let length = 2.0 + (words.len() as f64).sqrt();
            let shared = words.iter().filter(|word| all.contains_key(word));
            let sum: f64 = shared.clone().map(rarity).sum();
            let of_title: f64 = shared.filter(|word| title.contains_key(word)).map(rarity).sum();
            if sum > 0.0 {
                alike.push((place, sum / length, of_title / length));
            }
        }
        alike.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (commit, sum, of_title) in alike.into_iter().take(FOLLOWED) {
            let touched = history.files(commit);
            if touched.len() > SWEEP {
                continue;
            }
            let touched: Vec<usize> = touched.iter().filter_map(|path| place(path)).collect();
            let days = (newest - commits[commit].time).max(0) as f64 / 86_400.0;
            let fresh = (-days / FADE_DAYS).exp();
            let share = touched.len() as f64;
            for file in touched {
                let value = sum * fresh / share.powf(0.3);
                if value > past.best[file] {
                    past.best[file] = value;
                    past.commit.insert(file, commit);
                }
                past.title[file] += of_title.powi(2) * fresh / share.sqrt();
            }
        }
        past
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<Commit>, Vec<Vec<String>>);

    impl History for Fixed {
        fn commits(&self) -> &[Commit] {
            &self.0
        }

        fn files(&self, place: usize) -> Vec<String> {
            self.1[place].clone()
        }
    }

    #[test]
    fn a_file_that_was_changed_for_a_reason_that_sounds_alike_counts() {
        let commit = |time, message: &str| Commit { id: "a1".into(), time, message: message.into() };
        let commits = vec![
            commit(1_000_000, "Fixed the colon in header parsing"),
            commit(900_000, "Bumped the version"),
            commit(800_000, "Header parsing again"),
        ];
        let files = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let sweep = (0..50).map(|n| format!("f{n}")).collect();
        let history = Fixed(commits, vec![files(&["header.py"]), files(&["setup.py"]), sweep]);
        let all = count("header parsing drops what is behind a colon");
        let place = |path: &str| ["header.py", "setup.py", "f1"].iter().position(|name| *name == path);
        let past = Past::new(&history, &all, &count("header parsing"), 3, place);
        assert!(past.best[0] > 0.0 && past.title[0] > 0.0 && past.best[1] == 0.0, "{past:?}");
        assert!(past.best[2] == 0.0, "a sweep over everything says nothing");
        assert_eq!(past.commit[&0], 0);
    }
}
