//! The functions around the lines that a text names.

use std::collections::HashMap;

use patchwright_core::source_tree::SourceTree;

use crate::corpus::MAX_FILE_BYTES;
use crate::modules::Modules;
use crate::outline::{Symbol, outline};
use crate::query::Position;
use crate::symbols::OutlinedFile;

/// How many lines beside a function still count: other versions of the file are a few lines longer or shorter.
const TOLERANCE: u32 = 3;
/// The number of earlier versions of files that are read.
const MAX_VERSIONS: usize = 10;
/// How much a function beside the lines counts.
const BESIDE_SHARE: f64 = 0.3;

/// Returns for each symbol of each file whether it is around lines that the text names, as they were at the commit that it names.
pub(crate) fn score_positions(
    files: &[OutlinedFile],
    positions: &[Position],
    modules: &Modules,
    paths: &[String],
    tree: &dyn SourceTree,
) -> Vec<Vec<f64>> {
    let mut scores: Vec<Vec<f64>> = files.iter().map(|file| vec![0.0; file.symbols.len()]).collect();
    let mut earlier: HashMap<(&str, &str), Option<Vec<Symbol>>> = HashMap::new();
    for position in positions {
        let Some(path) = find_file(position, modules, paths) else { continue };
        let Some(number) = files.iter().position(|file| file.path == *path) else { continue };
        let symbols = &files[number].symbols;
        let version = position.commit.as_deref().map(|commit| (commit, path.as_str()));
        let version = version.filter(|version| earlier.len() < MAX_VERSIONS || earlier.contains_key(version));
        let known = version.and_then(|(commit, path)| {
            earlier.entry((commit, path)).or_insert_with(|| outline_at(tree, commit, path)).as_deref()
        });
        let values = match known {
            Some(earlier) => map_earlier(symbols, earlier, position.lines),
            None => symbols.iter().map(|symbol| score_lines(symbol, position.lines)).collect(),
        };
        for (score, value) in scores[number].iter_mut().zip(values) {
            *score = f64::max(*score, value);
        }
    }
    scores
}

/// Returns the only file that a position can be in.
fn find_file<'a>(position: &Position, modules: &Modules, paths: &'a [String]) -> Option<&'a String> {
    let (files, depth) = modules.resolve(&position.path);
    let [file] = files else { return None };
    let path = &paths[*file as usize];
    // A link with another path is to another repository.
    (if position.is_whole { *path == position.path } else { depth > 0 }).then_some(path)
}

fn outline_at(tree: &dyn SourceTree, commit: &str, path: &str) -> Option<Vec<Symbol>> {
    if tree.id().as_deref() == Some(commit) {
        return None;
    }
    let bytes = tree.read_at(commit, path, MAX_FILE_BYTES)?;
    let symbols = outline(path, &String::from_utf8_lossy(&bytes));
    (!symbols.is_empty()).then_some(symbols)
}

/// Returns the scores of the symbols with the names of those that were around the lines in an earlier version of the file.
fn map_earlier(symbols: &[Symbol], earlier: &[Symbol], lines: (u32, u32)) -> Vec<f64> {
    let mut around: HashMap<&str, f64> = HashMap::new();
    for symbol in earlier {
        let score = around.entry(&symbol.name).or_default();
        *score = score.max(score_lines(symbol, lines));
    }
    symbols.iter().map(|symbol| around.get(symbol.name.as_str()).copied().unwrap_or_default()).collect()
}

fn score_lines(symbol: &Symbol, (first, last): (u32, u32)) -> f64 {
    let (start, end) = symbol.lines;
    match () {
        () if start <= last && end >= first => 1.0,
        () if start <= last.saturating_add(TOLERANCE) && end.saturating_add(TOLERANCE) >= first => BESIDE_SHARE,
        () => 0.0,
    }
}
