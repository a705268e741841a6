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

use patchwright_code_index::{Feature, FunctionRow, Locator};
use patchwright_core::code_index::{IndexQuery, RankedFile};
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

/// The features of an instance's candidates, for the example `fit`.
#[derive(Debug, Serialize)]
struct InstanceRows {
    instance_id: String,
    repo: String,
    /// How many candidates the fix changes, also those that are not among the rows.
    gold: usize,
    rows: Vec<Row>,
}

/// A file, or a function with its name.
#[derive(Debug, Serialize)]
struct Row {
    gold: bool,
    path: String,
    name: String,
    features: Vec<f64>,
}

/// What was found for an instance.
struct Found {
    prediction: Prediction,
    /// Path and name of the functions, best first.
    functions: Vec<(String, String)>,
    rows: Option<InstanceRows>,
    function_rows: Option<InstanceRows>,
}

type Outcome = Result<Found, String>;

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
    let mut instances = match &arguments.source {
        Source::Benchmark { index, repos } => instance::read_benchmark(index, repos)?,
        Source::History { repository, max } => instance::read_history(repository, *max)?,
    };
    if instances.is_empty() {
        return Err("no instances found".into());
    }
    if let Some(file) = &arguments.functions {
        instance::add_functions(&mut instances, file)?;
    }
    if let Some(file) = &arguments.executed {
        instance::add_executed(&mut instances, file)?;
    }
    let locator = Locator::new(arguments.cache.clone());
    let outcomes = map_parallel(&instances, arguments.jobs, |instance| predict(&locator, instance, arguments));
    let mut predictions = arguments.predictions.as_ref().map(File::create).transpose()?;
    let mut rows = arguments.rows.as_ref().map(File::create).transpose()?;
    let mut function_rows = arguments.function_rows.as_ref().map(File::create).transpose()?;
    let mut metrics = Metrics::default();
    for (instance, outcome) in instances.iter().zip(outcomes) {
        match outcome {
            Ok(found) => {
                metrics.add(&instance.gold_files, &found.prediction.ranked, found.prediction.seconds);
                metrics.add_functions(&instance.gold_functions, &found.functions);
                if let Some(file) = &mut predictions {
                    writeln!(file, "{}", serde_json::to_string(&found.prediction)?)?;
                }
                if let (Some(file), Some(own)) = (&mut rows, &found.rows) {
                    writeln!(file, "{}", serde_json::to_string(own)?)?;
                }
                if let (Some(file), Some(own)) = (&mut function_rows, &found.function_rows) {
                    writeln!(file, "{}", serde_json::to_string(own)?)?;
                }
            }
            Err(problem) => {
                eprintln!("{}: {problem}", instance.id);
                metrics.add(&instance.gold_files, &[], 0.0);
                metrics.add_functions(&instance.gold_functions, &[]);
            }
        }
    }
    metrics.cpu_seconds = cpu_seconds();
    Ok(metrics)
}

/// Returns the processor time of this process so far, in seconds; 0 where the system does not tell it as Linux does.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before the last parenthesis may hold spaces; the times are the 14th and 15th field.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
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
                    print_progress(position, instance, &outcome);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((position, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Prints where the first gold file is, as soon as it is known.
fn print_progress(position: usize, instance: &Instance, outcome: &Outcome) {
    let Ok(found) = outcome else { return };
    let ranked = &found.prediction.ranked;
    let at = ranked.iter().position(|path| instance.gold_files.contains(path));
    let at = at.map_or_else(|| "not found".to_owned(), |at| format!("@{}", at + 1));
    eprintln!("{} {} {at} {:.2} s", position + 1, instance.id, found.prediction.seconds);
}

fn predict(locator: &Locator, instance: &Instance, arguments: &Arguments) -> Outcome {
    let start = Instant::now();
    let (title, body) = instance.text.split_once('\n').unwrap_or((&instance.text, ""));
    let tree = Arc::new(instance.open().map_err(|error| error.to_string())?);
    let query = IndexQuery::new(tree, title, body).with_repository(&instance.repo).with_limit(MAX_ROWS);
    let query = query.with_executed(instance.executed.clone());
    let outlines = usize::from(!instance.gold_functions.is_empty());
    let ranking = locator.locate(&query.clone().with_outlines(outlines)).map_err(|error| error.to_string())?;
    let seconds = start.elapsed().as_secs_f64();
    let rows =
        if arguments.rows.is_some() { Some(file_rows(locator, instance, &query, &ranking.files)?) } else { None };
    let function_rows = if arguments.function_rows.is_some() && outlines > 0 {
        Some(function_rows(locator, instance, &query)?)
    } else {
        None
    };
    let functions = ranking.functions.into_iter().map(|function| (function.path, function.symbol.name)).collect();
    let ranked = ranking.files.into_iter().take(MAX_PREDICTED).map(|file| file.path).collect();
    let prediction = Prediction { instance_id: instance.id.clone(), ranked, seconds };
    Ok(Found { prediction, functions, rows, function_rows })
}

fn file_rows(
    locator: &Locator,
    instance: &Instance,
    query: &IndexQuery,
    ranked: &[RankedFile],
) -> Result<InstanceRows, String> {
    let is_gold = |path: &String| instance.gold_files.contains(path);
    let is_ranked = |path: &String| ranked.iter().any(|file| file.path == *path);
    let all = locator.feature_rows(query).map_err(|error| error.to_string())?;
    let selected = all.into_iter().filter(|(path, _)| is_gold(path) || is_ranked(path));
    let row = |(path, features): (String, [f64; Feature::ALL.len()])| Row {
        gold: is_gold(&path),
        path,
        name: String::new(),
        features: features.to_vec(),
    };
    Ok(instance_rows(instance, instance.gold_files.len(), selected.map(row).collect()))
}

fn function_rows(locator: &Locator, instance: &Instance, query: &IndexQuery) -> Result<InstanceRows, String> {
    let all = locator.function_rows(query).map_err(|error| error.to_string())?;
    let is_gold =
        |row: &FunctionRow| instance.gold_functions.iter().any(|(path, name)| *path == row.path && *name == row.name);
    let row =
        |row: FunctionRow| Row { gold: is_gold(&row), path: row.path, name: row.name, features: row.features.to_vec() };
    Ok(instance_rows(instance, instance.gold_functions.len(), all.into_iter().map(row).collect()))
}

fn instance_rows(instance: &Instance, gold: usize, rows: Vec<Row>) -> InstanceRows {
    InstanceRows { instance_id: instance.id.clone(), repo: instance.repo.clone(), gold, rows }
}
