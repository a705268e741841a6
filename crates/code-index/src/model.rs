//! The learned weights of the features.

use crate::features::Feature;

/// Learned from 238 instances of SWE-bench (`docs/locate.md`) with `--example fit -- ROWS`, from the rows that
/// `--example eval -- … --rows ROWS` writes.
const WEIGHTS: [(Feature, f64); Feature::ALL.len()] = [
    (Feature::Words, 1.6011),
    (Feature::Chunk, 1.1522),
    (Feature::Title, 1.6743),
    (Feature::TitleShare, 1.5733),
    (Feature::DefinedWords, 1.1081),
    (Feature::Path, 2.0001),
    (Feature::FileName, -1.4929),
    (Feature::ExactName, 0.8893),
    (Feature::Quoted, 1.8042),
    (Feature::Frame, 0.2000),
    (Feature::FrameDefinition, 0.4000),
    (Feature::Module, 0.0000),
    (Feature::Symbol, 0.3000),
    (Feature::Qualified, 0.6000),
    (Feature::Definition, 0.5000),
    (Feature::Message, 0.1000),
    (Feature::Neighbours, 0.9443),
    (Feature::Tests, 0.3892),
    (Feature::Called, 0.2000),
    (Feature::History, 1.2849),
    (Feature::HistoryTitle, 1.2774),
    (Feature::Churn, -1.0862),
    (Feature::CoChange, 0.2312),
    (Feature::Folder, 0.4971),
    (Feature::Length, -2.0094),
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
