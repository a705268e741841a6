//! What earlier changes with similar messages did to functions: the lines that they added and that are still there.

use crate::history::AddedLines;
use crate::symbols::{OutlinedFile, own_text};

/// Returns for each symbol of each file how many similar changes added lines to it, by their similarity.
pub(crate) fn score_history(files: &[OutlinedFile], additions: &[AddedLines]) -> Vec<Vec<f64>> {
    let mut scores: Vec<Vec<f64>> = files.iter().map(|file| vec![0.0; file.symbols.len()]).collect();
    for added in additions {
        let Some(number) = files.iter().position(|file| file.path == added.path) else { continue };
        let file = &files[number];
        let has_line = |symbol: &usize| own_text(file, *symbol).flat_map(str::lines).any(|line| added.has(line));
        let functions = (0..file.symbols.len()).filter(|symbol| file.symbols[*symbol].kind.is_function());
        let changed: Vec<usize> = functions.filter(has_line).collect();
        for symbol in &changed {
            scores[number][*symbol] += added.similarity.powi(2) / changed.len() as f64;
        }
    }
    scores
}
