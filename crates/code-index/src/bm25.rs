//! BM25 over words.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::tokens::for_each_word;

/// How fast a repeated word stops counting.
const K1: f32 = 1.2;
/// How much long files are held back.
const B: f32 = 0.75;
/// How often the words of the path count.
const PATH_WEIGHT: u32 = 6;

/// An inverted index.
#[derive(Debug, Default)]
pub(crate) struct Bm25 {
    postings: HashMap<String, Vec<(u32, u32)>>,
    lengths: Vec<u32>,
    average: f32,
}

impl Bm25 {
    /// Indexes documents given as (path, text).
    pub(crate) fn build<'a>(documents: impl IndexedParallelIterator<Item = (&'a str, &'a str)>) -> Self {
        let counted: Vec<(HashMap<String, u32>, u32)> = documents.map(|(path, text)| count(path, text)).collect();
        let mut index = Self::default();
        let mut total = 0_u64;
        for (number, (words, length)) in (0_u32..).zip(counted) {
            for (word, times) in words {
                index.postings.entry(word).or_default().push((number, times));
            }
            index.lengths.push(length);
            total += u64::from(length);
        }
        index.average = (total as f32 / index.lengths.len().max(1) as f32).max(1.0);
        index
    }

    /// The score of every document that holds a word of the query, with the words that gave the most.
    pub(crate) fn score(&self, query: &HashMap<String, f32>) -> HashMap<u32, (f32, Vec<(String, f32)>)> {
        let count = self.lengths.len() as f32;
        let mut scores: HashMap<u32, (f32, Vec<(String, f32)>)> = HashMap::new();
        for (word, weight) in query {
            let Some(postings) = self.postings.get(word) else { continue };
            let holding = postings.len() as f32;
            let idf = ((count - holding + 0.5) / (holding + 0.5)).ln_1p();
            for &(document, times) in postings {
                let length = self.lengths[document as usize] as f32 / self.average;
                let times = times as f32;
                let part = weight * idf * times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length));
                let entry = scores.entry(document).or_default();
                entry.0 += part;
                entry.1.push((word.clone(), part));
            }
        }
        for (_, words) in scores.values_mut() {
            words.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            words.truncate(4);
        }
        scores
    }
}

fn count(path: &str, text: &str) -> (HashMap<String, u32>, u32) {
    let mut words: HashMap<String, u32> = HashMap::new();
    let mut length = 0;
    let mut add = |word: &str, times: u32| {
        length += times;
        if let Some(count) = words.get_mut(word) {
            *count += times;
        } else {
            words.insert(word.to_owned(), times);
        }
    };
    for_each_word(path, |word| add(word, PATH_WEIGHT));
    for_each_word(text, |word| add(word, 1));
    (words, length)
}
