//! Finding the suites that own the changed files: by the manifest above each of them, and by its language.

use std::path::{Path, PathBuf};

use patchwright_core::sandbox::{Granted, SandboxError, Suite, SuiteQuery, SuiteSettings};

use super::node::has_tests as has_node_tests;
use super::{Ecosystem, cargo, devcontainer, dotnet, go, jvm, make, near, python, ruby, settings};

/// Returns the suites that judge a change.
///
/// # Errors
/// [`SandboxError::NoTests`], [`SandboxError::InvalidSettings`].
pub(crate) fn find(query: &SuiteQuery) -> Result<Vec<Suite>, SandboxError> {
    if let Some(command) = &query.test_command {
        let settings = SuiteSettings { test: Some(command.clone()), ..SuiteSettings::default() };
        let ecosystem = Ecosystem::Command.name().to_owned();
        let granted = default_grants(query);
        return Ok(vec![Suite { ecosystem, settings: Some(settings), granted, ..Suite::default() }]);
    }
    let changed: Vec<&str> = query.changed.iter().map(patchwright_domain::RepoPath::as_str).collect();
    let named = match &query.settings {
        Some(text) => settings::parse(text, &query.grants)?,
        None => Vec::new(),
    };
    let owns = |suite: &Suite| {
        changed.is_empty()
            || changed.iter().any(|path| suite.folder.is_empty() || Path::new(path).starts_with(&suite.folder))
    };
    let mut suites: Vec<Suite> = named.into_iter().filter(owns).collect();
    if suites.is_empty() {
        suites = detect(&query.root, &changed);
        for suite in &mut suites {
            suite.granted = default_grants(query);
        }
    }
    for suite in &mut suites {
        suite.granted.repository.clone_from(&query.repository);
        suite.granted.image = suite.granted.image.take().or_else(|| granted_image(query));
        let needs_grant = Ecosystem::of(suite).is_some_and(crate::environment::fetching_runs_code);
        if needs_grant && !suite.granted.packages_with_code {
            suite.granted.missing.push(format!("fetching its packages for {}, which runs code", suite.ecosystem));
        }
        suite.near = find_near(&query.root, suite, &changed);
        if Ecosystem::of(suite) == Some(Ecosystem::Cargo) {
            suite.features = cargo::find_features(&query.root, &changed);
        }
    }
    if suites.is_empty() { Err(SandboxError::NoTests) } else { Ok(suites) }
}

/// Returns what a suite gets that asks for nothing itself.
fn default_grants(query: &SuiteQuery) -> Granted {
    let (image, packages_with_code) = (granted_image(query), query.grants.packages_with_code);
    Granted { image, packages_with_code, repository: query.repository.clone(), ..Granted::default() }
}

/// Returns the image of the repository's `devcontainer.json`, if it is granted.
fn granted_image(query: &SuiteQuery) -> Option<String> {
    devcontainer::image(&query.root).filter(|image| query.grants.images.contains(image))
}

fn detect(root: &Path, changed: &[&str]) -> Vec<Suite> {
    let mut found: Vec<(Ecosystem, PathBuf)> = Vec::new();
    for path in changed {
        found.extend(languages(path).iter().find_map(|ecosystem| owner(root, path, *ecosystem)));
    }
    // Other files, such as data and templates, belong to the nearest suite of any kind.
    if found.is_empty() {
        for path in changed {
            let folders = Path::new(path).ancestors().skip(1);
            found.extend(
                folders.map(|folder| suites_at(root, folder)).find(|suites| !suites.is_empty()).into_iter().flatten(),
            );
        }
    }
    if changed.is_empty() {
        found = suites_at(root, Path::new(""));
        if found.is_empty() {
            found = folders_of(root).iter().flat_map(|folder| suites_at(root, folder)).collect();
        }
    }
    let mut known = std::collections::HashSet::new();
    found.retain(|suite| known.insert(suite.clone()));
    let suite = |(ecosystem, folder): (Ecosystem, PathBuf)| Suite {
        ecosystem: ecosystem.name().to_owned(),
        folder: folder.display().to_string(),
        ..Suite::default()
    };
    found.into_iter().map(suite).collect()
}

fn folders_of(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| !name.to_string_lossy().starts_with('.'))
        .collect();
    folders.sort();
    folders
}

/// The kinds of suites that test a file, most specific first.
fn languages(path: &str) -> &'static [Ecosystem] {
    use Ecosystem::{Cargo, Ctest, Dotnet, Go, Gradle, Make, Maven, Minitest, Node, Phpunit, Python, Rspec};
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        "Cargo.toml" | "Cargo.lock" => return &[Cargo],
        "go.mod" | "go.sum" | "go.work" => return &[Go],
        "package.json" | "package-lock.json" | "pnpm-lock.yaml" | "yarn.lock" => return &[Node],
        "pyproject.toml" | "setup.py" | "setup.cfg" | "tox.ini" | "pytest.ini" => return &[Python],
        "pom.xml" => return &[Maven],
        "composer.json" => return &[Phpunit],
        "Gemfile" | "Rakefile" => return &[Rspec, Minitest],
        "CMakeLists.txt" => return &[Ctest],
        "Makefile" => return &[Make],
        _ => {}
    }
    match name.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default() {
        "rs" => &[Cargo],
        "go" => &[Go],
        "py" | "pyi" | "pyx" | "pxd" => &[Python],
        "js" | "cjs" | "mjs" | "jsx" | "ts" | "cts" | "mts" | "tsx" | "vue" | "svelte" => &[Node],
        "java" | "kt" | "kts" | "groovy" | "scala" => &[Maven, Gradle],
        "c" | "h" | "cc" | "cpp" | "cxx" | "hpp" | "hh" | "cmake" => &[Ctest, Make],
        "rb" | "rake" | "gemspec" => &[Rspec, Minitest],
        "php" | "phpt" => &[Phpunit],
        "cs" | "fs" | "vb" | "csproj" | "fsproj" | "vbproj" | "sln" | "slnx" | "razor" => &[Dotnet],
        "mk" => &[Make],
        _ => &[],
    }
}

/// Returns the suite of a kind that owns a file.
fn owner(root: &Path, path: &str, ecosystem: Ecosystem) -> Option<(Ecosystem, PathBuf)> {
    let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
    let is_suite = |folder: &&&Path| has_suite(&root.join(folder), ecosystem);
    let folder = match ecosystem {
        // A workspace or an aggregating project is built from its top.
        Ecosystem::Cargo => cargo::workspace_of(root, &folders)?,
        Ecosystem::Maven | Ecosystem::Gradle => jvm::project_of(root, &folders, ecosystem)?,
        Ecosystem::Dotnet => dotnet::project_of(root, &folders)?,
        Ecosystem::Ctest => folders.iter().rev().find(is_suite)?,
        // The folder of the tests looks like a suite of its own.
        Ecosystem::Python => folders
            .iter()
            .find(|folder| python::has_manifest(&root.join(folder)) && is_suite(folder))
            .or_else(|| folders.iter().rev().find(is_suite))?,
        _ => folders.iter().find(is_suite)?,
    };
    Some((ecosystem, folder.to_owned()))
}

fn suites_at(root: &Path, folder: &Path) -> Vec<(Ecosystem, PathBuf)> {
    let here = Ecosystem::ALL.into_iter().filter(|ecosystem| has_suite(&root.join(folder), *ecosystem));
    // A Makefile mostly calls one of the others.
    let mut suites: Vec<_> = here.map(|ecosystem| (ecosystem, folder.to_owned())).collect();
    if suites.len() > 1 {
        suites.retain(|(ecosystem, _)| *ecosystem != Ecosystem::Make);
    }
    suites
}

/// Returns whether a folder is the root of a suite of this kind.
fn has_suite(folder: &Path, ecosystem: Ecosystem) -> bool {
    let exists = |name: &str| folder.join(name).is_file();
    match ecosystem {
        Ecosystem::Cargo => exists("Cargo.toml"),
        Ecosystem::Go => exists("go.mod"),
        Ecosystem::Python => python::is_project(folder),
        Ecosystem::Node => has_node_tests(folder),
        Ecosystem::Maven => exists("pom.xml"),
        Ecosystem::Gradle => ["build.gradle", "build.gradle.kts"].iter().any(|name| exists(name)),
        Ecosystem::Ctest => make::has_ctest(folder),
        Ecosystem::Rspec => exists(".rspec") || exists("spec/spec_helper.rb"),
        Ecosystem::Minitest => ruby::has_minitest(folder),
        Ecosystem::Phpunit => ["phpunit.xml", "phpunit.xml.dist", "phpunit.dist.xml"].iter().any(|name| exists(name)),
        Ecosystem::Dotnet => dotnet::is_project(folder),
        Ecosystem::Make => make::target_of(folder).is_some(),
        Ecosystem::Command => false,
    }
}

fn find_near(root: &Path, suite: &Suite, changed: &[&str]) -> Vec<String> {
    let below: Vec<&str> = changed.iter().copied().filter(|path| Path::new(path).starts_with(&suite.folder)).collect();
    match Ecosystem::of(suite) {
        Some(Ecosystem::Cargo) => cargo::find_near(root, &below),
        Some(Ecosystem::Go) => go::find_near(root, &below),
        Some(Ecosystem::Maven | Ecosystem::Gradle) => near::find(root, &suite.folder, &below, jvm::is_test_file),
        Some(Ecosystem::Python) => near::find(root, &suite.folder, &below, python::is_test_file),
        Some(Ecosystem::Node) if !super::node::has_parts(&root.join(&suite.folder)) => Vec::new(),
        Some(Ecosystem::Node) => near::find(root, &suite.folder, &below, super::node::is_test_file),
        Some(Ecosystem::Rspec) => near::find(root, &suite.folder, &below, |path| path.ends_with("_spec.rb")),
        Some(Ecosystem::Minitest) => near::find(root, &suite.folder, &below, ruby::is_minitest_file),
        Some(Ecosystem::Dotnet) => near::find(root, &suite.folder, &below, dotnet::is_test_file),
        Some(Ecosystem::Phpunit) => near::find(root, &suite.folder, &below, |path| path.ends_with("Test.php")),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use patchwright_domain::RepoPath;

    use super::super::tree_of;
    use super::*;

    fn found(files: &[(&str, &str)], changed: &[&str]) -> Vec<String> {
        let tree = tree_of(files);
        let changed = changed.iter().map(|path| RepoPath::parse(path).unwrap()).collect();
        let query = SuiteQuery { root: tree.path().to_owned(), changed, ..SuiteQuery::default() };
        find(&query).map_or_else(|error| vec![error.to_string()], |suites| suites.iter().map(Suite::name).collect())
    }

    const NPM: &str = r#"{"scripts":{"test":"node --test"}}"#;

    #[test]
    fn fault_h_what_owns_the_changed_file_decides_and_not_what_lies_at_the_root() {
        let django = [("package.json", NPM), ("pyproject.toml", ""), ("app/views.py", ""), ("tests/test_views.py", "")];
        assert_eq!(found(&django, &["app/views.py"]), ["python"]);
        assert_eq!(found(&django, &["static/app.js"]), ["npm"]);
        let plain = [("README.md", ""), ("calc.py", ""), ("tests/test_a.py", "")];
        assert_eq!(found(&plain, &["calc.py", "tests/test_a.py"]), ["python"]);
        let folder =
            [("README.md", ""), ("service/pyproject.toml", ""), ("service/tests/test_a.py", ""), ("service/a.py", "")];
        assert_eq!(found(&folder, &["service/a.py"]), ["python in service"]);
        let side = [
            ("Cargo.toml", "[package]\nname = \"a\""),
            ("web/package.json", NPM),
            ("src/lib.rs", ""),
            ("web/a.js", ""),
        ];
        assert_eq!(found(&side, &["src/lib.rs", "web/a.js"]), ["cargo", "npm in web"]);
    }

    #[test]
    fn a_file_of_no_language_belongs_to_the_nearest_suite() {
        let files = [("web/package.json", NPM), ("web/data/a.json", ""), ("go.mod", ""), ("testdata/b.txt", "")];
        assert_eq!(found(&files, &["web/data/a.json"]), ["npm in web"]);
        assert_eq!(found(&files, &["testdata/b.txt"]), ["go"]);
    }

    #[test]
    fn without_a_change_the_suites_at_the_root_or_in_its_folders_are_found() {
        assert_eq!(found(&[("Cargo.toml", ""), ("tests/test_a.py", "")], &[]), ["cargo", "python"]);
        assert_eq!(found(&[("a/go.mod", ""), ("b/package.json", NPM)], &[]), ["go in a", "npm in b"]);
        assert!(found(&[("README.md", "")], &[])[0].contains("no test suite"));
        let placeholder = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
        assert!(found(&[("package.json", placeholder)], &["a.js"])[0].contains("no test suite"));
    }

    #[test]
    fn settings_come_before_what_is_found() {
        let tree = tree_of(&[("Cargo.toml", "")]);
        let settings = Some("[[suite]]\npath = \"web\"\ntest = \"make\"".to_owned());
        let query = |changed: &str| SuiteQuery {
            root: tree.path().to_owned(),
            changed: vec![RepoPath::parse(changed).unwrap()],
            settings: settings.clone(),
            ..SuiteQuery::default()
        };
        assert_eq!(find(&query("web/x.js")).unwrap()[0].name(), "command in web");
        assert_eq!(find(&query("src/x.rs")).unwrap()[0].name(), "cargo");
        let asked = SuiteQuery { test_command: Some("true".to_owned()), ..query("web/x.js") };
        assert_eq!(find(&asked).unwrap()[0].name(), "command");
    }
}
