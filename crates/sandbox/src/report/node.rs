//! Parser for `npm test` with any runner: TAP (node's test runner, tape, tap), or the symbols and summaries of jest, mocha and
//! vitest.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;
use regex::Regex;

use super::{ParsedReport, record};

pub(crate) fn parse(output: &str) -> ParsedReport {
    let text = strip_ansi_codes(output);
    let tap = parse_tap(&text);
    if !tap.is_empty() {
        return ParsedReport::from_tests(tap);
    }
    let tests = parse_symbols(&text);
    let summary = parse_summary(&text);
    match summary {
        // Without `--verbose`, jest lists no tests of files that pass; the summary counts them.
        Some(summary) if summary.results.total as usize != tests.len() => summary,
        _ => ParsedReport::from_tests(tests),
    }
}

fn strip_ansi_codes(text: &str) -> String {
    Regex::new("\x1b\\[[0-9;]*[A-Za-z]").expect("the pattern is valid").replace_all(text, "").into_owned()
}

/// Parses `ok 1 - name`. Nested tests are indented; a parent that only sums up its children is left out.
fn parse_tap(text: &str) -> BTreeMap<String, TestOutcome> {
    let line = Regex::new(r"^( *)(not )?ok \d+(?: -)? (.+?)(?: # ((?i:skip|todo)).*| # time=[\d.]+m?s)?(?: \{)?$")
        .expect("the pattern is valid");
    let mut tests = BTreeMap::new();
    let mut children: Vec<(usize, String, TestOutcome)> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    for text in text.lines() {
        if let Some(name) = text.trim_start().strip_prefix("# Subtest: ") {
            let indent = text.len() - text.trim_start().len();
            path.retain(|(depth, _)| *depth < indent);
            path.push((indent, name.to_owned()));
            continue;
        }
        let Some(found) = line.captures(text) else { continue };
        let indent = found[1].len();
        let directive = found.get(4).map(|directive| directive.as_str().to_ascii_lowercase());
        let outcome = match (found.get(2).is_some(), directive.as_deref()) {
            (_, Some("skip")) => TestOutcome::Skipped,
            (true, None) => TestOutcome::Failed,
            _ => TestOutcome::Passed,
        };
        let had_children = children.iter().any(|(depth, ..)| *depth > indent);
        for (_, name, outcome) in children.extract_if(.., |(depth, ..)| *depth > indent) {
            record(&mut tests, name, outcome);
        }
        if !had_children {
            let parents = path.iter().filter(|(depth, _)| *depth < indent).map(|(_, name)| name.as_str());
            let full = parents.chain([&found[3]]).collect::<Vec<_>>().join(" > ");
            children.push((indent, full, outcome));
        }
    }
    for (_, name, outcome) in children {
        record(&mut tests, name, outcome);
    }
    tests
}

/// Parses `✓ name` under the titles of its suites, and mocha's `1) name` for a failed test and `- name` for one that is not
/// run. mocha and node repeat the failed tests at the end.
fn parse_symbols(text: &str) -> BTreeMap<String, TestOutcome> {
    let result =
        Regex::new(r"^(\s*)([✓✔√✕✖×○﹣↓-]|\d+\))\s+(.+?)(?:\s+\(?[\d.]+ ?m?s\)?)?$").expect("the pattern is valid");
    let summary = Regex::new(r"^\s*\d+ passing").expect("the pattern is valid");
    let mut tests = BTreeMap::new();
    let mut titles: Vec<(usize, &str)> = Vec::new();
    let summary_at = text.lines().position(|line| summary.is_match(line)).unwrap_or(0);
    for (at, line) in text.lines().enumerate().take_while(|(_, line)| *line != "✖ failing tests:") {
        let indent = line.len() - line.trim_start().len();
        let found = result.captures(line);
        let outcome = found.as_ref().and_then(|found| match &found[2] {
            "✓" | "✔" | "√" => Some(TestOutcome::Passed),
            "✕" | "✖" | "×" => Some(TestOutcome::Failed),
            "○" | "﹣" | "↓" => Some(TestOutcome::Skipped),
            // Both are also what other programs print.
            _ if at >= summary_at || indent == 0 => None,
            "-" => Some(TestOutcome::Skipped),
            _ => Some(TestOutcome::Failed),
        });
        titles.retain(|(depth, _)| *depth < indent);
        match (found, outcome) {
            (Some(found), Some(outcome)) => {
                let titles = titles.iter().map(|(_, title)| *title);
                record(&mut tests, titles.chain([&found[3]]).collect::<Vec<_>>().join(" > "), outcome);
            }
            // At the start of a line are words of the tests and the names of files, except after node's mark.
            _ if indent > 0 || line.starts_with("▶ ") => titles.push((indent, title_of(line))),
            _ => {}
        }
    }
    tests
}

/// Returns the title of a suite. node adds its time when it ends.
fn title_of(line: &str) -> &str {
    let title = line.trim().trim_start_matches("▶ ");
    title.rsplit_once(" (").filter(|(_, time)| time.ends_with("ms)")).map_or(title, |(title, _)| title)
}

/// Adds up all lines such as `Tests: 1 failed, 2 skipped, 3 passed, 6 total` (jest, vitest) and `3 passing`, `1 failing`,
/// `2 pending` (mocha): `npm test` may run several suites.
fn parse_summary(text: &str) -> Option<ParsedReport> {
    let count =
        Regex::new(r"(\d+) (passed|passing|failed|failing|skipped|todo|pending)").expect("the pattern is valid");
    let mocha = Regex::new(r"^\s*\d+ (passing|failing|pending)\b").expect("the pattern is valid");
    let (mut passed, mut failed, mut skipped, mut is_complete) = (0, 0, 0, false);
    for line in text.lines().filter(|line| {
        line.trim_start().starts_with("Tests ") || line.trim_start().starts_with("Tests:") || mocha.is_match(line)
    }) {
        for found in count.captures_iter(line) {
            let number: u32 = found[1].parse().unwrap_or(0);
            match &found[2] {
                "passed" | "passing" => (passed, is_complete) = (passed + number, true),
                "failed" => (failed, is_complete) = (failed + number, true),
                "failing" => failed += number,
                _ => skipped += number,
            }
        }
    }
    is_complete.then(|| ParsedReport::from_counts(passed, failed, skipped))
}

#[cfg(test)]
mod tests {
    use TestOutcome::{Failed, Passed, Skipped};

    use super::*;

    fn counts(output: &str) -> (u32, u32, u32) {
        let results = parse(output).results;
        (results.passed, results.failed, results.skipped)
    }

    #[test]
    fn only_the_leaves_of_tap_output_are_counted() {
        let output = "TAP version 13\n# Subtest: calc\n    # Subtest: adds\n    ok 1 - adds\n      ---\n      duration_ms: 1\n      ...\n    # Subtest: divides\n    not ok 2 - divides\n    1..2\nnot ok 1 - calc\n# Subtest: alone\nok 2 - alone # SKIP\n1..2\n# tests 3\n";
        let parsed = parse(output);
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (1, 1, 1));
        assert_eq!(parsed.tests["calc > divides"], TestOutcome::Failed);
    }

    #[test]
    fn fault_h_the_time_that_tap_prints_is_no_part_of_a_name() {
        let parsed = parse(
            "TAP version 14\nok 1 - adds # time=12.5ms\nnot ok 2 - divides # time=3ms\nok 3 - later # skip why\n1..3\n",
        );
        let names: Vec<_> = parsed.tests.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect();
        assert_eq!(names, [("adds", Passed), ("divides", Failed), ("later", Skipped)]);
    }

    #[test]
    fn fault_h_mocha_names_failed_tests_by_number_under_their_suite() {
        let before = "\n  calc\n    1) adds\n    ✔ zero\n\n\n  1 passing (4ms)\n  1 failing\n\n  1) calc\n       adds:\n     AssertionError: -1\n      at x\n";
        let after = "\n  calc\n    ✔ adds (3ms)\n    ✔ zero\n\n\n  2 passing (4ms)\n";
        let (before, after) = (parse(before), parse(after));
        assert_eq!(
            (before.tests["calc > adds"], after.tests["calc > adds"]),
            (TestOutcome::Failed, TestOutcome::Passed)
        );
        assert!(before.tests.keys().eq(after.tests.keys()), "{:?} {:?}", before.tests, after.tests);
    }

    #[test]
    fn fault_h_tests_of_one_name_in_two_suites_are_distinct_and_all_summaries_count() {
        let two = parse("  a\n    ✓ works\n  b\n    ✕ works\n");
        assert_eq!((two.tests["a > works"], two.tests["b > works"]), (TestOutcome::Passed, TestOutcome::Failed));
        let node = "▶ calc\n  ✔ adds (0.5ms)\n  ✖ divides (1.2ms)\n    AssertionError: no\n▶ calc (3ms)\n✔ alone (1ms)\nℹ tests 3\n\n✖ failing tests:\n\ntest at calc.test.js:1:1\n✖ divides (1.2ms)\n";
        let names = parse(node).tests.into_keys().collect::<Vec<_>>();
        assert_eq!(names, ["alone", "calc > adds", "calc > divides"]);
        assert_eq!(counts("Tests:       1 failed, 0 passed, 1 total\n…\nTests:       1 passed, 1 total\n"), (1, 1, 0));
        assert_eq!(counts("  2 passing (5ms)\n  1 failing\n\n  4 passing (1ms)\n  1 pending\n"), (6, 1, 1));
    }

    #[test]
    fn jest_mocha_and_vitest_are_parsed_from_symbols_or_the_summary() {
        assert_eq!(
            counts("  calc\n    ✓ adds (2 ms)\n    ✕ divides (1 ms)\n\nTests:       1 failed, 1 passed, 2 total\n"),
            (1, 1, 0)
        );
        assert_eq!(counts("PASS a.test.js\n\nTests:       1 skipped, 7 passed, 8 total\n"), (7, 0, 1));
        assert_eq!(counts("\n  2 passing (5ms)\n  1 pending\n  1 failing\n"), (2, 1, 1));
        assert_eq!(counts("\u{1b}[32m ✓\u{1b}[0m a\n Tests  1 passed (1)\n"), (1, 0, 0));
        assert_eq!(counts("✔ adds (0.5ms)\n✖ divides (1.2ms)\n﹣ later (0.1ms)\n"), (1, 1, 1));
    }
}
