//! Parser for `JUnit` XML, as pytest and most other runners write it.

use std::collections::BTreeMap;

use patchwright_core::sandbox::TestOutcome;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{ParsedReport, record};

/// Returns the tests; `None` if the text is not XML or has no test suite.
pub(crate) fn parse(xml: &str) -> Option<ParsedReport> {
    let mut reader = Reader::from_str(xml);
    let mut tests = BTreeMap::new();
    let mut current: Option<(String, TestOutcome)> = None;
    let mut suite = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => match tag.local_name().as_ref() {
                b"testcase" => current = Some((name_of(&tag), TestOutcome::Passed)),
                b"testsuite" | b"testsuites" => suite = true,
                other => mark(&mut current, other),
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                b"testcase" => {
                    record(&mut tests, name_of(&tag), TestOutcome::Passed);
                }
                b"testsuite" | b"testsuites" => suite = true,
                other => mark(&mut current, other),
            },
            Event::End(tag) if tag.local_name().as_ref() == b"testcase" => {
                if let Some((name, outcome)) = current.take() {
                    record(&mut tests, name, outcome);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    suite.then(|| ParsedReport::from_tests(tests))
}

fn mark(current: &mut Option<(String, TestOutcome)>, tag: &[u8]) {
    let outcome = match tag {
        b"failure" | b"error" => TestOutcome::Failed,
        b"skipped" => TestOutcome::Skipped,
        _ => return,
    };
    if let Some((_, current)) = current {
        *current = outcome;
    }
}

fn name_of(tag: &BytesStart<'_>) -> String {
    let attribute = |wanted: &[u8]| {
        let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == wanted)?;
        found.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok().map(std::borrow::Cow::into_owned)
    };
    let name = attribute(b"name").unwrap_or_default();
    match attribute(b"classname").filter(|class| !class.is_empty()) {
        Some(class) => format!("{class}::{name}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_errors_and_skipped_tests_are_distinguished() {
        let xml = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1">
<testcase classname="tests.test_a" name="test_ok" time="0.001" />
<testcase classname="tests.test_a" name="test_bad[a&amp;b]" time="0.1"><failure message="assert 1 == 2">…</failure></testcase>
<testcase classname="" name="tests.test_b"><error message="collection failure">E</error></testcase>
<testcase classname="tests.test_a" name="test_skip"><skipped type="pytest.skip" message="no"/></testcase>
</testsuite></testsuites>"#;
        let parsed = parse(xml).unwrap();
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (1, 2, 1));
        assert_eq!(parsed.tests["tests.test_a::test_bad[a&b]"], TestOutcome::Failed);
        assert_eq!(parsed.tests["tests.test_b"], TestOutcome::Failed);
        assert_eq!(parse("<html></html>"), None);
        assert_eq!(parse("<testsuite><testcase"), None);
    }
}
