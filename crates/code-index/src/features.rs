//! The features of the candidate files, from which the score is computed.

mod graph;
mod names;

use std::collections::{HashMap, HashSet};

use crate::call_graph::DefinitionTable;
use crate::history::{Changes, History};
use crate::index::Index;
use crate::lexical::{bm25, overlap, score_defined_words, score_messages};
use crate::model;
use crate::query::Query;
use crate::words::Word;

/// A feature of a file, in the order of the learned weights. "The text" is the title and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Feature {
    /// BM25 of the text against the file.
    Words,
    /// BM25 of the text against the file's best function-sized chunk.
    Chunk,
    /// BM25 of the title against the file's three best chunks.
    Title,
    /// The share of the title's words that the file contains, weighted by idf.
    TitleShare,
    /// BM25 of the text against the names that the file defines.
    DefinedWords,
    /// Words of the text in the path.
    Path,
    /// Words of the text in the file's name.
    FileName,
    /// The file's name as a word of the text.
    ExactName,
    /// The path in the text.
    Quoted,
    /// A stack frame in the file.
    Frame,
    /// A definition of the function of a stack frame.
    FrameDefinition,
    /// The file's module as a dotted name of the text.
    Module,
    /// A definition that a dotted name of the text refers to.
    Symbol,
    /// A definition of a `Class.method` of the text.
    Qualified,
    /// A definition of a name of the text.
    Definition,
    /// A message, flag or key of the text as a literal in the file.
    Message,
    /// Imports from and to files that match the text (random walk with restart).
    Neighbours,
    /// Tests that match the text and exercise the file.
    Tests,
    /// A definition that is called, over up to three steps, by those that the text names or describes.
    Called,
    /// Earlier changes of the file whose messages resemble the text.
    History,
    /// Earlier changes of the file whose messages resemble the title.
    HistoryTitle,
    /// Frequency of recent changes.
    Churn,
    /// How often the file was changed together with the most likely files.
    CoChange,
    /// Likely files in the same folder.
    Folder,
    /// A function that was executed while the text's sample ran, the more the later and the closer to its failure.
    Executed,
    /// Length of the file.
    Length,
    /// Documentation, examples, tools, generated and vendored files.
    Auxiliary,
}

impl Feature {
    /// All features in the order of their discriminants.
    pub const ALL: [Self; 27] = [
        Self::Words,
        Self::Chunk,
        Self::Title,
        Self::TitleShare,
        Self::DefinedWords,
        Self::Path,
        Self::FileName,
        Self::ExactName,
        Self::Quoted,
        Self::Frame,
        Self::FrameDefinition,
        Self::Module,
        Self::Symbol,
        Self::Qualified,
        Self::Definition,
        Self::Message,
        Self::Neighbours,
        Self::Tests,
        Self::Called,
        Self::History,
        Self::HistoryTitle,
        Self::Churn,
        Self::CoChange,
        Self::Folder,
        Self::Executed,
        Self::Length,
        Self::Auxiliary,
    ];

    /// Returns whether the values are used as they are. Other features are divided by their maximum.
    const fn is_absolute(self) -> bool {
        matches!(self, Self::Quoted | Self::Executed | Self::Length | Self::Auxiliary)
    }

    /// Returns whether the feature does not depend on the text.
    const fn is_independent_of_text(self) -> bool {
        matches!(self, Self::Length | Self::Auxiliary | Self::Churn)
    }

    /// Returns whether the feature is computed from the scores of the other features.
    const fn is_derived(self) -> bool {
        matches!(self, Self::CoChange | Self::Folder)
    }
}

/// Divides the values of a feature by the largest one, so that all features have one scale.
pub(crate) fn divide_by_maximum(column: &mut [f64]) {
    let max = column.iter().copied().fold(0.0, f64::max);
    if max > 0.0 {
        for value in column {
            *value /= max;
        }
    }
}

/// The features of all candidates.
#[derive(Debug)]
pub(crate) struct FeatureTable {
    /// The candidates, as indexes of files.
    pub(crate) pool: Vec<usize>,
    /// A column for each feature, in the order of the pool.
    columns: Vec<Vec<f64>>,
    /// The position of each file in the pool.
    positions: HashMap<usize, usize>,
    pub(crate) history: Option<History>,
    /// What the text says for the definitions of the candidates.
    pub(crate) definitions: DefinitionTable,
}

impl FeatureTable {
    pub(crate) fn new(index: &Index, query: &Query, changes: Option<&Changes>, pool: Vec<usize>) -> Self {
        let count = pool.len();
        let positions = pool.iter().enumerate().map(|(position, file)| (*file, position)).collect();
        let columns = vec![vec![0.0; count]; Feature::ALL.len()];
        let mut features = Self { pool, columns, positions, history: None, definitions: DefinitionTable::default() };
        if count == 0 {
            return features;
        }
        let all = bm25(index, &features.pool, &query.all);
        let title = bm25(index, &features.pool, &query.title);
        features.definitions = DefinitionTable::new(index, &features.pool, query, &all, &title);
        features.set(Feature::Called, features.definitions.called_files());
        features.set(Feature::Words, all.file);
        features.set(Feature::Chunk, all.best_chunk);
        features.set(Feature::Title, title.best_three);
        features.set(Feature::TitleShare, title.share);
        features.set(Feature::DefinedWords, score_defined_words(index, &features.pool, &query.all));
        features.set(Feature::Message, score_messages(index, &features.pool, &query.literals));
        features.add_paths(index, query);
        features.add_quotes(index, query);
        features.add_executed(index, query);
        features.add_dotted_names(index, query);
        features.add_names(index, query);
        features.add_neighbours(index, &title.file);
        features.add_tests(index, query);
        if let Some(changes) = changes {
            features.add_history(index, query, changes);
        }
        let lengths = features.pool.iter().map(|file| f64::from(index.files[*file].length).ln_1p() / 10.0).collect();
        features.set(Feature::Length, lengths);
        let auxiliary = features.pool.iter().map(|file| f64::from(u8::from(index.files[*file].is_auxiliary))).collect();
        features.set(Feature::Auxiliary, auxiliary);
        features.normalize(|feature| !feature.is_derived());
        features.add_derived(index);
        features.normalize(Feature::is_derived);
        features
    }

    pub(crate) fn get(&self, feature: Feature, position: usize) -> f64 {
        self.columns[feature as usize][position]
    }

    /// Returns whether the text matches a file in any way.
    pub(crate) fn has_evidence(&self, position: usize) -> bool {
        let is_evidence = |feature: &&Feature| !feature.is_independent_of_text() && !feature.is_derived();
        Feature::ALL.iter().filter(is_evidence).any(|feature| self.get(*feature, position) > 0.0)
    }

    /// Returns the features of one file.
    pub(crate) fn row(&self, position: usize) -> [f64; Feature::ALL.len()] {
        Feature::ALL.map(|feature| self.get(feature, position))
    }

    /// Returns the position of a file in the pool.
    fn position(&self, file: u32) -> Option<usize> {
        self.positions.get(&(file as usize)).copied()
    }

    fn set(&mut self, feature: Feature, column: Vec<f64>) {
        self.columns[feature as usize] = column;
    }

    fn add(&mut self, feature: Feature, position: usize, value: f64) {
        self.columns[feature as usize][position] += value;
    }

    fn raise(&mut self, feature: Feature, position: usize, value: f64) {
        let known = &mut self.columns[feature as usize][position];
        *known = known.max(value);
    }

    fn normalize(&mut self, selects: impl Fn(Feature) -> bool) {
        for feature in Feature::ALL.into_iter().filter(|feature| !feature.is_absolute() && selects(*feature)) {
            divide_by_maximum(&mut self.columns[feature as usize]);
        }
    }

    fn add_paths(&mut self, index: &Index, query: &Query) {
        let paths: Vec<&[Word]> = self.pool.iter().map(|file| index.files[*file].path_words.as_slice()).collect();
        self.set(Feature::Path, overlap(&query.all, &paths));
        let names: Vec<&[Word]> = self.pool.iter().map(|file| index.files[*file].name_words.as_slice()).collect();
        self.set(Feature::FileName, overlap(&query.all, &names));
        let mut files_by_stem: HashMap<&str, f64> = HashMap::new();
        for file in &self.pool {
            *files_by_stem.entry(index.files[*file].stem.as_str()).or_default() += 1.0;
        }
        let column = self.pool.iter().map(|file| {
            let stem = index.files[*file].stem.as_str();
            let Some(count) = query.plain.get(stem).filter(|_| stem.len() > 2) else { return 0.0 };
            let in_title = query.plain_title.iter().any(|word| word == stem);
            (f64::from(count.min(5.0)).sqrt() + if in_title { 2.0 } else { 0.0 }) / files_by_stem[stem].sqrt()
        });
        let column = column.collect();
        self.set(Feature::ExactName, column);
    }

    fn add_quotes(&mut self, index: &Index, query: &Query) {
        for (path, count) in &query.paths {
            let (files, depth) = index.modules.resolve(path);
            let share = if depth > 1 { 1.0 } else { 0.6 } / files.len().max(1) as f64;
            let share = if *count >= 2.0 { share * 1.5 } else { share };
            for file in files {
                let Some(position) = self.position(*file) else { continue };
                self.raise(Feature::Quoted, position, share);
            }
        }
        let (mut share, mut known) = (1.0, HashSet::new());
        for (path, function) in &query.frames {
            let (files, depth) = index.modules.resolve(path);
            let [first, rest @ ..] = files else { continue };
            let Some(position) = self.position(*first) else { continue };
            if depth < 2 && !rest.is_empty() {
                continue;
            }
            let defines = |name: &String| index.defines(*first as usize, name);
            if function.as_ref().is_some_and(defines) {
                self.raise(Feature::FrameDefinition, position, share);
            }
            // Several frames of one file count once.
            if known.insert(*first) {
                self.add(Feature::Frame, position, share);
                share *= 0.8;
            }
        }
    }

    fn add_executed(&mut self, index: &Index, query: &Query) {
        for function in &query.executed {
            let position = index.position(&function.path).and_then(|file| self.positions.get(&file).copied());
            if let Some(position) = position {
                self.raise(Feature::Executed, position, function.value());
            }
        }
    }

    fn add_history(&mut self, index: &Index, query: &Query, changes: &Changes) {
        let position = |path: &str| index.position(path).and_then(|file| self.positions.get(&file).copied());
        let mut history = History::new(changes, &query.all, &query.title, self.pool.len(), position);
        self.set(Feature::History, std::mem::take(&mut history.best));
        self.set(Feature::HistoryTitle, std::mem::take(&mut history.title));
        self.set(Feature::Churn, std::mem::take(&mut history.churn));
        self.history = Some(history);
    }

    /// Adds the features that depend on how likely the other features make each file.
    fn add_derived(&mut self, index: &Index) {
        let scores: Vec<f64> = (0..self.pool.len()).map(|position| model::score(&self.row(position))).collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let odds: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
        let sum: f64 = odds.iter().sum();
        let likelihoods: Vec<f64> = odds.into_iter().map(|odds| odds / sum).collect();
        self.set(Feature::Folder, self.score_folders(index, &likelihoods));
        if let Some(history) = &self.history {
            self.set(Feature::CoChange, history.score_co_changes(&likelihoods));
        }
    }
}
