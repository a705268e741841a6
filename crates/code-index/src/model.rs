//! The learned weights of the features.

use crate::features::Feature;

/// Learned from 238 instances of SWE-bench (`docs/locate.md`) with `--example fit -- ROWS`, from the rows that
/// `--example eval -- … --rows ROWS` writes; the weight of what was executed from those of them whose sample can be run.
const WEIGHTS: [(Feature, f64); Feature::ALL.len()] = [
    (Feature::Words, 1.6266),
    (Feature::Chunk, 1.1520),
    (Feature::Title, 1.6856),
    (Feature::TitleShare, 1.5354),
    (Feature::DefinedWords, 1.0286),
    (Feature::Path, 1.9069),
    (Feature::FileName, -1.4062),
    (Feature::ExactName, 0.8906),
    (Feature::Quoted, 1.8326),
    (Feature::Frame, 0.2000),
    (Feature::FrameDefinition, 0.4000),
    (Feature::Module, 0.0000),
    (Feature::Symbol, 0.3000),
    (Feature::Qualified, 0.6000),
    (Feature::Definition, 0.5000),
    (Feature::Message, 0.1000),
    (Feature::Neighbours, 1.0167),
    (Feature::Tests, 0.3661),
    (Feature::Called, 0.2000),
    (Feature::History, 1.3478),
    (Feature::HistoryTitle, 1.2627),
    (Feature::Churn, -1.1670),
    (Feature::CoChange, 0.3705),
    (Feature::Folder, 0.5119),
    (Feature::Executed, 0.8500),
    (Feature::Length, -2.0209),
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
