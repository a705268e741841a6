//! Chat models.

use std::time::Duration;

use async_trait::async_trait;
use patchwright_domain::Usage;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;

mod tokens;
mod tool_call;

pub use tool_call::{Tool, ToolCall, split_calls};

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that apply to the whole conversation.
    System,
    /// The program that asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The text.
    pub content: String,
}

impl Message {
    /// Creates a message with instructions.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// Creates a message to the model.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// Creates a message that repeats an earlier answer of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// A request to a chat model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    /// What the answer is used for: `analyze_bug`, `fix_plan`, `code_fix`, `repair`. For logs and recordings.
    pub purpose: &'static str,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The longest answer in tokens; `None` leaves the limit to the server.
    pub max_tokens: Option<u32>,
    /// The model, if it is not the client's own.
    pub model: Option<String>,
    /// The tools of the conversation. They are the same in each of its requests, so that providers cache what it begins with.
    pub tools: Vec<Tool>,
    /// Whether this answer may call them.
    pub may_call: bool,
}

impl ChatRequest {
    /// Creates a request to the client's own model, without a limit on the answer.
    pub const fn new(purpose: &'static str, messages: Vec<Message>) -> Self {
        Self { purpose, messages, max_tokens: None, model: None, tools: Vec::new(), may_call: false }
    }
}

/// The answer of a chat model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text, with the calls of tools as [`ToolCall::to_text`] writes them; never empty.
    pub text: String,
    /// The model that answered.
    pub model: String,
    /// Tokens and cost; estimated from the lengths if the server does not report them.
    pub usage: Usage,
}

/// The model gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// The API key is wrong, or the server refuses the request for a reason that is not known here.
    #[error(
        "the model server refused the request ({detail}); check the API key (LLM_API_KEY) and the model (LLM_MODEL)"
    )]
    Denied {
        /// The server's message.
        detail: String,
    },
    /// The server does not have the model, or nothing answers at the address.
    #[error("the model server does not have the model ({detail}); check LLM_MODEL and LLM_BASE_URL")]
    UnknownModel {
        /// The server's message.
        detail: String,
    },
    /// The server refuses a parameter, also after it was left out or replaced where that is possible.
    #[error("the model server refuses the parameter `{parameter}` ({detail}); change {setting}")]
    Parameter {
        /// The name in the request.
        parameter: String,
        /// The setting behind it.
        setting: &'static str,
        /// The server's message.
        detail: String,
    },
    /// The server gives no answers as long as the request allows.
    #[error("the model server gives no answers of that length ({detail}); lower LLM_MAX_TOKENS")]
    AnswerLimit {
        /// The server's message.
        detail: String,
        /// The longest answer that it gives, in tokens, if it says so.
        most: Option<u32>,
    },
    /// The account has no credit or quota left; waiting does not help.
    #[error("the model account has no quota left ({detail}); top it up or use another key")]
    QuotaExhausted {
        /// The server's message.
        detail: String,
    },
    /// The prompt exceeds the model's context.
    #[error("the prompt is too long for the model ({detail}); choose a model with a larger context (LLM_MODEL)")]
    ContextTooLong {
        /// The server's message.
        detail: String,
    },
    /// The server does not answer in time, is overloaded or fails.
    #[error("the model server at {url} cannot answer now ({detail}); check the server and its address")]
    Unavailable {
        /// The address that was called.
        url: String,
        /// The failure.
        detail: String,
        /// The wait that the server asked for.
        after: Option<Duration>,
    },
    /// The answer ends at the token limit. It is incomplete and must not be used.
    #[error("the model's answer was cut off at its length limit; raise the limit on tokens (LLM_MAX_TOKENS)")]
    Truncated,
    /// The answer is empty, also after asking again.
    #[error("the model's answer cannot be used: it is empty")]
    Empty,
    /// The model refuses to answer.
    #[error("the model refused to answer: {detail}")]
    Refused {
        /// Its words.
        detail: String,
    },
    /// A filter of the server withheld the answer.
    #[error(
        "the model server's content filter withheld the answer; use another model (LLM_MODEL), or change the filter"
    )]
    Filtered,
    /// The answer does not follow the protocol.
    #[error("the model's answer cannot be used: {detail}")]
    Unusable {
        /// What is wrong with it.
        detail: String,
    },
    /// The job was cancelled while the call ran.
    #[error("the job was cancelled")]
    Cancelled,
}

impl LlmError {
    /// Returns what the caller can do about the error.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Denied { .. }
            | Self::UnknownModel { .. }
            | Self::Parameter { .. }
            | Self::AnswerLimit { .. }
            | Self::QuotaExhausted { .. } => Fault::Denied,
            Self::Unavailable { after, .. } => Fault::Retry { after: *after },
            Self::ContextTooLong { .. }
            | Self::Truncated
            | Self::Empty
            | Self::Refused { .. }
            | Self::Filtered
            | Self::Unusable { .. }
            | Self::Cancelled => Fault::Internal,
        }
    }
}

/// Returns an upper bound of the tokens in a text of this many bytes. It assumes three bytes a token: right for Chinese, and
/// on the safe side for English and code (about four).
pub const fn estimate_tokens(bytes: usize) -> usize {
    bytes.div_ceil(3)
}

/// Returns about how many tokens a text has for present models, to within some percent for code and prose (see the tests).
///
/// Their tokenizers split a text into words, numbers, signs and spaces, and split long words further. The tables that they
/// use for that have megabytes; this counts the splits by their form.
pub fn count_tokens(text: &str) -> usize {
    tokens::count(text)
}

/// Returns the largest usage that a request can cause, without a price. Budgets reserve it and release what was not used.
pub fn estimate_max_usage(request: &ChatRequest) -> Usage {
    let of_tools = request.tools.iter().map(|tool| tool.description.len() + tool.parameters.to_string().len());
    let bytes: usize = request.messages.iter().map(|message| message.content.len()).chain(of_tools).sum();
    let prompt_tokens = u64::try_from(estimate_tokens(bytes)).unwrap_or(u64::MAX).saturating_add(1);
    let completion_tokens = u64::from(request.max_tokens.unwrap_or(DEFAULT_MAX_ANSWER_TOKENS));
    Usage { calls: 1, prompt_tokens, completion_tokens, cost_micros: 0 }
}

/// The answer length that is assumed for a request without a limit, in tokens.
const DEFAULT_MAX_ANSWER_TOKENS: u32 = 16_384;

/// A chat model behind any OpenAI-compatible server, or a recording of one.
///
/// An implementation MUST bound its own time and retries, MUST stop soon after `cancel` fires, and MUST NOT return an
/// empty or truncated answer as success.
#[async_trait]
pub trait Llm: Send + Sync {
    /// Returns the model's name, for users.
    fn model(&self) -> String;

    /// Returns whether its answers are a recording. Pages and pull requests say so.
    fn is_recorded(&self) -> bool {
        false
    }

    /// Returns the largest usage that a request can cause, for budgets that must not be exceeded. The default has no price.
    fn estimate(&self, request: &ChatRequest) -> Usage {
        estimate_max_usage(request)
    }

    /// Sends the conversation and returns the model's answer.
    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError>;
}

/// Returns the address of a call, such as `chat/completions`, of a server with OpenAI's API. The parts that the base address does
/// not have are completed: `/v1` where it has no path. A query, such as Azure's `?api-version=…`, stays behind the path.
pub fn api_address(base: &str, call: &str) -> String {
    let (address, query) =
        base.split_once('?').map_or((base, String::new()), |(path, query)| (path, format!("?{query}")));
    let address = address.trim_end_matches('/').trim_end_matches("/chat/completions").trim_end_matches('/');
    let has_path = address.split_once("://").map_or(address, |(_, rest)| rest).contains('/');
    let version = if has_path { "" } else { "/v1" };
    format!("{address}{version}/{call}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_from_any_base() {
        for base in [
            "http://h:1",
            "http://h:1/",
            "http://h:1/v1",
            "http://h:1/v1/",
            "http://h:1/v1/chat/completions",
            "http://h:1/v1/chat/completions/",
        ] {
            assert_eq!(api_address(base, "chat/completions"), "http://h:1/v1/chat/completions", "{base}");
        }
        assert_eq!(api_address("http://h/deployments/x", "responses"), "http://h/deployments/x/responses");
    }

    #[test]
    fn fault_f_a_query_stays_behind_the_path() {
        let azure = "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21";
        for base in [
            azure,
            "https://x.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
            "https://x.openai.azure.com/openai/deployments/d/?api-version=2024-10-21",
        ] {
            assert_eq!(api_address(base, "chat/completions"), azure, "{base}");
        }
        assert_eq!(api_address("http://h?a=/x", "completions"), "http://h/v1/completions?a=/x");
    }
}
