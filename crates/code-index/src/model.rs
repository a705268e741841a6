//! The weights of the signs.

use crate::features::Sign;

/// Learned on the DEV split of the benchmark with `cargo run --release -p patchwright-code-index --example fit -- ROWS`
/// (rows from `patchwright eval locate --rows ROWS`).
const WEIGHTS: [(Sign, f64); Sign::ALL.len()] = [
    (Sign::Words, 2.0851),
    (Sign::Piece, 1.5980),
    (Sign::Title, 3.0145),
    (Sign::Path, 1.8885),
    (Sign::FileName, -0.9314),
    (Sign::ExactName, 0.6842),
    (Sign::Quoted, 1.4319),
    (Sign::Frame, 0.2000),
    (Sign::FrameDefinition, 0.4000),
    (Sign::Module, 0.0000),
    (Sign::Symbol, 0.3000),
    (Sign::Qualified, 0.6000),
    (Sign::Definition, 0.5000),
    (Sign::Neighbours, 1.3419),
    (Sign::Past, 0.4769),
    (Sign::PastTitle, 0.9885),
    (Sign::Length, -1.2933),
    (Sign::Aside, 0.0000),
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
