//! The features of functions that compare them with the issue's text.

use std::collections::{BTreeSet, HashMap};

use super::{Function, FunctionFeature, FunctionTable};
use crate::lexical::{CountedWords, document_frequencies, idf, overlap, score_documents};
use crate::pattern::pattern;
use crate::query::Query;
use crate::scan::find_literals;
use crate::words::{Word, words_of};

pattern!(NAME, r"[A-Za-z_]\w*");

/// Adds the words that functions, their names and their classes share with the text.
pub(super) fn add_words(table: &mut FunctionTable<'_>, query: &Query) {
    let documents: Vec<CountedWords> = table.functions.iter().map(|function| function.words.clone()).collect();
    table.set(FunctionFeature::Words, score_documents(&documents, &query.all));
    table.set(FunctionFeature::Title, score_documents(&documents, &query.title));
    table.set(FunctionFeature::TitleShare, share_of_words(&documents, &query.title));
    let names = |name: for<'f> fn(&'f Function<'_>) -> &'f str, counts: &HashMap<Word, f32>| {
        let lists: Vec<Vec<Word>> = table.functions.iter().map(|function| words_of(name(function))).collect();
        overlap(counts, &lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let columns = [
        (FunctionFeature::NameWords, names(|function| function.symbol.own_name(), &query.all)),
        (FunctionFeature::NameTitle, names(|function| function.symbol.own_name(), &query.title)),
        (FunctionFeature::ClassWords, names(|function| function.class(), &query.all)),
        (FunctionFeature::ClassTitle, names(|function| function.class(), &query.title)),
    ];
    for (feature, column) in columns {
        table.set(feature, column);
    }
}

/// Returns for each document the share of a text's words that it has, weighted by idf.
fn share_of_words(documents: &[CountedWords], counts: &HashMap<Word, f32>) -> Vec<f64> {
    let frequencies = document_frequencies(documents.iter().flat_map(|(_, found)| found.keys()));
    let weigh = |word: &Word| idf(documents.len() as f64, frequencies[word]);
    let mut known: Vec<&Word> = counts.keys().filter(|word| frequencies.contains_key(word)).collect();
    // Added in a fixed order, so that the sum is reproducible to the last digit.
    known.sort_unstable();
    let all: f64 = known.iter().map(|word| weigh(word)).sum::<f64>().max(1.0);
    let share = |(_, found): &CountedWords| {
        known.iter().filter(|word| found.contains_key(word)).map(|word| weigh(word)).sum::<f64>() / all
    };
    documents.iter().map(share).collect()
}

/// Adds the names, stack frames and literals of the text that belong to functions.
pub(super) fn add_names(table: &mut FunctionTable<'_>, query: &Query) {
    let named = |name: &str| query.names.get(name).copied().map_or(0.0, f64::from);
    let mut namesakes: HashMap<&str, f64> = HashMap::new();
    for function in &table.functions {
        *namesakes.entry(function.symbol.own_name()).or_default() += 1.0;
    }
    let by_name = |function: &Function<'_>| {
        let own = function.symbol.own_name();
        named(own) / namesakes[own].sqrt()
    };
    let is_qualified = |function: &Function<'_>| {
        let name = &function.symbol.name;
        let is_it = |dotted: &String| dotted == name || dotted.ends_with(&format!(".{name}"));
        name.contains('.') && query.dotted.keys().any(is_it)
    };
    let files = table.files;
    let depth = |function: &Function<'_>| query.frame_depth(&files[function.file].path, function.symbol.own_name());
    let literals = |function: &Function<'_>| {
        let found = find_literals(&function.text);
        found.iter().filter(|literal| query.literals.contains(literal)).fold(0.0, |sum, _| sum + 1.0)
    };
    let columns: [(FunctionFeature, Vec<f64>); 6] = [
        (FunctionFeature::Named, table.functions.iter().map(by_name).collect()),
        (FunctionFeature::Qualified, table.functions.iter().map(|one| f64::from(is_qualified(one))).collect()),
        (FunctionFeature::ClassNamed, table.functions.iter().map(|one| named(one.class())).collect()),
        (FunctionFeature::Frame, table.functions.iter().map(|one| depth(one).map_or(0.0, fade)).collect()),
        (FunctionFeature::Message, table.functions.iter().map(|one| f64::sqrt(literals(one))).collect()),
        (FunctionFeature::Mentions, count_mentions(&table.functions, query)),
    ];
    for (feature, column) in columns {
        table.set(feature, column);
    }
}

/// Returns how much a stack frame counts, by the number of frames within it.
fn fade(depth: usize) -> f64 {
    0.8_f64.powi(i32::try_from(depth).unwrap_or(i32::MAX))
}

/// Sums for each function the names of the text that its own text contains, weighted by idf.
fn count_mentions(functions: &[Function<'_>], query: &Query) -> Vec<f64> {
    let names = |function: &Function<'_>| -> BTreeSet<String> {
        let found = NAME.find_iter(&function.text).map(|found| found.as_str());
        found.filter(|name| query.names.contains_key(*name)).map(str::to_owned).collect()
    };
    let mentioned: Vec<BTreeSet<String>> = functions.iter().map(names).collect();
    let mut frequencies: HashMap<&str, f64> = HashMap::new();
    mentioned.iter().flatten().for_each(|name| *frequencies.entry(name).or_default() += 1.0);
    let weigh = |name: &String| idf(functions.len() as f64, frequencies[name.as_str()]) * f64::from(query.names[name]);
    mentioned.iter().map(|names| names.iter().map(weigh).sum()).collect()
}
