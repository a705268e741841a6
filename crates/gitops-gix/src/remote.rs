//! Fetching from a remote over smart HTTP into a repository on this machine.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;

use gix::progress::Discard;
use gix::protocol::Handshake;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::TransportWithoutIO as _;
use gix::protocol::transport::client::blocking_io::{Transport, connect};
use gix::protocol::transport::{Protocol, Service};
use gix::remote::Direction;
use gix::remote::fetch::{Shallow, Tags};
use patchwright_core::forge::GitCredential;
use patchwright_core::git::GitError;
use patchwright_domain::BranchName;

use crate::address::Address;
use crate::error::remote_error;
use crate::options::GitOptions;
use crate::transport::http_options;

/// A remote and how it is reached.
pub(crate) struct Remote<'a> {
    pub(crate) options: &'a GitOptions,
    pub(crate) address: &'a Address,
    pub(crate) credential: Option<&'a GitCredential>,
}

/// The tips of branches, in the order in which they were asked for.
pub(crate) type Tips = Vec<gix::ObjectId>;

/// What a fetch needs.
pub(crate) struct FetchRequest<'a> {
    pub(crate) branches: &'a [BranchName],
    /// How many commits from the tips; `None` for all that are after those that are here.
    pub(crate) depth: Option<NonZeroU32>,
    /// Returns whether the repository has what is needed of the tips already, so that nothing is fetched.
    pub(crate) are_known: &'a dyn Fn(&[gix::ObjectId]) -> bool,
}

/// The depth that makes a shallow repository complete, in git's protocol.
pub(crate) const WHOLE_HISTORY: NonZeroU32 = NonZeroU32::new(i32::MAX as u32).expect("it is not zero");

impl Remote<'_> {
    /// Asks for the tips of the branches, and fetches those that are not known. The remote's answer to the credential of this
    /// call decides, also if nothing is fetched.
    pub(crate) fn fetch(
        &self,
        repo: &gix::Repository,
        fetch: &FetchRequest<'_>,
        interrupt: &AtomicBool,
    ) -> Result<Tips, GitError> {
        match self.address {
            Address::Http(url) => self.fetch_http(url.as_str(), repo, fetch, interrupt),
            Address::Ssh(url) => crate::command::fetch(self, url, repo, fetch),
            Address::Local(_) => unreachable!("the objects of local repositories are shared"),
        }
    }

    /// Returns the branch that the remote's HEAD points to.
    pub(crate) fn default_branch(&self) -> Result<BranchName, GitError> {
        let head = match self.address {
            Address::Http(url) => find_head(&self.list_head(url.as_str())?),
            Address::Ssh(url) => crate::command::head(self, url)?,
            Address::Local(_) => unreachable!("the caller reads local repositories"),
        };
        head.ok_or_else(|| self.empty())
    }

    pub(crate) fn empty(&self) -> GitError {
        GitError::EmptyRepository { url: self.address.redacted() }
    }

    pub(crate) fn no_branch(&self, branch: &BranchName) -> GitError {
        GitError::BranchNotFound { url: self.address.redacted(), branch: branch.clone() }
    }

    fn fetch_http(
        &self,
        url: &str,
        repo: &gix::Repository,
        fetch: &FetchRequest<'_>,
        interrupt: &AtomicBool,
    ) -> Result<Tips, GitError> {
        let failed = |error: gix::Error| remote_error(self.address, &error);
        // By default gix fetches the tips of all branches, which is five times the size for a large repository.
        let specs: Vec<String> = fetch.branches.iter().map(refspec).collect();
        let remote = repo
            .remote_at(url)
            .and_then(|remote| remote.with_refspecs(specs.iter().map(String::as_str), Direction::Fetch))
            .map_err(failed)?
            .with_fetch_tags(Tags::None);
        let connection = remote
            .connect(Direction::Fetch)
            .map_err(failed)?
            .with_credentials(|_| Ok(None))
            .with_transport_options(Box::new(http_options(self.options, self.address, self.credential)?));
        let prepared = connection.prepare_fetch(Discard, gix::remote::ref_map::Options::default()).map_err(failed)?;
        let refs = &prepared.ref_map().remote_refs;
        let tips: Result<Tips, GitError> = fetch
            .branches
            .iter()
            .map(|branch| match find_tip(refs, branch) {
                Some(tip) => Ok(tip),
                // The server listed the branches that were asked for alone.
                None if self.list_http(url)?.is_empty() => Err(self.empty()),
                None => Err(self.no_branch(branch)),
            })
            .collect();
        let tips = tips?;
        if (fetch.are_known)(&tips) {
            return Ok(tips);
        }
        let depth = fetch.depth.map_or(Shallow::NoChange, Shallow::DepthAtRemote);
        prepared.with_shallow(depth).receive(Discard, interrupt).map_err(failed)?;
        Ok(tips)
    }

    /// Lists HEAD alone, if the server can.
    fn list_head(&self, url: &str) -> Result<Vec<Ref>, GitError> {
        let failed = |error: gix::Error| remote_error(self.address, &error);
        let (mut transport, mut handshake) = self.open_transport(url, Service::UploadPack, Protocol::V2, failed)?;
        if let Some(refs) = handshake.refs.take() {
            return Ok(refs);
        }
        let agent = ("agent", Some(concat!("patchwright/", env!("CARGO_PKG_VERSION")).to_owned()));
        let mut prefixes = gix::protocol::ls_refs::RefPrefixes::new();
        prefixes.extend(["HEAD".into()]);
        gix::protocol::LsRefsCommand::new(Some(prefixes), &handshake.capabilities, agent)
            .invoke_blocking(&mut transport, &mut Discard, false)
            .map_err(failed)
    }

    /// Lists all references.
    fn list_http(&self, url: &str) -> Result<Vec<Ref>, GitError> {
        let failed = |error: gix::Error| remote_error(self.address, &error);
        // Version 1 lists them in the first answer.
        let (_, handshake) = self.open_transport(url, Service::UploadPack, Protocol::V1, failed)?;
        Ok(handshake.refs.unwrap_or_default())
    }

    /// Connects over HTTP and reads the first answer.
    pub(crate) fn open_transport(
        &self,
        url: &str,
        service: Service,
        version: Protocol,
        failed: impl Fn(gix::Error) -> GitError,
    ) -> Result<(Box<dyn Transport + Send>, Handshake), GitError> {
        let options = connect::Options { version, ..connect::Options::default() };
        let mut transport = connect::connect(url, options).map_err(&failed)?;
        let http = http_options(self.options, self.address, self.credential)?;
        transport.configure(&http).map_err(&failed)?;
        let handshake = gix::protocol::handshake(&mut transport, service, |_| Ok(None), Vec::new(), &mut Discard)
            .map_err(&failed)?;
        Ok((transport, handshake))
    }
}

/// Returns the branch that HEAD points to.
fn find_head(refs: &[Ref]) -> Option<BranchName> {
    refs.iter().find_map(|reference| match reference {
        Ref::Symbolic { full_ref_name, target, .. } if full_ref_name == "HEAD" => {
            target.to_string().strip_prefix("refs/heads/").and_then(|name| BranchName::parse(name).ok())
        }
        _ => None,
    })
}

/// Returns where a branch is fetched to. Names are hashed, since a branch `a` that the remote replaced by `a/b` would be in the
/// way of its own folder.
pub(crate) fn refspec(branch: &BranchName) -> String {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(branch.as_str().as_bytes());
    let hash = hasher.try_finalize().expect("a name of 200 bytes is no attack on the hash");
    format!("+{}:refs/tips/{hash}", branch.full_ref())
}

/// Returns the commit of a branch in a list of references.
pub(crate) fn find_tip(refs: &[Ref], branch: &BranchName) -> Option<gix::ObjectId> {
    let name = branch.full_ref();
    refs.iter().find_map(|reference| match reference {
        Ref::Direct { full_ref_name, object } if *full_ref_name == name.as_str() => Some(*object),
        Ref::Symbolic { full_ref_name, object, .. } if *full_ref_name == name.as_str() => Some(*object),
        _ => None,
    })
}
