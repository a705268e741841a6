//! Replaying the commits of a branch on top of another commit.

use std::collections::BTreeMap;

use gix::merge::tree::TreatAsUnresolved;
use gix::objs::tree::EntryKind;
use patchwright_core::git::{CommitRequest, ConflictedFile, GitError, MergedPart, RebaseConflict, Resolution};
use patchwright_domain::{BranchName, RepoPath};

use crate::error::internal;
use crate::objects::{signature, to_commit_sha, tree_of, write_signed};
use crate::options::GitOptions;
use crate::tree_limits::check_tree;

/// The most commits that are replayed.
const MAX_COMMITS: usize = 200;
/// The longest text with conflicts that is shown, in bytes.
const MAX_CONFLICT_BYTES: usize = 1 << 20;

/// The names of the sides in a text with conflicts, which no text of a repository has.
const BEFORE: &str = "patchwright: before both changes";
const BASE: &str = "patchwright: the base branch";
const BRANCH: &str = "patchwright: the commit of the branch";

/// The result of a replay.
pub(crate) enum Replayed {
    Done(gix::ObjectId),
    Conflict(RebaseConflict),
}

/// What commits are replayed with.
pub(crate) struct Replay<'a> {
    pub(crate) repo: &'a gix::Repository,
    pub(crate) branch: &'a BranchName,
    /// The address of the repository, for messages.
    pub(crate) url: &'a str,
    pub(crate) request: &'a CommitRequest,
    pub(crate) options: &'a GitOptions,
    pub(crate) resolutions: &'a [Resolution],
}

impl Replay<'_> {
    /// Replays the commits of `tip` that `onto` does not have, oldest first, and returns the last new commit: `tip` itself if it
    /// is on top of `onto` already. Authors and messages stay; the committer and the time are those of the request, so that the
    /// same commits give the same result. Merge commits of the branch become ordinary ones, and those that add nothing are left
    /// out.
    pub(crate) fn run(&self, tip: gix::ObjectId, onto: gix::ObjectId) -> Result<Replayed, GitError> {
        let failed = internal("rebasing the branch");
        if self.repo.merge_base(tip, onto).map_err(&failed)?.is_some_and(|base| base == onto) {
            return Ok(Replayed::Done(tip));
        }
        let mut top = onto;
        for id in self.list_commits(tip, onto)?.into_iter().rev() {
            match self.pick(id, top)? {
                Replayed::Done(commit) => top = commit,
                conflict @ Replayed::Conflict(_) => return Ok(conflict),
            }
        }
        Ok(Replayed::Done(top))
    }

    /// Returns the commits to replay, newest first.
    fn list_commits(&self, tip: gix::ObjectId, onto: gix::ObjectId) -> Result<Vec<gix::ObjectId>, GitError> {
        let failed = internal("rebasing the branch");
        let is_known = |id: gix::ObjectId| -> Result<bool, GitError> {
            Ok(self.repo.merge_base(id, onto).map_err(&failed)?.is_some_and(|base| base == id))
        };
        let mut commits = Vec::new();
        let mut next = Some(tip);
        while let Some(id) = next {
            if is_known(id)? {
                break;
            }
            if commits.len() == MAX_COMMITS {
                return Err(GitError::TooManyCommits { branch: self.branch.clone(), most: MAX_COMMITS });
            }
            if !is_plain_merge(self.repo, id, &is_known)? {
                commits.push(id);
            }
            next = self.repo.find_commit(id).map_err(&failed)?.parent_ids().next().map(gix::Id::detach);
        }
        Ok(commits)
    }

    /// Applies the change of one commit to `top`.
    fn pick(&self, id: gix::ObjectId, top: gix::ObjectId) -> Result<Replayed, GitError> {
        let failed = internal("rebasing the branch");
        let repo = self.repo;
        let commit = repo.find_commit(id).map_err(&failed)?;
        let parent = commit.parent_ids().next().map(gix::Id::detach);
        let before = match parent {
            Some(parent) => tree_of(repo, parent)?,
            None => gix::ObjectId::empty_tree(repo.object_hash()),
        };
        let (ours, theirs) = (tree_of(repo, top)?, tree_of(repo, id)?);
        // Anybody may have pushed it, and merging reads all of it.
        check_tree(repo, theirs, &self.options.limits, self.url)?;
        let mut merged = merge(repo, before, ours, theirs)?;
        let old = commit.decode().map_err(&failed)?;
        if merged.has_unresolved_conflicts(TreatAsUnresolved::git()) {
            let files = list_conflicts(repo, &merged.conflicts)?;
            let commit = to_commit_sha(id);
            let found = self.resolutions.iter().find(|resolution| resolution.commit == commit);
            let resolved = found.filter(|found| files.iter().all(|file| found.files.contains_key(&file.path)));
            let Some(resolved) = resolved else {
                let message = old.message.to_string();
                return Ok(Replayed::Conflict(RebaseConflict { commit, message, files }));
            };
            let kinds = kinds_of(&merged.conflicts);
            write_resolution(repo, &mut merged.tree, &kinds, &resolved.files)?;
        }
        let tree = merged.tree.write().map_err(&failed)?.detach();
        if tree == ours {
            return Ok(Replayed::Done(top));
        }
        let author = old.author().map_err(|error| failed(gix::Error::from_error(error)))?;
        let author = author.to_owned().map_err(|error| failed(gix::Error::from_error(error)))?;
        let picked = gix::objs::Commit {
            tree,
            parents: vec![top].into(),
            author,
            committer: signature(self.request),
            encoding: old.encoding.map(ToOwned::to_owned),
            message: old.message.to_owned(),
            // A signature of the old commit does not fit the new one.
            extra_headers: Vec::new(),
        };
        write_signed(repo, picked, self.options).map(Replayed::Done)
    }
}

/// Returns whether a commit merges the base into the branch and changes nothing by hand: the forges' button to update a
/// branch makes such commits, and a rebase makes them superfluous.
fn is_plain_merge(
    repo: &gix::Repository,
    id: gix::ObjectId,
    is_known: &impl Fn(gix::ObjectId) -> Result<bool, GitError>,
) -> Result<bool, GitError> {
    let failed = internal("rebasing the branch");
    let commit = repo.find_commit(id).map_err(&failed)?;
    let parents: Vec<gix::ObjectId> = commit.parent_ids().map(gix::Id::detach).collect();
    let [own, merged] = parents[..] else { return Ok(false) };
    if !is_known(merged)? {
        return Ok(false);
    }
    let Some(base) = repo.merge_base(own, merged).map_err(&failed)? else { return Ok(false) };
    let mut outcome = merge(repo, tree_of(repo, base.detach())?, tree_of(repo, own)?, tree_of(repo, merged)?)?;
    if outcome.has_unresolved_conflicts(TreatAsUnresolved::git()) {
        return Ok(false);
    }
    Ok(outcome.tree.write().map_err(&failed)?.detach() == tree_of(repo, id)?)
}

/// Returns the files of the conflicts that are not resolved, sorted.
fn list_conflicts(
    repo: &gix::Repository,
    conflicts: &[gix::merge::tree::Conflict],
) -> Result<Vec<ConflictedFile>, GitError> {
    let mut files = BTreeMap::new();
    for conflict in conflicts.iter().filter(|conflict| conflict.is_unresolved(TreatAsUnresolved::git())) {
        let (ours, theirs) = conflict.changes_in_resolution();
        let path = RepoPath::parse(&ours.location().to_string()).map_err(|source| GitError::Internal {
            action: "listing the conflicts".to_owned(),
            source: Box::new(source),
        })?;
        // Where a file was moved or deleted on one side, its text alone decides nothing.
        let is_text = conflict.resolution.is_ok() && ours.location() == theirs.location();
        let blob = conflict.content_merge().filter(|_| is_text).map(|merged| merged.merged_blob_id);
        let parts = match blob {
            Some(blob) => {
                let object = repo.find_object(blob).map_err(internal("reading a conflict"))?;
                let text = std::str::from_utf8(&object.data).ok().filter(|text| text.len() <= MAX_CONFLICT_BYTES);
                text.and_then(split_conflicts).unwrap_or_default()
            }
            None => Vec::new(),
        };
        files.insert(path.clone(), ConflictedFile { path, parts });
    }
    Ok(files.into_values().collect())
}

/// Splits a text with conflict marks in git's `diff3` style. `None` if the marks cannot be told from the text.
fn split_conflicts(text: &str) -> Option<Vec<MergedPart>> {
    let [start, before, end] = [format!("<<<<<<< {BASE}"), format!("||||||| {BEFORE}"), format!(">>>>>>> {BRANCH}")];
    let mut parts = Vec::new();
    let mut merged = String::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if line.trim_end() != start {
            merged.push_str(line);
            continue;
        }
        if !merged.is_empty() {
            parts.push(MergedPart::Merged(std::mem::take(&mut merged)));
        }
        let mut sides = [String::new(), String::new(), String::new()];
        let mut side = 0;
        loop {
            let line = lines.next()?;
            let mark = line.trim_end();
            if mark == end && side == 2 {
                break;
            }
            if side == 0 && mark == before {
                side = 1;
            } else if mark == "=======" {
                // A second such line would be a part of the text.
                if side != 1 {
                    return None;
                }
                side = 2;
            } else {
                sides[side].push_str(line);
            }
        }
        let [base, before, branch] = sides;
        parts.push(MergedPart::Conflict { before, base, branch });
    }
    // Without a conflict that is marked, or with marks of another length, one side was taken as a whole.
    let has_conflict = parts.iter().any(|part| matches!(part, MergedPart::Conflict { .. }));
    let is_clean = |part: &MergedPart| match part {
        MergedPart::Merged(text) => ![BEFORE, BASE, BRANCH].iter().any(|label| text.contains(label)),
        MergedPart::Conflict { .. } => true,
    };
    if !merged.is_empty() {
        parts.push(MergedPart::Merged(merged));
    }
    (has_conflict && parts.iter().all(is_clean)).then_some(parts)
}

/// Returns for each file that conflicts what it is: as the commit made it, if it changed that, and else as it is in the base.
fn kinds_of(conflicts: &[gix::merge::tree::Conflict]) -> BTreeMap<String, EntryKind> {
    let kind = |conflict: &gix::merge::tree::Conflict| {
        let [before, base, branch] = conflict.entries().map(|entry| entry.map(|entry| entry.mode.kind()));
        let kind = if branch == before { base.or(branch) } else { branch.or(base) };
        (conflict.changes_in_resolution().0.location().to_string(), kind.unwrap_or(EntryKind::Blob))
    };
    conflicts.iter().map(kind).collect()
}

/// Puts the texts of a resolution in place of the texts with marks.
fn write_resolution(
    repo: &gix::Repository,
    tree: &mut gix::object::tree::Editor<'_>,
    kinds: &BTreeMap<String, EntryKind>,
    texts: &BTreeMap<RepoPath, String>,
) -> Result<(), GitError> {
    let failed = internal("writing a resolution");
    for (path, text) in texts {
        let Some(kind) = kinds.get(path.as_str()) else { continue };
        let blob = repo.write_blob(text).map_err(&failed)?.detach();
        tree.upsert(path.as_str(), *kind, blob).map_err(&failed)?;
    }
    Ok(())
}

/// Merges the changes from `base` to `theirs` into `ours`.
fn merge(
    repo: &gix::Repository,
    base: gix::ObjectId,
    ours: gix::ObjectId,
    theirs: gix::ObjectId,
) -> Result<gix::merge::tree::Outcome<'_>, GitError> {
    let failed = internal("merging");
    let options = repo.tree_merge_options().map_err(&failed)?;
    let labels = gix::merge::blob::builtin_driver::text::Labels {
        ancestor: Some(BEFORE.into()),
        current: Some(BASE.into()),
        other: Some(BRANCH.into()),
    };
    repo.merge_trees(base, ours, theirs, labels, options).map_err(&failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_conflicts_is_split_into_its_parts() {
        let text = format!(
            "a\n<<<<<<< {BASE}\nb = 1\n||||||| {BEFORE}\nb = 0\n=======\nb = 2\n>>>>>>> {BRANCH}\nc\n\
             <<<<<<< {BASE}\n||||||| {BEFORE}\n=======\nnew\n>>>>>>> {BRANCH}\n"
        );
        let conflict = |before: &str, base: &str, branch: &str| MergedPart::Conflict {
            before: before.into(),
            base: base.into(),
            branch: branch.into(),
        };
        let expected = [
            MergedPart::Merged("a\n".into()),
            conflict("b = 0\n", "b = 1\n", "b = 2\n"),
            MergedPart::Merged("c\n".into()),
            conflict("", "", "new\n"),
        ];
        assert_eq!(split_conflicts(&text).unwrap(), expected);
        let heading = format!("<<<<<<< {BASE}\n||||||| {BEFORE}\n=======\nTitle\n=======\n>>>>>>> {BRANCH}\n");
        assert_eq!(split_conflicts(&heading), None, "a heading looks like a mark");
        assert_eq!(split_conflicts(&format!("<<<<<<< {BASE}\nx\n")), None);
        assert_eq!(split_conflicts("binary=merge keeps one side\n"), None, "nothing is marked");
        let long = format!("<<<<<<<<<<<< {BASE}\na\n============\nb\n>>>>>>>>>>>> {BRANCH}\n");
        assert_eq!(split_conflicts(&format!("{text}{long}")), None, "marks may have another length");
    }
}
