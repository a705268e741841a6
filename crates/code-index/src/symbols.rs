//! Ranks the definitions in the most likely files.

use std::collections::HashMap;

use patchwright_core::code_index::RankedSymbol;

use crate::lexical::{document_frequencies, idf};
use crate::outline::{Symbol, SymbolKind};
use crate::query::Query;
use crate::words::{Splitter, Word};

/// A file with its definitions.
#[derive(Debug)]
pub(crate) struct OutlinedFile {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) symbols: Vec<Symbol>,
}

/// The weights of a stack frame in a symbol, of a dotted name and of a plain name of it in the text. The similarity of words
/// is added, scaled to 1 for the best symbol.
const FRAME_WEIGHT: f64 = 3.0;
const QUALIFIED_WEIGHT: f64 = 2.0;
const NAME_WEIGHT: f64 = 1.0;

impl Symbol {
    pub(crate) fn to_ranked(&self) -> RankedSymbol {
        RankedSymbol { name: self.name.clone(), kind: self.kind.as_str().to_owned(), lines: self.lines }
    }
}

/// Returns for each file the positions of the symbols that the text matches, most likely first.
pub(crate) fn rank_symbols(query: &Query, files: &[OutlinedFile]) -> Vec<Vec<usize>> {
    let counted: Vec<Vec<HashMap<Word, f64>>> = files.iter().map(|file| count_own_words(file, query)).collect();
    let frequencies = document_frequencies(counted.iter().flatten().flat_map(HashMap::keys));
    let total = counted.iter().map(Vec::len).sum::<usize>() as f64;
    // Added in a fixed order, so that the sum is reproducible to the last digit.
    let sum = |words: &HashMap<Word, f64>| {
        let mut words: Vec<(&Word, &f64)> = words.iter().collect();
        words.sort_unstable_by_key(|(word, _)| **word);
        words.into_iter().map(|(word, count)| idf(total, frequencies[word]) * count / (count + 1.2)).sum::<f64>()
    };
    let sums: Vec<Vec<f64>> = counted.iter().map(|symbols| symbols.iter().map(sum).collect()).collect();
    let max = sums.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let rank = |(file, sums): (&OutlinedFile, &Vec<f64>)| {
        let score =
            |(position, sum): (usize, &f64)| (sum / max + score_names(query, file, &file.symbols[position]), position);
        let mut order: Vec<(f64, usize)> =
            sums.iter().enumerate().map(score).filter(|(score, _)| *score > 0.0).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.into_iter().map(|(_, position)| position).collect()
    };
    files.iter().zip(&sums).map(rank).collect()
}

/// Counts the words of the text in each symbol, without those in nested symbols. Words of the symbol's name count more.
fn count_own_words(file: &OutlinedFile, query: &Query) -> Vec<HashMap<Word, f64>> {
    let mut splitter = Splitter::default();
    let mut counted = Vec::with_capacity(file.symbols.len());
    for (position, symbol) in file.symbols.iter().enumerate() {
        let mut words: HashMap<Word, f64> = HashMap::new();
        let mut count = |text: &str, weight: f64| {
            splitter.for_each_word(text, |word| {
                if query.all.contains_key(&word) {
                    *words.entry(word).or_default() += weight;
                }
            });
        };
        own_text(file, position).for_each(|text| count(text, 1.0));
        count(symbol.own_name(), 2.0);
        counted.push(words);
    }
    counted
}

/// Returns the parts of a symbol's text that are not in nested symbols.
pub(crate) fn own_text(file: &OutlinedFile, position: usize) -> impl Iterator<Item = &str> {
    let own = &file.symbols[position].bytes;
    let nested = file.symbols[position + 1..].iter().map(|inner| &inner.bytes);
    let nested = nested.take_while(|inner| inner.start < own.end).map(|inner| (inner.start, inner.end));
    let mut at = own.start;
    nested.chain([(own.end, own.end)]).map(move |(end, next)| {
        let part = file.text.get(at..end).unwrap_or_default();
        at = at.max(next);
        part
    })
}

/// Scores a symbol by the names and stack frames of the text.
fn score_names(query: &Query, file: &OutlinedFile, symbol: &Symbol) -> f64 {
    let own = symbol.own_name();
    let frame = FRAME_WEIGHT * query.weigh_frame(&file.path, own);
    let dotted = |name: &String| name == &symbol.name || name.ends_with(&format!(".{}", symbol.name));
    let qualified = symbol.name.contains('.') && query.dotted.keys().any(dotted);
    let plain = query.names.get(own).map_or(0.0, |weight| f64::from(*weight) / 3.0);
    let share = if symbol.kind == SymbolKind::Constant { 0.5 } else { 1.0 };
    frame + if qualified { QUALIFIED_WEIGHT } else { 0.0 } + plain * NAME_WEIGHT * share
}

#[cfg(all(test, feature = "python"))]
mod tests {
    use super::*;
    use crate::outline::outline;
    use crate::query::IssueText;

    fn first(title: &str, body: &str) -> String {
        let text = "class Reader:\n    \"\"\"Reads.\"\"\"\n    def open(self):\n        return self.path\n\n    def parse(self, line):\n        return line.split(':')\n\ndef close(stream):\n    stream.flush()\n";
        let path = "src/io/reader.py";
        let file = OutlinedFile { path: path.to_owned(), text: text.to_owned(), symbols: outline(path, text) };
        let query = Query::parse(&IssueText::new(title, body));
        let best = rank_symbols(&query, std::slice::from_ref(&file));
        best[0].first().map_or_else(String::new, |position| file.symbols[*position].name.clone())
    }

    #[test]
    fn the_symbol_that_matches_the_text_ranks_first() {
        assert_eq!(first("the line is split at the wrong place", ""), "Reader.parse");
        assert_eq!(first("`close` hangs", ""), "close");
        assert_eq!(first("wrong", "see Reader.open, it does not split the line"), "Reader.open");
        let trace = "File \"/x/src/io/reader.py\", line 10, in close\n    stream.flush()\n";
        assert_eq!(first("split line", trace), "close");
        assert_eq!(first("zebra", ""), "");
    }
}
