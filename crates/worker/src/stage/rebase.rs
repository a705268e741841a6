//! The stage `fix` of a job that rebases: the commits of the branch are replayed on top of the present base branch.

use patchwright_core::fault::Fault;
use patchwright_core::git::GitError;
use patchwright_domain::job::report::{FixReport, StageReport};

use super::{Outcome, fix};
use crate::branch::commit_request;
use crate::change::read_change;
use crate::change_form::read_form;
use crate::context::{StageContext, StageError};

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let workspace = context.workspace;
    let base = workspace.base_branch();
    let form = read_form(context.repository);
    context.progress.set_activity(format!("rebasing the branch onto {base}"));
    let commit = match workspace.rebase(&commit_request(context.job, context.policy, &form)).await {
        Ok(commit) => commit,
        Err(error @ GitError::Conflict { .. }) => {
            let remedy = "Resolve the conflict by hand, or comment `restart` to make the fix again.";
            return Err(refused(error.to_string(), remedy));
        }
        Err(error) => return Err(error.into()),
    };
    // A worker that was interrupted after its push finds its own result.
    let is_own = context.job.fixed().is_some_and(|fix| fix.commit == commit);
    if workspace.branch_tip() == Some(&commit) && !is_own {
        return Err(refused(format!("the branch is on top of `{base}` already"), "There is nothing to do."));
    }
    let changed_files = workspace.changed_files().await?;
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

fn refused(reason: String, remedy: &str) -> StageError {
    StageError::new(reason, remedy, Fault::Internal)
}
