//! The stage `fix`: goes on with the conversation of the plan until the change is made, and commits it.

mod steps;

use patchwright_core::fault::Fault;
use patchwright_core::outgoing_text::code_span;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{FileContent, FixReport, Reproduction, Review, StageReport};

use self::steps::Steps;
use super::{Outcome, external};
use crate::branch::{commit_request, write_all};
use crate::change::shorten_diff;
use crate::change_form::read_form;
use crate::context::{StageContext, StageError};
use crate::fix::evidence;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    if context.job.rounds >= context.policy.fix_attempts.max(1)
        && let Some(kept) = keep_earlier(context).await?
    {
        return Ok(kept);
    }
    if let Some(command) = &context.job.command {
        let (contents, diff) = external::run(context, command).await?;
        write_all(context.workspace, &contents).await?;
        let about = About { diff: &diff, review: None, reproduction: None };
        return commit(context, contents, about, "the command left every file as it was").await;
    }
    let Some(llm) = context.llm else { return Ok(Outcome::without_model()) };
    let Some(proposed) = context.job.proposed() else {
        return Ok(Outcome::Skipped { reason: "there is no plan".to_owned() });
    };
    let steps = Steps { context, llm, proposed, can_run: evidence::can_run(context).await };
    let draft = match steps.drive().await {
        Ok(draft) => steps.format(draft).await?,
        // What is done so far is worth more than nothing, unless a later try of the same may do better.
        Err(error) if !matches!(error.fault, Fault::Retry { .. }) && !context.cancel.is_cancelled() => {
            match keep_earlier(context).await? {
                Some(kept) => return Ok(kept),
                None => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    if draft.is_empty()
        && let Some(kept) = keep_earlier(context).await?
    {
        return Ok(kept);
    }
    let diff = draft.diff();
    let contents = draft.contents();
    restore_others(context, &contents).await?;
    write_all(context.workspace, &contents).await?;
    let (review, reproduction) = {
        let state = context.dialogue.state().await;
        (state.review.clone(), state.reproduction.clone())
    };
    let about = About { diff: &diff, review, reproduction };
    commit(context, contents, about, "the model's edits leave every file as it was").await
}

/// Takes the best attempt before this one again, if there is one. Its tests are known.
async fn keep_earlier(context: &StageContext<'_>) -> Result<Option<Outcome>, StageError> {
    let Some(earlier) = context.dialogue.state().await.earlier.clone() else { return Ok(None) };
    tracing::info!(git.commit = %earlier.fix.commit, "keeping the best attempt before this one");
    let contents = earlier.fix.contents.clone();
    restore_others(context, &contents).await?;
    write_all(context.workspace, &contents).await?;
    let FixReport { diff, review, reproduction, .. } = earlier.fix;
    let about = About { diff: &diff, review, reproduction };
    commit(context, contents, about, "the earlier attempt left every file as it was").await.map(Some)
}

/// Writes the base's text of the files that another attempt changed and this one does not.
async fn restore_others(context: &StageContext<'_>, contents: &[FileContent]) -> Result<(), StageError> {
    let Some(before) = context.job.fixed() else { return Ok(()) };
    for path in before.changes_applied.iter().filter(|path| contents.iter().all(|file| file.path != **path)) {
        match context.repository.bytes(path.as_str()) {
            Some(bytes) => context.workspace.write(path, &bytes).await?,
            None => context.workspace.remove(path).await?,
        }
    }
    Ok(())
}

/// What is known about a change beside its files.
struct About<'a> {
    diff: &'a str,
    review: Option<Review>,
    reproduction: Option<Reproduction>,
}

/// Commits the changed files.
async fn commit(
    context: &StageContext<'_>,
    contents: Vec<FileContent>,
    about: About<'_>,
    nothing: &str,
) -> Result<Outcome, StageError> {
    let failed = || StageError::new(nothing, "Retry the job, or describe the change in a comment.", Fault::Internal);
    if contents.is_empty() {
        return Err(failed());
    }
    let form = read_form(context.repository);
    let paths: Vec<RepoPath> = contents.iter().map(|file| file.path.clone()).collect();
    let commit = context.workspace.commit(&paths, &commit_request(context.job, context.policy, &form)).await?;
    let changed_files = context.workspace.list_changed_files().await?;
    if commit == *context.workspace.base_commit() || changed_files.is_empty() {
        return Err(failed());
    }
    let report = FixReport {
        changes_applied: paths,
        changed_files,
        commit,
        base: context.workspace.base_commit().clone(),
        contents,
        diff: shorten_diff(about.diff),
        round: context.job.rounds + 1,
        fetched_for: None,
        review: about.review,
        reproduction: about.reproduction,
        form,
    };
    let comment = comment(&report);
    Ok(Outcome::done(StageReport::Fix(report), comment))
}

pub(super) fn comment(report: &FixReport) -> String {
    let files: Vec<String> = report
        .changed_files
        .iter()
        .map(|file| format!("- {} {}", file.status.letter(), code_span(file.file.as_str())))
        .collect();
    format!("Commit `{}`\n\n{}", report.commit.short(), files.join("\n"))
}
