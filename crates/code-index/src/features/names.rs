//! What names of the text say: dotted ones, and those of definitions.

use std::collections::BTreeSet;

use super::{Features, Sign};
use crate::index::Index;
use crate::query::Query;
use crate::scan::Kind;

impl Features {
    pub(super) fn of_dotted_names(&mut self, index: &Index, query: &Query) {
        for (name, times) in &query.dotted {
            let weight = f64::from(times.min(3.0)).sqrt();
            let parts: Vec<&str> = name.split('.').collect();
            let found =
                (1..=parts.len()).rev().find_map(|keep| Some((index.modules.get(&parts[..keep].join("."))?, keep)));
            match found {
                Some((file, keep)) => {
                    let rest = &parts[keep..];
                    if let Some(place) = self.place(file)
                        && (keep > 1 || rest.is_empty())
                    {
                        self.raise(Sign::Module, place, if keep > 1 { weight } else { weight * 0.3 });
                    }
                    self.symbol_in(index, file as usize, rest, weight);
                }
                None if parts.len() > 1 => {
                    let tail = format!("{}.{}", parts[parts.len() - 2], parts[parts.len() - 1]);
                    self.share(Sign::Qualified, index.defining(&tail), weight);
                    for file in index.modules.ending_with(name, &index.paths) {
                        if let Some(place) = self.place(file) {
                            self.raise(Sign::Module, place, 0.7);
                        }
                    }
                }
                None => {}
            }
        }
    }

    /// What a dotted name names in a module: there, or where the module takes it from.
    fn symbol_in(&mut self, index: &Index, file: usize, rest: &[&str], weight: f64) {
        let [name, others @ ..] = rest else { return };
        let homes = index.homes(file, name);
        self.share(Sign::Symbol, &homes, weight);
        for other in others {
            self.share(Sign::Symbol, index.defining(&format!("{name}.{other}")), weight);
        }
    }

    /// Files that have something in common share its weight.
    fn share(&mut self, sign: Sign, found: &[(u32, Kind)], weight: f64) {
        let places: BTreeSet<usize> = found.iter().filter_map(|(file, _)| self.place(*file)).collect();
        for place in &places {
            self.add(sign, *place, weight / places.len() as f64);
        }
    }

    pub(super) fn of_names(&mut self, index: &Index, query: &Query) {
        let total = self.pool.len() as f64;
        for (name, weight) in &query.names {
            let found: Vec<(usize, Kind)> =
                index.defining(name).iter().filter_map(|(file, kind)| Some((self.place(*file)?, *kind))).collect();
            let files = found.iter().map(|(place, _)| place).collect::<BTreeSet<_>>().len();
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
}
