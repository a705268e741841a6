//! Checking the tree of a commit against the limits before anything of it is written or decoded elsewhere.

use std::collections::HashMap;

use gix::bstr::BString;
use gix::objs::tree::EntryKind;
use patchwright_core::git::GitError;

use crate::error::internal;
use crate::objects::tree_of;
use crate::options::Limits;

/// The deepest folder that is read. A few objects can describe an endless tree.
pub(crate) const MAX_DEPTH: usize = 200;
/// The largest list of one folder, in bytes: half a million entries.
pub(crate) const MAX_FOLDER_BYTES: u64 = 32 << 20;

/// The longest name, path and target of a link that Linux takes, in bytes.
const MAX_NAME_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 4095;

/// Checks number, size, names and depth of the files. Missing objects are an error as well, so that a damaged store is noticed.
pub(crate) fn check_tree(
    repo: &gix::Repository,
    tree: gix::ObjectId,
    limits: &Limits,
    url: &str,
) -> Result<(), GitError> {
    let mut walk = Walk { repo, limits, url, files: 0, bytes: 0, sizes: HashMap::new() };
    walk.folder(tree, &BString::default(), 0)
}

/// Does the same for the tree of a commit.
pub(crate) fn check_commit(
    repo: &gix::Repository,
    commit: gix::ObjectId,
    limits: &Limits,
    url: &str,
) -> Result<(), GitError> {
    check_tree(repo, tree_of(repo, commit)?, limits, url)
}

struct Walk<'a> {
    repo: &'a gix::Repository,
    limits: &'a Limits,
    url: &'a str,
    files: u64,
    bytes: u64,
    /// Files of the same content are read once.
    sizes: HashMap<gix::ObjectId, u64>,
}

impl Walk<'_> {
    fn folder(&mut self, tree: gix::ObjectId, path: &BString, depth: usize) -> Result<(), GitError> {
        let failed = internal("reading the tree");
        if depth > MAX_DEPTH {
            return Err(self.too_large(format!("its folders are nested more than {MAX_DEPTH} deep")));
        }
        if self.repo.find_header(tree).map_err(&failed)?.size() > MAX_FOLDER_BYTES {
            return Err(self.too_large(format!("the list of one folder has more than {} MiB", MAX_FOLDER_BYTES >> 20)));
        }
        let object = self.repo.find_tree(tree).map_err(&failed)?;
        for entry in object.iter() {
            let entry = entry.map_err(|_| self.refused(path, "it is no list of files"))?;
            let id = entry.object_id();
            // Empty folders of a hostile tree count as well.
            self.files += 1;
            if self.files > self.limits.files {
                return Err(self.too_large(format!("a commit has more than {} files (MAX_FILES)", self.limits.files)));
            }
            let mut inner = path.clone();
            inner.extend_from_slice(entry.filename());
            if entry.filename().len() > MAX_NAME_BYTES || inner.len() > MAX_PATH_BYTES {
                return Err(self.refused(&inner, "its name is too long for a disk"));
            }
            match entry.mode().kind() {
                EntryKind::Tree => {
                    inner.push(b'/');
                    self.folder(id, &inner, depth + 1)?;
                }
                // The commit of a submodule is not here.
                EntryKind::Commit => {}
                EntryKind::Blob | EntryKind::BlobExecutable => drop(self.file(id)?),
                EntryKind::Link => {
                    let length = self.file(id)?;
                    if length == 0 || length > MAX_PATH_BYTES as u64 {
                        return Err(self.refused(&inner, "it is a link whose target is no path"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts a file and returns its size.
    fn file(&mut self, id: gix::ObjectId) -> Result<u64, GitError> {
        let size = match self.sizes.get(&id) {
            Some(size) => *size,
            None => self.repo.find_header(id).map_err(internal("reading the tree"))?.size(),
        };
        self.sizes.insert(id, size);
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.repository_bytes {
            let most = self.limits.repository_bytes >> 20;
            return Err(self.too_large(format!("the files of a commit have more than {most} MiB (MAX_REPOSITORY_MB)")));
        }
        Ok(size)
    }

    fn refused(&self, path: &BString, why: &str) -> GitError {
        const MAX_SHOWN_CHARS: usize = 120;
        let path: String = path.to_string().chars().take(MAX_SHOWN_CHARS).collect();
        GitError::ContentRefused { url: self.url.to_owned(), reason: format!("`{path}`: {why}") }
    }

    fn too_large(&self, limit: String) -> GitError {
        GitError::TooLarge { url: self.url.to_owned(), limit }
    }
}
