//! The worker: it executes tasks with its tools through a task session, without access to a store or a forge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use patchwright_core::code_index::CodeIndex;
use patchwright_core::fault::{Fault, error_chain};
use patchwright_core::git::Git;
use patchwright_core::llm::Llm;
use patchwright_core::model_proxy::ModelProxy;
use patchwright_core::progress::{Progress, ProgressSink};
use patchwright_core::sandbox::Sandbox;
use patchwright_core::task_session::{TaskLease, TaskOutcome, TaskSession, TaskSessionError};
use patchwright_core::{CancellationToken, Redactor};
use patchwright_domain::node::Label;

use crate::command::{Preset, builtin_presets};
use crate::context::{StageError, StopReason};
use crate::folder::{discard_folder, discard_leftovers};
use crate::log_shipper;
use crate::run::Run;
use crate::verification::Baselines;

/// How long the rest of a log may take to be sent after its task has ended.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an external program may run unless [`Tools::with_presets`] says otherwise.
const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How long all test runs of a job may take together unless [`Tools::with_verify_timeout`] says otherwise.
const DEFAULT_VERIFY_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The model, and the proxy through which external programs reach it.
#[derive(Clone, Default)]
struct Model {
    llm: Option<Arc<dyn Llm>>,
    proxy: Option<Arc<dyn ModelProxy>>,
}

/// The ports that a worker uses, and the options of its external programs.
///
/// Without [`Tools::with_llm`] issues are analyzed and nothing is changed. Clones share the model: [`Tools::replace_model`] takes
/// effect in all, for the tasks that begin afterwards.
#[derive(Clone)]
pub struct Tools {
    pub(crate) git: Arc<dyn Git>,
    model: Arc<RwLock<Model>>,
    pub(crate) code_index: Arc<dyn CodeIndex>,
    pub(crate) sandbox: Arc<dyn Sandbox>,
    pub(crate) presets: BTreeMap<Label, Preset>,
    pub(crate) command_timeout: Duration,
    pub(crate) verify_timeout: Duration,
    pub(crate) local_folder: Option<PathBuf>,
    pub(crate) baselines: Arc<Baselines>,
    pub(crate) progress: Option<Arc<dyn ProgressSink>>,
    pub(crate) redactor: Redactor,
}

impl Tools {
    /// Tools without a model, with the built-in presets, and with a redactor that knows no secrets.
    pub fn new(git: Arc<dyn Git>, code_index: Arc<dyn CodeIndex>, sandbox: Arc<dyn Sandbox>) -> Self {
        Self {
            git,
            model: Arc::default(),
            code_index,
            sandbox,
            presets: builtin_presets(),
            command_timeout: DEFAULT_COMMAND_TIMEOUT,
            verify_timeout: DEFAULT_VERIFY_TIMEOUT,
            local_folder: None,
            baselines: Arc::default(),
            progress: None,
            redactor: Redactor::default(),
        }
    }

    /// Sets the model.
    #[must_use]
    pub fn with_llm(self, llm: Option<Arc<dyn Llm>>) -> Self {
        self.update_model(|model| model.llm = llm);
        self
    }

    /// Sets the proxy through which external programs reach the model without seeing its key.
    #[must_use]
    pub fn with_model_proxy(self, model_proxy: Option<Arc<dyn ModelProxy>>) -> Self {
        self.update_model(|model| model.proxy = model_proxy);
        self
    }

    /// Sets the external programs that may make the change in place of the built-in stages, and how long one may run.
    #[must_use]
    pub fn with_presets(self, presets: BTreeMap<Label, Preset>, command_timeout: Duration) -> Self {
        Self { presets, command_timeout, ..self }
    }

    /// Sets how long all test runs of a job may take together.
    #[must_use]
    pub fn with_verify_timeout(self, verify_timeout: Duration) -> Self {
        Self { verify_timeout, ..self }
    }

    /// Sets a working copy of the user who runs jobs here. Tests may use its virtual environment, installed packages, and files
    /// that git ignores.
    #[must_use]
    pub fn with_local_folder(self, local_folder: Option<PathBuf>) -> Self {
        Self { local_folder, ..self }
    }

    /// Sets a sink that is notified of the progress of every job.
    #[must_use]
    pub fn with_progress(self, progress: Option<Arc<dyn ProgressSink>>) -> Self {
        Self { progress, ..self }
    }

    /// Sets the redactor that masks secrets in everything that leaves the worker.
    #[must_use]
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Returns the git layer.
    pub fn git(&self) -> &Arc<dyn Git> {
        &self.git
    }

    /// Replaces the model and its proxy, here and in all clones. A task that has begun keeps its model.
    pub fn replace_model(&self, llm: Option<Arc<dyn Llm>>, proxy: Option<Arc<dyn ModelProxy>>) {
        self.update_model(|model| *model = Model { llm, proxy });
    }

    fn update_model(&self, change: impl FnOnce(&mut Model)) {
        change(&mut self.model.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn model(&self) -> Model {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the model, if one is configured.
    pub fn llm(&self) -> Option<Arc<dyn Llm>> {
        self.model().llm
    }

    /// Returns the proxy through which external programs reach the model.
    pub(crate) fn model_proxy(&self) -> Option<Arc<dyn ModelProxy>> {
        self.model().proxy
    }

    /// Returns the sandbox.
    pub fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.sandbox
    }

    /// Returns the redactor.
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").field("model", &self.llm().map(|llm| llm.model())).finish_non_exhaustive()
    }
}

/// Executes one task at a time; several workers may share the tools.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The ports that it uses.
    pub tools: Tools,
    /// The folder under which each task gets a folder of its own.
    pub work_dir: PathBuf,
}

impl Worker {
    /// Executes a task until it ends, `cancel` fires, or the lease is lost; then its folder is removed. Once `shutdown`
    /// has fired, the job is released to the queue.
    ///
    /// Returns the outcome for the caller to report, because the report must outlive the worker; `None` when the lease
    /// is lost or the server cannot be reached.
    pub async fn work(
        &self,
        session: &dyn TaskSession,
        lease: TaskLease,
        cancel: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Option<TaskOutcome> {
        tracing::info!("starting the job");
        let folder = self.work_dir.join(format!("{}-{}", lease.job, lease.epoch));
        // Earlier attempts have lost their lease, and a process that was killed left its folder.
        let earlier = format!("{}-", lease.job);
        // Of tasks, `JOB-EPOCH`, and of reports, `JOB-EPOCH-report-…`.
        let epoch_of = |name: &str| name.strip_prefix(&earlier)?.split('-').next()?.parse().ok();
        discard_leftovers(&self.work_dir, |name| epoch_of(name).is_some_and(|epoch: u64| epoch < lease.epoch)).await;
        let (log, shipper) = log_shipper::channel();
        let progress = match &self.tools.progress {
            Some(sink) => Progress::new(lease.job, Arc::clone(sink)),
            None => Progress::silent(lease.job),
        };
        let progress = progress.with_log(log);
        let done = CancellationToken::new();
        let work = async {
            let end = tokio::select! {
                end = self.execute(session, cancel, shutdown, &folder, progress) => end,
                // Without the lease, no report of this worker is accepted.
                () = keep_lease(session, lease.duration) => None,
            };
            // Ends what is still running, such as a test run.
            cancel.cancel();
            done.cancel();
            end
        };
        let ship_log = async {
            tokio::select! {
                () = shipper.run(session, &self.tools.redactor) => {}
                () = async { done.cancelled().await; tokio::time::sleep(LOG_FLUSH_TIMEOUT).await } => {}
            }
        };
        let (end, ()) = tokio::join!(work, ship_log);
        discard_folder(&self.work_dir, folder).await;
        end
    }

    async fn execute(
        &self,
        session: &dyn TaskSession,
        cancel: &CancellationToken,
        shutdown: &CancellationToken,
        folder: &Path,
        progress: Progress,
    ) -> Option<TaskOutcome> {
        progress.set_activity("looking at the repository");
        let model = self.tools.llm().map(|llm| llm.model()).unwrap_or_default();
        let assignment = match session.start(&model).await {
            Ok(assignment) => assignment,
            Err(TaskSessionError::Refused(refusal)) => {
                return Some(TaskOutcome::Failed { refusal, stage: None, usage: patchwright_domain::Usage::default() });
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "failed to start the task");
                return None;
            }
        };
        let limit = assignment.policy.job_timeout;
        let mut run = Run::new(&self.tools, session, assignment, cancel.clone(), progress);
        let stop = match tokio::time::timeout(limit, run.drive(folder)).await {
            Ok(stop) => stop,
            Err(_) => Err(timed_out(limit).into()),
        };
        let stop = match stop {
            Err(StopReason::Failed(_)) if shutdown.is_cancelled() => Err(StopReason::Release),
            other => other,
        };
        run.ending(stop)
    }
}

fn timed_out(limit: Duration) -> StageError {
    let reason = format!("the job was not finished after {} minutes", limit.as_secs() / 60);
    StageError::new(reason, "Raise JOB_TIMEOUT if it needs more, then retry the job.", Fault::Internal)
}

/// Renews the lease while the job runs; returns when the lease is lost.
async fn keep_lease(session: &dyn TaskSession, duration: Duration) {
    loop {
        tokio::time::sleep(duration / 3).await;
        match session.renew_lease().await {
            Ok(()) => {}
            Err(TaskSessionError::LeaseLost) => {
                tracing::info!("lost the lease; stopping");
                return;
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "failed to renew the lease; retrying");
            }
        }
    }
}
