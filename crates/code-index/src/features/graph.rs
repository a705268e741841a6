//! What files say of each other: by imports, as tests and what they test, as neighbours in a folder.

use std::collections::HashMap;

use super::{Features, Sign};
use crate::index::Index;
use crate::lexical::bm25;
use crate::query::Query;

/// How many files are seeds of the walk over imports, and how many steps it takes.
const SEEDS: usize = 25;
const STEPS: usize = 6;
/// What a test that the text names counts more than one that sounds alike.
const NAMED_TEST: f64 = 2.0;

impl Features {
    /// A walk over imports that begins anew, half of the time, at the files that most signs point to.
    pub(super) fn of_neighbours(&mut self, index: &Index, title: &[f64]) {
        let scaled = |column: &[f64], weight: f64| {
            let most = column.iter().copied().fold(0.0, f64::max);
            column.iter().map(|value| if most > 0.0 { value / most * weight } else { 0.0 }).collect::<Vec<f64>>()
        };
        let parts = [
            (Sign::Piece, 1.0),
            (Sign::Definition, 1.0),
            (Sign::Quoted, 1.0),
            (Sign::Frame, 1.0),
            (Sign::Module, 0.5),
            (Sign::Symbol, 0.7),
            (Sign::ExactName, 0.5),
        ];
        let mut seed = scaled(title, 0.5);
        for (sign, weight) in parts {
            for (sum, value) in seed.iter_mut().zip(scaled(&self.columns[sign as usize], weight)) {
                *sum += value;
            }
        }
        let mut order: Vec<usize> = (0..seed.len()).collect();
        order.sort_by(|a, b| seed[*b].total_cmp(&seed[*a]).then(a.cmp(b)));
        for place in order.into_iter().skip(SEEDS) {
            seed[place] = 0.0;
        }
        let sum: f64 = seed.iter().sum();
        if sum <= 0.0 {
            return;
        }
        for value in &mut seed {
            *value /= sum;
        }
        let near: Vec<Vec<usize>> = self
            .pool
            .iter()
            .map(|file| index.neighbours[*file].iter().filter_map(|other| self.place(*other)).collect())
            .collect();
        let mut now = seed.clone();
        for _ in 0..STEPS {
            let mut next = vec![0.0; now.len()];
            for (place, others) in near.iter().enumerate() {
                let share = now[place] / others.len().max(1) as f64;
                for other in others {
                    next[*other] += share;
                }
            }
            now = next.iter().zip(&seed).map(|(walked, seed)| 0.5 * walked + 0.5 * seed).collect();
        }
        // The root: a walk piles up on few files, and the difference between none and little tells more than between much and more.
        self.set(Sign::Neighbours, now.into_iter().map(f64::sqrt).collect());
    }

    /// Tests speak of behaviour in the words of those who report it; what they import, or are called after, is what they test.
    pub(super) fn of_tests(&mut self, index: &Index, query: &Query) {
        if query.about_tests {
            return;
        }
        let is_test = |file: &usize| index.files[*file].is_test && index.files[*file].is_code;
        let tests: Vec<usize> = (0..index.files.len()).filter(is_test).collect();
        if tests.is_empty() {
            return;
        }
        let mut by_stem: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, file) in self.pool.iter().enumerate() {
            by_stem.entry(index.files[*file].stem.as_str()).or_default().push(place);
        }
        let mut scores = bm25(index, &tests, &query.all).best;
        let most = scores.iter().copied().fold(0.0, f64::max);
        let named = query.names.keys().filter(|name| name.to_lowercase().contains("test"));
        for (file, _) in named.flat_map(|name| index.defining(name)) {
            if let Ok(place) = tests.binary_search(&(*file as usize)) {
                scores[place] = (most * NAMED_TEST).max(1.0);
            }
        }
        for (test, score) in tests.into_iter().zip(scores).filter(|(_, score)| *score > 0.0) {
            let near: Vec<usize> = index.neighbours[test].iter().filter_map(|other| self.place(*other)).collect();
            let stem = index.files[test].stem.as_str();
            let stem = stem.trim_start_matches("test_").trim_end_matches("_test").trim_end_matches("test");
            let alike = by_stem.get(stem).map_or(&[][..], Vec::as_slice);
            for (places, all) in [(near.as_slice(), near.len()), (alike, alike.len())] {
                for place in places {
                    self.raise(Sign::Tests, *place, score / (all as f64).sqrt());
                }
            }
        }
    }

    /// How likely the other files of each file's folder are, together.
    pub(super) fn beside(&self, index: &Index, likely: &[f64]) -> Vec<f64> {
        let folder = |file: &usize| index.paths[*file].rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut folders: HashMap<&str, f64> = HashMap::new();
        for (file, likely) in self.pool.iter().zip(likely) {
            *folders.entry(folder(file)).or_default() += likely;
        }
        self.pool.iter().zip(likely).map(|(file, own)| (folders[folder(file)] - own).max(0.0)).collect()
    }
}
