//! Reading and writing commits, and collecting the objects that a remote does not have.

use std::collections::HashSet;

use gix::objs::tree::EntryKind;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};
use patchwright_core::git::{CommitRequest, GitError};
use patchwright_domain::{BranchName, CommitSha};

use crate::error::internal;
use crate::options::GitOptions;
use crate::signing::sign;

pub(crate) fn to_object_id(commit: &CommitSha) -> gix::ObjectId {
    gix::ObjectId::from_hex(commit.as_str().as_bytes()).expect("a CommitSha holds only full hexadecimal ids")
}

pub(crate) fn to_commit_sha(id: gix::ObjectId) -> CommitSha {
    CommitSha::parse(&id.to_string()).expect("gix prints full lower-case ids")
}

/// Returns the tree of a commit.
pub(crate) fn tree_of(repo: &gix::Repository, commit: gix::ObjectId) -> Result<gix::ObjectId, GitError> {
    let failed = internal("reading a commit");
    Ok(repo.find_commit(commit).map_err(&failed)?.tree_id().map_err(&failed)?.detach())
}

/// An object to send.
#[derive(Debug)]
pub(crate) struct NewObject {
    pub(crate) kind: gix::objs::Kind,
    pub(crate) data: Vec<u8>,
}

/// The path of a file with its new content; `None` removes the file.
pub(crate) type TreeEdit = (String, Option<(gix::ObjectId, EntryKind)>);

/// Writes a commit on top of `base`. Equal requests make equal commits.
pub(crate) fn write_commit(
    repo: &gix::Repository,
    base: gix::ObjectId,
    changes: &[TreeEdit],
    request: &CommitRequest,
    options: &GitOptions,
) -> Result<gix::ObjectId, GitError> {
    let failed = internal("writing the commit");
    let base_tree = tree_of(repo, base)?;
    let mut editor = repo.edit_tree(base_tree).map_err(&failed)?;
    for (path, entry) in changes {
        match entry {
            Some((id, kind)) => editor.upsert(path.as_str(), *kind, *id).map_err(&failed)?,
            None => editor.remove(path.as_str()).map_err(&failed)?,
        };
    }
    let tree = editor.write().map_err(&failed)?.detach();
    if tree == base_tree {
        return Ok(base);
    }
    write_signed(repo, new_commit(tree, Some(base), signature(request), request.message.as_str()), options)
}

/// Returns a commit whose author is its committer.
pub(crate) fn new_commit(
    tree: gix::ObjectId,
    parent: Option<gix::ObjectId>,
    who: gix::actor::Signature,
    message: &str,
) -> gix::objs::Commit {
    gix::objs::Commit {
        tree,
        parents: parent.into_iter().collect(),
        author: who.clone(),
        committer: who,
        encoding: None,
        message: message.into(),
        extra_headers: Vec::new(),
    }
}

/// Writes a commit, signed if the options have a key.
pub(crate) fn write_signed(
    repo: &gix::Repository,
    mut commit: gix::objs::Commit,
    options: &GitOptions,
) -> Result<gix::ObjectId, GitError> {
    sign(options, &mut commit)?;
    Ok(repo.write_object(&commit).map_err(internal("writing the commit"))?.detach())
}

/// Returns the person of a request, who is author and committer.
pub(crate) fn signature(request: &CommitRequest) -> gix::actor::Signature {
    gix::actor::Signature {
        name: request.author_name.as_str().into(),
        email: request.author_email.as_str().into(),
        time: gix::date::Time::new(request.at.as_second(), 0),
    }
}

/// Moves a branch to a commit.
pub(crate) fn set_branch(
    repo: &gix::Repository,
    branch: &BranchName,
    to: gix::ObjectId,
    expected: PreviousValue,
) -> Result<(), GitError> {
    let failed = internal("moving the branch");
    let name: FullName = branch.full_ref().try_into().map_err(|error| failed(gix::Error::from_error(error)))?;
    let edit = RefEdit {
        change: Change::Update {
            log: LogChange { mode: RefLog::AndReference, force_create_reflog: false, message: "patchwright".into() },
            expected,
            new: Target::Object(to),
        },
        name,
        deref: false,
    };
    let who =
        gix::actor::SignatureRef { name: "patchwright".into(), email: "patchwright@localhost".into(), time: "0 +0000" };
    repo.edit_references_as([edit], Some(who)).map(|_| ()).map_err(&failed)
}

/// Returns the objects of `commit` that a remote does not have which has the `known` commits: the commits between them, and the
/// trees and files that each changes against its first parent.
pub(crate) fn new_objects(
    repo: &gix::Repository,
    known: &[gix::ObjectId],
    commit: gix::ObjectId,
) -> Result<Vec<NewObject>, GitError> {
    let failed = internal("collecting the new objects");
    let mut found = Found { objects: Vec::new(), ids: HashSet::new() };
    if known.contains(&commit) {
        return Ok(found.objects);
    }
    let walk = repo.rev_walk([commit]).with_hidden(known.iter().copied()).all().map_err(&failed)?;
    for info in walk {
        let info = info.map_err(&failed)?;
        // The parent of a commit on the boundary of a shallow repository is not here.
        let parent = info.parent_ids().next().map(gix::Id::detach).filter(|parent| repo.has_object(*parent));
        let old = parent.map(|parent| tree_of(repo, parent)).transpose()?;
        found.append(repo, info.id).map_err(&failed)?;
        found.collect_tree(repo, old, tree_of(repo, info.id)?).map_err(&failed)?;
    }
    Ok(found.objects)
}

struct Found {
    objects: Vec<NewObject>,
    ids: HashSet<gix::ObjectId>,
}

impl Found {
    fn append(&mut self, repo: &gix::Repository, id: gix::ObjectId) -> Result<(), gix::Error> {
        if self.ids.insert(id) {
            let mut object = repo.find_object(id)?;
            self.objects.push(NewObject { kind: object.kind, data: std::mem::take(&mut object.data) });
        }
        Ok(())
    }

    fn collect_tree(
        &mut self,
        repo: &gix::Repository,
        old: Option<gix::ObjectId>,
        new: gix::ObjectId,
    ) -> Result<(), gix::Error> {
        if old == Some(new) || self.ids.contains(&new) {
            return Ok(());
        }
        let before = old.map(|id| repo.find_tree(id)).transpose()?;
        let before = before.as_ref().map(gix::Tree::decode).transpose()?;
        let tree = repo.find_tree(new)?;
        for entry in tree.decode()?.entries {
            let old_entry =
                before.as_ref().and_then(|tree| tree.entries.iter().find(|other| other.filename == entry.filename));
            if old_entry.is_some_and(|other| other.oid == entry.oid) {
                continue;
            }
            if entry.mode.is_tree() {
                let old_tree = old_entry.filter(|other| other.mode.is_tree()).map(|other| other.oid.to_owned());
                self.collect_tree(repo, old_tree, entry.oid.to_owned())?;
            } else if !entry.mode.is_commit() {
                self.append(repo, entry.oid.to_owned())?;
            }
        }
        self.append(repo, new)
    }
}
