//! Which test suite a tree has, and how it is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A test suite that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ecosystem {
    Cargo,
    Pytest,
    Unittest,
    Npm,
    Go,
}

impl Ecosystem {
    /// The name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Pytest => "pytest",
            Self::Unittest => "unittest",
            Self::Npm => "npm",
            Self::Go => "go",
        }
    }

    /// The suite of a tree: the first that fits, the stricter sign first. `has_pytest` says whether pytest can be run.
    pub(crate) fn detect(root: &Path, has_pytest: bool) -> Option<Self> {
        let there = |name: &str| root.join(name).is_file();
        if there("Cargo.toml") {
            return Some(Self::Cargo);
        }
        if there("go.mod") {
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

    /// What is run, after the program.
    pub(crate) fn args(self, report: &Path) -> Vec<String> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Self::Cargo => words("test --workspace --no-fail-fast"),
            Self::Pytest => {
                let mut args = words("-m pytest -q -p no:cacheprovider --continue-on-collection-errors");
                args.push(format!("--junitxml={}", report.display()));
                args
            }
            Self::Unittest => words("-m unittest discover -v"),
            Self::Npm => words("test"),
            Self::Go => words("test -json ./..."),
        }
    }

    /// The program.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Pytest | Self::Unittest => "python3",
            Self::Npm => "npm",
            Self::Go => "go",
        }
    }

    /// What the program needs in its environment, beside the common part. Build outputs go to the scratch folder, so
    /// that the run after the change finds what the run before it has built.
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

/// The test script of a package; npm's placeholder is none.
fn npm_test_script(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    let script = package.get("scripts")?.get("test")?.as_str()?;
    (!script.contains("no test specified")).then(|| script.to_owned())
}

/// Whether a package names others that must be installed first.
pub(crate) fn npm_needs_install(root: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(root.join("package.json")) else { return false };
    let Ok(package) = serde_json::from_str::<serde_json::Value>(&text) else { return false };
    let names = |field: &str| package.get(field).and_then(|value| value.as_object()).is_some_and(|map| !map.is_empty());
    (names("dependencies") || names("devDependencies")) && !root.join("node_modules").exists()
}

/// The tree itself and its `src`, so that tests import the code that was changed and not an installed copy.
fn python_path(root: &Path) -> String {
    let src = root.join("src");
    if src.is_dir() { format!("{}:{}", src.display(), root.display()) } else { root.display().to_string() }
}

/// How deep test files are looked for.
const DEPTH: usize = 4;

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
            if kind.is_dir() && depth < DEPTH && !name.starts_with('.') && name != "node_modules" {
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
            let place = folder.path().join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_suite_is_known_by_its_files() {
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
}
