//! Every file of the pool in numbers: what each kind of sign says of it.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::history::{History, Past};
use crate::index::Index;
use crate::query::Query;
use crate::scan::Kind;
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
    /// Files that speak of it import it, or it imports them.
    Neighbours,
    /// A change for a reason that sounds alike touched it.
    Past,
    /// The same for the title.
    PastTitle,
    /// How long it is.
    Length,
    /// It is documentation, an example, a tool or somebody else's.
    Aside,
}

impl Sign {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Words,
        Self::Piece,
        Self::Title,
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
        Self::Neighbours,
        Self::Past,
        Self::PastTitle,
        Self::Length,
        Self::Aside,
    ];

    /// Whether it is taken as it is; the others are divided by the most that any file has.
    const fn is_absolute(self) -> bool {
        matches!(self, Self::Quoted | Self::Length | Self::Aside)
    }
}

/// How many files are seeds of the walk over imports, and how many steps it takes.
const SEEDS: usize = 25;
const STEPS: usize = 6;

/// The numbers of all files of a pool.
#[derive(Debug)]
pub(crate) struct Features {
    /// Which files, by their places in the index.
    pub(crate) pool: Vec<usize>,
    /// A column for each sign, in the order of the pool.
    columns: Vec<Vec<f64>>,
    /// What the past says, where there is one.
    pub(crate) past: Option<Past>,
}

impl Features {
    pub(crate) fn new(index: &Index, query: &Query, history: Option<&dyn History>, pool: Vec<usize>) -> Self {
        let count = pool.len();
        let mut features = Self { pool, columns: vec![vec![0.0; count]; Sign::ALL.len()], past: None };
        if count == 0 {
            return features;
        }
        let (whole, pieces, _) = bm25(index, &features.pool, &query.all);
        let (title_whole, _, title_three) = bm25(index, &features.pool, &query.title);
        features.set(Sign::Words, whole);
        features.set(Sign::Piece, pieces);
        features.set(Sign::Title, title_three);
        features.of_paths(index, query);
        features.of_quotes(index, query);
        features.of_dotted_names(index, query);
        features.of_names(index, query);
        features.of_neighbours(index, &title_whole);
        if let Some(history) = history {
            features.of_past(index, query, history);
        }
        let lengths = features.pool.iter().map(|file| f64::from(index.files[*file].length).ln_1p() / 10.0).collect();
        features.set(Sign::Length, lengths);
        let aside = features.pool.iter().map(|file| f64::from(u8::from(index.files[*file].is_aside))).collect();
        features.set(Sign::Aside, aside);
        for sign in Sign::ALL.into_iter().filter(|sign| !sign.is_absolute()) {
            normalise(&mut features.columns[sign as usize]);
        }
        features
    }

    pub(crate) fn get(&self, sign: Sign, place: usize) -> f64 {
        self.columns[sign as usize][place]
    }

    /// Whether anything points to a file beside what it is.
    pub(crate) fn has_sign(&self, place: usize) -> bool {
        let points = |sign: &Sign| !matches!(sign, Sign::Length | Sign::Aside);
        Sign::ALL.iter().filter(|sign| points(sign)).any(|sign| self.get(*sign, place) > 0.0)
    }

    /// The numbers of one file.
    pub(crate) fn row(&self, place: usize) -> [f64; Sign::ALL.len()] {
        Sign::ALL.map(|sign| self.get(sign, place))
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

    /// Where each file of the index stands in the pool.
    fn places(&self) -> HashMap<usize, usize> {
        self.pool.iter().enumerate().map(|(place, file)| (*file, place)).collect()
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
        let places = self.places();
        for (path, times) in &query.paths {
            let (files, depth) = index.modules.resolve(path);
            let share = if depth > 1 { 1.0 } else { 0.6 } / files.len().max(1) as f64;
            let share = if *times >= 2.0 { share * 1.5 } else { share };
            for place in files.iter().filter_map(|file| places.get(&(*file as usize))) {
                self.raise(Sign::Quoted, *place, share);
            }
        }
        let mut share = 1.0;
        for (path, function) in &query.frames {
            let (files, depth) = index.modules.resolve(path);
            let [first, rest @ ..] = files else { continue };
            let Some(place) = places.get(&(*first as usize)) else { continue };
            if depth < 2 && !rest.is_empty() {
                continue;
            }
            self.add(Sign::Frame, *place, share);
            let defines = |name: &String| index.defines(*first as usize, name);
            if function.as_ref().is_some_and(defines) {
                self.raise(Sign::FrameDefinition, *place, share);
            }
            share *= 0.8;
        }
    }

    fn of_dotted_names(&mut self, index: &Index, query: &Query) {
        let places = self.places();
        for (name, times) in &query.dotted {
            let weight = f64::from(times.min(3.0)).sqrt();
            let parts: Vec<&str> = name.split('.').collect();
            let found =
                (1..=parts.len()).rev().find_map(|keep| Some((index.modules.get(&parts[..keep].join("."))?, keep)));
            match found {
                Some((file, keep)) => {
                    let rest = &parts[keep..];
                    if let Some(place) = places.get(&(file as usize))
                        && (keep > 1 || rest.is_empty())
                    {
                        self.raise(Sign::Module, *place, if keep > 1 { weight } else { weight * 0.3 });
                    }
                    self.symbol_in(index, &places, file as usize, rest, weight);
                }
                None if parts.len() > 1 => {
                    let tail = format!("{}.{}", parts[parts.len() - 2], parts[parts.len() - 1]);
                    self.share(Sign::Qualified, &places, index.defining(&tail), weight);
                    for file in index.modules.ending_with(name, &index.paths) {
                        if let Some(place) = places.get(&(file as usize)) {
                            self.raise(Sign::Module, *place, 0.7);
                        }
                    }
                }
                None => {}
            }
        }
    }

    /// What a dotted name names in a module: there, or below the package that gives it out again.
    fn symbol_in(&mut self, index: &Index, places: &HashMap<usize, usize>, file: usize, rest: &[&str], weight: f64) {
        let [name, others @ ..] = rest else { return };
        if index.defines(file, name) {
            if let Some(place) = places.get(&file) {
                self.add(Sign::Symbol, *place, weight);
            }
        } else if let Some(folder) = index.paths[file].strip_suffix("__init__.py") {
            let below = |found: &&(u32, Kind)| index.paths[found.0 as usize].starts_with(folder);
            let found: Vec<(u32, Kind)> = index.defining(name).iter().filter(below).copied().collect();
            let strong: Vec<(u32, Kind)> =
                found.iter().filter(|(_, kind)| matches!(kind, Kind::Class | Kind::Function)).copied().collect();
            self.share(Sign::Symbol, places, if strong.is_empty() { &found } else { &strong }, weight);
        }
        for other in others {
            self.share(Sign::Symbol, places, index.defining(&format!("{name}.{other}")), weight);
        }
    }

    /// Files that have something in common share its weight.
    fn share(&mut self, sign: Sign, places: &HashMap<usize, usize>, found: &[(u32, Kind)], weight: f64) {
        let files: HashSet<usize> =
            found.iter().filter_map(|(file, _)| places.get(&(*file as usize)).copied()).collect();
        for place in &files {
            self.add(sign, *place, weight / files.len() as f64);
        }
    }

    fn of_names(&mut self, index: &Index, query: &Query) {
        let places = self.places();
        let total = self.pool.len() as f64;
        for (name, weight) in &query.names {
            let found: Vec<(usize, Kind)> = index
                .defining(name)
                .iter()
                .filter_map(|(file, kind)| Some((*places.get(&(*file as usize))?, *kind)))
                .collect();
            let files = found.iter().map(|(place, _)| place).collect::<HashSet<_>>().len();
            if files == 0 {
                continue;
            }
            let rarity = (1.0 + total / files as f64).ln() / (1.0 + total).ln();
            let score = f64::from(*weight) * rarity.powi(2);
            for (place, kind) in found {
                let share = match kind {
                    Kind::Class => 1.2,
                    Kind::Function => 1.0,
                    Kind::Method | Kind::Constant => 0.42,
                    Kind::Qualified => 0.0,
                };
                self.raise(Sign::Definition, place, share * score);
            }
        }
    }

    /// A walk over imports that begins anew, half of the time, at the files that most signs point to.
    fn of_neighbours(&mut self, index: &Index, title: &[f64]) {
        let scaled = |column: &[f64], weight: f64| {
            let most = column.iter().copied().fold(0.0, f64::max);
            column.iter().map(|value| if most > 0.0 { value / most * weight } else { 0.0 }).collect::<Vec<f64>>()
        };
        let parts = [
            (Sign::Piece, 1.0),
            (Sign::Definition, 1.0),
            (Sign::Quoted, 1.0),
            (Sign::Frame, 1.0),
            (Sign::Module, 0.5),
            (Sign::Symbol, 0.7),
            (Sign::ExactName, 0.5),
        ];
        let mut seed = scaled(title, 0.5);
        for (sign, weight) in parts {
            for (sum, value) in seed.iter_mut().zip(scaled(&self.columns[sign as usize], weight)) {
                *sum += value;
            }
        }
        let mut order: Vec<usize> = (0..seed.len()).collect();
        order.sort_by(|a, b| seed[*b].total_cmp(&seed[*a]).then(a.cmp(b)));
        for place in order.into_iter().skip(SEEDS) {
            seed[place] = 0.0;
        }
        let sum: f64 = seed.iter().sum();
        if sum <= 0.0 {
            return;
        }
        for value in &mut seed {
            *value /= sum;
        }
        let places = self.places();
        let near: Vec<Vec<usize>> = self
            .pool
            .iter()
            .map(|file| {
                index.neighbours[*file].iter().filter_map(|other| places.get(&(*other as usize)).copied()).collect()
            })
            .collect();
        let mut now = seed.clone();
        for _ in 0..STEPS {
            let mut next = vec![0.0; now.len()];
            for (place, others) in near.iter().enumerate() {
                let share = now[place] / others.len().max(1) as f64;
                for other in others {
                    next[*other] += share;
                }
            }
            now = next.iter().zip(&seed).map(|(walked, seed)| 0.5 * walked + 0.5 * seed).collect();
        }
        self.set(Sign::Neighbours, now);
    }

    fn of_past(&mut self, index: &Index, query: &Query, history: &dyn History) {
        let places = self.places();
        let place = |path: &str| index.place(path).and_then(|file| places.get(&file).copied());
        let mut past = Past::new(history, &query.all, &query.title, self.pool.len(), place);
        self.set(Sign::Past, std::mem::take(&mut past.best));
        self.set(Sign::PastTitle, std::mem::take(&mut past.title));
        self.past = Some(past);
    }
}

fn normalise(column: &mut [f64]) {
    let most = column.iter().copied().fold(0.0, f64::max);
    if most > 0.0 {
        for value in column {
            *value /= most;
        }
    }
}

/// How telling it is that a word stands in so many of all places.
fn rarity(places: f64, found: f64) -> f64 {
    (1.0 + (places - found + 0.5) / (found + 0.5)).ln()
}

/// Words of the text in short lists of words, rare ones more.
fn overlap(query: &HashMap<Word, f32>, lists: &[&[Word]]) -> Vec<f64> {
    let mut found: HashMap<Word, f64> = HashMap::new();
    for word in lists.iter().flat_map(|list| list.iter()).filter(|word| query.contains_key(word)) {
        *found.entry(*word).or_default() += 1.0;
    }
    let total = lists.len() as f64;
    let weight = |word: &Word| {
        let times = query.get(word)?;
        Some(rarity(total, found[word]) * f64::from(times.min(3.0)).sqrt())
    };
    lists.iter().map(|list| list.iter().filter_map(weight).sum::<f64>() / (1.0 + 0.15 * list.len() as f64)).collect()
}

/// BM25's usual constants.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// For each file of the pool: its own score, that of its best piece, and those of its three best together.
fn bm25(index: &Index, pool: &[usize], query: &HashMap<Word, f32>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut words: Vec<(Word, f64)> =
        query.iter().map(|(word, times)| (*word, 1.0 + f64::from(*times).max(1e-9).ln().max(-1.5))).collect();
    words.sort_unstable_by_key(|(word, _)| *word);
    // Which of the words, in which piece, how often: by halving, for a text has fewer words than a file.
    let found: Vec<Vec<(usize, u16, f64)>> = pool
        .par_iter()
        .map(|file| {
            let own = &index.files[*file].scan.words;
            let mut found = Vec::new();
            for (place, (word, _)) in words.iter().enumerate() {
                let from = own.partition_point(|(other, ..)| other < word);
                let same = own[from..].iter().take_while(|(other, ..)| other == word);
                found.extend(same.map(|(_, piece, times)| (place, *piece, f64::from(*times))));
            }
            found
        })
        .collect();
    let (mut in_pieces, mut in_files) = (vec![0.0; words.len()], vec![0.0; words.len()]);
    for file in &found {
        let mut last = usize::MAX;
        for (place, ..) in file {
            in_pieces[*place] += 1.0;
            if *place != last {
                in_files[*place] += 1.0;
                last = *place;
            }
        }
    }
    let pieces = pool.iter().map(|file| index.files[*file].scan.pieces.len()).sum::<usize>() as f64;
    let length: f64 = pool.iter().map(|file| f64::from(index.files[*file].length)).sum();
    let (per_piece, per_file) = ((length / pieces.max(1.0)).max(1.0), (length / pool.len() as f64).max(1.0));
    let saturated =
        |times: f64, length: f64, usual: f64| times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length / usual));
    let mut scores = (Vec::new(), Vec::new(), Vec::new());
    for (file, found) in pool.iter().zip(&found) {
        let file = &index.files[*file];
        let mut of_pieces = vec![0.0; file.scan.pieces.len()];
        let mut of_file = vec![0.0; words.len()];
        for (place, piece, times) in found {
            let length = f64::from(file.scan.pieces[usize::from(*piece)]);
            of_pieces[usize::from(*piece)] +=
                words[*place].1 * rarity(pieces, in_pieces[*place]) * saturated(*times, length, per_piece);
            of_file[*place] += times;
        }
        let whole = of_file.iter().enumerate().filter(|(_, times)| **times > 0.0).map(|(place, times)| {
            let rare = rarity(pool.len() as f64, in_files[place]);
            words[place].1 * rare * saturated(*times, f64::from(file.length), per_file)
        });
        scores.0.push(whole.sum());
        of_pieces.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.1.push(of_pieces.first().copied().unwrap_or_default());
        scores.2.push(of_pieces.iter().take(3).sum());
    }
    scores
}
