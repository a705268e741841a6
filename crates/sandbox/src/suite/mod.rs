//! The test suites of a tree: which there are, which own a change, and the commands that run them.

mod cargo;
mod command;
mod detect;
mod devcontainer;
pub(crate) mod dotnet;
mod go;
pub(crate) mod jvm;
mod make;
mod near;
mod node;
mod node_script;
mod php;
mod python;
mod ruby;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use patchwright_core::sandbox::{Selection, Suite, SuiteSettings};

pub(crate) use detect::find;
pub(crate) use node::package;
pub(crate) use python::{PythonRunner, python_path, runner_probe};

use crate::report::ReportSource;

/// A kind of test suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ecosystem {
    Cargo,
    Go,
    Python,
    Node,
    Maven,
    Gradle,
    Ctest,
    Rspec,
    Minitest,
    Phpunit,
    Dotnet,
    Make,
    /// A command that the repository or a person names.
    Command,
}

impl Ecosystem {
    const ALL: [Self; 13] = [
        Self::Cargo,
        Self::Go,
        Self::Python,
        Self::Node,
        Self::Maven,
        Self::Gradle,
        Self::Ctest,
        Self::Rspec,
        Self::Minitest,
        Self::Phpunit,
        Self::Dotnet,
        Self::Make,
        Self::Command,
    ];

    /// Returns the name for users.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Python => "python",
            Self::Node => "npm",
            Self::Maven => "maven",
            Self::Gradle => "gradle",
            Self::Ctest => "ctest",
            Self::Rspec => "rspec",
            Self::Minitest => "minitest",
            Self::Phpunit => "phpunit",
            Self::Dotnet => "dotnet",
            Self::Make => "make",
            Self::Command => "command",
        }
    }

    pub(crate) fn of(suite: &Suite) -> Option<Self> {
        Self::ALL.into_iter().find(|ecosystem| ecosystem.name() == suite.ecosystem)
    }
}

/// A suite of a tree with what is needed to run a part of it.
pub(crate) struct SuiteRun<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) selection: &'a Selection,
    /// The tree on this machine.
    pub(crate) host_tree: &'a Path,
    /// The tree, as the command sees it.
    pub(crate) tree: &'a Path,
    /// The folder for build outputs and reports, as the command sees it.
    pub(crate) scratch: &'a Path,
    /// The programs of an environment that was prepared for the suite, as the command sees them.
    pub(crate) environment: Option<&'a Path>,
    /// Runs Python tests.
    pub(crate) python: PythonRunner,
    /// Whether there is no network, so that package managers need not look for one.
    pub(crate) is_offline: bool,
    /// Whether a program is installed.
    pub(crate) has_program: &'a dyn Fn(&str) -> bool,
}

/// How to run the tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunPlan {
    /// The command that builds the tree first.
    pub(crate) build: Option<Vec<String>>,
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) report: ReportSource,
    /// The command for users, if it is started in a way that says nothing to them.
    pub(crate) shown: Option<String>,
}

impl RunPlan {
    /// Returns a plan of one command that says to users what it does.
    fn new(program: impl Into<String>, args: Vec<String>, env: BTreeMap<String, String>, report: ReportSource) -> Self {
        Self { build: None, program: program.into(), args, env, report, shown: None }
    }
}

impl SuiteRun<'_> {
    /// Returns the folder of the suite, as the command sees it.
    pub(crate) fn folder(&self) -> PathBuf {
        self.tree.join(&self.suite.folder)
    }

    /// Returns the folder of the suite on this machine.
    pub(crate) fn host_folder(&self) -> PathBuf {
        self.host_tree.join(&self.suite.folder)
    }

    /// Returns the commands of the suite.
    pub(crate) fn plan(&self) -> Option<RunPlan> {
        if self.suite.settings.as_ref().is_some_and(|settings| settings.test.is_some()) {
            return command::plan(self);
        }
        let mut plan = match Ecosystem::of(self.suite)? {
            Ecosystem::Cargo => cargo::plan(self),
            Ecosystem::Go => go::plan(self),
            Ecosystem::Python => python::plan(self),
            Ecosystem::Node => node::plan(self),
            Ecosystem::Maven => jvm::plan_maven(self),
            Ecosystem::Gradle => jvm::plan_gradle(self),
            Ecosystem::Ctest => make::plan_ctest(self),
            Ecosystem::Rspec => ruby::plan_rspec(self),
            Ecosystem::Minitest => ruby::plan_minitest(self),
            Ecosystem::Phpunit => php::plan(self),
            Ecosystem::Dotnet => dotnet::plan(self),
            Ecosystem::Make => make::plan_make(self)?,
            Ecosystem::Command => return None,
        };
        if let Some(settings) = &self.suite.settings {
            plan.build = prepare_line(settings).or(plan.build);
            plan.env.extend(settings.env.clone());
        }
        Some(plan)
    }

    /// Returns the parts to run, without those that the tree does not have; `None` for all tests.
    fn parts(&self) -> Option<Vec<&str>> {
        match self.selection {
            Selection::Parts(parts) => Some(parts.iter().map(String::as_str).collect()),
            Selection::All | Selection::Tests(_) => None,
        }
    }

    /// Returns the parts that are files of the tree, relative to the suite's folder.
    fn part_files(&self) -> Option<Vec<String>> {
        let files = self.parts()?.into_iter().filter(|path| self.host_tree.join(path).is_file());
        Some(files.map(|path| self.relative(path)).collect())
    }

    /// Returns a path of the tree relative to the suite's folder.
    fn relative(&self, path: &str) -> String {
        let below = Path::new(path).strip_prefix(&self.suite.folder).unwrap_or(Path::new(path));
        below.display().to_string()
    }

    /// Returns the tests to run, by their names; `None` if they are not selected by name.
    fn tests(&self) -> Option<&[String]> {
        match self.selection {
            Selection::Tests(tests) => Some(tests),
            Selection::All | Selection::Parts(_) => None,
        }
    }

    /// Returns a path for a report, as the command sees it.
    fn report_file(&self, name: &str) -> String {
        self.scratch.join(name).display().to_string()
    }
}

/// Returns the command that prepares and builds a tree, as the settings say it.
fn prepare_line(settings: &SuiteSettings) -> Option<Vec<String>> {
    let steps: Vec<&str> = [&settings.setup, &settings.build].into_iter().flatten().map(String::as_str).collect();
    (!steps.is_empty()).then(|| shell(&steps.join(" && ")))
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Returns the arguments that have a shell run a command.
pub(crate) fn shell(command: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()]
}

fn variables<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A tree of test files.
#[cfg(test)]
pub(crate) fn tree_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    folder
}
