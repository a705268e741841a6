//! Every file of the pool in numbers: what each kind of sign says of it.

mod graph;
mod names;

use std::collections::HashMap;

use crate::history::{Changes, Past};
use crate::index::Index;
use crate::lexical::{bm25, defined_words, messages, overlap};
use crate::model;
use crate::query::Query;
use crate::words::Word;

/// The signs, in the order of the weights that are learned for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Sign {
    /// BM25 of the whole text against the file.
    Words,
    /// The best function-sized piece for the whole text.
    Piece,
    /// The three best pieces for the title.
    Title,
    /// How much of the title the file holds at all.
    TitleShare,
    /// BM25 of the whole text against the names that the file defines.
    DefinedWords,
    /// Words of the text in the path.
    Path,
    /// Words of the text in the file's name.
    FileName,
    /// The file's name stands in the text by itself.
    ExactName,
    /// The text quotes the path.
    Quoted,
    /// A stack frame is in it.
    Frame,
    /// It defines the function of a frame.
    FrameDefinition,
    /// A dotted name means it.
    Module,
    /// A dotted name means something that it defines.
    Symbol,
    /// It defines a `Class.method` of the text.
    Qualified,
    /// It defines a name of the text.
    Definition,
    /// A message, flag or key of the text stands in it as a literal.
    Message,
    /// Files that speak of it import it, or it imports them.
    Neighbours,
    /// Tests that speak of it exercise it.
    Tests,
    /// A change for a reason that sounds alike touched it.
    Past,
    /// The same for the title.
    PastTitle,
    /// It was changed often of late.
    Churn,
    /// It was changed together with the likeliest files.
    Together,
    /// The likeliest files lie beside it.
    Folder,
    /// How long it is.
    Length,
    /// It is documentation, an example, a tool or somebody else's.
    Aside,
}

impl Sign {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::Words,
        Self::Piece,
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
        Self::Past,
        Self::PastTitle,
        Self::Churn,
        Self::Together,
        Self::Folder,
        Self::Length,
        Self::Aside,
    ];

    /// Whether it is taken as it is; the others are divided by the most that any file has.
    const fn is_absolute(self) -> bool {
        matches!(self, Self::Quoted | Self::Length | Self::Aside)
    }

    /// Whether it says of a file what it is, not that the text speaks of it.
    const fn is_of_the_file_alone(self) -> bool {
        matches!(self, Self::Length | Self::Aside | Self::Churn)
    }

    /// Whether it begins at the files that all others make likeliest.
    const fn is_second(self) -> bool {
        matches!(self, Self::Together | Self::Folder)
    }
}

/// The numbers of all files of a pool.
#[derive(Debug)]
pub(crate) struct Features {
    /// Which files, by their places in the index.
    pub(crate) pool: Vec<usize>,
    /// A column for each sign, in the order of the pool.
    columns: Vec<Vec<f64>>,
    /// Where each file of the index stands in the pool.
    places: HashMap<usize, usize>,
    /// What the past says, where there is one.
    pub(crate) past: Option<Past>,
}

impl Features {
    pub(crate) fn new(index: &Index, query: &Query, changes: Option<&Changes>, pool: Vec<usize>) -> Self {
        let count = pool.len();
        let places = pool.iter().enumerate().map(|(place, file)| (*file, place)).collect();
        let mut features = Self { pool, columns: vec![vec![0.0; count]; Sign::ALL.len()], places, past: None };
        if count == 0 {
            return features;
        }
        let all = bm25(index, &features.pool, &query.all);
        let title = bm25(index, &features.pool, &query.title);
        features.set(Sign::Words, all.whole);
        features.set(Sign::Piece, all.best);
        features.set(Sign::Title, title.three);
        features.set(Sign::TitleShare, title.share);
        features.set(Sign::DefinedWords, defined_words(index, &features.pool, &query.all));
        features.set(Sign::Message, messages(index, &features.pool, &query.literals));
        features.of_paths(index, query);
        features.of_quotes(index, query);
        features.of_dotted_names(index, query);
        features.of_names(index, query);
        features.of_neighbours(index, &title.whole);
        features.of_tests(index, query);
        if let Some(changes) = changes {
            features.of_past(index, query, changes);
        }
        let lengths = features.pool.iter().map(|file| f64::from(index.files[*file].length).ln_1p() / 10.0).collect();
        features.set(Sign::Length, lengths);
        let aside = features.pool.iter().map(|file| f64::from(u8::from(index.files[*file].is_aside))).collect();
        features.set(Sign::Aside, aside);
        features.normalise(|sign| !sign.is_second());
        features.of_likeliest(index);
        features.normalise(Sign::is_second);
        features
    }

    pub(crate) fn get(&self, sign: Sign, place: usize) -> f64 {
        self.columns[sign as usize][place]
    }

    /// Whether anything points to a file beside what it is.
    pub(crate) fn has_sign(&self, place: usize) -> bool {
        let points = |sign: &&Sign| !sign.is_of_the_file_alone() && !sign.is_second();
        Sign::ALL.iter().filter(points).any(|sign| self.get(*sign, place) > 0.0)
    }

    /// The numbers of one file.
    pub(crate) fn row(&self, place: usize) -> [f64; Sign::ALL.len()] {
        Sign::ALL.map(|sign| self.get(sign, place))
    }

    /// Where a file of the index stands in the pool.
    fn place(&self, file: u32) -> Option<usize> {
        self.places.get(&(file as usize)).copied()
    }

    fn set(&mut self, sign: Sign, column: Vec<f64>) {
        self.columns[sign as usize] = column;
    }

    fn add(&mut self, sign: Sign, place: usize, value: f64) {
        self.columns[sign as usize][place] += value;
    }

    fn raise(&mut self, sign: Sign, place: usize, value: f64) {
        let known = &mut self.columns[sign as usize][place];
        *known = known.max(value);
    }

    fn normalise(&mut self, which: impl Fn(Sign) -> bool) {
        for sign in Sign::ALL.into_iter().filter(|sign| !sign.is_absolute() && which(*sign)) {
            let column = &mut self.columns[sign as usize];
            let most = column.iter().copied().fold(0.0, f64::max);
            if most > 0.0 {
                for value in column {
                    *value /= most;
                }
            }
        }
    }

    fn of_paths(&mut self, index: &Index, query: &Query) {
        let paths: Vec<&[Word]> = self.pool.iter().map(|file| index.files[*file].path_words.as_slice()).collect();
        self.set(Sign::Path, overlap(&query.all, &paths));
        let names: Vec<&[Word]> = self.pool.iter().map(|file| index.files[*file].name_words.as_slice()).collect();
        self.set(Sign::FileName, overlap(&query.all, &names));
        let mut alike: HashMap<&str, f64> = HashMap::new();
        for file in &self.pool {
            *alike.entry(index.files[*file].stem.as_str()).or_default() += 1.0;
        }
        let column = self.pool.iter().map(|file| {
            let stem = index.files[*file].stem.as_str();
            let Some(times) = query.plain.get(stem).filter(|_| stem.len() > 2) else { return 0.0 };
            let in_title = query.plain_title.iter().any(|word| word == stem);
            (f64::from(times.min(5.0)).sqrt() + if in_title { 2.0 } else { 0.0 }) / alike[stem].sqrt()
        });
        let column = column.collect();
        self.set(Sign::ExactName, column);
    }

    fn of_quotes(&mut self, index: &Index, query: &Query) {
        for (path, times) in &query.paths {
            let (files, depth) = index.modules.resolve(path);
            let share = if depth > 1 { 1.0 } else { 0.6 } / files.len().max(1) as f64;
            let share = if *times >= 2.0 { share * 1.5 } else { share };
            for file in files {
                let Some(place) = self.place(*file) else { continue };
                self.raise(Sign::Quoted, place, share);
            }
        }
        let mut share = 1.0;
        for (path, function) in &query.frames {
            let (files, depth) = index.modules.resolve(path);
            let [first, rest @ ..] = files else { continue };
            let Some(place) = self.place(*first) else { continue };
            if depth < 2 && !rest.is_empty() {
                continue;
            }
            self.add(Sign::Frame, place, share);
            let defines = |name: &String| index.defines(*first as usize, name);
            if function.as_ref().is_some_and(defines) {
                self.raise(Sign::FrameDefinition, place, share);
            }
            share *= 0.8;
        }
    }

    fn of_past(&mut self, index: &Index, query: &Query, changes: &Changes) {
        let place = |path: &str| index.place(path).and_then(|file| self.places.get(&file).copied());
        let mut past = Past::new(changes, &query.all, &query.title, self.pool.len(), place);
        self.set(Sign::Past, std::mem::take(&mut past.best));
        self.set(Sign::PastTitle, std::mem::take(&mut past.title));
        self.set(Sign::Churn, std::mem::take(&mut past.churn));
        self.past = Some(past);
    }

    /// What follows from the files that all other signs make likeliest.
    fn of_likeliest(&mut self, index: &Index) {
        let scores: Vec<f64> = (0..self.pool.len()).map(|place| model::score(&self.row(place))).collect();
        let most = scores.iter().copied().fold(f64::MIN, f64::max);
        let odds: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = odds.iter().sum();
        let likely: Vec<f64> = odds.into_iter().map(|odds| odds / sum).collect();
        self.set(Sign::Folder, self.beside(index, &likely));
        if let Some(past) = &self.past {
            self.set(Sign::Together, past.together(&likely));
        }
    }
}
