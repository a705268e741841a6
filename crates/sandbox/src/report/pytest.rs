//! Parser for the `JUnit` XML of pytest, with names that pytest takes to run a test again, and for its text.

use std::collections::BTreeMap;
use std::path::Path;

use patchwright_core::sandbox::TestOutcome;
use patchwright_domain::job::report::TestResults;
use regex::Regex;

use super::junit::{Case, cases};
use super::{ParsedReport, record};

/// Returns the tests by their node ids: `tests/test_a.py::TestX::test_y[1]`. A file that could not be collected is a failed test
/// with the name of the file.
pub(super) fn parse(xml: &str, folder: &Path) -> Option<ParsedReport> {
    let (mut tests, mut failures) = (BTreeMap::new(), BTreeMap::new());
    for case in cases(xml)? {
        let name = node_id(&case, folder);
        if case.outcome == TestOutcome::Failed {
            failures.insert(name.clone(), case.text);
        }
        record(&mut tests, name, case.outcome);
    }
    Some(ParsedReport::from_tests(tests).with_failures(failures))
}

fn node_id(case: &Case, folder: &Path) -> String {
    let class = case.class.as_deref().unwrap_or_default();
    if class.is_empty() {
        // The name of a module that was not collected.
        let file = format!("{}.py", case.name.replace('.', "/"));
        return if folder.join(&file).is_file() { file } else { case.name.clone() };
    }
    let Some(file) = &case.file else { return format!("{class}::{}", case.name) };
    let module = file.trim_end_matches(".py").replace(['/', '\\'], ".");
    match class.strip_prefix(&module).map(|rest| rest.trim_start_matches('.')) {
        Some("") => format!("{file}::{}", case.name),
        Some(classes) => format!("{file}::{}::{}", classes.replace('.', "::"), case.name),
        // A test that is inherited is in the file of its base class.
        None => format!("{class}::{}", case.name),
    }
}

/// Parses `tests/test_a.py::test_x PASSED`, as `pytest -v` prints it, and `FAILED tests/test_a.py::test_x - why`.
pub(super) fn parse_text(output: &str) -> ParsedReport {
    let line = Regex::new(r"^(?:(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) )?(\S+\.py(?:::\S+)?)(?: (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b.*| - .*)?$")
        .expect("the pattern is valid");
    let mut tests = BTreeMap::new();
    for found in output.lines().filter_map(|text| line.captures(text.trim_end())) {
        let Some(outcome) = found.get(1).or_else(|| found.get(3)) else { continue };
        let outcome = match outcome.as_str() {
            "PASSED" | "XFAIL" | "XPASS" => TestOutcome::Passed,
            "SKIPPED" => TestOutcome::Skipped,
            _ => TestOutcome::Failed,
        };
        record(&mut tests, found[2].to_owned(), outcome);
    }
    let report = ParsedReport::from_tests(tests);
    match summary_of(output) {
        // What the tests print stands between the names: then some are not read, and a test that is not read did not vanish.
        Some(counts) if counts.total != report.results.total => {
            ParsedReport { results: counts, ..ParsedReport::default() }
        }
        _ => report,
    }
}

/// Reads the counts of the last line: `=== 1 failed, 2 passed in 0.10s ===`.
fn summary_of(output: &str) -> Option<TestResults> {
    let line = Regex::new(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in \d+[\d.:]*s").expect("the pattern is valid");
    let found = output.lines().rev().find_map(|text| line.captures(text.trim()))?;
    let mut counts = TestResults::default();
    for part in found[1].split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: u32 = number.parse().ok()?;
        match what {
            "passed" | "xfailed" | "xpassed" => counts.passed += number,
            "failed" | "error" | "errors" => counts.failed += number,
            "skipped" => counts.skipped += number,
            _ => {}
        }
    }
    counts.total = counts.passed + counts.failed + counts.skipped;
    Some(counts).filter(|counts| counts.total > 0)
}

#[cfg(test)]
mod tests {
    use TestOutcome::{Failed, Passed, Skipped};

    use super::*;

    #[test]
    fn names_are_those_that_pytest_takes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tests")).unwrap();
        std::fs::write(folder.path().join("tests/test_b.py"), "").unwrap();
        let xml = r#"<testsuites><testsuite name="pytest">
            <testcase classname="tests.test_a" name="test_x[1]" file="tests/test_a.py" line="3"/>
            <testcase classname="tests.test_a.TestY.TestZ" name="test_x" file="tests/test_a.py"><failure message="no">the text</failure></testcase>
            <testcase classname="tests.base.Base" name="test_i" file="tests/test_a.py"><skipped/></testcase>
            <testcase classname="" name="tests.test_b"><error message="collection failure">E</error></testcase>
            </testsuite></testsuites>"#;
        let report = parse(xml, folder.path()).unwrap();
        let expected = [
            ("tests.base.Base::test_i", Skipped),
            ("tests/test_a.py::TestY::TestZ::test_x", Failed),
            ("tests/test_a.py::test_x[1]", Passed),
            ("tests/test_b.py", Failed),
        ];
        assert_eq!(report.tests.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect::<Vec<_>>(), expected);
        assert_eq!(report.failures["tests/test_a.py::TestY::TestZ::test_x"], "no\nthe text");
    }

    #[test]
    fn the_text_of_pytest_is_read_too() {
        let output = "tests/test_a.py::test_x PASSED   [ 50%]\ntests/test_a.py::test_y FAILED [100%]\n\
                      FAILED tests/test_a.py::test_y - assert 1 == 2\nERROR tests/test_c.py\nsee a.py for more\n";
        let report = parse_text(output);
        assert_eq!((report.results.passed, report.results.failed), (1, 2), "{:?}", report.tests);
    }

    #[test]
    fn names_that_are_not_all_are_none() {
        let noisy = "tests/a.py::test_x PASSED [ 50%]\ntests/a.py::test_y 127.0.0.1 - GET /\nPASSED [100%]\n==== 2 passed, 1 warning in 0.12s ====\n";
        let report = parse_text(noisy);
        assert_eq!((report.tests.len(), report.results.passed, report.results.total), (0, 2, 2));
        let plain = "tests/a.py::test_x PASSED [100%]\n==== 1 passed in 61.20s (0:01:01) ====\n";
        assert_eq!(parse_text(plain).tests.len(), 1);
    }
}
