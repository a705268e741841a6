//! What the text itself says for definitions: their names, stack frames, and words.

use std::collections::HashMap;

use super::Nodes;
use super::resolve::Resolver;
use crate::index::Index;
use crate::query::Query;
use crate::structure::Definition;
use crate::words::hash_name;

/// How much the words of the text, and those of its title, count in the similarity.
const TEXT_SHARE: f64 = 0.6;
const TITLE_SHARE: f64 = 0.4;
/// The weight that a name of the text has at most.
const MAX_NAME_WEIGHT: f64 = 3.0;
/// How much a stack frame counts less than the one within it.
const FRAME_DECAY: f64 = 0.9;
/// The classes with one name whose inherited methods are looked up.
const MAX_CLASSES: usize = 5;

/// Returns for each definition the similarity of its chunks of the file, between 0 and 1.
pub(super) fn chunk_similarity(nodes: &Nodes<'_>, index: &Index, all: &[Vec<f64>], title: &[Vec<f64>]) -> Vec<f64> {
    let max = |lists: &[Vec<f64>]| lists.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let (all_max, title_max) = (max(all), max(title));
    let score = |node: &super::Node<'_>| {
        let best = |lists: &[Vec<f64>]| best_chunk(index, node.file, node.definition, &lists[node.position]);
        TEXT_SHARE * best(all) / all_max + TITLE_SHARE * best(title) / title_max
    };
    nodes.all.iter().map(score).collect()
}

/// Returns the best score of the chunks that a definition is in.
pub(super) fn best_chunk(index: &Index, file: usize, definition: &Definition, scores: &[f64]) -> f64 {
    let starts = &index.files[file].scan.starts;
    let from = starts.partition_point(|start| *start <= definition.start).saturating_sub(1);
    let to = starts.partition_point(|start| *start < definition.end).max(from + 1).min(scores.len());
    scores.get(from..to).unwrap_or_default().iter().copied().fold(0.0, f64::max)
}

/// Returns how far the text names each definition, in names, dotted names and stack frames.
pub(super) fn named(resolver: &Resolver<'_>, index: &Index, query: &Query, pool: &[usize]) -> Vec<f64> {
    let nodes = resolver.nodes;
    let total = nodes.all.len() as f64;
    let weights: HashMap<u32, f64> =
        query.names.iter().map(|(name, weight)| (hash_name(name), f64::from(*weight) / MAX_NAME_WEIGHT)).collect();
    let by_name = |node: &super::Node<'_>| {
        let Some(weight) = weights.get(&node.name) else { return 0.0 };
        let same = nodes.named(node.name).len().max(1) as f64;
        weight * (1.0 + total / same).ln() / (1.0 + total).ln() / same.sqrt()
    };
    let mut named: Vec<f64> = nodes.all.iter().map(by_name).collect();
    for (name, count) in &query.dotted {
        let found = find_dotted(resolver, index, name);
        let value = f64::from(count.min(3.0)).sqrt() / found.len().max(1) as f64;
        for node in found {
            named[node] = named[node].max(value);
        }
    }
    let mut share = 1.0;
    for (path, function) in &query.frames {
        let (Some(function), [file]) = (function, index.modules.resolve(path).0) else { continue };
        let Ok(position) = pool.binary_search(&(*file as usize)) else { continue };
        let function = function.rsplit('.').next().unwrap_or_default();
        let own = nodes.first[position]..nodes.first[position + 1];
        for (node, value) in nodes.all[own.clone()].iter().zip(&mut named[own]) {
            if node.definition.own_name() == function {
                *value = value.max(share);
            }
        }
        share *= FRAME_DECAY;
    }
    named
}

/// Returns the definitions that a dotted name means: by their class or module, or as a method that the class inherits.
fn find_dotted(resolver: &Resolver<'_>, index: &Index, name: &str) -> Vec<usize> {
    let Some((module, last)) = name.rsplit_once('.') else { return Vec::new() };
    let before = module.rsplit('.').next().unwrap_or_default();
    let nodes = resolver.nodes;
    let sites: Vec<usize> = index.modules.get(module).map_or_else(Vec::new, |file| {
        index.definition_sites(file as usize, last).into_iter().map(|(file, _)| file as usize).collect()
    });
    let is_meant = |node: &usize| {
        let node = &nodes.all[*node];
        match node.definition.scope().rsplit('.').next().filter(|scope| !scope.is_empty()) {
            Some(scope) => scope == before,
            None => index.files[node.file].stem == before || sites.contains(&node.file),
        }
    };
    let found: Vec<usize> = resolver.few_named(hash_name(last)).iter().copied().filter(is_meant).collect();
    if !found.is_empty() {
        return found;
    }
    let classes = resolver.few_named(hash_name(before)).iter().filter(|node| nodes.all[**node].is_class());
    classes.take(MAX_CLASSES).filter_map(|class| resolver.method(*class, hash_name(last))).collect()
}
