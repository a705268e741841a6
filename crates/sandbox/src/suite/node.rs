//! JavaScript and TypeScript: the runner of the package's test script with its machine format, or the script as it is.

use std::collections::BTreeMap;
use std::path::Path;

use super::node_script::{NodeRunner, RunnerCall, find_call};
use super::{RunPlan, SuiteRun, shell, variables};
use crate::report::ReportSource;

pub(super) fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extensions = [".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx"];
    if !extensions.iter().any(|extension| name.ends_with(extension)) || name.ends_with(".d.ts") {
        return false;
    }
    let named = [".test.", ".spec.", "-test.", "_test.", ".tests."].iter().any(|part| name.contains(part));
    let folders = path.split('/').rev().skip(1);
    let in_folder = folders.clone().any(|part| matches!(part, "test" | "tests" | "__tests__" | "spec" | "specs"));
    let is_data = folders.into_iter().any(|part| {
        matches!(
            part,
            "fixtures" | "__fixtures__" | "support" | "helpers" | "node_modules" | "__mocks__" | "__snapshots__"
        )
    });
    (named || in_folder) && !is_data
}

/// Returns the scripts of a package.
pub(crate) fn scripts(folder: &Path) -> BTreeMap<String, String> {
    let package = package(folder);
    let scripts = package.as_ref().and_then(|package| package.get("scripts")).and_then(|scripts| scripts.as_object());
    let text = |(name, value): (&String, &serde_json::Value)| Some((name.clone(), value.as_str()?.to_owned()));
    scripts.into_iter().flatten().filter_map(text).collect()
}

pub(crate) fn package(folder: &Path) -> Option<serde_json::Value> {
    // Code may have run in the tree: a FIFO in place of the file would be waited for.
    serde_json::from_str(&crate::tree::read_text(folder, "package.json")).ok()
}

/// Returns whether single files can be run: the runner of the test script is known.
pub(super) fn has_parts(folder: &Path) -> bool {
    find_call(&scripts(folder), "test").is_some()
}

/// Returns whether a package has a test script that is not npm's placeholder.
pub(crate) fn has_tests(folder: &Path) -> bool {
    scripts(folder).get("test").is_some_and(|script| !script.contains("no test specified"))
}

pub(super) fn plan(run: &SuiteRun<'_>) -> RunPlan {
    let folder = run.host_folder();
    let scripts = scripts(&folder);
    let build = needs_build(&folder, &scripts).then(|| shell("npm run build"));
    let call = find_call(&scripts, "test").filter(|call| call.runner == NodeRunner::Node || has_runner(run, call));
    let Some(call) = call else {
        let args = vec!["test".to_owned()];
        return RunPlan { build, ..RunPlan::new("npm", args, env(run), ReportSource::Node) };
    };
    let mut env = env(run);
    env.extend(call.env.clone());
    let pretest = scripts.contains_key("pretest").then(|| shell("npm run pretest"));
    let build = build.or(pretest);
    let (args, report) = arguments(run, &call);
    if call.runner == NodeRunner::Jest {
        return jest(call, &args, build, env, report);
    }
    let mut line = if call.before.is_empty() { Vec::new() } else { call.before.clone() };
    if call.runner != NodeRunner::Node {
        line.push(program(run, &call));
    }
    line.extend(args);
    let program = line.remove(0);
    RunPlan { build, ..RunPlan::new(program, line, env, report) }
}

/// Starts jest with its arguments.
const JEST: &str = "\
    if (process.env.NODE_ENV == null) process.env.NODE_ENV = 'test'; \
    process.execArgv.splice(process.execArgv.indexOf('-e'), 2); \
    process.argv[1] = require.resolve('jest'); \
    const args = JSON.parse(process.env.PATCHWRIGHT_ARGUMENTS); \
    delete process.env.PATCHWRIGHT_ARGUMENTS; \
    require('jest').run(args);";

/// Runs jest without arguments of its process: tests of command-line tools read them, and with one worker their process is jest's
/// own.
fn jest(
    call: RunnerCall,
    arguments: &[String],
    build: Option<Vec<String>>,
    mut env: BTreeMap<String, String>,
    report: ReportSource,
) -> RunPlan {
    let own = arguments.iter().filter(|argument| !argument.starts_with("--outputFile=")).cloned();
    let shown = std::iter::once("jest".to_owned()).chain(own).collect::<Vec<_>>().join(" ");
    env.insert("PATCHWRIGHT_ARGUMENTS".to_owned(), serde_json::json!(arguments).to_string());
    let mut args: Vec<String> = call.before.into_iter().skip(1).collect();
    args.extend(["-e", JEST].map(str::to_owned));
    RunPlan { build, shown: Some(shown), ..RunPlan::new("node", args, env, report) }
}

fn env(run: &SuiteRun<'_>) -> BTreeMap<String, String> {
    // No NO_COLOR: tests of colours fail with it. FORCE_COLOR=0 is what the libraries for colours read first.
    variables([("npm_config_cache", &run.report_file("npm")), ("npm_config_update_notifier", "false"), ("CI", "true")])
}

/// Returns whether the package is used as something that a build makes and the tree does not have.
fn needs_build(folder: &Path, scripts: &BTreeMap<String, String>) -> bool {
    let Some(package) = package(folder) else { return false };
    let main = package.get("main").or_else(|| package.get("module")).and_then(serde_json::Value::as_str);
    let is_missing = |main: &str| {
        let main = folder.join(main.trim_start_matches("./"));
        !main.exists() && !main.with_extension("js").exists()
    };
    scripts.contains_key("build") && main.is_some_and(is_missing)
}

const fn module_of(runner: NodeRunner) -> &'static str {
    match runner {
        NodeRunner::Jest => "jest",
        NodeRunner::Vitest => "vitest",
        NodeRunner::Mocha => "mocha",
        NodeRunner::Node => "node",
        NodeRunner::Tap => "tap",
        NodeRunner::Ava => "ava",
        NodeRunner::Tape => "tape",
    }
}

/// Returns the runner's program, in the package or in a folder above it: packages of a workspace share what is installed.
fn program(run: &SuiteRun<'_>, call: &RunnerCall) -> String {
    let name = module_of(call.runner);
    let place = if call.before.is_empty() {
        format!("node_modules/.bin/{name}")
    } else {
        format!("node_modules/{name}/bin/{name}.js")
    };
    for folder in Path::new(&run.suite.folder).ancestors() {
        if run.host_tree.join(folder).join(&place).exists() {
            return run.tree.join(folder).join(&place).display().to_string();
        }
    }
    // Where the environment is mounted, it is not in the tree on this machine.
    run.folder().join(place).display().to_string()
}

fn has_runner(run: &SuiteRun<'_>, call: &RunnerCall) -> bool {
    let name = module_of(call.runner);
    let below = Path::new(&run.suite.folder).ancestors().any(|folder| {
        let package = package(&run.host_tree.join(folder));
        let depends = |field: &str| {
            package.as_ref().is_some_and(|package| package.get(field).is_some_and(|list| list.get(name).is_some()))
        };
        depends("devDependencies") || depends("dependencies")
    });
    below || run.host_folder().join("node_modules").join(name).exists()
}

fn arguments(run: &SuiteRun<'_>, call: &RunnerCall) -> (Vec<String>, ReportSource) {
    let files = run.part_files().or_else(|| run.tests().map(files_of)).filter(|files| !files.is_empty());
    let report = run.report_file("report.json");
    let mut args = call.options.clone();
    let source = match call.runner {
        NodeRunner::Jest => {
            args.extend(["--ci".to_owned(), "--json".to_owned(), format!("--outputFile={report}")]);
            args.extend(files.is_some().then(|| "--runTestsByPath".to_owned()));
            ReportSource::Jest("report.json".to_owned())
        }
        NodeRunner::Vitest => {
            args.insert(0, "run".to_owned());
            args.extend([
                "--reporter=default".to_owned(),
                "--reporter=json".to_owned(),
                format!("--outputFile={report}"),
            ]);
            ReportSource::Jest("report.json".to_owned())
        }
        NodeRunner::Mocha => {
            args.extend(["--reporter=json".to_owned(), format!("--reporter-option=output={report}")]);
            ReportSource::Mocha("report.json".to_owned())
        }
        NodeRunner::Tap => {
            args.push("--reporter=tap".to_owned());
            ReportSource::Node
        }
        NodeRunner::Ava => {
            args.push("--tap".to_owned());
            ReportSource::Node
        }
        NodeRunner::Tape => ReportSource::Node,
        NodeRunner::Node => {
            let file = run.report_file("report.xml");
            args.extend(["--test-reporter=spec".to_owned(), "--test-reporter-destination=stdout".to_owned()]);
            args.extend(["--test-reporter=junit".to_owned(), format!("--test-reporter-destination={file}")]);
            ReportSource::NodeJunit("report.xml".to_owned())
        }
    };
    args.extend(files.unwrap_or_else(|| call.patterns.clone()));
    (args, source)
}

/// A name is `FILE > suite > test`.
fn files_of(tests: &[String]) -> Vec<String> {
    let files: std::collections::BTreeSet<&str> = tests.iter().filter_map(|name| name.split(" > ").next()).collect();
    files.into_iter().filter(|file| file.contains('.')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_tests_are_known_by_name_or_folder() {
        for path in ["src/a.test.ts", "test/a.js", "src/__tests__/x.jsx", "a.spec.mjs"] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["src/a.ts", "test/fixtures/a.js", "test/data.json", "types/a.test.d.ts"] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
