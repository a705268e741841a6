//! Ranks the functions of the most likely files in one list: by their file, their words and names, and who calls them.

mod feature;
mod history;
mod position;
mod protocol;
mod text;

use std::borrow::Cow;
use std::collections::HashSet;

use patchwright_core::code_index::RankedFunction;
use rayon::prelude::*;

use crate::call_graph::DefinitionEvidence;
use crate::features::divide_by_maximum;
use crate::lexical::CountedWords;
use crate::outline::Symbol;
use crate::query::Query;
use crate::symbols::{OutlinedFile, own_text};
use crate::words::Splitter;

pub use feature::FunctionFeature;
pub(crate) use history::score_history;
pub(crate) use position::score_positions;

/// A function with its features.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionRow {
    /// The path of its file.
    pub path: String,
    /// Its qualified name.
    pub name: String,
    /// The features, in the order of [`FunctionFeature::ALL`].
    pub features: [f64; FunctionFeature::ALL.len()],
}

/// A function or method of an outlined file.
struct Function<'a> {
    /// The position of its file, and its own position among the symbols of the file.
    file: usize,
    position: usize,
    symbol: &'a Symbol,
    /// Its text without that of definitions within it.
    text: String,
    /// The words of its text that the issue has too, without those of its documentation.
    words: CountedWords,
}

impl Function<'_> {
    /// Returns the qualified name of what it is defined in; empty at the top of the file.
    fn scope(&self) -> &str {
        self.symbol.name.rsplit_once('.').map_or("", |(scope, _)| scope)
    }

    /// Returns the name of its class; empty at the top of the file.
    fn class(&self) -> &str {
        self.scope().rsplit('.').next().unwrap_or_default()
    }
}

/// A place in the ranking of functions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    /// The position of the file.
    pub(crate) file: usize,
    /// The position among the symbols of the file.
    pub(crate) symbol: usize,
    score: f64,
}

/// What is known of a function from elsewhere than its file and the text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FunctionEvidence {
    pub(crate) definition: DefinitionEvidence,
    /// Lines that came with changes whose messages resemble the text.
    pub(crate) history: f64,
    /// Lines that the text names.
    pub(crate) position: f64,
}

/// The functions of files with their features, a column for each.
pub(crate) struct FunctionTable<'a> {
    files: &'a [OutlinedFile],
    functions: Vec<Function<'a>>,
    columns: Vec<Vec<f64>>,
}

/// A difference of the scores of files by this much is one unit of the feature, and the lowest value of it.
const FILE_SCORE_UNIT: f64 = 5.0;
const MIN_FILE_SCORE: f64 = -2.0;

impl<'a> FunctionTable<'a> {
    /// Computes the features of all functions in files with these scores, which are log odds. `evidence` has what else is known
    /// of each symbol of each file.
    pub(crate) fn new(
        query: &Query,
        files: &'a [OutlinedFile],
        scores: &[f64],
        evidence: &[Vec<FunctionEvidence>],
    ) -> Self {
        let functions = list_functions(query, files);
        let columns = vec![vec![0.0; functions.len()]; FunctionFeature::ALL.len()];
        let mut table = Self { files, functions, columns };
        text::add_words(&mut table, query);
        text::add_names(&mut table, query);
        let of = |function: &Function<'_>| {
            evidence.get(function.file).and_then(|file| file.get(function.position)).copied().unwrap_or_default()
        };
        table.compute(FunctionFeature::Similarity, |function| of(function).definition.similarity);
        table.compute(FunctionFeature::Called, |function| of(function).definition.called);
        table.compute(FunctionFeature::Tested, |function| of(function).definition.tested);
        table.compute(FunctionFeature::History, |function| of(function).history);
        table.compute(FunctionFeature::Position, |function| of(function).position);
        for (feature, of) in FunctionFeature::WITHIN_FILES {
            table.set(feature, table.compare_within_files(of));
        }
        table.normalize();
        table.add_file_scores(scores);
        table
    }

    fn add_file_scores(&mut self, scores: &[f64]) {
        let best = scores.iter().copied().fold(f64::MIN, f64::max);
        let value = |function: &Function<'_>| ((scores[function.file] - best) / FILE_SCORE_UNIT).max(MIN_FILE_SCORE);
        self.compute(FunctionFeature::FileScore, value);
    }

    /// Returns all functions, most likely first. Functions of one name in one file, as a property has them, take one place.
    pub(crate) fn rank(&self) -> Vec<Place> {
        let place = |(position, function): (usize, &Function<'_>)| Place {
            file: function.file,
            symbol: function.position,
            score: self.score(position),
        };
        let mut places: Vec<Place> = self.functions.iter().enumerate().map(place).collect();
        // The sort is stable: equal functions are in the order of their files.
        places.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut known = HashSet::new();
        places.retain(|place| known.insert((place.file, self.files[place.file].symbols[place.symbol].name.as_str())));
        places
    }

    fn score(&self, position: usize) -> f64 {
        FunctionFeature::ALL.into_iter().map(|feature| feature.weight() * self.get(feature)[position]).sum()
    }

    /// Returns path, name and features of each function.
    pub(crate) fn rows(&self) -> Vec<FunctionRow> {
        let row = |(position, function): (usize, &Function<'_>)| FunctionRow {
            path: self.files[function.file].path.clone(),
            name: function.symbol.name.clone(),
            features: FunctionFeature::ALL.map(|feature| self.get(feature)[position]),
        };
        self.functions.iter().enumerate().map(row).collect()
    }

    fn get(&self, feature: FunctionFeature) -> &[f64] {
        &self.columns[feature as usize]
    }

    fn set(&mut self, feature: FunctionFeature, column: Vec<f64>) {
        self.columns[feature as usize] = column;
    }

    fn compute(&mut self, feature: FunctionFeature, value: impl Fn(&Function<'_>) -> f64) {
        self.columns[feature as usize] = self.functions.iter().map(value).collect();
    }

    /// Divides the values of each feature by the largest one, except those that are used as they are.
    fn normalize(&mut self) {
        for feature in FunctionFeature::ALL.into_iter().filter(|feature| !feature.is_absolute()) {
            divide_by_maximum(&mut self.columns[feature as usize]);
        }
    }

    /// Divides each value by the largest one of the same file.
    fn compare_within_files(&self, feature: FunctionFeature) -> Vec<f64> {
        let values = || self.functions.iter().zip(self.get(feature));
        let mut max = vec![f64::MIN_POSITIVE; self.files.len()];
        values().for_each(|(function, value)| max[function.file] = max[function.file].max(*value));
        values().map(|(function, value)| value / max[function.file]).collect()
    }
}

/// Returns the first of the ranked functions for users and models.
pub(crate) fn describe(files: &[OutlinedFile], places: &[Place], max: usize) -> Vec<RankedFunction> {
    let describe = |place: &Place| RankedFunction {
        path: files[place.file].path.clone(),
        symbol: files[place.file].symbols[place.symbol].to_ranked(),
        score: place.score,
    };
    places.iter().take(max).map(describe).collect()
}

/// Lists the functions and methods of files with the words that the text shares with them.
fn list_functions<'a>(query: &Query, files: &'a [OutlinedFile]) -> Vec<Function<'a>> {
    let read = |(number, file): (usize, &'a OutlinedFile)| {
        let mut splitter = Splitter::default();
        let functions = file.symbols.iter().enumerate().filter(|(_, symbol)| symbol.kind.is_function());
        functions
            .map(|(position, symbol)| read_function(query, file, (number, position), symbol, &mut splitter))
            .collect()
    };
    let functions: Vec<Vec<Function<'a>>> = files.par_iter().enumerate().map(read).collect();
    functions.into_iter().flatten().collect()
}

fn read_function<'a>(
    query: &Query,
    file: &OutlinedFile,
    (number, position): (usize, usize),
    symbol: &'a Symbol,
    splitter: &mut Splitter,
) -> Function<'a> {
    let text: String = own_text(file, position).collect();
    let docstring = file.text.get(symbol.docstring.clone()).unwrap_or_default();
    let code = if docstring.is_empty() { Cow::Borrowed(&text) } else { Cow::Owned(text.replacen(docstring, " ", 1)) };
    let mut words = CountedWords::default();
    splitter.for_each_word(&code, |word| {
        words.0 += 1.0;
        if query.all.contains_key(&word) {
            *words.1.entry(word).or_default() += 1.0;
        }
    });
    Function { file: number, position, symbol, text, words }
}

#[cfg(all(test, feature = "python"))]
mod tests {
    use super::*;
    use crate::outline::outline;
    use crate::query::IssueText;

    const SHOP: &str = "class Cart:\n    def total(self):\n        return self._sum() - self.discount\n\n    def _sum(self):\n        return 0\n\n    def _clear(self):\n        self.x = 0\n\n    def __len__(self):\n        return 0\n";
    const MAIL: &str = "def send(to):\n    return to\n\ndef total(mails):\n    return len(mails)\n";

    fn files() -> Vec<OutlinedFile> {
        let file = |(path, text): (&str, &str)| OutlinedFile {
            path: path.to_owned(),
            text: text.to_owned(),
            symbols: outline(path, text),
        };
        [("shop/cart.py", SHOP), ("shop/mail.py", MAIL)].map(file).into()
    }

    fn ranked(title: &str, body: &str, scores: &[f64]) -> Vec<String> {
        let (files, query) = (files(), Query::parse(&IssueText::new(title, body)));
        let places = FunctionTable::new(&query, &files, scores, &[]).rank();
        describe(&files, &places, 10).into_iter().map(|function| function.symbol.name).collect()
    }

    #[test]
    fn functions_of_all_files_are_in_one_list_the_best_file_first() {
        let title = "`Cart.total` ignores the discount";
        let functions = ranked(title, "", &[3.0, 1.0]);
        assert_eq!((functions.len(), functions[0].as_str()), (6, "Cart.total"));
        assert_eq!(ranked("send the mail", "", &[1.0, 1.2])[0], "send");
    }

    #[test]
    fn accessors_of_one_name_take_one_place() {
        let text = "class Cart:\n    @property\n    def total(self):\n        return self._total\n\n    @total.setter\n    def total(self, value):\n        self._total = value\n";
        let path = "shop/cart.py";
        let file = OutlinedFile { path: path.to_owned(), text: text.to_owned(), symbols: outline(path, text) };
        let query = Query::parse(&IssueText::new("`Cart.total` is wrong", ""));
        assert_eq!(FunctionTable::new(&query, &[file], &[1.0], &[]).rank().len(), 1);
    }

    #[test]
    fn a_method_that_the_language_calls_is_found_by_what_it_does() {
        let text = "class Cart:\n    def _sum(self):\n        return self.x\n\n    def __iter__(self):\n        return self.x\n";
        let path = "shop/cart.py";
        let file = OutlinedFile { path: path.to_owned(), text: text.to_owned(), symbols: outline(path, text) };
        let query = Query::parse(&IssueText::new("Iterating over a Cart is wrong", ""));
        let files = [file];
        let best = FunctionTable::new(&query, &files, &[1.0], &[]).rank()[0];
        assert_eq!(files[0].symbols[best.symbol].name, "Cart.__iter__");
    }

    #[test]
    fn a_stack_frame_leads_to_its_function() {
        let trace = "File \"/x/shop/mail.py\", line 5, in total\n    return len(mails)\n";
        let (files, query) = (files(), Query::parse(&IssueText::new("It fails", trace)));
        let rows = FunctionTable::new(&query, &files, &[1.0, 1.0], &[]).rows();
        let frame = |path: &str, name: &str| {
            let row = rows.iter().find(|row| row.path == path && row.name == name).unwrap();
            row.features[FunctionFeature::Frame as usize]
        };
        assert!(frame("shop/mail.py", "total") > 0.9 && frame("shop/cart.py", "Cart.total") < 0.1);
    }

    #[test]
    fn a_text_without_meaning_and_no_files_are_ranked_without_a_fault() {
        let query = Query::parse(&IssueText::new("", ""));
        assert!(FunctionTable::new(&query, &[], &[], &[]).rank().is_empty());
        let files = files();
        let rows = FunctionTable::new(&query, &files, &[0.0, f64::from(f32::MIN)], &[]).rows();
        assert!(rows.iter().all(|row| row.features.iter().all(|value| value.is_finite())));
    }
}
