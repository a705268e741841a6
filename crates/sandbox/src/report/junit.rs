//! Parser for `JUnit` XML.

use std::collections::BTreeMap;
use std::path::Path;

use patchwright_core::sandbox::TestOutcome;
use quick_xml::events::BytesStart;

use super::json::relative;
use super::xml::{self, Visitor, attribute};
use super::{ParsedReport, record};

/// What the name of a test consists of.
pub(super) enum Naming<'a> {
    /// `class::name`
    Class,
    /// `file > suite > name`, where the file is below this folder.
    Nested(&'a Path),
}

/// One test in a report.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) class: Option<String>,
    pub(super) name: String,
    pub(super) file: Option<String>,
    /// The suites around it, outermost first.
    pub(super) suites: Vec<String>,
    pub(super) outcome: TestOutcome,
    /// The message of its failure, and what was printed with it.
    pub(super) text: String,
}

/// Returns the tests; `None` if the text is not XML or has no test suite.
pub(super) fn parse(xml: &str, naming: &Naming<'_>) -> Option<ParsedReport> {
    let (mut tests, mut failures) = (BTreeMap::new(), BTreeMap::new());
    for case in cases(xml)? {
        let name = match naming {
            Naming::Class => match &case.class {
                Some(class) => format!("{class}::{}", case.name),
                None => case.name.clone(),
            },
            Naming::Nested(tree) => {
                let file = case.file.iter().map(|file| relative(file, tree));
                file.chain(case.suites).chain([case.name]).collect::<Vec<_>>().join(" > ")
            }
        };
        if case.outcome == TestOutcome::Failed {
            failures.insert(name.clone(), case.text);
        }
        record(&mut tests, name, case.outcome);
    }
    Some(ParsedReport::from_tests(tests).with_failures(failures))
}

/// Returns the tests in their order; `None` if the text is not XML or has no test suite.
pub(super) fn cases(xml: &str) -> Option<Vec<Case>> {
    let mut reading = Reading::default();
    xml::read(xml, &mut reading)?;
    reading.has_suite.then_some(reading.cases)
}

#[derive(Default)]
struct Reading {
    cases: Vec<Case>,
    current: Option<Case>,
    suites: Vec<String>,
    has_suite: bool,
    /// Whether text belongs to a failure.
    in_failure: bool,
}

impl Reading {
    fn mark(&mut self, outcome: TestOutcome) {
        if let Some(case) = &mut self.current {
            case.outcome = outcome;
        }
    }
}

impl Visitor for Reading {
    fn open(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            b"testsuite" => {
                self.has_suite = true;
                self.suites.push(attribute(tag, b"name").unwrap_or_default());
            }
            b"testsuites" => self.has_suite = true,
            b"testcase" => {
                self.current = Some(Case {
                    class: attribute(tag, b"classname").filter(|class| !class.is_empty()),
                    name: attribute(tag, b"name").unwrap_or_default(),
                    file: attribute(tag, b"file"),
                    suites: self.suites.clone(),
                    outcome: TestOutcome::Passed,
                    text: String::new(),
                });
            }
            b"failure" | b"error" => {
                self.in_failure = true;
                let message = attribute(tag, b"message").unwrap_or_default();
                self.mark(TestOutcome::Failed);
                self.add(&message);
                self.add("\n");
            }
            b"skipped" => self.mark(TestOutcome::Skipped),
            _ => {}
        }
    }

    fn close(&mut self, tag: &[u8]) {
        match tag {
            b"testsuite" => {
                self.suites.pop();
            }
            b"testcase" => {
                let case = self.current.take();
                self.cases.extend(case.map(|case| Case { text: case.text.trim().to_owned(), ..case }));
            }
            b"failure" | b"error" => self.in_failure = false,
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        if let Some(case) = self.current.as_mut().filter(|_| self.in_failure) {
            case.text.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_errors_and_skipped_tests_are_distinguished() {
        let xml = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1">
<testcase classname="tests.test_a" name="test_ok" time="0.001" />
<testcase classname="tests.test_a" name="test_bad[a&amp;b]" time="0.1"><failure message="assert 1 == 2">a &lt; <![CDATA[b]]></failure></testcase>
<testcase classname="" name="tests.test_b"><error message="collection failure">E</error></testcase>
<testcase classname="tests.test_a" name="test_skip"><skipped type="pytest.skip" message="no"/></testcase>
</testsuite></testsuites>"#;
        let parsed = parse(xml, &Naming::Class).unwrap();
        assert_eq!((parsed.results.passed, parsed.results.failed, parsed.results.skipped), (1, 2, 1));
        assert_eq!(parsed.tests["tests.test_a::test_bad[a&b]"], TestOutcome::Failed);
        assert_eq!(parsed.failures["tests.test_a::test_bad[a&b]"], "assert 1 == 2\na < b");
        assert_eq!(parsed.tests["tests.test_b"], TestOutcome::Failed);
        assert_eq!(parse("<html></html>", &Naming::Class), None);
        assert_eq!(parse("<testsuite><testcase", &Naming::Class), None);
    }

    #[test]
    fn nodes_report_nests_suites_and_names_the_file() {
        let xml = r#"<testsuites><testsuite name="calc"><testcase name="adds" classname="test" file="/w/test/a.js"/></testsuite>
            <testcase name="alone" classname="test"><failure type="x"/></testcase></testsuites>"#;
        let parsed = parse(xml, &Naming::Nested(Path::new("/w"))).unwrap();
        assert_eq!(parsed.tests.keys().collect::<Vec<_>>(), ["alone", "test/a.js > calc > adds"]);
    }
}
