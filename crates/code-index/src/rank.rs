//! Everything together: one score a file, with its reasons.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::bm25::Bm25;
use crate::corpus::Document;
use crate::definitions::definitions;
use crate::signals::{IssueText, Signals};

/// What each signal gives. Set by hand for this first index, in the order of how seldom each one misleads.
mod weight {
    /// The text names the whole path.
    pub(super) const PATH: f64 = 12.0;
    /// The text names the file, and no other file is called so.
    pub(super) const FILE_NAME: f64 = 6.0;
    /// The text names the module.
    pub(super) const MODULE: f64 = 6.0;
    /// The innermost frame of a stack trace; each one further out gives half.
    pub(super) const FRAME: f64 = 9.0;
    /// The file defines a name of the text; shared by all files that define it.
    pub(super) const DEFINITION: f64 = 5.0;
    /// The best BM25 score of all files; others in proportion.
    pub(super) const WORDS: f64 = 10.0;
    /// What is left to tests, docs and examples.
    pub(super) const ASIDE: f64 = 0.35;
}

/// A name that is defined in more files than this tells nothing.
const TOO_COMMON: usize = 8;

/// One file with its rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Relative, with `/`.
    pub path: String,
    /// Higher is likelier; comparable within one ranking only.
    pub score: f64,
    /// Why, strongest first.
    pub reasons: Vec<String>,
}

/// The index of a tree.
#[derive(Debug)]
pub struct Index {
    documents: Vec<Document>,
    bm25: Bm25,
    definitions: HashMap<String, Vec<u32>>,
}

impl Index {
    /// Indexes files.
    pub fn build(documents: Vec<Document>) -> Self {
        let pairs = documents.par_iter().map(|document| (document.path.as_str(), document.text.as_str()));
        let bm25 = Bm25::build(pairs);
        let definitions = definitions(&documents);
        Self { documents, bm25, definitions }
    }

    /// How many files it holds.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The files that the text is about, likeliest first. Equal scores are ordered by path.
    pub fn rank(&self, issue: &IssueText, limit: usize) -> Vec<Ranked> {
        let signals = Signals::read(issue);
        let mut board = Board { index: self, notes: HashMap::new() };
        board.by_words(&signals);
        board.by_definitions(&signals);
        board.by_modules(&signals);
        board.by_paths(&signals);
        board.by_frames(&signals);
        board.ranking(&signals, limit)
    }
}

/// Scores and reasons while they come together.
struct Board<'a> {
    index: &'a Index,
    notes: HashMap<u32, Vec<(f64, String)>>,
}

impl Board<'_> {
    fn note(&mut self, document: u32, score: f64, reason: String) {
        self.notes.entry(document).or_default().push((score, reason));
    }

    fn by_words(&mut self, signals: &Signals) {
        let scores = self.index.bm25.score(&signals.words);
        let best = scores.values().map(|(score, _)| *score).fold(0.0_f32, f32::max);
        if best <= 0.0 {
            return;
        }
        for (document, (score, words)) in scores {
            let words: Vec<String> = words.into_iter().map(|(word, _)| format!("`{word}`")).collect();
            let score = weight::WORDS * f64::from(score / best);
            self.note(document, score, format!("speaks of {}", words.join(", ")));
        }
    }

    fn by_definitions(&mut self, signals: &Signals) {
        for name in &signals.names {
            let Some(places) = self.index.definitions.get(name).filter(|places| places.len() <= TOO_COMMON) else {
                continue;
            };
            let share = weight::DEFINITION / (places.len() as f64).sqrt();
            for document in places.clone() {
                self.note(document, share, format!("defines `{name}`, which the text mentions"));
            }
        }
    }

    fn by_modules(&mut self, signals: &Signals) {
        for module in &signals.modules {
            // The last parts may be a class and a method: try the whole, then shorter.
            let mut path = module.as_str();
            while path.contains('/') {
                let found = self.files_of_module(path);
                if !found.is_empty() && found.len() <= 3 {
                    for document in found {
                        self.note(document, weight::MODULE, format!("is the module `{}`", module.replace('/', ".")));
                    }
                    break;
                }
                path = path.rsplit_once('/').map_or("", |(shorter, _)| shorter);
            }
        }
    }

    fn files_of_module(&self, module: &str) -> Vec<u32> {
        let matches = |path: &str| {
            let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
            let stem = stem.strip_suffix("/__init__").or_else(|| stem.strip_suffix("/mod")).unwrap_or(stem);
            stem == module || stem.ends_with(&format!("/{module}"))
        };
        self.find(matches)
    }

    fn by_paths(&mut self, signals: &Signals) {
        for path in &signals.paths {
            if path.contains('/') {
                if let Some(document) = self.file_at(path) {
                    self.note(document, weight::PATH, format!("the text names `{path}`"));
                }
            } else {
                let found = self.find(|other| other.rsplit('/').next() == Some(path));
                if let [document] = found.as_slice() {
                    self.note(*document, weight::FILE_NAME, format!("the text names `{path}`"));
                }
            }
        }
    }

    fn by_frames(&mut self, signals: &Signals) {
        let mut share = weight::FRAME;
        for (path, function) in &signals.frames {
            let Some(document) = self.file_at(path) else { continue };
            let place = function.as_ref().map_or_else(String::new, |name| format!(", in `{name}`"));
            self.note(document, share, format!("stands in the stack trace{place}"));
            share = (share / 2.0).max(1.0);
        }
    }

    /// The file that a path of the text means: the one that shares the most of its end with it.
    fn file_at(&self, path: &str) -> Option<u32> {
        let wanted: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").rev().collect();
        let shared = |other: &str| other.rsplit('/').zip(&wanted).take_while(|(a, b)| a == *b).count();
        let best = (0_u32..).zip(&self.index.documents).max_by_key(|(_, document)| {
            // Of two that share as much, the shorter path is meant.
            (shared(&document.path), std::cmp::Reverse(document.path.len()))
        })?;
        let parts = shared(&best.1.path);
        let whole = parts == best.1.path.split('/').count();
        (whole || parts >= 2).then_some(best.0)
    }

    fn find(&self, matches: impl Fn(&str) -> bool) -> Vec<u32> {
        (0_u32..).zip(&self.index.documents).filter(|(_, document)| matches(&document.path)).map(|(n, _)| n).collect()
    }

    fn ranking(self, signals: &Signals, limit: usize) -> Vec<Ranked> {
        let mut ranked: Vec<Ranked> = self
            .notes
            .into_iter()
            .map(|(document, mut notes)| {
                let path = self.index.documents[document as usize].path.clone();
                notes.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
                let mut score: f64 = notes.iter().map(|(score, _)| score).sum();
                let mut reasons: Vec<String> = notes.into_iter().map(|(_, reason)| reason).take(4).collect();
                if let Some(aside) = aside(&path, signals) {
                    score *= weight::ASIDE;
                    reasons.push(format!("held back: it is {aside}"));
                }
                Ranked { path, score, reasons }
            })
            .collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
        ranked.truncate(limit);
        ranked
    }
}

/// What a file is when it is seldom the one to fix; `None` when it may be.
fn aside(path: &str, signals: &Signals) -> Option<&'static str> {
    let lower = path.to_lowercase();
    let folder = |names: &[&str]| lower.split('/').rev().skip(1).any(|part| names.contains(&part));
    let name = lower.rsplit('/').next().unwrap_or_default();
    let test_name =
        name.starts_with("test_") || name.contains("_test.") || name.contains(".test.") || name.contains(".spec.");
    if !signals.about_tests && (folder(&["test", "tests", "testing", "__tests__", "spec"]) || test_name) {
        return Some("a test");
    }
    let prose = [".md", ".rst", ".txt"].iter().any(|ending| name.ends_with(ending));
    if !signals.about_docs && (prose || folder(&["doc", "docs"])) {
        return Some("documentation");
    }
    let data = [".json", ".yml", ".yaml", ".toml", ".cfg", ".ini", ".lock"].iter().any(|ending| name.ends_with(ending));
    if data && !signals.paths.iter().any(|path| path.ends_with(name)) {
        return Some("configuration or data");
    }
    folder(&["example", "examples", "benchmark", "benchmarks", "migrations", "vendor", "third_party"])
        .then_some("an example or generated")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        Index::build(vec![
            Document::new("src/http/header.py", "def parse_header(line):\n    return line.split(':')\n"),
            Document::new("src/http/body.py", "class BodyReader:\n    def read(self):\n        pass\n"),
            Document::new("src/cli.py", "from http.header import parse_header\nparse_header('a')\nparse_header('b')\n"),
            Document::new("tests/test_header.py", "def test_parse_header():\n    assert parse_header('a: b: c')\n"),
            Document::new("docs/header.md", "parse_header reads a header line. header header header\n"),
            Document::new("src/解析.py", "# 解析网址\n网址 = 1\n"),
        ])
    }

    fn first(title: &str, body: &str) -> String {
        index().rank(&IssueText::new(title, body), 3)[0].path.clone()
    }

    #[test]
    fn a_definition_beats_its_uses_tests_and_docs() {
        assert_eq!(first("parse_header drops the rest after a second colon", ""), "src/http/header.py");
    }

    #[test]
    fn paths_modules_and_frames_lead_to_their_file() {
        assert_eq!(first("wrong output", "see src/cli.py"), "src/cli.py");
        assert_eq!(first("wrong output", "in `http.body.BodyReader.read`"), "src/http/body.py");
        let trace = "  File \"/site-packages/src/cli.py\", line 1, in main\n  File \"/site-packages/src/http/body.py\", line 3, in read\n";
        assert_eq!(first("crash", trace), "src/http/body.py");
    }

    #[test]
    fn chinese_words_count() {
        assert_eq!(first("解析网址时出错", ""), "src/解析.py");
    }

    #[test]
    fn a_test_comes_first_only_when_the_text_is_about_tests() {
        assert_eq!(first("flaky: test_parse_header", ""), "tests/test_header.py");
    }

    #[test]
    fn no_signal_means_no_ranking() {
        assert!(index().rank(&IssueText::new("", ""), 5).is_empty());
        assert!(Index::build(vec![]).rank(&IssueText::new("x y z", ""), 5).is_empty());
    }
}
