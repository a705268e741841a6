//! Whoever works on tasks: the server itself, or a node on another machine. It knows its tools and a desk, and neither
//! store nor forge.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::code_index::CodeIndex;
use patchwright_core::desk::{Desk, DeskError, Hold, TaskEnd};
use patchwright_core::fault::Fault;
use patchwright_core::git::Git;
use patchwright_core::llm::Llm;
use patchwright_core::model_gate::ModelGate;
use patchwright_core::progress::{Progress, ProgressSink};
use patchwright_core::sandbox::Sandbox;
use patchwright_core::{CancellationToken, Redactor};
use patchwright_domain::node::Label;

use crate::command::Preset;
use crate::diary;
use crate::pipeline::{Run, remove_folder};
use crate::run::{StageError, Stop, words};

/// How long the rest of a log may take once its task has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a worker works with.
#[derive(Clone)]
pub struct Tools {
    /// Working copies.
    pub git: Arc<dyn Git>,
    /// The model; `None` when none is configured.
    pub llm: Option<Arc<dyn Llm>>,
    /// The file ranking.
    pub code_index: Arc<dyn CodeIndex>,
    /// Builds and tests.
    pub sandbox: Arc<dyn Sandbox>,
    /// Lends the model to programs; `None` when there is none to lend.
    pub model_gate: Option<Arc<dyn ModelGate>>,
    /// Programs that may make the change in place of the built-in stages.
    pub presets: BTreeMap<Label, Preset>,
    /// How long such a program may take.
    pub command_timeout: Duration,
    /// Who watches; `None` when nobody does.
    pub progress: Option<Arc<dyn ProgressSink>>,
    /// Masks secrets in all that leaves.
    pub redactor: Redactor,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").field("model", &self.llm.as_ref().map(|llm| llm.model())).finish_non_exhaustive()
    }
}

/// Works on one task at a time; many of them may share the tools.
#[derive(Debug, Clone)]
pub struct Worker {
    /// What it works with.
    pub tools: Tools,
    /// Where working copies are made.
    pub work_dir: PathBuf,
}

impl Worker {
    /// Works on a task until it ends, `cancel` fires, or the hold is lost; then everything that it left on the disk is
    /// removed. While `shutdown` fires the job is handed back. Returns how it ended, where there is something to tell,
    /// which the caller tells the desk: here nothing is kept over a restart.
    pub async fn work(
        &self,
        desk: &dyn Desk,
        hold: Hold,
        cancel: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Option<TaskEnd> {
        tracing::info!("the job is taken up");
        let folder = self.work_dir.join(format!("{}-{}", hold.job, hold.epoch));
        let (log, pages) = diary::open();
        let progress = match &self.tools.progress {
            Some(sink) => Progress::new(hold.job, Arc::clone(sink)),
            None => Progress::silent(hold.job),
        };
        let progress = progress.with_log(log);
        let done = CancellationToken::new();
        let work = async {
            let end = tokio::select! {
                end = self.begun(desk, hold, cancel, shutdown, &folder, progress) => end,
                // Whatever this worker does from here on is worth nothing.
                () = keep_lease(desk, hold.lease) => None,
            };
            // What was left half-way, such as a test run, ends now.
            cancel.cancel();
            done.cancel();
            end
        };
        let ship = async {
            tokio::select! {
                () = pages.ship(desk, &self.tools.redactor) => {}
                () = async { done.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => {}
            }
        };
        let (end, ()) = tokio::join!(work, ship);
        remove_folder(folder).await;
        end
    }

    async fn begun(
        &self,
        desk: &dyn Desk,
        hold: Hold,
        cancel: &CancellationToken,
        shutdown: &CancellationToken,
        folder: &std::path::Path,
        progress: Progress,
    ) -> Option<TaskEnd> {
        progress.doing("looking at the repository");
        let model = self.tools.llm.as_ref().map(|llm| llm.model()).unwrap_or_default();
        let given = match desk.begin(&model).await {
            Ok(given) => given,
            Err(DeskError::Refused(refusal)) => {
                return Some(TaskEnd::Failed { refusal, stage: None, usage: patchwright_domain::Usage::default() });
            }
            Err(error) => {
                tracing::warn!(error = %words(&error), "the task could not be begun");
                return None;
            }
        };
        let limit = given.terms.job_timeout;
        let mut run = Run::new(&self.tools, desk, hold, given, cancel.clone(), progress);
        let stop = match tokio::time::timeout(limit, run.drive(folder)).await {
            Ok(stop) => stop,
            Err(_) => Err(took_too_long(limit).into()),
        };
        let stop = match stop {
            Err(Stop::Failed(_)) if shutdown.is_cancelled() => Err(Stop::HandBack),
            other => other,
        };
        run.ending(stop)
    }
}

fn took_too_long(limit: Duration) -> StageError {
    let reason = format!("it was not done after {} minutes", limit.as_secs() / 60);
    StageError::new(reason, "Raise JOB_TIMEOUT if it needs more, then retry the job.", Fault::Broken)
}

/// Renews the lease while the job runs; returns when it cannot.
async fn keep_lease(desk: &dyn Desk, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match desk.renew().await {
            Ok(()) => {}
            Err(DeskError::Gone) => {
                tracing::info!("the job is not this worker's any more");
                return;
            }
            Err(error) => {
                tracing::warn!(error = %words(&error), "the lease could not be renewed; it is tried again");
            }
        }
    }
}
