//! What the model was asked for a job and what it said, for people who want to know how a change came about.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{JobId, TaskId, Usage};
use serde::{Deserialize, Serialize};

use crate::llm::Message;
use crate::store::StoreError;

/// The most of one message or answer that is kept, in characters.
pub const MAX_TRANSCRIPT_CHARS: usize = 200_000;

/// One call of the model, without what was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Its turn in its task, from 0.
    pub number: u32,
    /// What it was for: `analyze_bug`, `fix_plan`, `code_fix`, `repair`; `command` when a program asked.
    pub purpose: String,
    /// The model that answered, or was asked.
    pub model: String,
    /// What it cost.
    pub usage: Usage,
    /// How long it took; 0 where that is not known.
    pub millis: u64,
    /// Why there is no answer that can be used.
    pub error: Option<String>,
}

/// What was said in a call. Secrets are masked before it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The question; empty when a program asked, whose words are not ours to keep.
    pub question: Vec<Message>,
    /// The answer.
    pub answer: Option<String>,
}

/// A call as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// The task that made it.
    pub task: TaskId,
    /// When it was over.
    pub at: Timestamp,
    /// The call.
    pub call: ModelCall,
}

/// Keeps calls.
#[async_trait]
pub trait ModelCalls: Send + Sync {
    /// Keeps a call. One that is there already, because its receipt was lost, stays as it is.
    async fn add_call(
        &self,
        job: JobId,
        task: TaskId,
        call: &ModelCall,
        said: &Transcript,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// All calls for a job, the oldest first.
    async fn calls(&self, job: JobId) -> Result<Vec<StoredCall>, StoreError>;

    /// A call with what was said.
    async fn call(&self, task: TaskId, number: u32) -> Result<Option<(StoredCall, Transcript)>, StoreError>;

    /// Forgets the calls before a time. Returns how many went.
    async fn forget_calls(&self, before: Timestamp) -> Result<u64, StoreError>;
}
