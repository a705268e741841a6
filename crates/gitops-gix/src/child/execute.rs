//! Doing a piece of work, in whichever process.

use std::sync::atomic::AtomicBool;

use patchwright_core::forge::GitCredential;
use patchwright_core::git::GitError;

use super::request::{Answer, PushWork, Work};
use crate::address::Address;
use crate::objects::to_object_id;
use crate::options::GitOptions;
use crate::prepare::{fetch_history, prepare};
use crate::push::Push;
use crate::repository::open;
use crate::work_tree::write_files;

/// Does a piece of work, until it is complete or interrupted.
pub(super) fn execute(
    options: &GitOptions,
    work: Work,
    credential: Option<GitCredential>,
    interrupt: &AtomicBool,
) -> Result<Answer, GitError> {
    match work {
        Work::Prepare(work) => {
            return prepare(options, &work.into_checkout(credential), interrupt).map(Answer::Prepared);
        }
        Work::Import(work) => return work.run(options, credential.as_ref(), interrupt).map(Answer::Imported),
        Work::FetchHistory { url, branch } => {
            fetch_history(options, &url, &branch, credential.as_ref(), interrupt)?;
        }
        Work::Export { git_dir, commit, destination } => {
            let repo = open(&git_dir, options.limits.object_bytes())?;
            write_files(&repo, to_object_id(&commit), &destination, interrupt)?;
        }
        Work::Push(work) => push(options, &work, credential.as_ref())?,
    }
    Ok(Answer::Done)
}

fn push(options: &GitOptions, work: &PushWork, credential: Option<&GitCredential>) -> Result<(), GitError> {
    let repo = open(&work.git_dir, options.limits.object_bytes())?;
    let push = Push {
        branch: &work.branch,
        base: work.base.as_ref().map(to_object_id),
        commit: to_object_id(&work.commit),
        expected: work.expected.as_ref().map(to_object_id),
    };
    push.send(&repo, options, &Address::parse(&work.url)?, credential)
}
