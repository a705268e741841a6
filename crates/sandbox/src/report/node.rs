//! Parser for `npm test` with any runner: TAP (node's test runner, tape, tap), or the symbols and summaries of jest, mocha and
//! vitest.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;
use regex::Regex;

use super::ParsedReport;

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
    let line = Regex::new(r"^( *)(not )?ok \d+(?: -)? (.+?)( # (SKIP|TODO).*)?$").expect("the pattern is valid");
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
        let outcome = match (found.get(2).is_some(), found.get(5).map(|m| m.as_str())) {
            (_, Some("SKIP")) => TestOutcome::Skipped,
            (true, None) => TestOutcome::Failed,
            _ => TestOutcome::Passed,
        };
        let had_children = children.iter().any(|(depth, ..)| *depth > indent);
        for (_, name, outcome) in children.extract_if(.., |(depth, ..)| *depth > indent) {
            tests.insert(name, outcome);
        }
        if !had_children {
            let parents = path.iter().filter(|(depth, _)| *depth < indent).map(|(_, name)| name.as_str());
            let full = parents.chain([&found[3]]).collect::<Vec<_>>().join(" > ");
            children.push((indent, full, outcome));
        }
    }
    tests.extend(children.into_iter().map(|(_, name, outcome)| (name, outcome)));
    tests
}

fn parse_symbols(text: &str) -> BTreeMap<String, TestOutcome> {
    let line = Regex::new(r"^\s*([✓✔√✕✖×○﹣↓])\s+(.+?)(?:\s+\(?[\d.]+ ?m?s\)?)?$").expect("the pattern is valid");
    text.lines()
        .filter_map(|text| line.captures(text))
        .map(|found| {
            let outcome = match &found[1] {
                "✓" | "✔" | "√" => TestOutcome::Passed,
                "✕" | "✖" | "×" => TestOutcome::Failed,
                _ => TestOutcome::Skipped,
            };
            (found[2].to_owned(), outcome)
        })
        .collect()
}

/// Parses `Tests: 1 failed, 2 skipped, 3 passed, 6 total` (jest, vitest) or `3 passing`, `1 failing`, `2 pending` (mocha).
fn parse_summary(text: &str) -> Option<ParsedReport> {
    let count = |pattern: &str, text: &str| -> Option<u32> {
        let regex = Regex::new(pattern).expect("the pattern is valid");
        regex.captures(text).and_then(|found| found[1].parse().ok())
    };
    if let Some(line) = text.lines().rfind(|line| line.trim_start().starts_with("Tests")) {
        let number_of = |outcome: &str| count(&format!(r"(\d+) {outcome}"), line);
        let (passed, failed) = (number_of("passed"), number_of("failed"));
        if passed.or(failed).is_some() {
            let skipped = number_of("skipped").unwrap_or(0) + number_of("todo").unwrap_or(0);
            return Some(ParsedReport::from_counts(passed.unwrap_or(0), failed.unwrap_or(0), skipped));
        }
    }
    let passing = count(r"(?m)^\s*(\d+) passing", text)?;
    let failing = count(r"(?m)^\s*(\d+) failing", text).unwrap_or(0);
    let pending = count(r"(?m)^\s*(\d+) pending", text).unwrap_or(0);
    Some(ParsedReport::from_counts(passing, failing, pending))
}

#[cfg(test)]
mod tests {
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
