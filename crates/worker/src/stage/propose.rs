//! The stage `propose`: plans the change.

use std::sync::Arc;

use patchwright_core::fault::Fault;
use patchwright_core::llm::{Role, count_tokens};
use patchwright_core::outgoing_text::{code_span, neutralise, shorten};
use patchwright_core::sandbox::{Suite, SuiteQuery};
use patchwright_domain::RepoPath;
use patchwright_domain::job::PlanReview;
use patchwright_domain::job::report::{
    Candidate, Level, Plan, PlannedChange, PlannedTest, ProposeData, ProposeReport, StageReport,
};
use patchwright_domain::protected::EditablePaths;

use super::Outcome;
use super::locate::{CHOSEN, is_certain};
use super::verify::read_settings;
use crate::context::{StageContext, StageError};
use crate::prompt;
use crate::prompt::analyze_bug::ISSUE_TOKENS as LOCATE_ISSUE_TOKENS;
use crate::prompt::code::{CodeQuery, Focus, describe_code};
use crate::prompt::fix_plan::{self, PlanAnswer};

/// The most tokens of the prompt with the plan's question, and of the code in it.
const PLAN_TOKENS: usize = 7_000;
pub(super) const CODE_TOKENS: usize = 4_500;
/// The least code that is shown, however long the issue is.
const MIN_CODE_TOKENS: usize = 1_500;
/// The tokens of the question around the code.
const FORM_TOKENS: usize = 350;
/// How many of the likeliest files are shown, and how many of those that the model chose.
const FILES_SHOWN: usize = 3;
const CHOSEN_SHOWN: usize = 4;
/// The most files that one plan may change.
const MAX_CHANGES: usize = 12;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let Some(llm) = context.llm else { return Ok(Outcome::without_model()) };
    let check = |answer| check(answer, &context.policy.editable_paths);
    let checked = if let Some(words) = revision(context).await {
        fix_plan::ask_again(llm, context.dialogue, words, check).await?
    } else {
        let code = code_for_plan(context).await?;
        context.progress.set_activity("asking the model for a plan");
        fix_plan::ask(llm, context.dialogue, (context.issue, context.job), &code, check).await?
    };
    let (plan, risk_level) = checked.map_err(|problem| {
        StageError::new(
            format!("the model's plan cannot be used, also after asking again: {}", shorten(&problem, 300)),
            "Retry the job, or set LLM_MODEL to a more capable model.",
            Fault::Internal,
        )
    })?;
    let mut target_files: Vec<RepoPath> = plan.changes.iter().map(|change| change.file.clone()).collect();
    for test in &plan.tests {
        if !target_files.contains(&test.file) {
            target_files.push(test.file.clone());
        }
    }
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

/// Returns what somebody wants of another plan, if the conversation has the one before it.
async fn revision<'a>(context: &StageContext<'a>) -> Option<&'a str> {
    let PlanReview::Revised { words, .. } = &context.job.review else { return None };
    let state = context.dialogue.state().await;
    // The form of a plan is in the question for the first one.
    let has_form = state.messages.iter().any(|message| message.content.contains(fix_plan::FORM));
    let is_answered = state.messages.last().is_some_and(|message| message.role == Role::Assistant);
    (has_form && is_answered).then_some(words.as_str())
}

/// Returns the code that the plan is made from.
async fn code_for_plan(context: &StageContext<'_>) -> Result<String, StageError> {
    let located = context.job.located().map(|report| report.candidates.as_slice()).unwrap_or_default();
    let sent = prompt::tokens_of(&context.dialogue.state().await.messages);
    let rest = if sent == 0 { None } else { prompt::issue_rest(context.issue, context.job, LOCATE_ISSUE_TOKENS) };
    let issue =
        if sent == 0 { prompt::issue_text(context.issue, context.job) } else { rest.clone().unwrap_or_default() };
    let room =
        PLAN_TOKENS.saturating_sub(sent + count_tokens(&issue) + FORM_TOKENS).clamp(MIN_CODE_TOKENS, CODE_TOKENS);
    let mut code = describe(context, focus_of(located), room).await?;
    if let Some(rest) = rest {
        code = format!("The rest of the issue:\n<issue>\n{rest}\n</issue>\n\n{code}");
    }
    Ok(code)
}

/// Returns the files to show: those that the model chose, else the likeliest.
pub(super) fn focus_of(candidates: &[Candidate]) -> Vec<Focus> {
    let is_chosen = |candidate: &&Candidate| candidate.reasons.iter().any(|reason| reason == CHOSEN);
    let chosen: Vec<&Candidate> = candidates.iter().filter(is_chosen).take(CHOSEN_SHOWN).collect();
    let count = if is_certain(candidates.iter().map(|candidate| candidate.score)) { 1 } else { FILES_SHOWN };
    let shown = if chosen.is_empty() { candidates.iter().take(count).collect() } else { chosen };
    shown.into_iter().map(|candidate| Focus { path: candidate.path.clone(), symbols: symbols_of(candidate) }).collect()
}

fn symbols_of(candidate: &Candidate) -> Vec<(String, (u32, u32))> {
    candidate.symbols.iter().map(|symbol| (symbol.name.clone(), symbol.lines)).collect()
}

/// Returns the files of a plan that exist, with what the plan and the index say about their definitions.
pub(super) fn focus_of_plan(context: &StageContext<'_>, plan: &Plan) -> Vec<Focus> {
    let located = context.job.located().map(|report| report.candidates.as_slice()).unwrap_or_default();
    let symbols = |change: &PlannedChange| {
        let known = located.iter().find(|candidate| candidate.path == change.file).map(symbols_of).unwrap_or_default();
        let named = change.symbols.iter().map(|name| (name.clone(), (0, 0)));
        named.chain(known).collect()
    };
    let changes = plan.changes.iter().map(|change| Focus { path: change.file.clone(), symbols: symbols(change) });
    let tests = plan.tests.iter().map(|test| Focus { path: test.file.clone(), symbols: Vec::new() });
    let mut focus: Vec<Focus> = Vec::new();
    for one in changes.chain(tests).filter(|focus| context.repository.contains(focus.path.as_str())) {
        if focus.iter().all(|known| known.path != one.path) {
            focus.push(one);
        }
    }
    focus
}

/// Renders code for the model, with its tests and what the repository says about itself.
pub(super) async fn describe(context: &StageContext<'_>, focus: Vec<Focus>, room: usize) -> Result<String, StageError> {
    context.progress.set_activity("reading the code");
    let suites = find_suites(context, &focus).await?;
    Ok(render_code(context, focus, suites, room, describe_code).await)
}

/// Renders code outside of the threads that must not block.
pub(super) async fn render_code<F>(
    context: &StageContext<'_>,
    focus: Vec<Focus>,
    suites: Vec<String>,
    room: usize,
    render: F,
) -> String
where
    F: FnOnce(&CodeQuery<'_>) -> String + Send + 'static,
{
    let title = context.issue.title.clone();
    let (repository, index) = (Arc::clone(context.repository), Arc::clone(&context.tools.code_index));
    let render = move || {
        let query = CodeQuery {
            repository: &repository,
            index: index.as_ref(),
            focus: &focus,
            title: &title,
            suites: &suites,
            room,
        };
        render(&query)
    };
    tokio::task::spawn_blocking(render).await.expect("reading files does not panic")
}

/// Returns how the tests of these files are run here.
async fn find_suites(context: &StageContext<'_>, focus: &[Focus]) -> Result<Vec<String>, StageError> {
    if let Some(command) = &context.policy.test_command {
        return Ok(vec![command.clone()]);
    }
    let query = SuiteQuery {
        root: context.workspace.root().to_owned(),
        changed: focus.iter().map(|focus| focus.path.clone()).collect(),
        settings: read_settings(context, &[]).await?,
        test_command: None,
        grants: context.policy.grants.clone(),
        repository: String::new(),
    };
    let found = context.tools.sandbox.find_suites(query).await.unwrap_or_default();
    Ok(found.iter().map(Suite::name).collect())
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
            None => changes.push(PlannedChange { file, symbols: change.symbols, description: change.description }),
        }
    }
    let mut tests = Vec::new();
    for test in answer.tests.unwrap_or_default() {
        let file = RepoPath::parse(test.file.trim()).map_err(|error| error.to_string())?;
        if let Some(reason) = editable.protection(&file) {
            return Err(format!("it changes {file}, which jobs may not change: {reason}"));
        }
        tests.push(PlannedTest { file, what: test.description });
    }
    if changes.is_empty() {
        return Err("it changes no file".to_owned());
    }
    if changes.len() > MAX_CHANGES {
        return Err(format!("it changes {} files, more than {MAX_CHANGES}", changes.len()));
    }
    // What the model says can only raise what the paths say.
    let stated = match answer.risk_level.to_lowercase().as_str() {
        "medium" => Level::Medium,
        "high" => Level::High,
        _ => Level::Low,
    };
    let risk_level = stated.max(risk_of(&changes));
    let plan = Plan {
        root_cause: answer.root_cause,
        fix_strategy: shorten(&answer.fix_strategy, 300),
        changes,
        tests,
        risks: answer.risks,
        testing_suggestions: answer.testing_suggestions,
    };
    Ok((plan, risk_level))
}

/// Parts of paths whose changes are of consequence: data, and who may do what.
const DELICATE: [&str; 9] =
    ["migration", "auth", "security", "crypt", "password", "permission", "session", "payment", "schema"];
/// Files through which other code uses a package.
const PUBLIC: [&str; 6] = ["lib.rs", "__init__.py", "index.js", "index.ts", "api", "public"];
/// From how many files on a change is of medium and of high risk.
const MEDIUM_FILES: usize = 4;
const HIGH_FILES: usize = 8;

/// Returns the risk of a change by its files and its size.
fn risk_of(changes: &[PlannedChange]) -> Level {
    let paths: Vec<String> = changes
        .iter()
        .filter(|change| !change.file.is_test())
        .map(|change| change.file.as_str().to_lowercase())
        .collect();
    let is_public = |path: &String| path.split('/').any(|part| PUBLIC.contains(&part));
    let removes = changes.iter().any(|change| change.description.to_lowercase().starts_with("delete"));
    if paths.iter().any(|path| DELICATE.iter().any(|word| path.contains(word))) || paths.len() >= HIGH_FILES {
        Level::High
    } else if paths.len() >= MEDIUM_FILES || removes || paths.iter().any(is_public) {
        Level::Medium
    } else {
        Level::Low
    }
}

fn comment(plan: &Plan) -> String {
    let changes: Vec<String> = plan
        .changes
        .iter()
        .map(|change| (&change.file, &change.description))
        .chain(plan.tests.iter().map(|test| (&test.file, &test.what)))
        .map(|(file, what)| format!("- {}: {}", code_span(file.as_str()), neutralise(what)))
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

    fn plan(files: &[&str]) -> PlanAnswer {
        let change =
            |file: &&str| ChangeAnswer { file: (*file).to_owned(), symbols: vec![], description: "x".to_owned() };
        PlanAnswer {
            root_cause: String::new(),
            fix_strategy: String::new(),
            changes: files.iter().map(change).collect(),
            tests: None,
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
