//! Copying a repository with its history to a place of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::refs::transaction::PreviousValue;
use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::GitError;
use patchwright_domain::BranchName;
use serde::{Deserialize, Serialize};

use crate::HISTORY_TIMEOUT_FACTOR;
use crate::address::Address;
use crate::child::{Answer, Runner, Work};
use crate::error::{internal, io_error};
use crate::local::open_base;
use crate::objects::set_branch;
use crate::options::GitOptions;
use crate::remote::{FetchRequest, Remote};
use crate::repository::{copy_shallow_boundary, create_git_dir, open, set_head};

/// Copies a branch of a repository, with its history, to a bare repository that stands alone. The branch is `branch`, or else
/// the one that HEAD names; it is returned. Other branches and tags, and what is not committed, are left out; from a path all objects come along, also those that only they
/// need.
///
/// # Errors
/// Those of [`Git::checkout`](patchwright_core::git::Git::checkout); [`GitError::TimedOut`] after ten times
/// [`GitOptions::timeout`]. What was copied until then stays in `destination`.
pub async fn import_repository(
    options: &GitOptions,
    url: &str,
    branch: Option<&BranchName>,
    credential: Option<&GitCredential>,
    destination: &Path,
) -> Result<BranchName, GitError> {
    let shown = Address::parse(url)?.redacted();
    let options = GitOptions { timeout: options.timeout * HISTORY_TIMEOUT_FACTOR, ..options.clone() };
    let work = ImportWork { url: url.to_owned(), branch: branch.cloned(), destination: destination.to_owned() };
    let runner = Runner { options: &options, shown: &shown, verb: "importing" };
    match runner.run(Work::Import(work), credential, &CancellationToken::new()).await? {
        Answer::Imported(branch) => Ok(branch),
        _ => unreachable!("an import is answered with the branch that was imported"),
    }
}

/// An import, for the process that does it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportWork {
    url: String,
    branch: Option<BranchName>,
    destination: PathBuf,
}

impl ImportWork {
    /// Imports the branch and returns its name.
    pub(crate) fn run(
        self,
        options: &GitOptions,
        credential: Option<&GitCredential>,
        interrupt: &AtomicBool,
    ) -> Result<BranchName, GitError> {
        let address = Address::parse(&self.url)?;
        if std::fs::read_dir(&self.destination).is_ok_and(|mut entries| entries.next().is_some()) {
            let source = format!("{} is not empty", self.destination.display()).into();
            return Err(GitError::Internal { action: "creating the repository".to_owned(), source });
        }
        create_git_dir(&self.destination, true)?;
        let (branch, tip) = match &address {
            Address::Local(path) => self.copy(path, &address)?,
            Address::Http(_) | Address::Ssh(_) => {
                self.fetch(&Remote { options, address: &address, credential }, interrupt)?
            }
        };
        // Opened with the new objects.
        let repo = open(&self.destination, options.limits.object_bytes())?;
        set_branch(&repo, &branch, tip, PreviousValue::MustNotExist)?;
        set_head(&self.destination, &branch)?;
        Ok(branch)
    }

    fn fetch(&self, remote: &Remote<'_>, interrupt: &AtomicBool) -> Result<(BranchName, gix::ObjectId), GitError> {
        let branch = match &self.branch {
            Some(branch) => branch.clone(),
            None => remote.default_branch()?,
        };
        let repo = open(&self.destination, remote.options.limits.object_bytes())?;
        let fetch = FetchRequest { branches: std::slice::from_ref(&branch), depth: None, are_known: &|_| false };
        let tips = remote.fetch(&repo, &fetch, interrupt)?;
        // The reference that a fetch leaves is for the repositories of jobs.
        match std::fs::remove_dir_all(self.destination.join("refs/tips")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error("removing the fetched reference")(error))
            }
            _ => Ok((branch, tips[0])),
        }
    }

    /// Copies all objects, which takes no longer than to find those that the branch needs.
    fn copy(&self, path: &Path, address: &Address) -> Result<(BranchName, gix::ObjectId), GitError> {
        let (repo, branch, tip) = open_base(path, address, self.branch.as_ref())?;
        let objects = repo.objects.store_ref();
        let borrowed = objects.alternate_db_paths().map_err(internal("finding the objects"))?;
        let to = self.destination.join("objects");
        for from in std::iter::once(objects.path().to_owned()).chain(borrowed) {
            copy_objects(&from, &to).map_err(io_error(format!("copying {}", from.display())))?;
        }
        copy_shallow_boundary(&self.destination, &repo)?;
        Ok((branch, tip))
    }
}

/// Copies the folders with objects: `pack`, and those that are named after two digits.
fn copy_objects(from: &Path, to: &Path) -> std::io::Result<()> {
    for folder in std::fs::read_dir(from)? {
        let folder = folder?;
        let name = folder.file_name();
        let is_kept = name == "pack" || name.len() == 2;
        // Also a link to a folder.
        if !is_kept || !std::fs::metadata(folder.path())?.is_dir() {
            continue;
        }
        let target = to.join(&name);
        std::fs::create_dir_all(&target)?;
        for file in std::fs::read_dir(folder.path())? {
            let file = file?;
            let target = target.join(file.file_name());
            if std::fs::metadata(file.path())?.is_file() && !target.exists() {
                std::fs::copy(file.path(), target)?;
            }
        }
    }
    Ok(())
}
