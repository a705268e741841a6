//! Parser for `cargo test`: `test NAME ... ok`, after `Running unittests src/lib.rs (target/debug/deps/demo-…)`.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;

use super::{ParsedReport, record};

/// The documentation tests of one item by their lines. A line changes with every edit above it, so it is not in their names.
type ExamplesOfItem = BTreeMap<u32, TestOutcome>;

pub(crate) fn parse(output: &str) -> ParsedReport {
    let mut tests = BTreeMap::new();
    let mut examples: BTreeMap<String, ExamplesOfItem> = BTreeMap::new();
    let mut targets: BTreeMap<String, u32> = BTreeMap::new();
    let mut target = String::new();
    let mut printed: BTreeMap<String, String> = BTreeMap::new();
    let mut section: Option<String> = None;
    for text in output.lines() {
        let line = text.trim();
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            section = Some(format!("{target}::{name}"));
        } else if line == "failures:" {
            section = None;
        }
        if let Some(found) = target_of(line) {
            // Integration tests of two packages can be in files of one name. Cargo runs packages in a stable order.
            let number = *targets.entry(found.clone()).and_modify(|number| *number += 1).or_insert(1);
            target = numbered(&found, number);
        } else if let Some((name, outcome)) = test_line(line) {
            match without_line(name) {
                Some((name, line)) => {
                    examples.entry(format!("{target}::{name}")).or_default().insert(line, outcome);
                }
                None => record(&mut tests, format!("{target}::{name}"), outcome),
            }
        }
        if let Some(section) = &section {
            printed.entry(section.clone()).or_default().push_str(&format!("{text}\n"));
        }
    }
    for (name, outcomes) in examples {
        for (number, outcome) in (1..).zip(outcomes.into_values()) {
            record(&mut tests, numbered(&name, number), outcome);
        }
    }
    let is_broken = output.contains("error: could not compile");
    ParsedReport { is_broken, ..ParsedReport::from_tests(tests).with_failures(printed) }
}

/// Returns the name of a test target: its crate and its file, since every crate has a `src/lib.rs`.
fn target_of(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} doc"));
    }
    let (file, program) = line.strip_prefix("Running ")?.trim_start_matches("unittests ").split_once('(')?;
    let program = program.trim_end_matches(')').rsplit(['/', '\\']).next()?;
    let name = program.rsplit_once('-').map_or(program, |(name, _hash)| name);
    Some(format!("{name} {}", file.trim_end()))
}

/// Splits `src/lib.rs - add (line 3)` into `src/lib.rs - add` and 3.
fn without_line(name: &str) -> Option<(String, u32)> {
    let (before, rest) = name.split_once(" (line ")?;
    let (line, after) = rest.split_once(')')?;
    Some((format!("{before}{after}"), line.parse().ok()?))
}

fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name} #{number}") }
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
            test tests::adds ... FAILED\n\nfailures:\n\n---- tests::adds stdout ----\nleft: 1\n\nfailures:\n    tests::adds\n\n   Doc-tests demo\n\ntest src/lib.rs - add (line 3) ... ok\n";
        let parsed = parse(output);
        assert_eq!(parsed.results.total, 5);
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (3, 1, 1));
        assert_eq!(parsed.tests["it tests/it.rs::tests::adds"], TestOutcome::Failed);
        assert_eq!(parsed.tests["demo src/lib.rs::tests::adds"], TestOutcome::Passed);
        assert_eq!(parsed.failures["it tests/it.rs::tests::adds"], "---- tests::adds stdout ----\nleft: 1");
    }

    #[test]
    fn fault_h_tests_of_one_name_in_two_crates_are_two_tests() {
        let output = "     Running unittests src/lib.rs (/s/target/debug/deps/first_crate-0a)\ntest tests::it_works ... FAILED\n\
            \n     Running tests/all.rs (/s/target/debug/deps/all-1b)\ntest works ... FAILED\n\
            \n     Running unittests src/lib.rs (/s/target/debug/deps/second-2c)\ntest tests::it_works ... ok\n\
            \n     Running tests/all.rs (/s/target/debug/deps/all-3d)\ntest works ... ok\n";
        let parsed = parse(output);
        assert_eq!((parsed.results.passed, parsed.results.failed), (2, 2), "{:?}", parsed.tests);
        assert_eq!(parsed.tests["first_crate src/lib.rs::tests::it_works"], TestOutcome::Failed);
        assert_eq!(parsed.tests["all tests/all.rs #2::works"], TestOutcome::Passed);
    }

    #[test]
    fn fault_h_an_example_in_the_documentation_keeps_its_name_when_its_line_changes() {
        let at = |one: u32, two: u32, later: &str| {
            format!(
                "   Doc-tests demo\n\ntest src/lib.rs - add (line {two}) ... {later}\n\
                 test src/lib.rs - add (line {one}) - compile fail ... ok\ntest src/lib.rs - add (line {one}) ... ok\n"
            )
        };
        let (before, after) = (parse(&at(3, 10, "FAILED")), parse(&at(5, 12, "ok")));
        assert!(before.tests.keys().eq(after.tests.keys()), "{:?} {:?}", before.tests, after.tests);
        assert_eq!(before.tests["demo doc::src/lib.rs - add #2"], TestOutcome::Failed);
        assert_eq!(after.tests["demo doc::src/lib.rs - add #2"], TestOutcome::Passed);
    }
}
