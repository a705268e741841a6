//! Features from relations between files: imports, tests and what they test, folders.

use std::collections::HashMap;

use super::{Feature, FeatureTable};
use crate::index::Index;
use crate::lexical::bm25;
use crate::query::Query;

/// The number of files from which the walk over imports starts, and the number of its steps.
const MAX_SEEDS: usize = 25;
const STEPS: usize = 6;
/// The score of a test that the text names, relative to the best match.
const NAMED_TEST_FACTOR: f64 = 2.0;

impl FeatureTable {
    /// Adds a random walk over imports that restarts, with probability one half, at the files with the strongest features.
    pub(super) fn add_neighbours(&mut self, index: &Index, title: &[f64]) {
        let scaled = |column: &[f64], weight: f64| {
            let max = column.iter().copied().fold(0.0, f64::max);
            column.iter().map(|value| if max > 0.0 { value / max * weight } else { 0.0 }).collect::<Vec<f64>>()
        };
        let parts = [
            (Feature::Chunk, 1.0),
            (Feature::Definition, 1.0),
            (Feature::Quoted, 1.0),
            (Feature::Frame, 1.0),
            (Feature::Module, 0.5),
            (Feature::Symbol, 0.7),
            (Feature::ExactName, 0.5),
        ];
        let mut seed = scaled(title, 0.5);
        for (feature, weight) in parts {
            for (sum, value) in seed.iter_mut().zip(scaled(&self.columns[feature as usize], weight)) {
                *sum += value;
            }
        }
        let mut order: Vec<usize> = (0..seed.len()).collect();
        order.sort_by(|a, b| seed[*b].total_cmp(&seed[*a]).then(a.cmp(b)));
        for position in order.into_iter().skip(MAX_SEEDS) {
            seed[position] = 0.0;
        }
        let sum: f64 = seed.iter().sum();
        if sum <= 0.0 {
            return;
        }
        for value in &mut seed {
            *value /= sum;
        }
        let neighbours: Vec<Vec<usize>> = self
            .pool
            .iter()
            .map(|file| index.neighbours[*file].iter().filter_map(|other| self.position(*other)).collect())
            .collect();
        let mut current = seed.clone();
        for _ in 0..STEPS {
            let mut next = vec![0.0; current.len()];
            for (position, others) in neighbours.iter().enumerate() {
                let share = current[position] / others.len().max(1) as f64;
                for other in others {
                    next[*other] += share;
                }
            }
            current = next.iter().zip(&seed).map(|(walked, seed)| 0.5 * walked + 0.5 * seed).collect();
        }
        // The square root, because the walk concentrates on few files, and small values matter more than the differences
        // between large ones.
        self.set(Feature::Neighbours, current.into_iter().map(f64::sqrt).collect());
    }

    /// Adds what the matching tests import or are named after: tests describe behaviour in the words of those who report it.
    pub(super) fn add_tests(&mut self, index: &Index, query: &Query) {
        if query.about_tests {
            return;
        }
        let is_test = |file: &usize| index.files[*file].is_test && index.files[*file].is_code;
        let tests: Vec<usize> = (0..index.files.len()).filter(is_test).collect();
        if tests.is_empty() {
            return;
        }
        let mut by_stem: HashMap<&str, Vec<usize>> = HashMap::new();
        for (position, file) in self.pool.iter().enumerate() {
            by_stem.entry(index.files[*file].stem.as_str()).or_default().push(position);
        }
        let mut scores = bm25(index, &tests, &query.all).best_chunk;
        let max = scores.iter().copied().fold(0.0, f64::max);
        let named = query.names.keys().filter(|name| name.to_lowercase().contains("test"));
        for (file, _) in named.flat_map(|name| index.defining(name)) {
            if let Ok(position) = tests.binary_search(&(*file as usize)) {
                scores[position] = (max * NAMED_TEST_FACTOR).max(1.0);
            }
        }
        for (test, score) in tests.into_iter().zip(scores).filter(|(_, score)| *score > 0.0) {
            let imported: Vec<usize> =
                index.neighbours[test].iter().filter_map(|other| self.position(*other)).collect();
            let stem = index.files[test].stem.as_str();
            let stem = stem.trim_start_matches("test_").trim_end_matches("_test").trim_end_matches("test");
            let namesakes = by_stem.get(stem).map_or(&[][..], Vec::as_slice);
            for positions in [imported.as_slice(), namesakes] {
                for position in positions {
                    self.raise(Feature::Tests, *position, score / (positions.len() as f64).sqrt());
                }
            }
        }
    }

    /// Returns for each file the summed likelihood of the other files in its folder.
    pub(super) fn score_folders(&self, index: &Index, likelihoods: &[f64]) -> Vec<f64> {
        let folder = |file: &usize| index.paths[*file].rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut folders: HashMap<&str, f64> = HashMap::new();
        for (file, likelihood) in self.pool.iter().zip(likelihoods) {
            *folders.entry(folder(file)).or_default() += likelihood;
        }
        self.pool.iter().zip(likelihoods).map(|(file, own)| (folders[folder(file)] - own).max(0.0)).collect()
    }
}
