//! Repositories on this machine, whose objects are shared and not copied.

use std::path::Path;

use patchwright_core::git::{Checkout, GitError};
use patchwright_domain::BranchName;

use crate::address::Address;
use crate::error::internal;
use crate::repository::open_options;

/// A repository on this machine, and the tips that a checkout needs.
pub(crate) struct LocalSource {
    pub(crate) repo: gix::Repository,
    pub(crate) base: BranchName,
    pub(crate) tip: gix::ObjectId,
    pub(crate) branch_tip: Option<gix::ObjectId>,
}

/// Opens the repository of a checkout.
pub(crate) fn open_source(path: &Path, address: &Address, request: &Checkout) -> Result<LocalSource, GitError> {
    let (repo, base, tip) = open_base(path, address, request.base.as_ref())?;
    let branch_tip = if request.with_branch {
        let missing = || GitError::BranchNotFound { url: address.redacted(), branch: request.branch.clone() };
        Some(find_tip(&repo, &request.branch)?.ok_or_else(missing)?)
    } else {
        None
    };
    Ok(LocalSource { repo, base, tip, branch_tip })
}

/// Opens a repository, and finds the tip of a branch, or else of the branch that HEAD names.
pub(crate) fn open_base(
    path: &Path,
    address: &Address,
    base: Option<&BranchName>,
) -> Result<(gix::Repository, BranchName, gix::ObjectId), GitError> {
    let repo = open(path, address)?;
    let is_named = base.is_some();
    let base = match base {
        Some(base) => base.clone(),
        None => head_branch(&repo).ok_or_else(|| GitError::AddressRefused {
            url: address.redacted(),
            reason: "its HEAD is detached; name the base branch".to_owned(),
        })?,
    };
    let Some(tip) = find_tip(&repo, &base)? else {
        let is_unborn = repo.head().map_err(internal("reading HEAD"))?.is_unborn();
        return Err(if is_unborn && !is_named || has_no_branches(&repo) {
            GitError::EmptyRepository { url: address.redacted() }
        } else {
            GitError::BranchNotFound { url: address.redacted(), branch: base }
        });
    };
    Ok((repo, base, tip))
}

/// Opens a repository; formats that cannot be read are named.
pub(crate) fn open(path: &Path, address: &Address) -> Result<gix::Repository, GitError> {
    let url = || address.redacted();
    if let Some(format) = find_unknown_format(path) {
        return Err(GitError::FormatUnsupported { url: url(), format: format.to_owned() });
    }
    gix::open_opts(path, open_options()).map_err(|_| GitError::RepositoryNotFound { url: url() })
}

/// Returns the extension in the configuration of a repository that gix cannot read, if there is one.
fn find_unknown_format(path: &Path) -> Option<&'static str> {
    let config = [path.join("config"), path.join(".git/config")];
    let text = config.iter().find_map(|file| std::fs::read_to_string(file).ok())?.to_ascii_lowercase();
    let has = |key: &str, value: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.any(|(found, set)| found.trim() == key && set.trim() == value)
    };
    if has("objectformat", "sha256") {
        Some(SHA_256)
    } else if has("refstorage", "reftable") {
        Some("a reftable (`git refs migrate --ref-format=files` converts it)")
    } else {
        None
    }
}

/// The name of a format that gix is built without.
pub(crate) const SHA_256: &str = "SHA-256 object ids";

pub(crate) fn find_tip(repo: &gix::Repository, branch: &BranchName) -> Result<Option<gix::ObjectId>, GitError> {
    let failed = internal("reading the branch");
    match repo.try_find_reference(branch.full_ref().as_str()).map_err(&failed)? {
        Some(mut reference) => Ok(Some(reference.peel_to_id().map_err(&failed)?.detach())),
        None => Ok(None),
    }
}

pub(crate) fn head_branch(repo: &gix::Repository) -> Option<BranchName> {
    let name = repo.head_name().ok()??;
    BranchName::parse(&name.shorten().to_string()).ok()
}

fn has_no_branches(repo: &gix::Repository) -> bool {
    repo.references()
        .ok()
        .and_then(|platform| platform.local_branches().ok().map(|mut branches| branches.next().is_none()))
        .unwrap_or(false)
}
