//! The four stages. Each takes its context and returns its outcome; none writes to the store.

mod external;
mod fix;
mod locate;
mod propose;
mod rebase;
pub(crate) mod verify;

use patchwright_domain::job::report::{StageReport, VerifyReport};
use patchwright_domain::job::stage::StageKind;

use crate::context::{StageContext, StageError};

/// The outcome of a stage.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A report, and its text for users.
    Done { report: Box<StageReport>, comment: String },
    /// The stage was not needed or could not run.
    Skipped { reason: String },
    /// The verification failed.
    SendBack { feedback: String, report: Box<VerifyReport> },
}

impl Outcome {
    fn done(report: StageReport, comment: String) -> Self {
        Self::Done { report: Box::new(report), comment }
    }

    fn without_model() -> Self {
        Self::Skipped { reason: "no model is configured".to_owned() }
    }
}

/// Runs a stage.
pub(crate) async fn run_stage(kind: StageKind, context: &StageContext<'_>) -> Result<Outcome, StageError> {
    // A program that makes the change is told where to look, as the model is.
    if let Some(command) = &context.job.command
        && (kind == StageKind::Propose || (kind == StageKind::Locate && context.job.is_rebase()))
    {
        return Ok(Outcome::Skipped { reason: format!("`{command}` makes the change") });
    }
    match kind {
        StageKind::Locate => locate::run(context).await,
        StageKind::Propose => propose::run(context).await,
        StageKind::Fix if context.job.is_rebase() => rebase::run(context).await,
        StageKind::Fix => fix::run(context).await,
        StageKind::Verify => verify::run(context).await,
    }
}
