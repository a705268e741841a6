//! Parser for TRX, the XML of the .NET test platform.

use std::collections::{BTreeMap, HashMap};

use patchwright_core::sandbox::TestOutcome;
use quick_xml::events::BytesStart;

use super::xml::{self, Visitor, attribute};
use super::{ParsedReport, record};

/// Returns the tests by `class::name`; `None` if the text is no TRX.
pub(super) fn parse(xml: &str) -> Option<ParsedReport> {
    let mut reading = Reading::default();
    xml::read(xml, &mut reading)?;
    reading.is_run.then(|| reading.into_report())
}

#[derive(Default)]
struct Reading {
    is_run: bool,
    results: Vec<TestResult>,
    /// The classes of tests, which come after the results, by their ids.
    classes: HashMap<String, String>,
    /// The test whose definition is being read.
    defined: Option<String>,
    in_result: bool,
    in_error: bool,
}

struct TestResult {
    id: String,
    name: String,
    outcome: TestOutcome,
    text: String,
}

impl Visitor for Reading {
    fn open(&mut self, tag: &BytesStart<'_>) {
        let of = |name: &[u8]| attribute(tag, name).unwrap_or_default();
        match tag.local_name().as_ref() {
            b"TestRun" => self.is_run = true,
            b"UnitTestResult" => {
                let outcome = match of(b"outcome").as_str() {
                    "Passed" | "Warning" => TestOutcome::Passed,
                    "NotExecuted" | "Inconclusive" | "NotRunnable" => TestOutcome::Skipped,
                    _ => TestOutcome::Failed,
                };
                let (id, name) = (of(b"testId"), of(b"testName"));
                self.results.push(TestResult { id, name, outcome, text: String::new() });
                self.in_result = true;
            }
            b"Message" | b"StackTrace" => self.in_error = self.in_result,
            b"UnitTest" => self.defined = Some(of(b"id")),
            b"TestMethod" => {
                if let Some(id) = self.defined.clone() {
                    self.classes.insert(id, of(b"className"));
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, tag: &[u8]) {
        match tag {
            b"UnitTestResult" => self.in_result = false,
            b"Message" | b"StackTrace" => {
                self.add("\n");
                self.in_error = false;
            }
            b"UnitTest" => self.defined = None,
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        if let Some(result) = self.results.last_mut().filter(|_| self.in_error) {
            result.text.push_str(text);
        }
    }
}

impl Reading {
    fn into_report(self) -> ParsedReport {
        let (mut tests, mut failures) = (BTreeMap::new(), BTreeMap::new());
        for result in self.results {
            // Some frameworks put the class before the name, and some into the definition alone. Old ones add an assembly.
            let class = self.classes.get(&result.id).and_then(|class| class.split(',').next()).unwrap_or_default();
            let plain = result.name.strip_prefix(class).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&result.name);
            let name = if class.is_empty() { plain.to_owned() } else { format!("{class}::{plain}") };
            if result.outcome == TestOutcome::Failed {
                failures.insert(name.clone(), result.text.trim().to_owned());
            }
            record(&mut tests, name, result.outcome);
        }
        ParsedReport::from_tests(tests).with_failures(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_have_their_class_whichever_framework_wrote_them() {
        let xml = r#"<?xml version="1.0"?><TestRun xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"><Results>
            <UnitTestResult testId="1" testName="Shop.CartTests.Adds(x: 1)" outcome="Failed"><Output><ErrorInfo>
              <Message>Assert.Equal() Failure &lt;5&gt;</Message><StackTrace>at CartTests.cs:7</StackTrace></ErrorInfo></Output></UnitTestResult>
            <UnitTestResult testId="2" testName="Removes" outcome="Passed"><Output><StdOut>noise</StdOut></Output></UnitTestResult>
            <UnitTestResult testId="3" testName="Later" outcome="NotExecuted" />
          </Results><TestDefinitions>
            <UnitTest name="a" id="1"><TestMethod codeBase="x" className="Shop.CartTests" name="Adds" /></UnitTest>
            <UnitTest name="b" id="2"><TestMethod className="Shop.CartTests, Shop" name="Removes" /></UnitTest>
          </TestDefinitions></TestRun>"#;
        let report = parse(xml).unwrap();
        let names: Vec<_> = report.tests.keys().map(String::as_str).collect();
        assert_eq!(names, ["Later", "Shop.CartTests::Adds(x: 1)", "Shop.CartTests::Removes"]);
        assert_eq!((report.results.passed, report.results.failed, report.results.skipped), (1, 1, 1));
        let text = &report.failures["Shop.CartTests::Adds(x: 1)"];
        assert_eq!(text, "Assert.Equal() Failure <5>\nat CartTests.cs:7");
        assert!(parse("<testsuite/>").is_none() && parse("not XML <").is_none());
    }
}
