//! The features of functions that compare them with the issue's text.

use std::collections::{BTreeSet, HashMap};

use patchwright_core::code_index::ExecutedFunction;
use rayon::prelude::*;

use super::{Function, FunctionFeature, FunctionTable, protocol};
use crate::lexical::{CountedWords, idf, overlap, score_documents};
use crate::pattern::pattern;
use crate::query::Query;
use crate::words::{Word, words_of};

/// How far above its first line the decorators of a function may begin.
const MAX_DECORATOR_LINES: u32 = 30;

pattern!(NAME, r"[A-Za-z_]\w*");

/// Adds the words that functions and their names share with the text.
pub(super) fn add_words(table: &mut FunctionTable<'_>, query: &Query) {
    let documents: Vec<CountedWords> = table.functions.iter().map(|function| function.words.clone()).collect();
    table.set(FunctionFeature::Words, score_documents(&documents, &query.all));
    let names: Vec<Vec<Word>> = table.functions.iter().map(|function| words_of(function.symbol.own_name())).collect();
    let names: Vec<&[Word]> = names.iter().map(Vec::as_slice).collect();
    table.set(FunctionFeature::NameTitle, overlap(&query.title, &names));
}

/// Adds the names and stack frames of the text that belong to functions.
pub(super) fn add_names(table: &mut FunctionTable<'_>, query: &Query) {
    let mut namesakes: HashMap<&str, f64> = HashMap::new();
    for function in &table.functions {
        *namesakes.entry(function.symbol.own_name()).or_default() += 1.0;
    }
    let by_name = |function: &Function<'_>| {
        let own = function.symbol.own_name();
        query.names.get(own).copied().map_or(0.0, f64::from) / namesakes[own].sqrt()
    };
    let files = table.files;
    let frame = |function: &Function<'_>| query.weigh_frame(&files[function.file].path, function.symbol.own_name());
    let quoted = |function: &Function<'_>| {
        let lines = function.text.lines().filter(|line| query.code_lines.contains(line.trim()));
        lines.fold(0.0, |sum, _| sum + 1.0)
    };
    let protocol = |function: &Function<'_>| protocol::score(query, function.symbol.own_name());
    let mut dotted: HashMap<&str, Vec<(&str, f64)>> = HashMap::new();
    for (name, count) in &query.dotted {
        let mut parts = name.rsplit('.');
        let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        dotted.entry(last).or_default().push((before, f64::from(count.min(3.0)).sqrt()));
    }
    let qualified = |function: &Function<'_>| qualify(&dotted, &files[function.file].path, function);
    let executed = |function: &Function<'_>| score_execution(query, &files[function.file].path, function);
    let columns: [(FunctionFeature, Vec<f64>); 8] = [
        (FunctionFeature::Named, table.functions.iter().map(by_name).collect()),
        (FunctionFeature::Qualified, table.functions.iter().map(qualified).collect()),
        (FunctionFeature::Protocol, table.functions.iter().map(protocol).collect()),
        (FunctionFeature::Frame, table.functions.iter().map(frame).collect()),
        (FunctionFeature::Executed, table.functions.iter().map(executed).collect()),
        (FunctionFeature::QuotedLines, table.functions.iter().map(|one| f64::sqrt(quoted(one))).collect()),
        (FunctionFeature::Mentions, sum_names(query, &table.functions, |function| &function.text)),
        (FunctionFeature::Parameters, sum_names(query, &table.functions, parameters)),
    ];
    for (feature, column) in columns {
        table.set(feature, column);
    }
}

/// Returns how much the run of the text's sample points to a function.
fn score_execution(query: &Query, path: &str, function: &Function<'_>) -> f64 {
    let (start, end) = function.symbol.lines;
    let is_it = |executed: &&ExecutedFunction| {
        let is_around = executed.line <= end && executed.line.saturating_add(MAX_DECORATOR_LINES) >= start;
        executed.path == path && executed.name == function.symbol.own_name() && is_around
    };
    query.executed.iter().filter(is_it).map(ExecutedFunction::value).fold(0.0, f64::max)
}

/// Returns the parameters of a function, as written.
fn parameters<'f>(function: &'f Function<'_>) -> &'f str {
    function.symbol.signature.split_once('(').map_or("", |(_, parameters)| parameters)
}

/// Returns how much the dotted names of the text, by their last parts, mean a function: after its class or its module.
fn qualify(dotted: &HashMap<&str, Vec<(&str, f64)>>, path: &str, function: &Function<'_>) -> f64 {
    let name = path.rsplit('/').next().unwrap_or(path);
    let module = name.split('.').next().unwrap_or_default();
    let is_meant = |before: &str| before.eq_ignore_ascii_case(function.class()) || before.eq_ignore_ascii_case(module);
    let same = dotted.get(function.symbol.own_name()).into_iter().flatten();
    same.filter(|(before, _)| is_meant(before)).map(|(_, weight)| *weight).fold(0.0, f64::max)
}

/// Sums for each function the names of the text that a part of its text contains, weighted by idf.
fn sum_names(query: &Query, functions: &[Function<'_>], part: for<'f> fn(&'f Function<'_>) -> &'f str) -> Vec<f64> {
    let names = |function: &Function<'_>| -> BTreeSet<String> {
        let found = NAME.find_iter(part(function)).map(|found| found.as_str());
        found.filter(|name| query.names.contains_key(*name)).map(str::to_owned).collect()
    };
    let mentioned: Vec<BTreeSet<String>> = functions.par_iter().map(names).collect();
    let mut frequencies: HashMap<&str, f64> = HashMap::new();
    mentioned.iter().flatten().for_each(|name| *frequencies.entry(name).or_default() += 1.0);
    let weigh = |name: &String| idf(functions.len() as f64, frequencies[name.as_str()]) * f64::from(query.names[name]);
    mentioned.iter().map(|names| names.iter().map(weigh).sum()).collect()
}
