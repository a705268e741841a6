//! A chat model.

use std::time::Duration;

use async_trait::async_trait;
use patchwright_domain::Usage;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The rules.
    System,
    /// Us.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// A message of the rules.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// A message of ours.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// A question to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    /// What the question is for: `analyze_bug`, `fix_plan`, `code_fix`, `repair`. For logs and recordings.
    pub purpose: &'static str,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The longest answer, in tokens; `None` leaves it to the server.
    pub max_tokens: Option<u32>,
}

/// The model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text; never empty.
    pub text: String,
    /// The model that answered.
    pub model: String,
    /// What it cost; estimated from the lengths when the server does not say.
    pub usage: Usage,
}

/// The model gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The key is wrong, or the model or country is not served.
    #[error("the model server refused the request ({detail}); check LLM_API_KEY and LLM_MODEL")]
    Denied {
        /// What it said.
        detail: String,
    },
    /// The account is out of money or quota; waiting does not help.
    #[error("the model account has no quota left ({detail}); top it up or use another key")]
    QuotaExhausted {
        /// What it said.
        detail: String,
    },
    /// The prompt is longer than the model reads.
    #[error("the prompt is too long for the model ({detail}); choose a model with a larger context")]
    ContextTooLong {
        /// What it said.
        detail: String,
    },
    /// The server does not answer in time, is busy or fails.
    #[error("the model server at {url} cannot answer now ({detail}); check LLM_BASE_URL and the server")]
    Unavailable {
        /// The server.
        url: String,
        /// What was seen.
        detail: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// The answer was cut off at the token limit. It must not be used.
    #[error("the model's answer was cut off at its length limit; raise LLM_MAX_TOKENS")]
    CutOff,
    /// The answer is empty, refused, or not what the protocol says.
    #[error("the model's answer cannot be used: {detail}")]
    Unusable {
        /// What is wrong with it.
        detail: String,
    },
    /// The job was cancelled meanwhile.
    #[error("the job was cancelled")]
    Cancelled,
}

impl LlmError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Denied { .. } | Self::QuotaExhausted { .. } => Fault::Denied,
            Self::Unavailable { after, .. } => Fault::Retry { after: *after },
            Self::ContextTooLong { .. } | Self::CutOff | Self::Unusable { .. } | Self::Cancelled => Fault::Internal,
        }
    }
}

/// How many tokens a text of so many bytes has at the most, about. Three bytes a token are few for English and code, and right
/// for Chinese.
pub const fn most_tokens(bytes: usize) -> usize {
    bytes.div_ceil(3)
}

/// What a request may use at the most, without a price.
pub fn estimate_most(request: &ChatRequest) -> Usage {
    let bytes: usize = request.messages.iter().map(|message| message.content.len()).sum();
    // What is too much is given back.
    let prompt_tokens = u64::try_from(most_tokens(bytes)).unwrap_or(u64::MAX) + 1;
    let completion_tokens = u64::from(request.max_tokens.unwrap_or(UNBOUNDED_ANSWER));
    Usage { calls: 1, prompt_tokens, completion_tokens, cost_micros: 0 }
}

/// How long an answer may be where no limit is sent, in tokens.
const UNBOUNDED_ANSWER: u32 = 16_384;

/// A chat model behind any OpenAI-compatible server, or a recording of one.
///
/// An implementation MUST bound its own time and retries, MUST stop soon after `cancel` fires, and MUST NOT return an
/// empty or cut-off answer as success.
#[async_trait]
pub trait Llm: Send + Sync {
    /// The model's name, for people.
    fn model(&self) -> String;

    /// The most that a request may cost, for a budget that must not be passed. Without prices it costs no money.
    fn estimate(&self, request: &ChatRequest) -> Usage {
        estimate_most(request)
    }

    /// Asks.
    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError>;
}
