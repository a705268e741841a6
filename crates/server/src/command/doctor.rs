//! `patchwright doctor`

use std::process::ExitCode;

use patchwright_dashboard::Language;
use patchwright_management::{Diagnostics as _, Severity};

use super::CommandResult;
use crate::compose::{Overrides, compose};
use crate::config::Config;
use crate::doctor::Doctor;
use crate::telemetry;
use crate::terminal::say;

pub(crate) async fn run(config: Config) -> CommandResult {
    telemetry::start(&config, true);
    let app = compose(&config, Overrides::default()).await?;
    let findings = Doctor::new(app, config).check_all().await;
    let translations = Language::English.translations();
    for finding in &findings {
        let severity = match finding.severity {
            Severity::Ok => "ok     ",
            Severity::Warning => "warning",
            Severity::Error => "ERROR  ",
        };
        say(&format!("{severity}  {:<14} {}", translations.subject(finding.subject), finding.detail));
        if !finding.remedy.is_empty() {
            say(&format!("{:24}{}", "", finding.remedy));
        }
    }
    let has_error = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if has_error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
