//! Recorded model calls, so that users can see how a change was made, and the conversation of a job that runs.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::{JobId, TaskId, Usage};
use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::llm::Message;
use crate::store::StoreError;

/// The longest message or answer that is stored, in characters.
pub const MAX_TRANSCRIPT_CHARS: usize = 200_000;

/// One model call, without its transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Its number within the task, from 0.
    pub number: u32,
    /// Its purpose: `analyze_bug`, `fix_plan`, `code_fix`, `repair`; `command` for a call of a program.
    pub purpose: String,
    /// The model that answered, or that was called.
    pub model: String,
    /// The usage.
    pub usage: Usage,
    /// How long it took, in milliseconds; 0 where that is not known.
    pub millis: u64,
    /// Why there is no usable answer.
    pub error: Option<String>,
}

/// The messages of a call. Secrets are masked before it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The messages that were sent and that are new since the call before; empty for a call of a program, whose messages are not
    /// stored.
    pub question: Vec<Message>,
    /// The answer.
    pub answer: Option<String>,
}

/// A stored call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// The task that made it.
    pub task: TaskId,
    /// When it ended.
    pub at: Timestamp,
    /// The call itself.
    pub call: ModelCall,
}

/// The store of model calls and conversations.
#[async_trait]
pub trait ModelCalls: Send + Sync {
    /// Adds a call. One that is stored already, because its response was lost, stays as it is.
    async fn add_call(
        &self,
        job: JobId,
        task: TaskId,
        call: &ModelCall,
        transcript: &Transcript,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Returns all calls of a job, oldest first.
    async fn calls(&self, job: JobId) -> Result<Vec<StoredCall>, StoreError>;

    /// Returns a call with its transcript.
    async fn call(&self, task: TaskId, number: u32) -> Result<Option<(StoredCall, Transcript)>, StoreError>;

    /// Deletes the calls before a time. Returns how many.
    async fn forget_calls(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Stores the conversation of a job in place of an earlier one.
    async fn save_conversation(
        &self,
        job: JobId,
        conversation: &Conversation,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Returns the conversation of a job.
    async fn conversation(&self, job: JobId) -> Result<Option<Conversation>, StoreError>;

    /// Deletes the conversation of a job that has ended; one that is not there is no error.
    async fn delete_conversation(&self, job: JobId) -> Result<(), StoreError>;
}
