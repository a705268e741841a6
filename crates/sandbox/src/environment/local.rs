//! The environment of a user's own working copy: its virtual environment, installed packages, and generated files that git
//! ignores, such as a version file or compiled extensions. Nothing in the working copy is changed.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use patchwright_core::sandbox::Suite;

use crate::isolation::Mount;
use crate::suite::{Ecosystem, dotnet, jvm};
use crate::workspace::{Environment, Workspace};

/// Folders of environments, which are not copied.
const NOT_COPIED: &[&str] = &[
    ".git",
    ".hg",
    ".idea",
    ".mypy_cache",
    ".next",
    ".nox",
    ".parcel-cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".turbo",
    ".venv",
    ".vscode",
    "__pycache__",
    "coverage",
    "env",
    "htmlcov",
    "node_modules",
    "target",
    "venv",
];
/// The names of files that hold secrets, in small letters, as far as they are known by a part of their name.
const SECRET_STARTS: &[&str] = &[".env", ".netrc", ".npmrc", ".pypirc", "id_rsa", "id_ed25519", "credentials"];
const SECRET_ENDS: &[&str] = &[".pem", ".key", ".p12", ".pfx", ".kdbx", ".log", ".sqlite3"];
/// The largest file that is copied, and the size of all together.
const MAX_FILE_BYTES: u64 = 64 << 20;
const MAX_BYTES: u64 = 512 << 20;
/// How deep packages of a workspace lie.
const MAX_PACKAGE_DEPTH: usize = 4;

/// Takes what the working copy has for a suite, and the packages in the home of its user.
pub(super) fn take(
    folder: &Path,
    home: Option<&Path>,
    suite: &Suite,
    workspace: &Workspace,
    has_mounts: bool,
) -> io::Result<Environment> {
    copy_ignored(folder, &workspace.host_tree)?;
    let mut environment = Environment::default();
    for modules in installed_packages(folder) {
        let below = modules.strip_prefix(folder).unwrap_or(&modules);
        if has_mounts {
            environment.mounts.push(Mount::read(&modules, workspace.tree().join(below)));
        } else {
            let place = workspace.host_tree.join(below);
            if !place.exists() {
                std::os::unix::fs::symlink(&modules, place)?;
            }
        }
    }
    let places = [folder.join(&suite.folder), folder.to_owned()];
    let virtual_environment = places.iter().flat_map(|place| [".venv", "venv"].map(|name| place.join(name)));
    if let Some(python) = virtual_environment.into_iter().find(|path| path.join("pyvenv.cfg").is_file()) {
        environment.mounts.push(Mount::read(&python, &python));
        environment.python = Some(python);
    }
    if let Some(home) = home {
        take_packages(home, suite, workspace, has_mounts, &mut environment)?;
    }
    Ok(environment)
}

/// Takes the packages that a build tool keeps in a user's home. Its settings, which hold passwords, are beside them.
fn take_packages(
    home: &Path,
    suite: &Suite,
    workspace: &Workspace,
    has_mounts: bool,
    environment: &mut Environment,
) -> io::Result<()> {
    let shared: &[(&str, &str)] = match Ecosystem::of(suite) {
        Some(Ecosystem::Maven) => &[(".m2/repository", jvm::MAVEN_PACKAGES), (".m2/wrapper", jvm::MAVEN_WRAPPER)],
        Some(Ecosystem::Gradle) => {
            &[(".gradle/caches", jvm::GRADLE_PACKAGES), (".gradle/wrapper/dists", jvm::GRADLE_WRAPPER)]
        }
        Some(Ecosystem::Dotnet) => &[(".nuget/packages", dotnet::PACKAGES)],
        _ => &[],
    };
    for (place, name) in shared {
        let (from, to) = (home.join(place), workspace.host_scratch.join(name));
        if !from.is_dir() {
            continue;
        }
        let variable = match *name {
            jvm::GRADLE_PACKAGES => Some("GRADLE_RO_DEP_CACHE"),
            dotnet::PACKAGES => Some("NUGET_FALLBACK_PACKAGES"),
            _ => None,
        };
        let seen = workspace.scratch().join(name).display().to_string();
        environment.env.extend(variable.map(|variable| (variable.to_owned(), seen)));
        if has_mounts {
            environment.mounts.push(Mount::read(from, workspace.scratch().join(name)));
        } else if to.symlink_metadata().is_err() {
            to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::os::unix::fs::symlink(from, to)?;
        }
    }
    Ok(())
}

/// Returns the `node_modules` of the package and of the packages in it.
fn installed_packages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let modules = folder.join("node_modules");
        if modules.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            found.push(modules);
        }
        if depth == MAX_PACKAGE_DEPTH {
            continue;
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_searched =
                !name.to_string_lossy().starts_with('.') && !NOT_COPIED.iter().any(|known| name == *known);
            if is_searched && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

/// Copies the files that git ignores to the tree, where it does not have them.
fn copy_ignored(folder: &Path, tree: &Path) -> io::Result<()> {
    let known: HashSet<PathBuf> = files_of(folder, true).collect();
    let mut left = MAX_BYTES;
    for path in files_of(folder, false).filter(|path| !known.contains(path)) {
        let (from, to) = (folder.join(&path), tree.join(&path));
        let size = from.metadata().map_or(u64::MAX, |metadata| metadata.len());
        if size > MAX_FILE_BYTES.min(left) || is_secret(&path) || to.symlink_metadata().is_ok() {
            continue;
        }
        left -= size;
        // Code may have run in the tree, and left links in it that lead out.
        let parent = path.parent().unwrap_or(Path::new(""));
        if crate::tree::make_folders_below(tree, parent).is_ok() {
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

fn files_of(folder: &Path, without_ignored: bool) -> impl Iterator<Item = PathBuf> {
    let mut walk = WalkBuilder::new(folder);
    walk.hidden(false).ignore(false).git_global(false).follow_links(false);
    walk.git_ignore(without_ignored).git_exclude(without_ignored).parents(without_ignored);
    walk.filter_entry(|entry| entry.depth() == 0 || !NOT_COPIED.iter().any(|name| entry.file_name() == *name));
    let root = folder.to_owned();
    let files = walk.build().flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    files.filter_map(move |entry| Some(entry.path().strip_prefix(&root).ok()?.to_owned()))
}

fn is_secret(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    SECRET_STARTS.iter().any(|start| name.starts_with(start)) || SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_of_a_build_tool_are_there_and_its_settings_are_not() {
        let home = tree_of(&[(".m2/repository/a/a.jar", ""), (".m2/settings.xml", "<password>x</password>")]);
        let (copy, tree, scratch) = (tree_of(&[("pom.xml", "")]), tree_of(&[]), tempfile::tempdir().unwrap());
        let workspace = Workspace::create(tree.path(), scratch.path(), true).unwrap();
        let maven = Suite { ecosystem: "maven".to_owned(), ..Suite::default() };
        let taken = take(copy.path(), Some(home.path()), &maven, &workspace, true).unwrap();
        assert_eq!(taken.mounts, [Mount::read(home.path().join(".m2/repository"), "/scratch/m2")]);
    }
    use crate::suite::tree_of;

    #[test]
    fn fault_h_files_that_git_ignores_and_tests_need_are_there_and_secrets_are_not() {
        let copy = tree_of(&[
            (".git/HEAD", ""),
            (".gitignore", "_version.py\n.env\n*.so\nnode_modules\n*.key\n"),
            ("pkg/_version.py", "version = '1'"),
            ("pkg/fast.so", "binary"),
            ("pkg/own.py", "changed by the user"),
            (".env", "TOKEN=x"),
            ("server.key", "x"),
            ("node_modules/a/index.js", ""),
            ("web/node_modules/b/index.js", ""),
            (".venv/pyvenv.cfg", ""),
        ]);
        let tree = tree_of(&[("pkg/own.py", "the tree's")]);
        let scratch = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(tree.path(), scratch.path(), true).unwrap();
        let environment = take(copy.path(), None, &Suite::default(), &workspace, true).unwrap();
        let read = |path: &str| std::fs::read_to_string(tree.path().join(path)).ok();
        assert_eq!(read("pkg/_version.py").as_deref(), Some("version = '1'"));
        assert_eq!(read("pkg/own.py").as_deref(), Some("the tree's"));
        let outside = tempfile::tempdir().unwrap();
        std::fs::remove_dir_all(tree.path().join("pkg")).unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("pkg")).unwrap();
        copy_ignored(copy.path(), tree.path()).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "nothing is written through a link");
        std::fs::remove_file(tree.path().join("pkg")).unwrap();
        copy_ignored(copy.path(), tree.path()).unwrap();
        assert!(read("pkg/fast.so").is_some() && read(".env").is_none() && read("server.key").is_none());
        let targets: Vec<_> = environment.mounts.iter().map(|mount| mount.target.clone()).collect();
        assert!(
            targets.contains(&"/workspace/node_modules".into())
                && targets.contains(&"/workspace/web/node_modules".into())
        );
        assert_eq!(environment.python, Some(copy.path().join(".venv")));
    }
}
