//! Parser for `python -m unittest -v`: `NAME (CLASS) ... ok`, and the failures at the end.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;

use super::ParsedReport;

pub(crate) fn parse(output: &str) -> ParsedReport {
    let mut tests = BTreeMap::new();
    let mut open: Option<String> = None;
    let mut printed: BTreeMap<String, String> = BTreeMap::new();
    let mut section: Option<String> = None;
    for line in output.lines() {
        let line = line.trim_end();
        if line.starts_with("======") || line.starts_with("Ran ") {
            section = None;
        } else if let Some(section) = &section {
            printed.entry(section.clone()).or_default().push_str(&format!("{line}\n"));
        }
        // With a docstring, the result is on the next line: `test_x (m.C.test_x)`, then `The docstring ... ok`.
        if let Some(name) = test_name(line) {
            open = Some(name);
        }
        if let Some((_, result)) = line.rsplit_once(" ... ").filter(|_| open.is_some()) {
            if let Some(outcome) = outcome_of(result) {
                tests.extend(open.take().map(|name| (name, outcome)));
            }
        } else if let Some(outcome) = outcome_of(line).filter(|_| open.is_some()) {
            // The test printed after `... `, so its result is on a line of its own.
            tests.extend(open.take().map(|name| (name, outcome)));
        } else if let Some(name) = line.strip_prefix("ERROR: ").or_else(|| line.strip_prefix("FAIL: ")) {
            // The report at the end names the failed tests, including those whose result line was interrupted.
            if let Some(name) = test_name(name) {
                tests.insert(name.clone(), TestOutcome::Failed);
                section = Some(name);
            }
        }
    }
    ParsedReport::from_tests(tests).with_failures(printed)
}

/// Parses `test_x (package.module.Class.test_x)`, or `test_x (package.module.Class)` before Python 3.11.
fn test_name(line: &str) -> Option<String> {
    let (method, rest) = line.split_once(" (")?;
    let (class, _) = rest.split_once(')')?;
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if !is_name(method) || !is_name(class) {
        return None;
    }
    let class = class.strip_suffix(&format!(".{method}")).unwrap_or(class);
    Some(format!("{class}.{method}"))
}

fn outcome_of(result: &str) -> Option<TestOutcome> {
    match result.split(' ').next()? {
        "ok" => Some(TestOutcome::Passed),
        "expected" if result == "expected failure" => Some(TestOutcome::Passed),
        "FAIL" | "ERROR" => Some(TestOutcome::Failed),
        "unexpected" if result == "unexpected success" => Some(TestOutcome::Failed),
        "skipped" => Some(TestOutcome::Skipped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_parsed_on_the_same_or_a_later_line() {
        let output = "test_add (tests.test_calc.Calc.test_add) ... ok\n\
            test_div (tests.test_calc.Calc.test_div)\nDividing works. ... FAIL\n\
            test_print (tests.test_calc.Calc.test_print) ... hello\nok\n\
            test_skip (tests.test_calc.Calc) ... skipped 'no reason'\n\
            test_boom (unittest.loader._FailedTest.test_boom) ... ERROR\n\n\
            ======\nFAIL: test_div (tests.test_calc.Calc.test_div)\n------\nTraceback\n\nRan 5 tests in 0.001s\n\nFAILED (failures=1)\n";
        let parsed = parse(output);
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (2, 2, 1));
        assert_eq!(parsed.tests["tests.test_calc.Calc.test_div"], TestOutcome::Failed);
        assert_eq!(parsed.tests["tests.test_calc.Calc.test_skip"], TestOutcome::Skipped);
        assert_eq!(parsed.failures["tests.test_calc.Calc.test_div"], "------\nTraceback");
    }
}
