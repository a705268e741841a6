//! Rust: `cargo test`, for the packages and targets that a change touches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{RunPlan, SuiteRun, variables, words};
use crate::report::ReportSource;

/// With more test targets, a source without tests of its own is tested by those that are near to it only.
const MAX_TEST_TARGETS: usize = 5;

/// How deep the packages of a workspace lie.
const MAX_MEMBER_DEPTH: usize = 5;

/// Separates the package and the target in a part.
const SEPARATOR: char = ' ';

/// Returns the folder of the workspace that a file belongs to: the last manifest above it with a `[workspace]`, else the
/// nearest one.
pub(super) fn workspace_of<'a>(root: &Path, folders: &[&'a Path]) -> Option<&'a Path> {
    let with_manifest = || folders.iter().filter(|folder| root.join(folder).join("Cargo.toml").is_file());
    let nearest = with_manifest().next()?;
    let is_workspace =
        |folder: &&&Path| manifest(&root.join(folder)).is_some_and(|manifest| manifest.contains_key("workspace"));
    let workspace = with_manifest().find(is_workspace).filter(|workspace| !excludes(root, workspace, nearest));
    Some(workspace.unwrap_or(nearest))
}

fn excludes(root: &Path, workspace: &Path, package: &Path) -> bool {
    let Some(manifest) = manifest(&root.join(workspace)) else { return false };
    let excluded =
        manifest.get("workspace").and_then(|workspace| workspace.get("exclude")).and_then(|list| list.as_array());
    let below = package.strip_prefix(workspace).unwrap_or(package);
    excluded.into_iter().flatten().filter_map(|path| path.as_str()).any(|path| below.starts_with(path))
}

fn manifest(folder: &Path) -> Option<toml::Table> {
    let text = crate::tree::read_text(folder, "Cargo.toml");
    folder.join("Cargo.toml").is_file().then(|| text.parse().ok())?
}

/// Returns the parts that a change touches: `PACKAGE TARGET`, where the target is an option of `cargo test`.
pub(super) fn find_near(root: &Path, changed: &[&str]) -> Vec<String> {
    let mut parts = BTreeSet::new();
    for (package, inside) in packages_of(root, changed) {
        parts.extend(
            package
                .targets_of(&inside)
                .into_iter()
                .map(|target| format!("{}{SEPARATOR}{target}", package.spec(root, changed))),
        );
    }
    parts.extend(find_near_tests(root, changed));
    parts.into_iter().collect()
}

/// Returns the features without which changed code would not be compiled: `PACKAGE/NAME`, or `NAME` for the package at the root.
/// Cargo knows the longer form only with its newer resolver.
pub(super) fn find_features(root: &Path, changed: &[&str]) -> Vec<String> {
    let packages = packages_of(root, changed).into_iter();
    let features = packages.flat_map(|(package, inside)| {
        let names = package.features_of(&inside).into_iter();
        let is_root = package.folder == root;
        let full = |name: String| if is_root { name } else { format!("{}/{name}", package.name) };
        names.map(full).collect::<Vec<_>>()
    });
    features.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the packages of files, and the files relative to them.
fn packages_of(root: &Path, changed: &[&str]) -> Vec<(Package, PathBuf)> {
    let mut packages = Vec::new();
    for path in changed {
        let folder = Path::new(path)
            .ancestors()
            .skip(1)
            .find(|folder| manifest(&root.join(folder)).is_some_and(|manifest| manifest.contains_key("package")));
        let Some(folder) = folder else { continue };
        let Some(package) = Package::read(root, folder) else { continue };
        let Ok(inside) = Path::new(path).strip_prefix(folder) else { continue };
        packages.push((package, inside.to_owned()));
    }
    packages
}

/// Returns the integration tests that are near to changed sources by their names.
fn find_near_tests(root: &Path, changed: &[&str]) -> Vec<String> {
    let is_test = |path: &str| path.ends_with(".rs") && path.split('/').rev().nth(1) == Some("tests");
    let part = |path: String| {
        let path = Path::new(&path);
        let folder = path.parent()?.parent()?;
        let package = Package::read(root, folder)?;
        let target = package.integration_test_of(path.strip_prefix(folder).ok()?)?;
        Some(format!("{}{SEPARATOR}{target}", package.spec(root, changed)))
    };
    super::near::find(root, "", changed, is_test).into_iter().filter_map(part).collect()
}

/// A package, as its manifest and its folders describe it.
struct Package {
    name: String,
    folder: PathBuf,
    manifest: toml::Table,
}

impl Package {
    /// Returns what names the package without doubt: a dependency may be an older version of it. A version that the change may
    /// have raised is left out, since the tests run before it too.
    fn spec(&self, root: &Path, changed: &[&str]) -> String {
        let manifest = self.folder.join("Cargo.toml");
        let is_changed = changed.iter().any(|path| root.join(path) == manifest);
        let version = self.manifest.get("package").and_then(|package| package.get("version"));
        match version.and_then(toml::Value::as_str).filter(|_| !is_changed) {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }

    fn read(root: &Path, folder: &Path) -> Option<Self> {
        let folder = root.join(folder);
        let manifest = manifest(&folder)?;
        let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        Some(Self { name, folder, manifest })
    }

    /// Returns the targets whose tests a file is part of or near to.
    fn targets_of(&self, file: &Path) -> Vec<String> {
        let first = file.iter().next().unwrap_or_default();
        if first == "tests" {
            return self.integration_test_of(file).into_iter().collect();
        }
        if file.extension().is_none_or(|extension| extension != "rs") || first == "benches" || first == "examples" {
            return Vec::new();
        }
        let mut targets = Vec::new();
        if self.has_library() {
            targets.push("--lib".to_owned());
        }
        if self.has_programs() {
            targets.push("--bins".to_owned());
        }
        if !self.has_inline_tests(file) && (1..=MAX_TEST_TARGETS).contains(&self.count_integration_tests()) {
            // Those that are near by name are not all that may show something.
            targets.push("--tests".to_owned());
        }
        targets
    }

    /// Returns the target of a file below `tests`: its own, that of its folder, or all of them for a module that they share.
    fn integration_test_of(&self, file: &Path) -> Option<String> {
        let mut parts = file.iter().skip(1);
        let first = Path::new(parts.next()?);
        let name = first.file_stem()?.to_str()?;
        let is_target = if parts.next().is_some() {
            self.folder.join("tests").join(first).join("main.rs").is_file()
        } else {
            first.extension().is_some_and(|extension| extension == "rs")
        };
        let listed = self.manifest.get("test").and_then(|tests| tests.as_array()).into_iter().flatten();
        let mut by_path = listed.filter(|test| {
            test.get("path").and_then(|path| path.as_str()).is_some_and(|path| {
                Path::new(path).parent().is_some_and(|folder| file.starts_with(folder) && folder != Path::new(""))
            })
        });
        if let Some(test) = by_path.next().filter(|_| self.has_no_automatic_tests() || !is_target) {
            return Some(format!("--test={}", test.get("name")?.as_str()?));
        }
        if is_target { Some(format!("--test={name}")) } else { Some("--tests".to_owned()) }
    }

    /// Returns the features of the package that a file names in conditions, or that the module above it is compiled with.
    fn features_of(&self, file: &Path) -> BTreeSet<String> {
        let Some(known) = self.manifest.get("features").and_then(toml::Value::as_table) else { return BTreeSet::new() };
        let read = |path: &Path| crate::tree::read_text(&self.folder, path);
        let own = read(file);
        let mut found: BTreeSet<String> = conditions(&own).map(str::to_owned).collect();
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = file.parent().unwrap_or(Path::new(""));
        let (module, parents) = match (stem, folder.file_name().and_then(|name| name.to_str())) {
            ("mod", Some(name)) => (name, folder.parent().unwrap_or(folder)),
            _ => (stem, folder),
        };
        for parent in ["lib.rs", "main.rs", "mod.rs"]
            .map(|name| parents.join(name))
            .into_iter()
            .chain([parents.with_extension("rs")])
        {
            let text = read(&parent);
            let lines: Vec<&str> = text.lines().collect();
            let declares =
                |line: &str| line.trim_start_matches("pub ").trim_end_matches(';').ends_with(&format!("mod {module}"));
            let at = lines.iter().position(|line| declares(line.trim()));
            let above = at.map_or(&[][..], |at| &lines[at.saturating_sub(3)..at]);
            found.extend(above.iter().flat_map(|line| conditions(line)).map(str::to_owned));
        }
        let required = self.manifest.get("test").and_then(toml::Value::as_array).into_iter().flatten();
        let required = required.filter(|test| test.get("name").and_then(toml::Value::as_str) == Some(stem));
        let required = required.filter_map(|test| test.get("required-features")?.as_array()).flatten();
        found.extend(required.filter_map(toml::Value::as_str).map(str::to_owned));
        let on = enabled_by_default(known);
        found.retain(|feature| known.contains_key(feature) && !on.contains(feature.as_str()));
        found
    }

    fn has_no_automatic_tests(&self) -> bool {
        self.manifest.get("package").and_then(|package| package.get("autotests")).and_then(toml::Value::as_bool)
            == Some(false)
    }

    /// Returns whether the tests of a source are in it.
    fn has_inline_tests(&self, file: &Path) -> bool {
        crate::tree::read_text(&self.folder, file).contains("#[test]")
    }

    fn count_integration_tests(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.join("tests")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs")).count()
    }

    fn has_library(&self) -> bool {
        self.manifest.contains_key("lib") || self.folder.join("src/lib.rs").is_file()
    }

    fn has_programs(&self) -> bool {
        self.manifest.contains_key("bin")
            || self.folder.join("src/main.rs").is_file()
            || self.folder.join("src/bin").is_dir()
    }
}

/// Returns the features that are on without being asked for: the default ones, and those that they enable.
fn enabled_by_default(features: &toml::Table) -> BTreeSet<&str> {
    let mut on = BTreeSet::new();
    let mut open = vec!["default"];
    while let Some(name) = open.pop() {
        if on.insert(name) {
            let enabled = features.get(name).and_then(toml::Value::as_array).into_iter().flatten();
            open.extend(enabled.filter_map(toml::Value::as_str));
        }
    }
    on
}

/// Returns the names in `feature = "name"`.
fn conditions(text: &str) -> impl Iterator<Item = &str> {
    let behind = text.match_indices("feature").map(|(at, word)| text[at + word.len()..].trim_start());
    behind.filter_map(|text| text.strip_prefix('=')?.trim_start().strip_prefix('"')?.split('"').next())
}

pub(super) fn plan(run: &SuiteRun<'_>) -> RunPlan {
    let mut args = words("test --no-fail-fast");
    let mut selected = selected_targets(run);
    if let Some(names) = run.tests() {
        selected.extend(packages_of_tests(&run.host_folder(), names));
        selected.extend(names.iter().filter_map(|name| target_of(name)));
    }
    if selected.is_empty() {
        args.push("--workspace".to_owned());
    }
    args.extend(selected);
    if !run.suite.features.is_empty() {
        args.push(format!("--features={}", run.suite.features.join(",")));
    }
    if let Some(names) = run.tests() {
        // A name of a test is found in every target; all of them are short.
        args.push("--".to_owned());
        args.extend(names.iter().filter_map(|name| Some(name.split_once("::")?.1.to_owned())));
    }
    let mut env = variables([
        ("CARGO_TARGET_DIR", &run.report_file("target")),
        ("CARGO_TERM_COLOR", "never"),
        ("CARGO_INCREMENTAL", "0"),
        // Line numbers are what a backtrace needs, and the rest is most of what a build writes.
        ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only"),
        ("CARGO_PROFILE_TEST_DEBUG", "line-tables-only"),
    ]);
    if run.is_offline {
        env.insert("CARGO_NET_OFFLINE".to_owned(), "true".to_owned());
    }
    RunPlan::new("cargo", args, env, ReportSource::Cargo)
}

/// Returns the options for the packages and targets of the selected parts.
fn selected_targets(run: &SuiteRun<'_>) -> BTreeSet<String> {
    let mut packages = BTreeSet::new();
    let mut targets = BTreeSet::new();
    for part in run.parts().unwrap_or_default() {
        let Some((package, target)) = part.split_once(SEPARATOR) else { continue };
        packages.insert(format!("--package={package}"));
        targets.insert(target.to_owned());
    }
    packages.into_iter().chain(targets).collect()
}

/// Returns the options for the packages of tests: other packages need not be compiled for them.
fn packages_of_tests(workspace: &Path, names: &[String]) -> Vec<String> {
    let packages = members(workspace);
    let mut options = BTreeSet::new();
    for name in names {
        let Some((target, file)) = place_of(name) else { return vec!["--workspace".to_owned()] };
        let is_library = |package: &&Package| package.name.replace('-', "_") == target.replace('-', "_");
        let has_file = |package: &&Package| file != "doc" && package.folder.join(file).is_file();
        let found: Vec<&Package> = packages
            .iter()
            .filter(
                |package| {
                    if file == "doc" || file.starts_with("src/") { is_library(package) } else { has_file(package) }
                },
            )
            .collect();
        if found.is_empty() {
            return vec!["--workspace".to_owned()];
        }
        options.extend(found.iter().map(|package| format!("--package={}", package.spec(workspace, &[]))));
    }
    options.into_iter().collect()
}

/// Returns the packages in a workspace.
fn members(workspace: &Path) -> Vec<Package> {
    let walk = ignore::WalkBuilder::new(workspace)
        .require_git(false)
        .git_global(false)
        .follow_links(false)
        .max_depth(Some(MAX_MEMBER_DEPTH))
        .filter_entry(|entry| entry.file_name() != "target")
        .build();
    let manifests = walk.flatten().filter(|entry| entry.file_name() == "Cargo.toml");
    manifests
        .filter_map(|entry| Package::read(workspace, entry.path().parent()?.strip_prefix(workspace).ok()?))
        .collect()
}

/// Returns the target and the file of a test: `it tests/it.rs::name`.
fn place_of(name: &str) -> Option<(&str, &str)> {
    let (target, file) = name.split_once("::")?.0.split_once(' ')?;
    Some((target, file.split(' ').next()?))
}

/// Returns the option for the target of a test, whose name begins with its crate and file: `it tests/it.rs::name`.
fn target_of(name: &str) -> Option<String> {
    let (target, file) = place_of(name)?;
    Some(match file {
        "doc" => "--doc".to_owned(),
        _ if file.ends_with("lib.rs") => "--lib".to_owned(),
        _ if file.starts_with("src/") => "--bins".to_owned(),
        _ => format!("--test={target}"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree_of;
    use super::*;

    #[test]
    fn fault_h_code_behind_a_feature_is_tested_with_it() {
        let tree = tree_of(&[
            ("Cargo.toml", "[package]\nname = \"a\"\n[features]\nsync = []\nextra = []\n"),
            ("src/lib.rs", "mod plain;\n#[cfg(feature = \"sync\")]\npub mod sync;\n"),
            ("src/sync.rs", "// feature = \"unknown\""),
            ("src/plain.rs", "#[cfg(any(feature=\"extra\", test))]\nfn f() {}\n"),
        ]);
        let features = |path: &str| find_features(tree.path(), &[path]);
        assert_eq!(features("src/sync.rs"), ["sync"]);
        assert_eq!(features("src/plain.rs"), ["extra"]);
        assert_eq!(find_near(tree.path(), &["src/sync.rs"]), ["a --lib"]);
    }

    #[test]
    fn a_package_is_named_with_its_version() {
        let tree = tree_of(&[
            ("Cargo.toml", "[package]\nname = \"a\"\nversion = \"0.2.0\"\n[dev-dependencies]\nb = \"1\"\n"),
            ("src/lib.rs", ""),
        ]);
        assert_eq!(find_near(tree.path(), &["src/lib.rs"]), ["a@0.2.0 --lib"]);
        assert_eq!(
            find_near(tree.path(), &["src/lib.rs", "Cargo.toml"])[0],
            "a --lib",
            "the version may be another one before it"
        );
    }

    #[test]
    fn a_feature_that_is_on_anyway_is_not_asked_for() {
        let tree = tree_of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"b\"]\n"),
            (
                "b/Cargo.toml",
                "[package]\nname = \"b\"\n[features]\ndefault = [\"std\"]\nstd = [\"alloc\", \"other/std\"]\nalloc = []\nextra = []\n",
            ),
            ("b/src/lib.rs", "#[cfg(feature = \"alloc\")]\nfn f() {}\n#[cfg(feature = \"extra\")]\nfn g() {}\n"),
        ]);
        assert_eq!(find_features(tree.path(), &["b/src/lib.rs"]), ["b/extra"]);
    }

    #[test]
    fn tests_that_run_again_compile_their_packages_and_no_others() {
        let tree = tree_of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n"),
            ("crates/glob-set/Cargo.toml", "[package]\nname = \"glob-set\"\nversion = \"0.1.0\"\n"),
            ("crates/glob-set/src/lib.rs", ""),
            ("crates/other/Cargo.toml", "[package]\nname = \"other\"\n"),
            ("crates/other/tests/it.rs", ""),
        ]);
        let packages = |names: &[&str]| {
            packages_of_tests(tree.path(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(packages(&["glob_set src/lib.rs::tests::works"]), ["--package=glob-set@0.1.0"]);
        assert_eq!(packages(&["it tests/it.rs::works"]), ["--package=other"]);
        assert_eq!(packages(&["unknown src/lib.rs::works"]), ["--workspace"]);
    }

    #[test]
    fn a_module_of_the_only_test_target_is_no_target() {
        let manifest = "[package]\nname = \"rg\"\nautotests = false\n[[test]]\nname = \"integration\"\npath = \"tests/tests.rs\"\n";
        let tree = tree_of(&[
            ("Cargo.toml", manifest),
            ("src/regression.rs", "#[test]\nfn x() {}"),
            ("tests/tests.rs", "mod regression;\nmod util;"),
            ("tests/regression.rs", ""),
            ("tests/util.rs", ""),
        ]);
        let near = |path: &str| find_near(tree.path(), &[path]);
        assert_eq!(near("tests/regression.rs"), ["rg --test=integration"]);
        assert_eq!(near("src/regression.rs"), ["rg --test=integration"]);
    }

    #[test]
    fn a_file_leads_to_the_targets_whose_tests_it_is_part_of() {
        let tree = tree_of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/own\"]\n"),
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            ("crates/a/src/lib.rs", ""),
            ("crates/a/tests/it/main.rs", ""),
            ("crates/a/tests/split.rs", ""),
            ("crates/a/tests/one.rs", ""),
            ("crates/a/src/tested.rs", "#[test]\nfn works() {}\n"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\n[[bin]]\nname = \"b\"\npath = \"b.rs\"\n"),
            ("crates/own/Cargo.toml", "[package]\nname = \"own\"\n"),
        ]);
        let near = |path: &str| find_near(tree.path(), &[path]);
        assert_eq!(near("crates/a/src/x.rs"), ["a --lib", "a --tests"]);
        assert_eq!(near("crates/a/src/split.rs"), ["a --lib", "a --test=split", "a --tests"]);
        assert_eq!(near("crates/a/src/tested.rs"), ["a --lib"], "its tests are in it");
        assert_eq!(near("crates/a/tests/one.rs"), ["a --test=one"]);
        assert_eq!(near("crates/a/tests/it/two.rs"), ["a --test=it"]);
        assert_eq!(near("crates/a/tests/common/mod.rs"), ["a --tests"]);
        assert_eq!(near("crates/b/b.rs"), ["b --bins"]);
        assert!(near("crates/a/README.md").is_empty());
        let workspace = |path: &str| {
            let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
            workspace_of(tree.path(), &folders).unwrap().display().to_string()
        };
        assert_eq!(
            (workspace("crates/a/src/x.rs"), workspace("crates/own/src/x.rs")),
            (String::new(), "crates/own".to_owned())
        );
    }
}
