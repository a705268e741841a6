//! Creating a small repository from files, for demonstrations, tests and the built-in forge.

use std::path::Path;

use jiff::Timestamp;
use patchwright_core::git::GitError;
use patchwright_domain::{BranchName, CommitSha};

use crate::error::{internal, io_error};
use crate::local::find_tip;
use crate::objects::{new_commit, set_branch, to_commit_sha};
use crate::repository::{open_options, set_head};

/// Creates a bare repository with one commit of these files on a branch, and returns the commit.
///
/// # Errors
/// [`GitError::Internal`] if the folder is not empty or cannot be written.
pub fn seed_repository(
    folder: &Path,
    branch: &BranchName,
    files: &[(&str, &str)],
    at: Timestamp,
) -> Result<CommitSha, GitError> {
    let failed = internal("creating the repository");
    std::fs::create_dir_all(folder).map_err(io_error(format!("creating {}", folder.display())))?;
    let create = gix::create::Options { destination_must_be_empty: Some(true), ..gix::create::Options::default() };
    let repo = gix::ThreadSafeRepository::init_opts(folder, gix::create::Kind::Bare, create, open_options())
        .map_err(&failed)?
        .to_thread_local();
    let empty = repo.write_object(gix::objs::Tree::empty()).map_err(&failed)?.detach();
    let mut editor = repo.edit_tree(empty).map_err(&failed)?;
    for (path, text) in files {
        let blob = repo.write_blob(text).map_err(&failed)?.detach();
        editor.upsert(*path, gix::objs::tree::EntryKind::Blob, blob).map_err(&failed)?;
    }
    let tree = editor.write().map_err(&failed)?.detach();
    let commit = new_commit(tree, None, author(at), "First commit\n");
    let commit = repo.write_object(&commit).map_err(&failed)?.detach();
    set_branch(&repo, branch, commit, gix::refs::transaction::PreviousValue::MustNotExist)?;
    set_head(repo.git_dir(), branch)?;
    Ok(to_commit_sha(commit))
}

/// Commits the files of a branch's first commit on top of it, unless they are what it has. Returns the tip.
///
/// # Errors
/// [`GitError::BranchNotFound`] if there is no such branch, [`GitError::Internal`] if it cannot be read or written.
pub fn restore_first_commit(folder: &Path, branch: &BranchName, at: Timestamp) -> Result<CommitSha, GitError> {
    let failed = internal("restoring the first commit");
    let repo = gix::open_opts(folder, open_options()).map_err(|error| failed(gix::Error::from_error(error)))?;
    let missing = || GitError::BranchNotFound { url: folder.display().to_string(), branch: branch.clone() };
    let tip = find_tip(&repo, branch)?.ok_or_else(missing)?;
    let mut first = tip;
    for commit in repo.rev_walk([tip]).first_parent_only().all().map_err(&failed)? {
        first = commit.map_err(&failed)?.id;
    }
    let tree_of = |commit: gix::ObjectId| {
        let tree = repo.find_commit(commit).and_then(|commit| Ok(commit.tree_id()?.detach()));
        tree.map_err(&failed)
    };
    let tree = tree_of(first)?;
    if tree == tree_of(tip)? {
        return Ok(to_commit_sha(tip));
    }
    let commit = new_commit(tree, Some(tip), author(at), "Restore the first commit\n");
    let commit = repo.write_object(&commit).map_err(&failed)?.detach();
    set_branch(&repo, branch, commit, gix::refs::transaction::PreviousValue::Any)?;
    Ok(to_commit_sha(commit))
}

fn author(at: Timestamp) -> gix::actor::Signature {
    gix::actor::Signature {
        name: "patchwright".into(),
        email: "patchwright@localhost".into(),
        time: gix::date::Time::new(at.as_second(), 0),
    }
}
