//! C and C++ with `CMake`, and `make check`.

use std::path::Path;

use super::{RunPlan, SuiteRun, shell, variables, words};
use crate::report::ReportSource;

/// Returns whether a folder is the top of a `CMake` project with tests.
pub(super) fn has_ctest(folder: &Path) -> bool {
    let text = crate::tree::read_text(folder, "CMakeLists.txt").to_lowercase();
    text.contains("project") && ["enable_testing", "include(ctest)", "add_test"].iter().any(|word| text.contains(word))
}

pub(super) fn plan_ctest(run: &SuiteRun<'_>) -> RunPlan {
    let build_folder = run.report_file("cmake-build");
    let source = run.folder().display().to_string();
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let script = format!(
        "cmake -S {} -B {build} -DCMAKE_BUILD_TYPE=Debug -DBUILD_TESTING=ON && cmake --build {build} --parallel 2",
        quote(&source),
        build = quote(&build_folder)
    );
    let mut args = words("--output-on-failure --no-tests=error");
    args.extend(["--test-dir".to_owned(), build_folder, "--output-junit".to_owned(), run.report_file("report.xml")]);
    if let Some(tests) = run.tests() {
        let names: Vec<String> =
            tests.iter().map(|name| regex::escape(name.rsplit("::").next().unwrap_or(name))).collect();
        args.push(format!("--tests-regex=^({})$", names.join("|")));
    }
    let report = ReportSource::JunitInScratch("report.xml".to_owned());
    RunPlan { build: Some(shell(&script)), ..RunPlan::new("ctest", args, variables([]), report) }
}

/// Returns the target of a Makefile that runs the tests.
pub(super) fn target_of(folder: &Path) -> Option<&'static str> {
    let text = ["GNUmakefile", "makefile", "Makefile"]
        .iter()
        .map(|name| crate::tree::read_text(folder, name))
        .find(|text| !text.is_empty())?;
    let has = |target: &str| {
        text.lines().any(|line| {
            line.split(':').next().is_some_and(|names| {
                line.contains(':')
                    && !line.starts_with(['\t', ' ', '.', '#'])
                    && names.split_whitespace().any(|name| name == target)
            })
        })
    };
    ["check", "test", "tests"].into_iter().find(|target| has(target))
}

pub(super) fn plan_make(run: &SuiteRun<'_>) -> Option<RunPlan> {
    let target = target_of(&run.host_folder())?;
    let args = vec!["--keep-going".to_owned(), target.to_owned()];
    Some(RunPlan::new("make", args, variables([]), ReportSource::Any))
}

#[cfg(test)]
mod tests {
    use super::super::tree_of;
    use super::*;

    #[test]
    fn a_makefile_has_tests_if_it_has_a_target_for_them() {
        let target = |text: &str| target_of(tree_of(&[("Makefile", text)]).path());
        assert_eq!(target("all: a.o\n\ncheck: all\n\t./run\n"), Some("check"));
        assert_eq!(target(".PHONY: test\nbuild test: a\n"), Some("test"));
        assert_eq!(target("all:\n\tmake test: no\n# check: no\nCHECK := check\n"), None);
    }
}
