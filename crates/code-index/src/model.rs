//! The weights of the signs.

use crate::features::Sign;

/// Learned on the DEV split of the benchmark with `cargo run --release -p patchwright-code-index --example fit -- ROWS`
/// (rows from `patchwright eval locate --rows ROWS`).
const WEIGHTS: [(Sign, f64); Sign::ALL.len()] = [
    (Sign::Words, 1.6206),
    (Sign::Piece, 1.1445),
    (Sign::Title, 1.8165),
    (Sign::TitleShare, 1.6126),
    (Sign::DefinedWords, 1.1116),
    (Sign::Path, 1.9853),
    (Sign::FileName, -1.4711),
    (Sign::ExactName, 0.9012),
    (Sign::Quoted, 1.8399),
    (Sign::Frame, 0.2000),
    (Sign::FrameDefinition, 0.4000),
    (Sign::Module, 0.0000),
    (Sign::Symbol, 0.3000),
    (Sign::Qualified, 0.6000),
    (Sign::Definition, 0.5000),
    (Sign::Message, 0.1000),
    (Sign::Neighbours, 0.9843),
    (Sign::Tests, 0.4329),
    (Sign::Past, 1.2774),
    (Sign::PastTitle, 1.3138),
    (Sign::Churn, -1.1737),
    (Sign::Together, 0.3864),
    (Sign::Folder, 0.5047),
    (Sign::Length, -2.0917),
    (Sign::Aside, -0.3000),
];

/// The weight of a sign.
pub(crate) fn weight(sign: Sign) -> f64 {
    WEIGHTS[sign as usize].1
}

/// The score of a file with these numbers.
pub(crate) fn score(row: &[f64; Sign::ALL.len()]) -> f64 {
    row.iter().zip(WEIGHTS).map(|(value, (_, weight))| value * weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_has_its_weight_at_its_place() {
        for (place, (sign, _)) in WEIGHTS.into_iter().enumerate() {
            assert_eq!((sign, sign as usize), (Sign::ALL[place], place));
        }
    }
}
