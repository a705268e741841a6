//! `patchwright doctor`

use std::process::ExitCode;

use patchwright_dashboard::Language;
use patchwright_dashboard::page::Verdict;

use super::CommandResult;
use crate::compose::{Overrides, compose};
use crate::config::Config;
use crate::doctor::examine;
use crate::telemetry;
use crate::terminal::say;

pub(crate) async fn run(config: Config) -> CommandResult {
    telemetry::start(&config, true);
    let app = compose(&config, Overrides::default()).await?;
    let findings = examine(&app, &config).await;
    let words = Language::English.words();
    for finding in &findings {
        let sign = match finding.verdict {
            Verdict::Good => "ok      ",
            Verdict::Warning => "warning ",
            Verdict::Bad => "BAD     ",
        };
        say(&format!("{sign} {:<14} {}", words.subject(finding.subject), finding.said));
        if !finding.remedy.is_empty() {
            say(&format!("{:24}{}", "", finding.remedy));
        }
    }
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
