//! Detecting the test suite of a tree, and the commands that run it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A kind of test suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ecosystem {
    Cargo,
    Pytest,
    Unittest,
    Npm,
    Go,
}

/// The folder of pytest's cache, beside its report.
pub(crate) const PYTEST_CACHE: &str = "pytest-cache";

impl Ecosystem {
    /// Returns the name for users.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Pytest => "pytest",
            Self::Unittest => "unittest",
            Self::Npm => "npm",
            Self::Go => "go",
        }
    }

    /// Returns the test suite of a tree, by its manifest, or else by its Python tests. `has_pytest` says whether pytest is
    /// installed.
    pub(crate) fn detect(root: &Path, has_pytest: bool) -> Option<Self> {
        let exists = |name: &str| root.join(name).is_file();
        if exists("Cargo.toml") {
            return Some(Self::Cargo);
        }
        if exists("go.mod") {
            return Some(Self::Go);
        }
        if npm_test_script(root).is_some() {
            return Some(Self::Npm);
        }
        if has_python_tests(root) {
            return Some(if has_pytest { Self::Pytest } else { Self::Unittest });
        }
        None
    }

    /// Returns the program's arguments. pytest writes its results to the file `report`.
    pub(crate) fn args(self, report: &Path) -> Vec<String> {
        let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Self::Cargo => split("test --workspace --no-fail-fast"),
            Self::Pytest => {
                let mut args = split("-m pytest -q --continue-on-collection-errors");
                // The cache's plugin stays: a repository's own options may need it, such as `addopts = --ff`.
                args.push(format!("--override-ini=cache_dir={}", report.with_file_name(PYTEST_CACHE).display()));
                args.push(format!("--junitxml={}", report.display()));
                args
            }
            Self::Unittest => split("-m unittest discover -v"),
            Self::Npm => split("test"),
            Self::Go => split("test -json ./..."),
        }
    }

    /// Returns the program that runs the tests.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Pytest | Self::Unittest => "python3",
            Self::Npm => "npm",
            Self::Go => "go",
        }
    }

    /// Returns the environment variables of the program. Build outputs are in the scratch folder, so that the run after a
    /// change reuses those of the run before it.
    pub(crate) fn env(self, root: &Path, scratch: &Path) -> BTreeMap<String, String> {
        let at = |name: &str| scratch.join(name).display().to_string();
        let pairs: Vec<(&str, String)> = match self {
            Self::Cargo => vec![
                ("CARGO_TARGET_DIR", at("target")),
                ("CARGO_TERM_COLOR", "never".into()),
                ("CARGO_INCREMENTAL", "0".into()),
            ],
            Self::Pytest | Self::Unittest => vec![
                ("PYTHONDONTWRITEBYTECODE", "1".into()),
                ("PYTHONHASHSEED", "0".into()),
                ("PYTHONPATH", python_path(root)),
            ],
            Self::Npm => vec![("npm_config_cache", at("npm")), ("CI", "true".into()), ("NO_COLOR", "1".into())],
            Self::Go => vec![("GOPATH", at("go")), ("GOCACHE", at("go-build")), ("GOFLAGS", "-mod=mod".into())],
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Returns the test script of a package; `None` for npm's placeholder.
fn npm_test_script(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    let script = package.get("scripts")?.get("test")?.as_str()?;
    (!script.contains("no test specified")).then(|| script.to_owned())
}

/// Returns whether a package has dependencies that are not installed.
pub(crate) fn npm_needs_install(root: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(root.join("package.json")) else { return false };
    let Ok(package) = serde_json::from_str::<serde_json::Value>(&text) else { return false };
    let has = |field: &str| package.get(field).and_then(|value| value.as_object()).is_some_and(|map| !map.is_empty());
    (has("dependencies") || has("devDependencies")) && !root.join("node_modules").exists()
}

/// Returns the tree and its `src` folder, so that tests import the changed code and not an installed copy.
fn python_path(root: &Path) -> String {
    let src = root.join("src");
    if src.is_dir() { format!("{}:{}", src.display(), root.display()) } else { root.display().to_string() }
}

/// The deepest folder that is searched for Python tests.
const MAX_SEARCH_DEPTH: usize = 4;

fn has_python_tests(root: &Path) -> bool {
    let mut folders: Vec<(PathBuf, usize)> = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else { continue };
            let python = name.ends_with(".py");
            if kind.is_file()
                && python
                && (name.starts_with("test") || name.ends_with("_test.py") || name == "tests.py")
            {
                return true;
            }
            if kind.is_dir() && depth < MAX_SEARCH_DEPTH && !name.starts_with('.') && name != "node_modules" {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_test_suite_is_detected_by_its_files() {
        let detect = |files: &[(&str, &str)]| Ecosystem::detect(tree(files).path(), true);
        assert_eq!(detect(&[("Cargo.toml", "")]), Some(Ecosystem::Cargo));
        assert_eq!(detect(&[("go.mod", "")]), Some(Ecosystem::Go));
        assert_eq!(detect(&[("package.json", r#"{"scripts":{"test":"node --test"}}"#)]), Some(Ecosystem::Npm));
        let placeholder = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
        assert_eq!(detect(&[("package.json", placeholder)]), None);
        assert_eq!(detect(&[("tests/test_a.py", "")]), Some(Ecosystem::Pytest));
        assert_eq!(Ecosystem::detect(tree(&[("tests/test_a.py", "")]).path(), false), Some(Ecosystem::Unittest));
        assert_eq!(detect(&[("README.md", ""), ("src/app.py", "")]), None);
    }

    #[test]
    fn fault_h_pytest_keeps_the_plugin_of_its_cache_and_has_the_cache_outside_of_the_tree() {
        let args = Ecosystem::Pytest.args(Path::new("/scratch/report.xml"));
        assert!(args.contains(&"--override-ini=cache_dir=/scratch/pytest-cache".to_owned()), "{args:?}");
        assert!(args.iter().all(|arg| !arg.contains("no:")), "{args:?}");
    }
}
