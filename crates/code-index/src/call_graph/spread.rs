//! Spreads evidence along calls and overrides.

use super::Nodes;
use super::resolve::Resolver;

/// How often evidence is passed on, and what is left of it each time.
const HOPS: usize = 3;
const DAMPING: f64 = 0.7;
/// How much the words of a definition count beside its name.
const WORDS_SHARE: f64 = 0.3;
/// Definitions with less than this share of the strongest evidence pass nothing on, and at most this number does.
const MIN_SHARE: f64 = 0.05;
const MAX_SOURCES: usize = 600;
/// What a method passes on to those that override it, what a class passes on to its methods, and to those that the language calls.
const OVERRIDE_SHARE: f64 = 0.3;
const METHOD_SHARE: f64 = 0.25;
const PROTOCOL_SHARE: f64 = 0.5;

/// The evidence that has reached each definition.
pub(super) struct Spread {
    pub(super) called: Vec<f64>,
    /// The definition that it came from, if that calls this one.
    pub(super) callers: Vec<Option<usize>>,
}

impl Spread {
    /// Starts at the definitions that the text names or describes.
    pub(super) fn new(resolver: &Resolver<'_>, named: &[f64], similarity: &[f64]) -> Self {
        let count = named.len();
        let mut spread = Self { called: vec![0.0; count], callers: vec![None; count] };
        let mut evidence: Vec<f64> =
            named.iter().zip(similarity).map(|(named, similarity)| named + WORDS_SHARE * similarity).collect();
        let mut methods: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (number, node) in resolver.nodes.all.iter().enumerate() {
            if let Some(class) = node.class {
                methods[class].push(number);
            }
        }
        let mut damping = 1.0;
        for _ in 0..HOPS {
            damping *= DAMPING;
            let mut next = vec![0.0; count];
            for source in strongest(&evidence) {
                for (target, share, is_called) in passed_on(resolver, source, &methods[source]) {
                    let value = evidence[source] * share;
                    next[target] = f64::max(next[target], value);
                    if damping * value > spread.called[target] {
                        spread.called[target] = damping * value;
                        spread.callers[target] = is_called.then_some(source);
                    }
                }
            }
            evidence = next;
        }
        spread
    }
}

/// Returns the definitions with the strongest evidence.
fn strongest(evidence: &[f64]) -> Vec<usize> {
    let max = evidence.iter().copied().fold(0.0, f64::max);
    let mut sources: Vec<usize> =
        (0..evidence.len()).filter(|number| evidence[*number] > 0.0 && evidence[*number] >= MIN_SHARE * max).collect();
    sources.sort_by(|a, b| evidence[*b].total_cmp(&evidence[*a]).then(a.cmp(b)));
    sources.truncate(MAX_SOURCES);
    sources
}

/// Returns where the evidence of a definition goes, with its shares, and whether it calls what gets them.
fn passed_on(resolver: &Resolver<'_>, source: usize, methods: &[usize]) -> Vec<(usize, f64, bool)> {
    // What everything calls says little about a text.
    let specificity = |target: usize| 1.0 / (1.0 + resolver.count_references(target)).ln().max(1.0);
    let weigh = |(target, share, is_called): (usize, f64, bool)| (target, share * specificity(target), is_called);
    let mut shares: Vec<(usize, f64, bool)> = resolver.targets(source).into_iter().map(weigh).collect();
    let overrides = resolver.overrides(source);
    let share = OVERRIDE_SHARE / (1.0 + overrides.len() as f64).sqrt();
    shares.extend(overrides.into_iter().map(|target| (target, share, false)));
    let share = |method: usize| if is_protocol(resolver.nodes, method) { PROTOCOL_SHARE } else { METHOD_SHARE };
    shares.extend(methods.iter().map(|method| (*method, share(*method), false)));
    shares
}

/// Returns whether a method is called by the language: constructors, operators, conversions.
fn is_protocol(nodes: &Nodes<'_>, method: usize) -> bool {
    let name = nodes.all[method].definition.own_name();
    let class = nodes.all[method].definition.scope().rsplit('.').next().unwrap_or_default();
    name.starts_with("__") || matches!(name, "constructor" | "initialize" | "new") || name == class
}
