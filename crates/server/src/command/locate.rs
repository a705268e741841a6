//! `patchwright locate` and `patchwright eval locate`: where a fault may be, without a model and without a server.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use patchwright_code_index::{Commit, Document, History, Index, IssueText, MAX_BYTES, Ranked, Sign, is_source};
use patchwright_core::git::GitError;
use patchwright_gitops_gix::{PastCommit, Snapshot, SnapshotFile};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::CommandResult;
use crate::cli::{EvalArgs, LocateArgs};
use crate::terminal::say;

/// How far back the history is read.
const COMMITS: usize = 1_500;
/// How many files a thread reads at a time.
const SHARE: usize = 64;
/// The most files that a prediction lists.
const PREDICTED: usize = 100;

/// The changes before a commit.
struct Past {
    snapshot: Snapshot,
    ids: Vec<String>,
    commits: Vec<Commit>,
}

impl Past {
    fn read(snapshot: &Snapshot) -> Result<Self, GitError> {
        let past = snapshot.past(COMMITS)?;
        let commit = |past: &PastCommit| Commit {
            id: past.id.chars().take(10).collect(),
            time: past.time,
            message: past.message.clone(),
        };
        let commits = past.iter().map(commit).collect();
        Ok(Self { snapshot: snapshot.clone(), ids: past.into_iter().map(|past| past.id).collect(), commits })
    }
}

impl History for Past {
    fn commits(&self) -> &[Commit] {
        &self.commits
    }

    fn files(&self, place: usize) -> Vec<String> {
        self.snapshot.touched(&self.ids[place])
    }
}

/// Reads the source of a snapshot, on all processors.
fn documents(snapshot: &Snapshot) -> Result<Vec<Document>, GitError> {
    let files: Vec<SnapshotFile> = snapshot.files()?.into_iter().filter(|file| is_source(&file.path)).collect();
    let read = |share: &[SnapshotFile]| -> Vec<Document> {
        let contents = snapshot.read(share, MAX_BYTES);
        share.iter().zip(contents).filter_map(|(file, bytes)| Document::of_bytes(&file.path, bytes?)).collect()
    };
    Ok(files.par_chunks(SHARE).flat_map_iter(read).collect())
}

pub(crate) fn run(args: &LocateArgs) -> CommandResult {
    let text = std::fs::read_to_string(&args.issue)?;
    let snapshot = Snapshot::open(&args.repo, &args.rev)?;
    let index = Index::build(documents(&snapshot)?);
    let past = Past::read(&snapshot)?;
    let ranked = index.rank_with(&IssueText::of(&text), Some(&past), args.top);
    if args.json {
        let shown =
            |file: &Ranked| serde_json::json!({"path": file.path, "score": file.score, "reasons": file.reasons});
        say(&serde_json::to_string_pretty(&ranked.iter().map(shown).collect::<Vec<_>>())?);
        return Ok(ExitCode::SUCCESS);
    }
    for (place, file) in ranked.iter().enumerate() {
        say(&format!("{:>3}. {}", place + 1, file.path));
        for reason in &file.reasons {
            say(&format!("     {reason}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One instance of a benchmark.
#[derive(Debug, Deserialize)]
struct Instance {
    #[serde(rename = "instance_id")]
    id: String,
    repo: String,
    #[serde(default)]
    tag: String,
    base_commit: String,
    gold_files: Vec<String>,
    problem_statement: String,
}

/// What was found for it.
#[derive(Debug, Serialize)]
struct Prediction {
    #[serde(rename = "instance_id")]
    id: String,
    ranked: Vec<String>,
    seconds: f64,
    index_seconds: f64,
}

/// The numbers of an instance's files, for those who learn the weights.
#[derive(Debug, Serialize)]
struct Rows {
    #[serde(rename = "instance_id")]
    id: String,
    repo: String,
    /// Each with whether it is gold.
    #[serde(rename = "rows")]
    files: Vec<(bool, [f64; Sign::ALL.len()])>,
}

/// How many of the files that are no gold are learned from: those that come close.
const CLOSE: usize = 150;

pub(crate) fn eval(args: &EvalArgs) -> CommandResult {
    let instances: Vec<Instance> = std::fs::read_to_string(&args.index)?
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let mut predictions = args.predictions.as_ref().map(std::fs::File::create).transpose()?;
    let mut rows = args.rows.as_ref().map(std::fs::File::create).transpose()?;
    let mut tally = Tally::default();
    for instance in instances {
        let found = match predict(&instance, &args.repos, rows.is_some()) {
            Ok(found) => found,
            Err(error) => {
                say(&format!("{}: {error}", instance.id));
                tally.add(&instance.gold_files, &[], 0.0);
                continue;
            }
        };
        tally.add(&instance.gold_files, &found.0.ranked, found.0.seconds);
        if let Some(file) = &mut predictions {
            writeln!(file, "{}", serde_json::to_string(&found.0)?)?;
        }
        if let (Some(file), Some(found)) = (&mut rows, &found.1) {
            writeln!(file, "{}", serde_json::to_string(found)?)?;
        }
    }
    tally.say();
    Ok(ExitCode::SUCCESS)
}

fn repository(repos: &Path, instance: &Instance) -> Result<Snapshot, GitError> {
    let path: PathBuf = repos.join(instance.repo.replace('/', "__"));
    let tagged = (!instance.tag.is_empty()).then(|| Snapshot::open(&path, &instance.tag));
    match tagged {
        Some(Ok(snapshot)) => Ok(snapshot),
        _ => Snapshot::open(&path, &instance.base_commit),
    }
}

fn predict(instance: &Instance, repos: &Path, with_rows: bool) -> Result<(Prediction, Option<Rows>), GitError> {
    let began = Instant::now();
    let snapshot = repository(repos, instance)?;
    let index = Index::build(documents(&snapshot)?);
    let index_seconds = began.elapsed().as_secs_f64();
    let past = Past::read(&snapshot)?;
    let issue = IssueText::of(&instance.problem_statement);
    let ranked = index.rank_with(&issue, Some(&past), CLOSE);
    let seconds = began.elapsed().as_secs_f64();
    let rows = with_rows.then(|| {
        let close = |path: &str| ranked.iter().any(|file| file.path == path);
        let is_gold = |path: &String| instance.gold_files.contains(path);
        let rows = index.rows(&issue, Some(&past)).into_iter();
        let rows = rows.filter(|(path, _)| is_gold(path) || close(path)).map(|(path, row)| (is_gold(&path), row));
        Rows { id: instance.id.clone(), repo: instance.repo.clone(), files: rows.collect() }
    });
    let ranked = ranked.into_iter().take(PREDICTED).map(|file| file.path).collect();
    Ok((Prediction { id: instance.id.clone(), ranked, seconds, index_seconds }, rows))
}

/// Sums over instances.
#[derive(Debug, Default)]
struct Tally {
    instances: u32,
    /// All gold within the first 1, 3, 5, 10; and any.
    all: [u32; 4],
    any: [u32; 4],
    reciprocal: f64,
    seconds: Vec<f64>,
}

const PLACES: [usize; 4] = [1, 3, 5, 10];

impl Tally {
    fn add(&mut self, gold: &[String], ranked: &[String], seconds: f64) {
        self.instances += 1;
        let places: Vec<Option<usize>> = gold.iter().map(|file| ranked.iter().position(|path| path == file)).collect();
        for (slot, most) in PLACES.into_iter().enumerate() {
            let within = |place: &Option<usize>| place.is_some_and(|place| place < most);
            self.all[slot] += u32::from(places.iter().all(within));
            self.any[slot] += u32::from(places.iter().any(within));
        }
        #[expect(clippy::cast_precision_loss, reason = "a place in a short list")]
        let first = places.into_iter().flatten().min().map_or(0.0, |place| 1.0 / (place + 1) as f64);
        self.reciprocal += first;
        self.seconds.push(seconds);
    }

    fn say(&mut self) {
        let count = f64::from(self.instances.max(1));
        let share =
            |numbers: [u32; 4]| numbers.map(|number| format!("{:5.1}", f64::from(number) / count * 100.0)).join(" ");
        self.seconds.sort_by(f64::total_cmp);
        let at = |hundredth: usize| self.seconds.get((self.seconds.len().max(1) - 1) * hundredth / 100).copied();
        say(&format!("{} instances           @1    @3    @5   @10", self.instances));
        say(&format!("Acc (all gold files)  {}", share(self.all)));
        say(&format!("Hit (any gold file)   {}", share(self.any)));
        say(&format!("MRR                   {:5.3}", self.reciprocal / count));
        let (median, late) = (at(50).unwrap_or_default(), at(95).unwrap_or_default());
        say(&format!("seconds an instance   median {median:.2}, 95 of 100 within {late:.2}"));
    }
}
