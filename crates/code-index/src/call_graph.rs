//! The calls and overrides between the definitions of the candidates, by the names that they use.
//!
//! What a definition refers to is looked up only for those definitions that evidence has reached, a bounded number of them.

mod evidence;
mod resolve;
mod spread;
mod tests_of;

use std::collections::HashMap;

use self::evidence::chunk_similarity;
use self::resolve::Resolver;
use self::spread::Spread;
use crate::index::Index;
use crate::lexical::Scores;
use crate::outline::SymbolKind;
use crate::query::Query;
use crate::structure::Definition;
use crate::words::{Word, hash_name};

/// A definition of a candidate.
#[derive(Debug)]
struct Node<'a> {
    /// Its file, as the position among the candidates and in the index.
    position: usize,
    file: usize,
    definition: &'a Definition,
    /// The hash of its unqualified name.
    name: Word,
    /// The first node of its class.
    class: Option<usize>,
    /// For a class, its own first node in the file.
    first: usize,
}

impl Node<'_> {
    fn is_class(&self) -> bool {
        self.definition.kind == SymbolKind::Class
    }
}

/// The definitions of the candidates.
#[derive(Debug)]
struct Nodes<'a> {
    all: Vec<Node<'a>>,
    /// The first node of each file, and the number of nodes at the end.
    first: Vec<usize>,
    /// The classes and functions with each name.
    by_name: HashMap<Word, Vec<usize>>,
}

impl<'a> Nodes<'a> {
    fn new(index: &'a Index, pool: &[usize]) -> Self {
        let mut nodes = Self { all: Vec::new(), first: vec![0], by_name: HashMap::new() };
        for (position, &file) in pool.iter().enumerate() {
            // A type has one node for its methods, however many parts of the file implement it.
            let mut classes: HashMap<&str, usize> = HashMap::new();
            for definition in &index.structures[file].definitions {
                let (number, name) = (nodes.all.len(), hash_name(definition.own_name()));
                let class = classes.get(definition.scope()).copied();
                let is_class = definition.kind == SymbolKind::Class;
                let first = if is_class { *classes.entry(&definition.name).or_insert(number) } else { number };
                if first == number && !matches!(definition.kind, SymbolKind::Constant | SymbolKind::Module) {
                    nodes.by_name.entry(name).or_default().push(number);
                }
                nodes.all.push(Node { position, file, definition, name, class, first });
            }
            nodes.first.push(nodes.all.len());
        }
        nodes
    }

    /// Returns the classes and functions with a name, in the order of their files.
    fn named(&self, name: Word) -> &[usize] {
        self.by_name.get(&name).map_or(&[], Vec::as_slice)
    }

    /// The same in one file.
    fn named_in(&self, name: Word, position: usize) -> &[usize] {
        let named = self.named(name);
        let before = |end: usize| named.partition_point(|node| *node < end);
        &named[before(self.first[position])..before(self.first[position + 1])]
    }
}

/// What the text says for the definitions of the candidates, directly and along calls.
#[derive(Debug, Default)]
pub(crate) struct DefinitionTable {
    /// The first definition of each candidate, and the number of definitions at the end.
    first: Vec<usize>,
    /// The first byte of each definition in its file.
    starts: Vec<u32>,
    /// Words of the text in the definition's part of the file.
    similarity: Vec<f64>,
    /// Calls by definitions that the text names or describes, and what else they refer to or override.
    called: Vec<f64>,
    /// Calls by tests that resemble the text.
    tested: Vec<f64>,
    /// The qualified names of a caller and of what it calls, for each candidate with an important call.
    calls: HashMap<usize, (String, String)>,
}

/// The values of one definition.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct DefinitionEvidence {
    pub(crate) similarity: f64,
    pub(crate) called: f64,
    pub(crate) tested: f64,
}

/// A called definition without any word of the text still counts this much.
const MIN_SIMILARITY: f64 = 0.1;

impl DefinitionTable {
    /// Collects the evidence for the definitions of a pool of files. `all` and `title` are the scores of the files for the words
    /// of the text and of its title.
    pub(crate) fn new(index: &Index, pool: &[usize], query: &Query, all: &Scores, title: &Scores) -> Self {
        let nodes = Nodes::new(index, pool);
        if nodes.all.is_empty() {
            return Self { first: nodes.first, ..Self::default() };
        }
        let similarity = chunk_similarity(&nodes, index, &all.chunks, &title.chunks);
        let resolver = Resolver::new(&nodes, index);
        let named = evidence::named(&resolver, index, query, pool);
        let spread = Spread::new(&resolver, &named, &similarity);
        let tested = tests_of::count_calls(&nodes, index, query);
        let mut table = Self {
            starts: nodes.all.iter().map(|node| node.definition.start).collect(),
            similarity,
            called: spread.called,
            tested,
            calls: HashMap::new(),
            first: nodes.first.clone(),
        };
        for position in 0..pool.len() {
            let best = table.range(position).max_by(|a, b| table.weigh_call(*a).total_cmp(&table.weigh_call(*b)));
            let call = best.and_then(|target| Some((spread.callers[target]?, target)));
            let name = |node: usize| nodes.all[node].definition.name.clone();
            if let Some((caller, target)) = call {
                table.calls.insert(position, (name(caller), name(target)));
            }
        }
        table
    }

    fn range(&self, position: usize) -> std::ops::Range<usize> {
        self.first[position]..self.first[position + 1]
    }

    /// Returns how much a definition is called by what the text is about, if it resembles the text itself.
    fn weigh_call(&self, definition: usize) -> f64 {
        self.called[definition] * (MIN_SIMILARITY + self.similarity[definition])
    }

    /// Returns for each candidate its definition with the most important call.
    pub(crate) fn called_files(&self) -> Vec<f64> {
        let best = |position: usize| self.range(position).map(|one| self.weigh_call(one)).fold(0.0, f64::max);
        (0..self.first.len().saturating_sub(1)).map(best).collect()
    }

    /// Returns the qualified names of a caller and of what it calls in a candidate.
    pub(crate) fn explain_call(&self, position: usize) -> Option<&(String, String)> {
        self.calls.get(&position)
    }

    /// Returns the evidence for the definition of a candidate that starts at a byte.
    pub(crate) fn get(&self, position: usize, start: usize) -> DefinitionEvidence {
        let range = self.range(position);
        let found = self.starts[range.clone()].iter().position(|own| *own as usize == start);
        found.map_or_else(DefinitionEvidence::default, |at| {
            let at = range.start + at;
            DefinitionEvidence { similarity: self.similarity[at], called: self.called[at], tested: self.tested[at] }
        })
    }
}

#[cfg(all(test, feature = "python"))]
mod tests {
    use super::*;
    use crate::corpus::Document;
    use crate::lexical::bm25;
    use crate::query::IssueText;

    const BASE: &str = "class Collection:\n    def set_paths(self, paths):\n        self.check(paths)\n\n    def check(self, paths):\n        return measure(paths)\n";
    const DERIVED: &str = "from .base import Collection\n\n\nclass Contours(Collection):\n    def draw(self):\n        super().set_paths(self.lines)\n\n    def check(self, paths):\n        return paths\n";
    const TOOLS: &str = "def measure(paths):\n    return 1\n\n\ndef unused(paths):\n    return 2\n";

    /// Returns the values of the definitions for a text, by name.
    fn values(title: &str, value: fn(&DefinitionTable, usize) -> f64) -> HashMap<String, f64> {
        let index = Index::build(vec![
            Document::new("plot/base.py", BASE),
            Document::new("plot/derived.py", DERIVED),
            Document::new("plot/tools.py", TOOLS),
            Document::new("tests/test_plot.py", "def test_paths_are_measured():\n    assert measure([1]) == 1\n"),
        ]);
        let query = Query::parse(&IssueText::new(title, ""));
        let features = index.features(&query, None, None);
        let (pool, table) = (&features.pool, &features.definitions);
        let nodes = Nodes::new(&index, pool);
        let named =
            nodes.all.iter().enumerate().map(|(number, node)| (node.definition.name.clone(), value(table, number)));
        named.collect()
    }

    fn called(title: &str) -> HashMap<String, f64> {
        values(title, |table, number| table.called[number])
    }

    #[test]
    fn what_a_named_method_inherits_calls_and_overrides_is_reached_over_several_steps() {
        let reached = called("`Contours.draw` is wrong");
        assert!(reached["Collection.set_paths"] > reached["Collection.check"], "{reached:?}");
        assert!(reached["Collection.check"] > reached["measure"], "{reached:?}");
        assert!(reached["measure"] > 0.0 && reached["unused"] < f64::EPSILON, "{reached:?}");
        let overridden = called("`Collection.check` is wrong");
        assert!(overridden["Contours.check"] > overridden["Collection.set_paths"], "{overridden:?}");
    }

    #[test]
    fn a_method_of_a_class_that_inherits_it_is_the_one_of_the_base() {
        let reached = called("`Contours.set_paths` is missing");
        assert!(reached["Collection.check"] > 0.3, "what the inherited method calls: {reached:?}");
    }

    #[test]
    fn what_tests_that_resemble_the_text_call_is_known() {
        let tested = values("paths are not measured", |table, number| table.tested[number]);
        assert!(tested["measure"] > 0.5 && tested["unused"] < f64::EPSILON, "{tested:?}");
    }

    #[test]
    fn a_class_with_thousands_of_relatives_and_a_name_of_thousands_of_definitions_take_no_time() {
        let classes: String =
            (0..6_000).map(|number| format!("class C{number}(Base):\n    def draw(self): self.check()\n")).collect();
        let bases: String = (0..1_000).map(|_| "class Base:\n    def draw(self): pass\n").collect();
        let lines: Vec<&str> = classes.lines().collect();
        let parts = lines.chunks(4_000).enumerate();
        let mut files: Vec<Document> =
            parts.map(|(number, part)| Document::new(format!("c{number}.py"), part.join("\n"))).collect();
        files.push(Document::new("base.py", bases));
        let index = Index::build(files);
        let query = Query::parse(&IssueText::new("`Base.draw` and `C7.draw` and `check` are wrong", ""));
        let features = index.features(&query, None, None);
        assert!(features.definitions.called.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn without_definitions_there_is_no_evidence() {
        let index = Index::build(vec![Document::new("a.vue", "<b>text</b>"), Document::new("b.py", "x = 1\n")]);
        let query = Query::parse(&IssueText::new("text", ""));
        let (pool, counts) = (vec![0, 1], &query.all);
        let (all, title) = (bm25(&index, &pool, counts), bm25(&index, &pool, counts));
        let table = DefinitionTable::new(&index, &pool, &query, &all, &title);
        assert_eq!(table.called_files(), [0.0, 0.0]);
        assert_eq!(table.get(0, 0), DefinitionEvidence::default());
    }
}
