//! The reports of test runners: machine formats where the runner has one, otherwise its text.

mod cargo;
mod coverage;
mod go;
mod json;
mod junit;
mod node;
mod pytest;
mod trx;
mod unittest;
mod xml;

use std::collections::BTreeMap;
use std::path::Path;

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use patchwright_core::sandbox::TestOutcome;
use patchwright_domain::job::report::TestResults;

use crate::tree::read_below;

/// The largest report that is read.
const MAX_REPORT_BYTES: u64 = 64 << 20;
/// How many report files are read.
const MAX_REPORTS: usize = 10_000;
/// How much of the output of one failed test is kept, in characters, half of it from its end.
const MAX_FAILURE_CHARS: usize = 4_000;
/// The output of how many failed tests is kept.
const MAX_FAILURES: usize = 50;

/// Where the results of a run are. Names of files are below the scratch folder, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportSource {
    /// The output of `cargo test`.
    Cargo,
    /// The output of `go test -json`.
    Go,
    /// The output of `unittest -v`.
    Unittest,
    /// The output of `npm test` with any runner.
    Node,
    /// Whatever the output looks like.
    Any,
    /// `JUnit` XML of pytest.
    Pytest(String),
    /// `JUnit` XML of node's runner.
    NodeJunit(String),
    /// `JUnit` XML in files of the suite's folder, by patterns.
    Junit(Vec<String>),
    JunitInScratch(String),
    /// JSON of jest or vitest.
    Jest(String),
    Mocha(String),
    Rspec(String),
    /// TRX files in this folder.
    Trx(String),
}

/// The tests of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ParsedReport {
    pub(crate) tests: BTreeMap<String, TestOutcome>,
    pub(crate) results: TestResults,
    /// The output of failed tests.
    pub(crate) failures: BTreeMap<String, String>,
    /// Whether something could not be built or loaded, as far as the report shows it.
    pub(crate) is_broken: bool,
}

/// Reads the report of a run.
pub(crate) struct ReportReader<'a> {
    pub(crate) output: &'a str,
    pub(crate) exit_code: Option<i32>,
    pub(crate) scratch: &'a Path,
    /// The suite's folder on this machine.
    pub(crate) folder: &'a Path,
    /// The tree as the command saw it. It does not appear in names.
    pub(crate) tree: &'a Path,
}

impl ReportReader<'_> {
    pub(crate) fn read(&self, source: &ReportSource) -> ParsedReport {
        let mut report = self.read_tests(source);
        report.results.coverage = coverage::find(self.output);
        report
    }

    fn read_tests(&self, source: &ReportSource) -> ParsedReport {
        match source {
            ReportSource::Cargo => cargo::parse(self.output),
            ReportSource::Go => go::parse(self.output),
            ReportSource::Unittest => unittest::parse(self.output),
            ReportSource::Node => node::parse(self.output),
            ReportSource::Any => self.read_any(),
            ReportSource::Pytest(file) => {
                let report = self.parse_file(file, |text| pytest::parse(text, self.folder));
                // 0: all passed, 1: some failed, 5: there are none. Otherwise pytest was interrupted or failed itself.
                let is_broken = !matches!(self.exit_code, Some(0 | 1 | 5));
                ParsedReport { is_broken, ..report }
            }
            ReportSource::NodeJunit(file) => {
                self.parse_file(file, |text| junit::parse(text, &junit::Naming::Nested(self.tree)))
            }
            ReportSource::JunitInScratch(file) => {
                self.parse_file(file, |text| junit::parse(text, &junit::Naming::Class))
            }
            ReportSource::Junit(patterns) => {
                read_files(self.folder, patterns, |text| junit::parse(text, &junit::Naming::Class))
            }
            ReportSource::Jest(file) => self.parse_file(file, |text| json::parse_jest(text, self.tree)),
            ReportSource::Mocha(file) => self.read_mocha(file),
            ReportSource::Rspec(file) => self.parse_file(file, json::parse_rspec),
            ReportSource::Trx(folder) => read_files(self.scratch, &[format!("{folder}/*.trx")], trx::parse),
        }
    }

    /// A report that is missing or cannot be read is one of a broken run.
    fn parse_file(&self, file: &str, parse: impl Fn(&str) -> Option<ParsedReport>) -> ParsedReport {
        let broken = ParsedReport { is_broken: true, ..ParsedReport::default() };
        read_text(self.scratch, Path::new(file)).and_then(|text| parse(&text)).unwrap_or(broken)
    }

    /// Before version 9.2, mocha knows no file for its report and prints it.
    fn read_mocha(&self, file: &str) -> ParsedReport {
        let written = read_text(self.scratch, Path::new(file)).and_then(|text| json::parse_mocha(&text, self.tree));
        let printed = || {
            let from = self.output.find("{\n  \"stats\"")?;
            let to = self.output[from..].rfind("\n}")? + from + 2;
            json::parse_mocha(&self.output[from..to], self.tree)
        };
        let broken = ParsedReport { is_broken: true, ..ParsedReport::default() };
        written.or_else(printed).unwrap_or(broken)
    }

    /// Takes the format that gives the most tests.
    fn read_any(&self) -> ParsedReport {
        let formats = [go::parse, cargo::parse, unittest::parse, pytest::parse_text, node::parse];
        let mut best = ParsedReport::default();
        for parse in formats {
            let parsed = parse(self.output);
            if (parsed.tests.len(), parsed.results.total) > (best.tests.len(), best.results.total) {
                best = parsed;
            }
        }
        best
    }
}

/// Reads the reports in a folder whose paths fit one of the patterns.
fn read_files(folder: &Path, patterns: &[String], parse: impl Fn(&str) -> Option<ParsedReport>) -> ParsedReport {
    let mut all = ParsedReport::default();
    let mut overrides = OverrideBuilder::new(folder);
    let has_patterns = patterns.iter().all(|pattern| overrides.add(pattern).is_ok());
    let Some(overrides) = overrides.build().ok().filter(|_| has_patterns) else { return all };
    let walk = WalkBuilder::new(folder).standard_filters(false).overrides(overrides).build();
    let files = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())).take(MAX_REPORTS);
    for file in files {
        let Ok(path) = file.path().strip_prefix(folder) else { continue };
        let Some(parsed) = read_text(folder, path).and_then(|text| parse(&text)) else { continue };
        parsed.tests.into_iter().for_each(|(name, outcome)| record(&mut all.tests, name, outcome));
        all.failures.extend(parsed.failures);
    }
    ParsedReport::from_tests(all.tests).with_failures(all.failures)
}

fn read_text(folder: &Path, path: &Path) -> Option<String> {
    let bytes = read_below(folder, path, MAX_REPORT_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Adds the outcome of a test. Of two tests with one name, the worse outcome counts: a pass must not hide a failure.
pub(crate) fn record(tests: &mut BTreeMap<String, TestOutcome>, name: String, outcome: TestOutcome) {
    let known = tests.entry(name).or_insert(outcome);
    if severity(outcome) > severity(*known) {
        *known = outcome;
    }
}

const fn severity(outcome: TestOutcome) -> u8 {
    match outcome {
        TestOutcome::Skipped => 0,
        TestOutcome::Passed => 1,
        TestOutcome::Failed => 2,
    }
}

/// Shortens the output of a failed test in its middle.
fn shorten_failure(text: &str) -> String {
    let text = text.trim();
    let count = text.chars().count();
    if count <= MAX_FAILURE_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(MAX_FAILURE_CHARS / 2).collect();
    let tail: String = text.chars().skip(count - MAX_FAILURE_CHARS / 2).collect();
    format!("{head}\n[…]\n{tail}")
}

impl ParsedReport {
    /// Creates a report from named tests, and counts them.
    pub(crate) fn from_tests(tests: BTreeMap<String, TestOutcome>) -> Self {
        let count = |kind: TestOutcome| {
            u32::try_from(tests.values().filter(|outcome| **outcome == kind).count()).unwrap_or(u32::MAX)
        };
        let (passed, failed, skipped) =
            (count(TestOutcome::Passed), count(TestOutcome::Failed), count(TestOutcome::Skipped));
        let results = TestResults { passed, failed, skipped, coverage: None, total: passed + failed + skipped };
        Self { tests, results, ..Self::default() }
    }

    /// Creates a report from the counts of a summary, without names.
    pub(crate) fn from_counts(passed: u32, failed: u32, skipped: u32) -> Self {
        let total = passed + failed + skipped;
        Self { results: TestResults { passed, failed, skipped, coverage: None, total }, ..Self::default() }
    }

    /// Adds the output of failed tests.
    #[must_use]
    pub(crate) fn with_failures(mut self, failures: impl IntoIterator<Item = (String, String)>) -> Self {
        let kept = failures.into_iter().filter(|(name, _)| self.tests.get(name) == Some(&TestOutcome::Failed));
        self.failures = kept.take(MAX_FAILURES).map(|(name, text)| (name, shorten_failure(&text))).collect();
        self
    }
}
