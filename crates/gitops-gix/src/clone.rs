//! Making a working copy.

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
use crate::error::{broken, io, remote};
use crate::export::checkout_tree;
use crate::transport::http_options;
use crate::workspace::GixWorkspace;

/// How many commits a working copy needs: the tip, and the one before it when the tip is made anew.
pub(crate) fn depth(request: &Checkout) -> NonZeroU32 {
    const TWO: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");
    if request.rework.is_some() { TWO } else { NonZeroU32::MIN }
}

pub(crate) fn checkout(
    options: &GitOptions,
    address: Address,
    request: &Checkout,
    interrupt: &AtomicBool,
) -> Result<GixWorkspace, GitError> {
    std::fs::create_dir_all(&request.destination)
        .map_err(io(format!("making the working copy at {}", request.destination.display())))?;
    let (repo, base) = match &address {
        Address::Local(path) => borrow_local(path, &address, request)?,
        Address::Http(_) => clone_http(options, &address, request, interrupt)?,
        Address::Ssh(url) => crate::command::clone(options, url, &address, request)?,
    };
    let tip = repo.head_id().map_err(broken("reading the cloned branch"))?.detach();
    let base_commit = start(&repo, tip, request)?;
    let root = repo.workdir().expect("made with a working tree").to_owned();
    let mut index = checkout_tree(&repo, base_commit, &root, interrupt)?;
    index.write(gix::index::write::Options::default()).map_err(broken("writing the index"))?;
    start_branch(&repo, base_commit, &request.branch)?;
    GixWorkspace::new(repo, options.clone(), address, base, sha(base_commit), request.branch.clone())
}

/// The commit to begin at: the tip, or the one before it when the tip is ours and is made anew.
fn start(cloned: &gix::Repository, tip: gix::ObjectId, request: &Checkout) -> Result<gix::ObjectId, GitError> {
    let Some(rework) = request.rework.as_ref().filter(|rework| rework.tip == sha(tip)) else { return Ok(tip) };
    let commit = cloned.find_commit(tip).map_err(broken("reading the cloned branch"))?;
    let parent = commit.parent_ids().next().map(gix::Id::detach);
    Ok(parent.filter(|parent| sha(*parent) == rework.start).unwrap_or(tip))
}

/// gix's object id as ours.
pub(crate) fn sha(id: gix::ObjectId) -> CommitSha {
    CommitSha::parse(&id.to_string()).expect("gix prints full lower-case ids")
}

/// Opens nothing of this machine's configuration: no aliases, helpers, `insteadOf` or hooks of its owner.
pub(crate) fn isolated() -> gix::open::Options {
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
            // A fetch that finds no reference fails in many words; the list of references tells why in one.
            let (refs, _) = remote_refs(options, address, request)?;
            if refs.is_empty() {
                Err(empty(address))
            } else if refs.contains(&base.full_ref()) {
                Err(remote(address, &error))
            } else {
                Err(GitError::BranchNotFound { url: address.shown(), branch: base })
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
    let Address::Http(url) = address else { unreachable!("the caller has matched") };
    let refspec = format!("+{}:refs/remotes/origin/{base}", base.full_ref());
    let create = gix::create::Options { destination_must_be_empty: Some(true), ..gix::create::Options::default() };
    let mut prepare = gix::clone::PrepareFetch::new(
        url.as_str(),
        &request.destination,
        gix::create::Kind::WithWorktree,
        create,
        isolated(),
    )?
    .with_shallow(Shallow::DepthAtRemote(depth(request)))
    .with_ref_name(Some(base.as_str()))?
    // gix's default asks for the tips of all branches: five times the pack on a large repository.
    .configure_remote(move |mut remote| {
        remote.replace_refspecs([refspec.as_str()], Direction::Fetch)?;
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

/// The names of the remote's branches, and the one that its HEAD points to.
fn remote_refs(
    options: &GitOptions,
    address: &Address,
    request: &Checkout,
) -> Result<(Vec<String>, Option<BranchName>), GitError> {
    let Address::Http(url) = address else { unreachable!("the caller has matched") };
    let failed = |error: gix::Error| remote(address, &error);
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
    GitError::EmptyRepository { url: address.shown() }
}

/// A working copy that reads its base from the objects of a repository on this machine: nothing is copied, and new
/// objects go into the working copy's own store.
fn borrow_local(path: &Path, address: &Address, request: &Checkout) -> Result<(gix::Repository, BranchName), GitError> {
    let not_found = || GitError::RepositoryNotFound { url: address.shown() };
    let source = gix::open_opts(path, isolated()).map_err(|_| not_found())?;
    let base = match &request.base {
        Some(base) => base.clone(),
        None => head_branch(&source).ok_or_else(|| GitError::AddressRefused {
            url: address.shown(),
            reason: "its HEAD is on no branch; name the base branch".to_owned(),
        })?,
    };
    let Some(mut reference) =
        source.try_find_reference(base.full_ref().as_str()).map_err(broken("reading the branches"))?
    else {
        let head = source.head().map_err(broken("reading HEAD"))?;
        return Err(if head.is_unborn() && request.base.is_none() || no_branches(&source) {
            empty(address)
        } else {
            GitError::BranchNotFound { url: address.shown(), branch: base }
        });
    };
    let tip = reference.peel_to_id().map_err(broken("reading the branch"))?.detach();

    let create = gix::create::Options { destination_must_be_empty: Some(true), ..gix::create::Options::default() };
    let repo =
        gix::ThreadSafeRepository::init_opts(&request.destination, gix::create::Kind::WithWorktree, create, isolated())
            .map_err(broken("making the working copy"))?
            .to_thread_local();
    let objects = source.objects.store_ref().path().canonicalize().map_err(io("finding the objects"))?;
    let alternates = repo.git_dir().join("objects/info/alternates");
    std::fs::create_dir_all(repo.git_dir().join("objects/info")).map_err(io("making the working copy"))?;
    std::fs::write(&alternates, format!("{}\n", objects.display())).map_err(io("making the working copy"))?;
    // A shallow source has parents that are not there; git and gix must know.
    let shallow = source.shallow_file().map_err(broken("finding the shallow boundary"))?;
    if shallow.exists() {
        std::fs::copy(shallow, repo.git_dir().join("shallow")).map_err(io("making the working copy"))?;
    }
    // Opened anew, so that it sees the borrowed objects.
    let repo = gix::open_opts(repo.git_dir(), isolated()).map_err(broken("opening the working copy"))?;
    start_branch(&repo, tip, &base)?;
    Ok((repo, base))
}

fn head_branch(repo: &gix::Repository) -> Option<BranchName> {
    let name = repo.head_name().ok()??;
    BranchName::parse(&name.shorten().to_string()).ok()
}

fn no_branches(repo: &gix::Repository) -> bool {
    repo.references()
        .ok()
        .and_then(|platform| platform.local_branches().ok().map(|mut branches| branches.next().is_none()))
        .unwrap_or(false)
}

/// Makes the branch at the commit and points HEAD to it.
fn start_branch(repo: &gix::Repository, at: gix::ObjectId, branch: &BranchName) -> Result<(), GitError> {
    crate::objects::set_branch(repo, branch, at, gix::refs::transaction::PreviousValue::Any)?;
    std::fs::write(repo.git_dir().join("HEAD"), format!("ref: {}\n", branch.full_ref())).map_err(io("switching branch"))
}
