//! Evaluates the ranking on instances whose changed files are known, and prints how often these come first.
//!
//! `cargo run --release -p patchwright-code-index --example eval -- --from-history REPOSITORY`; without arguments it prints
//! the options. `docs/locate.md` has results.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for the developers of this crate")]

mod arguments;
mod instance;
mod metrics;

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use patchwright_code_index::{Feature, Locator};
use patchwright_core::code_index::IndexQuery;
use serde::Serialize;

use self::arguments::{Arguments, Source, USAGE};
use self::instance::Instance;
use self::metrics::Metrics;

/// The largest number of files of a prediction.
const MAX_PREDICTED: usize = 100;
/// The number of top files whose features are written, beside those of the gold files. The weights are learned from files that
/// come close.
const MAX_ROWS: usize = 150;

/// The files that were found for an instance.
#[derive(Debug, Serialize)]
struct Prediction {
    instance_id: String,
    ranked: Vec<String>,
    seconds: f64,
}

/// The features of an instance's files, each with whether the file is gold.
#[derive(Debug, Serialize)]
struct InstanceRows {
    instance_id: String,
    repo: String,
    rows: Vec<(bool, [f64; Feature::ALL.len()])>,
}

type Outcome = Result<(Prediction, Option<InstanceRows>), String>;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match evaluate(&arguments) {
        Ok(metrics) => {
            println!("{metrics}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("evaluation failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn evaluate(arguments: &Arguments) -> Result<Metrics, Box<dyn Error>> {
    let instances = match &arguments.source {
        Source::Benchmark { index, repos } => instance::read_benchmark(index, repos)?,
        Source::History { repository, max } => instance::read_history(repository, *max)?,
    };
    if instances.is_empty() {
        return Err("no instances found".into());
    }
    let locator = Locator::new(arguments.cache.clone());
    let outcomes =
        map_parallel(&instances, arguments.jobs, |instance| predict(&locator, instance, arguments.rows.is_some()));
    let mut predictions = arguments.predictions.as_ref().map(File::create).transpose()?;
    let mut rows = arguments.rows.as_ref().map(File::create).transpose()?;
    let mut metrics = Metrics::default();
    for (instance, outcome) in instances.iter().zip(outcomes) {
        match outcome {
            Ok((prediction, instance_rows)) => {
                metrics.add(&instance.gold_files, &prediction.ranked, prediction.seconds);
                if let Some(file) = &mut predictions {
                    writeln!(file, "{}", serde_json::to_string(&prediction)?)?;
                }
                if let (Some(file), Some(instance_rows)) = (&mut rows, &instance_rows) {
                    writeln!(file, "{}", serde_json::to_string(instance_rows)?)?;
                }
            }
            Err(problem) => {
                eprintln!("{}: {problem}", instance.id);
                metrics.add(&instance.gold_files, &[], 0.0);
            }
        }
    }
    Ok(metrics)
}

/// Applies a function to each instance with `jobs` threads. The results are in the order of the instances.
fn map_parallel(instances: &[Instance], jobs: usize, apply: impl Fn(&Instance) -> Outcome + Sync) -> Vec<Outcome> {
    let remaining = Mutex::new(instances.iter().enumerate());
    let outcomes = Mutex::new(Vec::with_capacity(instances.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, instances.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let next = remaining.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((position, instance)) = next else { break };
                    let outcome = apply(instance);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((position, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn predict(locator: &Locator, instance: &Instance, with_rows: bool) -> Outcome {
    let start = Instant::now();
    let (title, body) = instance.text.split_once('\n').unwrap_or((&instance.text, ""));
    let tree = Arc::new(instance.open().map_err(|error| error.to_string())?);
    let query = IndexQuery::new(tree, title, body).with_repository(&instance.repo).with_limit(MAX_ROWS);
    let ranked = locator.locate(&query).map_err(|error| error.to_string())?.files;
    let seconds = start.elapsed().as_secs_f64();
    let rows = if with_rows {
        let is_gold = |path: &String| instance.gold_files.contains(path);
        let is_ranked = |path: &String| ranked.iter().any(|file| file.path == *path);
        let all = locator.feature_rows(&query).map_err(|error| error.to_string())?;
        let selected = all.into_iter().filter(|(path, _)| is_gold(path) || is_ranked(path));
        let rows = selected.map(|(path, row)| (is_gold(&path), row)).collect();
        Some(InstanceRows { instance_id: instance.id.clone(), repo: instance.repo.clone(), rows })
    } else {
        None
    };
    let ranked = ranked.into_iter().take(MAX_PREDICTED).map(|file| file.path).collect();
    Ok((Prediction { instance_id: instance.id.clone(), ranked, seconds }, rows))
}
