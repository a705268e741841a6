//! Learns the weights of the features from the rows that `--example eval -- … --rows FILE` writes:
//! `cargo run --release -p patchwright-code-index --example fit -- FILE`; with `--functions`, those of functions, from the rows of
//! `--function-rows`.
//!
//! Minimizes the softmax loss over the candidates of each instance, with L2 regularization, by Adam. It is deterministic: the
//! same rows give the same weights. It also prints a cross-validation: each repository with weights from the others.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a command for the developers of this crate")]
#![expect(clippy::cast_precision_loss, reason = "counts become percentages")]

use patchwright_code_index::{Feature, FunctionFeature};
use serde::Deserialize;

const ROUNDS: usize = 400;
const LEARNING_RATE: f64 = 0.05;
const L2_PENALTY: f64 = 2e-3;

/// The weights that are set by hand. Learning them did not improve the cross-validation, because they also act through the
/// random walk over imports, which starts at the files that they select. In small trees, where words distinguish little, a file
/// that defines a name of the text must come first.
const FIXED: [(Feature, f64); 7] = [
    (Feature::Definition, 0.5),
    (Feature::Symbol, 0.3),
    (Feature::Qualified, 0.6),
    (Feature::FrameDefinition, 0.4),
    (Feature::Frame, 0.2),
    (Feature::Message, 0.1),
    (Feature::Auxiliary, -0.3),
];

const LEARNED: [Feature; 17] = [
    Feature::Words,
    Feature::Chunk,
    Feature::Title,
    Feature::TitleShare,
    Feature::DefinedWords,
    Feature::Path,
    Feature::FileName,
    Feature::ExactName,
    Feature::Quoted,
    Feature::Neighbours,
    Feature::Tests,
    Feature::History,
    Feature::HistoryTitle,
    Feature::Churn,
    Feature::CoChange,
    Feature::Folder,
    Feature::Length,
];

/// What is learned: the features by name, the weights that are set by hand, and the positions of the others.
struct Task {
    names: Vec<String>,
    fixed: Vec<(usize, f64)>,
    learned: Vec<usize>,
}

impl Task {
    fn of_files() -> Self {
        Self {
            names: Feature::ALL.iter().map(|feature| format!("Feature::{feature:?}")).collect(),
            fixed: FIXED.iter().map(|(feature, weight)| (*feature as usize, *weight)).collect(),
            learned: LEARNED.iter().map(|feature| *feature as usize).collect(),
        }
    }

    fn of_functions() -> Self {
        Self {
            names: FunctionFeature::ALL.iter().map(|feature| format!("FunctionFeature::{feature:?}")).collect(),
            fixed: Vec::new(),
            learned: (0..FunctionFeature::ALL.len()).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Instance {
    repo: String,
    /// How many candidates the fix changes, if some of them are not among the rows.
    #[serde(default)]
    gold: usize,
    rows: Vec<(bool, Vec<f64>)>,
}

fn score(row: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

/// Adds the gradient of the loss of one instance: each gold candidate against all that are not gold.
fn add_gradient(instance: &Instance, weights: &[f64], gradient: &mut [f64]) {
    let scores: Vec<f64> = instance.rows.iter().map(|(_, row)| score(row, weights)).collect();
    let gold: Vec<usize> = (0..scores.len()).filter(|position| instance.rows[*position].0).collect();
    for &own in &gold {
        let rivals: Vec<usize> =
            (0..scores.len()).filter(|position| *position == own || !instance.rows[*position].0).collect();
        let top = rivals.iter().map(|position| scores[*position]).fold(f64::MIN, f64::max);
        let sum: f64 = rivals.iter().map(|position| (scores[*position] - top).exp()).sum();
        for position in rivals {
            let error = (scores[position] - top).exp() / sum - f64::from(u8::from(position == own));
            for (slot, value) in gradient.iter_mut().zip(&instance.rows[position].1) {
                *slot += error * value / gold.len() as f64;
            }
        }
    }
}

fn fit(task: &Task, instances: &[&Instance]) -> Vec<f64> {
    let zeros = vec![0.0; task.names.len()];
    let (mut weights, mut mean, mut variance) = (zeros.clone(), zeros.clone(), zeros.clone());
    for (feature, weight) in &task.fixed {
        weights[*feature] = *weight;
    }
    for round in 1..=ROUNDS {
        let mut sum = zeros.clone();
        for instance in instances {
            add_gradient(instance, &weights, &mut sum);
        }
        let decay = |beta: f64| 1.0 - beta.powi(i32::try_from(round).unwrap());
        for &feature in &task.learned {
            let gradient = sum[feature] / instances.len() as f64 + L2_PENALTY * weights[feature];
            mean[feature] = 0.9 * mean[feature] + 0.1 * gradient;
            variance[feature] = 0.999 * variance[feature] + 0.001 * gradient * gradient;
            weights[feature] -=
                LEARNING_RATE * (mean[feature] / decay(0.9)) / ((variance[feature] / decay(0.999)).sqrt() + 1e-8);
        }
    }
    weights
}

/// Counts the instances whose gold candidates are all among the first 1, 5, 10.
fn count_accurate(instances: &[&Instance], weights: &[f64]) -> [usize; 3] {
    let mut counts = [0; 3];
    for instance in instances {
        let mut order: Vec<(f64, bool)> =
            instance.rows.iter().map(|(gold, row)| (score(row, weights), *gold)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let is_complete = order.iter().filter(|(_, gold)| *gold).count() >= instance.gold;
        let last = order.iter().rposition(|(_, gold)| *gold).filter(|_| is_complete).unwrap_or(usize::MAX);
        for (count, cutoff) in counts.iter_mut().zip([1, 5, 10]) {
            *count += usize::from(last < cutoff);
        }
    }
    counts
}

fn percentages(counts: [usize; 3], total: usize) -> String {
    counts.map(|count| format!("{:.1}", count as f64 / total as f64 * 100.0)).join(" / ")
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.len();
    arguments.retain(|argument| argument != "--functions");
    let task = if arguments.len() < count { Task::of_functions() } else { Task::of_files() };
    let text = std::fs::read_to_string(arguments.first().expect("usage: fit [--functions] FILE")).unwrap();
    let instances: Vec<Instance> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has_gold = |instance: &&Instance| instance.gold > 0 || instance.rows.iter().any(|(gold, _)| *gold);
    let all: Vec<&Instance> = instances.iter().filter(has_gold).collect();
    let weights = fit(&task, &all);
    for (name, weight) in task.names.iter().zip(&weights) {
        println!("    ({name}, {weight:.4}),");
    }
    println!("training set of {}: Acc@1/5/10 {}", all.len(), percentages(count_accurate(&all, &weights), all.len()));
    let mut repositories: Vec<&str> = all.iter().map(|instance| instance.repo.as_str()).collect();
    repositories.sort_unstable();
    repositories.dedup();
    let mut held_out = [0; 3];
    for repository in repositories {
        let (own, others): (Vec<&Instance>, Vec<&Instance>) =
            all.iter().partition(|instance| instance.repo == repository);
        for (sum, count) in held_out.iter_mut().zip(count_accurate(&own, &fit(&task, &others))) {
            *sum += count;
        }
    }
    println!("cross-validation by repository: Acc@1/5/10 {}", percentages(held_out, all.len()));
}
