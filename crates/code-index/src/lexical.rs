//! How alike two texts are: BM25 over files and over function-sized pieces of them, and shorter lists of words.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::index::Index;
use crate::scan::Kind;
use crate::words::{Word, words_of};

/// How telling it is that a word stands in so many of all places.
pub(crate) fn rarity(places: f64, found: f64) -> f64 {
    (1.0 + (places - found + 0.5) / (found + 0.5)).ln()
}

/// In how many places each word stands, where each place tells it once.
pub(crate) fn frequencies<'a>(words: impl Iterator<Item = &'a Word>) -> HashMap<Word, f64> {
    let mut frequencies = HashMap::new();
    for word in words {
        *frequencies.entry(*word).or_default() += 1.0;
    }
    frequencies
}

/// Words of the text in short lists of words, rare ones more.
pub(crate) fn overlap(query: &HashMap<Word, f32>, lists: &[&[Word]]) -> Vec<f64> {
    let found = frequencies(lists.iter().flat_map(|list| list.iter()).filter(|word| query.contains_key(word)));
    let total = lists.len() as f64;
    let weight = |word: &Word| {
        let times = query.get(word)?;
        Some(rarity(total, found[word]) * f64::from(times.min(3.0)).sqrt())
    };
    lists.iter().map(|list| list.iter().filter_map(weight).sum::<f64>() / (1.0 + 0.15 * list.len() as f64)).collect()
}

/// BM25 of the text against the names that each file defines.
pub(crate) fn defined_words(index: &Index, pool: &[usize], query: &HashMap<Word, f32>) -> Vec<f64> {
    let read = |file: &usize| {
        let (mut length, mut found) = (0.0, BTreeMap::new());
        let names = index.files[*file].scan.definitions.iter().filter(|(_, kind)| *kind != Kind::Qualified);
        for word in names.flat_map(|(name, _)| words_of(name)) {
            length += 1.0;
            if query.contains_key(&word) {
                *found.entry(word).or_insert(0.0) += 1.0;
            }
        }
        (length, found)
    };
    let files: Vec<(f64, BTreeMap<Word, f64>)> = pool.par_iter().map(read).collect();
    let known = frequencies(files.iter().flat_map(|(_, found)| found.keys()));
    let total = pool.len() as f64;
    let usual = files.iter().map(|(length, _)| length).sum::<f64>() / total + 1.0;
    let score = |(length, found): &(f64, BTreeMap<Word, f64>)| {
        let one = |(word, times): (&Word, &f64)| {
            heard(query[word]) * rarity(total, known[word]) * saturated(*times, *length, usual)
        };
        found.iter().map(one).sum()
    };
    files.iter().map(score).collect()
}

/// Which literals of the text stand in each file, rare ones more.
pub(crate) fn messages(index: &Index, pool: &[usize], literals: &HashSet<Word>) -> Vec<f64> {
    let found: Vec<Vec<Word>> = pool
        .par_iter()
        .map(|file| index.files[*file].scan.literals.iter().copied().filter(|one| literals.contains(one)).collect())
        .collect();
    let known = frequencies(found.iter().flatten());
    let total = pool.len() as f64;
    // The root: a long message is one message, however many threes of words it has.
    found.iter().map(|own| own.iter().map(|one| rarity(total, known[one])).sum::<f64>().sqrt()).collect()
}

/// BM25's usual constants.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What BM25 says of each file of a pool.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    /// The file as one text.
    pub(crate) whole: Vec<f64>,
    /// Its best piece.
    pub(crate) best: Vec<f64>,
    /// Its three best pieces together.
    pub(crate) three: Vec<f64>,
    /// How much of the text it holds at all, rare words more.
    pub(crate) share: Vec<f64>,
}

/// How much a word of the text counts that stands in it so often.
fn heard(times: f32) -> f64 {
    1.0 + f64::from(times).max(1e-9).ln().max(-1.5)
}

fn saturated(times: f64, length: f64, usual: f64) -> f64 {
    times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length / usual))
}

/// Scores the files of a pool.
pub(crate) fn bm25(index: &Index, pool: &[usize], query: &HashMap<Word, f32>) -> Scores {
    let mut words: Vec<(Word, f64)> = query.iter().map(|(word, times)| (*word, heard(*times))).collect();
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
    let mut scores = Scores::default();
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
        let (mut whole, mut share) = (0.0, 0.0);
        for (place, times) in of_file.iter().enumerate().filter(|(_, times)| **times > 0.0) {
            let rare = rarity(pool.len() as f64, in_files[place]);
            whole += words[place].1 * rare * saturated(*times, f64::from(file.length), per_file);
            share += rare;
        }
        scores.whole.push(whole);
        scores.share.push(share);
        of_pieces.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.best.push(of_pieces.first().copied().unwrap_or_default());
        scores.three.push(of_pieces.iter().take(3).sum());
    }
    scores
}
