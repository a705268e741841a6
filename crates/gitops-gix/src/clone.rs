//! Creating working copies.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::connect;
use gix::protocol::transport::{Protocol, Service};
use gix::remote::Direction;
use gix::remote::fetch::Shallow;
use patchwright_core::git::{Checkout, GitError};
use patchwright_domain::{BranchName, CommitSha};

use crate::GitOptions;
use crate::address::Address;
use crate::error::{internal, io_error, remote_error};
use crate::export::checkout_tree;
use crate::transport::http_options;
use crate::workspace::GixWorkspace;

/// Returns the number of commits to fetch: the tip, and its parent if the tip is replaced.
pub(crate) fn clone_depth(request: &Checkout) -> NonZeroU32 {
    const TWO: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");
    if request.rework.is_some() { TWO } else { NonZeroU32::MIN }
}

pub(crate) fn checkout(
    options: &GitOptions,
    address: Address,
    request: &Checkout,
    interrupt: &AtomicBool,
) -> Result<GixWorkspace, GitError> {
    let push_address = request.push_url.as_deref().map(|url| push_address(options, url, request)).transpose()?;
    std::fs::create_dir_all(&request.destination)
        .map_err(io_error(format!("creating the working copy at {}", request.destination.display())))?;
    let (repo, base) = match &address {
        Address::Local(path) => checkout_local(path, &address, request)?,
        Address::Http(_) => clone_http(options, &address, request, interrupt)?,
        Address::Ssh(url) => crate::command::clone(options, url, &address, request)?,
    };
    let tip = repo.head_id().map_err(internal("reading the cloned branch"))?.detach();
    let base_commit = start_commit(&repo, tip, request)?;
    let root = repo.workdir().expect("created with a working tree").to_owned();
    let mut index = checkout_tree(&repo, base_commit, &root, interrupt)?;
    index.write(gix::index::write::Options::default()).map_err(internal("writing the index"))?;
    start_branch(&repo, base_commit, &request.branch)?;
    let tip = if request.with_branch { Some(branch_tip(&repo, &address, request)?) } else { None };
    let base_commit = to_commit_sha(base_commit);
    let address = push_address.unwrap_or(address);
    let workspace = GixWorkspace::new(repo, options.clone(), address, base, base_commit, request.branch.clone())?;
    Ok(workspace.with_tip(tip))
}

/// Returns the address that the branch is pushed to.
fn push_address(options: &GitOptions, url: &str, request: &Checkout) -> Result<Address, GitError> {
    let address = Address::parse(url)?;
    if request.credential.is_some() {
        address.check_credential(options.allow_clear_http)?;
    }
    Ok(address)
}

/// Returns the tip of the remote's branch that is rebased.
fn branch_tip(repo: &gix::Repository, address: &Address, request: &Checkout) -> Result<CommitSha, GitError> {
    let found = match address {
        // The objects are shared, and the references are not.
        Address::Local(path) => gix::open_opts(path, open_options()).and_then(|source| {
            source
                .try_find_reference(request.branch.full_ref().as_str())
                .map(|found| found.map(|mut reference| reference.peel_to_id().map(gix::Id::detach)))
        }),
        _ => repo
            .try_find_reference(format!("refs/remotes/origin/{}", request.branch).as_str())
            .map(|found| found.map(|mut reference| reference.peel_to_id().map(gix::Id::detach))),
    };
    let found = found.map_err(internal("reading the branch"))?.transpose().map_err(internal("reading the branch"))?;
    let missing = || GitError::BranchNotFound { url: address.redacted(), branch: request.branch.clone() };
    found.map(to_commit_sha).ok_or_else(missing)
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

pub(crate) fn to_commit_sha(id: gix::ObjectId) -> CommitSha {
    CommitSha::parse(&id.to_string()).expect("gix prints full lower-case ids")
}

/// Returns options that ignore the configuration of this machine: no aliases, helpers, `insteadOf` or hooks.
pub(crate) fn open_options() -> gix::open::Options {
    gix::open::Options::isolated()
}

fn clone_http(
    options: &GitOptions,
    address: &Address,
    request: &Checkout,
    interrupt: &AtomicBool,
) -> Result<(gix::Repository, BranchName), GitError> {
    let http = || http_options(options, address, request.credential.as_ref());
    let base = match &request.base {
        Some(base) => base.clone(),
        None => remote_refs(options, address, request)?.1.ok_or_else(|| empty(address))?,
    };
    match fetch(address, &base, request, http()?, interrupt) {
        Ok(repo) => Ok((repo, base)),
        Err(error) => {
            // gix has no error of its own for a missing reference; the list of references tells the cases apart.
            let (refs, _) = remote_refs(options, address, request)?;
            if refs.is_empty() {
                Err(empty(address))
            } else if refs.contains(&base.full_ref()) {
                Err(remote_error(address, &error))
            } else {
                Err(GitError::BranchNotFound { url: address.redacted(), branch: base })
            }
        }
    }
}

fn fetch(
    address: &Address,
    base: &BranchName,
    request: &Checkout,
    http: gix::protocol::transport::client::blocking_io::http::Options,
    interrupt: &AtomicBool,
) -> Result<gix::Repository, gix::Error> {
    let Address::Http(url) = address else { unreachable!("the caller has matched the transport") };
    let spec = |branch: &BranchName| format!("+{}:refs/remotes/origin/{branch}", branch.full_ref());
    let mut refspecs = vec![spec(base)];
    if request.with_branch {
        refspecs.push(spec(&request.branch));
    }
    let depth = if request.with_branch { Shallow::NoChange } else { Shallow::DepthAtRemote(clone_depth(request)) };
    let create = gix::create::Options { destination_must_be_empty: Some(true), ..gix::create::Options::default() };
    let mut prepare = gix::clone::PrepareFetch::new(
        url.as_str(),
        &request.destination,
        gix::create::Kind::WithWorktree,
        create,
        open_options(),
    )?
    .with_shallow(depth)
    .with_ref_name(Some(base.as_str()))?
    // By default gix fetches the tips of all branches, which is five times the size for a large repository.
    .configure_remote(move |mut remote| {
        remote.replace_refspecs(refspecs.iter().map(String::as_str), Direction::Fetch)?;
        Ok(remote.with_fetch_tags(gix::remote::fetch::Tags::None))
    })
    .configure_connection(move |connection| {
        connection.set_transport_options(Box::new(http.clone()));
        connection.set_credentials(|_| Ok(None));
        Ok(())
    });
    let (repo, _) = prepare.fetch_only(Discard, interrupt)?;
    Ok(repo)
}

/// Returns the names of the remote's references, and the branch that its HEAD points to.
fn remote_refs(
    options: &GitOptions,
    address: &Address,
    request: &Checkout,
) -> Result<(Vec<String>, Option<BranchName>), GitError> {
    let Address::Http(url) = address else { unreachable!("the caller has matched the transport") };
    let failed = |error: gix::Error| remote_error(address, &error);
    let connect_options = connect::Options { version: Protocol::V1, ..connect::Options::default() };
    let mut transport = connect::connect(url.as_str(), connect_options).map_err(failed)?;
    let http = http_options(options, address, request.credential.as_ref())?;
    gix::protocol::transport::client::TransportWithoutIO::configure(&mut transport, &http).map_err(failed)?;
    let handshake =
        gix::protocol::handshake(&mut transport, Service::UploadPack, |_| Ok(None), Vec::new(), &mut Discard)
            .map_err(failed)?;
    let mut names = Vec::new();
    let mut head = None;
    for reference in handshake.refs.unwrap_or_default() {
        match reference {
            Ref::Direct { full_ref_name, .. } | Ref::Peeled { full_ref_name, .. } => {
                names.push(full_ref_name.to_string());
            }
            Ref::Symbolic { full_ref_name, target, .. } if full_ref_name == "HEAD" => {
                head = target.to_string().strip_prefix("refs/heads/").and_then(|name| BranchName::parse(name).ok());
                names.push(target.to_string());
            }
            Ref::Symbolic { .. } | Ref::Unborn { .. } => {}
        }
    }
    Ok((names, head))
}

fn empty(address: &Address) -> GitError {
    GitError::EmptyRepository { url: address.redacted() }
}

/// Creates a working copy that borrows the objects of a repository on this machine (git's alternates). Nothing is copied; new
/// objects are written to the working copy's own store.
fn checkout_local(
    path: &Path,
    address: &Address,
    request: &Checkout,
) -> Result<(gix::Repository, BranchName), GitError> {
    let not_found = || GitError::RepositoryNotFound { url: address.redacted() };
    let source = gix::open_opts(path, open_options()).map_err(|_| not_found())?;
    let base = match &request.base {
        Some(base) => base.clone(),
        None => head_branch(&source).ok_or_else(|| GitError::AddressRefused {
            url: address.redacted(),
            reason: "its HEAD is detached; name the base branch".to_owned(),
        })?,
    };
    let Some(mut reference) =
        source.try_find_reference(base.full_ref().as_str()).map_err(internal("reading the branches"))?
    else {
        let head = source.head().map_err(internal("reading HEAD"))?;
        return Err(if head.is_unborn() && request.base.is_none() || has_no_branches(&source) {
            empty(address)
        } else {
            GitError::BranchNotFound { url: address.redacted(), branch: base }
        });
    };
    let tip = reference.peel_to_id().map_err(internal("reading the branch"))?.detach();

    let create = gix::create::Options { destination_must_be_empty: Some(true), ..gix::create::Options::default() };
    let repo = gix::ThreadSafeRepository::init_opts(
        &request.destination,
        gix::create::Kind::WithWorktree,
        create,
        open_options(),
    )
    .map_err(internal("creating the working copy"))?
    .to_thread_local();
    let objects = source.objects.store_ref().path().canonicalize().map_err(io_error("finding the objects"))?;
    let alternates = repo.git_dir().join("objects/info/alternates");
    std::fs::create_dir_all(repo.git_dir().join("objects/info")).map_err(io_error("creating the working copy"))?;
    std::fs::write(&alternates, format!("{}\n", objects.display())).map_err(io_error("creating the working copy"))?;
    // The boundary of a shallow source is copied, because its commits have parents that are missing.
    let shallow = source.shallow_file().map_err(internal("finding the shallow boundary"))?;
    if shallow.exists() {
        std::fs::copy(shallow, repo.git_dir().join("shallow")).map_err(io_error("creating the working copy"))?;
    }
    // Opened again to load the alternates.
    let repo = gix::open_opts(repo.git_dir(), open_options()).map_err(internal("opening the working copy"))?;
    start_branch(&repo, tip, &base)?;
    Ok((repo, base))
}

fn head_branch(repo: &gix::Repository) -> Option<BranchName> {
    let name = repo.head_name().ok()??;
    BranchName::parse(&name.shorten().to_string()).ok()
}

fn has_no_branches(repo: &gix::Repository) -> bool {
    repo.references()
        .ok()
        .and_then(|platform| platform.local_branches().ok().map(|mut branches| branches.next().is_none()))
        .unwrap_or(false)
}

/// Creates the branch at the commit and points HEAD to it.
fn start_branch(repo: &gix::Repository, at: gix::ObjectId, branch: &BranchName) -> Result<(), GitError> {
    crate::objects::set_branch(repo, branch, at, gix::refs::transaction::PreviousValue::Any)?;
    std::fs::write(repo.git_dir().join("HEAD"), format!("ref: {}\n", branch.full_ref()))
        .map_err(io_error("switching the branch"))
}
