//! The stage `propose`: plans the change.

use patchwright_core::fault::Fault;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{
    Candidate, CandidateSymbol, Level, Plan, PlannedChange, ProposeData, ProposeReport, StageReport,
};
use patchwright_domain::protected::EditablePaths;

use super::Outcome;
use crate::context::{StageContext, StageError};
use crate::edit::{decode, plain};
use crate::prompt::fix_plan::{self, PlanAnswer};
use patchwright_core::outgoing_text::{code_span, neutralise, shorten};

/// How many files the model reads for its plan, and how much of them, in characters.
const FILES_READ: usize = 6;
const ONE_FILE: usize = 24_000;
const ALL_FILES: usize = 90_000;
/// How many of the first lines of a long file are shown, and the length of a note about omitted lines, in characters.
const HEAD: usize = 60;
const LEFT_OUT: usize = 50;
/// The most files that one plan may change.
const MAX_CHANGES: usize = 12;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let Some(llm) = context.llm else { return Ok(Outcome::without_model()) };
    let located = context.job.located().map(|report| report.candidates.as_slice()).unwrap_or_default();
    let files = read_files(context, located).await?;
    context.progress.set_activity("asking the model for a plan");
    let check = |answer| check(answer, &context.policy.editable_paths);
    let checked = fix_plan::ask(llm, context.issue, context.job, &files, check).await?;
    let (plan, risk_level) = checked.map_err(|problem| {
        StageError::new(
            format!("the model's plan cannot be used, also after asking again: {}", shorten(&problem, 300)),
            "Retry the job, or set LLM_MODEL to a more capable model.",
            Fault::Internal,
        )
    })?;
    let target_files: Vec<RepoPath> = plan.changes.iter().map(|change| change.file.clone()).collect();
    let comment = comment(&plan);
    let report = ProposeReport {
        stage_data: ProposeData {
            fix_strategy: plan.fix_strategy.clone(),
            changes_count: plan.changes.len(),
            risk_level,
        },
        target_files,
        plan,
    };
    Ok(Outcome::done(StageReport::Propose(report), comment))
}

/// Returns the most likely files as text. Binary files are skipped: the model could not change them anyway.
async fn read_files(context: &StageContext<'_>, candidates: &[Candidate]) -> Result<Vec<(String, String)>, StageError> {
    let mut files = Vec::new();
    let mut room = ALL_FILES;
    for candidate in candidates.iter().take(FILES_READ) {
        let path = &candidate.path;
        let Some(bytes) = context.workspace.read(path).await? else { continue };
        let Ok(decoded) = decode(&bytes) else {
            tracing::info!(file = %path, "skipping a file that is no text in a known encoding");
            continue;
        };
        let text = excerpt(&plain(&decoded.text), &candidate.symbols, ONE_FILE.min(room));
        room = room.saturating_sub(text.chars().count());
        files.push((path.to_string(), text));
        if room == 0 {
            break;
        }
    }
    Ok(files)
}

/// Returns a file in at most so many characters: whole, or its first lines and the most likely definitions, in their
/// order, with notes about the omitted lines.
fn excerpt(text: &str, symbols: &[CandidateSymbol], most: usize) -> String {
    if text.chars().count() <= most || symbols.is_empty() {
        return shorten(text, most);
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = vec![false; lines.len()];
    // Lines may be omitted before each part, and after the last one.
    let mut room = most.saturating_sub(LEFT_OUT * (symbols.len() + 2));
    let parts = symbols.iter().map(|symbol| (symbol.lines.0.saturating_sub(1) as usize, symbol.lines.1 as usize));
    'parts: for (from, to) in std::iter::once((0, HEAD)).chain(parts) {
        for line in from..to.min(lines.len()) {
            let length = if shown[line] { 0 } else { lines[line].chars().count() + 1 };
            if length > room {
                break 'parts;
            }
            room -= length;
            shown[line] = true;
        }
    }
    let mut out = String::new();
    let mut line = 0;
    while line < lines.len() {
        let run = shown[line..].iter().take_while(|other| **other == shown[line]).count();
        if shown[line] {
            out.push_str(&lines[line..line + run].join("\n"));
            out.push('\n');
        } else {
            out.push_str(&format!("[… lines {} to {} are left out]\n", line + 1, line + run));
        }
        line += run;
    }
    out
}

/// Validates the plan; the error is a text for users.
fn check(answer: PlanAnswer, editable: &EditablePaths) -> Result<(Plan, Level), String> {
    let mut changes: Vec<PlannedChange> = Vec::new();
    for change in answer.changes {
        let file = RepoPath::parse(change.file.trim()).map_err(|error| error.to_string())?;
        if let Some(reason) = editable.protection(&file) {
            return Err(format!("it changes {file}, which jobs may not change: {reason}"));
        }
        match changes.iter_mut().find(|known| known.file == file) {
            Some(known) => known.description = format!("{}; {}", known.description, change.description),
            None => changes.push(PlannedChange { file, description: change.description }),
        }
    }
    if changes.is_empty() {
        return Err("it changes no file".to_owned());
    }
    if changes.len() > MAX_CHANGES {
        return Err(format!("it changes {} files, more than {MAX_CHANGES}", changes.len()));
    }
    let risk_level = match answer.risk_level.to_lowercase().as_str() {
        "low" => Level::Low,
        "high" => Level::High,
        _ => Level::Medium,
    };
    let plan = Plan {
        root_cause: answer.root_cause,
        fix_strategy: shorten(&answer.fix_strategy, 300),
        changes,
        risks: answer.risks,
        testing_suggestions: answer.testing_suggestions,
    };
    Ok((plan, risk_level))
}

fn comment(plan: &Plan) -> String {
    let changes: Vec<String> = plan
        .changes
        .iter()
        .map(|change| format!("- {}: {}", code_span(change.file.as_str()), neutralise(&change.description)))
        .collect();
    format!(
        "**Cause:** {}\n\n**Plan:** {}\n\n{}",
        neutralise(&plan.root_cause),
        neutralise(&plan.fix_strategy),
        changes.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::fix_plan::ChangeAnswer;

    #[test]
    fn of_a_long_file_the_likeliest_definitions_are_read_and_not_only_its_beginning() {
        let text: String = (1..=2_000).map(|line| format!("line {line}\n")).collect();
        let symbol = |from, to| CandidateSymbol { name: "f".into(), kind: "function".into(), lines: (from, to) };
        let shown = excerpt(&text, &[symbol(1_500, 1_510), symbol(900, 901)], 2_000);
        assert!(shown.chars().count() <= 2_000, "{}", shown.chars().count());
        assert!(shown.starts_with("line 1\n") && shown.contains("line 900\nline 901\n[… lines 902 to 1499"), "{shown}");
        assert!(shown.contains("line 1500\n") && shown.contains("line 1510\n") && !shown.contains("line 1511\n"));
        assert_eq!(excerpt("a\nb\n", &[symbol(1, 1)], 100), "a\nb\n", "a short file is whole");
        assert_eq!(excerpt(&text, &[], 100), shorten(&text, 100));
        let greedy = excerpt(&text, &[symbol(1, 2_000)], 500);
        assert!(greedy.chars().count() <= 500 && greedy.contains("left out"), "{greedy}");
    }

    fn plan(files: &[&str]) -> PlanAnswer {
        let change = |file: &&str| ChangeAnswer { file: (*file).to_owned(), description: "x".to_owned() };
        PlanAnswer {
            root_cause: String::new(),
            fix_strategy: String::new(),
            changes: files.iter().map(change).collect(),
            risks: vec![],
            testing_suggestions: vec![],
            risk_level: "LOW".to_owned(),
        }
    }

    fn check_plan(answer: PlanAnswer) -> Result<(Plan, Level), String> {
        check(answer, &EditablePaths::default())
    }

    #[test]
    fn a_plan_stays_in_the_repository_and_out_of_ci() {
        assert!(check_plan(plan(&["../x"])).unwrap_err().contains("`..`"));
        assert!(check_plan(plan(&[".git/hooks/pre-commit"])).is_err());
        assert!(check_plan(plan(&["src/a.py", ".github/workflows/ci.yml"])).unwrap_err().contains("CI configuration"));
        assert_eq!(check_plan(plan(&[])).unwrap_err(), "it changes no file");
        let many: Vec<String> = (0..13).map(|n| format!("f{n}")).collect();
        assert!(check_plan(plan(&many.iter().map(String::as_str).collect::<Vec<_>>())).is_err());
    }

    #[test]
    fn two_changes_of_one_file_are_one() {
        let (plan, risk) = check_plan(plan(&["a.py", "./a.py"])).unwrap();
        assert_eq!((plan.changes.len(), plan.changes[0].description.as_str(), risk), (1, "x; x", Level::Low));
    }
}
