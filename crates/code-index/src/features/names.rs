//! Features from names of the text: dotted names, and names of definitions.

use std::collections::BTreeSet;

use super::{Feature, FeatureTable};
use crate::index::Index;
use crate::query::Query;
use crate::scan::Kind;

impl FeatureTable {
    pub(super) fn add_dotted_names(&mut self, index: &Index, query: &Query) {
        for (name, count) in &query.dotted {
            let weight = f64::from(count.min(3.0)).sqrt();
            let parts: Vec<&str> = name.split('.').collect();
            let found =
                (1..=parts.len()).rev().find_map(|keep| Some((index.modules.get(&parts[..keep].join("."))?, keep)));
            match found {
                Some((file, keep)) => {
                    let rest = &parts[keep..];
                    if let Some(position) = self.position(file)
                        && (keep > 1 || rest.is_empty())
                    {
                        self.raise(Feature::Module, position, if keep > 1 { weight } else { weight * 0.3 });
                    }
                    self.add_symbol(index, file as usize, rest, weight);
                }
                None if parts.len() > 1 => {
                    let tail = format!("{}.{}", parts[parts.len() - 2], parts[parts.len() - 1]);
                    self.add_shared(Feature::Qualified, index.defining(&tail), weight);
                    for file in index.modules.ending_with(name, &index.paths) {
                        if let Some(position) = self.position(file) {
                            self.raise(Feature::Module, position, 0.7);
                        }
                    }
                }
                None => {}
            }
        }
    }

    /// Adds the files that define the rest of a dotted name: the module itself, or the modules that it re-exports from.
    fn add_symbol(&mut self, index: &Index, file: usize, rest: &[&str], weight: f64) {
        let [name, others @ ..] = rest else { return };
        let sites = index.definition_sites(file, name);
        self.add_shared(Feature::Symbol, &sites, weight);
        for other in others {
            self.add_shared(Feature::Symbol, index.defining(&format!("{name}.{other}")), weight);
        }
    }

    /// Adds a weight, divided among the files with the definition.
    fn add_shared(&mut self, feature: Feature, found: &[(u32, Kind)], weight: f64) {
        let positions: BTreeSet<usize> = found.iter().filter_map(|(file, _)| self.position(*file)).collect();
        for position in &positions {
            self.add(feature, *position, weight / positions.len() as f64);
        }
    }

    pub(super) fn add_names(&mut self, index: &Index, query: &Query) {
        let total = self.pool.len() as f64;
        for (name, weight) in &query.names {
            let found: Vec<(usize, Kind)> =
                index.defining(name).iter().filter_map(|(file, kind)| Some((self.position(*file)?, *kind))).collect();
            let files = found.iter().map(|(position, _)| position).collect::<BTreeSet<_>>().len();
            if files == 0 {
                continue;
            }
            let idf = (1.0 + total / files as f64).ln() / (1.0 + total).ln();
            let score = f64::from(*weight) * idf.powi(2);
            for (position, kind) in found {
                let share = match kind {
                    Kind::Class => 1.2,
                    Kind::Function => 1.0,
                    Kind::Method | Kind::Constant => 0.42,
                    Kind::Qualified => 0.0,
                };
                self.raise(Feature::Definition, position, share * score);
            }
        }
    }
}
