//! The stage `fix` of a job that rebases: the commits of the branch are replayed on top of the present base branch. The model
//! resolves what conflicts, one commit after another, so that every commit keeps its author.

use std::collections::BTreeMap;

use patchwright_core::fault::Fault;
use patchwright_core::git::{RebaseConflict, Rebased, Resolution};
use patchwright_core::llm::Message;
use patchwright_domain::CommitSha;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{ChangeForm, FixReport, StageReport};

use super::{Outcome, fix};
use crate::branch::commit_request;
use crate::change::read_change;
use crate::change_form::read_form;
use crate::context::{StageContext, StageError};
use crate::fix::draft::{EditRules, check_text};
use crate::prompt::resolve_conflict;

/// How many commits of a branch may conflict.
const MAX_CONFLICTS: usize = 10;
/// How often the model is asked about one commit.
const MAX_QUESTIONS: usize = 3;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let workspace = context.workspace;
    let base = workspace.base_branch();
    let form = read_form(context.repository);
    let commit = replay(context, &form).await?;
    // A worker that was interrupted after its push finds its own result.
    let is_own = context.job.fixed().is_some_and(|fix| fix.commit == commit);
    if workspace.branch_tip() == Some(&commit) && !is_own {
        return Err(refused(format!("the branch is on top of `{base}` already"), "There is nothing to do."));
    }
    let changed_files = workspace.list_changed_files().await?;
    if changed_files.is_empty() {
        let remedy = "Close the pull request: the base branch has its changes.";
        return Err(refused(format!("`{base}` has all changes of the branch already"), remedy));
    }
    let (contents, diff) = read_change(workspace.tree(), workspace, &changed_files).await?;
    let paths = changed_files.iter().map(|change| change.file.clone()).collect();
    let report = FixReport {
        changes_applied: paths,
        changed_files,
        base: workspace.base_commit().clone(),
        contents,
        diff,
        round: context.job.rounds + 1,
        fetched_for: None,
        review: None,
        reproduction: None,
        form,
        commit,
    };
    let comment = fix::comment(&report);
    Ok(Outcome::done(StageReport::Fix(report), comment))
}

/// Replays the commits until none conflicts any more.
async fn replay(context: &StageContext<'_>, form: &ChangeForm) -> Result<CommitSha, StageError> {
    let workspace = context.workspace;
    let request = commit_request(context.job, context.policy, form);
    let mut resolutions: Vec<Resolution> = Vec::new();
    loop {
        context.progress.set_activity(format!("rebasing the branch onto {}", workspace.base_branch()));
        match workspace.rebase(&request, &resolutions).await? {
            Rebased::Done(commit) => return Ok(commit),
            Rebased::Conflict(conflict) if resolutions.len() < MAX_CONFLICTS => {
                let files = resolve(context, &conflict).await?;
                resolutions.push(Resolution { commit: conflict.commit, files });
            }
            Rebased::Conflict(conflict) => return Err(unresolved(&conflict)),
        }
    }
}

/// Asks the model for the lines that both sides changed.
async fn resolve(
    context: &StageContext<'_>,
    conflict: &RebaseConflict,
) -> Result<BTreeMap<RepoPath, String>, StageError> {
    let base = context.workspace.base_branch().as_str();
    let question = resolve_conflict::question(context.issue, context.job, base, conflict);
    let (Some(llm), Some(mut messages)) = (context.llm, question) else { return Err(unresolved(conflict)) };
    context.progress.set_activity(format!("resolving the conflict of {}", names(conflict)));
    for _ in 0..MAX_QUESTIONS {
        let answer = llm.ask("resolve_conflict", &messages).await?;
        let read = resolve_conflict::read(&answer.text, &conflict.files)
            .and_then(|texts| check(context, &texts).map(|()| texts));
        match read {
            Ok(texts) => return Ok(texts),
            Err(problem) => {
                tracing::info!(problem, "the model's resolution cannot be used");
                messages.push(Message::assistant(&answer.text));
                messages.push(Message::user(format!("That cannot be used: {problem}.")));
            }
        }
    }
    Err(unresolved(conflict))
}

/// Returns what is wrong with the files of a resolution, by the rules of every edit.
fn check(context: &StageContext<'_>, texts: &BTreeMap<RepoPath, String>) -> Result<(), String> {
    let rules = EditRules {
        repository: context.repository,
        index: context.tools.code_index.as_ref(),
        redactor: &context.tools.redactor,
        editable: &context.policy.editable_paths,
        targets: &[],
    };
    for (path, text) in texts {
        if let Some(reason) = rules.editable.protection(path) {
            return Err(format!("{path} must not be changed: {reason}"));
        }
        let old = context.repository.read(path.as_str());
        check_text(path, old.as_deref(), text, None, &rules).map_err(|problem| format!("{path}: {problem}"))?;
    }
    Ok(())
}

fn names(conflict: &RebaseConflict) -> String {
    conflict.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", ")
}

fn unresolved(conflict: &RebaseConflict) -> StageError {
    let reason = format!("the branch cannot be rebased: both sides changed {}", names(conflict));
    refused(reason, "Resolve the conflict by hand, or comment `restart` to make the fix again.")
}

fn refused(reason: String, remedy: &str) -> StageError {
    StageError::new(reason, remedy, Fault::Internal)
}
