//! Writing the change of a job into a user's folder.

use std::path::Path;

use patchwright_core::source_tree::{SourceTree as _, TreeFile};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{FileContent, FixReport};
use patchwright_gitops_gix::Snapshot;
use patchwright_worker::edit::{decode, encode};

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
    #[error("{path} could not be written: {reason}; written before it: {written}")]
    NotWritten { path: RepoPath, reason: String, written: String },
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
    let is_changed =
        |(content, before): &(&FileContent, &Option<Vec<u8>>)| !is_as_before(folder, &content.path, before.as_deref());
    let changed: Vec<String> =
        fix.contents.iter().zip(&base.files).filter(is_changed).map(|(content, _)| content.path.to_string()).collect();
    if !changed.is_empty() {
        return Err(ApplyError::Changed { files: changed.join(", ") }.into());
    }
    let mut written = Vec::new();
    for content in &fix.contents {
        if let Err(reason) = write(folder, content) {
            let written = if written.is_empty() { "nothing".to_owned() } else { written.join(", ") };
            return Err(ApplyError::NotWritten { path: content.path.clone(), reason, written }.into());
        }
        written.push(content.path.to_string());
    }
    Ok(())
}

/// Returns whether a file is as the base has it. What else stands at its place or in its way is the user's: a folder, a link, a file
/// in place of a folder.
fn is_as_before(folder: &Path, path: &RepoPath, before: Option<&[u8]>) -> bool {
    let mut place = folder.to_owned();
    let mut parts = path.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        let is_file = parts.peek().is_none();
        match place.symlink_metadata() {
            Ok(metadata) if is_file => {
                return metadata.is_file() && before.is_some() && std::fs::read(&place).ok().as_deref() == before;
            }
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return false,
            Err(error) => return error.kind() == std::io::ErrorKind::NotFound && before.is_none(),
        }
    }
    false
}

fn write(folder: &Path, content: &FileContent) -> std::result::Result<(), String> {
    let place = folder.join(content.path.as_str());
    let written = match &content.text {
        Some(text) => {
            let bytes = encode(text, content.encoding.as_deref())?;
            // Over the file, so that it keeps its mode.
            place.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&place, bytes))
        }
        None => std::fs::remove_file(place),
    };
    written.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_of_a_file_is_the_users() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("fixtures")).unwrap();
        std::fs::write(root.join("notes"), "mine").unwrap();
        std::fs::write(root.join("a.py"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("a.py"), root.join("link.py")).unwrap();
        let is_as_before = |path: &str, before: Option<&str>| {
            super::is_as_before(root, &RepoPath::parse(path).unwrap(), before.map(str::as_bytes))
        };
        for (path, before) in [("fixtures", None), ("notes/a.py", None), ("a.py", None), ("a.py", Some("y"))] {
            assert!(!is_as_before(path, before), "{path}");
        }
        assert!(!is_as_before("link.py", Some("x")) && !is_as_before("gone.py", Some("x")));
        assert!(is_as_before("a.py", Some("x")) && is_as_before("new/b.py", None));
    }
}
