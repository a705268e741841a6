//! The texts of a change, for the report of the stage `fix`.

use std::collections::HashMap;
use std::sync::Arc;

use patchwright_core::git::{GitError, Workspace};
use patchwright_core::outgoing_text::shorten;
use patchwright_core::source_tree::{SourceTree, TreeFile};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{ChangedFile, FileContent};

use crate::edit::{Decoded, decode};

/// The longest diff in a report, in characters.
const MAX_DIFF_CHARS: usize = 200_000;
/// The largest file whose text is kept in the report, in bytes, and the most files.
const MAX_KEPT_BYTES: u64 = 256 * 1024;
const MAX_KEPT_FILES: usize = 100;

/// Returns the new texts of changed files, and the difference from `base`, shortened for a report. Files that are too large or not UTF-8 are left out:
/// the commit has them.
///
/// # Errors
/// [`GitError`] when a file of the working copy cannot be read.
pub async fn read_change(
    base: Arc<dyn SourceTree>,
    workspace: &dyn Workspace,
    changed: &[ChangedFile],
) -> Result<(Vec<FileContent>, String), GitError> {
    let paths: Vec<String> = changed.iter().take(MAX_KEPT_FILES).map(|change| change.file.to_string()).collect();
    let old = tokio::task::spawn_blocking(move || old_texts(base.as_ref(), &paths)).await.unwrap_or_default();
    let (mut contents, mut diff) = (Vec::new(), String::new());
    for change in changed.iter().take(MAX_KEPT_FILES) {
        let path = &change.file;
        let metadata = tokio::fs::symlink_metadata(workspace.root().join(path.as_str())).await;
        if metadata.is_ok_and(|metadata| metadata.len() > MAX_KEPT_BYTES) {
            continue;
        }
        let bytes = workspace.read(path).await?;
        let is_removed = bytes.is_none();
        let decoded = bytes.and_then(|bytes| decode(&bytes).ok());
        if decoded.is_none() && !is_removed {
            continue;
        }
        let (text, encoding) = decoded.map(|Decoded { text, encoding }| (text, encoding)).unzip();
        let before = old.get(path.as_str()).map(String::as_str);
        diff.push_str(&unified_diff(path, before, text.as_deref()));
        contents.push(FileContent { path: path.clone(), text, encoding: encoding.flatten() });
    }
    Ok((contents, shorten_diff(&diff)))
}

/// Shortens a diff for a report.
pub(crate) fn shorten_diff(diff: &str) -> String {
    shorten(diff, MAX_DIFF_CHARS)
}

fn old_texts(base: &dyn SourceTree, paths: &[String]) -> HashMap<String, String> {
    let Ok(files) = base.files() else { return HashMap::new() };
    let files: Vec<TreeFile> = files.into_iter().filter(|file| paths.contains(&file.path)).collect();
    let contents = base.read(&files, MAX_KEPT_BYTES);
    let text = |(file, bytes): (TreeFile, Option<Vec<u8>>)| Some((file.path, decode(&bytes?).ok()?.text));
    files.into_iter().zip(contents).filter_map(text).collect()
}

/// Renders what differs between two texts of a file; `None` stands for no file.
pub fn unified_diff(path: &RepoPath, before: Option<&str>, after: Option<&str>) -> String {
    let name =
        |side: &str, text: Option<&str>| text.map_or_else(|| "/dev/null".to_owned(), |_| format!("{side}/{path}"));
    similar::TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default())
        .unified_diff()
        .context_radius(3)
        .header(&name("a", before), &name("b", after))
        .to_string()
}
