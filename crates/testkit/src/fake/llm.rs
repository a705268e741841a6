//! A model with scripted answers that records its requests.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError};
use patchwright_domain::Usage;

/// A model with scripted answers.
#[derive(Debug, Default)]
pub struct ScriptedLlm {
    script: Mutex<VecDeque<Result<String, LlmError>>>,
    asked: Mutex<Vec<ChatRequest>>,
}

impl ScriptedLlm {
    /// Creates a model that returns these answers in order.
    pub fn new(answers: &[&str]) -> Self {
        let llm = Self::default();
        for answer in answers {
            llm.then(answer);
        }
        llm
    }

    /// Adds an answer.
    pub fn then(&self, answer: &str) {
        self.script.lock().unwrap().push_back(Ok(answer.to_owned()));
    }

    /// Adds a failure.
    pub fn then_fail(&self, error: LlmError) {
        self.script.lock().unwrap().push_back(Err(error));
    }

    /// Returns all requests, oldest first.
    pub fn asked(&self) -> Vec<ChatRequest> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Llm for ScriptedLlm {
    fn model(&self) -> String {
        "scripted".to_owned()
    }

    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        if cancel.is_cancelled() {
            return Err(LlmError::Cancelled);
        }
        self.asked.lock().unwrap().push(request.clone());
        let next = self.script.lock().unwrap().pop_front();
        let text = next.unwrap_or_else(|| {
            Err(LlmError::Unusable { detail: format!("the script has no answer to `{}`", request.purpose) })
        })?;
        let usage = Usage { calls: 1, prompt_tokens: 100, completion_tokens: 10, cost_micros: 0 };
        Ok(ChatAnswer { text, model: self.model(), usage })
    }
}
