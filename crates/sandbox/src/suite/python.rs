//! Python: pytest, unittest, and Django's own runner.

use std::path::Path;

use super::{RunPlan, SuiteRun, shell, variables, words};
use crate::environment::ENVIRONMENT;
use crate::report::ReportSource;

/// What runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PythonRunner {
    Pytest,
    Unittest,
}

/// A program that succeeds if pytest is installed.
pub(crate) const fn runner_probe() -> &'static str {
    "import pytest"
}

/// The deepest folder that is searched for tests.
const MAX_SEARCH_DEPTH: usize = 4;
/// How many entries are looked at in that search.
const MAX_SEARCHED: usize = 20_000;

/// Returns whether a folder is the root of a Python project with tests, or of a folder of tests without a manifest.
pub(crate) fn is_project(folder: &Path) -> bool {
    let has_test_folder = ["tests", "test", "testing"].iter().any(|name| has_tests(&folder.join(name)));
    if has_manifest(folder) || has_test_folder {
        return has_test_folder || has_tests(folder);
    }
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_test_file(&name))
}

/// Returns whether a folder is that of a distribution, or has settings for its tests.
pub(crate) fn has_manifest(folder: &Path) -> bool {
    let manifests = ["pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "pytest.ini", "noxfile.py"];
    manifests.iter().any(|name| folder.join(name).is_file())
}

fn has_tests(folder: &Path) -> bool {
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut searched = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            searched += 1;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_file() && is_test_file(&name) {
                return true;
            }
            let is_searched = !name.starts_with('.') && name != "node_modules" && name != "site-packages";
            if kind.is_dir() && depth < MAX_SEARCH_DEPTH && searched < MAX_SEARCHED && is_searched {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    false
}

/// Returns whether the name of a file is one that the runners collect.
pub(crate) fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".py")
        && (name.starts_with("test_") || name.ends_with("_test.py") || matches!(name, "tests.py" | "test.py"))
}

pub(super) fn plan(run: &SuiteRun<'_>) -> RunPlan {
    let python = match run.environment {
        Some(environment) => environment.join("bin/python").display().to_string(),
        None => "python3".to_owned(),
    };
    let (args, report) =
        if run.host_folder().join("tests/runtests.py").is_file() && run.host_folder().join("django").is_dir() {
            (django_args(run), ReportSource::Unittest)
        } else {
            match run.python {
                PythonRunner::Pytest => pytest_args(run),
                PythonRunner::Unittest => (unittest_args(run), ReportSource::Unittest),
            }
        };
    let mut env = variables([
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONPATH", &python_path(&run.folder(), &run.host_folder())),
        ("PY_COLORS", "0"),
    ]);
    if let Some(environment) = run.environment {
        env.insert("VIRTUAL_ENV".to_owned(), environment.display().to_string());
    }
    let build = run.environment.filter(|path| path.starts_with(ENVIRONMENT)).and_then(|_| install_line(run, &python));
    if build.is_some() {
        env.extend(variables(PRETENDED_VERSIONS));
    }
    RunPlan { build, ..RunPlan::new(python, args, env, report) }
}

/// Plugins that ask git for the version of a project find none in a tree: there is no `.git`. It is higher than any that a test
/// may ask for.
const PRETENDED_VERSIONS: [(&str, &str); 3] = [
    ("PDM_BUILD_SCM_VERSION", "99.0"),
    ("POETRY_DYNAMIC_VERSIONING_BYPASS", "99.0"),
    ("SETUPTOOLS_SCM_PRETEND_VERSION", "99.0"),
];

/// Returns the command that installs the project beside a prepared environment, once for each tree: programs ask for the version
/// and the entry points of their own distribution, and some modules are compiled or generated. Without a network, since it runs
/// code of the repository. If it fails, the tests show what is missing.
fn install_line(run: &SuiteRun<'_>, python: &str) -> Option<Vec<String>> {
    let has = |name: &str| run.host_folder().join(name).is_file();
    let has_build = crate::tree::read_text(&run.host_folder(), "pyproject.toml").contains("[build-system]");
    if !has("setup.py") && !has_build {
        return None;
    }
    let project = run.report_file("project");
    let options = format!("install -q --no-deps --no-index --no-build-isolation --prefix '{project}' -e .");
    // Both trees are at one path. That of the other one is another folder.
    let script = format!(
        "done=\"{project}/$(stat -c %d-%i .)\"; if ! [ -e \"$done\" ]; then mkdir -p '{project}'; \
         if '{python}' -c 'import pip' 2>/dev/null; then '{python}' -m pip --disable-pip-version-check {options}; \
         else uv pip {options} --offline --python '{python}'; fi \
         || echo 'The project cannot be installed without a network. Its tests run from its tree.'; : > \"$done\"; fi"
    );
    Some(shell(&script))
}

fn pytest_args(run: &SuiteRun<'_>) -> (Vec<String>, ReportSource) {
    // What a repository's own options say about stopping early does not hold here, and its cache would select tests.
    let mut args = words("-m pytest -q --continue-on-collection-errors --maxfail=0 --color=no -o junit_family=xunit1");
    args.push(format!("--override-ini=cache_dir={}", run.report_file("pytest-cache")));
    args.push(format!("--junitxml={}", run.report_file("report.xml")));
    let selected = run.tests().map(<[String]>::to_vec).or_else(|| run.part_files());
    args.extend(selected.into_iter().flatten());
    (args, ReportSource::Pytest("report.xml".to_owned()))
}

fn unittest_args(run: &SuiteRun<'_>) -> Vec<String> {
    let selected = run.tests().map(<[String]>::to_vec).or_else(|| run.part_files());
    match selected.filter(|selected| !selected.is_empty()) {
        Some(selected) => words("-m unittest -v").into_iter().chain(selected).collect(),
        None => words("-m unittest discover -v"),
    }
}

/// Django tests itself with a runner of its own, which takes the names of modules below `tests`.
fn django_args(run: &SuiteRun<'_>) -> Vec<String> {
    let label = |file: &String| {
        let module = file.strip_prefix("tests/")?.strip_suffix(".py")?.replace('/', ".");
        Some(module.strip_suffix(".tests").map_or(module.clone(), |app| format!("{app}.tests")))
    };
    let mut labels: Vec<String> = match run.tests() {
        Some(tests) => tests.to_vec(),
        None => run.part_files().unwrap_or_default().iter().filter_map(label).collect(),
    };
    let mut args = words("tests/runtests.py -v 2 --noinput");
    if !labels.is_empty() {
        args.push("--parallel=1".to_owned());
    }
    args.append(&mut labels);
    args
}

/// Returns the folder and its `src` folder, so that tests import the changed code and not an installed copy.
pub(crate) fn python_path(folder: &Path, on_host: &Path) -> String {
    let folder = folder.display();
    if on_host.join("src").is_dir() { format!("{folder}/src:{folder}") } else { folder.to_string() }
}

#[cfg(test)]
mod tests {
    use patchwright_core::sandbox::{Selection, Suite};

    use super::super::tree_of;
    use super::*;

    #[test]
    fn a_project_is_installed_beside_a_prepared_environment_and_never_into_a_users_own() {
        let plan_in = |files: &[(&str, &str)], environment: Option<&str>| {
            let tree = tree_of(files);
            let suite = Suite { ecosystem: "python".to_owned(), ..Suite::default() };
            let run = SuiteRun {
                suite: &suite,
                selection: &Selection::All,
                host_tree: tree.path(),
                tree: Path::new("/workspace"),
                scratch: Path::new("/scratch"),
                environment: environment.map(Path::new),
                python: PythonRunner::Pytest,
                is_offline: true,
                has_program: &|_| true,
            };
            plan(&run)
        };
        let project = [("pyproject.toml", "[build-system]\nrequires = []\n")];
        let prepared = plan_in(&project, Some("/environment/venv"));
        assert!(prepared.build.unwrap()[2].contains("--prefix '/scratch/project' -e ."));
        assert_eq!(prepared.env["SETUPTOOLS_SCM_PRETEND_VERSION"], "99.0");
        assert!(plan_in(&project, Some("/home/me/.venv")).build.is_none());
        assert!(plan_in(&project, None).build.is_none());
        let plain = [("pyproject.toml", "[tool.pytest]\n"), ("requirements.txt", "a\n")];
        assert!(plan_in(&plain, Some("/environment/venv")).build.is_none());
    }
}
