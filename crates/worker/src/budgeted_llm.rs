//! The model with the budgets of the job and of the day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::civil::Date;
use patchwright_core::fault::{Fault, error_chain};
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError, Message, Tool};
use patchwright_core::model_calls::{ModelCall, Transcript};
use patchwright_core::progress::{Progress, ProgressEvent};
use patchwright_core::task_session::{Assignment, TaskSession, TaskSessionError};
use patchwright_core::{CancellationToken, Redactor};
use patchwright_domain::Usage;
use patchwright_domain::money::Budget;
use tokio::sync::Mutex;

use crate::context::StageError;

/// Sends requests to the model within the budgets of the job and the day, and counts their usage.
pub(crate) struct BudgetedLlm<'a> {
    llm: Arc<dyn Llm>,
    session: &'a dyn TaskSession,
    budget: Budget,
    redactor: Redactor,
    max_tokens: Option<u32>,
    progress: Progress,
    cancel: CancellationToken,
    /// The usage of the whole job, and of the current stage.
    spent: Mutex<(Usage, Usage)>,
    /// The number of stored calls; `None` if calls are not stored.
    noted: Option<AtomicU32>,
    /// The messages of the last call: of the next one, what is new is stored.
    last: Mutex<Vec<Message>>,
    /// The tools of the job's conversation.
    tools: Vec<Tool>,
}

impl<'a> BudgetedLlm<'a> {
    pub(crate) fn new(
        llm: Arc<dyn Llm>,
        session: &'a dyn TaskSession,
        assignment: &Assignment,
        redactor: Redactor,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            llm,
            session,
            budget: assignment.policy.budget,
            redactor,
            max_tokens: assignment.policy.max_answer_tokens,
            progress,
            cancel,
            spent: Mutex::new((assignment.job.usage(), Usage::default())),
            noted: assignment.policy.keep_model_calls.then(AtomicU32::default),
            last: Mutex::default(),
            tools: Vec::new(),
        }
    }

    /// Sets the tools that the conversation of the job has from its first request on.
    pub(crate) fn set_tools(&mut self, tools: Vec<Tool>) {
        self.tools = tools;
    }

    /// Sends a request. Secrets in the messages are masked; a request that could exceed a budget is not sent.
    pub(crate) async fn ask(&self, purpose: &'static str, messages: &[Message]) -> Result<ChatAnswer, StageError> {
        let request = ChatRequest { tools: self.tools.clone(), ..ChatRequest::new(purpose, messages.to_vec()) };
        self.send(request).await
    }

    /// Does the same, and lets the model call tools.
    pub(crate) async fn ask_for_actions(
        &self,
        purpose: &'static str,
        messages: &[Message],
    ) -> Result<ChatAnswer, StageError> {
        let request =
            ChatRequest { tools: self.tools.clone(), may_call: true, ..ChatRequest::new(purpose, messages.to_vec()) };
        self.send(request).await
    }

    /// Asks another model of the same server something that is no part of the conversation.
    pub(crate) async fn ask_model(
        &self,
        model: &str,
        purpose: &'static str,
        messages: &[Message],
    ) -> Result<ChatAnswer, StageError> {
        self.send(ChatRequest { model: Some(model.to_owned()), ..ChatRequest::new(purpose, messages.to_vec()) }).await
    }

    async fn send(&self, request: ChatRequest) -> Result<ChatAnswer, StageError> {
        let purpose = request.purpose;
        let masked =
            |message: &Message| Message { role: message.role, content: self.redactor.redact(&message.content) };
        let request = ChatRequest {
            max_tokens: self.max_tokens,
            messages: request.messages.iter().map(masked).collect(),
            ..request
        };
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
            Err(error) => (self.llm.model(), Usage::default(), Some(error_chain(error)), None),
        };
        let call = ModelCall { number: 0, purpose: request.purpose.to_owned(), model, usage, millis, error };
        let question = self.new_messages(request.messages, text.as_deref()).await;
        self.note(call, Transcript { question, answer: text }).await;
    }

    /// Returns the messages that the call before did not have, and was not answered with.
    async fn new_messages(&self, messages: Vec<Message>, answer: Option<&str>) -> Vec<Message> {
        let mut last = self.last.lock().await;
        let known = if messages.starts_with(&last) { last.len() } else { 0 };
        let new = messages[known..].to_vec();
        *last = messages;
        last.extend(answer.map(Message::assistant));
        new
    }

    /// Stores a call for users to read. The job continues if that fails.
    async fn note(&self, call: ModelCall, transcript: Transcript) {
        let Some(noted) = &self.noted else { return };
        let call = ModelCall { number: noted.fetch_add(1, Ordering::Relaxed), ..call };
        if let Err(error) = self.session.record_call(call, transcript).await {
            tracing::warn!(error = %error_chain(&error), "failed to store a model call for display");
        }
    }

    /// Reserves the budget of a call that an external program is about to make for this job.
    pub(crate) async fn reserve_call(&self, most: Usage) -> Result<Date, StageError> {
        self.check_budget(&most).await?;
        self.reserve(most).await
    }

    /// Settles the reservation with the actual usage of that call.
    pub(crate) async fn settle_call(&self, day: Date, most: Usage, spent: Usage) {
        if let Err(error) = self.session.settle(day, most, spent).await {
            tracing::warn!(error = %error_chain(&error), "failed to settle the budget of a model call; its maximum cost stays reserved");
        }
        let (purpose, model) = ("command".to_owned(), self.llm.model());
        let call = ModelCall { number: 0, purpose, model, usage: spent, millis: 0, error: None };
        self.note(call, Transcript::default()).await;
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
        self.session.reserve(most).await.map_err(|error| match error {
            TaskSessionError::Refused(refusal) => refusal.into(),
            other => StageError::new(
                error_chain(&other),
                "Retry the job when the database is available again.",
                Fault::RETRY,
            ),
        })
    }

    /// Replaces the reservation by the actual usage. A call that the server accepted and that gave no usable answer may
    /// have cost the maximum, so its reservation stays.
    async fn settle(&self, day: Date, most: Usage, answer: Result<&ChatAnswer, &LlmError>) {
        let spent = match answer {
            Ok(answer) => answer.usage,
            Err(
                LlmError::Truncated
                | LlmError::Empty
                | LlmError::Refused { .. }
                | LlmError::Filtered
                | LlmError::Unusable { .. }
                | LlmError::Cancelled,
            ) => return,
            Err(_) => Usage::default(),
        };
        if let Err(error) = self.session.settle(day, most, spent).await {
            tracing::warn!(error = %error_chain(&error), "failed to settle the budget of a model call; its maximum cost stays reserved");
        }
    }

    /// Returns the usage of the current stage and resets it.
    pub(crate) async fn take_stage_usage(&self) -> Usage {
        std::mem::take(&mut self.spent.lock().await.1)
    }
}
