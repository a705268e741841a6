//! Ranking the candidates of an instance, and counting where the gold ones are.

use std::collections::HashSet;
use std::fmt;

use crate::learn::{Instance, Row, score};

const CUTOFFS: [usize; 4] = [1, 3, 5, 10];

/// How often all gold candidates are among the first.
#[derive(Default)]
pub(crate) struct Accuracy {
    instances: usize,
    counts: [usize; CUTOFFS.len()],
    /// The instances with two gold candidates, and those of them that are found among the first five.
    pairs: (usize, usize),
}

impl Accuracy {
    /// Adds the ranking of an instance.
    pub(crate) fn add(&mut self, instance: &Instance, ranked: &[&Row]) {
        let gold = ranked.iter().filter(|row| row.gold).count();
        let last = ranked.iter().rposition(|row| row.gold).filter(|_| gold >= instance.gold);
        self.instances += 1;
        for (count, cutoff) in self.counts.iter_mut().zip(CUTOFFS) {
            *count += usize::from(last.is_some_and(|last| last < cutoff));
        }
        if instance.gold == 2 {
            self.pairs.0 += 1;
            self.pairs.1 += usize::from(last.is_some_and(|last| last < 5));
        }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.instances as f64;
        let cell = |count: usize| {
            let share = count as f64 / total;
            format!("{:.1} ± {:.1}", 100.0 * share, 196.0 * (share * (1.0 - share) / total).sqrt())
        };
        let cells = self.counts.map(cell).join(", ");
        let (pairs, found) = self.pairs;
        write!(f, "{} instances, Acc@1/3/5/10 {cells}; with two to find {found} of {pairs} @5", self.instances)
    }
}

/// Returns the candidates of an instance by their scores, best first, each name of a file once.
pub(crate) fn rank<'a>(instance: &'a Instance, weights: &[f64]) -> Vec<&'a Row> {
    let mut order: Vec<(f64, &Row)> = instance.rows.iter().map(|row| (score(&row.features, weights), row)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut known = HashSet::new();
    order.into_iter().map(|(_, row)| row).filter(|row| known.insert((row.path.as_str(), row.name.as_str()))).collect()
}
