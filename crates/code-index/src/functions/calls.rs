//! Spreads evidence from the functions that the text names or describes along calls, and to functions of the same name.

use std::collections::HashMap;

use super::{Function, FunctionFeature, FunctionTable};
use crate::pattern::pattern;

/// How much the words of a function count beside names and stack frames.
const WORDS_SHARE: f64 = 0.5;
/// A name of more functions than this says nothing about which of them is called.
const MAX_CALLED: usize = 25;
/// Calls of a name of more functions than this are not resolved at all: generated code would take minutes.
const MAX_KNOWN: usize = 500;
/// A name of more functions than this does not make them siblings.
const MAX_NAMESAKES: usize = 40;

pattern!(CALL, r"([A-Za-z_]\w*)[ \t]*\(");

/// The positions of functions by their unqualified names.
type Positions<'a> = HashMap<&'a str, Vec<usize>>;

/// Adds the features of calls and of functions with the same name.
pub(super) fn add_calls(table: &mut FunctionTable<'_>) {
    let evidence = evidence(table);
    let mut positions: Positions<'_> = HashMap::new();
    for (position, function) in table.functions.iter().enumerate() {
        positions.entry(function.symbol.own_name()).or_default().push(position);
    }
    let list = |position: usize| list_targets(&table.functions, position, &positions);
    let targets: Vec<Vec<(usize, f64)>> = (0..table.functions.len()).map(list).collect();
    let mut forwards = vec![0.0; evidence.len()];
    for (own, called) in evidence.iter().zip(&targets) {
        for (target, share) in called {
            forwards[*target] += own * share;
        }
    }
    let sum = |called: &Vec<(usize, f64)>| called.iter().map(|(target, share)| evidence[*target] * share).sum();
    let backwards: Vec<f64> = targets.iter().map(sum).collect();
    let mut namesakes = vec![0.0; evidence.len()];
    for same in positions.values().filter(|same| same.len() <= MAX_NAMESAKES) {
        for own in same {
            let others = same.iter().filter(|other| *other != own).map(|other| evidence[*other]);
            namesakes[*own] = others.fold(0.0, f64::max);
        }
    }
    table.set(FunctionFeature::Called, forwards.into_iter().map(f64::sqrt).collect());
    table.set(FunctionFeature::Calls, backwards.into_iter().map(f64::sqrt).collect());
    table.set(FunctionFeature::Namesake, namesakes);
}

/// Returns how much the text itself says for each function.
fn evidence(table: &FunctionTable<'_>) -> Vec<f64> {
    let parts = [
        (FunctionFeature::Named, 1.0),
        (FunctionFeature::Qualified, 1.0),
        (FunctionFeature::Frame, 1.0),
        (FunctionFeature::Words, WORDS_SHARE),
        (FunctionFeature::NameTitle, WORDS_SHARE),
    ];
    let sum = |position: usize| parts.iter().map(|(feature, share)| share * table.get(*feature)[position]).sum();
    (0..table.functions.len()).map(sum).collect()
}

/// Returns the functions that a function calls by name, each with its share if several have the name. Those of the same class
/// are preferred, then those of the same file.
fn list_targets(functions: &[Function<'_>], own: usize, positions: &Positions<'_>) -> Vec<(usize, f64)> {
    let caller = &functions[own];
    let calls = CALL.captures_iter(&caller.text).filter_map(|found| Some(found.get(1)?.as_str()));
    let mut names: Vec<&str> = calls.collect();
    names.sort_unstable();
    names.dedup();
    let mut targets = Vec::new();
    for known in names.into_iter().filter_map(|name| positions.get(name)).filter(|known| known.len() <= MAX_KNOWN) {
        let in_file: Vec<usize> = known.iter().copied().filter(|one| functions[*one].file == caller.file).collect();
        let in_class: Vec<usize> =
            in_file.iter().copied().filter(|one| functions[*one].scope() == caller.scope()).collect();
        let nearest = [&in_class, &in_file, known].into_iter().find(|list| !list.is_empty()).unwrap_or(known);
        if nearest.len() <= MAX_CALLED {
            let share = 1.0 / nearest.len() as f64;
            targets.extend(nearest.iter().filter(|target| **target != own).map(|target| (*target, share)));
        }
    }
    targets
}
