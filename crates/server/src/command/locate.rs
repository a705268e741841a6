//! `patchwright locate`: ranks the files of an issue, without a model and without a server.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use patchwright_code_index::Locator;
use patchwright_core::code_index::{IndexQuery, RankedFile};
use patchwright_gitops_gix::Snapshot;

use super::CommandResult;
use crate::cli::LocateArgs;
use crate::terminal::say;

/// How many symbols of a file are shown.
const SYMBOLS: usize = 5;
/// How many of the first files are shown with their symbols.
const OUTLINED: usize = 5;
/// How many functions of all files are shown.
const FUNCTIONS: usize = 10;

pub(crate) fn run(args: &LocateArgs) -> CommandResult {
    let text = read_issue(&args.issue)?;
    let (title, body) = text.split_once('\n').unwrap_or((&text, ""));
    let repo = args.repo.canonicalize().map_err(|error| {
        format!("the repository `{}` cannot be opened: {error}; give a folder on this machine", args.repo.display())
    })?;
    let mut query = IndexQuery::new(Arc::new(Snapshot::open(&repo, &args.rev)?), title, body)
        .with_repository(repo.display().to_string())
        .with_labels(args.labels.clone())
        .with_outlines(OUTLINED.min(args.top))
        .with_limit(args.top);
    query.folder = args.folder.as_ref().map(|folder| folder.trim_end_matches('/').to_owned());
    let ranking = Locator::new(args.cache.clone()).locate(&query)?;
    if args.json {
        say(&serde_json::to_string_pretty(&ranking.files.iter().map(file_json).collect::<Vec<_>>())?);
        return Ok(ExitCode::SUCCESS);
    }
    if ranking.files.is_empty() {
        say("No file matches: the text shares no word, name or path with the repository.");
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
    if !ranking.functions.is_empty() {
        say("Functions:");
    }
    for function in ranking.functions.iter().take(FUNCTIONS) {
        say(&format!("     {}:{} {}", function.path, function.symbol.lines.0, function.symbol.name));
    }
    Ok(ExitCode::SUCCESS)
}

fn read_issue(file: &Path) -> Result<String, String> {
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    read.map_err(|error| format!("the issue `{}` cannot be read: {error}; give a file, or `-`", file.display()))
}

fn file_json(file: &RankedFile) -> serde_json::Value {
    let symbols: Vec<_> = file
        .symbols
        .iter()
        .take(SYMBOLS)
        .map(|symbol| serde_json::json!({"name": symbol.name, "kind": symbol.kind, "lines": symbol.lines}))
        .collect();
    serde_json::json!({"path": file.path, "score": file.score, "reasons": file.reasons, "symbols": symbols})
}
