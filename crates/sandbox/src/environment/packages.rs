//! Fetching the packages of a suite from registries, before its tests run without a network.
//!
//! A package manager runs on copies of the manifests alone, so that no setting of the repository can name a program for it, and
//! without install scripts. It reaches the registries and nothing else.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io;
use std::path::{Path, PathBuf};

use patchwright_core::sandbox::Suite;

use super::{code_packages, python_packages};
use crate::isolation::Mount;
use crate::suite::Ecosystem;
use crate::workspace::Environment;

/// The deepest folder with a manifest.
const MAX_DEPTH: usize = 5;
/// How many manifests a repository may have.
const MAX_MANIFESTS: usize = 2_000;
/// The largest manifest or lock file.
const MAX_BYTES: u64 = 64 << 20;
/// Marks an environment that is complete.
pub(super) const READY: &str = ".patchwright-ready";
/// Where a prepared environment is, as commands see it.
pub(crate) const ENVIRONMENT: &str = "/environment";
/// Where the packages of all repositories are, as commands see it. Their content is named by their checksums.
const PACKAGES: &str = "/packages";

/// How to prepare the environment of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preparation {
    ecosystem: Ecosystem,
    /// The files that decide about the packages, relative to the tree.
    manifests: Vec<PathBuf>,
    /// Identifies the environment.
    key: String,
    /// The command that fetches.
    pub(crate) line: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// For users.
    pub(crate) step: String,
}

impl Preparation {
    /// Returns what a suite of a tree needs, where `salt` stands for what else its environment depends on; nothing if it needs no
    /// packages, or nobody knows how to fetch them or may.
    pub(crate) fn of(suite: &Suite, tree: &Path, salt: &str, has_program: &dyn Fn(&str) -> bool) -> Option<Self> {
        let ecosystem = Ecosystem::of(suite)?;
        let folder = tree.join(&suite.folder);
        let (line, names): (Vec<String>, Vec<&str>) = match ecosystem {
            Ecosystem::Cargo => (words("cargo fetch"), vec!["Cargo.toml", "Cargo.lock"]),
            Ecosystem::Go if !folder.join("vendor/modules.txt").is_file() => {
                (words("go mod download all"), vec!["go.mod", "go.sum"])
            }
            Ecosystem::Node => (node_line(&folder, has_program)?, NODE_MANIFESTS.to_vec()),
            Ecosystem::Python => (python_packages::line(has_program)?, python_packages::manifests()),
            Ecosystem::Phpunit => (crate::suite::shell(COMPOSER), vec!["composer.json", "composer.lock"]),
            other if suite.granted.packages_with_code => code_packages::line_and_manifests(other, ENVIRONMENT)?,
            _ => return None,
        };
        let manifests = find(tree, Path::new(&suite.folder), &names);
        let needs_packages = match ecosystem {
            Ecosystem::Cargo => manifests.iter().any(|path| contains(tree, path, "dependencies")),
            Ecosystem::Go => manifests.iter().any(|path| contains(tree, path, "require")),
            Ecosystem::Node => manifests.iter().any(|path| contains(tree, path, "ependencies\"")),
            _ => true,
        };
        if manifests.is_empty() || !needs_packages {
            return None;
        }
        let shown = line.strip_prefix(&["sh".to_owned(), "-c".to_owned()]).unwrap_or(&line);
        let step = format!("fetching the packages ({})", shown.join(" "));
        let key = key_of(tree, &manifests, &line, salt)?;
        Some(Self { ecosystem, manifests, key, line, env: environment_of(ecosystem), step })
    }

    /// Returns whether fetching runs code.
    pub(crate) const fn runs_code(&self) -> bool {
        code_packages::runs_code(self.ecosystem)
    }

    /// Returns what identifies the environment.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Returns this for another environment of its kind.
    pub(crate) fn with_key(self, key: String) -> Self {
        Self { key, ..self }
    }

    /// Returns the environment if it is prepared.
    pub(crate) fn find(&self, cache: &Path, tree: &Path, scratch: &Path) -> Option<Environment> {
        let folder = self.folder(cache);
        is_ready(&folder).then(|| self.environment(&folder, cache, tree, scratch))
    }

    /// Returns the folder of the environment in the cache.
    pub(crate) fn folder(&self, cache: &Path) -> PathBuf {
        cache.join("environments").join(format!("{}-{}", self.ecosystem.name(), self.key))
    }

    /// Returns the folder of the packages that all repositories share.
    pub(crate) fn packages(&self, cache: &Path) -> PathBuf {
        cache.join("packages").join(self.ecosystem.name())
    }

    /// Copies the manifests into a folder in which the package manager runs.
    pub(crate) fn copy_manifests(&self, tree: &Path, suite: &Suite, to: &Path) -> io::Result<()> {
        for path in &self.manifests {
            let target = to.join(path);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(target, crate::tree::read_below(tree, path, MAX_BYTES)?)?;
        }
        match self.ecosystem {
            // cargo reads no package without a target.
            Ecosystem::Cargo => self.write_targets(to),
            Ecosystem::Python => {
                let text = python_packages::requirements(&to.join(&suite.folder));
                std::fs::write(to.join(python_packages::FILE), text)
            }
            other => code_packages::write_helpers(other, &self.manifests, to),
        }
    }

    fn write_targets(&self, to: &Path) -> io::Result<()> {
        for manifest in self.manifests.iter().filter(|path| path.ends_with("Cargo.toml")) {
            let folder = to.join(manifest.parent().unwrap_or(Path::new("")));
            let text = std::fs::read_to_string(to.join(manifest))?;
            for path in target_files(&text) {
                let target = folder.join(path);
                if target.starts_with(to) && !target.iter().any(|part| part == "..") && !target.exists() {
                    target.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                    std::fs::write(target, "fn main() {}\n")?;
                }
            }
        }
        Ok(())
    }

    /// Returns the environment that lies in a folder, once it was prepared.
    pub(crate) fn environment(&self, folder: &Path, cache: &Path, tree: &Path, scratch: &Path) -> Environment {
        let mut environment = Environment { env: self.env.clone(), ..Environment::default() };
        environment.mounts.push(Mount::read(self.packages(cache), PACKAGES));
        match self.ecosystem {
            Ecosystem::Node | Ecosystem::Phpunit => {
                let name = if self.ecosystem == Ecosystem::Node { "node_modules" } else { "vendor" };
                for modules in find_folders(folder, name) {
                    let below = modules.strip_prefix(folder).unwrap_or(&modules).to_owned();
                    environment.mounts.push(Mount::read(modules, tree.join(below)));
                }
            }
            Ecosystem::Python => {
                environment.mounts.push(Mount::read(folder, ENVIRONMENT));
                environment.python = Some(Path::new(ENVIRONMENT).join(python_packages::FOLDER));
            }
            other if self.runs_code() => {
                code_packages::add(other, folder, Path::new(ENVIRONMENT), scratch, &mut environment);
            }
            _ => {}
        }
        environment
    }

    /// Returns whether a working copy has what a tree needs: the same manifests, and the packages installed.
    pub(crate) fn is_covered_by(&self, local: &Path, environment: &Environment, tree: &Path) -> bool {
        match self.ecosystem {
            // The user's own interpreter.
            Ecosystem::Python => true,
            Ecosystem::Node => {
                let same = |path: &PathBuf| std::fs::read(local.join(path)).ok() == std::fs::read(tree.join(path)).ok();
                !environment.mounts.is_empty() && self.manifests.iter().all(same)
            }
            _ => false,
        }
    }

    /// Returns the files that the package manager made and a tree without them needs, such as a lock file.
    pub(crate) fn generated(&self) -> &'static [&'static str] {
        match self.ecosystem {
            Ecosystem::Cargo => &["Cargo.lock"],
            Ecosystem::Go => &["go.sum"],
            _ => &[],
        }
    }

    /// Returns the mounts of the package manager: the folder that it prepares, and the shared packages.
    pub(crate) fn mounts(&self, folder: &Path, cache: &Path, tree: &Path) -> Vec<Mount> {
        let mut mounts = vec![Mount::write(folder, self.place(tree))];
        // What is shared is out of reach of code.
        if !self.runs_code() {
            mounts.push(Mount::write(self.packages(cache), PACKAGES));
        }
        mounts
    }

    /// Returns where the package manager sees the folder that it prepares: what it installs is found beside its manifests, or by
    /// the path of the environment.
    fn place<'a>(&self, tree: &'a Path) -> &'a Path {
        let is_apart = self.ecosystem == Ecosystem::Python || self.runs_code();
        if is_apart { Path::new(ENVIRONMENT) } else { tree }
    }

    /// Returns the folder in which the package manager runs, as it sees it.
    pub(crate) fn working_folder(&self, suite: &Suite, tree: &Path) -> PathBuf {
        let place = self.place(tree);
        // The packages of Python are named in one file for the whole tree.
        if self.ecosystem == Ecosystem::Python { place.to_owned() } else { place.join(&suite.folder) }
    }
}

/// Returns whether an environment is complete.
pub(super) fn is_ready(folder: &Path) -> bool {
    folder.join(READY).symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// The variables that lead package managers to the shared packages, for fetching and for tests.
fn environment_of(ecosystem: Ecosystem) -> BTreeMap<String, String> {
    let pairs: &[(&str, &str)] = match ecosystem {
        Ecosystem::Cargo => &[("CARGO_HOME", "/packages/home")],
        Ecosystem::Go => &[("GOMODCACHE", "/packages/mod"), ("GOFLAGS", "-mod=mod"), ("GOTOOLCHAIN", "local")],
        Ecosystem::Phpunit => &[("COMPOSER_CACHE_DIR", "/packages/composer"), ("COMPOSER_ALLOW_SUPERUSER", "1")],
        Ecosystem::Node => &[("npm_config_cache", "/packages/npm"), ("npm_config_update_notifier", "false")],
        _ => &[],
    };
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Fetches without plugins and scripts. The list of classes is as complete as manifests alone allow.
const COMPOSER: &str = "composer install --no-interaction --no-progress --no-scripts --no-plugins --no-autoloader && \
                        { composer dump-autoload --no-interaction --no-scripts --no-plugins || true; }";

const NODE_MANIFESTS: &[&str] = &[
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
];

/// Returns the call of the package manager whose lock file is there, without install scripts.
fn node_line(folder: &Path, has_program: &dyn Fn(&str) -> bool) -> Option<Vec<String>> {
    let exists = |name: &str| folder.join(name).is_file();
    let through = |program: &str, package: &str| {
        if has_program(program) {
            return Some(vec![program.to_owned()]);
        }
        // A package manager is a package too. corepack would check it with keys that its own version knows.
        let package = format!("--package={package}@{}", wanted_version(folder, program).unwrap_or("latest".to_owned()));
        let line = ["npm", "exec", "--yes", &package, "--", program].map(str::to_owned);
        has_program("npm").then(|| line.to_vec())
    };
    let with = |program: Vec<String>, rest: &str| program.into_iter().chain(words(rest)).collect();
    if exists("pnpm-lock.yaml") {
        let options =
            "install --frozen-lockfile --ignore-scripts --store-dir /packages/pnpm --package-import-method copy";
        return through("pnpm", "pnpm").map(|program| with(program, options));
    }
    if exists("yarn.lock") {
        // The options of the two generations differ; both read the variables that name a cache.
        let is_classic = crate::tree::read_text(folder, "yarn.lock").contains("yarn lockfile v1");
        let options = if is_classic {
            "install --frozen-lockfile --ignore-scripts --non-interactive --cache-folder /packages/yarn"
        } else {
            "install --immutable --mode=skip-build"
        };
        let package = if is_classic { "yarn" } else { "@yarnpkg/cli-dist" };
        return through("yarn", package).map(|program| with(program, options));
    }
    if exists("bun.lock") || exists("bun.lockb") {
        return has_program("bun")
            .then(|| words("bun install --frozen-lockfile --ignore-scripts --cache-dir /packages/bun"));
    }
    let options = "--ignore-scripts --no-audit --no-fund --cache /packages/npm";
    if !exists("package-lock.json") && !exists("npm-shrinkwrap.json") {
        return Some(words(&format!("npm install --no-package-lock {options}")));
    }
    // A change may add a package and must not touch the lock file; what the file lags behind is added to what it has.
    Some(crate::suite::shell(&format!("npm ci {options} || npm install {options}")))
}

/// Returns the version of a package manager that a package asks for: `"packageManager": "pnpm@10.7.1+sha512…"`.
fn wanted_version(folder: &Path, program: &str) -> Option<String> {
    let package = crate::suite::package(folder)?;
    let version = package.get("packageManager")?.as_str()?.strip_prefix(program)?.strip_prefix('@')?;
    let version = version.split('+').next()?;
    version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).then(|| version.to_owned())
}

fn words(text: &str) -> Vec<String> {
    crate::suite::words(text)
}

/// Finds the manifests of a suite: those in and below its folder, relative to the tree. In a name, a leading `*` stands for any
/// beginning.
fn find(tree: &Path, folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let is_file = |path: &PathBuf| tree.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        let exact = names.iter().filter(|name| !name.starts_with('*')).map(|name| folder.join(name));
        found.extend(exact.filter(is_file));
        for entry in std::fs::read_dir(tree.join(&folder)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            let text = name.to_string_lossy();
            if kind.is_file() && names.iter().any(|name| name.strip_prefix('*').is_some_and(|end| text.ends_with(end)))
            {
                found.push(folder.join(&name));
            }
            let is_searched = !text.starts_with('.') && name != "node_modules" && name != "target" && depth < MAX_DEPTH;
            if is_searched && kind.is_dir() {
                open.push((folder.join(&name), depth + 1));
            }
        }
    }
    found.sort();
    found.truncate(MAX_MANIFESTS);
    found
}

/// Finds the outermost folders of a name.
fn find_folders(root: &Path, wanted: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() == wanted {
                found.push(entry.path());
            } else if depth < MAX_DEPTH {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    found
}

fn contains(tree: &Path, path: &Path, word: &str) -> bool {
    crate::tree::read_below(tree, path, MAX_BYTES).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(word))
}

/// Hashes the manifests and the command. Two environments with one key would be wrong, and not dangerous: both are of repositories
/// that this server runs.
fn key_of(tree: &Path, manifests: &[PathBuf], line: &[String], salt: &str) -> Option<String> {
    let hash = |seed: u8| {
        let contents: Vec<(&PathBuf, Vec<u8>)> = manifests
            .iter()
            .map(|path| Some((path, crate::tree::read_below(tree, path, MAX_BYTES).ok()?)))
            .collect::<Option<_>>()?;
        Some(BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, salt, contents, line)))
    };
    Some(format!("{:016x}{:016x}", hash(0)?, hash(1)?))
}

/// Returns the files of the targets that a manifest of cargo names: cargo reads none whose files are missing.
fn target_files(manifest: &str) -> Vec<String> {
    let mut files = vec!["src/lib.rs".to_owned()];
    let Ok(manifest) = manifest.parse::<toml::Table>() else { return files };
    for (kind, folder) in
        [("bin", "src/bin"), ("example", "examples"), ("test", "tests"), ("bench", "benches"), ("lib", "")]
    {
        let targets = match manifest.get(kind) {
            Some(toml::Value::Array(targets)) => targets.iter().filter_map(toml::Value::as_table).collect(),
            Some(toml::Value::Table(target)) => vec![target],
            _ => Vec::new(),
        };
        for target in targets {
            let text = |key: &str| target.get(key).and_then(toml::Value::as_str);
            match (text("path"), text("name")) {
                (Some(path), _) => files.push(path.to_owned()),
                (None, Some(name)) if !folder.is_empty() => files.push(format!("{folder}/{name}.rs")),
                _ => {}
            }
        }
    }
    files.retain(|path| path.ends_with(".rs"));
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::tree_of;

    fn preparation(files: &[(&str, &str)], ecosystem: Ecosystem) -> Option<Preparation> {
        let tree = tree_of(files);
        let suite = Suite { ecosystem: ecosystem.name().to_owned(), ..Suite::default() };
        Preparation::of(&suite, tree.path(), "", &|program| program != "pnpm")
    }

    #[test]
    fn the_lock_file_decides_which_package_manager_runs_and_never_its_scripts() {
        let package = r#"{"packageManager":"pnpm@9.1.0+sha512.ab","dependencies":{"a":"1"}}"#;
        let line = |lock: &str| {
            let files = [("package.json", package), (lock, "x")];
            preparation(&files, Ecosystem::Node).map(|preparation| preparation.line.join(" ")).unwrap_or_default()
        };
        let locked = line("package-lock.json");
        assert!(
            locked.contains("npm ci --ignore-scripts") && locked.contains("|| npm install --ignore-scripts"),
            "{locked}"
        );
        assert!(line("README").starts_with("npm install --no-package-lock --ignore-scripts"));
        assert!(
            line("pnpm-lock.yaml")
                .starts_with("npm exec --yes --package=pnpm@9.1.0 -- pnpm install --frozen-lockfile --ignore-scripts")
        );
        assert!(line("yarn.lock").contains("--mode=skip-build"));
        assert!(line("bun.lock").contains("--ignore-scripts"));
    }

    #[test]
    fn an_environment_is_known_by_its_manifests_and_a_suite_without_packages_needs_none() {
        let key = |text: &str| preparation(&[("package.json", text), ("index.js", text)], Ecosystem::Node).unwrap().key;
        let (one, two) = (r#"{"dependencies":{"a":"1"}}"#, r#"{"dependencies":{"a":"2"}}"#);
        assert!(key(one) == key(one) && key(one) != key(two));
        assert_eq!(preparation(&[("package.json", "{}")], Ecosystem::Node), None);
        assert_eq!(preparation(&[("Cargo.toml", "[package]\nname = \"a\"")], Ecosystem::Cargo), None);
        assert_eq!(preparation(&[("go.mod", "module a\n")], Ecosystem::Go), None);
    }

    #[test]
    fn a_package_manager_sees_manifests_and_no_settings_of_the_repository() {
        let tree = tree_of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"a\"]\n"),
            (
                "a/Cargo.toml",
                "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n[[bin]]\nname = \"x\"\npath = \"main.rs\"\n[[bench]]\nname = \"bench1\"\nharness = false\n",
            ),
            ("a/main.rs", "the code"),
            (".cargo/config.toml", "[build]\nrustc = \"./evil\""),
        ]);
        let suite = Suite { ecosystem: "cargo".to_owned(), ..Suite::default() };
        let preparation = Preparation::of(&suite, tree.path(), "", &|_| true).unwrap();
        let to = tempfile::tempdir().unwrap();
        preparation.copy_manifests(tree.path(), &suite, to.path()).unwrap();
        assert!(to.path().join("a/Cargo.toml").is_file() && to.path().join("a/src/lib.rs").is_file());
        assert_eq!(std::fs::read_to_string(to.path().join("a/main.rs")).unwrap(), "fn main() {}\n");
        assert!(to.path().join("a/benches/bench1.rs").is_file(), "cargo reads no manifest whose targets are missing");
        assert!(!to.path().join(".cargo").exists());
    }
}
