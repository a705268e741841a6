//! Scripts that run beside a tree, in the environment of its suite, such as one that shows a fault.

use std::path::Path;

use patchwright_core::sandbox::{SandboxError, Suite, SuiteSettings};
use patchwright_domain::RepoPath;

use super::make_place;

/// The folder for what scripts build: nothing of it gets into the runs of tests.
pub(crate) const SCRIPT_SCRATCH: &str = "script-scratch";
/// The name of a script in the tree, without its ending.
const SCRIPT: &str = ".patchwright_run";

/// How a script is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    ending: &'static str,
    command: &'static str,
}

impl Interpreter {
    /// Returns what runs a language; nothing if nothing of the sandbox's does.
    pub(crate) fn of(language: &str) -> Option<Self> {
        let (ending, command) = match language.trim() {
            "" | "python" | "python3" | "py" => ("py", "python3"),
            "javascript" | "js" | "node" => ("cjs", "node"),
            "mjs" => ("mjs", "node"),
            "sh" | "bash" | "shell" | "console" => ("sh", "sh"),
            "ruby" | "rb" => ("rb", "ruby"),
            "php" => ("php", "php"),
            _ => return None,
        };
        Some(Self { ending, command })
    }

    /// Writes a script into a tree, and returns the suite whose tests are this script.
    ///
    /// # Errors
    /// [`SandboxError::Internal`].
    pub(crate) fn prepare(&self, tree: &Path, suite: Suite, script: &str) -> Result<Suite, SandboxError> {
        let name = format!("{SCRIPT}.{}", self.ending);
        write_own(tree, &suite.folder, &name, script.as_bytes())?;
        let mut settings = suite.settings.clone().unwrap_or_default();
        // As the tests are run: from the folder of the suite, with the sources beside it.
        settings.env.entry("PYTHONPATH".to_owned()).or_insert_with(|| "src:.".to_owned());
        let settings = SuiteSettings { test: Some(format!("{} ./{name}", self.command)), report: None, ..settings };
        Ok(Suite { settings: Some(settings), ..suite })
    }
}

/// Writes a file of ours into a tree. What the repository has at its place, such as a link that leads out, gives way.
///
/// # Errors
/// [`SandboxError::Internal`].
pub(crate) fn write_own(tree: &Path, folder: &str, name: &str, bytes: &[u8]) -> Result<(), SandboxError> {
    let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let path = RepoPath::parse(&path).map_err(SandboxError::internal)?;
    let written = make_place(tree, &path).and_then(|place| std::fs::write(place, bytes));
    written.map_err(SandboxError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ours_is_not_written_through_a_link_of_the_repository() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = outside.path().join("crontab");
        std::fs::write(&target, "as it was").unwrap();
        std::os::unix::fs::symlink(&target, tree.path().join(".patchwright_run.py")).unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("app")).unwrap();
        write_own(tree.path(), "", ".patchwright_run.py", b"print(1)").unwrap();
        write_own(tree.path(), "app", "crontab", b"print(2)").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "as it was");
        assert_eq!(std::fs::read(tree.path().join(".patchwright_run.py")).unwrap(), b"print(1)");
        assert_eq!(std::fs::read(tree.path().join("app/crontab")).unwrap(), b"print(2)");
    }
}
