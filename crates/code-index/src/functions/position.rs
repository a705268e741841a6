//! The functions around the lines that a text names.

use patchwright_core::source_tree::SourceTree;

use crate::corpus::MAX_FILE_BYTES;
use crate::modules::Modules;
use crate::outline::{Symbol, outline};
use crate::query::Position;
use crate::symbols::OutlinedFile;

/// How many lines beside a function still count: other versions of the file are a few lines longer or shorter.
const TOLERANCE: u32 = 3;
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
    let find = |position| Some((position, find_file(position, modules, paths)?));
    let found: Vec<(&Position, &String)> = positions.iter().filter_map(find).collect();
    // One of many lines, as in a stack trace, says less than the only one.
    let share = 1.0 / (found.len().max(1) as f64).sqrt();
    for (position, path) in found {
        let Some(number) = files.iter().position(|file| file.path == *path) else { continue };
        let symbols = &files[number].symbols;
        let earlier = || outline_at(tree, position.commit.as_deref()?, path);
        let values = match earlier() {
            Some(earlier) => map_earlier(symbols, &earlier, position.lines),
            None => symbols.iter().map(|symbol| score_lines(symbol, position.lines)).collect(),
        };
        for (score, value) in scores[number].iter_mut().zip(values) {
            *score = f64::max(*score, value * share);
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
    Some(outline(path, &String::from_utf8_lossy(&bytes)))
}

/// Returns the scores of the symbols with the names of those that were around the lines in an earlier version of the file.
fn map_earlier(symbols: &[Symbol], earlier: &[Symbol], lines: (u32, u32)) -> Vec<f64> {
    let score = |symbol: &Symbol| {
        let same = earlier.iter().filter(|one| one.name == symbol.name).map(|one| score_lines(one, lines));
        same.fold(0.0, f64::max)
    };
    symbols.iter().map(score).collect()
}

fn score_lines(symbol: &Symbol, (first, last): (u32, u32)) -> f64 {
    let (start, end) = symbol.lines;
    match () {
        () if start <= last && end >= first => 1.0,
        () if start <= last.saturating_add(TOLERANCE) && end.saturating_add(TOLERANCE) >= first => BESIDE_SHARE,
        () => 0.0,
    }
}
