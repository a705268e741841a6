//! Plan the change.

use patchwright_core::fault::Fault;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{Level, Plan, PlannedChange, ProposeData, ProposeReport, StageReport};

use super::Outcome;
use crate::prompt::fix_plan::{self, PlanAnswer};
use crate::run::{StageContext, StageError};
use crate::text::{neutralise, shorten};

/// How many files the model reads for its plan, and how much of them, in characters.
const FILES_READ: usize = 6;
const ONE_FILE: usize = 24_000;
const ALL_FILES: usize = 90_000;
/// The most files that one plan may change.
const MAX_CHANGES: usize = 12;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let Some(asker) = context.asker else { return Ok(Outcome::without_model()) };
    let located = context.job.located().map(|report| report.candidate_files.as_slice()).unwrap_or_default();
    let files = read_files(context, located).await?;
    context.progress.doing("asking the model for a plan");
    let answer = fix_plan::ask(asker, context.issue, context.job, &files).await?;
    let (plan, risk_level) = answer.and_then(check).map_err(|problem| {
        StageError::new(
            format!("the model's plan cannot be used, also after asking again: {}", shorten(&problem, 300)),
            "Retry the job, or set LLM_MODEL to a more capable model.",
            Fault::Broken,
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

/// The likeliest files as text. One that is no text is passed over: the model could not change it anyway.
async fn read_files(context: &StageContext<'_>, paths: &[RepoPath]) -> Result<Vec<(String, String)>, StageError> {
    let mut files = Vec::new();
    let mut room = ALL_FILES;
    for path in paths.iter().take(FILES_READ) {
        let Some(bytes) = context.workspace.read(path).await? else { continue };
        let Ok(text) = String::from_utf8(bytes) else {
            tracing::info!(file = %path, "the file is not UTF-8; the model does not read it");
            continue;
        };
        let text = shorten(&text, ONE_FILE.min(room));
        room = room.saturating_sub(text.chars().count());
        files.push((path.to_string(), text));
        if room == 0 {
            break;
        }
    }
    Ok(files)
}

/// Checks the plan; what is wrong with it is said in words for people.
fn check(answer: PlanAnswer) -> Result<(Plan, Level), String> {
    let mut changes: Vec<PlannedChange> = Vec::new();
    for change in answer.changes {
        let file = RepoPath::parse(change.file.trim()).map_err(|error| error.to_string())?;
        if let Some(reason) = file.protection() {
            return Err(format!("it wants to change {file}, which no job may: {reason}"));
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
    let changes: Vec<String> =
        plan.changes.iter().map(|change| format!("- `{}`: {}", change.file, neutralise(&change.description))).collect();
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

    #[test]
    fn a_plan_stays_in_the_repository_and_out_of_ci() {
        assert!(check(plan(&["../x"])).unwrap_err().contains("`..`"));
        assert!(check(plan(&[".git/hooks/pre-commit"])).is_err());
        assert!(check(plan(&["src/a.py", ".github/workflows/ci.yml"])).unwrap_err().contains("CI configuration"));
        assert_eq!(check(plan(&[])).unwrap_err(), "it changes no file");
        let many: Vec<String> = (0..13).map(|n| format!("f{n}")).collect();
        assert!(check(plan(&many.iter().map(String::as_str).collect::<Vec<_>>())).is_err());
    }

    #[test]
    fn two_changes_of_one_file_are_one() {
        let (plan, risk) = check(plan(&["a.py", "./a.py"])).unwrap();
        assert_eq!((plan.changes.len(), plan.changes[0].description.as_str(), risk), (1, "x; x", Level::Low));
    }
}
