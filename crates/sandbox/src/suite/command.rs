//! A command that the repository or a person names.

use super::{RunPlan, SuiteRun, prepare_line, shell};
use crate::report::ReportSource;

pub(super) fn plan(run: &SuiteRun<'_>) -> Option<RunPlan> {
    let settings = run.suite.settings.as_ref()?;
    let mut args = shell(settings.test.as_deref()?);
    let program = args.remove(0);
    let report = match &settings.report {
        Some(pattern) => ReportSource::Junit(vec![pattern.clone()]),
        None => ReportSource::Any,
    };
    let build = prepare_line(settings);
    Some(RunPlan { build, ..RunPlan::new(program, args, settings.env.clone(), report) })
}
