//! Lexical similarity: BM25 over files and over function-sized chunks, and overlap of short lists of words.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::index::Index;
use crate::scan::Kind;
use crate::words::{Word, words_of};

/// Returns the inverse document frequency of a word in `found` of `total` documents, as BM25 defines it.
pub(crate) fn idf(total: f64, found: f64) -> f64 {
    (1.0 + (total - found + 0.5) / (found + 0.5)).ln()
}

/// Counts the documents of each word. The iterator yields the distinct words of each document.
pub(crate) fn document_frequencies<'a>(words: impl Iterator<Item = &'a Word>) -> HashMap<Word, f64> {
    let mut frequencies = HashMap::new();
    for word in words {
        *frequencies.entry(*word).or_default() += 1.0;
    }
    frequencies
}

/// Scores short lists of words by the words that they share with the text, weighted by idf.
pub(crate) fn overlap(query: &HashMap<Word, f32>, lists: &[&[Word]]) -> Vec<f64> {
    let found = document_frequencies(lists.iter().flat_map(|list| list.iter()).filter(|word| query.contains_key(word)));
    let total = lists.len() as f64;
    let weight = |word: &Word| {
        let count = query.get(word)?;
        Some(idf(total, found[word]) * f64::from(count.min(3.0)).sqrt())
    };
    lists.iter().map(|list| list.iter().filter_map(weight).sum::<f64>() / (1.0 + 0.15 * list.len() as f64)).collect()
}

/// Scores files by BM25 of the text against the names that they define.
pub(crate) fn score_defined_words(index: &Index, pool: &[usize], query: &HashMap<Word, f32>) -> Vec<f64> {
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
    let files: Vec<CountedWords> = pool.par_iter().map(read).collect();
    score_documents(&files, query)
}

/// The length of a document in words, and the counts of those that a text can ask for. They are sorted, so that sums are
/// reproducible to the last digit.
pub(crate) type CountedWords = (f64, BTreeMap<Word, f64>);

/// Scores documents by BM25 of a text.
pub(crate) fn score_documents(documents: &[CountedWords], query: &HashMap<Word, f32>) -> Vec<f64> {
    let frequencies = document_frequencies(documents.iter().flat_map(|(_, found)| found.keys()));
    let total = documents.len() as f64;
    let average = documents.iter().map(|(length, _)| length).sum::<f64>() / total + 1.0;
    let score = |(length, found): &CountedWords| {
        let term = |(word, count): (&Word, &f64)| {
            let weight = query_weight(*query.get(word)?);
            Some(weight * idf(total, frequencies[word]) * saturate(*count, *length, average))
        };
        found.iter().filter_map(term).sum()
    };
    documents.iter().map(score).collect()
}

/// Scores files by the literals of the text that they contain, weighted by idf.
pub(crate) fn score_messages(index: &Index, pool: &[usize], literals: &HashSet<Word>) -> Vec<f64> {
    let found: Vec<Vec<Word>> = pool
        .par_iter()
        .map(|file| index.files[*file].scan.literals.iter().copied().filter(|one| literals.contains(one)).collect())
        .collect();
    let frequencies = document_frequencies(found.iter().flatten());
    let total = pool.len() as f64;
    // The square root, because a long message consists of many trigrams and is still one message.
    found.iter().map(|own| own.iter().map(|one| idf(total, frequencies[one])).sum::<f64>().sqrt()).collect()
}

/// The usual constants of BM25.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The BM25 scores of the files of a pool.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    /// The score of the whole file.
    pub(crate) file: Vec<f64>,
    /// The score of the best chunk.
    pub(crate) best_chunk: Vec<f64>,
    /// The sum of the scores of the three best chunks.
    pub(crate) best_three: Vec<f64>,
    /// The score of every chunk.
    pub(crate) chunks: Vec<Vec<f64>>,
    /// The summed inverse document frequencies of the words that the file contains.
    pub(crate) share: Vec<f64>,
}

/// Returns the weight of a word that occurs `count` times in the text.
fn query_weight(count: f32) -> f64 {
    1.0 + f64::from(count).max(1e-9).ln().max(-1.5)
}

/// Returns the term frequency part of BM25 for a document of `length` words.
fn saturate(count: f64, length: f64, average: f64) -> f64 {
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / average))
}

/// Scores the files of a pool for the words of a text.
pub(crate) fn bm25(index: &Index, pool: &[usize], query: &HashMap<Word, f32>) -> Scores {
    let mut words: Vec<(Word, f64)> = query.iter().map(|(word, count)| (*word, query_weight(*count))).collect();
    words.sort_unstable_by_key(|(word, _)| *word);
    // For each file, the matching words with chunk and count. Binary search, because a text has fewer words than a file.
    let found: Vec<Vec<(usize, u16, f64)>> = pool
        .par_iter()
        .map(|file| {
            let own = &index.files[*file].scan.words;
            let mut found = Vec::new();
            for (position, (word, _)) in words.iter().enumerate() {
                let start = own.partition_point(|(other, ..)| other < word);
                let same = own[start..].iter().take_while(|(other, ..)| other == word);
                found.extend(same.map(|(_, chunk, count)| (position, *chunk, f64::from(*count))));
            }
            found
        })
        .collect();
    let (mut in_chunks, mut in_files) = (vec![0.0; words.len()], vec![0.0; words.len()]);
    for file in &found {
        let mut last = usize::MAX;
        for (position, ..) in file {
            in_chunks[*position] += 1.0;
            if *position != last {
                in_files[*position] += 1.0;
                last = *position;
            }
        }
    }
    let chunks = pool.iter().map(|file| index.files[*file].scan.chunks.len()).sum::<usize>() as f64;
    let length: f64 = pool.iter().map(|file| f64::from(index.files[*file].length)).sum();
    let (per_chunk, per_file) = ((length / chunks.max(1.0)).max(1.0), (length / pool.len() as f64).max(1.0));
    let mut scores = Scores::default();
    for (file, found) in pool.iter().zip(&found) {
        let file = &index.files[*file];
        let mut of_chunks = vec![0.0; file.scan.chunks.len()];
        let mut of_file = vec![0.0; words.len()];
        for (position, chunk, count) in found {
            let length = f64::from(file.scan.chunks[usize::from(*chunk)]);
            of_chunks[usize::from(*chunk)] +=
                words[*position].1 * idf(chunks, in_chunks[*position]) * saturate(*count, length, per_chunk);
            of_file[*position] += count;
        }
        let (mut score, mut share) = (0.0, 0.0);
        for (position, count) in of_file.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let idf = idf(pool.len() as f64, in_files[position]);
            score += words[position].1 * idf * saturate(*count, f64::from(file.length), per_file);
            share += idf;
        }
        scores.file.push(score);
        scores.share.push(share);
        let mut best = of_chunks.clone();
        scores.chunks.push(of_chunks);
        best.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.best_chunk.push(best.first().copied().unwrap_or_default());
        scores.best_three.push(best.iter().take(3).sum());
    }
    scores
}
