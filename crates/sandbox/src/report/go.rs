//! Parser for `go test -json`: one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};

use patchwright_core::sandbox::TestOutcome;
use serde::Deserialize;

use super::{ParsedReport, record};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    action: &'a str,
    #[serde(default, borrow)]
    package: std::borrow::Cow<'a, str>,
    #[serde(default, borrow)]
    test: std::borrow::Cow<'a, str>,
    #[serde(default, borrow)]
    output: std::borrow::Cow<'a, str>,
}

pub(crate) fn parse(output: &str) -> ParsedReport {
    let mut tests = BTreeMap::new();
    let mut printed: BTreeMap<String, String> = BTreeMap::new();
    let mut built = true;
    let mut with_failed_tests = BTreeSet::new();
    for event in output.lines().filter_map(|line| serde_json::from_str::<Event<'_>>(line).ok()) {
        built &= event.action != "build-fail";
        if event.action == "output" && !event.test.is_empty() {
            printed.entry(format!("{}.{}", event.package, event.test)).or_default().push_str(&event.output);
        }
        let outcome = match event.action {
            "pass" => TestOutcome::Passed,
            "fail" => TestOutcome::Failed,
            "skip" => TestOutcome::Skipped,
            _ => continue,
        };
        if event.test.is_empty() {
            // A package that fails without a failed test was not built, or its program was aborted.
            built &= outcome != TestOutcome::Failed || with_failed_tests.contains(&event.package);
            continue;
        }
        record(&mut tests, format!("{}.{}", event.package, event.test), outcome);
        if outcome == TestOutcome::Failed {
            with_failed_tests.insert(event.package);
        }
    }
    ParsedReport { is_broken: !built, ..ParsedReport::from_tests(tests).with_failures(printed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_event_of_each_test_is_its_outcome() {
        let output = r#"{"Action":"run","Package":"a/b","Test":"TestX"}
{"Action":"pass","Package":"a/b","Test":"TestX","Elapsed":0}
{"Action":"output","Package":"a/b","Test":"TestY/sub_case","Output":"got 2\n"}
{"Action":"fail","Package":"a/b","Test":"TestY/sub_case"}
{"Action":"skip","Package":"a/b","Test":"TestZ"}
{"Action":"fail","Package":"a/b"}
not json
{"ImportPath":"a/c","Action":"build-fail"}"#;
        let parsed = parse(output);
        assert!(parsed.is_broken);
        assert_eq!(parsed.failures["a/b.TestY/sub_case"], "got 2");
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (1, 1, 1));
        assert_eq!(parsed.tests["a/b.TestY/sub_case"], TestOutcome::Failed);
    }

    #[test]
    fn a_package_that_fails_without_a_failed_test_was_not_built() {
        let passed = r#"{"Action":"pass","Package":"a/b","Test":"TestX"}"#;
        let failed = r#"{"Action":"fail","Package":"a/c"}"#;
        assert!(!parse(passed).is_broken && parse(&format!("{passed}\n{failed}")).is_broken);
    }
}
