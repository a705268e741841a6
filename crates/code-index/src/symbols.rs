//! Which definitions of the likeliest files are meant.

use std::collections::HashMap;

use patchwright_core::code_index::RankedSymbol;

use crate::lexical::{frequencies, rarity};
use crate::outline::{Symbol, SymbolKind};
use crate::query::Query;
use crate::words::{Splitter, Word};

/// A file with what it defines.
#[derive(Debug)]
pub(crate) struct Outlined {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) symbols: Vec<Symbol>,
}

/// What it counts that a stack frame is in a symbol, that a dotted name names it, and that its own name stands in the text;
/// beside sums of words, of which the best symbol has 1.
const FRAME: f64 = 3.0;
const QUALIFIED: f64 = 2.0;
const NAMED: f64 = 1.0;

impl Symbol {
    /// As it is told to others.
    pub(crate) fn told(&self) -> RankedSymbol {
        RankedSymbol { name: self.name.clone(), kind: self.kind.as_str().to_owned(), lines: self.lines }
    }
}

/// Of each file, the places of the symbols that anything points to, likeliest first.
pub(crate) fn rank_symbols(query: &Query, files: &[Outlined]) -> Vec<Vec<usize>> {
    let counted: Vec<Vec<HashMap<Word, f64>>> = files.iter().map(|file| own_words(file, query)).collect();
    let known = frequencies(counted.iter().flatten().flat_map(HashMap::keys));
    let total = counted.iter().map(Vec::len).sum::<usize>() as f64;
    // In order, so that the same text makes the same sum to the last digit.
    let sum = |words: &HashMap<Word, f64>| {
        let mut words: Vec<(&Word, &f64)> = words.iter().collect();
        words.sort_unstable_by_key(|(word, _)| **word);
        words.into_iter().map(|(word, times)| rarity(total, known[word]) * times / (times + 1.2)).sum::<f64>()
    };
    let sums: Vec<Vec<f64>> = counted.iter().map(|symbols| symbols.iter().map(sum).collect()).collect();
    let most = sums.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let rank = |(file, sums): (&Outlined, &Vec<f64>)| {
        let score = |(place, sum): (usize, &f64)| (sum / most + named(query, file, &file.symbols[place]), place);
        let mut order: Vec<(f64, usize)> =
            sums.iter().enumerate().map(score).filter(|(score, _)| *score > 0.0).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.into_iter().map(|(_, place)| place).collect()
    };
    files.iter().zip(&sums).map(rank).collect()
}

/// The words of the text in each symbol, without what stands in symbols within it; those of its name count more.
fn own_words(file: &Outlined, query: &Query) -> Vec<HashMap<Word, f64>> {
    let mut splitter = Splitter::default();
    let symbols = &file.symbols;
    let mut counted = Vec::with_capacity(symbols.len());
    for (place, symbol) in symbols.iter().enumerate() {
        let mut words: HashMap<Word, f64> = HashMap::new();
        let mut count = |text: &str, weight: f64| {
            splitter.each(text, |word| {
                if query.all.contains_key(&word) {
                    *words.entry(word).or_default() += weight;
                }
            });
        };
        let mut at = symbol.bytes.start;
        for inner in symbols[place + 1..].iter().take_while(|inner| inner.bytes.start < symbol.bytes.end) {
            count(file.text.get(at..inner.bytes.start).unwrap_or_default(), 1.0);
            at = at.max(inner.bytes.end);
        }
        count(file.text.get(at..symbol.bytes.end).unwrap_or_default(), 1.0);
        count(symbol.own_name(), 2.0);
        counted.push(words);
    }
    counted
}

/// What names of the text say of a symbol.
fn named(query: &Query, file: &Outlined, symbol: &Symbol) -> f64 {
    let own = symbol.own_name();
    let in_frame = query.frames.iter().position(|(path, function)| {
        function.as_deref().is_some_and(|function| function.rsplit('.').next() == Some(own))
            && (file.path.ends_with(path.as_str()) || path.ends_with(&file.path))
    });
    let frame = in_frame.map_or(0.0, |depth| FRAME * 0.8_f64.powi(i32::try_from(depth).unwrap_or(i32::MAX)));
    let dotted = |name: &String| name == &symbol.name || name.ends_with(&format!(".{}", symbol.name));
    let qualified = symbol.name.contains('.') && query.dotted.keys().any(dotted);
    let plain = query.names.get(own).map_or(0.0, |weight| f64::from(*weight) / 3.0);
    let share = if symbol.kind == SymbolKind::Constant { 0.5 } else { 1.0 };
    frame + if qualified { QUALIFIED } else { 0.0 } + plain * NAMED * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline::outline;
    use crate::query::IssueText;

    fn first(title: &str, body: &str) -> String {
        let text = "class Reader:\n    \"\"\"Reads.\"\"\"\n    def open(self):\n        return self.path\n\n    def parse(self, line):\n        return line.split(':')\n\ndef close(stream):\n    stream.flush()\n";
        let path = "src/io/reader.py";
        let file = Outlined { path: path.to_owned(), text: text.to_owned(), symbols: outline(path, text) };
        let query = Query::read(&IssueText::new(title, body));
        let best = rank_symbols(&query, std::slice::from_ref(&file));
        best[0].first().map_or_else(String::new, |place| file.symbols[*place].name.clone())
    }

    #[test]
    fn the_symbol_that_the_text_means_comes_first() {
        assert_eq!(first("the line is split at the wrong place", ""), "Reader.parse");
        assert_eq!(first("`close` hangs", ""), "close");
        assert_eq!(first("wrong", "see Reader.open, it does not split the line"), "Reader.open");
        let trace = "File \"/x/src/io/reader.py\", line 10, in close\n    stream.flush()\n";
        assert_eq!(first("split line", trace), "close");
        assert_eq!(first("zebra", ""), "");
    }
}
