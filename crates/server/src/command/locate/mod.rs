//! `patchwright locate` and `patchwright eval locate`: where a fault may be, without a model and without a server.

mod instance;
mod tally;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use patchwright_code_index::{Feature, Locator};
use patchwright_core::code_index::{IndexQuery, RankedFile};
use patchwright_gitops_gix::Snapshot;
use serde::Serialize;

use self::instance::Instance;
use self::tally::Tally;
use super::CommandResult;
use crate::cli::{EvalArgs, LocateArgs};
use crate::terminal::say;

/// How many symbols of a file are shown.
const SYMBOLS: usize = 5;
/// How many of the first files are told with their symbols.
const OUTLINED: usize = 5;
/// The most files that a prediction lists.
const PREDICTED: usize = 100;

pub(crate) fn run(args: &LocateArgs) -> CommandResult {
    let text = std::fs::read_to_string(&args.issue)?;
    let (title, body) = text.split_once('\n').unwrap_or((&text, ""));
    let repo = args.repo.canonicalize()?;
    let mut query = IndexQuery::new(Arc::new(Snapshot::open(&repo, &args.rev)?), title, body)
        .with_repository(repo.display().to_string())
        .with_labels(args.labels.clone())
        .with_outlines(OUTLINED.min(args.top))
        .with_limit(args.top);
    query.folder = args.folder.as_ref().map(|folder| folder.trim_end_matches('/').to_owned());
    let ranking = Locator::new(args.cache.clone()).locate(&query)?;
    if args.json {
        say(&serde_json::to_string_pretty(&ranking.files.iter().map(shown).collect::<Vec<_>>())?);
        return Ok(ExitCode::SUCCESS);
    }
    if ranking.files.is_empty() {
        say("No file stands out: the text shares no word, name or path with the repository.");
    }
    for (place, file) in ranking.files.iter().enumerate() {
        say(&format!("{:>3}. {}", place + 1, file.path));
        for symbol in file.symbols.iter().take(SYMBOLS) {
            say(&format!("     {}:{} {} {}", file.path, symbol.lines.0, symbol.kind, symbol.name));
        }
        for reason in &file.reasons {
            say(&format!("     {reason}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(file: &RankedFile) -> serde_json::Value {
    let symbols: Vec<_> = file
        .symbols
        .iter()
        .take(SYMBOLS)
        .map(|symbol| serde_json::json!({"name": symbol.name, "kind": symbol.kind, "lines": symbol.lines}))
        .collect();
    serde_json::json!({"path": file.path, "score": file.score, "reasons": file.reasons, "symbols": symbols})
}

/// What was found for an instance.
#[derive(Debug, Serialize)]
struct Prediction {
    #[serde(rename = "instance_id")]
    id: String,
    ranked: Vec<String>,
    seconds: f64,
}

/// The numbers of an instance's files, for those who learn the weights.
#[derive(Debug, Serialize)]
struct Rows {
    #[serde(rename = "instance_id")]
    id: String,
    repo: String,
    /// Each with whether it is gold.
    #[serde(rename = "rows")]
    files: Vec<(bool, [f64; Feature::ALL.len()])>,
}

/// How many of the files that are no gold are learned from: those that come close.
const CLOSE: usize = 150;

type Found = Result<(Prediction, Option<Rows>), String>;

pub(crate) fn eval(args: &EvalArgs) -> CommandResult {
    let instances = match (&args.index, &args.from_history, &args.repos) {
        (Some(index), _, Some(repos)) => instance::of_benchmark(index, repos)?,
        (_, Some(repository), _) => instance::of_history(repository, args.most)?,
        _ => unreachable!("clap asks for one of them"),
    };
    let locator = Locator::new(args.cache.clone());
    let found = in_turns(&instances, args.jobs, |instance| predict(&locator, instance, args.rows.is_some()));
    let mut predictions = args.predictions.as_ref().map(std::fs::File::create).transpose()?;
    let mut rows = args.rows.as_ref().map(std::fs::File::create).transpose()?;
    let mut tally = Tally::default();
    for (instance, found) in instances.iter().zip(found) {
        match found {
            Ok((prediction, own_rows)) => {
                tally.add(&instance.gold_files, &prediction.ranked, prediction.seconds);
                if let Some(file) = &mut predictions {
                    writeln!(file, "{}", serde_json::to_string(&prediction)?)?;
                }
                if let (Some(file), Some(own)) = (&mut rows, &own_rows) {
                    writeln!(file, "{}", serde_json::to_string(own)?)?;
                }
            }
            Err(problem) => {
                say(&format!("{}: {problem}", instance.id));
                tally.add(&instance.gold_files, &[], 0.0);
            }
        }
    }
    say(&tally.to_string());
    Ok(ExitCode::SUCCESS)
}

/// Does something for each instance, so many at once; what came of it in the order of the instances.
fn in_turns(instances: &[Instance], jobs: usize, work: impl Fn(&Instance) -> Found + Sync) -> Vec<Found> {
    let waiting = Mutex::new(instances.iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(instances.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, instances.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((place, instance)) = next else { break };
                    let found = work(instance);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, found));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, found)| found).collect()
}

fn predict(locator: &Locator, instance: &Instance, with_rows: bool) -> Found {
    let began = Instant::now();
    let (title, body) = instance.text.split_once('\n').unwrap_or((&instance.text, ""));
    let tree = Arc::new(instance.open().map_err(|error| error.to_string())?);
    let query = IndexQuery::new(tree, title, body).with_repository(instance.repo.clone()).with_limit(CLOSE);
    let ranked = locator.locate(&query).map_err(|error| error.to_string())?.files;
    let seconds = began.elapsed().as_secs_f64();
    let rows = if with_rows {
        let is_gold = |path: &String| instance.gold_files.contains(path);
        let is_close = |path: &String| ranked.iter().any(|file| file.path == *path);
        let all = locator.feature_rows(&query).map_err(|error| error.to_string())?;
        let near = all.into_iter().filter(|(path, _)| is_gold(path) || is_close(path));
        let files = near.map(|(path, row)| (is_gold(&path), row)).collect();
        Some(Rows { id: instance.id.clone(), repo: instance.repo.clone(), files })
    } else {
        None
    };
    let ranked = ranked.into_iter().take(PREDICTED).map(|file| file.path).collect();
    Ok((Prediction { id: instance.id.clone(), ranked, seconds }, rows))
}
