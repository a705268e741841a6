//! Replaying the commits of a branch on top of another commit.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::merge::tree::TreatAsUnresolved;
use gix::progress::Discard;
use patchwright_core::git::{CommitRequest, GitError};
use patchwright_domain::BranchName;

use crate::error::{GixCause, internal, io_error};

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
            let source = GixCause(format!("the branch has more than {MAX_COMMITS} commits of its own"));
            return Err(GitError::Internal { action: "rebasing the branch".to_owned(), source: Box::new(source) });
        }
        commits.push(id);
        next = repo.find_commit(id).map_err(&failed)?.parent_ids().next().map(gix::Id::detach);
    }
    let mut top = onto;
    for id in commits.into_iter().rev() {
        top = pick(repo, branch, id, top, request)?;
    }
    Ok(top)
}

/// Applies the change of one commit to `top`.
fn pick(
    repo: &gix::Repository,
    branch: &BranchName,
    id: gix::ObjectId,
    top: gix::ObjectId,
    request: &CommitRequest,
) -> Result<gix::ObjectId, GitError> {
    let failed = internal("rebasing the branch");
    let tree_of = |id: gix::ObjectId| -> Result<gix::ObjectId, GitError> {
        Ok(repo.find_commit(id).map_err(&failed)?.tree_id().map_err(&failed)?.detach())
    };
    let commit = repo.find_commit(id).map_err(&failed)?;
    let parent = commit.parent_ids().next().map(gix::Id::detach);
    let before = match parent {
        Some(parent) => tree_of(parent)?,
        None => gix::ObjectId::empty_tree(repo.object_hash()),
    };
    let (ours, theirs) = (tree_of(top)?, tree_of(id)?);
    let options = repo.tree_merge_options().map_err(&failed)?;
    let labels = gix::merge::blob::builtin_driver::text::Labels::default();
    let mut merged = repo.merge_trees(before, ours, theirs, labels, options).map_err(&failed)?;
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
    Ok(repo.write_object(&picked).map_err(&failed)?.detach())
}

/// Makes the files of a working copy those of `to`, where it has those of `from`.
pub(crate) fn change_files(
    repo: &gix::Repository,
    root: &Path,
    from: gix::ObjectId,
    to: gix::ObjectId,
    interrupt: &AtomicBool,
) -> Result<(), GitError> {
    let failed = internal("writing the rebased files");
    let tree_of = |id: gix::ObjectId| -> Result<gix::ObjectId, GitError> {
        Ok(repo.find_commit(id).map_err(&failed)?.tree_id().map_err(&failed)?.detach())
    };
    let (old, mut new) = (
        repo.index_from_tree(&tree_of(from)?).map_err(&failed)?,
        repo.index_from_tree(&tree_of(to)?).map_err(&failed)?,
    );
    let is_same = |index: &gix::index::File, path: &gix::bstr::BStr, entry: &gix::index::Entry| {
        index.entry_by_path(path).is_some_and(|other| other.id == entry.id && other.mode == entry.mode)
    };
    // What changed is removed first, so that no entry is written through what was there: a link, for example.
    for entry in old.entries() {
        let path = entry.path(&old);
        if is_same(&new, path, entry) {
            continue;
        }
        let Ok(name) = gix::path::from_bstr(path) else { continue };
        match std::fs::remove_file(root.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error(format!("removing `{path}`"))(error));
            }
            _ => {}
        }
    }
    new.remove_entries(|_, path, entry| is_same(&old, path, entry));
    let mut options =
        repo.checkout_options(gix::worktree::stack::state::attributes::Source::IdMapping).map_err(&failed)?;
    options.destination_is_initially_empty = true;
    let objects = repo.objects.clone().into_arc().map_err(|error| failed(gix::Error::from_error(error)))?;
    gix::worktree::state::checkout(&mut new, root, objects, &Discard, &Discard, interrupt, options)
        .map_err(&failed)
        .map(|_| ())
}
