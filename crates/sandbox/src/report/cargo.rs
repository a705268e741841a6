//! Parser for `cargo test`: `test NAME ... ok`, after `Running unittests src/lib.rs (…)`.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;

use super::ParsedReport;

pub(crate) fn parse(output: &str) -> ParsedReport {
    let mut tests = BTreeMap::new();
    let mut target = String::new();
    for line in output.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("Running ") {
            // Tests of different targets can have the same name.
            target = rest.trim_start_matches("unittests ").split(" (").next().unwrap_or_default().to_owned();
        } else if let Some(rest) = line.strip_prefix("Doc-tests ") {
            target = format!("doc {rest}");
        } else if let Some((name, outcome)) = test_line(line) {
            tests.insert(format!("{target}::{name}"), outcome);
        }
    }
    ParsedReport::from_tests(tests)
}

fn test_line(line: &str) -> Option<(&str, TestOutcome)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match result.split([' ', ',']).next()? {
        "ok" => TestOutcome::Passed,
        "FAILED" => TestOutcome::Failed,
        "ignored" => TestOutcome::Skipped,
        _ => return None,
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_with_the_same_name_in_two_targets_are_distinct() {
        let output = "   Compiling demo v0.1.0\n     Running unittests src/lib.rs (target/debug/deps/demo-1)\n\nrunning 3 tests\n\
            test tests::adds ... ok\ntest tests::panics - should panic ... ok\ntest slow ... ignored, takes long\n\n\
            test result: ok. 2 passed; 0 failed; 1 ignored\n\n     Running tests/it.rs (target/debug/deps/it-1)\n\
            test tests::adds ... FAILED\n\n   Doc-tests demo\n\ntest src/lib.rs - add (line 3) ... ok\n";
        let parsed = parse(output);
        assert_eq!(parsed.results.total, 5);
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (3, 1, 1));
        assert_eq!(parsed.tests["tests/it.rs::tests::adds"], TestOutcome::Failed);
        assert_eq!(parsed.tests["src/lib.rs::tests::adds"], TestOutcome::Passed);
    }
}
