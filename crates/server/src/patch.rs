//! Applying a unified diff, as `git diff` and `diff -u` write it, to a folder.

use std::path::Path;

use patchwright_domain::RepoPath;

/// A diff of several files.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    files: Vec<FilePatch>,
}

#[derive(Debug, Clone)]
struct FilePatch {
    before: Option<RepoPath>,
    after: Option<RepoPath>,
    /// The hunks with their header lines; empty for a file that is only renamed or empty.
    diff: String,
}

/// A patch cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it has no change of a file")]
    Empty,
    #[error("the file name `{name}` in it cannot be used: {reason}")]
    Path { name: String, reason: String },
    #[error("it changes the binary file {path}")]
    Binary { path: String },
    #[error("the change of {path} does not fit: {reason}")]
    DoesNotFit { path: String, reason: String },
}

impl Patch {
    /// Parses a diff.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, PatchError> {
        let text = std::str::from_utf8(bytes).map_err(|_| PatchError::NotText)?;
        let files: Vec<FilePatch> = sections(text)
            .into_iter()
            .map(|lines| FilePatch::parse(&lines))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect();
        if files.is_empty() { Err(PatchError::Empty) } else { Ok(Self { files }) }
    }

    /// Returns the changed files.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> =
            self.files.iter().flat_map(|file| [&file.before, &file.after]).flatten().map(RepoPath::to_string).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Applies the patch to the files of a folder in which no foreign code has run.
    pub(crate) fn apply(&self, folder: &Path) -> Result<(), PatchError> {
        for file in &self.files {
            let shown = file.after.as_ref().or(file.before.as_ref()).map(RepoPath::to_string).unwrap_or_default();
            let failed = |reason: String| PatchError::DoesNotFit { path: shown.clone(), reason };
            let place = |path: &RepoPath| folder.join(path.as_str());
            if [&file.before, &file.after].into_iter().flatten().any(|path| leads_through_link(folder, path)) {
                return Err(failed("it leads through a symbolic link".to_owned()));
            }
            let old = match &file.before {
                Some(path) if place(path).symlink_metadata().is_ok_and(|metadata| metadata.is_file()) => {
                    std::fs::read_to_string(place(path)).map_err(|error| failed(error.to_string()))?
                }
                Some(_) => return Err(failed("there is no such file".to_owned())),
                None => String::new(),
            };
            let new = if file.diff.is_empty() {
                old
            } else {
                let patch = diffy::Patch::from_str(&file.diff).map_err(|error| failed(error.to_string()))?;
                diffy::apply(&old, &patch).map_err(|error| failed(error.to_string()))?
            };
            if let Some(path) = file.before.as_ref().filter(|before| Some(*before) != file.after.as_ref()) {
                std::fs::remove_file(place(path)).map_err(|error| failed(error.to_string()))?;
            }
            if let Some(path) = &file.after {
                let target = place(path);
                target.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|error| failed(error.to_string()))?;
                std::fs::write(target, new).map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(())
    }
}

fn leads_through_link(folder: &Path, path: &RepoPath) -> bool {
    let places = Path::new(path.as_str()).ancestors().map(|part| folder.join(part));
    places.take_while(|place| place != folder).any(|place| place.is_symlink())
}

/// Splits a diff into its files.
fn sections(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let has_git_headers = lines.iter().any(|line| line.starts_with("diff --git "));
    let mut sections: Vec<Vec<&str>> = Vec::new();
    let mut left = 0;
    for (at, line) in lines.iter().enumerate() {
        // The lines of a hunk may look like a header.
        let in_hunk = left > 0;
        let is_first = !in_hunk
            && if has_git_headers {
                line.starts_with("diff --git ")
            } else {
                line.starts_with("--- ") && lines.get(at + 1).is_some_and(|next| next.starts_with("+++ "))
            };
        if is_first {
            sections.push(Vec::new());
        }
        if in_hunk {
            left -= match line.as_bytes().first() {
                Some(b' ' | b'\n') | None => 2,
                Some(b'+' | b'-') => 1,
                _ => 0,
            };
            left = left.max(0);
        } else if line.starts_with("@@ ") {
            left = hunk_lines(line);
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    sections
}

/// Returns the number of lines on both sides of a hunk.
fn hunk_lines(header: &str) -> i64 {
    let count =
        |range: &str| range.split_once(',').map_or(Some(1), |(_, count)| count.parse::<i64>().ok()).unwrap_or(0);
    header.split(' ').skip(1).take(2).map(count).sum()
}

impl FilePatch {
    fn parse(lines: &[&str]) -> Result<Option<Self>, PatchError> {
        let header: Vec<&str> =
            lines.iter().map(|line| line.trim_end()).take_while(|line| !line.starts_with("@@ ")).collect();
        let after = |start: &str| header.iter().find_map(|line| line.strip_prefix(start));
        let (mut old, mut new) = match (after("--- "), after("+++ ")) {
            (Some(old), Some(new)) => (path_of(old, "a/")?, path_of(new, "b/")?),
            _ => (None, None),
        };
        if let (Some(from), Some(to)) = (after("rename from "), after("rename to ")) {
            (old, new) = (path_of(from, "")?, path_of(to, "")?);
        }
        if old.is_none() && new.is_none() {
            let names = after("diff --git ").and_then(|names| names.strip_prefix("a/")?.split_once(" b/"));
            let Some((before, now)) = names else { return Ok(None) };
            if after("GIT binary patch").is_some() || after("Binary files").is_some() {
                return Err(PatchError::Binary { path: now.to_owned() });
            }
            old = if after("new file mode ").is_some() { None } else { path_of(before, "")? };
            new = if after("deleted file mode ").is_some() { None } else { path_of(now, "")? };
        }
        let hunks = lines.iter().position(|line| line.starts_with("@@ ")).map_or(&[][..], |at| &lines[at..]);
        // Behind the last hunk, a mail has its signature.
        let end = hunks.iter().position(|line| line.trim_end() == "--").unwrap_or(hunks.len());
        let diff = if hunks.is_empty() { String::new() } else { format!("--- a\n+++ b\n{}", hunks[..end].concat()) };
        Ok(Some(Self { before: old, after: new, diff }))
    }
}

/// Returns the path in a header line; `None` for `/dev/null`.
fn path_of(name: &str, prefix: &str) -> Result<Option<RepoPath>, PatchError> {
    // `diff -u` writes the time of the file behind a tab.
    let name = name.split('\t').next().unwrap_or(name).trim_matches('"');
    if name == "/dev/null" {
        return Ok(None);
    }
    let path = name.strip_prefix(prefix).unwrap_or(name);
    let parsed = RepoPath::parse(path);
    parsed.map(Some).map_err(|error| PatchError::Path { name: name.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(files: &[(&str, &str)], patch: &str) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        let patch = Patch::parse(patch.as_bytes()).map_err(|error| error.to_string())?;
        patch.apply(folder.path()).map_err(|error| error.to_string())?;
        let mut found: Vec<(String, String)> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        found.sort();
        Ok(found)
    }

    #[test]
    fn files_are_changed_added_deleted_and_renamed() {
        let patch = "From abc\nSubject: x\n\ndiff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+--- a/zwei\n\
            diff --git a/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+new\n\
            diff --git a/old.py b/old.py\ndeleted file mode 100644\n--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n\
            diff --git a/from.py b/to.py\nsimilarity index 100%\nrename from from.py\nrename to to.py\n-- \n2.39\n";
        let found = applied(&[("a.py", "one\ntwo\n"), ("old.py", "old\n"), ("from.py", "x\n")], patch).unwrap();
        let expected = [("a.py", "one\n--- a/zwei\n"), ("new.py", "new\n"), ("to.py", "x\n")];
        assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        let plain = "--- a.py\t2024-01-01\n+++ a.py\t2024-01-02\n@@ -1 +1 @@\n-one\n+two\n";
        assert_eq!(applied(&[("a.py", "one\n")], plain).unwrap(), [("a.py".to_owned(), "two\n".to_owned())]);
    }

    #[test]
    fn what_does_not_fit_or_leads_out_is_refused() {
        let out = "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n";
        assert!(applied(&[], out).unwrap_err().contains("cannot be used"));
        let other = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+b\n";
        assert!(applied(&[("a.py", "c\n")], other).unwrap_err().contains("does not fit"));
        assert!(applied(&[], other).unwrap_err().contains("no such file"));
        assert!(applied(&[], "hello\n").unwrap_err().contains("no change"));
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        let through = "--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n";
        let refused = Patch::parse(through.as_bytes()).unwrap().apply(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("symbolic link") && !outside.path().join("x").exists(), "{refused}");
        let binary = "diff --git a/a.png b/a.png\nindex 1..2\nBinary files a/a.png and b/a.png differ\n";
        assert!(applied(&[], binary).unwrap_err().contains("binary"));
    }
}
