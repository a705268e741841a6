//! Opening and creating repositories, with the same rules everywhere.

use std::path::Path;

use patchwright_core::git::GitError;
use patchwright_domain::BranchName;

use crate::error::{internal, io_error};

/// The largest object that is read into memory where no [`Limits`](crate::Limits) are at hand, in bytes.
pub(crate) const MAX_OBJECT_BYTES: u64 = 512 << 20;

/// Returns options that ignore the configuration of this machine: no aliases, helpers, `insteadOf` or hooks. Names that
/// other file systems take for `.git` are refused here as well, because the pull request is checked out there.
///
/// What a repository's own configuration says of filters, monitors and other programs does not count either.
pub(crate) fn open_options() -> gix::open::Options {
    open_options_with(MAX_OBJECT_BYTES)
}

/// Returns the same options with another limit for one object.
pub(crate) fn open_options_with(max_object_bytes: u64) -> gix::open::Options {
    gix::open::Options::isolated()
        .filter_config_section(|section| section.source.kind() != gix::config::source::Kind::Repository)
        .config_overrides([
            "core.protectHFS=true".to_owned(),
            "core.protectNTFS=true".to_owned(),
            // With what was there before both changes.
            "merge.conflictStyle=diff3".to_owned(),
            format!("gitoxide.objects.allocLimit={max_object_bytes}"),
        ])
}

/// Creates an empty repository in `git_dir`. gix would add samples of hooks and descriptions, a dozen files for each job.
pub(crate) fn create_git_dir(git_dir: &Path, is_bare: bool) -> Result<(), GitError> {
    let failed = || io_error(format!("creating {}", git_dir.display()));
    for folder in ["objects/info", "objects/pack", "refs/heads"] {
        std::fs::create_dir_all(git_dir.join(folder)).map_err(failed())?;
    }
    let config = format!("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = {is_bare}\n");
    std::fs::write(git_dir.join("config"), config).map_err(failed())?;
    std::fs::write(git_dir.join("HEAD"), "ref: refs/heads/main\n").map_err(failed())
}

/// Lets a repository use the objects of another one (git's alternates), and its shallow boundary.
pub(crate) fn share_objects(git_dir: &Path, source: &gix::Repository) -> Result<(), GitError> {
    let failed = || io_error("sharing the objects");
    let objects = source.objects.store_ref().path().canonicalize().map_err(failed())?;
    std::fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", objects.display())).map_err(failed())?;
    copy_shallow_boundary(git_dir, source)
}

/// Names the branch of a repository.
pub(crate) fn set_head(git_dir: &Path, branch: &BranchName) -> Result<(), GitError> {
    std::fs::write(git_dir.join("HEAD"), format!("ref: {}\n", branch.full_ref())).map_err(io_error("writing HEAD"))
}

/// Takes over the shallow boundary of a repository, if it has one: the commits there have parents that are missing.
pub(crate) fn copy_shallow_boundary(git_dir: &Path, source: &gix::Repository) -> Result<(), GitError> {
    let shallow = source.shallow_file().map_err(internal("finding the shallow boundary"))?;
    match std::fs::copy(shallow, git_dir.join("shallow")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error("copying the shallow boundary")(error))
        }
        _ => Ok(()),
    }
}

/// Opens a repository that was created here.
pub(crate) fn open(path: &Path, max_object_bytes: u64) -> Result<gix::Repository, GitError> {
    let failed = internal("opening the repository");
    gix::open_opts(path, open_options_with(max_object_bytes)).map_err(|error| failed(gix::Error::from_error(error)))
}
