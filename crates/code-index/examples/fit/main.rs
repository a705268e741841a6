//! Learns the weights of the features from the rows that `--example eval -- … --rows FILE --function-rows FILE` writes:
//! `cargo run --release -p patchwright-code-index --example fit -- ROWS`, or `… -- --functions FUNCTION_ROWS`, or both.
//!
//! It is deterministic: the same rows give the same weights. It also prints a cross-validation: each repository with weights
//! from the others, with the interval in which 95% of such samples lie.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a command for the developers of this crate")]
#![expect(clippy::cast_precision_loss, reason = "counts become percentages")]

mod learn;
mod ranking;

use self::learn::{Instance, Task, fit, prune};
use self::ranking::{Accuracy, rank};

/// How many functions of an instance are learned from, and the rounds of the first fit that chooses them.
const MAX_FUNCTIONS: usize = 200;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut files, mut functions) = (None, None);
    while let Some(argument) = arguments.next() {
        if argument == "--functions" {
            functions = Some(read(&arguments.next().expect("usage: fit [ROWS] [--functions FUNCTION_ROWS]")));
        } else {
            files = Some(read(&argument));
        }
    }
    if let Some(files) = &files {
        learn("files", &Task::of_files(), files);
    }
    if let Some(functions) = &mut functions {
        let task = Task::of_functions();
        let ones = vec![1.0; task.names.len()];
        prune(functions, &ones, MAX_FUNCTIONS * 4);
        let first = fit(&task, &functions.iter().collect::<Vec<_>>(), ROUNDS_TO_PRUNE);
        prune(functions, &first, MAX_FUNCTIONS);
        learn("functions", &task, functions);
    }
}

const ROUNDS: usize = 400;
const ROUNDS_TO_PRUNE: usize = 60;

fn read(path: &str) -> Vec<Instance> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the repositories of instances.
fn repositories(instances: &[Instance]) -> Vec<&str> {
    let mut repositories: Vec<&str> = instances.iter().map(|instance| instance.repo.as_str()).collect();
    repositories.sort_unstable();
    repositories.dedup();
    repositories
}

/// Prints the weights, and how well they rank.
fn learn(what: &str, task: &Task, instances: &[Instance]) {
    let all: Vec<&Instance> = instances.iter().collect();
    let weights = fit(task, &all, ROUNDS);
    for (name, weight) in task.names.iter().zip(&weights) {
        println!("    ({name}, {weight:.4}),");
    }
    let mut accuracy = Accuracy::default();
    for instance in instances {
        accuracy.add(instance, &rank(instance, &weights));
    }
    println!("{what}, training set: {accuracy}");
    let mut held_out = Accuracy::default();
    for repository in repositories(instances) {
        let (own, others): (Vec<&Instance>, Vec<&Instance>) =
            all.iter().partition(|instance| instance.repo == repository);
        let weights = fit(task, &others, ROUNDS);
        for instance in own {
            held_out.add(instance, &rank(instance, &weights));
        }
    }
    println!("{what}, each repository with weights from the others: {held_out}");
}
