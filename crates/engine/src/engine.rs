//! The engine: its ports, its settings, and the jobs that are running in this process.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::clock::{Clock, IdSource};
use patchwright_core::forge::Forge;
use patchwright_core::ledger::{DayBudgets, Ledger};
use patchwright_core::meter::Meter;
use patchwright_core::model_calls::ModelCalls;
use patchwright_core::nodes::Nodes;
use patchwright_core::notifications::Notices;
use patchwright_core::repositories::RepositoryPolicies;
use patchwright_core::store::{ConcurrencyLimits, Store, StoreError};
use patchwright_core::striped_locks::StripedLocks;
use patchwright_core::task_log::TaskLogs;
use patchwright_core::task_session::{DEFAULT_FIX_STEPS, DEFAULT_FIX_WINDOW, ReportFiles, TaskPolicy};
use patchwright_core::tracker::Tracker;
use patchwright_core::webhook::WebhookDecoder;
use patchwright_domain::job::report::ReadyWhen;
use patchwright_domain::money::Budget;
use patchwright_domain::node::{Label, WorkCommand};
use patchwright_domain::protected::EditablePaths;
use patchwright_domain::trigger::{AllowLists, Language};
use patchwright_domain::{IssueRef, Job, JobId, PlatformId, SandboxGrants};
use tokio::sync::{broadcast, watch};

use crate::auto_rebase::AutoRebase;
use crate::builder::EngineBuilder;
use crate::intake::{RateLimiters, TriggerLimits};
use crate::jira::JiraPorts;
use crate::marker::MarkerKey;
use patchwright_worker::Tools;

/// The ports of an engine.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) notices: Arc<dyn Notices>,
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) logs: Arc<dyn TaskLogs>,
    pub(crate) calls: Arc<dyn ModelCalls>,
    pub(crate) policies: Arc<dyn RepositoryPolicies>,
    pub(crate) meter: Arc<dyn Meter>,
    pub(crate) forges: HashMap<PlatformId, Arc<dyn Forge>>,
    /// The trackers that are not forges.
    pub(crate) trackers: HashMap<PlatformId, Arc<dyn Tracker>>,
    pub(crate) jira: Option<JiraPorts>,
    pub(crate) webhooks: HashMap<PlatformId, Arc<dyn WebhookDecoder>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// The tools of the workers in this process.
    pub(crate) tools: Tools,
}

/// Which users may start jobs without being on the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerPermission {
    /// Users with push permission on the repository.
    Write,
    /// Anyone who can comment.
    Anyone,
}

/// The response to actors who are not on the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowListMode {
    /// 403
    Forbid,
    /// 200; the delivery is ignored.
    Ignore,
}

/// The settings of the engine.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, with its own name")]
pub struct Settings {
    /// The name that users mention, without `@`.
    pub app_name: String,
    /// The logins of the server's own accounts: their comments start nothing, and an issue assigned to one starts a
    /// job.
    pub own_logins: Vec<String>,
    /// The language of all texts on forges and trackers; `None` writes in that of each request.
    pub language: Option<Language>,
    /// The label that starts a job.
    pub label: String,
    /// Whether an opened issue whose text mentions the app with a command starts a job.
    pub trigger_on_open: bool,
    /// Whether a review that requests changes on a pull request of this server starts a follow-up without a mention.
    pub review_follow_ups: bool,
    /// The actors and repositories that may start jobs.
    pub allow: AllowLists,
    /// The response to all others.
    pub allow_mode: AllowListMode,
    /// Which users may start jobs without being on the allow-list.
    pub permission: TriggerPermission,
    /// The rate limits of requests.
    pub limits: TriggerLimits,
    /// Whether the `agent/*` files are committed.
    pub report_files: ReportFiles,
    /// The model budget of one job.
    pub budget: Budget,
    /// The daily model budgets of each repository and of all jobs together.
    pub day_budgets: DayBudgets,
    /// The limits on concurrent jobs of one repository and of one user.
    pub share: ConcurrencyLimits,
    /// How long one worker may spend on one job.
    pub job_timeout: Duration,
    /// The largest response of the model, in tokens.
    pub max_answer_tokens: Option<u32>,
    /// How many attempts a fix may take that the tests do not prove.
    pub fix_attempts: u32,
    /// How often the model may answer in one attempt.
    pub fix_steps: u32,
    /// How long the conversation about a fix may grow before what was looked at first is left out, in tokens.
    pub fix_window: u32,
    /// The model that reads a change before it is tested; none if nobody does.
    pub review_model: Option<String>,
    /// Whether prompts and answers of the model are kept for users to read.
    pub keep_model_calls: bool,
    /// Whether every plan needs approval before anything is changed.
    pub review_plans: bool,
    /// How often a job is tried before it fails.
    pub max_attempts: u32,
    /// The wait before the first retry of a job; it doubles. Effects wait a sixth of it.
    pub first_backoff: Duration,
    /// The duration of a lease: without a renewal, another worker takes over the job.
    pub lease: Duration,
    /// How long a third-party node may work on a task without a word, if it cannot be asked how it is.
    pub node_silent_limit: Duration,
    /// How many jobs run in this process at once.
    pub slots: usize,
    /// The capabilities of this process that jobs can require.
    pub labels: BTreeSet<Label>,
    /// The folder of the working copies.
    pub work_dir: PathBuf,
    /// The name of the author of commits.
    pub author_name: String,
    /// Whether commits are signed off by their author (`Signed-off-by`).
    pub sign_off: bool,
    /// The protected files that jobs may change.
    pub editable_paths: EditablePaths,
    /// What makes a pull request ready for review.
    pub ready_when: ReadyWhen,
    /// When the server rebases the branch of an open pull request by itself.
    pub auto_rebase: AutoRebase,
    /// Where branches are pushed.
    pub push_to: PushTo,
    /// The e-mail address of the author of commits.
    pub author_email: String,
    /// The URL of this server's pages, for links.
    pub public_url: Option<String>,
}

impl Settings {
    /// Returns the defaults, with working copies under a folder.
    pub fn new(work_dir: PathBuf) -> Self {
        Self {
            app_name: "patchwright".to_owned(),
            own_logins: Vec::new(),
            language: None,
            label: "patchwright".to_owned(),
            trigger_on_open: false,
            review_follow_ups: false,
            allow: AllowLists::default(),
            allow_mode: AllowListMode::Forbid,
            permission: TriggerPermission::Write,
            limits: TriggerLimits::default(),
            report_files: ReportFiles::WhenAnalysisOnly,
            budget: Budget { max_tokens: 400_000, max_calls: 60, max_cost_micros: 0 },
            day_budgets: DayBudgets::default(),
            share: ConcurrencyLimits::default(),
            job_timeout: Duration::from_secs(2 * 3600),
            max_answer_tokens: Some(8_192),
            fix_attempts: 2,
            fix_steps: DEFAULT_FIX_STEPS,
            fix_window: DEFAULT_FIX_WINDOW,
            review_model: None,
            keep_model_calls: true,
            review_plans: false,
            max_attempts: 3,
            first_backoff: Duration::from_secs(30),
            lease: Duration::from_secs(40),
            node_silent_limit: Duration::from_secs(2 * 3600),
            slots: 1,
            labels: BTreeSet::from([WorkCommand::Rebase.label(), Label::verification()]),
            work_dir,
            author_name: "patchwright".to_owned(),
            sign_off: false,
            editable_paths: EditablePaths::default(),
            ready_when: ReadyWhen::default(),
            auto_rebase: AutoRebase::default(),
            push_to: PushTo::default(),
            author_email: "patchwright@users.noreply.localhost".to_owned(),
            public_url: None,
        }
    }

    /// Returns the policy for tasks.
    pub(crate) fn task_policy(&self) -> TaskPolicy {
        TaskPolicy {
            budget: self.budget,
            job_timeout: self.job_timeout,
            max_answer_tokens: self.max_answer_tokens,
            fix_attempts: self.fix_attempts,
            fix_steps: self.fix_steps,
            fix_window: self.fix_window,
            review_model: self.review_model.clone(),
            report_files: self.report_files,
            keep_model_calls: self.keep_model_calls,
            author_name: self.author_name.clone(),
            author_email: self.author_email.clone(),
            co_author: None,
            sign_off: self.sign_off,
            test_command: None,
            grants: SandboxGrants::default(),
            editable_paths: self.editable_paths.clone(),
            ready_when: self.ready_when,
        }
    }
}

/// Where the branches of jobs are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushTo {
    /// To the repository.
    #[default]
    Branch,
    /// To a fork of this server's account, which then needs no write access to the repository.
    Fork,
}

/// The use cases.
pub struct Engine {
    pub(crate) ports: Ports,
    settings: RwLock<Arc<Settings>>,
    pub(crate) marker: MarkerKey,
    pub(crate) rate_limiters: RateLimiters,
    running: Mutex<HashMap<JobId, CancellationToken>>,
    /// The tasks whose branch reports are processed: the stages that two reports write must not mix.
    pub(crate) branch_reports: StripedLocks,
    wake: watch::Sender<u64>,
    stopped: broadcast::Sender<JobId>,
}

/// How many cancelled jobs a subscriber may lag behind.
const STOPPED: usize = 256;

impl Engine {
    /// Starts building an engine; see [`EngineBuilder`].
    pub fn builder(store: Arc<dyn Store>, tools: Tools, settings: Settings, marker: MarkerKey) -> EngineBuilder {
        EngineBuilder::new(store, tools, settings, marker)
    }

    pub(crate) fn new(ports: Ports, settings: Settings, marker: MarkerKey) -> Self {
        let rate_limiters = RateLimiters::new(settings.limits);
        let (wake, stopped) = (watch::Sender::new(0), broadcast::Sender::new(STOPPED));
        let (running, branch_reports) = (Mutex::default(), StripedLocks::default());
        let settings = RwLock::new(Arc::new(settings));
        Self { ports, settings, marker, rate_limiters, running, branch_reports, wake, stopped }
    }

    /// Returns the settings. What uses several of them for one purpose reads them once, because they can be replaced.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the settings. The rate limits of requests, [`Settings::slots`], [`Settings::labels`] and
    /// [`Settings::work_dir`] stay as the engine was built.
    pub fn replace_settings(&self, settings: Settings) {
        let mut present = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let Settings { slots, limits, .. } = **present;
        let (labels, work_dir) = (present.labels.clone(), present.work_dir.clone());
        *present = Arc::new(Settings { limits, slots, labels, work_dir, ..settings });
    }

    /// Replaces the model and its proxy, for the tasks that begin afterwards in this process.
    pub fn replace_model(
        &self,
        llm: Option<Arc<dyn patchwright_core::llm::Llm>>,
        proxy: Option<Arc<dyn patchwright_core::model_proxy::ModelProxy>>,
    ) {
        self.ports.tools.replace_model(llm, proxy);
    }

    /// Returns the forge of a platform, for callers that read from it before they start a job.
    pub fn forge(&self, platform: &PlatformId) -> Option<&Arc<dyn Forge>> {
        self.ports.forges.get(platform)
    }

    /// Returns the URL of the issue's page in its tracker or on its forge.
    pub fn issue_url(&self, issue: &IssueRef) -> Option<String> {
        match &issue.tracker {
            Some(tracker) => Some(tracker.url()),
            None => self.forge(&issue.platform).map(|forge| forge.issue_url(issue)),
        }
    }

    /// Returns the tracker of an issue, which has its comments.
    pub(crate) fn tracker(&self, issue: &IssueRef) -> Option<Arc<dyn Tracker>> {
        match &issue.tracker {
            Some(tracker) => self.ports.trackers.get(&tracker.platform).cloned(),
            None => self.ports.forges.get(&issue.platform).map(|forge| Arc::clone(forge) as Arc<dyn Tracker>),
        }
    }

    /// Returns the webhook decoder of a platform.
    pub fn webhook(&self, platform: &PlatformId) -> Option<&Arc<dyn WebhookDecoder>> {
        self.ports.webhooks.get(platform)
    }

    /// Returns all webhook decoders.
    pub fn webhooks(&self) -> impl Iterator<Item = &Arc<dyn WebhookDecoder>> {
        self.ports.webhooks.values()
    }

    /// Returns whether a model is configured.
    pub fn has_model(&self) -> bool {
        self.ports.tools.llm().is_some()
    }

    /// Returns a receiver that changes whenever this process writes something that may be work. Each loop has its own
    /// receiver.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    /// Returns the status of a job, for callers that wait for its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.ports.store.job(id).await?.map(|found| found.value))
    }

    /// Returns a request by the id that its delivery was answered with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn request(&self, id: JobId) -> Result<Option<patchwright_domain::Request>, StoreError> {
        self.ports.store.request(id).await
    }

    /// Returns an issue.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issue(
        &self,
        id: patchwright_domain::IssueId,
    ) -> Result<Option<patchwright_domain::Issue>, StoreError> {
        Ok(self.ports.store.issue(id).await?.map(|found| found.value))
    }

    /// Returns the counters of what happens.
    pub fn meter(&self) -> &dyn Meter {
        self.ports.meter.as_ref()
    }

    /// Returns the time of the clock for jobs and leases.
    pub fn now(&self) -> jiff::Timestamp {
        self.ports.clock.now()
    }

    /// Wakes the loops: another process may have written work to the store.
    pub fn notice(&self) {
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Registers a job as running in this process until the returned guard is dropped.
    pub(crate) fn note_running(&self, job: JobId, cancel: CancellationToken) -> RunningNote<'_> {
        self.running.lock().expect("no holder of this lock can panic").insert(job, cancel);
        RunningNote { engine: self, job }
    }

    /// Returns the model, if one is configured.
    pub fn model(&self) -> Option<Arc<dyn patchwright_core::llm::Llm>> {
        self.ports.tools.llm()
    }

    /// Returns the isolation of builds and tests in this process.
    pub fn isolation(&self) -> &'static str {
        self.ports.tools.sandbox().isolation()
    }

    /// Tests how far code is isolated in this process, and returns the same.
    ///
    /// # Errors
    /// The refusal that every run would get.
    pub async fn probe_sandbox(&self) -> Result<&'static str, patchwright_core::sandbox::SandboxError> {
        let sandbox = self.ports.tools.sandbox();
        sandbox.probe().await.map(|()| sandbox.isolation())
    }

    /// Returns how many jobs are running in this process.
    pub fn running_here(&self) -> usize {
        self.running.lock().expect("no holder of this lock can panic").len()
    }

    /// Subscribes to the jobs that are cancelled in this process, for the dispatch to nodes.
    pub fn stopped(&self) -> broadcast::Receiver<JobId> {
        self.stopped.subscribe()
    }

    /// Cancels a job that is running in this process. A job that is running elsewhere stops at its next write, or
    /// earlier if a subscriber of [`Engine::stopped`] notifies its node.
    pub(crate) fn interrupt(&self, job: JobId) {
        // The send fails only without subscribers.
        let _ = self.stopped.send(job);
        if let Some(cancel) = self.running.lock().expect("no holder of this lock can panic").get(&job) {
            cancel.cancel();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("settings", &self.settings()).finish_non_exhaustive()
    }
}

pub(crate) struct RunningNote<'a> {
    engine: &'a Engine,
    job: JobId,
}

impl Drop for RunningNote<'_> {
    fn drop(&mut self) {
        self.engine.running.lock().expect("no holder of this lock can panic").remove(&self.job);
    }
}
