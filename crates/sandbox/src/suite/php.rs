//! PHP: `PHPUnit`.

use super::{RunPlan, SuiteRun, variables};
use crate::report::ReportSource;

pub(super) fn plan(run: &SuiteRun<'_>) -> RunPlan {
    let own = "vendor/bin/phpunit";
    let program = if run.host_folder().join(own).is_file() {
        run.folder().join(own).display().to_string()
    } else {
        "phpunit".to_owned()
    };
    let mut args = vec!["--log-junit".to_owned(), run.report_file("report.xml"), "--colors=never".to_owned()];
    if let Some(tests) = run.tests() {
        let names: Vec<String> =
            tests.iter().map(|name| regex::escape(name.rsplit("::").next().unwrap_or(name))).collect();
        args.push(format!("--filter=/::({})( .*)?$/", names.join("|")));
    }
    args.extend(run.part_files().unwrap_or_default());
    let report = ReportSource::JunitInScratch("report.xml".to_owned());
    RunPlan::new(program, args, variables([]), report)
}
