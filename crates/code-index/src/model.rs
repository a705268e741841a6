//! The learned weights of the features.

use crate::features::Feature;

/// Learned from 238 instances of SWE-bench (`docs/locate.md`) with `--example fit -- ROWS`, from the rows that
/// `--example eval -- … --rows ROWS` writes.
const WEIGHTS: [(Feature, f64); Feature::ALL.len()] = [
    (Feature::Words, 1.6206),
    (Feature::Chunk, 1.1445),
    (Feature::Title, 1.8165),
    (Feature::TitleShare, 1.6126),
    (Feature::DefinedWords, 1.1116),
    (Feature::Path, 1.9853),
    (Feature::FileName, -1.4711),
    (Feature::ExactName, 0.9012),
    (Feature::Quoted, 1.8399),
    (Feature::Frame, 0.2000),
    (Feature::FrameDefinition, 0.4000),
    (Feature::Module, 0.0000),
    (Feature::Symbol, 0.3000),
    (Feature::Qualified, 0.6000),
    (Feature::Definition, 0.5000),
    (Feature::Message, 0.1000),
    (Feature::Neighbours, 0.9843),
    (Feature::Tests, 0.4329),
    (Feature::History, 1.2774),
    (Feature::HistoryTitle, 1.3138),
    (Feature::Churn, -1.1737),
    (Feature::CoChange, 0.3864),
    (Feature::Folder, 0.5047),
    (Feature::Length, -2.0917),
    (Feature::Auxiliary, -0.3000),
];

/// Returns the weight of a feature.
pub(crate) fn weight(feature: Feature) -> f64 {
    WEIGHTS[feature as usize].1
}

/// Returns the score of a file with these features: their weighted sum.
pub(crate) fn score(row: &[f64; Feature::ALL.len()]) -> f64 {
    row.iter().zip(WEIGHTS).map(|(value, (_, weight))| value * weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_weight_is_at_the_position_of_its_feature() {
        for (position, (feature, _)) in WEIGHTS.into_iter().enumerate() {
            assert_eq!((feature, feature as usize), (Feature::ALL[position], position));
        }
    }
}
