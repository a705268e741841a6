//! Learns the weights of the signs from the rows that `patchwright eval locate --rows FILE` writes:
//! `cargo run --release -p patchwright-code-index --example fit -- FILE`.
//!
//! Softmax over the candidates of each instance, a light pull to zero, Adam; no dice, so the same rows give the same weights.
//! Beside the fit on all instances it says how well weights do on a repository that they were not learned from.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a command for those who develop this crate")]
#![expect(clippy::cast_precision_loss, reason = "counts become shares")]

use patchwright_code_index::Sign;
use serde::Deserialize;

const SIGNS: usize = Sign::ALL.len();
const ROUNDS: usize = 400;
const RATE: f64 = 0.05;
const PULL: f64 = 2e-3;

/// What is given by hand and not learned: learned freely, these made nothing better on repositories that the weights were not
/// learned from (they speak through the walk over imports too, which begins where they point), but in a small tree, where words
/// tell little apart, whoever defines what the text names must come first.
const GIVEN: [(Sign, f64); 7] = [
    (Sign::Definition, 0.5),
    (Sign::Symbol, 0.3),
    (Sign::Qualified, 0.6),
    (Sign::FrameDefinition, 0.4),
    (Sign::Frame, 0.2),
    (Sign::Message, 0.1),
    (Sign::Aside, -0.3),
];

/// The signs that are learned.
const LEARNED: [Sign; 17] = [
    Sign::Words,
    Sign::Piece,
    Sign::Title,
    Sign::TitleShare,
    Sign::DefinedWords,
    Sign::Path,
    Sign::FileName,
    Sign::ExactName,
    Sign::Quoted,
    Sign::Neighbours,
    Sign::Tests,
    Sign::Past,
    Sign::PastTitle,
    Sign::Churn,
    Sign::Together,
    Sign::Folder,
    Sign::Length,
];

#[derive(Deserialize)]
struct Instance {
    repo: String,
    rows: Vec<(bool, [f64; SIGNS])>,
}

type Weights = [f64; SIGNS];

fn score(row: &Weights, weights: &Weights) -> f64 {
    row.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

/// The slope of the loss of one instance: each gold file against all that are none.
fn slope(instance: &Instance, weights: &Weights) -> Weights {
    let mut slope = [0.0; SIGNS];
    let scores: Vec<f64> = instance.rows.iter().map(|(_, row)| score(row, weights)).collect();
    let gold: Vec<usize> = (0..scores.len()).filter(|place| instance.rows[*place].0).collect();
    for &own in &gold {
        let rivals: Vec<usize> = (0..scores.len()).filter(|place| *place == own || !instance.rows[*place].0).collect();
        let top = rivals.iter().map(|place| scores[*place]).fold(f64::MIN, f64::max);
        let sum: f64 = rivals.iter().map(|place| (scores[*place] - top).exp()).sum();
        for place in rivals {
            let share = (scores[place] - top).exp() / sum - f64::from(u8::from(place == own));
            for (slot, value) in slope.iter_mut().zip(&instance.rows[place].1) {
                *slot += share * value / gold.len() as f64;
            }
        }
    }
    slope
}

fn fit(instances: &[&Instance]) -> Weights {
    let (mut weights, mut mean, mut spread) = ([0.0; SIGNS], [0.0; SIGNS], [0.0; SIGNS]);
    for (sign, weight) in GIVEN {
        weights[sign as usize] = weight;
    }
    for round in 1..=ROUNDS {
        let mut sum = [0.0; SIGNS];
        for instance in instances {
            for (slot, value) in sum.iter_mut().zip(slope(instance, &weights)) {
                *slot += value / instances.len() as f64;
            }
        }
        let decay = |beta: f64| 1.0 - beta.powi(i32::try_from(round).unwrap());
        for sign in LEARNED.map(|sign| sign as usize) {
            let slope = sum[sign] + PULL * weights[sign];
            mean[sign] = 0.9 * mean[sign] + 0.1 * slope;
            spread[sign] = 0.999 * spread[sign] + 0.001 * slope * slope;
            weights[sign] -= RATE * (mean[sign] / decay(0.9)) / ((spread[sign] / decay(0.999)).sqrt() + 1e-8);
        }
    }
    weights
}

/// How many instances have all gold within the first 1, 5, 10.
fn found(instances: &[&Instance], weights: &Weights) -> [usize; 3] {
    let mut counts = [0; 3];
    for instance in instances {
        let mut order: Vec<(f64, bool)> =
            instance.rows.iter().map(|(gold, row)| (score(row, weights), *gold)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let last = order.iter().rposition(|(_, gold)| *gold).unwrap_or(usize::MAX);
        for (count, most) in counts.iter_mut().zip([1, 5, 10]) {
            *count += usize::from(last < most);
        }
    }
    counts
}

fn shown(counts: [usize; 3], of: usize) -> String {
    counts.map(|count| format!("{:.1}", count as f64 / of as f64 * 100.0)).join(" / ")
}

fn main() {
    let path = std::env::args().nth(1).expect("the file with the rows");
    let text = std::fs::read_to_string(path).unwrap();
    let instances: Vec<Instance> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all: Vec<&Instance> = instances.iter().filter(|one| one.rows.iter().any(|(gold, _)| *gold)).collect();
    let weights = fit(&all);
    for (sign, weight) in Sign::ALL.iter().zip(weights) {
        println!("    (Sign::{sign:?}, {weight:.4}),");
    }
    println!("learned from and tried on all {}: Acc@1/5/10 {}", all.len(), shown(found(&all, &weights), all.len()));
    let mut repositories: Vec<&str> = all.iter().map(|one| one.repo.as_str()).collect();
    repositories.sort_unstable();
    repositories.dedup();
    let mut elsewhere = [0; 3];
    for left_out in repositories {
        let (own, others): (Vec<&Instance>, Vec<&Instance>) = all.iter().partition(|one| one.repo == left_out);
        for (sum, count) in elsewhere.iter_mut().zip(found(&own, &fit(&others))) {
            *sum += count;
        }
    }
    println!("each repository tried with weights from the others: Acc@1/5/10 {}", shown(elsewhere, all.len()));
}
