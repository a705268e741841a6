//! Parsers for the JSON reports of jest, vitest, mocha and `RSpec`.

use std::collections::BTreeMap;
use std::path::Path;

use patchwright_core::sandbox::TestOutcome;
use serde::Deserialize;

use super::{ParsedReport, record};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Jest {
    test_results: Vec<JestFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JestFile {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: Option<String>,
    assertion_results: Vec<JestTest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JestTest {
    #[serde(default)]
    ancestor_titles: Vec<String>,
    title: String,
    status: String,
    #[serde(default)]
    failure_messages: Option<Vec<String>>,
}

/// jest and vitest. A file that could not be loaded is a failed test with the name of the file.
pub(super) fn parse_jest(text: &str, tree: &Path) -> Option<ParsedReport> {
    let report: Jest = serde_json::from_str(text).ok()?;
    let (mut tests, mut failures) = (BTreeMap::new(), BTreeMap::new());
    for file in report.test_results {
        let path = relative(&file.name, tree);
        if file.assertion_results.is_empty() && file.status == "failed" {
            failures.insert(path.clone(), file.message.unwrap_or_default());
            record(&mut tests, path, TestOutcome::Failed);
            continue;
        }
        for test in file.assertion_results {
            let outcome = match test.status.as_str() {
                "passed" => TestOutcome::Passed,
                "failed" => TestOutcome::Failed,
                _ => TestOutcome::Skipped,
            };
            let titles = test.ancestor_titles.iter().filter(|title| !title.is_empty()).map(String::as_str);
            let name =
                [path.as_str()].into_iter().chain(titles).chain([test.title.as_str()]).collect::<Vec<_>>().join(" > ");
            if let Some(messages) = test.failure_messages.filter(|messages| !messages.is_empty()) {
                failures.insert(name.clone(), messages.join("\n"));
            }
            record(&mut tests, name, outcome);
        }
    }
    Some(ParsedReport::from_tests(tests).with_failures(failures))
}

#[derive(Deserialize)]
struct Mocha {
    passes: Vec<MochaTest>,
    failures: Vec<MochaTest>,
    #[serde(default)]
    pending: Vec<MochaTest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MochaTest {
    full_title: String,
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    err: MochaError,
}

#[derive(Deserialize, Default)]
struct MochaError {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    stack: Option<String>,
}

pub(super) fn parse_mocha(text: &str, tree: &Path) -> Option<ParsedReport> {
    let report: Mocha = serde_json::from_str(text).ok()?;
    let (mut tests, mut failures) = (BTreeMap::new(), BTreeMap::new());
    let outcomes = [
        (report.passes, TestOutcome::Passed),
        (report.pending, TestOutcome::Skipped),
        (report.failures, TestOutcome::Failed),
    ];
    for (list, outcome) in outcomes {
        for test in list {
            let file = test.file.map(|file| relative(&file, tree));
            let name = file.map_or_else(|| test.full_title.clone(), |file| format!("{file} > {}", test.full_title));
            failures.extend(test.err.stack.or(test.err.message).map(|text| (name.clone(), text)));
            record(&mut tests, name, outcome);
        }
    }
    Some(ParsedReport::from_tests(tests).with_failures(failures))
}

#[derive(Deserialize)]
struct Rspec {
    examples: Vec<Example>,
    summary: RspecSummary,
}

#[derive(Deserialize)]
struct RspecSummary {
    #[serde(default)]
    errors_outside_of_examples_count: u32,
}

#[derive(Deserialize)]
struct Example {
    full_description: String,
    status: String,
    file_path: String,
    #[serde(default)]
    exception: Option<RspecException>,
}

#[derive(Deserialize)]
struct RspecException {
    #[serde(default)]
    class: String,
    #[serde(default)]
    message: String,
}

pub(super) fn parse_rspec(text: &str) -> Option<ParsedReport> {
    let report: Rspec = serde_json::from_str(text).ok()?;
    let (mut tests, mut failures) = (BTreeMap::new(), BTreeMap::new());
    for example in report.examples {
        let outcome = match example.status.as_str() {
            "passed" => TestOutcome::Passed,
            "failed" => TestOutcome::Failed,
            _ => TestOutcome::Skipped,
        };
        let name = format!("{} > {}", example.file_path.trim_start_matches("./"), example.full_description);
        failures.extend(example.exception.map(|error| (name.clone(), format!("{}: {}", error.class, error.message))));
        record(&mut tests, name, outcome);
    }
    let is_broken = report.summary.errors_outside_of_examples_count > 0;
    Some(ParsedReport { is_broken, ..ParsedReport::from_tests(tests).with_failures(failures) })
}

/// Returns a path without the folder of the tree.
pub(super) fn relative(path: &str, tree: &Path) -> String {
    Path::new(path).strip_prefix(tree).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use TestOutcome::{Failed, Passed, Skipped};

    use super::*;

    fn outcomes(report: &ParsedReport) -> Vec<(&str, TestOutcome)> {
        report.tests.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect()
    }

    #[test]
    fn jest_names_tests_by_file_and_titles_and_files_that_do_not_load() {
        let text = r#"{"numTotalTests":3,"testResults":[
            {"name":"/w/src/a.test.js","status":"failed","message":"","assertionResults":[
              {"ancestorTitles":["calc"],"title":"adds","status":"failed","failureMessages":["Expected 3"]},
              {"ancestorTitles":[""],"title":"adds","status":"passed","failureMessages":[]},
              {"ancestorTitles":[],"title":"later","status":"todo"}]},
            {"name":"/w/src/b.test.js","status":"failed","message":"Cannot find module","assertionResults":[]}]}"#;
        let report = parse_jest(text, Path::new("/w")).unwrap();
        let expected = [
            ("src/a.test.js > adds", Passed),
            ("src/a.test.js > calc > adds", Failed),
            ("src/a.test.js > later", Skipped),
            ("src/b.test.js", Failed),
        ];
        assert_eq!(outcomes(&report), expected);
        assert_eq!(report.failures["src/a.test.js > calc > adds"], "Expected 3");
        assert_eq!(report.failures["src/b.test.js"], "Cannot find module");
        assert_eq!(parse_jest("{}", Path::new("/w")), None);
    }

    #[test]
    fn mocha_and_rspec_name_tests_by_file_and_title() {
        let text = r#"{"stats":{},"tests":[],"pending":[{"title":"c","fullTitle":"x c","file":"/w/test/a.js"}],
            "failures":[{"title":"b","fullTitle":"x b","file":"/w/test/a.js","err":{"message":"no","stack":"no\n at y"}}],
            "passes":[{"title":"a","fullTitle":"x a","err":{}}]}"#;
        let report = parse_mocha(text, Path::new("/w")).unwrap();
        assert_eq!(outcomes(&report), [("test/a.js > x b", Failed), ("test/a.js > x c", Skipped), ("x a", Passed)]);
        assert_eq!(report.failures["test/a.js > x b"], "no\n at y");
        let text = r#"{"version":"3.12","examples":[
            {"id":"./spec/a_spec.rb[1:1]","full_description":"A adds","status":"failed","file_path":"./spec/a_spec.rb",
             "exception":{"class":"E","message":"no"}},
            {"full_description":"A waits","status":"pending","file_path":"./spec/a_spec.rb"}],
            "summary":{"errors_outside_of_examples_count":1}}"#;
        let report = parse_rspec(text).unwrap();
        assert_eq!(outcomes(&report), [("spec/a_spec.rb > A adds", Failed), ("spec/a_spec.rb > A waits", Skipped)]);
        assert!(report.is_broken);
    }
}
