//! The engine: ports, settings, and the jobs that run right now.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::clock::{Clock, IdSource};
use patchwright_core::forge::Forge;
use patchwright_core::ledger::{DayBudgets, Ledger};
use patchwright_core::model_calls::ModelCalls;
use patchwright_core::nodes::Nodes;
use patchwright_core::notifications::Notices;
use patchwright_core::store::{ConcurrencyLimits, Store, StoreError};
use patchwright_core::task_log::TaskLogs;
use patchwright_core::task_session::{ReportFiles, TaskPolicy};
use patchwright_core::tracker::Tracker;
use patchwright_core::webhook::WebhookDecoder;
use patchwright_domain::money::Budget;
use patchwright_domain::node::Label;
use patchwright_domain::trigger::AllowLists;
use patchwright_domain::{IssueRef, Job, JobId, PlatformId};
use tokio::sync::{broadcast, watch};

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
    pub(crate) forges: HashMap<PlatformId, Arc<dyn Forge>>,
    /// Trackers that are not forges.
    pub(crate) trackers: HashMap<PlatformId, Arc<dyn Tracker>>,
    pub(crate) jira: Option<JiraPorts>,
    pub(crate) webhooks: HashMap<PlatformId, Arc<dyn WebhookDecoder>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// The tools of the workers in this process.
    pub(crate) tools: Tools,
}

/// Who may start jobs without being named on the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerPermission {
    /// Who may push to the repository.
    Write,
    /// Anyone who can comment.
    Anyone,
}

/// What is answered to those who are not on the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowListMode {
    /// 403
    Forbid,
    /// 200, ignored.
    Ignore,
}

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name that people mention, without `@`.
    pub app_name: String,
    /// Logins of our own accounts: their comments start nothing, and an issue assigned to one starts a job.
    pub own_logins: Vec<String>,
    /// The label that starts a job.
    pub label: String,
    /// Whether an opened issue whose text mentions us with a command starts a job.
    pub trigger_on_open: bool,
    /// Who and what may.
    pub allow: AllowLists,
    /// What others are told.
    pub allow_mode: AllowListMode,
    /// Who else may.
    pub permission: TriggerPermission,
    /// How much may be asked.
    pub limits: TriggerLimits,
    /// Whether the `agent/*` files are committed.
    pub report_files: ReportFiles,
    /// The most that one job may spend on the model.
    pub budget: Budget,
    /// The most that a repository, and all together, may spend on the model in a day.
    pub day_budgets: DayBudgets,
    /// How jobs are shared out among repositories and people.
    pub share: ConcurrencyLimits,
    /// How long one worker may be at one job without a break.
    pub job_timeout: Duration,
    /// The longest answer of the model, in tokens.
    pub max_answer_tokens: Option<u32>,
    /// How often verify may send a fix back.
    pub max_rounds: u32,
    /// Whether what the model is asked and says is kept for people to read.
    pub keep_model_calls: bool,
    /// Whether people read every plan before anything is changed.
    pub review_plans: bool,
    /// How often a job is taken up before it is given up.
    pub max_attempts: u32,
    /// The wait before a job's second try; it doubles. An effect's is a sixth of it.
    pub first_backoff: Duration,
    /// How long a worker may be silent before others take its job.
    pub lease: Duration,
    /// How many jobs run in this process at once.
    pub slots: usize,
    /// What jobs that run in this process may ask for.
    pub labels: BTreeSet<Label>,
    /// Where working copies are made.
    pub work_dir: PathBuf,
    /// The author of commits.
    pub author_name: String,
    /// Their address.
    pub author_email: String,
    /// Where people find this server's pages, for links.
    pub public_url: Option<String>,
}

impl Settings {
    /// The defaults, with working copies under a folder.
    pub fn new(work_dir: PathBuf) -> Self {
        Self {
            app_name: "patchwright".to_owned(),
            own_logins: Vec::new(),
            label: "patchwright".to_owned(),
            trigger_on_open: false,
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
            max_rounds: 2,
            keep_model_calls: true,
            review_plans: false,
            max_attempts: 3,
            first_backoff: Duration::from_secs(30),
            lease: Duration::from_secs(40),
            slots: 1,
            labels: BTreeSet::new(),
            work_dir,
            author_name: "patchwright".to_owned(),
            author_email: "patchwright@users.noreply.localhost".to_owned(),
            public_url: None,
        }
    }

    /// The rules that tasks are worked on by.
    pub(crate) fn task_policy(&self) -> TaskPolicy {
        TaskPolicy {
            budget: self.budget,
            job_timeout: self.job_timeout,
            max_answer_tokens: self.max_answer_tokens,
            max_rounds: self.max_rounds,
            report_files: self.report_files,
            keep_model_calls: self.keep_model_calls,
            author_name: self.author_name.clone(),
            author_email: self.author_email.clone(),
            co_author: None,
        }
    }
}

/// The use cases.
pub struct Engine {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    pub(crate) marker: MarkerKey,
    pub(crate) rate_limiters: RateLimiters,
    running: Mutex<HashMap<JobId, CancellationToken>>,
    wake: watch::Sender<u64>,
    stopped: broadcast::Sender<JobId>,
}

/// How many stopped jobs a listener may be behind.
const STOPPED: usize = 256;

impl Engine {
    /// Starts building an engine; see [`EngineBuilder`].
    pub fn builder(store: Arc<dyn Store>, tools: Tools, settings: Settings, marker: MarkerKey) -> EngineBuilder {
        EngineBuilder::new(store, tools, settings, marker)
    }

    pub(crate) fn new(ports: Ports, settings: Settings, marker: MarkerKey) -> Self {
        let rate_limiters = RateLimiters::new(settings.limits);
        let (wake, stopped) = (watch::Sender::new(0), broadcast::Sender::new(STOPPED));
        Self { ports, settings, marker, rate_limiters, running: Mutex::default(), wake, stopped }
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The forge of a platform, for callers that read from it before they start a job.
    pub fn forge(&self, platform: &PlatformId) -> Option<&Arc<dyn Forge>> {
        self.ports.forges.get(platform)
    }

    /// The issue's page: in its tracker, or on its forge.
    pub fn issue_url(&self, issue: &IssueRef) -> Option<String> {
        match &issue.tracker {
            Some(tracker) => Some(tracker.url()),
            None => self.forge(&issue.platform).map(|forge| forge.issue_url(issue)),
        }
    }

    /// Where people talk about an issue.
    pub(crate) fn tracker(&self, issue: &IssueRef) -> Option<Arc<dyn Tracker>> {
        match &issue.tracker {
            Some(tracker) => self.ports.trackers.get(&tracker.platform).cloned(),
            None => self.ports.forges.get(&issue.platform).map(|forge| Arc::clone(forge) as Arc<dyn Tracker>),
        }
    }

    /// The door of a platform.
    pub fn webhook(&self, platform: &PlatformId) -> Option<&Arc<dyn WebhookDecoder>> {
        self.ports.webhooks.get(platform)
    }

    /// All doors.
    pub fn webhooks(&self) -> impl Iterator<Item = &Arc<dyn WebhookDecoder>> {
        self.ports.webhooks.values()
    }

    /// Whether a model is configured.
    pub fn has_model(&self) -> bool {
        self.ports.tools.llm().is_some()
    }

    /// Changes whenever something is written here that may be work. One receiver for each loop that works.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    /// The status of a job, for callers that wait for its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.ports.store.job(id).await?.map(|found| found.value))
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

    /// The time, as jobs see it.
    pub fn now(&self) -> jiff::Timestamp {
        self.ports.clock.now()
    }

    /// Says that somebody else may have written work to the store.
    pub fn notice(&self) {
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Notes that a job runs in this process; the note goes with the returned guard.
    pub(crate) fn note_running(&self, job: JobId, cancel: CancellationToken) -> RunningNote<'_> {
        self.running.lock().expect("no holder of this lock can panic").insert(job, cancel);
        RunningNote { engine: self, job }
    }

    /// The model, where one is configured.
    pub fn model(&self) -> Option<&Arc<dyn patchwright_core::llm::Llm>> {
        self.ports.tools.llm()
    }

    /// How far builds and tests in this process are kept away from the machine.
    pub fn isolation(&self) -> &'static str {
        self.ports.tools.sandbox().isolation()
    }

    /// How many jobs run in this process now.
    pub fn running_here(&self) -> usize {
        self.running.lock().expect("no holder of this lock can panic").len()
    }

    /// The jobs that people stop here, as they do, for those who reach nodes elsewhere.
    pub fn stopped(&self) -> broadcast::Receiver<JobId> {
        self.stopped.subscribe()
    }

    /// Tells a job that runs in this process to stop. One that runs elsewhere finds out at its next write, or sooner
    /// from whoever listens to [`Engine::stopped`].
    pub(crate) fn interrupt(&self, job: JobId) {
        // Without a listener there is nobody to tell.
        let _ = self.stopped.send(job);
        if let Some(cancel) = self.running.lock().expect("no holder of this lock can panic").get(&job) {
            cancel.cancel();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("settings", &self.settings).finish_non_exhaustive()
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
