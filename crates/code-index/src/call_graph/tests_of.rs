//! Counts what the tests that resemble the text refer to.

use std::collections::{BTreeMap, BTreeSet};

use super::Nodes;
use super::evidence::best_chunk;
use super::resolve::MAX_TARGETS;
use crate::index::Index;
use crate::lexical::bm25;
use crate::query::Query;
use crate::structure::Definition;
use crate::words::Word;

/// The number of test functions that are looked at.
const MAX_TESTS: usize = 60;

/// Returns for each definition how much the tests that resemble the text most refer to it.
pub(super) fn count_calls(nodes: &Nodes<'_>, index: &Index, query: &Query) -> Vec<f64> {
    let mut found = vec![0.0; nodes.all.len()];
    let tests = find_tests(index, query);
    let max = tests.first().map_or(0.0, |(score, _)| *score);
    if max <= 0.0 {
        return found;
    }
    let references: Vec<BTreeSet<Word>> =
        tests.iter().map(|(_, test)| test.references.iter().map(|reference| reference.name).collect()).collect();
    let mut uses: BTreeMap<Word, f64> = BTreeMap::new();
    references.iter().flatten().for_each(|name| *uses.entry(*name).or_default() += 1.0);
    for ((score, _), names) in tests.iter().zip(&references) {
        for name in names {
            let targets = nodes.named(*name);
            if targets.len() <= MAX_TARGETS {
                let specificity = (1.0 + tests.len() as f64 / uses[name]).ln();
                let share = (score / max).powi(2) * specificity / targets.len().max(1) as f64;
                for node in targets {
                    found[*node] += share;
                }
            }
        }
    }
    found.into_iter().map(f64::sqrt).collect()
}

/// Returns the test functions that resemble the text most, with their scores, best first.
fn find_tests<'a>(index: &'a Index, query: &Query) -> Vec<(f64, &'a Definition)> {
    let is_test = |file: &usize| index.files[*file].is_test && index.files[*file].is_code;
    let files: Vec<usize> = (0..index.files.len()).filter(is_test).collect();
    if files.is_empty() {
        return Vec::new();
    }
    let scores = bm25(index, &files, &query.all);
    let mut tests: Vec<(f64, &Definition)> = Vec::new();
    for (file, chunks) in files.into_iter().zip(&scores.chunks) {
        let functions = index.structures[file].definitions.iter().filter(|one| one.kind.is_function());
        tests.extend(functions.map(|test| (best_chunk(index, file, test, chunks), test)));
    }
    // The sort is stable: equal tests are in the order of their files.
    tests.sort_by(|a, b| b.0.total_cmp(&a.0));
    tests.truncate(MAX_TESTS);
    tests
}
