//! Replaying the commits of a branch on top of another commit.

use std::collections::BTreeSet;

use gix::merge::tree::TreatAsUnresolved;
use patchwright_core::git::{CommitRequest, GitError};
use patchwright_domain::BranchName;

use crate::error::internal;
use crate::objects::write_signed;
use crate::signing::SigningKey;

/// The most commits that are replayed.
const MAX_COMMITS: usize = 200;

/// Replays the commits of `tip` that `onto` does not have, oldest first, and returns the last new commit: `tip` itself if it
/// is on top of `onto` already. Authors and messages stay; the committer and the time are those of `request`, so that the
/// same commits give the same result. Merge commits of the branch become ordinary ones, and those that add nothing are left
/// out.
pub(crate) fn replay(
    repo: &gix::Repository,
    branch: &BranchName,
    tip: gix::ObjectId,
    onto: gix::ObjectId,
    request: &CommitRequest,
    key: Option<&SigningKey>,
) -> Result<gix::ObjectId, GitError> {
    let failed = internal("rebasing the branch");
    let is_known = |id: gix::ObjectId| -> Result<bool, GitError> {
        Ok(repo.merge_base(id, onto).map_err(&failed)?.is_some_and(|base| base == id))
    };
    if repo.merge_base(tip, onto).map_err(&failed)?.is_some_and(|base| base == onto) {
        return Ok(tip);
    }
    let mut commits = Vec::new();
    let mut next = Some(tip);
    while let Some(id) = next {
        if is_known(id)? {
            break;
        }
        if commits.len() == MAX_COMMITS {
            return Err(GitError::TooManyCommits { branch: branch.clone(), most: MAX_COMMITS });
        }
        if !is_plain_merge(repo, id, &is_known)? {
            commits.push(id);
        }
        next = repo.find_commit(id).map_err(&failed)?.parent_ids().next().map(gix::Id::detach);
    }
    let mut top = onto;
    for id in commits.into_iter().rev() {
        top = pick(repo, branch, id, top, request, key)?;
    }
    Ok(top)
}

/// Returns whether a commit merges the base into the branch and changes nothing by hand: the forges' button to update a
/// branch makes such commits, and a rebase makes them superfluous.
fn is_plain_merge(
    repo: &gix::Repository,
    id: gix::ObjectId,
    is_known: &impl Fn(gix::ObjectId) -> Result<bool, GitError>,
) -> Result<bool, GitError> {
    let failed = internal("rebasing the branch");
    let commit = repo.find_commit(id).map_err(&failed)?;
    let parents: Vec<gix::ObjectId> = commit.parent_ids().map(gix::Id::detach).collect();
    let [own, merged] = parents[..] else { return Ok(false) };
    if !is_known(merged)? {
        return Ok(false);
    }
    let Some(base) = repo.merge_base(own, merged).map_err(&failed)? else { return Ok(false) };
    let mut outcome = merge(repo, tree_of(repo, base.detach())?, tree_of(repo, own)?, tree_of(repo, merged)?)?;
    if outcome.has_unresolved_conflicts(TreatAsUnresolved::git()) {
        return Ok(false);
    }
    Ok(outcome.tree.write().map_err(&failed)?.detach() == tree_of(repo, id)?)
}

/// Applies the change of one commit to `top`.
fn pick(
    repo: &gix::Repository,
    branch: &BranchName,
    id: gix::ObjectId,
    top: gix::ObjectId,
    request: &CommitRequest,
    key: Option<&SigningKey>,
) -> Result<gix::ObjectId, GitError> {
    let failed = internal("rebasing the branch");
    let commit = repo.find_commit(id).map_err(&failed)?;
    let parent = commit.parent_ids().next().map(gix::Id::detach);
    let before = match parent {
        Some(parent) => tree_of(repo, parent)?,
        None => gix::ObjectId::empty_tree(repo.object_hash()),
    };
    let (ours, theirs) = (tree_of(repo, top)?, tree_of(repo, id)?);
    let mut merged = merge(repo, before, ours, theirs)?;
    if merged.has_unresolved_conflicts(TreatAsUnresolved::git()) {
        let conflicts = merged.conflicts.iter().filter(|conflict| conflict.is_unresolved(TreatAsUnresolved::git()));
        let files: BTreeSet<String> =
            conflicts.map(|conflict| conflict.changes_in_resolution().0.location().to_string()).collect();
        return Err(GitError::Conflict { branch: branch.clone(), files: files.into_iter().collect() });
    }
    let tree = merged.tree.write().map_err(&failed)?.detach();
    if tree == ours {
        return Ok(top);
    }
    let old = commit.decode().map_err(&failed)?;
    let author = old.author().map_err(|error| failed(gix::Error::from_error(error)))?;
    let author = author.to_owned().map_err(|error| failed(gix::Error::from_error(error)))?;
    let picked = gix::objs::Commit {
        tree,
        parents: vec![top].into(),
        author,
        committer: crate::objects::signature(request),
        encoding: old.encoding.map(ToOwned::to_owned),
        message: old.message.to_owned(),
        // A signature of the old commit does not fit the new one.
        extra_headers: Vec::new(),
    };
    write_signed(repo, picked, key)
}

fn tree_of(repo: &gix::Repository, id: gix::ObjectId) -> Result<gix::ObjectId, GitError> {
    let failed = internal("reading a commit");
    Ok(repo.find_commit(id).map_err(&failed)?.tree_id().map_err(&failed)?.detach())
}

/// Merges the changes from `base` to `theirs` into `ours`.
fn merge(
    repo: &gix::Repository,
    base: gix::ObjectId,
    ours: gix::ObjectId,
    theirs: gix::ObjectId,
) -> Result<gix::merge::tree::Outcome<'_>, GitError> {
    let failed = internal("merging");
    let options = repo.tree_merge_options().map_err(&failed)?;
    let labels = gix::merge::blob::builtin_driver::text::Labels::default();
    repo.merge_trees(base, ours, theirs, labels, options).map_err(&failed)
}
