//! One worker's hold on one job: what a stage sees, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::Date;
use patchwright_core::desk::{Assignment, Desk, DeskError, Refusal, Terms};
use patchwright_core::fault::Fault;
use patchwright_core::git::GitError;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError, Message};
use patchwright_core::model_calls::{ModelCall, Said};
use patchwright_core::progress::{Progress, ProgressEvent};
use patchwright_core::tracker::ForgeError;
use patchwright_core::{CancellationToken, Redactor};
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::money::Budget;
use patchwright_domain::{Issue, Job, Usage};
use tokio::sync::Mutex;

use crate::worker::Tools;

/// What a stage sees. It never writes the store.
pub(crate) struct StageContext<'a> {
    pub(crate) job: &'a Job,
    pub(crate) issue: &'a Issue,
    pub(crate) workspace: &'a dyn patchwright_core::git::Workspace,
    /// A folder beside the working copy, for exports and caches.
    pub(crate) scratch: &'a std::path::Path,
    pub(crate) asker: Option<&'a Asker<'a>>,
    pub(crate) tools: &'a Tools,
    pub(crate) terms: &'a Terms,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) progress: &'a Progress,
}

/// Why the work on a job stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It cannot be done; `fault` says whether later may be better.
    Failed(StageError),
    /// The lease is lost, or a person cancelled: there is nothing to write any more.
    Gone,
    /// The server stops: the job goes back into the queue.
    HandBack,
    /// The plan is there, and people are to read it first.
    Paused,
    /// The desk cannot be used. The lease runs out and somebody takes the job up again.
    Lost(String),
}

/// A stage (or what stands around the stages) could not do its work.
#[derive(Debug)]
pub(crate) struct StageError {
    pub(crate) stage: Option<StageKind>,
    /// What happened, to which thing.
    pub(crate) reason: String,
    /// What to do next.
    pub(crate) remedy: String,
    pub(crate) fault: Fault,
    /// Whether the model may not be asked any more; what is there without it stands.
    pub(crate) out_of_budget: bool,
}

impl StageError {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<String>, fault: Fault) -> Self {
        Self { stage: None, reason: reason.into(), remedy: remedy.into(), fault, out_of_budget: false }
    }

    pub(crate) fn out_of_budget(reason: String, remedy: &str) -> Self {
        Self { out_of_budget: true, ..Self::new(reason, remedy, Fault::Denied) }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal {
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
            fault: self.fault,
            out_of_budget: self.out_of_budget,
        }
    }
}

impl From<Refusal> for StageError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, remedy, fault, out_of_budget } = refusal;
        Self { stage: None, reason, remedy, fault, out_of_budget }
    }
}

/// What to do after an error whose own words already say it.
fn usual_remedy(fault: Fault) -> &'static str {
    match fault {
        Fault::Retry { .. } => "Retry the job when the other side answers again.",
        Fault::Denied => "Change the setting or permission that the message names, then retry the job.",
        Fault::Missing => "Put right what the message names, then retry the job.",
        Fault::Broken => "Look at the server's log for this job id, then retry the job.",
    }
}

/// An error with all its causes in one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

macro_rules! stage_error_from {
    ($($error:ty),*) => {
        $(impl From<$error> for StageError {
            fn from(error: $error) -> Self {
                let fault = error.fault();
                Self::new(words(&error), usual_remedy(fault), fault)
            }
        })*
    };
}
stage_error_from!(
    GitError,
    ForgeError,
    LlmError,
    patchwright_core::code_index::CodeIndexError,
    patchwright_core::sandbox::SandboxError
);

impl From<StageError> for Stop {
    fn from(error: StageError) -> Self {
        Self::Failed(error)
    }
}

impl From<DeskError> for Stop {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Gone => Self::Gone,
            DeskError::Refused(refusal) => Self::Failed(refusal.into()),
            error @ DeskError::Unavailable { .. } => Self::Lost(words(&error)),
        }
    }
}

/// Asks the model within the budgets of the job and the day, and counts.
pub(crate) struct Asker<'a> {
    llm: Arc<dyn Llm>,
    desk: &'a dyn Desk,
    budget: Budget,
    redactor: Redactor,
    max_tokens: Option<u32>,
    progress: Progress,
    cancel: CancellationToken,
    /// Of the whole job, and of the present stage.
    spent: Mutex<(Usage, Usage)>,
    /// How many calls were noted; nothing where none is.
    noted: Option<AtomicU32>,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(
        llm: Arc<dyn Llm>,
        desk: &'a dyn Desk,
        given: &Assignment,
        redactor: Redactor,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            llm,
            desk,
            budget: given.terms.budget,
            redactor,
            max_tokens: given.terms.max_answer_tokens,
            progress,
            cancel,
            spent: Mutex::new((given.job.usage(), Usage::default())),
            noted: given.terms.keep_model_calls.then(AtomicU32::default),
        }
    }

    /// Asks. Secrets in the messages are masked; nothing is asked that could pass a budget.
    pub(crate) async fn ask(&self, purpose: &'static str, messages: &[Message]) -> Result<ChatAnswer, StageError> {
        let masked =
            |message: &Message| Message { role: message.role, content: self.redactor.redact(&message.content) };
        let request =
            ChatRequest { purpose, messages: messages.iter().map(masked).collect(), max_tokens: self.max_tokens };
        let most = self.llm.estimate(&request);
        self.check_budget(&most).await?;
        let day = self.reserve(most).await?;
        let began = std::time::Instant::now();
        let answer = self.llm.chat(&request, &self.cancel).await;
        self.settle(day, most, answer.as_ref()).await;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.note_chat(request, &answer, millis).await;
        let answer = answer?;
        let mut spent = self.spent.lock().await;
        spent.0 += answer.usage;
        spent.1 += answer.usage;
        self.progress.send(ProgressEvent::Tokens { total: spent.0.tokens() });
        tracing::info!(
            llm.purpose = purpose,
            llm.model = %answer.model,
            llm.prompt_tokens = answer.usage.prompt_tokens,
            llm.completion_tokens = answer.usage.completion_tokens,
            llm.elapsed_ms = millis,
            "the model answered"
        );
        Ok(answer)
    }

    async fn note_chat(&self, request: ChatRequest, answer: &Result<ChatAnswer, LlmError>, millis: u64) {
        let (model, usage, error, text) = match answer {
            Ok(answer) => (answer.model.clone(), answer.usage, None, Some(answer.text.clone())),
            Err(error) => (self.llm.model(), Usage::default(), Some(words(error)), None),
        };
        let call = ModelCall { number: 0, purpose: request.purpose.to_owned(), model, usage, millis, error };
        self.note(call, Said { question: request.messages, answer: text }).await;
    }

    /// Keeps a call for people to read. The work does not depend on it.
    async fn note(&self, call: ModelCall, said: Said) {
        let Some(noted) = &self.noted else { return };
        let call = ModelCall { number: noted.fetch_add(1, Ordering::Relaxed), ..call };
        if let Err(error) = self.desk.note_call(call, said).await {
            tracing::warn!(error = %words(&error), "a model call could not be kept for people to read");
        }
    }

    /// Books a call that somebody else is about to make for this job.
    pub(crate) async fn reserve_call(&self, most: Usage) -> Result<Date, StageError> {
        self.check_budget(&most).await?;
        self.reserve(most).await
    }

    /// Books what that call did cost.
    pub(crate) async fn settle_call(&self, day: Date, most: Usage, spent: Usage) {
        if let Err(error) = self.desk.settle(day, most, spent).await {
            tracing::warn!(error = %words(&error), "a model call stays booked at the most that it could cost");
        }
        let (purpose, model) = ("command".to_owned(), self.llm.model());
        let call = ModelCall { number: 0, purpose, model, usage: spent, millis: 0, error: None };
        self.note(call, Said::default()).await;
        let mut all = self.spent.lock().await;
        all.0 += spent;
        all.1 += spent;
        self.progress.send(ProgressEvent::Tokens { total: all.0.tokens() });
    }

    async fn check_budget(&self, most: &Usage) -> Result<(), StageError> {
        let Some(detail) = self.budget.no_room_for(&self.spent.lock().await.0, most) else { return Ok(()) };
        let remedy = "Raise BUDGET_TOKENS, BUDGET_CALLS or BUDGET_COST, or narrow the issue, then retry the job.";
        Err(StageError::out_of_budget(format!("the job's model budget is used up: {detail}"), remedy))
    }

    async fn reserve(&self, most: Usage) -> Result<Date, StageError> {
        self.desk.reserve(most).await.map_err(|error| match error {
            DeskError::Refused(refusal) => refusal.into(),
            other => StageError::new(words(&other), "Retry the job when the database answers again.", Fault::RETRY),
        })
    }

    /// Puts what the call cost in place of what was reserved. A call that the server took and that gave nothing usable
    /// may have cost as much as it could, so it stays booked as that.
    async fn settle(&self, day: Date, most: Usage, answer: Result<&ChatAnswer, &LlmError>) {
        let spent = match answer {
            Ok(answer) => answer.usage,
            Err(LlmError::CutOff | LlmError::Unusable { .. } | LlmError::Cancelled) => return,
            Err(_) => Usage::default(),
        };
        if let Err(error) = self.desk.settle(day, most, spent).await {
            tracing::warn!(error = %words(&error), "a model call stays booked at the most that it could cost");
        }
    }

    /// What the present stage has cost, and begins to count anew.
    pub(crate) async fn take_stage_usage(&self) -> Usage {
        std::mem::take(&mut self.spent.lock().await.1)
    }
}

/// A duration for the clock of jobs.
pub(crate) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// The wait before the next try: the other side's own, or doubling from the first. `dice` may be the end of an id: it is
/// as good as any, and a test sees the same wait every time.
pub(crate) fn backoff(first: Duration, attempt: u32, hint: Option<Duration>, dice: u8) -> Duration {
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20)));
    // Up to a quarter more, so that what was put off together does not come back together.
    let jitter = 1.0 + f64::from(dice) / 1024.0;
    hint.map_or(doubled, |hint| hint.max(first)).min(LONGEST).mul_f64(jitter)
}
