//! Making a small repository from files: for demonstrations, tests and the built-in forge.

use std::path::Path;

use jiff::Timestamp;
use patchwright_core::git::GitError;
use patchwright_domain::{BranchName, CommitSha};

use crate::clone::{isolated, sha};
use crate::error::{broken, io};
use crate::objects::set_branch;

/// Makes a bare repository with one commit that holds these files, on this branch.
///
/// # Errors
/// [`GitError::Internal`] when the folder is not empty or cannot be written.
pub fn seed_repository(
    folder: &Path,
    branch: &BranchName,
    files: &[(&str, &str)],
    at: Timestamp,
) -> Result<CommitSha, GitError> {
    let failed = broken("making the repository");
    std::fs::create_dir_all(folder).map_err(io(format!("making {}", folder.display())))?;
    let create = gix::create::Options { destination_must_be_empty: Some(true), ..gix::create::Options::default() };
    let repo = gix::ThreadSafeRepository::init_opts(folder, gix::create::Kind::Bare, create, isolated())
        .map_err(&failed)?
        .to_thread_local();
    let empty = repo.write_object(gix::objs::Tree::empty()).map_err(&failed)?.detach();
    let mut editor = repo.edit_tree(empty).map_err(&failed)?;
    for (path, text) in files {
        let blob = repo.write_blob(text).map_err(&failed)?.detach();
        editor.upsert(*path, gix::objs::tree::EntryKind::Blob, blob).map_err(&failed)?;
    }
    let tree = editor.write().map_err(&failed)?.detach();
    let who = gix::actor::Signature {
        name: "patchwright".into(),
        email: "patchwright@localhost".into(),
        time: gix::date::Time::new(at.as_second(), 0),
    };
    let commit = gix::objs::Commit {
        tree,
        parents: Vec::new().into(),
        author: who.clone(),
        committer: who,
        encoding: None,
        message: "First commit\n".into(),
        extra_headers: Vec::new(),
    };
    let commit = repo.write_object(&commit).map_err(&failed)?.detach();
    set_branch(&repo, branch, commit, gix::refs::transaction::PreviousValue::MustNotExist)?;
    std::fs::write(repo.git_dir().join("HEAD"), format!("ref: {}\n", branch.full_ref()))
        .map_err(io("pointing HEAD"))?;
    Ok(sha(commit))
}
