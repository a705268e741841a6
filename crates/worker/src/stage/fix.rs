//! The stage `fix`: makes the change, file by file, and commits it.

use patchwright_core::fault::Fault;
use patchwright_core::llm::Message;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{FileContent, FixReport, Plan, PlannedChange, StageReport};

use super::{Outcome, external};
use crate::branch::commit_request;
use crate::budgeted_llm::BudgetedLlm;
use crate::change::shorten_diff;
use crate::context::{StageContext, StageError};
use crate::edit;
use crate::prompt::code_fix;
use patchwright_core::outgoing_text::{code_span, shorten};

/// How often a model may correct an edit that could not be applied.
const REFLECTIONS: u32 = 3;
/// The largest file that is written, in bytes.
pub(super) const MAX_FILE: usize = 1024 * 1024;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    if let Some(command) = &context.job.command {
        let (contents, diff) = external::run(context, command).await?;
        for content in &contents {
            match &content.text {
                Some(text) => context.workspace.write(&content.path, text.as_bytes()).await?,
                None => context.workspace.remove(&content.path).await?,
            }
        }
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
        let text = change_file(context, llm, &proposed.plan, change, standing.as_deref()).await?;
        context.workspace.write(&change.file, text.as_bytes()).await?;
        diff.push_str(&unified_diff(&change.file, before.as_deref(), &text));
        contents.push(FileContent { path: change.file.clone(), text: Some(text) });
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
    let paths: Vec<RepoPath> = contents.iter().map(|file| file.path.clone()).collect();
    let commit = context.workspace.commit(&paths, &commit_request(context.job, context.policy)).await?;
    let changed_files = context.workspace.changed_files().await?;
    if commit == *context.workspace.base_commit() || changed_files.is_empty() {
        let remedy = "Retry the job, or describe the change in a comment.";
        return Err(StageError::new(nothing, remedy, Fault::Internal));
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

async fn read_text(context: &StageContext<'_>, path: &RepoPath) -> Result<Option<String>, StageError> {
    let Some(bytes) = context.workspace.read(path).await? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| {
        StageError::new(
            format!("the plan wants to change {path}, which is not UTF-8 text"),
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
        texts.push(match earlier {
            None => read_text(context, &change.file).await?,
            Some(_) => tokio::fs::read_to_string(folder.join(change.file.as_str())).await.ok(),
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
) -> Result<String, StageError> {
    let mut messages = code_fix::conversation(context.issue, context.job, plan, change, old);
    let mut reflections = 0;
    loop {
        let answer = llm.ask("code_fix", &messages).await?;
        let problem = match edit::apply(&answer.text, old) {
            Ok(text) if text.len() > MAX_FILE => format!("the file would grow to {} bytes", text.len()),
            Ok(text) if text.contains('\0') => "the file would hold a NUL character".to_owned(),
            Ok(text) if context.tools.redactor.adds_secret(old.unwrap_or_default(), &text) => {
                "the file would contain a key or token; read secrets from the environment, and never write one"
                    .to_owned()
            }
            Ok(text) => return Ok(text),
            Err(problem) => problem,
        };
        if reflections == REFLECTIONS
            && context.job.rounds > 0
            && let Some(standing) = old
        {
            // The model stands by its fix. The tests judge it again, and what they say is the result.
            tracing::info!(file = %change.file, problem, "the revised edit cannot be applied; keeping the file of the round before");
            return Ok(standing.to_owned());
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

pub(crate) fn unified_diff(path: &RepoPath, before: Option<&str>, after: &str) -> String {
    let old_name = before.map_or_else(|| "/dev/null".to_owned(), |_| format!("a/{path}"));
    similar::TextDiff::from_lines(before.unwrap_or_default(), after)
        .unified_diff()
        .context_radius(3)
        .header(&old_name, &format!("b/{path}"))
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
