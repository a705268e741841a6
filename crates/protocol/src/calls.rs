//! The model calls of jobs, with prompts and answers.

use patchwright_domain::Usage;
use serde::{Deserialize, Serialize};

/// The model calls of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallList {
    pub items: Vec<CallView>,
}

/// A model call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallView {
    pub task_id: String,
    /// Its position in its task, from 0.
    pub number: u32,
    /// `analyze_bug`, `fix_plan`, `code_fix` or `repair`; `command` for a call of an external program.
    pub purpose: String,
    pub model: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub usage: Usage,
    pub elapsed_ms: u64,
    /// Why there is no usable answer.
    pub error: Option<String>,
    pub at: String,
    /// Present when a single call is requested.
    #[serde(flatten)]
    pub transcript: Option<TranscriptView>,
}

/// The prompt and answer of a model call; secrets are masked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TranscriptView {
    /// In the order of the conversation.
    pub question: Vec<MessageView>,
    pub answer: Option<String>,
}

/// One message of a conversation with the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageView {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}
