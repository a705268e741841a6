//! The stage `fix` of a job that rebases: the commits of the branch are replayed on top of the present base branch.

use patchwright_core::fault::Fault;
use patchwright_core::git::GitError;
use patchwright_domain::job::FailureOrigin;
use patchwright_domain::job::report::{FileContent, FixReport, StageReport};

use super::{Outcome, fix};
use crate::branch::commit_request;
use crate::context::{StageContext, StageError};

/// The largest file whose text is kept in the report, in bytes, and the most files.
const MAX_KEPT_BYTES: usize = 256 * 1024;
const MAX_KEPT_FILES: usize = 100;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let workspace = context.workspace;
    let base = workspace.base_branch();
    context.progress.set_activity(format!("rebasing the branch onto {base}"));
    let commit = match workspace.rebase(&commit_request(context.job, context.policy)).await {
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
    let (mut contents, mut diff) = (Vec::new(), String::new());
    let before = context.scratch.join("base");
    workspace.export(workspace.base_commit(), &before).await?;
    for change in changed_files.iter().take(MAX_KEPT_FILES) {
        let path = &change.file;
        let bytes = workspace.read(path).await?;
        let is_removed = bytes.is_none();
        let text = bytes.filter(|bytes| bytes.len() <= MAX_KEPT_BYTES).and_then(|bytes| String::from_utf8(bytes).ok());
        if text.is_none() && !is_removed {
            continue;
        }
        let old = tokio::fs::read_to_string(before.join(path.as_str())).await.ok();
        diff.push_str(&fix::unified_diff(path, old.as_deref(), text.as_deref().unwrap_or_default()));
        contents.push(FileContent { path: path.clone(), text });
    }
    let paths = changed_files.iter().map(|change| change.file.clone()).collect();
    let report = FixReport {
        changes_applied: paths,
        changed_files,
        base: workspace.base_commit().clone(),
        contents,
        diff: fix::shorten_diff(&diff),
        round: context.job.rounds + 1,
        commit,
    };
    let comment = fix::comment(&report);
    Ok(Outcome::done(StageReport::Fix(report), comment))
}

fn refused(reason: String, remedy: &str) -> StageError {
    StageError { origin: FailureOrigin::Request, ..StageError::new(reason, remedy, Fault::Internal) }
}
