//! Writing the change of a job into a user's folder.

use std::path::Path;

use patchwright_core::source_tree::{SourceTree as _, TreeFile};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{FileContent, FixReport};
use patchwright_gitops_gix::Snapshot;
use patchwright_worker::edit::{decode, encode};
use patchwright_worker::verification::make_place;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The largest file of the base that is read.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A change that could not be made in a folder.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error(
        "{files} changed since the last commit, so nothing was written; commit or stash that first, or use -o FILE"
    )]
    Changed { files: String },
    #[error("{path} could not be written: {reason}")]
    NotWritten { path: RepoPath, reason: String },
}

/// The files of a change as the base has them.
struct Base {
    files: Vec<Option<Vec<u8>>>,
}

impl Base {
    fn read(folder: &Path, fix: &FixReport) -> Result<Self> {
        let tree = Snapshot::open(folder, fix.base.as_str())?;
        let all = tree.files()?;
        let find = |content: &FileContent| all.iter().find(|file| file.path == content.path.as_str()).cloned();
        let wanted: Vec<Option<TreeFile>> = fix.contents.iter().map(find).collect();
        let read = |file: Option<TreeFile>| tree.read(&[file?], MAX_FILE_BYTES).pop()?;
        Ok(Self { files: wanted.into_iter().map(read).collect() })
    }
}

/// Returns the whole diff of a change; the one in its report may be shortened.
pub(super) fn full_diff(folder: &Path, fix: &FixReport) -> Result<String> {
    let base = Base::read(folder, fix)?;
    let mut diff = String::new();
    for (content, before) in fix.contents.iter().zip(base.files) {
        let before = before.and_then(|bytes| Some(decode(&bytes).ok()?.text));
        diff.push_str(&patchwright_worker::unified_diff(&content.path, before.as_deref(), content.text.as_deref()));
    }
    Ok(diff)
}

/// Writes the files of a change into the folder, unless one of them is not as the base has it.
pub(super) fn apply(folder: &Path, fix: &FixReport) -> Result<()> {
    let base = Base::read(folder, fix)?;
    let is_changed = |(content, before): &(&FileContent, &Option<Vec<u8>>)| {
        std::fs::read(folder.join(content.path.as_str())).ok() != **before
    };
    let changed: Vec<String> =
        fix.contents.iter().zip(&base.files).filter(is_changed).map(|(content, _)| content.path.to_string()).collect();
    if !changed.is_empty() {
        return Err(ApplyError::Changed { files: changed.join(", ") }.into());
    }
    for content in &fix.contents {
        write(folder, content).map_err(|reason| ApplyError::NotWritten { path: content.path.clone(), reason })?;
    }
    Ok(())
}

fn write(folder: &Path, content: &FileContent) -> std::result::Result<(), String> {
    let written = match &content.text {
        Some(text) => {
            let bytes = encode(text, content.encoding.as_deref())?;
            // In place, so that the file keeps its mode.
            make_place(folder, &content.path).and_then(|place| std::fs::write(place, bytes))
        }
        None => std::fs::remove_file(folder.join(content.path.as_str())),
    };
    written.map_err(|error| error.to_string())
}
