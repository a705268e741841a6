//! Learning weights: the softmax loss over the candidates of each instance, with L2 regularization, minimized by Adam.

use patchwright_code_index::{Feature, FunctionFeature};
use serde::Deserialize;

const LEARNING_RATE: f64 = 0.05;
const L2_PENALTY: f64 = 2e-3;

/// The weights that are set by hand. Learning them did not improve the cross-validation, because they also act through the
/// random walk over imports, which starts at the files that they select. In small trees, where words distinguish little, a file
/// that defines a name of the text must come first.
const FIXED: [(Feature, f64); 9] = [
    (Feature::Executed, 0.85),
    (Feature::Called, 0.2),
    (Feature::Definition, 0.5),
    (Feature::Symbol, 0.3),
    (Feature::Qualified, 0.6),
    (Feature::FrameDefinition, 0.4),
    (Feature::Frame, 0.2),
    (Feature::Message, 0.1),
    (Feature::Auxiliary, -0.3),
];

/// The same for functions: few texts have stack frames, and those that have leave no doubt.
const FIXED_FUNCTIONS: [(FunctionFeature, f64); 2] = [(FunctionFeature::Frame, 0.5), (FunctionFeature::Executed, 2.67)];

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
pub(crate) struct Task {
    pub(crate) names: Vec<String>,
    fixed: Vec<(usize, f64)>,
    learned: Vec<usize>,
}

impl Task {
    pub(crate) fn of_files() -> Self {
        Self {
            names: Feature::ALL.iter().map(|feature| format!("Feature::{feature:?}")).collect(),
            fixed: FIXED.iter().map(|(feature, weight)| (*feature as usize, *weight)).collect(),
            learned: LEARNED.iter().map(|feature| *feature as usize).collect(),
        }
    }

    pub(crate) fn of_functions() -> Self {
        Self {
            names: FunctionFeature::ALL.iter().map(|feature| format!("FunctionFeature::{feature:?}")).collect(),
            fixed: FIXED_FUNCTIONS.iter().map(|(feature, weight)| (*feature as usize, *weight)).collect(),
            learned: (0..FunctionFeature::ALL.len())
                .filter(|position| FIXED_FUNCTIONS.iter().all(|(feature, _)| *feature as usize != *position))
                .collect(),
        }
    }
}

/// The candidates of an instance, as `--example eval` writes them.
#[derive(Deserialize)]
pub(crate) struct Instance {
    pub(crate) repo: String,
    /// How many candidates the fix changes, also those that are not among the rows.
    pub(crate) gold: usize,
    pub(crate) rows: Vec<Row>,
}

/// A file, or a function with its name.
#[derive(Deserialize)]
pub(crate) struct Row {
    pub(crate) gold: bool,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) features: Vec<f64>,
}

pub(crate) fn score(row: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

/// Adds the gradient of the loss of one instance: each gold candidate against all that are not gold.
fn add_gradient(instance: &Instance, weights: &[f64], gradient: &mut [f64]) {
    let scores: Vec<f64> = instance.rows.iter().map(|row| score(&row.features, weights)).collect();
    let gold: Vec<usize> = (0..scores.len()).filter(|position| instance.rows[*position].gold).collect();
    for &own in &gold {
        let rivals: Vec<usize> =
            (0..scores.len()).filter(|position| *position == own || !instance.rows[*position].gold).collect();
        let top = rivals.iter().map(|position| scores[*position]).fold(f64::MIN, f64::max);
        let sum: f64 = rivals.iter().map(|position| (scores[*position] - top).exp()).sum();
        for position in rivals {
            let error = (scores[position] - top).exp() / sum - f64::from(u8::from(position == own));
            for (slot, value) in gradient.iter_mut().zip(&instance.rows[position].features) {
                *slot += error * value / gold.len() as f64;
            }
        }
    }
}

/// Learns the weights in a number of rounds.
pub(crate) fn fit(task: &Task, instances: &[&Instance], rounds: usize) -> Vec<f64> {
    let zeros = vec![0.0; task.names.len()];
    let (mut weights, mut mean, mut variance) = (zeros.clone(), zeros.clone(), zeros.clone());
    for (feature, weight) in &task.fixed {
        weights[*feature] = *weight;
    }
    for round in 1..=rounds {
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

/// Keeps the candidates that come close with these weights, and the gold ones: learning from thousands of functions takes long, and
/// the others have hardly any part in the loss.
pub(crate) fn prune(instances: &mut [Instance], weights: &[f64], count: usize) {
    for instance in instances {
        instance.rows.sort_by(|a, b| score(&b.features, weights).total_cmp(&score(&a.features, weights)));
        let mut position = 0;
        instance.rows.retain(|row| {
            position += 1;
            row.gold || position <= count
        });
    }
}
