//! The stage `fix`: makes the change, file by file, and commits it.

use patchwright_core::fault::Fault;
use patchwright_core::llm::Message;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{FileContent, FixReport, Plan, PlannedChange, StageReport};

use super::{Outcome, external};
use crate::branch::{commit_request, write_all};
use crate::budgeted_llm::BudgetedLlm;
use crate::change::shorten_diff;
use crate::context::{StageContext, StageError};
use crate::edit::{self, Decoded, Edit};
use crate::prompt::code_fix;
use patchwright_core::outgoing_text::{code_span, shorten};

/// How often a model may correct an edit that could not be applied.
const REFLECTIONS: u32 = 3;
/// The largest file that is written, in bytes.
pub(super) const MAX_FILE: usize = 1024 * 1024;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    if let Some(command) = &context.job.command {
        let (contents, diff) = external::run(context, command).await?;
        write_all(context.workspace, &contents).await?;
        return commit(context, contents, &diff, "the command left every file as it was").await;
    }
    let Some(llm) = context.llm else { return Ok(Outcome::without_model()) };
    let Some(proposed) = context.job.proposed() else {
        return Ok(Outcome::Skipped { reason: "there is no plan".to_owned() });
    };
    let mut contents = Vec::new();
    let mut diff = String::new();
    let base = &base_texts(context, &proposed.plan).await?;
    for (change, before) in proposed.plan.changes.iter().zip(base) {
        context.progress.set_activity(format!("changing {}", change.file));
        // A second round continues from the files of the first one.
        let standing = read_text(context, &change.file).await?;
        let (old, encoding) = match standing {
            Some(Decoded { text, encoding }) => (Some(text), encoding),
            None => (None, None),
        };
        let text = match change_file(context, llm, &proposed.plan, change, old.as_deref(), encoding.as_deref()).await? {
            Edit::Text(text) => Some(text),
            Edit::Delete => None,
            Edit::Nothing => old,
        };
        let file = FileContent { path: change.file.clone(), text, encoding };
        write_all(context.workspace, std::slice::from_ref(&file)).await?;
        if file.text != *before {
            diff.push_str(&unified_diff(&change.file, before.as_deref(), file.text.as_deref()));
            contents.push(file);
        }
    }
    commit(context, contents, &diff, "the model's edits leave every file as it was").await
}

/// Commits the changed files.
async fn commit(
    context: &StageContext<'_>,
    contents: Vec<FileContent>,
    diff: &str,
    nothing: &str,
) -> Result<Outcome, StageError> {
    let failed = || StageError::new(nothing, "Retry the job, or describe the change in a comment.", Fault::Internal);
    if contents.is_empty() {
        return Err(failed());
    }
    let paths: Vec<RepoPath> = contents.iter().map(|file| file.path.clone()).collect();
    let commit = context.workspace.commit(&paths, &commit_request(context.job, context.policy)).await?;
    let changed_files = context.workspace.changed_files().await?;
    if commit == *context.workspace.base_commit() || changed_files.is_empty() {
        return Err(failed());
    }
    let report = FixReport {
        changes_applied: paths,
        changed_files,
        commit,
        base: context.workspace.base_commit().clone(),
        contents,
        diff: shorten_diff(diff),
        round: context.job.rounds + 1,
        fetched_for: None,
    };
    let comment = comment(&report);
    Ok(Outcome::done(StageReport::Fix(report), comment))
}

async fn read_text(context: &StageContext<'_>, path: &RepoPath) -> Result<Option<Decoded>, StageError> {
    let Some(bytes) = context.workspace.read(path).await? else { return Ok(None) };
    edit::decode(&bytes).map(Some).map_err(|problem| {
        StageError::new(
            format!("the plan changes {path}, but {problem}"),
            "Convert the file to UTF-8, or change it by hand.",
            Fault::Internal,
        )
    })
}

/// Returns the files at the base commit, for the displayed diff.
async fn base_texts(context: &StageContext<'_>, plan: &Plan) -> Result<Vec<Option<String>>, StageError> {
    let earlier = context.job.fixed();
    let folder = context.scratch.join("base");
    if earlier.is_some() && !folder.exists() {
        context.workspace.export(context.workspace.base_commit(), &folder).await?;
    }
    let mut texts = Vec::new();
    for change in &plan.changes {
        texts.push(if earlier.is_some() {
            let bytes = tokio::fs::read(folder.join(change.file.as_str())).await.ok();
            bytes.and_then(|bytes| edit::decode(&bytes).ok()).map(|decoded| decoded.text)
        } else {
            read_text(context, &change.file).await?.map(|decoded| decoded.text)
        });
    }
    Ok(texts)
}

async fn change_file(
    context: &StageContext<'_>,
    llm: &BudgetedLlm<'_>,
    plan: &Plan,
    change: &PlannedChange,
    old: Option<&str>,
    encoding: Option<&str>,
) -> Result<Edit, StageError> {
    let mut messages = code_fix::conversation(context.issue, context.job, plan, change, old);
    // A file of several may need nothing, and a revised one no revision.
    let may_stay = plan.changes.len() > 1 || context.job.rounds > 0;
    let mut reflections = 0;
    loop {
        let answer = llm.ask("code_fix", &messages).await?;
        let problem = match edit::apply(&change.file, &answer.text, old) {
            Ok(Edit::Text(text)) => match check_text(context, &change.file, old, &text, encoding) {
                Ok(()) => return Ok(Edit::Text(text)),
                Err(problem) => problem,
            },
            Ok(Edit::Nothing) if !may_stay => "it changes nothing".to_owned(),
            Ok(edit) => return Ok(edit),
            Err(problem) => problem,
        };
        if reflections == REFLECTIONS && context.job.rounds > 0 && old.is_some() {
            // The model stands by its fix. The tests judge it again, and what they say is the result.
            tracing::info!(file = %change.file, problem, "the revised edit cannot be applied; keeping the file of the round before");
            return Ok(Edit::Nothing);
        }
        if reflections == REFLECTIONS {
            let reason = format!(
                "the model's edit of {} cannot be applied, also after {REFLECTIONS} corrections: {}",
                change.file,
                shorten(&problem, 300)
            );
            let remedy = "Retry the job, or set LLM_MODEL to a more capable model.";
            return Err(StageError::new(reason, remedy, Fault::Internal));
        }
        reflections += 1;
        tracing::info!(file = %change.file, problem, reflections, "failed to apply an edit");
        messages.push(Message::assistant(answer.text));
        messages.push(code_fix::complaint(&problem));
    }
}

/// Returns what is wrong with the new text of a file, for the model.
fn check_text(
    context: &StageContext<'_>,
    path: &RepoPath,
    old: Option<&str>,
    new: &str,
    encoding: Option<&str>,
) -> Result<(), String> {
    if new.len() > MAX_FILE {
        return Err(format!("the file would grow to {} bytes", new.len()));
    }
    if new.contains('\0') {
        return Err("the file would hold a NUL character".to_owned());
    }
    if context.tools.redactor.adds_secret(old.unwrap_or_default(), new) {
        let problem = "the file would contain a key or token; read secrets from the environment, and never write one";
        return Err(problem.to_owned());
    }
    edit::encode(new, encoding)?;
    let errors = |text: &str| context.tools.code_index.syntax_errors(path.as_str(), text);
    let (before, after) = (old.map(errors).unwrap_or_default(), errors(new));
    match after.first().filter(|_| after.len() > before.len()) {
        // Grammars have faults, and some files had errors before.
        Some(line) => {
            let text = new.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            Err(format!(
                "line {line} has a syntax error that the file did not have before: `{}`",
                shorten(text.trim(), 120)
            ))
        }
        None => Ok(()),
    }
}

pub(crate) fn unified_diff(path: &RepoPath, before: Option<&str>, after: Option<&str>) -> String {
    let name =
        |side: &str, text: Option<&str>| text.map_or_else(|| "/dev/null".to_owned(), |_| format!("{side}/{path}"));
    similar::TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default())
        .unified_diff()
        .context_radius(3)
        .header(&name("a", before), &name("b", after))
        .to_string()
}

pub(super) fn comment(report: &FixReport) -> String {
    let files: Vec<String> = report
        .changed_files
        .iter()
        .map(|file| format!("- {} {}", file.status.letter(), code_span(file.file.as_str())))
        .collect();
    format!("Commit `{}`\n\n{}", report.commit.short(), files.join("\n"))
}
