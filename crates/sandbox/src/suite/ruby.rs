//! Ruby: `RSpec` and minitest.

use std::collections::BTreeSet;
use std::path::Path;

use super::{RunPlan, SuiteRun, variables, words};
use crate::report::ReportSource;

pub(super) fn is_minitest_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with("_test.rb") || (name.starts_with("test_") && name.ends_with(".rb"))
}

pub(super) fn has_minitest(folder: &Path) -> bool {
    let files = |name: &str| std::fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
    let is_ruby = ["Gemfile", "Rakefile"].iter().any(|name| folder.join(name).is_file())
        || files("").any(|entry| entry.path().extension().is_some_and(|extension| extension == "gemspec"));
    is_ruby && files("test").filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.ends_with(".rb"))
}

pub(super) fn plan_rspec(run: &SuiteRun<'_>) -> RunPlan {
    let mut args = words("--format progress --no-color --format json --out");
    args.push(run.report_file("report.json"));
    // A name is `spec/file_spec.rb > description`.
    let files_of = |tests: &[String]| {
        let files: BTreeSet<&str> = tests.iter().filter_map(|name| name.split(" > ").next()).collect();
        files.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let selected = run.tests().map(files_of).or_else(|| run.part_files());
    args.extend(selected.into_iter().flatten());
    RunPlan::new("rspec", args, variables([("SPEC_OPTS", "")]), ReportSource::Rspec("report.json".to_owned()))
}

pub(super) fn plan_minitest(run: &SuiteRun<'_>) -> RunPlan {
    let files = run.part_files().filter(|files| !files.is_empty());
    let (program, args) = match files {
        Some(files) => {
            let load: Vec<String> =
                files.iter().map(|file| format!("require './{}'", file.replace('\'', ""))).collect();
            let mut args = words("-Itest -Ilib -e");
            args.push(load.join("; "));
            args.extend(words("-- --verbose"));
            ("ruby", args)
        }
        None => ("rake", words("test TESTOPTS=--verbose")),
    };
    RunPlan::new(program, args, variables([]), ReportSource::Any)
}
