//! `patchwright doctor`

use std::process::ExitCode;

use patchwright_core::Secret;
use patchwright_core::fault::error_chain;
use patchwright_dashboard::Language;
use patchwright_management::{Diagnostics as _, Finding, Severity, Subject, generate_secret};

use super::CommandResult;
use crate::compose::{ComposeError, Overrides, compose};
use crate::config::Config;
use crate::doctor::Doctor;
use crate::telemetry;
use crate::terminal::say;

pub(crate) async fn run(config: Config) -> CommandResult {
    telemetry::start(&config, true);
    let findings = match compose(&config, Overrides::default()).await {
        Ok(app) => Doctor::new(app).check_all().await,
        Err(error) => check_without_database(config, &error).await,
    };
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

/// Checks everything but the database, over an empty one of its own.
async fn check_without_database(mut config: Config, error: &ComposeError) -> Vec<Finding> {
    // A name that nobody can have taken before, because the folder for temporary files is everybody's.
    let folder = std::env::temp_dir().join(generate_secret("patchwright-doctor-"));
    config.data_dir.clone_from(&folder);
    config.database_url = Secret::new(format!("sqlite://{}", folder.join("empty.db").display()));
    let app = compose(&config, Overrides::default()).await;
    let others = match app {
        Ok(app) => Doctor::new(app).check_all().await,
        Err(_) => Vec::new(),
    };
    let removed = std::fs::remove_dir_all(&folder);
    if let Err(error) = removed {
        tracing::debug!(%error, "failed to remove the folder of the checks");
    }
    let database = Finding {
        subject: Subject::Database,
        severity: Severity::Error,
        detail: error_chain(error),
        remedy: "Correct what the message names; the other checks were made without this database.".to_owned(),
    };
    let is_other = |finding: &Finding| !matches!(finding.subject, Subject::Database | Subject::Nodes);
    std::iter::once(database).chain(others.into_iter().filter(is_other)).collect()
}
