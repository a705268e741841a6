//! The packages that the tests of a Python project need, read from its manifests without running any of its code.

use std::path::Path;

/// The manifests that are read, beside the files of requirements.
const PROJECT_MANIFESTS: [&str; 4] = ["pyproject.toml", "setup.cfg", "setup.py", "tox.ini"];
/// The list of requirements that is written beside the environment.
pub(super) const FILE: &str = "patchwright-requirements.txt";
/// The virtual environment.
pub(super) const FOLDER: &str = "venv";

/// The files of requirements that are for tests, beside those of the package itself.
const REQUIREMENTS: &[&str] = &[
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements-tests.txt",
    "dev-requirements.txt",
    "test-requirements.txt",
    "requirements_dev.txt",
    "requirements_test.txt",
    "requirements/dev.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
    "tests/requirements.txt",
    "tests/requirements/py3.txt",
    "test/requirements.txt",
];
/// The names of extras and groups that are for tests.
const TEST_GROUPS: &[&str] = &["test", "tests", "testing", "dev", "develop", "ci", "socks"];

/// Returns the manifests that are read.
pub(super) fn manifests() -> Vec<&'static str> {
    PROJECT_MANIFESTS.iter().chain(REQUIREMENTS).copied().collect()
}

/// Where the project itself is installed, as commands see it.
const PROJECT: &str = "/scratch/project";

/// Returns the command that makes a virtual environment. Only wheels are installed: making one runs the code of a package.
pub(super) fn line(has_program: &dyn Fn(&str) -> bool) -> Option<Vec<String>> {
    let script = if has_program("uv") {
        "uv venv -q --python python3 venv && uv pip install -q --python venv/bin/python --only-binary :all: \
         --cache-dir /packages/uv --link-mode copy -r"
    } else if has_program("python3") {
        "python3 -m venv venv && venv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: \
         --cache-dir /packages/pip -r"
    } else {
        return None;
    };
    // The project itself is installed later, beside the environment and without a network ([`crate::suite`]).
    let link = format!(
        "import glob, site; [site.addsitedir(path) for path in glob.glob('{PROJECT}/lib/python3*/site-packages')]"
    );
    let link = format!(
        "for path in venv/lib/python3*/site-packages; do echo \"{link}\" > $path/patchwright-project.pth; done"
    );
    Some(crate::suite::shell(&format!("{script} {FILE} && {link}")))
}

/// Returns the requirements, one a line.
pub(super) fn requirements(folder: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let mut found = vec!["pytest".to_owned()];
    found.extend(of_pyproject(&read("pyproject.toml")));
    found.extend(of_setup_cfg(&read("setup.cfg")));
    found.extend(of_setup_py(&read("setup.py")));
    if folder.join("setup.py").is_file() {
        // New environments do not have it.
        found.push("setuptools".to_owned());
    }
    found.extend(of_tox(&read("tox.ini")));
    for name in REQUIREMENTS {
        found.extend(read(name).lines().filter_map(plain));
    }
    found.sort();
    found.dedup();
    // A pinned pytest replaces the plain one by itself: both are one requirement.
    found.join("\n") + "\n"
}

/// Returns a line of a list of requirements, unless it is a path, an address, an option or a comment.
fn plain(line: &str) -> Option<String> {
    let line = line.split(" #").next().unwrap_or(line).trim().trim_end_matches('\\').trim();
    let line = line.split(" --hash").next().unwrap_or(line).trim();
    let is_name = line.starts_with(|c: char| c.is_ascii_alphanumeric());
    (is_name && !line.contains("://") && !line.contains(" @ ") && !line.contains(['/', '{', '\n']))
        .then(|| line.to_owned())
}

fn of_pyproject(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let mut found = Vec::new();
    let mut add = |list: Option<&toml::Value>| {
        let items = list.and_then(toml::Value::as_array).into_iter().flatten();
        found.extend(items.filter_map(toml::Value::as_str).filter_map(plain));
    };
    let project = table.get("project");
    add(project.and_then(|project| project.get("dependencies")));
    add(table.get("build-system").and_then(|build| build.get("requires")));
    for group in TEST_GROUPS {
        add(project.and_then(|project| project.get("optional-dependencies")?.get(group)));
        add(table.get("dependency-groups").and_then(|groups| groups.get(group)));
    }
    found.extend(of_poetry(&table));
    found
}

/// Poetry writes a table of names and versions in its own notation. The names are enough.
fn of_poetry(table: &toml::Table) -> Vec<String> {
    let Some(poetry) = table.get("tool").and_then(|tool| tool.get("poetry")) else { return Vec::new() };
    let groups = TEST_GROUPS.iter().filter_map(|group| poetry.get("group")?.get(group)?.get("dependencies"));
    let tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")].into_iter().flatten().chain(groups);
    let names = tables.filter_map(toml::Value::as_table).flat_map(|table| {
        table
            .iter()
            .filter(|(_, value)| value.get("path").is_none() && value.get("git").is_none())
            .map(|(name, _)| name)
    });
    names.filter(|name| *name != "python").cloned().collect()
}

fn of_setup_cfg(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut section, mut key) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end().trim_end_matches(']').to_owned();
            continue;
        }
        let is_continued = line.starts_with([' ', '\t']);
        let value = match line.split_once('=').filter(|_| !is_continued) {
            Some((name, value)) => {
                key = name.trim().to_owned();
                value
            }
            None => line,
        };
        let is_wanted = (section == "options" && matches!(key.as_str(), "install_requires" | "tests_require"))
            || (section == "options.extras_require" && TEST_GROUPS.contains(&key.as_str()));
        if is_wanted {
            found.extend(plain(value));
        }
    }
    found
}

/// Reads lists of texts after `install_requires=` and the like. What is computed is not read.
fn of_setup_py(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for key in ["install_requires", "tests_require", "requires", "test_requirements"] {
        for (at, _) in text.match_indices(key) {
            let rest = text[at + key.len()..].trim_start_matches([' ', '"', '\'']);
            let Some(list) = rest.strip_prefix(['=', ':']).map(str::trim_start).and_then(|rest| rest.strip_prefix('['))
            else {
                continue;
            };
            let items = list.split(']').next().unwrap_or_default();
            found.extend(items.split(['"', '\'']).skip(1).step_by(2).filter_map(plain));
        }
    }
    found
}

fn of_tox(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut in_testenv, mut in_deps) = (false, false);
    for line in text.lines() {
        if line.starts_with('[') {
            in_testenv = line.trim() == "[testenv]";
            in_deps = false;
        } else if !line.starts_with([' ', '\t']) && line.contains('=') {
            in_deps = in_testenv && line.starts_with("deps");
            found.extend(line.split_once('=').filter(|_| in_deps).and_then(|(_, value)| plain(value)));
        } else if in_deps {
            // `py39: name` holds for one version of Python.
            found.extend(Some(line).filter(|line| !line.contains(": ")).and_then(plain));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::tree_of;

    fn of(files: &[(&str, &str)]) -> Vec<String> {
        requirements(tree_of(files).path()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn requirements_are_read_from_every_kind_of_manifest() {
        let pyproject = "[build-system]\nrequires = [\"hatchling\"]\n[project]\ndependencies = [\"a>=1\", \"b @ https://x\"]\n\
            [project.optional-dependencies]\ntest = [\"c[x]; python_version > '3'\"]\ndocs = [\"sphinx\"]\n\
            [dependency-groups]\ntests = [\"d\", {include-group = \"x\"}]\n[tool.poetry.dependencies]\npython = \"^3\"\ne = \"^1\"\nf = {path = \"../f\"}\n";
        let found = of(&[("pyproject.toml", pyproject)]);
        assert_eq!(found, ["a>=1", "c[x]; python_version > '3'", "d", "e", "hatchling", "pytest"]);
        let cfg = "[options]\ninstall_requires =\n    a\n    b>2\npackages = find:\n[options.extras_require]\ntesting = c\ndocs =\n    sphinx\n";
        let setup = "setup(install_requires=['g', \"h>=1\"], extras_require={'x': []}, tests_require=[\n 'i',\n])";
        let tox = "[tox]\nenvlist = py\n[testenv]\ndeps =\n    j\n    py39: k\n    -r requirements.txt\ncommands = pytest\n[testenv:docs]\ndeps = sphinx\n";
        let found = of(&[
            ("setup.cfg", cfg),
            ("setup.py", setup),
            ("tox.ini", tox),
            ("requirements-dev.txt", "# x\n-e .\nl==1 --hash=sha256:1\n./m\n"),
        ]);
        assert_eq!(found, ["a", "b>2", "c", "g", "h>=1", "i", "j", "l==1", "pytest", "setuptools"]);
    }
}
