//! Preparing a working copy: fetching what is missing, checking it, and writing the files.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::refs::transaction::PreviousValue;
use patchwright_core::fault::error_chain;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, GitError};
use patchwright_domain::{BranchName, CommitSha};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::error::{GixCause, internal, io_error};
use crate::local::open_source;
use crate::objects::{set_branch, to_commit_sha};
use crate::options::{GitOptions, StoreOptions};
use crate::remote::{FetchRequest, Remote, WHOLE_HISTORY};
use crate::repository::{create_git_dir, open, set_head, share_objects};
use crate::store::{Mirror, RepositoryStore};
use crate::tree_limits::check_commit;
use crate::work_tree::{reset_files, write_files};

/// A working copy that was prepared in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prepared {
    pub(crate) base: BranchName,
    pub(crate) base_commit: CommitSha,
    /// The tip of the branch that is rebased or tested.
    pub(crate) branch_tip: Option<CommitSha>,
    /// How many commits from the tip are here; `None` for all.
    pub(crate) depth: Option<u32>,
    /// Whether the files of an earlier working copy were used.
    pub(crate) is_reused: bool,
    /// Whether more history can be fetched for the next job.
    pub(crate) needs_history: bool,
}

/// Objects of the base on this machine, and the tips that the checkout needs.
struct Source {
    repo: gix::Repository,
    base: BranchName,
    tip: gix::ObjectId,
    branch_tip: Option<gix::ObjectId>,
    depth: Option<u32>,
    needs_history: bool,
}

/// Prepares the working copy in the folder of the request.
pub(crate) fn prepare(options: &GitOptions, request: &Checkout, interrupt: &AtomicBool) -> Result<Prepared, GitError> {
    let address = Address::parse(&request.url)?;
    if let Some(url) = &request.push_url {
        let address = Address::parse(url)?;
        if request.credential.is_some() {
            address.check_credential(options.allow_clear_http)?;
        }
    }
    let Some(store) = &options.store else {
        let preparation = Preparation { options, address: &address, request, store: None };
        return preparation.run(interrupt);
    };
    let repository = RepositoryStore::open(store, &address.identity(), &address.redacted())?;
    let preparation = Preparation { options, address: &address, request, store: Some((store, &repository)) };
    let before = repository.current();
    match preparation.run(interrupt) {
        Err(error) if preparation.is_damaged(&repository, &error) => {
            let error = error_chain(&error);
            tracing::warn!(%error, url = address.redacted(), "the stored repository is damaged; fetching it anew");
            // Without one before, it was made by this call or a job beside it.
            if let Some(damaged) = before.or_else(|| repository.current()) {
                repository.replace(&damaged, interrupt)?;
            }
            repository.discard(&request.destination);
            preparation.run(interrupt)
        }
        prepared => prepared,
    }
}

/// A checkout that is being prepared.
struct Preparation<'a> {
    options: &'a GitOptions,
    address: &'a Address,
    request: &'a Checkout,
    store: Option<(&'a StoreOptions, &'a RepositoryStore)>,
}

impl Preparation<'_> {
    fn run(&self, interrupt: &AtomicBool) -> Result<Prepared, GitError> {
        let destination = &self.request.destination;
        let source = self.source(interrupt)?;
        let base_commit = start_commit(&source.repo, source.tip, self.request)?;
        let url = self.address.redacted();
        for commit in [Some(base_commit), source.branch_tip].into_iter().flatten() {
            check_commit(&source.repo, commit, &self.options.limits, &url)?;
        }
        let is_reused = match self.store {
            Some((_, repository)) => self.reuse_tree(repository, &source, base_commit, interrupt)?,
            None => false,
        };
        if !is_reused {
            self.write_tree(&source, base_commit, interrupt)?;
        }
        let repo = open(&destination.join(".git"), self.max_object_bytes())?;
        start_branch(&repo, base_commit, &self.request.branch)?;
        Ok(Prepared {
            base: source.base,
            base_commit: to_commit_sha(base_commit),
            branch_tip: source.branch_tip.map(to_commit_sha),
            depth: source.depth,
            is_reused,
            needs_history: source.needs_history,
        })
    }

    /// Returns whether a failure comes from the stored objects. What the remote says is no damage, and neither are a limit or a
    /// full disk.
    fn is_damaged(&self, repository: &RepositoryStore, error: &GitError) -> bool {
        let Some(mirror) = repository.current().filter(|_| !matches!(self.address, Address::Local(_))) else {
            return false;
        };
        match error {
            // What the disk refuses says nothing about the objects.
            GitError::Internal { source, .. } => source.is::<GixCause>() && !is_refused_by_system(&source.to_string()),
            // gix does not say whether the remote or the own objects ended a negotiation.
            GitError::Unavailable { .. } => !mirror.open(self.max_object_bytes()).is_ok_and(|repo| is_sound(&repo)),
            _ => false,
        }
    }

    const fn max_object_bytes(&self) -> u64 {
        self.options.limits.object_bytes()
    }

    fn source(&self, interrupt: &AtomicBool) -> Result<Source, GitError> {
        if let Address::Local(path) = self.address {
            let found = open_source(path, self.address, self.request)?;
            let depth = is_shallow(&found.repo)?.then_some(1);
            let (repo, base, tip, branch_tip) = (found.repo, found.base, found.tip, found.branch_tip);
            return Ok(Source { repo, base, tip, branch_tip, depth, needs_history: false });
        }
        let remote =
            Remote { options: self.options, address: self.address, credential: self.request.credential.as_ref() };
        let base = match &self.request.base {
            Some(base) => base.clone(),
            None => remote.default_branch()?,
        };
        let mut branches = vec![base.clone()];
        // A follow-up on its own branch names it twice.
        if self.request.with_branch && self.request.branch != base {
            branches.push(self.request.branch.clone());
        }
        match self.store {
            Some((store, repository)) => self.fetch_to_store(&remote, &base, &branches, store, repository, interrupt),
            None => self.fetch_to_destination(&remote, base, &branches, interrupt),
        }
    }

    /// Returns the number of commits to fetch: the tip, and its parent if the tip is replaced. A branch that is rebased needs
    /// what it has in common with its base.
    fn least_depth(&self) -> NonZeroU32 {
        const TWO: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");
        if self.request.with_branch {
            self.history_depth().unwrap_or(WHOLE_HISTORY)
        } else if self.request.rework.is_some() {
            TWO
        } else {
            NonZeroU32::MIN
        }
    }

    fn history_depth(&self) -> Option<NonZeroU32> {
        self.store.and_then(|(store, _)| NonZeroU32::new(store.history_depth))
    }

    /// Returns whether the objects that the checkout needs are here.
    fn has_needed(&self, repo: &gix::Repository, tips: &[gix::ObjectId]) -> bool {
        match tips {
            [base, branch] => {
                tips.iter().all(|tip| has_commits(repo, *tip, NonZeroU32::MIN))
                    && repo.merge_base(*base, *branch).is_ok_and(|found| found.is_some())
            }
            _ => tips.iter().all(|tip| has_commits(repo, *tip, self.least_depth())),
        }
    }

    /// Fetches into the working copy's own repository.
    fn fetch_to_destination(
        &self,
        remote: &Remote<'_>,
        base: BranchName,
        branches: &[BranchName],
        interrupt: &AtomicBool,
    ) -> Result<Source, GitError> {
        let git_dir = self.request.destination.join(".git");
        create_git_dir(&git_dir, false)?;
        let repo = open(&git_dir, self.max_object_bytes())?;
        let depth = Some(self.least_depth()).filter(|depth| *depth != WHOLE_HISTORY);
        let tips = remote.fetch(&repo, &FetchRequest { branches, depth, are_known: &|_| false }, interrupt)?;
        let branch_tip = tips.get(1).or(tips.first()).copied().filter(|_| self.request.with_branch);
        let depth = depth.map(NonZeroU32::get);
        Ok(Source { repo, base, tip: tips[0], branch_tip, depth, needs_history: false })
    }

    /// Fetches into the store what is not there. Jobs that come together fetch once: the later ones wait, and find it.
    fn fetch_to_store(
        &self,
        remote: &Remote<'_>,
        base: &BranchName,
        branches: &[BranchName],
        store: &StoreOptions,
        repository: &RepositoryStore,
        interrupt: &AtomicBool,
    ) -> Result<Source, GitError> {
        let lock = repository.lock_for_fetch(interrupt)?;
        let mirror = repository.current_or_new()?;
        let repo = mirror.open(self.max_object_bytes())?;
        // A shallow repository is fetched with the depth that it has. Without one, a branch from before its boundary would come
        // with its whole history.
        let is_complete = mirror.has_objects() && !is_shallow(&repo)?;
        let least = self.least_depth();
        let depth = mirror.history().and_then(NonZeroU32::new).map_or(least, |history| history.max(least));
        let depth = Some(depth).filter(|_| !is_complete);
        let are_known = |tips: &[gix::ObjectId]| self.has_needed(&repo, tips);
        let mut tips = remote.fetch(&repo, &FetchRequest { branches, depth, are_known: &are_known }, interrupt)?;
        let fetched = mirror.open(self.max_object_bytes())?;
        if self.request.with_branch && !self.has_needed(&fetched, &tips) && is_shallow(&fetched)? {
            let fetch = FetchRequest { branches, depth: Some(WHOLE_HISTORY), are_known: &|_| false };
            tips = remote.fetch(&fetched, &fetch, interrupt)?;
        }
        drop(lock);
        // Opened again: the new packs and the new boundary.
        let repo = mirror.open(self.max_object_bytes())?;
        let found = self.source_of(store, repository, &mirror, repo, &tips)?;
        Ok(Source { base: base.clone(), ..found })
    }

    fn source_of(
        &self,
        store: &StoreOptions,
        repository: &RepositoryStore,
        mirror: &Mirror,
        repo: gix::Repository,
        tips: &[gix::ObjectId],
    ) -> Result<Source, GitError> {
        let depth = is_shallow(&repo)?.then(|| mirror.history().unwrap_or(1));
        let needs_history = store.history_depth > 0 && repository.needs_history(mirror);
        let base = self.request.branch.clone();
        let branch_tip = tips.get(1).or(tips.first()).copied().filter(|_| self.request.with_branch);
        Ok(Source { repo, base, tip: tips[0], branch_tip, depth, needs_history })
    }

    /// Takes the working copy of an earlier job, and makes its files those of the commit.
    fn reuse_tree(
        &self,
        repository: &RepositoryStore,
        source: &Source,
        commit: gix::ObjectId,
        interrupt: &AtomicBool,
    ) -> Result<bool, GitError> {
        let destination = &self.request.destination;
        // Only an empty folder may be replaced.
        let is_free = std::fs::remove_dir(destination).is_ok() || !destination.exists();
        if let Some(parent) = destination.parent() {
            std::fs::create_dir_all(parent).map_err(io_error(format!("creating {}", parent.display())))?;
        }
        if !is_free || !repository.take_tree(destination) {
            return Ok(false);
        }
        let git_dir = destination.join(".git");
        let hash = source.repo.object_hash();
        let old = gix::index::File::at(git_dir.join("index"), hash, false, gix::index::decode::Options::default());
        let result = old.map_err(internal("reading the index")).and_then(|old| {
            // Nothing of the job before is in the new repository.
            repository.discard(&git_dir);
            let repo = self.create_repository(source)?;
            let mut index = reset_files(&repo, destination, &old, commit, interrupt)?;
            write_index(&mut index, &git_dir)
        });
        if let Err(error) = &result {
            tracing::debug!(error = %error_chain(error), "a kept working copy cannot be used");
            repository.discard(destination);
        }
        Ok(result.is_ok())
    }

    /// Creates the working copy's own repository, or returns it if it was fetched into.
    fn create_repository(&self, source: &Source) -> Result<gix::Repository, GitError> {
        let git_dir = self.request.destination.join(".git");
        if source.repo.git_dir() != git_dir {
            create_git_dir(&git_dir, false)?;
            share_objects(&git_dir, &source.repo)?;
        }
        open(&git_dir, self.max_object_bytes())
    }

    fn write_tree(&self, source: &Source, commit: gix::ObjectId, interrupt: &AtomicBool) -> Result<(), GitError> {
        let destination = &self.request.destination;
        std::fs::create_dir_all(destination)
            .map_err(io_error(format!("creating the working copy at {}", destination.display())))?;
        let repo = self.create_repository(source)?;
        let mut index = write_files(&repo, commit, destination, interrupt).map_err(|error| self.refuse(error))?;
        write_index(&mut index, &destination.join(".git"))
    }

    /// What gix refuses to write is a fault of the repository, and not of this machine.
    fn refuse(&self, error: GitError) -> GitError {
        let GitError::Internal { source, .. } = &error else { return error };
        let text = source.to_string();
        if crate::work_tree::is_refused_path(&text) {
            // The id of the tree says nothing to people.
            let reason = text
                .split_once("index from tree at ")
                .map_or(text.as_str(), |(_, rest)| rest.split_once(": ").map_or(rest, |(_, reason)| reason));
            return GitError::ContentRefused { url: self.address.redacted(), reason: reason.to_owned() };
        }
        error
    }
}

fn write_index(index: &mut gix::index::File, git_dir: &Path) -> Result<(), GitError> {
    index.set_path(git_dir.join("index"));
    index.write(gix::index::write::Options::default()).map_err(internal("writing the index"))
}

/// Fetches a repository anew, with its history, and makes it the one that the next jobs use.
///
/// # Errors
/// Those of a fetch. What was fetched is deleted by [`RepositoryStore::delete_unused`].
pub(crate) fn fetch_history(
    options: &GitOptions,
    url: &str,
    branch: &BranchName,
    credential: Option<&GitCredential>,
    interrupt: &AtomicBool,
) -> Result<(), GitError> {
    let Some(store) = &options.store else { return Ok(()) };
    let address = Address::parse(url)?;
    let repository = RepositoryStore::open(store, &address.identity(), &address.redacted())?;
    let Some(_lock) = repository.lock_for_history() else { return Ok(()) };
    let is_needed = repository.current().is_some_and(|mirror| repository.needs_history(&mirror));
    let Some(depth) = NonZeroU32::new(store.history_depth).filter(|_| is_needed) else { return Ok(()) };
    let new = repository.start_next()?;
    let repo = open(&new, options.limits.object_bytes())?;
    let remote = Remote { options, address: &address, credential };
    let fetch = FetchRequest { branches: std::slice::from_ref(branch), depth: Some(depth), are_known: &|_| false };
    remote.fetch(&repo, &fetch, interrupt)?;
    std::fs::write(new.join("history"), format!("{depth}\n")).map_err(io_error("noting the history"))?;
    // A job that fetches now does so into the repository that was the last one when it began.
    let _fetch = repository.lock_for_fetch(interrupt)?;
    repository.finish_next(&new).map(|_| ())
}

/// Returns whether the text of a gix error is the system's: no space, no quota, too many open files, no permission.
fn is_refused_by_system(text: &str) -> bool {
    [28, 122, 23, 24, 13, 12].iter().any(|code| text.contains(&format!("(os error {code})")))
}

fn is_shallow(repo: &gix::Repository) -> Result<bool, GitError> {
    repo.is_shallow().map_err(internal("reading the shallow boundary"))
}

/// Returns whether everything that was fetched last can be read, as far as a look at the newest commits tells.
fn is_sound(repo: &gix::Repository) -> bool {
    const COMMITS: usize = 200;
    let Ok(references) = repo.references() else { return false };
    let Ok(all) = references.all() else { return false };
    all.into_iter().all(|reference| {
        let Ok(Ok(tip)) = reference.map(|mut reference| reference.peel_to_id().map(gix::Id::detach)) else {
            return false;
        };
        let Ok(walk) = repo.rev_walk([tip]).all() else { return false };
        walk.take(COMMITS).all(|info| {
            let tree = info.and_then(|info| info.object()).and_then(|commit| commit.tree_id().map(gix::Id::detach));
            tree.is_ok_and(|tree| repo.find_tree(tree).is_ok())
        })
    })
}

/// Returns whether a commit is here with the list of its files, and its first parents down to a depth.
fn has_commits(repo: &gix::Repository, tip: gix::ObjectId, depth: NonZeroU32) -> bool {
    let mut next = Some(tip);
    for _ in 0..depth.get() {
        let Some(id) = next else { return true };
        let Ok(commit) = repo.find_commit(id) else { return false };
        if commit.tree_id().is_ok_and(|tree| !repo.has_object(tree.detach())) {
            return false;
        }
        next = commit.parent_ids().next().map(gix::Id::detach);
    }
    true
}

/// Returns the commit to start from: the tip, or its parent if the tip is the commit to replace.
fn start_commit(repo: &gix::Repository, tip: gix::ObjectId, request: &Checkout) -> Result<gix::ObjectId, GitError> {
    let Some(rework) = request.rework.as_ref().filter(|rework| rework.tip == to_commit_sha(tip)) else {
        return Ok(tip);
    };
    let commit = repo.find_commit(tip).map_err(internal("reading the cloned branch"))?;
    let parent = commit.parent_ids().next().map(gix::Id::detach);
    Ok(parent.filter(|parent| to_commit_sha(*parent) == rework.start).unwrap_or(tip))
}

/// Creates the branch at the commit and points HEAD to it.
pub(crate) fn start_branch(repo: &gix::Repository, at: gix::ObjectId, branch: &BranchName) -> Result<(), GitError> {
    set_branch(repo, branch, at, PreviousValue::Any)?;
    set_head(repo.git_dir(), branch)
}
