//! Writing the files of a commit to a folder.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::progress::Discard;
use patchwright_core::git::GitError;

use crate::error::{GixCause, internal};

/// Writes the files of a commit into a folder that is empty except for `.git`, and returns the index of the files.
///
/// gix refuses entries that would leave the folder or write into `.git`. Filter drivers do not run, because they are defined
/// in configuration that is not read.
pub(crate) fn checkout_tree(
    repo: &gix::Repository,
    commit: gix::ObjectId,
    destination: &Path,
    interrupt: &AtomicBool,
) -> Result<gix::index::File, GitError> {
    let failed = internal("writing the files of a commit");
    let tree = repo.find_commit(commit).map_err(&failed)?.tree_id().map_err(&failed)?.detach();
    let mut index = repo.index_from_tree(&tree).map_err(&failed)?;
    let mut options =
        repo.checkout_options(gix::worktree::stack::state::attributes::Source::IdMapping).map_err(&failed)?;
    options.destination_is_initially_empty = true;
    let objects = repo.objects.clone().into_arc().map_err(|error| failed(gix::Error::from_error(error)))?;
    let outcome =
        gix::worktree::state::checkout(&mut index, destination, objects, &Discard, &Discard, interrupt, options)
            .map_err(&failed)?;
    if let Some(error) = outcome.errors.first() {
        let detail = format!("{}: {}", error.path, error.error);
        return Err(GitError::Internal {
            action: "writing the files of a commit".to_owned(),
            source: Box::new(GixCause(detail)),
        });
    }
    Ok(index)
}
